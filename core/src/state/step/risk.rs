//! What takes a model's word away, and what that is decided by: the trades under way, what the emergency rules remember of those that
//! closed, and how far each version has lost its share.
//!
//! An outcome comes here twice. When it is told it is judged at once ([`Risk::told`], [`Risk::completing`]), before it is on disk;
//! when it is on disk it counts for good ([`Risk::take`]), whatever was told of the trade meanwhile. Who reads the log sees the second
//! only, and comes to the same: what was told and is not on disk can be taken back.

use std::{collections::BTreeMap, sync::Arc};

use super::{Effects, Rules};
use crate::{
    domain::{
        Decision, EventKind, Outcome, Timestamp, TradeId, TradingDay, VersionId, decision::traded_on, trip::Trip,
        trip::Unevaluable,
    },
    guard::{
        emergency::{ClosedTrade, Emergency},
        gradual::Gradual,
        watch::Judgement,
    },
    lifecycle::{
        consequences::{closed_trade, consequences, follow, follows, is_of_here},
        happening::Happening,
        measures::{self, Measures, adjustment, measures},
        open_trades::{AnsweredSignal, Closing, OpenTrades},
        roster::Roster,
    },
    trials::running::TrialNews,
};

/// The trades under way and what the rules know. Where versions stand is an argument: what is in force may be ahead of what is on
/// disk.
#[derive(Debug, Clone)]
pub struct Risk {
    /// The trades under way.
    pub open_trades: OpenTrades,
    /// What the emergency rules remember.
    pub emergency: Emergency,
    /// How far each version that was judged has lost its share.
    pub gradual: BTreeMap<VersionId, Gradual>,
    /// Emergencies by the limits of now of which something may still follow.
    pub(super) trips: Vec<Trip>,
}

/// What was told of a closed trade and is not on disk.
#[derive(Debug, Clone, Copy)]
pub struct Telling<'a> {
    /// When it was told; of a trade whose outcome is on disk, when that was told.
    pub at: Timestamp,
    /// Which.
    pub trade_id: &'a TradeId,
    /// How it was closed.
    pub outcome: &'a Outcome,
    /// What is known of its signal by the decision that it echoes.
    pub echo: Option<&'a AnsweredSignal>,
    /// What the journal has of its signal, oldest first, if that is not among the open trades.
    pub recalled: &'a [AnsweredSignal],
}

impl Risk {
    /// Of `open_trades`, before any has closed.
    pub fn new(open_trades: OpenTrades) -> Self {
        Self { open_trades, emergency: Emergency::default(), gradual: BTreeMap::new(), trips: Vec::new() }
    }

    /// What was answered to the signal of a trade, at the size that was traded: an answer in which a model was heard, if there was
    /// one. What is echoed counts only if its version is known here.
    pub fn answer(&self, roster: &Roster, telling: &Telling<'_>) -> Option<AnsweredSignal> {
        let Telling { trade_id, echo, recalled, .. } = telling;
        let first = self.open_trades.entry(trade_id).map(|entry| &**entry).or(recalled.first());
        let known = self.open_trades.heard(trade_id).map(|entry| &**entry).or_else(|| speaks(recalled).or(first));
        let own = echo.filter(|echo| is_of_here(roster, &echo.decision));
        let heard = known.filter(|entry| entry.speaker().is_some() || own.is_none_or(|own| own.speaker().is_none()));
        let mut answer = heard.or(own).cloned()?;
        let echoed = echo.map(|echo| &echo.decision);
        if let Some(traded) = traded_on(first.map(|first| &first.decision), echoed) {
            answer.trade_on(traded);
        }
        Some(answer)
    }

    /// An outcome is on its way to the disk. Of several that are told of one trade the worst counts meanwhile.
    pub fn told(&mut self, rules: &Rules<'_>, roster: &Roster, telling: &Telling<'_>) -> Effects {
        let trade = self.trade(rules, roster, telling, telling.outcome);
        let trips = self.emergency.hear(rules.guardian, &trade);
        self.tripped(roster, trips)
    }

    /// The outcome of a closed trade, which is on disk as `before`, says more now, and is on its way to the disk.
    pub fn completing(
        &mut self,
        rules: &Rules<'_>,
        roster: &Roster,
        telling: &Telling<'_>,
        before: &Outcome,
    ) -> Effects {
        let known = self.trade(rules, roster, telling, before);
        let trade = self.trade(rules, roster, telling, telling.outcome);
        let trips = self.emergency.complete(rules.guardian, &known, &trade);
        self.tripped(roster, trips)
    }

