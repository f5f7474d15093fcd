//! One message to one receiver: an alert, repeats of one code, or what quiet hours held back.

use std::{collections::VecDeque, fmt::Write as _};

use jiff::Timestamp;
use ring::digest;
use serde::{Deserialize, Serialize};

use crate::alert::{Alert, Level};

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// One alert.
    Alert,
    /// Alerts of one code that came within the window of an earlier one.
    Repeats,
    /// What quiet hours held back.
    Summary,
    /// Somebody tries the receiver.
    Test,
}

/// A message. What it says is fixed before it is sent for the first time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Its name, the same however often it is sent.
    pub id: String,
    /// What it is.
    pub kind: Kind,
    /// The numbers of its alerts in the spool, growing.
    pub numbers: Vec<u64>,
    /// Its alerts in that order; at least one.
    pub alerts: Vec<Alert>,
    /// How many more belong to it and come in a further one.
    #[serde(default, skip_serializing_if = "is_none")]
    pub left: usize,
}

fn is_none(left: &usize) -> bool {
    *left == 0
}

impl Message {
    /// One for `receiver` of these numbered alerts.
    pub fn new<'a>(receiver: &str, kind: Kind, parts: impl IntoIterator<Item = (u64, &'a Alert)>) -> Self {
        let (numbers, alerts): (Vec<u64>, Vec<Alert>) = parts.into_iter().map(|(n, alert)| (n, alert.clone())).unzip();
        let mut hashed = digest::Context::new(&digest::SHA256);
        hashed.update(receiver.as_bytes());
        for (number, alert) in numbers.iter().zip(&alerts) {
            let part = format!("\n{number} {:?} {} {} {}", alert.seq, alert.at, alert.code, alert.message);
            hashed.update(part.as_bytes());
        }
        Self { id: digits(hashed.finish().as_ref(), 10), kind, numbers, alerts, left: 0 }
    }

    /// The level of its most urgent alert.
    pub fn level(&self) -> Level {
        self.alerts.iter().map(|alert| alert.level).max().unwrap_or(Level::Info)
    }

    /// The number of its last alert.
    pub fn last(&self) -> u64 {
        self.numbers.last().copied().unwrap_or_default()
    }

    /// Whether it waits for the end of quiet hours.
    pub fn may_be_held(&self) -> bool {
        self.level() < Level::Critical && self.kind != Kind::Test
    }
}

/// The first `most` bytes in hexadecimal digits.
pub fn digits(bytes: &[u8], most: usize) -> String {
    bytes.iter().take(most).fold(String::new(), |mut text, byte| {
        let _never_fails = write!(text, "{byte:02x}");
        text
    })
}

/// An alert as the spool holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its number: grows, and is never used twice.
    pub n: u64,
    /// When it was taken in.
    pub taken: Timestamp,
    /// What is told; none where only the mark moved on.
    pub alert: Option<Alert>,
    /// How far the daemon was followed with it.
    pub mark: Mark,
}

/// How far the daemon is followed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    /// The number of the first event of the journal that was not taken in; none before the beginning.
    pub next: Option<u64>,
    /// The last events that were taken in, at most [`MOST_SEEN`], oldest first: by them the journal is known again.
    pub seen: VecDeque<Seen>,
    /// The time of the latest alert of the daemon that was taken in.
    #[serde(default)]
    pub told: Option<Timestamp>,
    /// Whether the journal may be another one than before, and what it has already is still being read.
    #[serde(default)]
    pub is_replay: bool,
    /// Whether it was told that the daemon does not answer.
    pub silent: bool,
}

/// Events by which a journal is known again.
pub const MOST_SEEN: usize = 8;

/// An event that was seen.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Seen {
    /// Its number.
    pub seq: u64,
    /// A hash of what it says; none if it was damaged.
    pub hash: Option<String>,
}

impl Seen {
    /// Whether `other` may be the same event: one of the two may have been damaged.
    pub fn is(&self, other: &Self) -> bool {
        self.seq == other.seq && (self.hash.is_none() || other.hash.is_none() || self.hash == other.hash)
    }
}

impl Mark {
    /// Of a journal of which nothing is known: read from its beginning.
    pub fn replay() -> Self {
        Self { next: Some(1), is_replay: true, ..Self::default() }
    }

    /// Moves on over an event.
    pub fn pass(&mut self, seen: Seen) {
        self.next = self.next.max(Some(seen.seq + 1));
        self.seen.push_back(seen);
        while self.seen.len() > MOST_SEEN {
            self.seen.pop_front();
        }
    }
}
