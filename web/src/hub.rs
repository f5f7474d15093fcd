//! What is known of the daemon: one subscription and one look at its status, shared by all pages and by the metrics. More pages
//! ask the daemon nothing more.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::Value;
use tokio::sync::{Notify, broadcast};

use crate::clock::Stopwatch;

/// Updates that a page may be behind before it is sent a snapshot instead.
const UPDATES: usize = 256;
/// Updates that are kept for a page that comes back with the number of the last one it has.
const RECENT: usize = 256;
/// Events of the journal that are kept, the latest ones, and bytes of them.
const EVENTS: usize = 50_000;
const EVENT_BYTES: usize = 64 << 20;
/// Decisions that are kept.
const DECISIONS: usize = 500;
/// Events and decisions that a snapshot has.
const IN_SNAPSHOT: usize = 100;

/// Something that pages are told, as it goes over the wire.
#[derive(Debug)]
pub struct Update {
    number: u64,
    text: String,
}

impl Update {
    /// The lines of it.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// An event or a decision of the daemon.
#[derive(Debug, Clone)]
pub struct Known {
    /// Its number in the journal.
    pub seq: u64,
    /// Its `event`.
    pub kind: String,
    /// The level of an alert; empty of anything else.
    pub level: String,
    /// When it happened, as it came.
    pub at: String,
    /// The line as it came.
    pub text: Arc<str>,
}

impl Known {
    /// When it happened, to the second, in UTC.
    pub fn second(&self) -> &str {
        self.at.get(..19).unwrap_or(&self.at)
    }
}

/// What everybody shares.
#[derive(Debug)]
pub struct Hub {
    seen: Mutex<Seen>,
    updates: broadcast::Sender<Arc<Update>>,
    /// Rung when the status is to be looked at now.
    pub bell: Notify,
    pages: Mutex<Pages>,
    /// Tells the numbers of this process from those of another.
    run: String,
}

/// What is known now.
#[derive(Debug, Default)]
pub struct Seen {
    number: u64,
    recent: VecDeque<Arc<Update>>,
    /// The latest `status`, and when it came.
    pub status: Option<(Value, Stopwatch)>,
    /// Why the daemon does not answer; `None` while it does, an empty text before it was asked.
    pub silence: Option<String>,
    /// Events, oldest first.
    pub events: VecDeque<Known>,
    event_bytes: usize,
    /// The number of the oldest event that is kept here, if older ones had no room.
    pub kept_from: Option<u64>,
    /// Decisions since this process began, oldest first.
    pub decisions: VecDeque<Known>,
    /// Alerts of the journal by level: info, warning, critical.
    pub alerts: [u64; 3],
    /// Snapshots that were sent to pages that had fallen behind.
    pub resyncs: u64,
    /// Whether the events that the journal holds are all here.
    pub caught_up: bool,
}

/// Pages that are open, by the order in which they came.
#[derive(Debug, Default)]
struct Pages {
    last: u64,
    open: BTreeMap<u64, Arc<Notify>>,
}

/// A page that is open, as long as it is held.
#[derive(Debug)]
pub struct Page {
    hub: Arc<Hub>,
    number: u64,
    leave: Arc<Notify>,
}

impl Page {
    /// Returns when the page has to give way to a newer one.
    pub async fn given_up(&self) {
        self.leave.notified().await;
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.hub.open_pages().open.remove(&self.number);
    }
}

impl Hub {
    /// One that knows nothing yet. `run` tells it from others: no space, no line break.
    pub fn new(run: String) -> Self {
        let seen = Seen { silence: Some(String::new()), ..Seen::default() };
        let (bell, pages) = (Notify::new(), Mutex::default());
        Self { seen: Mutex::new(seen), updates: broadcast::channel(UPDATES).0, bell, pages, run }
    }

    /// What is known. Not to be held for long.
    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Pages that are open.
    pub fn pages(&self) -> usize {
        self.open_pages().open.len()
    }

    /// Counts a page among `most`. The one that was opened first gives way where there is no room: so whoever holds pages open keeps
    /// nobody out, and a browser whose page gave way comes back by itself.
    pub fn open_page(self: &Arc<Self>, most: usize) -> Page {
        let leave = Arc::new(Notify::new());
        let mut pages = self.open_pages();
        while pages.open.len() >= most.max(1) {
            let Some((_, first)) = pages.open.pop_first() else { break };
            first.notify_one();
        }
        pages.last += 1;
        let number = pages.last;
        pages.open.insert(number, Arc::clone(&leave));
        drop(pages);
        // what is shown first should be fresh
        self.bell.notify_one();
        Page { hub: Arc::clone(self), number, leave }
    }