    /// A trade was closed, and by `why` nobody knows how. It does not count: it may yet be corrected.
    pub fn unknown(&self, rules: &Rules<'_>, roster: &Roster, telling: &Telling<'_>, why: Unevaluable) -> Effects {
        let trade = self.trade(rules, roster, telling, telling.outcome);
        Effects::of(consequences(roster, self.emergency.unknown(&trade, why)))
    }

    /// What is told of a trade contradicts what is recorded of it. Nothing follows if no model that is judged was heard in it.
    pub fn contradicted(&self, rules: &Rules<'_>, roster: &Roster, telling: &Telling<'_>) -> Effects {
        let trade = self.trade(rules, roster, telling, telling.outcome);
        let is_judged = trade.ml.as_ref().is_some_and(|say| self.emergency.judges(&say.version));
        let trips = if is_judged { self.emergency.unknown(&trade, Unevaluable::Contradicted) } else { Vec::new() };
        Effects::of(consequences(roster, trips))
    }

    /// Takes in what is on disk. `roster`: where versions stand, with an event itself.
    pub fn take(&mut self, rules: &Rules<'_>, roster: &Roster, happening: Happening) -> Effects {
        match happening {
            Happening::Came { signal, answered, .. } => {
                // one that is answered takes its name with the answer
                if !answered {
                    self.open_trades.take_name(&signal);
                }
                Effects::default()
            }
            Happening::Event(event) => {
                self.follow(rules, roster, &event.kind);
                Effects::default()
            }
            Happening::Scored { at, entry } => Effects::news(self.scored(at, *entry).map(TrialNews::Scored)),
            Happening::Skipped { trade_id, .. } => {
                Effects::news(self.open_trades.entry(&trade_id).cloned().map(TrialNews::Skipped))
            }
            Happening::Closed { at, trade_id, echo, outcome } => {
                self.closed(rules, roster, at, &trade_id, echo, &outcome)
            }
            Happening::Completed { at, told_at, trade_id, echo, before, outcome } => {
                let telling = Telling {
                    at: told_at,
                    trade_id: &trade_id,
                    outcome: &outcome,
                    echo: echo.as_deref(),
                    recalled: &[],
                };
                let Effects { mut events, .. } = self.completing(rules, roster, &telling, &before);
                let Effects { events: more, news } = self.completed(rules, roster, at, &telling);
                events.extend(more);
                Effects { events, news }
            }
        }
    }

    /// Whether an outcome of this trade is on disk for the first time that counts: it was told and can be taken back, or the trade is
    /// open.
    pub fn is_uncounted(&self, trade_id: &TradeId) -> bool {
        let is_open = self.open_trades.heard(trade_id).is_some() && !self.open_trades.is_closed(trade_id);
        is_open || self.emergency.has_told(trade_id)
    }

    /// A signal was answered. `None` for one that came before.
    pub fn scored(&mut self, at: Timestamp, entry: AnsweredSignal) -> Option<Arc<AnsweredSignal>> {
        self.open_trades.open(at, entry)
    }

    /// An event is in force. `roster`: where versions stand with it.
    pub fn follow(&mut self, rules: &Rules<'_>, roster: &Roster, event: &EventKind) {
        follow(&mut self.emergency, roster, event);
        measures::follow(&mut self.gradual, rules.gradual, event);
        match event {
            EventKind::Moved { .. } => self.forget_trips(roster),
            // the day goes on: nothing that tripped on it before is made up for at the next start
            EventKind::Resumed { same_day: true, .. } => self.trips.retain(|trip| trip.version.is_some()),
            _ => {}
        }
    }

    /// What is done about a version whose trading day was judged. `None` when there is no such version.
    pub fn judged(&mut self, rules: &Rules<'_>, roster: &Roster, judgement: Judgement) -> Option<Response> {
        let (version, unstable) = (judgement.version.clone(), judgement.day_close.unstable);
        let Measures { alerts, lock, train, judged, out } = measures(roster, judgement)?;
        // the event itself changes nothing more when it comes from the log
        self.follow(rules, roster, &judged);
        let called_for = self.gradual.get(&version).map_or(1.0, Gradual::share);
        let share = adjustment(roster, &version, called_for, unstable).filter(|_| out.is_none());
        Some(Response { version, alerts, lock, train, judged, out, share })
    }

