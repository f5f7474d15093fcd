//! Of a journal that took the place of another one: which of the alerts that it has already are told. Time names no event, since
//! clocks are set; an event is known by its number and what it says.

use std::collections::{HashSet, VecDeque};

use jiff::Timestamp;

use crate::{alert::Alert, message::Seen};

/// Alerts that are told at most of those that are not later than the last one that was told.
pub const MOST_OLD: usize = 100;

/// A journal that is read from its beginning.
#[derive(Debug)]
pub struct Replay {
    /// Events that were passed before, with what they say.
    passed: HashSet<Seen>,
    /// The time of the latest alert that was told.
    told: Option<Timestamp>,
    held: VecDeque<Held>,
    /// How many of them are not later than [`Self::told`].
    old: usize,
    left_out: Option<LeftOut>,
}

#[derive(Debug)]
struct Held {
    seen: Seen,
    alert: Alert,
    is_old: bool,
}

#[derive(Debug)]
struct LeftOut {
    count: usize,
    first: (u64, Timestamp),
    last: (u64, Timestamp),
}

impl Replay {
    /// `passed` are the events that are known to have been passed before, `told` is the time of the latest alert that was told.
    pub fn new(passed: HashSet<Seen>, told: Option<Timestamp>) -> Self {
        Self { passed, told, held: VecDeque::new(), old: 0, left_out: None }
    }

    /// Takes the next event in, with what a person should know of it.
    pub fn take(&mut self, seen: Seen, alert: Option<Alert>) {
        if seen.hash.is_some() && self.passed.contains(&seen) {
            // a journal only grows: with this event all before it were passed in the one that was followed
            self.held.clear();
            (self.old, self.left_out) = (0, None);
            return;
        }
        let Some(alert) = alert else { return };
        let is_old = self.told.is_none_or(|told| alert.at <= told);
        self.old += usize::from(is_old);
        self.held.push_back(Held { seen, alert, is_old });
        if self.old > MOST_OLD {
            self.leave_out();
        }
    }

    /// The oldest of the old.
    fn leave_out(&mut self) {
        let place = self.held.iter().position(|held| held.is_old);
        let Some(held) = place.and_then(|place| self.held.remove(place)) else { return };
        self.old -= 1;
        let this = (held.seen.seq, held.alert.at);
        let left_out = self.left_out.get_or_insert(LeftOut { count: 0, first: this, last: this });
        left_out.count += 1;
        left_out.last = this;
    }

    /// What is told when all was read: in words what is left out, if anything is, and the alerts in their order.
    pub fn end(self) -> (Option<String>, Vec<(Seen, Alert)>) {
        let words = self.left_out.map(|LeftOut { count, first, last }| {
            format!(
                "{count} older alerts of it are not sent, which may have been told before: events {} to {}, from {:.0} to {:.0}; `vigie \
                 alerts` shows them",
                first.0, last.0, first.1, last.1
            )
        });
        (words, self.held.into_iter().map(|held| (held.seen, held.alert)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::Level;

    fn seen(seq: u64, text: &str) -> Seen {
        Seen { seq, hash: Some(text.to_owned()) }
    }

    fn alert(seq: u64, at: i64) -> Option<Alert> {
        let at = Timestamp::from_second(at).unwrap();
        Some(Alert { seq: Some(seq), ..Alert::own(at, Level::Critical, "locked", String::new()) })
    }

    fn numbers(replay: Replay) -> Vec<u64> {
        replay.end().1.into_iter().map(|(seen, _)| seen.seq).collect()
    }

    #[test]
    fn an_alert_is_known_by_what_it_says_and_not_by_its_time() {
        let passed: HashSet<Seen> = [seen(3, "three"), seen(4, "four")].into();
        let told = Timestamp::from_second(4_000_000_000).ok();
        let mut replay = Replay::new(passed.clone(), told);
        // the first two are before one that was followed, so they were too
        for (seq, text) in [(1, "one"), (2, "two"), (3, "three"), (4, "another"), (5, "five")] {
            replay.take(seen(seq, text), alert(seq, 100));
        }
        replay.take(seen(6, "no alert"), None);
        replay.take(Seen { seq: 7, hash: None }, alert(7, 100));
        // all of them are before the time at which the clock was once
        assert_eq!(numbers(replay), [4, 5, 7]);
        // a journal of which nothing is known
        let mut replay = Replay::new(passed, told);
        (1..=5).for_each(|seq| replay.take(seen(seq, "other"), alert(seq, 100)));
        assert_eq!(numbers(replay), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn of_what_is_old_the_last_are_told_and_the_others_are_named() {
        let mut replay = Replay::new(HashSet::new(), Timestamp::from_second(1000).ok());
        for seq in 1..=300 {
            // each third is later than all that was told
            replay.take(seen(seq, ""), alert(seq, if seq % 3 == 0 { 2000 } else { seq as i64 }));
        }
        let (words, held) = replay.end();
        let told: Vec<u64> = held.iter().map(|(seen, _)| seen.seq).collect();
        let expected: Vec<u64> = (1..=300).filter(|seq| seq % 3 == 0 || *seq > 150).collect();
        assert_eq!(told, expected);
        let words = words.unwrap();
        assert!(
            words.starts_with("100 older alerts of it are not sent") && words.contains("events 1 to 149,"),
            "{words}"
        );
    }
}
