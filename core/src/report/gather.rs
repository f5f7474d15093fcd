//! Gathers a [`Summary`] from what happened, happening by happening, in a room that hardly grows with the journal.
//!
//! Every figure is that of the rules themselves: the accuracy is what the guardian judges by, a test stands as it is decided on,
//! and the money of the arms is compared as `vigie impact` does.
#![deny(clippy::indexing_slicing)]

mod alerts;
mod end;
mod health;
mod money;
mod test;

use jiff::SignedDuration;

use super::{
    chronicle::Chronicle,
    spread::Spread,
    summary::{Answers, Lost, Scope, Summary},
};
use crate::{
    domain::{Event, EventKind, Opinion, Symbol, Timestamp, TradeId, VersionId},
    guard::emergency::accuracy,
    lifecycle::happening::Happening,
    state::step::{Rules, State},
    trials::{
        experiment::{ExperimentOptions, ImpactOptions, StagingOptions},
        groups::{Among, Past},
    },
};
use alerts::Alerts;
pub use end::EndOf;
use health::Health;
use test::Tests;

/// Records that cannot be read that are named.
const NAMED: usize = 10;

/// How far from the epoch a time is that nobody knew.
const UNKNOWN: SignedDuration = SignedDuration::from_hours(24);

/// By what the past is judged.
#[derive(Debug, Clone, Copy)]
pub struct Judged<'a> {
    /// The rules of the fold.
    pub rules: Rules<'a>,
    /// Of tests and holdbacks.
    pub experiment: &'a ExperimentOptions,
    /// Of staging.
    pub staging: &'a StagingOptions,
}

/// What was gathered so far.
#[derive(Debug)]
pub struct Gathered<'a> {
    scope: Scope,
    judged: Judged<'a>,
    past: Past,
    chronicle: Chronicle,
    answers: Answers,
    alerts: Alerts,
    health: Health,
    tests: Tests,
    lost: Lost,
    journal: Option<(Timestamp, Timestamp)>,
    files: Option<(Timestamp, Timestamp)>,
    records: u64,
    /// The record after which the period is over, and whether it is.
    end: Option<u64>,
    over: bool,
    /// Whether a daemon runs, as far as is known, when something happened last, and the latest time at which something did.
    running: Option<bool>,
    last: Option<Timestamp>,
    latest: Option<Timestamp>,
    latency: Spread,
    signals_late: Spread,
    outcomes_late: Spread,
}

/// A record of the period beside what happened by it.
#[derive(Debug, Clone, Copy)]
pub enum Record<'a> {
    /// A signal of the trader.
    Signal {
        /// What it would trade.
        symbol: &'a Symbol,
        /// What versions made of it.
        opinions: &'a [Opinion],
        /// How long the answer took, in microseconds, where that is known.
        latency_us: Option<u64>,
        /// When it fired.
        fired: Timestamp,
        /// When it came.
        came: Timestamp,
    },
    /// How a trade of the trader was closed.
    Outcome {
        /// Which.
        trade_id: &'a TradeId,
        /// When it was closed.
        closed: Timestamp,
        /// When that came.
        came: Timestamp,
        /// Whether its signal was there.
        matched: bool,
        /// Whether its pnl is known.
        has_pnl: bool,
    },
    /// Of a past trade from a file.
    Imported {
        /// What it would trade, of a signal; `None` of an outcome.
        signal_of: Option<&'a Symbol>,
    },
    /// Anything else.
    Other,
}

impl<'a> Gathered<'a> {
    /// Nothing yet of `scope`.
    pub fn new(scope: Scope, judged: Judged<'a>) -> Self {
        Self {
            past: Past::new(None, scope.version.clone()),
            chronicle: Chronicle::since(scope.since),
            answers: Answers::default(),
            alerts: Alerts::default(),
            health: Health::default(),
            tests: Tests::default(),
            lost: Lost::default(),
            journal: None,
            files: None,
            records: 0,
            end: None,
            over: false,
            running: None,
            last: None,
            latest: None,
            latency: Spread::default(),
            signals_late: Spread::default(),
            outcomes_late: Spread::default(),
            scope,
            judged,
        }
    }

    /// The same of a period that is over after the record `end`, as [`EndOf`] finds it: how things stood then is how they
    /// stood at its end. What belongs to the period goes by its own time nevertheless.
    #[must_use]
    pub fn ending_after(self, end: Option<u64>) -> Self {
        Self { end, ..self }
    }