    fn closed(
        &mut self,
        rules: &Rules<'_>,
        roster: &Roster,
        at: Timestamp,
        trade_id: &TradeId,
        echo: Option<Box<AnsweredSignal>>,
        outcome: &Outcome,
    ) -> Effects {
        let traded: Option<Decision> = echo.as_ref().map(|entry| entry.decision.clone());
        let echo = echo.filter(|entry| is_of_here(roster, &entry.decision));
        let scored = echo.and_then(|entry| self.scored(at, *entry));
        self.open_trades.traded_on(trade_id, traded.as_ref());
        let (entry, limit) = (self.open_trades.heard(trade_id), self.open_trades.daily_loss_limit());
        let trade = closed_trade(trade_id, outcome, entry.map(|entry| &**entry), at, limit, rules.calendar);
        let trips = self.emergency.judge(rules.guardian, &trade);
        let closed = match self.open_trades.close(at, trade_id) {
            Closing::First(Some(entry)) => Some(TrialNews::Closed(entry, outcome.clone())),
            Closing::First(None) | Closing::Again => None,
        };
        let news = scored.map(TrialNews::Scored).into_iter().chain(closed).collect();
        Effects { news, ..self.tripped(roster, trips) }
    }

    /// The outcome of a closed trade that says more now is on disk. What a test has closed stays as it was.
    pub fn completed(&mut self, rules: &Rules<'_>, roster: &Roster, now: Timestamp, telling: &Telling<'_>) -> Effects {
        let trade = self.trade(rules, roster, telling, telling.outcome);
        let trips = self.emergency.settle(rules.guardian, &trade);
        self.open_trades.traded_on(telling.trade_id, telling.echo.map(|echo| &echo.decision));
        let _it_was_closed_before = self.open_trades.close(now, telling.trade_id);
        let entry = self.open_trades.entry(telling.trade_id).cloned();
        let news = entry.map(|entry| TrialNews::Closed(entry, telling.outcome.clone()));
        Effects { news: news.into_iter().collect(), ..self.tripped(roster, trips) }
    }

    /// The trade as the rules see it.
    fn trade(&self, rules: &Rules<'_>, roster: &Roster, telling: &Telling<'_>, outcome: &Outcome) -> ClosedTrade {
        let (answer, limit) = (self.answer(roster, telling), self.open_trades.daily_loss_limit());
        closed_trade(telling.trade_id, outcome, answer.as_ref(), telling.at, limit, rules.calendar)
    }

    fn tripped(&mut self, roster: &Roster, mut trips: Vec<Trip>) -> Effects {
        trips.retain(|trip| follows(roster, trip));
        if trips.is_empty() {
            return Effects::default();
        }
        self.trips.extend(trips.iter().cloned());
        self.forget_trips(roster);
        Effects::of(consequences(roster, trips))
    }

    /// Of the emergencies that were found by the limits of now, those that were none when they happened: the version still speaks
    /// and is judged no more, or the loss is one of `today` and not latched.
    pub fn missed(&self, roster: &Roster, today: TradingDay) -> Vec<Trip> {
        let latched = |trip: &Trip| {
            let same = |held: &Trip| held.version == trip.version && held.day == trip.day;
            roster.latches().held().iter().any(|latch| same(&latch.trip))
        };
        let is_missed = |trip: &&Trip| match &trip.version {
            Some(version) => self.is_spared(roster, version),
            None => trip.day >= today && !latched(trip),
        };
        self.trips.iter().filter(is_missed).cloned().collect()
    }

    /// Forgets the emergencies of which nothing follows any more: of versions that do not speak or are judged again, and of days
    /// before the latest.
    fn forget_trips(&mut self, roster: &Roster) {
        let latest = self.trips.iter().filter(|trip| trip.version.is_none()).map(|trip| trip.day).max();
        let mut trips = std::mem::take(&mut self.trips);
        trips.retain(|trip| match &trip.version {
            Some(version) => self.is_spared(roster, version),
            None => latest.is_none_or(|latest| trip.day >= latest),
        });
        self.trips = trips;
    }

    /// Whether a version speaks whose trades are judged no more: it tripped, and nobody took it down.
    fn is_spared(&self, roster: &Roster, version: &VersionId) -> bool {
        let speaks = roster.standing(version).is_some_and(|standing| standing.state.may_influence());
        speaks && !self.emergency.judges(version)
    }
}

/// What is done about a judgement, in this order.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    /// Who was judged.
    pub version: VersionId,
    /// What people are told.
    pub alerts: Vec<EventKind>,
    /// What locks all, because of a fault.
    pub lock: Option<EventKind>,
    /// Why a successor is asked for, if one is.
    pub train: Option<String>,
    /// The judgement itself.
    pub judged: EventKind,
    /// What takes the version out of service, if it is to go.
    pub out: Option<EventKind>,
    /// Else what brings its share to what its days call for: the word to people, and the event.
    pub share: Option<(EventKind, EventKind)>,
}

/// The first answer in which a model was heard.
fn speaks(answers: &[AnsweredSignal]) -> Option<&AnsweredSignal> {
    answers.iter().find(|answer| answer.speaker().is_some())
}
