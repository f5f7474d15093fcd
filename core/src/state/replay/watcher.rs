//! The monitor of a replay: hears the same news as the daemon's, and hears all of it again when a version goes into service.

use super::{Seen, Watching};
use crate::{
    domain::{Outcome, Timestamp, TradingCalendar, VersionId},
    guard::watch::{Judgement, Watch, WatchNews, WatchedVersion},
    lifecycle::{
        open_trades::AnsweredSignal,
        roster::Roster,
        watch_news::{closed_news, scored_news},
    },
};

/// The state of the monitor.
pub(super) struct Watcher<'a> {
    by: &'a Watching,
    watch: Watch,
    heard: Heard,
}

/// All that was heard, in bytes: as values it would take several times the memory.
#[derive(Default)]
struct Heard {
    full: Vec<Vec<u8>>,
    last: Vec<u8>,
}

/// Bytes of a part of what was heard.
const PART: usize = 1 << 20;
/// Room for one piece of news: a row has some dozen inputs, and a few versions speak.
const ROOM: usize = 1 << 13;

impl Heard {
    fn push(&mut self, news: &WatchNews) {
        if self.last.capacity() - self.last.len() < ROOM {
            let full = std::mem::replace(&mut self.last, Vec::with_capacity(PART));
            self.full.push(full);
        }
        // news has neither a number that cannot be written nor a length that is not known
        let last = std::mem::take(&mut self.last);
        self.last = postcard::to_extend(news, last).unwrap_or_default();
    }

    fn each(&self) -> impl Iterator<Item = WatchNews> {
        self.full.iter().chain([&self.last]).flat_map(|part| {
            let mut rest = part.as_slice();
            std::iter::from_fn(move || {
                let (news, behind) = postcard::take_from_bytes(rest).ok()?;
                rest = behind;
                Some(news)
            })
        })
    }
}

impl<'a> Watcher<'a> {
    pub(super) fn new(by: &'a Watching) -> Self {
        Self { by, watch: Watch::default(), heard: Heard::default() }
    }

    /// A signal was answered. Gives the judgements of the day that has closed, if one has.
    pub(super) fn scored(
        &mut self,
        at: Timestamp,
        entry: &AnsweredSignal,
        seen: Seen,
        roster: &Roster,
        calendar: &TradingCalendar,
    ) -> Vec<Judgement> {
        match scored_news(at, entry, seen.row, seen.trend) {
            Some(news) => self.hear(news, roster, calendar),
            None => Vec::new(),
        }
    }

    /// A trade was closed.
    pub(super) fn closed(
        &mut self,
        at: Timestamp,
        entry: &AnsweredSignal,
        outcome: &Outcome,
        roster: &Roster,
        calendar: &TradingCalendar,
    ) -> Vec<Judgement> {
        if entry.opinions.iter().all(|opinion| opinion.score.is_none()) {
            return Vec::new();
        }
        self.hear(closed_news(at, entry, outcome), roster, calendar)
    }

    /// So late is it by now.
    pub(super) fn time(&mut self, at: Timestamp, roster: &Roster, calendar: &TradingCalendar) -> Vec<Judgement> {
        self.keep_up(roster, calendar);
        self.watch.hear(&self.by.options, calendar, WatchNews::Time(at))
    }

    fn hear(&mut self, news: WatchNews, roster: &Roster, calendar: &TradingCalendar) -> Vec<Judgement> {
        self.keep_up(roster, calendar);
        self.heard.push(&news);
        self.watch.hear(&self.by.options, calendar, news)
    }

    /// Watches those who are in service now. While all are locked, those who were go on being watched.
    fn keep_up(&mut self, roster: &Roster, calendar: &TradingCalendar) {
        if roster.lock().is_some() {
            return;
        }
        let plans = roster.plan().into_values();
        let of =
            |plan: crate::lifecycle::roster::Plan| plan.production.into_iter().chain(plan.test).chain(plan.shadows);
        let versions: Vec<VersionId> = plans.flat_map(of).collect();
        let known: Vec<&VersionId> = self.watch.versions().collect();
        if known.len() == versions.len() && versions.iter().all(|version| known.contains(&version)) {
            return;
        }
        let subject = |version: &VersionId| self.by.subjects.get(version).cloned().unwrap_or_default();
        if versions.iter().all(|version| known.contains(&version)) {
            return self.watch.serve(&self.by.options, &versions, |_| WatchedVersion::default());
        }
        self.watch = Watch::default();
        self.watch.serve(&self.by.options, &versions, subject);
        for news in self.heard.each() {
            // what followed was done when it happened
            let _judged = self.watch.hear(&self.by.options, calendar, news);
        }
    }
}
