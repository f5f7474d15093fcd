//! The alerts that are asked for.
//!
//! The latest ones of each level are held in memory. An answer reads from the journal only what was recorded since the last
//! one, and one answer reads at a time: a crowd that asks over a long journal costs one pass over it.
#![deny(clippy::indexing_slicing)]

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::Mutex;

use super::{
    acknowledge::retry,
    journal::JournalHandle,
    supervision::{Failures, Place},
};
use crate::{
    domain::{EventKind, Timestamp, event::Level},
    journal::{BadRecord, Reader, StoreError, StoredEvent},
    protocol::message::{Alerts, MOST_ALERTS, WireError},
};

/// The alerts of a daemon.
#[derive(Debug)]
pub struct AlertList {
    index: Arc<Mutex<Index>>,
    /// Whether the daemon is a drill; each alert then says so.
    drill: bool,
}

/// The answer to `alerts`.
#[derive(Debug, Serialize)]
pub struct Answer {
    /// The alerts, newest last, as a JSON array.
    alerts: Box<RawValue>,
    /// The number of the last record: a subscription from the next one misses nothing.
    last_seq: u64,
    /// Damaged events among those that were looked at.
    unreadable: u64,
}

/// The latest alerts of each level.
#[derive(Debug, Default)]
struct Index {
    /// Events from this number on have not been read.
    next: u64,
    /// At most [`MOST_ALERTS`] of each level, oldest first.
    info: VecDeque<Alert>,
    warning: VecDeque<Alert>,
    /// By code: when there are too many, the code that has most gives one up.
    critical: BTreeMap<Box<str>, VecDeque<Alert>>,
    unreadable: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Alert {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    drill: bool,
    seq: u64,
    at: Timestamp,
    level: Level,
    code: Box<str>,
    message: String,
}

impl AlertList {
    /// None are known yet.
    pub fn new(drill: bool) -> Self {
        Self { index: Arc::default(), drill }
    }

    /// The alerts that are wanted.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn answer(
        &self,
        journal: &JournalHandle,
        failures: &Failures,
        wanted: Alerts,
    ) -> Result<Answer, WireError> {
        let mut place = Arc::clone(&self.index).lock_owned().await;
        let reader = journal.read().await.map_err(|error| retry(&error))?;
        let drill = self.drill;
        let found = failures.scan(Place::GatewayAlerts, move || {
            // one that is half read is read again from the start
            let mut index = std::mem::take(&mut *place);
            let last_seq = index.read(&reader, drill).map_err(|error| WireError::new("retry", error.to_string()))?.1;
            let alerts = serde_json::value::to_raw_value(&index.pick(&wanted));
            let alerts = alerts.map_err(|error| WireError::new("internal_error", error.to_string()))?;
            let answer = Answer { alerts, last_seq, unreadable: index.unreadable };
            *place = index;
            Ok(answer)
        });
        found.await.map_err(|error| WireError::new("internal_error", error))?
    }
}

impl Index {
    /// Takes in what was recorded since it was read last. Gives back how many events that were, and the number of the last
    /// record.
    fn read(&mut self, reader: &Reader, drill: bool) -> Result<(usize, u64), StoreError> {
        let last_seq = reader.last_seq()?;
        if last_seq + 1 < self.next {
            // another journal than the one that was read
            *self = Self::default();
        }
        let mut read = 0;
        for stored in reader.events(self.next)? {
            match stored {
                Ok(StoredEvent { seq, event }) => {
                    self.next = seq + 1;
                    if let Some((level, code, message)) = in_alert(&event.kind) {
                        self.take(Alert { drill, seq, at: event.at, level, code, message });
                    }
                }
                Err(StoreError::BadRecord(bad)) => {
                    self.next = number_of(&bad).map_or(self.next, |seq| seq + 1);
                    self.unreadable += 1;
                }
                Err(error) => return Err(error),
            }
            read += 1;
        }
        self.next = self.next.max(last_seq + 1);
        Ok((read, last_seq))
    }

