//! Where in a journal a period is over.
#![deny(clippy::indexing_slicing)]

use super::is_known;
use crate::domain::Timestamp;

/// What a record of the trader weighs against an event: a command that a person gave may have had another clock than the trader,
/// and has some events, where a trader has thousands of signals.
const NEWS: i64 = 1000;

/// Finds the record up to which a journal tells how things stood at a time. Where the times ascend it is the last one before
/// that time. A journal may have others: trades imported and versions trained by the clock on the wall before the daemon took
/// its time from messages of the past, or a start with a wrong clock. So it is the place that leaves the fewest records on the
/// wrong side.
#[derive(Debug, Clone, Copy)]
pub struct EndOf {
    until: Timestamp,
    weight: i64,
    best: i64,
    seq: u64,
}

impl EndOf {
    /// Of what lies before `until`.
    pub fn before(until: Timestamp) -> Self {
        Self { until, weight: 0, best: 0, seq: 0 }
    }

    /// Takes in the record `seq`, which came next, at `at`; `is_news`: it is of the trader, and no event.
    pub fn hear(&mut self, seq: u64, at: Timestamp, is_news: bool) {
        if !is_known(at) {
            return;
        }
        self.weight += match (at < self.until, is_news) {
            (true, _) => NEWS,
            (false, true) => -NEWS,
            (false, false) => -1,
        };
        if self.weight > self.best {
            (self.best, self.seq) = (self.weight, seq);
        }
    }

    /// The number of the last record before the end; 0 if none is.
    pub fn seq(self) -> u64 {
        self.seq
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(days: &[(i64, bool)]) -> u64 {
        let day = |day: i64| Timestamp::from_second(86_400 * day).unwrap();
        let mut end = EndOf::before(day(100));
        (1..).zip(days).for_each(|(seq, (at, is_news))| end.hear(seq, day(*at), *is_news));
        end.seq()
    }

    #[test]
    fn a_wrong_time_ends_no_period() {
        let (news, event) = (true, false);
        assert_eq!(end(&[(98, news), (99, event), (100, news), (101, event)]), 2, "what ascends ends where it is over");
        assert_eq!(
            end(&[(500, event), (500, event), (99, event), (100, event)]),
            3,
            "what was done before by another clock"
        );
        assert_eq!(
            end(&[(97, news), (900, event), (98, news), (99, news), (101, news)]),
            4,
            "a wrong clock at a start"
        );
        assert_eq!(end(&[(99, news), (100, news), (101, news), (3, event), (102, news)]), 1, "one that is too early");
        assert_eq!(end(&[(0, event), (99, news), (101, news), (0, event)]), 2, "before any time is known");
        assert_eq!(end(&[(100, news)]), 0);
    }
}
