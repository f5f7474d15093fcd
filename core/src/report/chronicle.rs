//! What events tell of a time: where each version stood and why, when models were silent, and what was decided.
#![deny(clippy::indexing_slicing)]

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

use super::{
    Life,
    entry::{Entry, Weight},
};
use crate::{
    domain::{Event, EventKind, Timestamp, VersionId, lifecycle::State},
    lifecycle::silence::Silence,
};

/// Lines of what was decided that are kept, of steps and criticals, and of the others: the latest ones.
const MOST: usize = 1000;

/// What happened so far.
#[derive(Debug, Clone, Default)]
pub struct Chronicle {
    since: Option<Timestamp>,
    weighty: VecDeque<Entry>,
    others: VecDeque<Entry>,
    left_out: usize,
    stages: BTreeMap<VersionId, Vec<(State, Timestamp)>>,
    silences: Vec<(Timestamp, Option<Timestamp>)>,
    /// What silences at the moment.
    silenced: Silence,
    marks: Vec<(Timestamp, String)>,
    stays: Vec<Stay>,
}

/// A time of a version in service.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stay {
    /// Which.
    pub version: VersionId,
    /// Where it stood: in staging, under test or in production.
    pub state: State,
    /// Since when.
    pub from: Timestamp,
    /// Until when; `None` while it stands there.
    pub until: Option<Timestamp>,
    /// Why it came, and on whose word.
    pub came: String,
    /// Where it went, why, and on whose word.
    pub went: Option<String>,
    /// Whether a gate was passed over on the way in.
    pub overridden: bool,
}

impl Chronicle {
    /// One whose lines, moments and stays begin at `since`; where versions stood then is known from before.
    pub fn since(since: Option<Timestamp>) -> Self {
        Self { since, ..Self::default() }
    }

    /// Takes in the event of number `seq`, which happened next.
    pub fn event(&mut self, seq: u64, event: &Event) {
        let at = event.at;
        let is_told = self.since.is_none_or(|since| at >= since);
        if let Some(entry) = Entry::of(seq, event).filter(|_| is_told) {
            self.keep(entry);
        }
        match &event.kind {
            EventKind::Trained { version, .. } => {
                self.stages.entry(version.clone()).or_default().push((State::Trained, at));
            }
            EventKind::Moved { version, step, reason, by, overridden, .. } => {
                let to = step.edge().1;
                self.stages.entry(version.clone()).or_default().push((to, at));
                let mark = match to {
                    State::AbTest => Some("A/B test"),
                    State::Production => Some("production"),
                    State::RolledBack => Some("rolled back"),
                    _ => None,
                };
                self.marks.extend(mark.filter(|_| is_told).map(|mark| (at, mark.to_owned())));
                let open = self.stays.iter_mut().rfind(|stay| stay.version == *version && stay.until.is_none());
                if let Some(stay) = open {
                    stay.until = Some(at);
                    stay.went = Some(format!("{}: {reason} ({by})", super::timeline::words(to)));
                }
                if matches!(to, State::Staging | State::AbTest | State::Production) {
                    let (came, overridden) = (format!("{reason} ({by})"), *overridden);
                    let version = version.clone();
                    self.stays.push(Stay { version, state: to, from: at, until: None, came, went: None, overridden });
                }
            }
            EventKind::Locked { .. }
            | EventKind::Latched { .. }
            | EventKind::Resumed { .. }
            | EventKind::LockEnded { .. } => {
                self.silenced.apply(&event.kind);
                match (self.silenced.is_none(), self.silences.last_mut()) {
                    (true, Some((_, until @ None))) => *until = Some(at),
                    (false, None | Some((_, Some(_)))) => self.silences.push((at, None)),
                    _ => {}
                }
            }
            _ => {}
        }
        let since = self.since;
        let is_past = |until: Option<Timestamp>| until.zip(since).is_some_and(|(until, since)| until < since);
        self.stays.retain(|stay| !is_past(stay.until));
        self.silences.retain(|(_, until)| !is_past(*until));
    }