    fn take(&mut self, alert: Alert) {
        let of_level = match alert.level {
            Level::Info => &mut self.info,
            Level::Warning => &mut self.warning,
            Level::Critical => return self.take_critical(alert),
        };
        if of_level.len() == MOST_ALERTS {
            of_level.pop_front();
        }
        of_level.push_back(alert);
    }

    fn take_critical(&mut self, alert: Alert) {
        if self.critical.values().map(VecDeque::len).sum::<usize>() >= MOST_ALERTS
            && let Some((code, most)) = self.critical.iter_mut().max_by_key(|(_, of_code)| of_code.len())
        {
            most.pop_front();
            let code = code.clone();
            self.critical.retain(|other, of_code| *other != code || !of_code.is_empty());
        }
        self.critical.entry(alert.code.clone()).or_default().push_back(alert);
    }

    /// The critical alerts that `fits` lets pass, the latest of each code first, then the second of each, and so on.
    fn urgent<'a>(&'a self, fits: impl Fn(&&'a Alert) -> bool) -> Vec<&'a Alert> {
        let turns = self.critical.values().flat_map(|of_code| of_code.iter().rev().filter(&fits).enumerate());
        let mut all: Vec<(usize, &Alert)> = turns.collect();
        all.sort_unstable_by_key(|(turn, alert)| (*turn, std::cmp::Reverse(alert.seq)));
        all.into_iter().map(|(_, alert)| alert).collect()
    }

    /// The latest alerts that are wanted, newest last. When no level is asked for, or only the critical ones, half of the places
    /// belong to critical ones, to the latest of each code first: no crowd of lesser alerts pushes them out, and no crowd of one
    /// code the others.
    fn pick(&self, wanted: &Alerts) -> Vec<&Alert> {
        let fits = |alert: &&Alert| {
            wanted.level.is_none_or(|least| alert.level >= least) && wanted.since.is_none_or(|since| alert.at >= since)
        };
        let kept = if matches!(wanted.level, None | Some(Level::Critical)) { wanted.limit / 2 } else { 0 };
        let mut found = self.urgent(fits);
        let older = found.split_off(kept.min(found.len()));
        let mut others: Vec<&Alert> = self.info.iter().chain(&self.warning).filter(fits).chain(older).collect();
        others.sort_unstable_by_key(|alert| std::cmp::Reverse(alert.seq));
        others.truncate(wanted.limit.saturating_sub(found.len()));
        found.append(&mut others);
        found.sort_unstable_by_key(|alert| alert.seq);
        found
    }
}

/// What a person should know of an event, if anything: alerts, and that serving was locked.
fn in_alert(kind: &EventKind) -> Option<(Level, Box<str>, String)> {
    match kind {
        EventKind::Alert { level, code, message } => Some((*level, code.clone(), message.clone())),
        EventKind::Locked { .. } => Some((Level::Critical, "locked".into(), kind.to_string())),
        _ => None,
    }
}

/// The number of a damaged event.
pub(super) fn number_of(bad: &BadRecord) -> Option<u64> {
    bad.key.trim_start_matches('#').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::Event,
        journal::{Store, StoreOptions, Write},
    };

    fn alert(seconds: i64, level: Level) -> Write {
        let kind = EventKind::Alert { level, code: "x".into(), message: seconds.to_string() };
        Write::Event(Event { at: Timestamp::from_second(seconds).unwrap(), kind })
    }

    fn wanted(limit: usize) -> Alerts {
        Alerts { limit, since: None, level: None }
    }

    fn messages(found: &[&Alert]) -> Vec<i64> {
        found.iter().map(|alert| alert.message.parse().unwrap()).collect()
    }

