//! The monitor of a replay: hears the same news as the daemon's, and is made anew from all of it when a version goes into
//! service.

use super::Watching;
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
    heard: Vec<WatchNews>,
}

impl<'a> Watcher<'a> {
    pub(super) fn new(by: &'a Watching) -> Self {
        Self { by, watch: Watch::default(), heard: Vec::new() }
    }

    /// A signal was answered. Gives the judgements of the day that has closed, if one has.
    pub(super) fn scored(
        &mut self,
        at: Timestamp,
        entry: &AnsweredSignal,
        roster: &Roster,
        calendar: &TradingCalendar,
    ) -> Vec<Judgement> {
        let (row, regime) = self.by.rows.get(&entry.trade_id).cloned().unwrap_or_default();
        match scored_news(at, entry, row, regime) {
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
        self.heard.push(news.clone());
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
        for news in self.heard.iter().cloned() {
            // what followed was done when it happened
            let _judged = self.watch.hear(&self.by.options, calendar, news);
        }
    }
}
