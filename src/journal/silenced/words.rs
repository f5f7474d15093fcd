//! A silencing event in words, and what tells it from every other.
#![deny(clippy::indexing_slicing)]

use blake2::{Blake2b256, Digest as _};

use crate::domain::{Event, EventKind, Timestamp, VersionId, lifecycle::State};

/// Longest text of an event, in characters.
const MOST_CHARACTERS: usize = 300;
/// How the words of a lock begin.
const LOCKED: &str = "locked: ";
/// Bytes of a digest.
pub(super) const DIGEST: usize = 16;

/// What an event takes away, in words; `None` of one that silences nobody.
pub(super) fn words(event: &Event) -> Option<String> {
    match &event.kind {
        EventKind::Locked { reason, .. } => Some(format!("{LOCKED}{reason}")),
        EventKind::Latched { trip } => Some(trip.to_string()),
        EventKind::Moved { version, step, reason, .. } => match step.edge() {
            (from, to @ (State::RolledBack | State::Archived)) => {
                Some(format!("{version} left {from}, {to}: {reason}"))
            }
            _ => None,
        },
        EventKind::Shared { version, share, reason, .. } if *share < 1.0 => {
            Some(format!("{version} speaks to {:.0} % of its share: {reason}", 100.0 * share))
        }
        _ => None,
    }
}

/// What words are about: a later event about the same makes an earlier one superfluous, since a journal that lacks the earlier one
/// lacks the later one too. There are a few for each version, one for each rule of the account, and one for all locks.
pub(super) fn subject(words: &str) -> String {
    match words.strip_prefix("emergency of ").and_then(|rest| rest.split_once(": ")) {
        Some((whom, breach)) => {
            format!("emergency of {whom}: {}", breach.split_whitespace().next().unwrap_or_default())
        }
        None if words.starts_with(LOCKED) => LOCKED.to_owned(),
        None => words.split_whitespace().take(2).collect::<Vec<_>>().join(" "),
    }
}

/// The version that words are about, if they are about one.
pub(super) fn version(words: &str) -> Option<VersionId> {
    let whom = match words.strip_prefix("emergency of ") {
        Some(rest) => rest.split(": ").next(),
        None => words.split_whitespace().next(),
    };
    whom?.parse().ok()
}

/// What tells an event from every other, by what never changes in how events are stored.
pub(super) fn digest(event: &Event) -> [u8; DIGEST] {
    let name = match &event.kind {
        EventKind::Locked { reason, .. } => format!("locked {reason}"),
        EventKind::Latched { trip } => {
            let version = trip.version.as_ref().map(ToString::to_string).unwrap_or_default();
            format!("latched {version} {} {}", trip.breach.rule.name(), trip.day)
        }
        EventKind::Moved { version, step, .. } => {
            let (from, to) = step.edge();
            format!("moved {version} {from} {to}")
        }
        EventKind::Shared { version, share, .. } => format!("shared {version} {share}"),
        _ => String::new(),
    };
    digest_of(event.at, &name)
}

pub(super) fn digest_of(at: Timestamp, name: &str) -> [u8; DIGEST] {
    let whole = Blake2b256::digest(format!("{}\n{name}", at.as_nanosecond()));
    let mut digest = [0; DIGEST];
    digest.iter_mut().zip(whole).for_each(|(byte, of_whole)| *byte = of_whole);
    digest
}

/// Without anything that ends a line or that a terminal obeys.
pub(super) fn one_line(text: &str) -> String {
    let harmless = |character: char| if character.is_control() { ' ' } else { character };
    text.chars().take(MOST_CHARACTERS).map(harmless).collect()
}
