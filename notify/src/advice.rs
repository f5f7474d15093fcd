//! What an alert means and what to do: the table of `docs/operations.md`, which a test of the project holds against every code
//! that the daemon can raise, and beside it the codes of this process.

use std::{collections::HashMap, sync::OnceLock};

/// The daemon's table, of which there is only this one.
const OPERATIONS: &str = include_str!("../../docs/operations.md");
const HEAD: &str = "| code | level | meaning | what was done | what to do now |";

/// The codes of this process.
pub const OWN: [(&str, &str, &str); 8] = [
    (
        "daemon_silent",
        "the daemon does not answer",
        "look at `systemctl status vigie` and `journalctl -u vigie -e`; the trader is on the baseline meanwhile",
    ),
    ("daemon_back", "the daemon answers again", "nothing"),
    (
        "journal_replaced",
        "the daemon's journal is not the one that was followed: it was restored from a copy, or a new one is in use",
        "find out which; \"Backup and restore\" in docs/operations.md says what to look at before `vigie resume`",
    ),
    (
        "receiver_failed",
        "messages for a receiver were given up and are on the list of dead letters",
        "look at `vigie notify dead list`, correct the cause, then `vigie notify dead retry`",
    ),
    ("unreadable", "an event of the daemon's journal is damaged; it may have been an alert", "look at `vigie events`"),
    ("test", "somebody tries this receiver", "nothing"),
    (
        "notify_unwritten",
        "the disk does not take the own state of `vigie notify`: messages go on, and may come twice after a restart",
        "make room where its state folder is; `vigie notify status` names it",
    ),
    (
        "spool_damaged",
        "a part of the own state of `vigie notify` is gone or damaged; what was not delivered is taken from the daemon's journal again",
        "find out who changed the files there; `vigie alerts` shows what should have come",
    ),
];

/// What is known of a code.
#[derive(Debug, Clone, PartialEq)]
pub struct Advice {
    /// What it means.
    pub meaning: String,
    /// What to do now.
    pub remedy: String,
}

/// What is known of `code`. Of one that a newer daemon raises, where to look.
pub fn of(code: &str) -> Advice {
    table().get(code).cloned().unwrap_or_else(|| Advice {
        meaning: "a code that this program does not know".to_owned(),
        remedy: format!("look for `{code}` under \"Alerts\" in docs/operations.md of the daemon's version"),
    })
}

/// All codes that are known.
pub fn codes() -> Vec<&'static str> {
    table().keys().map(String::as_str).collect()
}

fn table() -> &'static HashMap<String, Advice> {
    static TABLE: OnceLock<HashMap<String, Advice>> = OnceLock::new();
    TABLE.get_or_init(|| rows(OPERATIONS).collect())
}

fn rows(document: &str) -> impl Iterator<Item = (String, Advice)> {
    let lines = document.lines().skip_while(|line| *line != HEAD).skip(2).take_while(|line| line.starts_with('|'));
    let of_daemon = lines.filter_map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [code, _, meaning, _, remedy] = cells.as_slice() else { return None };
        let advice = Advice { meaning: plain(meaning), remedy: plain(remedy) };
        Some((code.trim_matches('`').to_owned(), advice))
    });
    let own = OWN.iter().map(|(code, meaning, remedy)| {
        ((*code).to_owned(), Advice { meaning: (*meaning).to_owned(), remedy: (*remedy).to_owned() })
    });
    of_daemon.chain(own)
}

/// A cell without links: what they lead to is named.
fn plain(cell: &str) -> String {
    let (mut rest, mut text) = (cell, String::new());
    while let Some((before, link)) = rest.split_once('[') {
        let Some((words, behind)) = link.split_once("](") else { break };
        let Some((target, after)) = behind.split_once(')') else { break };
        let title = if words == "below" { target.trim_start_matches('#').replace('-', " ") } else { words.to_owned() };
        text += &format!("{before}\"{title}\" in docs/operations.md");
        rest = after;
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_of_the_daemon_has_a_meaning_and_a_remedy_in_plain_words() {
        // that the table has each code that can be raised is held by tests/documents.rs
        let all: Vec<(String, Advice)> = rows(OPERATIONS).collect();
        let lines = OPERATIONS.split(HEAD).nth(1).unwrap().lines().skip(2).take_while(|line| line.starts_with('|'));
        assert_eq!(all.len(), lines.count() + OWN.len(), "a row that is not understood");
        assert!(all.len() > 40);
        for (code, advice) in &all {
            assert!(!code.is_empty() && code.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{code}");
            for text in [&advice.meaning, &advice.remedy] {
                assert!(!text.is_empty() && !text.contains("](") && !text.contains('\n'), "{code}: {text}");
            }
            assert_eq!(of(code), *advice, "{code} stands there twice");
        }
        assert_eq!(of("locked").remedy, "see \"Locked, and the way back\" in docs/operations.md");
        assert!(
            of("journal_displaced").remedy.contains("\"the journal was deleted moved"),
            "{:?}",
            of("journal_displaced")
        );
        assert!(of("of_tomorrow").remedy.contains("`of_tomorrow`"));
    }
}