    /// Takes in what happened next, recorded under the number `seq`. `state`: what everything before comes to.
    pub fn hear(&mut self, seq: u64, happening: &Happening, state: &mut State) {
        if self.end.is_some_and(|end| seq > end) {
            self.close(state);
        }
        if matches!(happening, Happening::Came { .. }) {
            return;
        }
        self.past.hear(happening);
        let at = happening.at();
        if self.scope.until.is_some_and(|until| at >= until) {
            return;
        }
        let within = self.scope.since.is_none_or(|since| at >= since);
        if within && !self.over {
            let is_news = !matches!(happening, Happening::Event(_));
            self.health.day(&self.scope, &self.judged.rules, at, is_news, state);
        }
        match happening {
            Happening::Event(event) => self.event(seq, event, within, state),
            Happening::Scored { entry, .. } if within => {
                let is_its = entry.symbol.as_ref().is_none_or(|symbol| self.scope.has_symbol(symbol))
                    && self.scope.has_opinion(&entry.opinions);
                if is_its {
                    self.answers.answers += 1;
                    *self.answers.by_reason.entry(entry.decision.reason.name()).or_default() += 1;
                }
            }
            Happening::Closed { trade_id, .. } if within && self.is_its(trade_id) => self.answers.closed += 1,
            Happening::Skipped { trade_id, .. } if within && self.is_its(trade_id) => self.answers.skipped += 1,
            _ => {}
        }
        self.last = Some(at).filter(|at| is_known(*at)).or(self.last);
        self.latest = self.latest.max(Some(at));
    }

    /// Whether a trade is one that is told of. Where only some are, one whose answer nobody knows is not.
    fn is_its(&self, trade_id: &TradeId) -> bool {
        let among = Among { symbol: self.scope.its_symbol().cloned(), ..Among::default() };
        let is_all = among.symbol.is_none();
        self.past.means(trade_id, &among).unwrap_or(is_all)
    }

    fn event(&mut self, seq: u64, event: &Event, within: bool, state: &mut State) {
        let Event { at, kind } = event;
        match kind {
            EventKind::Started { .. } => {
                if within {
                    self.lost.unclean_starts += u64::from(self.running == Some(true));
                    let away = self.running.and(self.last).map(|last| at.duration_since(last).as_secs());
                    self.lost.away_s += away.unwrap_or(0).max(0);
                }
                self.running = Some(true);
            }
            EventKind::Stopped => self.running = Some(false),
            EventKind::Restarted { .. } if within => self.lost.restarts += 1,
            EventKind::Imported { rejected, .. } if within => self.lost.refused_lines += rejected,
            _ => {}
        }
        if !self.scope.concerns(kind) {
            return;
        }
        self.chronicle.event(seq, event);
        self.tests.event(&self.scope, &self.judged, event, state);
        if within {
            self.alerts.event(event);
            self.health.event(*at, kind);
        }
    }

    /// Takes in a record that came at `at`.
    pub fn record(&mut self, at: Timestamp, record: Record<'_>) {
        if is_known(at) {
            // a file may be read long before a daemon runs, or under the times of its trades
            let place = if matches!(record, Record::Imported { .. }) { &mut self.files } else { &mut self.journal };
            let (first, last) = place.unwrap_or((at, at));
            *place = Some((first.min(at), last.max(at)));
        }
        let is_within = self.scope.since.is_none_or(|since| at >= since) && self.scope.until.is_none_or(|u| at < u);
        if !is_within {
            return;
        }
        self.records += 1;
        let late = |from: Timestamp, to: Timestamp| u64::try_from(to.duration_since(from).as_micros()).unwrap_or(0);
        match record {
            Record::Signal { symbol, opinions, latency_us, fired, came } => {
                if self.scope.has_symbol(symbol) && self.scope.has_opinion(opinions) {
                    latency_us.into_iter().for_each(|latency| self.latency.add(latency));
                    self.signals_late.add(late(fired, came));
                }
            }
            Record::Outcome { trade_id, closed, came, matched, has_pnl } => {
                // nobody knows the symbol of a trade whose signal is not there
                self.lost.unmatched += u64::from(!matched);
                if self.is_its(trade_id) {
                    self.outcomes_late.add(late(closed, came));
                    self.lost.without_pnl += u64::from(!has_pnl);
                }
            }
            Record::Imported { signal_of } => {
                let is_its = signal_of.is_some_and(|symbol| self.scope.has_symbol(symbol));
                self.answers.imported += u64::from(is_its);
            }
            Record::Other => {}
        }
    }