    fn open_pages(&self) -> MutexGuard<'_, Pages> {
        // every change is whole before anything could fail
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to follow: what is to be sent first, and what comes after it. With the identifier of the last update that a page
    /// has it is sent what came since, where that is still known; else a snapshot.
    pub fn join(&self, last: Option<&str>) -> (Vec<String>, broadcast::Receiver<Arc<Update>>) {
        let seen = self.seen();
        // nothing is posted while what is seen is held: so nothing falls between the two, and nothing comes twice
        let receiver = self.updates.subscribe();
        let missed = last.and_then(|last| self.since(&seen, last));
        (missed.unwrap_or_else(|| vec![self.snapshot(&seen)]), receiver)
    }

    /// A snapshot for a page that fell behind, and what comes after it.
    pub fn resync(&self) -> (Vec<String>, broadcast::Receiver<Arc<Update>>) {
        self.seen().resyncs += 1;
        self.join(None)
    }

    fn since(&self, seen: &Seen, last: &str) -> Option<Vec<String>> {
        let number: u64 = last.strip_prefix(&*self.run)?.strip_prefix('-')?.parse().ok()?;
        let oldest = seen.recent.front().map_or(seen.number + 1, |update| update.number);
        if number > seen.number || number + 1 < oldest {
            return None;
        }
        let missed = seen.recent.iter().filter(|update| update.number > number);
        Some(missed.map(|update| update.text.clone()).collect())
    }

    fn snapshot(&self, seen: &Seen) -> String {
        message(&self.run, seen.number, "snapshot", &seen.snapshot())
    }

    fn post(&self, seen: &mut Seen, name: &str, data: &str) {
        seen.number += 1;
        let text = message(&self.run, seen.number, name, data);
        let update = Arc::new(Update { number: seen.number, text });
        if seen.recent.len() == RECENT {
            seen.recent.pop_front();
        }
        seen.recent.push_back(Arc::clone(&update));
        let _nobody_looks_on = self.updates.send(update);
    }

    /// Takes a status of the daemon.
    pub fn take_status(&self, status: Value) {
        let mut seen = self.seen();
        let was_silent = seen.silence.take().is_some();
        let text = status.to_string();
        seen.status = Some((status, Stopwatch::start()));
        if was_silent {
            self.post(&mut seen, "daemon", r#"{"reachable":true,"why":null}"#);
        }
        self.post(&mut seen, "status", &text);
    }

    /// Notes that the daemon does not answer.
    pub fn take_silence(&self, why: &str) {
        let mut seen = self.seen();
        if seen.silence.as_deref() != Some(why) {
            seen.silence = Some(why.to_owned());
            let text = seen.daemon();
            self.post(&mut seen, "daemon", &text);
        }
    }

    /// The number from which events are wanted.
    pub fn next(&self) -> u64 {
        self.seen().events.back().map_or(0, |event| event.seq + 1)
    }

    /// Forgets all events: the journal is another one.
    pub fn forget(&self) {
        let mut seen = self.seen();
        (seen.event_bytes, seen.alerts, seen.caught_up, seen.kept_from) = (0, [0; 3], false, None);
        seen.events.clear();
        seen.decisions.clear();
    }

    /// Notes that a subscription has begun, and that the journal's events come first.
    pub fn take_beginning(&self) {
        self.seen().caught_up = false;
    }

    /// Takes a line of the subscription.
    pub fn take_line(&self, line: &Value, text: String) {
        let field = |name: &str| line.get(name).and_then(Value::as_str).unwrap_or_default();
        let kind = field("event").to_owned();
        let mut seen = self.seen();
        if kind == "caught_up" {
            seen.caught_up = true;
            let text = seen.snapshot();
            self.post(&mut seen, "snapshot", &text);
            self.bell.notify_one();
            return;
        }
        let Some(seq) = line.get("seq").and_then(Value::as_u64) else { return };
        let (level, at) = (field("level").to_owned(), field("at").to_owned());
        let told = Known { seq, kind, level, at, text: text.into() };
        if told.kind == "decision" {
            if seen.decisions.len() == DECISIONS {
                seen.decisions.pop_front();
            }
            seen.decisions.push_back(told.clone());
            self.post(&mut seen, "decision", &told.text);
            return;
        }
        if seen.events.back().is_some_and(|last| last.seq >= seq) {
            return;
        }
        if told.kind == "alert" {
            let level = ["info", "warning", "critical"].iter().position(|level| field("level") == *level);
            if let Some(count) = level.and_then(|level| seen.alerts.get_mut(level)) {
                *count += 1;
            }
        }
        seen.keep(told.clone());
        if seen.caught_up {
            self.post(&mut seen, "event", &told.text);
            self.bell.notify_one();
        }
    }
}

impl Seen {
    fn keep(&mut self, told: Known) {
        self.event_bytes += told.text.len();
        self.events.push_back(told);
        while self.events.len() > EVENTS || self.event_bytes > EVENT_BYTES {
            let Some(oldest) = self.events.pop_front() else { return };
            self.event_bytes -= oldest.text.len();
            self.kept_from = self.events.front().map(|event| event.seq);
        }
    }

    fn daemon(&self) -> String {
        serde_json::json!({ "reachable": self.silence.is_none(), "why": self.silence }).to_string()
    }