    fn keep(&mut self, entry: Entry) {
        let list = match entry.weight {
            Weight::Step | Weight::Critical => &mut self.weighty,
            Weight::Note | Weight::Warning => &mut self.others,
        };
        list.push_back(entry);
        if list.len() > MOST {
            list.pop_front();
            self.left_out += 1;
        }
    }

    /// Whether everything is locked, or an emergency holds.
    pub fn is_silent(&self) -> bool {
        self.silences.last().is_some_and(|(_, until)| until.is_none())
    }

    /// The lines of what was decided, in their order, and how many older ones are not among them.
    pub fn entries(&self) -> (Vec<Entry>, usize) {
        let mut entries: Vec<Entry> = self.weighty.iter().chain(&self.others).cloned().collect();
        entries.sort_by_key(|entry| entry.seq);
        (entries, self.left_out)
    }

    /// Moments of versions that a chart marks.
    pub fn marks(&self) -> &[(Timestamp, String)] {
        &self.marks
    }

    /// The times of versions in service, in the order in which they began.
    pub fn stays(&self) -> &[Stay] {
        &self.stays
    }

    /// The versions, and where each stood from when on.
    pub fn stages(&self) -> &BTreeMap<VersionId, Vec<(State, Timestamp)>> {
        &self.stages
    }

    /// The life of each version until `end`, as far as it was after the beginning.
    pub fn lives(&self, end: Timestamp) -> Vec<Life> {
        let is_told = |until: &Timestamp| self.since.is_none_or(|since| *until >= since);
        let life = |(version, stages): (&VersionId, &Vec<(State, Timestamp)>)| {
            let ends = stages.iter().skip(1).map(|(_, at)| *at).chain([end]);
            let stages = stages.iter().zip(ends).map(|((state, from), until)| (*state, *from, until));
            let stages = stages.filter(|(.., until)| is_told(until)).collect();
            Life { version: version.to_string(), stages }
        };
        self.stages.iter().map(life).filter(|life| !life.stages.is_empty()).collect()
    }

    /// When models were silent: from when to when, until `end`.
    pub fn locks(&self, end: Timestamp) -> Vec<(Timestamp, Timestamp)> {
        self.silences.iter().map(|(from, until)| (*from, until.unwrap_or(end))).collect()
    }

    /// Days until `until` in which versions were in service and watched, each by itself.
    pub fn watched_days(&self, until: Timestamp) -> f64 {
        let in_service = |state: &State| matches!(state, State::Staging | State::AbTest | State::Production);
        let lives = self.lives(until);
        let stages = lives.iter().flat_map(|life| &life.stages).filter(|(state, ..)| in_service(state));
        let days = |from: &Timestamp, to: &Timestamp| to.duration_since(*from).as_secs_f64() / 86_400.0;
        // the sum of nothing would be -0
        stages.map(|(_, from, to)| days(from, to.min(&until)).max(0.0)).fold(0.0, |sum, days| sum + days)
    }

    /// When a version was trained. One that is validated again is `trained` once more, and no new one.
    pub fn begun(&self, version: &VersionId) -> Option<Timestamp> {
        Some(self.stages.get(version)?.first()?.1)
    }

    /// When a version first came into a state.
    pub fn first(&self, state: State) -> Option<(&VersionId, Timestamp)> {
        self.each()
            .filter(|(_, (to, _))| *to == state)
            .map(|(version, (_, at))| (version, at))
            .min_by_key(|(_, at)| *at)
    }

    /// When versions came into a state, in the order of time.
    pub fn times(&self, state: State) -> Vec<(&VersionId, Timestamp)> {
        let found = self.each().filter(|(_, (to, _))| *to == state).map(|(version, (_, at))| (version, at));
        let mut found: Vec<_> = found.collect();
        found.sort_by_key(|(_, at)| *at);
        found
    }

    fn each(&self) -> impl Iterator<Item = (&VersionId, (State, Timestamp))> {
        self.stages.iter().flat_map(|(version, stages)| stages.iter().map(move |stage| (version, *stage)))
    }
}