    /// A record cannot be read, as `what` says.
    pub fn unreadable(&mut self, what: String) {
        self.lost.unreadable += 1;
        if self.lost.which.len() < NAMED {
            self.lost.which.push(what);
        }
    }

    /// The period is over: what stands now is told of.
    fn close(&mut self, state: &mut State) {
        if self.over {
            return;
        }
        self.over = true;
        let Some(now) = self.latest else { return };
        let now = self.scope.until.filter(|_| self.scope.since.is_none_or(|since| now >= since)).unwrap_or(now);
        self.health.close(&self.scope, &self.judged.rules, state);
        self.tests.close(&self.scope, &self.judged, now, state);
    }

    /// What came of it, at the end of the journal, which `state` is.
    pub fn end(mut self, state: &mut State, options: &ImpactOptions) -> Summary {
        self.close(state);
        let Self {
            scope, judged, past, chronicle, mut answers, alerts, health, tests, mut lost, journal, records, ..
        } = self;
        let span = journal.and_then(|(first, last)| {
            let from = scope.since.map_or(first, |since| since.max(first));
            let to = scope.until.map_or(last, |until| until.min(last));
            (from <= to && records > 0).then_some((from, to))
        });
        let money = money::of(&past, &scope, options);
        let among = Among { symbol: scope.its_symbol().cloned(), since: scope.since, until: scope.until };
        let tally = past.tally(&among);
        (answers.signals, answers.heard, lost.unresolved) = (tally.signals, tally.heard, tally.unresolved);
        let (tests, holdbacks) = tests.told();
        let health = health.told();
        Summary {
            journal,
            span,
            records,
            answers,
            money,
            regimes: Vec::new(),
            versions: chronicle.stays().to_vec(),
            health: health.versions,
            tests,
            holdbacks,
            alerts: alerts.lines(),
            latency_us: self.latency.quantiles(),
            signals_late_us: self.signals_late.quantiles(),
            outcomes_late_us: self.outcomes_late.quantiles(),
            lost,
            chronicle,
            accuracy: health.accuracy,
            composite: health.composite,
            accuracy_window: judged.rules.guardian.count(&accuracy::WINDOW),
            accuracy_rules: health.rules,
            accuracy_trips: health.trips,
            scope,
        }
    }
}

/// Whether a time was known: where it comes from messages, nobody knows it before the first one.
fn is_known(at: Timestamp) -> bool {
    at.duration_since(Timestamp::UNIX_EPOCH) > UNKNOWN
}

impl Scope {
    /// The only symbol that is told of; `None` for all.
    pub fn its_symbol(&self) -> Option<&Symbol> {
        self.version.as_ref().map(|version| &version.symbol).or(self.symbol.as_ref())
    }

    fn has_symbol(&self, symbol: &Symbol) -> bool {
        self.its_symbol().is_none_or(|wanted| wanted == symbol)
    }

    fn has_version(&self, version: &VersionId) -> bool {
        self.version.as_ref().is_none_or(|wanted| wanted == version) && self.has_symbol(&version.symbol)
    }

    fn has_opinion(&self, opinions: &[Opinion]) -> bool {
        self.version.as_ref().is_none_or(|wanted| opinions.iter().any(|opinion| opinion.version == *wanted))
    }

    /// Whether an event is about what is asked for, or about everything.
    fn concerns(&self, kind: &EventKind) -> bool {
        match kind {
            EventKind::Trained { version, .. }
            | EventKind::Moved { version, .. }
            | EventKind::Shared { version, .. }
            | EventKind::Judged { version, .. } => self.has_version(version),
            EventKind::Latched { trip } => trip.version.as_ref().is_none_or(|version| self.has_version(version)),
            EventKind::Tried(trial) => {
                self.has_symbol(&trial.symbol) && trial.version.as_ref().is_none_or(|version| self.has_version(version))
            }
            // an alert about a version begins with its name
            EventKind::Alert { message, .. } => {
                let named = message.split([' ', ':']).next().and_then(|word| word.parse::<VersionId>().ok());
                named.is_none_or(|version| self.has_version(&version))
            }
            _ => true,
        }
    }
}