    fn snapshot(&self) -> String {
        let status = self.status.as_ref().map_or_else(|| "null".to_owned(), |(status, _)| status.to_string());
        let latest = |told: &VecDeque<Known>| {
            let skipped = told.len().saturating_sub(IN_SNAPSHOT);
            told.iter().skip(skipped).map(|told| &*told.text).collect::<Vec<_>>().join(",")
        };
        format!(
            r#"{{"daemon":{},"status":{status},"events":[{}],"decisions":[{}],"caught_up":{}}}"#,
            self.daemon(),
            latest(&self.events),
            latest(&self.decisions),
            self.caught_up
        )
    }
}

/// One message of the stream; `data` is JSON on one line.
fn message(run: &str, number: u64, name: &str, data: &str) -> String {
    format!("id: {run}-{number}\nevent: {name}\ndata: {data}\n\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use futures_util::FutureExt as _;

    use super::*;

    fn tell(hub: &Hub, line: &Value) {
        hub.take_line(line, line.to_string());
    }

    fn names(texts: &[String]) -> Vec<&str> {
        texts.iter().map(|text| text.split("event: ").nth(1).unwrap().split('\n').next().unwrap()).collect()
    }

    #[test]
    fn a_page_that_comes_back_is_told_what_it_missed_and_a_stranger_gets_a_snapshot() {
        let hub = Hub::new("r".to_owned());
        tell(&hub, &json!({ "event": "caught_up", "seq": 0 }));
        for seq in 1..=3 {
            tell(&hub, &json!({ "seq": seq, "event": "locked" }));
        }
        // 1 is the snapshot of the beginning
        assert_eq!(names(&hub.join(Some("r-2")).0), ["event", "event"]);
        assert_eq!(names(&hub.join(Some("r-4")).0), Vec::<&str>::new());
        for stranger in ["r-5", "s-2", "r-", "r-x", "", "r--1"] {
            assert_eq!(names(&hub.join(Some(stranger)).0), ["snapshot"], "{stranger}");
        }
        for seq in 4..=600 {
            tell(&hub, &json!({ "seq": seq, "event": "locked" }));
        }
        assert_eq!(names(&hub.join(Some("r-2")).0), ["snapshot"]);
    }

    #[test]
    fn what_comes_after_a_snapshot_is_what_it_lacks_once_and_in_order() {
        let hub = Hub::new("r".to_owned());
        tell(&hub, &json!({ "event": "caught_up", "seq": 0 }));
        tell(&hub, &json!({ "seq": 1, "event": "locked" }));
        let (first, mut receiver) = hub.join(None);
        assert!(first[0].starts_with("id: r-2\n") && first[0].contains(r#""seq":1"#), "{first:?}");
        tell(&hub, &json!({ "seq": 2, "event": "resumed" }));
        // one that comes twice, as after a reconnect, is told once
        tell(&hub, &json!({ "seq": 2, "event": "resumed" }));
        tell(&hub, &json!({ "seq": 9, "event": "decision" }));
        let next: Vec<String> = std::iter::from_fn(|| receiver.try_recv().ok()).map(|u| u.text().to_owned()).collect();
        assert_eq!(names(&next), ["event", "decision"]);
        assert!(next[0].starts_with("id: r-3\n"), "{next:?}");
    }

    #[test]
    fn a_page_that_does_not_read_falls_behind_and_is_bounded() {
        let hub = Hub::new("r".to_owned());
        let mut receiver = hub.join(None).1;
        tell(&hub, &json!({ "event": "caught_up", "seq": 0 }));
        for seq in 1..=2000 {
            tell(&hub, &json!({ "seq": seq, "event": "decision" }));
        }
        assert!(matches!(receiver.try_recv(), Err(broadcast::error::TryRecvError::Lagged(_))));
        let (first, mut receiver) = hub.resync();
        assert!(names(&first) == ["snapshot"] && receiver.try_recv().is_err());
        let seen = hub.seen();
        assert!(seen.decisions.len() == DECISIONS && seen.recent.len() == RECENT && seen.resyncs == 1);
    }

    #[test]
    fn pages_are_counted_while_they_are_open() {
        let hub = Arc::new(Hub::new("r".to_owned()));
        let (first, second) = (hub.open_page(2), hub.open_page(2));
        assert_eq!(hub.pages(), 2);
        drop(second);
        let mut third = Some(hub.open_page(2));
        assert!(hub.pages() == 2 && first.given_up().now_or_never().is_none());
        let fourth = hub.open_page(2);
        assert!(first.given_up().now_or_never().is_some(), "the one that was opened first gave way");
        assert!([third.as_ref().unwrap(), &fourth].iter().all(|page| page.given_up().now_or_never().is_none()));
        drop(first);
        assert_eq!(hub.pages(), 2, "it had left already");
        third.take();
        assert_eq!(hub.pages(), 1);
    }
}
