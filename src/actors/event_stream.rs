//! What is told of all that happens: each commit is posted here by the journal's thread after it is on disk, for whoever
//! subscribes.
#![deny(clippy::indexing_slicing)]

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use serde::Serialize;
use tokio::sync::broadcast;

use crate::{
    domain::{Decision, Event, Timestamp},
    journal::{Applied, Write},
};

/// Commits that a subscriber may be behind before it reads from the journal again.
const COMMITS: usize = 256;

/// Where commits are posted.
#[derive(Debug, Clone)]
pub struct EventStream {
    pub(super) posts: broadcast::Sender<Post>,
    /// Subscribers who want decisions.
    pub(super) decisions: Arc<AtomicUsize>,
}

#[derive(Debug, Clone)]
pub(super) enum Post {
    /// What one commit holds for subscribers, in order.
    Commit(Arc<[Line]>),
    /// The storage failed: a commit may have reached the disk without being posted.
    Gap,
}

#[derive(Debug)]
pub(super) struct Line {
    pub(super) seq: u64,
    pub(super) is_decision: bool,
    pub(super) text: Vec<u8>,
}

impl Default for EventStream {
    fn default() -> Self {
        Self { posts: broadcast::channel(COMMITS).0, decisions: Arc::default() }
    }
}

impl EventStream {
    /// Posts what was committed.
    pub fn post(&self, writes: &[Write], applied: &[Applied]) {
        if self.posts.receiver_count() == 0 {
            return;
        }
        let with_decisions = self.decisions.load(Ordering::Relaxed) > 0;
        let lines: Vec<Line> =
            writes.iter().zip(applied).filter_map(|pair| Line::of(pair.0, pair.1, with_decisions)).collect();
        if !lines.is_empty() {
            let _nobody_may_be_left = self.posts.send(Post::Commit(lines.into()));
        }
    }

    /// Says that commits may be on disk that were not posted.
    pub fn post_gap(&self) {
        let _nobody_may_be_there = self.posts.send(Post::Gap);
    }
}

impl Line {
    fn of(write: &Write, applied: &Applied, with_decisions: bool) -> Option<Self> {
        let Applied::Stored { seq, .. } = *applied else { return None };
        match write {
            Write::Event(event) => Some(Self { seq, is_decision: false, text: event_line(seq, event) }),
            Write::Signal(record) if with_decisions => {
                let decision = record.decision.as_ref()?;
                Some(Self { seq, is_decision: true, text: decision_line(seq, record.received_at, decision) })
            }
            _ => None,
        }
    }
}

#[derive(Serialize)]
struct EventLine<'a> {
    seq: u64,
    #[serde(flatten)]
    event: &'a Event,
}

pub(super) fn event_line(seq: u64, event: &Event) -> Vec<u8> {
    line(&EventLine { seq, event })
}

/// A decision among the events.
#[derive(Serialize)]
struct DecisionLine<'a> {
    seq: u64,
    at: Timestamp,
    event: Mark,
    #[serde(flatten)]
    decision: &'a Decision,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Mark {
    Decision,
}

fn decision_line(seq: u64, at: Timestamp, decision: &Decision) -> Vec<u8> {
    line(&DecisionLine { seq, at, event: Mark::Decision, decision })
}

/// What a subscriber is told beside events and decisions.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum Notice {
    /// All events up to this number were told, and what comes is new.
    CaughtUp { seq: u64 },
    /// An event of the journal is damaged; its number, where that can be read, and what is wrong.
    Unreadable { seq: Option<u64>, what: String },
}

pub(super) fn line(told: &impl Serialize) -> Vec<u8> {
    let mut text = serde_json::to_vec(told).unwrap_or_else(|error| {
        tracing::error!(%error, "an event could not be told");
        br#"{"event":"unreadable"}"#.to_vec()
    });
    text.push(b'\n');
    text
}