    #[test]
    fn an_answer_reads_only_what_was_recorded_since_the_last_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vigie.redb");
        let mut store = Store::open(&path, StoreOptions { cache_bytes: 1 << 20, verify: false }).unwrap();
        store.apply(&(0..3000).map(|n| alert(n, Level::Warning)).collect::<Vec<_>>()).unwrap();
        let mut index = Index::default();
        assert_eq!(index.read(&store.reader().unwrap(), false).unwrap().0, 3000);
        assert_eq!(index.read(&store.reader().unwrap(), false).unwrap().0, 0);
        store.apply(&[alert(3000, Level::Info)]).unwrap();
        assert_eq!(index.read(&store.reader().unwrap(), false).unwrap().0, 1);
        assert_eq!(messages(&index.pick(&wanted(3))), [2998, 2999, 3000]);
        assert_eq!(index.pick(&wanted(MOST_ALERTS)).len(), MOST_ALERTS);
        // another journal, with fewer records, is read from its start
        let other = folder.path().join("other.redb");
        let mut other = Store::open(&other, StoreOptions { cache_bytes: 1 << 20, verify: false }).unwrap();
        other.apply(&[alert(7, Level::Critical)]).unwrap();
        assert_eq!(index.read(&other.reader().unwrap(), false).unwrap().0, 1);
        assert_eq!(messages(&index.pick(&wanted(3))), [7]);
    }

    #[test]
    fn critical_alerts_keep_half_of_the_places_and_each_level_and_time_can_be_asked_for() {
        let mut index = Index::default();
        let mut take = |seq: i64, level| {
            let at = Timestamp::from_second(seq).unwrap();
            index.take(Alert { drill: false, seq: seq as u64, at, level, code: "x".into(), message: seq.to_string() });
        };
        (1..=4).for_each(|n| take(n, Level::Critical));
        (5..=2004).for_each(|n| take(n, Level::Warning));
        take(2005, Level::Info);
        assert_eq!(messages(&index.pick(&wanted(6))), [2, 3, 4, 2003, 2004, 2005]);
        assert_eq!(messages(&index.pick(&wanted(1))), [2005]);
        assert_eq!(index.pick(&wanted(1000)).len(), 1000);
        let critical = Alerts { level: Some(Level::Critical), ..wanted(3) };
        assert_eq!(messages(&index.pick(&critical)), [2, 3, 4]);
        let warning = Alerts { level: Some(Level::Warning), ..wanted(2) };
        assert_eq!(messages(&index.pick(&warning)), [2003, 2004]);
        let late = Alerts { since: Timestamp::from_second(2004).ok(), ..wanted(6) };
        assert_eq!(messages(&index.pick(&late)), [2004, 2005]);
    }

    #[test]
    fn no_crowd_of_one_code_pushes_the_critical_alerts_of_another_out() {
        let mut index = Index::default();
        let take = |index: &mut Index, seq: u64, code: &str| {
            let (at, level) = (Timestamp::from_second(seq as i64).unwrap(), Level::Critical);
            index.take(Alert { drill: false, seq, at, level, code: code.into(), message: seq.to_string() });
        };
        take(&mut index, 1, "emergency");
        take(&mut index, 2, "locked");
        take(&mut index, 3, "emergency");
        (4..=3000).for_each(|seq| take(&mut index, seq, "trade_id_reused"));
        assert_eq!(messages(&index.pick(&wanted(8))), [2, 3, 2995, 2996, 2997, 2998, 2999, 3000]);
        assert_eq!(index.critical.values().map(VecDeque::len).sum::<usize>(), MOST_ALERTS);
        let critical = Alerts { level: Some(Level::Critical), ..wanted(MOST_ALERTS) };
        assert_eq!(index.pick(&critical).len(), MOST_ALERTS);
        let few = Alerts { level: Some(Level::Critical), ..wanted(8) };
        assert_eq!(messages(&index.pick(&few)), [2, 3, 2995, 2996, 2997, 2998, 2999, 3000]);
        // an even crowd of codes leaves room for each
        (0..5000).for_each(|n| take(&mut index, 3001 + n, &format!("code-{}", n % 7)));
        assert_eq!(index.critical.values().map(VecDeque::len).sum::<usize>(), MOST_ALERTS);
        assert!(index.critical.len() == 10 && messages(&index.pick(&wanted(40))).starts_with(&[1, 2, 3]));
    }
}
