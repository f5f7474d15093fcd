//! The monitor's decisions: signals and closed trades in, a judgement of each version in service at the end of each trading
//! day out.
//!
//! A pure fold of bounded size over what was heard. It measures and judges; what is done about a judgement is the
//! guardian's. The days are those of the news: no clock is read here.

mod days;
mod judge;
mod news;
mod quiet;
mod words;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

pub use days::JudgedDays;
pub use judge::{Health, VersionView};
pub use news::{ScoredSignal, WatchNews};
use quiet::Quiet;

use super::{
    alarm::{Alarm, Alarms, Turn},
    gradual::DayClose,
    health::{HealthOptions, Response, Validated},
    integrity::IntegrityFault,
    monitor::{Change, Closed, Learnt, Monitor, MonitorOptions, Rolling, Said, Usual},
};
use crate::{
    domain::{Arm, Symbol, Timestamp, TradeId, TradingCalendar, TradingDay, VersionId, snapshot::TrendRegime},
    models::{Facts, Question, Standard},
    stats::{
        bootstrap::{Resampling, block_length},
        budget::{Thresholds, Watch as Pace, is_short, thresholds},
        decline::{Decline, DeclineOptions, Limits},
        market::{MarketFilter, MarketRegime, NAMES, shown},
        sessions::History,
    },
};

/// Signals that may wait for their outcome. One that waits behind so many others is forgotten.
const MOST_OPEN: usize = 10_000;
/// Days of a quarter, and trading days in it.
const QUARTER_DAYS: f64 = 365.25 / 4.0;
const QUARTER_SESSIONS: usize = 63;
/// Of a version whose record cannot be used.
const UNKNOWN: &str =
    "declines are not looked for: its record could not be read; the emergency rules watch it all the same";
/// Of a version whose validation is known by nothing.
const NOTHING: &str = "neither its record nor the journal tells what its validation showed: nothing is known of its validation, and \
                       its figures are held against nothing";
/// Share of trades that go as said by a score that knows nothing, towards which a validated one is drawn.
const NO_SKILL: f64 = 0.5;
/// Fewest quarters behind a limit that is passed in one of a thousand.
const LEAST_DRAWN: usize = 2000;
/// Shortest quarter, in windows, that thresholds are drawn for.
const LEAST_WINDOWS: usize = 2;

/// What is judged by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WatchOptions {
    /// How much is remembered.
    pub monitor: MonitorOptions,
    /// Thresholds of the degradations.
    pub health: HealthOptions,
    /// How often drift may be told without any.
    pub budget: Budget,
    /// Share of unusual inputs over the latest signals that is an alert, above 0.
    pub novelty: f64,
}

/// False alarms that are acceptable.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Budget {
    /// In a quarter, over all inputs of a version together; above 0.
    pub false_alarms: f64,
    /// How quarters are drawn from the history.
    pub resampling: Resampling,
}

/// What a version in service is judged against. What is not known is not judged.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WatchedVersion {
    /// What it learnt from.
    pub learnt: Option<Learnt>,
    /// Where each input of `learnt` stands in a row.
    pub places: Vec<usize>,
    /// From where on each input has moved; none when its history is too short to say.
    pub thresholds: Vec<Thresholds>,
    /// From where on a window of its scores is further off than the moods of the market take it; `None` when their history is too
    /// short to say.
    pub score_limit: Option<Thresholds>,
    /// How far it may decline; `None` when its validation is too short to say.
    pub limits: Option<Limits>,
    /// What its validation lacks for declines to be looked for, in words.
    pub lacks: Option<Box<str>>,
    /// What it is asked.
    pub question: Question,
    /// What the emergency rules expect of it.
    pub standard: Option<Standard>,
    /// What its validation showed.
    pub validated: Option<Validated>,
    /// What is usual for its trades.
    pub usual: Usual,
    /// The regimes of the market, fitted to what it learnt from; `None` where that is too little.
    pub market: Option<MarketRegime>,
}

/// What is found of a version when a trading day closes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// Which.
    pub version: VersionId,
    /// What the gradual rollback is told.
    pub day_close: DayClose,
    /// Conditions that were raised or cleared.
    pub turns: Vec<Turn>,
    /// What its composite asks for now.
    pub response: Option<Response>,
    /// Faults after which none of its figures means anything.
    pub faults: Vec<IntegrityFault>,
    /// What it rests on, by name; what is not defined is not there.
    pub evidence: BTreeMap<Box<str>, f64>,
}

/// Everything that is known.
#[derive(Debug, Clone, Default)]
pub struct Watch {
    monitor: Monitor,
    alarms: Alarms,
    subjects: BTreeMap<VersionId, WatchedVersion>,
    /// How far each has declined.
    declines: BTreeMap<VersionId, Decline>,
    /// What of each was told of late.
    quiet: BTreeMap<VersionId, Quiet>,
    /// What the market has shown each.
    markets: BTreeMap<VersionId, MarketFilter>,
    open: HashMap<TradeId, Open>,
    /// The same by their number, oldest first.
    order: BTreeMap<u64, TradeId>,
    numbered: u64,
    /// Signals that were forgotten before their outcome came.
    left_out: usize,
    /// Detectors that spoke since the last judgement.
    spoke: Vec<Change>,
    /// Versions whose trades closed since then.
    traded: BTreeSet<VersionId>,
    day: Option<TradingDay>,
    /// Whether anything was heard on that day.
    busy: bool,
}

/// A signal that waits for its outcome.
#[derive(Debug, Clone)]
struct Open {
    number: u64,
    symbol: Symbol,
    regime: Option<TrendRegime>,
    arm: Arm,
    day: TradingDay,
    said: Vec<Said>,
    /// The regime that the market showed each version then.
    markets: Vec<(VersionId, &'static str)>,
}

impl WatchedVersion {
    /// How far a version may decline that was validated on `history`, or what that lacks, in words.
    pub fn declines(history: &History, options: &DeclineOptions) -> (Option<Limits>, Option<Box<str>>) {
        let limits = Limits::of(&history.sessions, NO_SKILL, options);
        let lacks = history.lacks().filter(|_| limits.is_none());
        (limits, lacks.map(|lacks| lacks.to_string().into()))
    }

    /// How far each column may move, by simulation on the rows that were learnt from, which span `days` days. None when
    /// they are fewer than a quarter of two windows, in which nothing can be found out. A column whose history is too short
    /// for its memory has limits that nothing passes ([`is_short`]).
    pub fn thresholds(
        columns: &[Vec<Option<f64>>],
        days: f64,
        options: &MonitorOptions,
        budget: &Budget,
    ) -> Vec<Thresholds> {
        let Some((pace, mut found)) = Self::drawn(columns, days, options, budget) else { return Vec::new() };
        let share = budget.false_alarms / columns.len() as f64;
        let short = columns.iter().zip(&mut found).filter(|(column, _)| is_short(column, &pace, share));
        short.for_each(|(_, limits)| *limits = Thresholds::NEVER);
        found
    }

    /// The pace of a quarter and the limits that are drawn for it.
    fn drawn(
        columns: &[Vec<Option<f64>>],
        days: f64,
        options: &MonitorOptions,
        budget: &Budget,
    ) -> Option<(Pace, Vec<Thresholds>)> {
        let rows = columns.first().map_or(0, Vec::len);
        let pace = pace(rows, days, options.window).filter(|pace| rows >= LEAST_WINDOWS * pace.window)?;
        let resampling = remembering(&budget.resampling, columns);
        Some((pace, thresholds(columns, &pace, budget.false_alarms, &resampling)?))
    }

    /// How far a window of scores goes in a quarter in which nothing has changed, but in the share `level` of such quarters, of which
    /// at least 2,000 are drawn; from `scores`, of signals that span `days` days, in the order of time.
    pub fn score_limit(
        scores: &[f64],
        days: f64,
        options: &MonitorOptions,
        budget: &Budget,
        level: f64,
    ) -> Option<Thresholds> {
        let column: Vec<Option<f64>> = scores.iter().copied().map(Some).collect();
        let resamples = budget.resampling.resamples.max(LEAST_DRAWN);
        let resampling = Resampling { resamples, ..budget.resampling };
        let of_scores = Budget { false_alarms: level, resampling };
        Self::drawn(&[column], days, options, &of_scores)?.1.first().copied()
    }
}

/// Blocks at least as long as the memory of the columns asks for, as far as the rows are worth four of them.
fn remembering(resampling: &Resampling, columns: &[Vec<Option<f64>>]) -> Resampling {
    let known = |column: &Vec<Option<f64>>| column.iter().flatten().copied().collect::<Vec<f64>>();
    let longest = columns.iter().filter_map(|column| block_length(&known(column))).fold(0.0, f64::max);
    let rows = columns.first().map_or(0, Vec::len) as f64;
    Resampling { block: resampling.block.max(longest.min(rows / 4.0)), ..*resampling }
}

/// A quarter at the pace of `rows` rows in `days` days, looked at once a trading day.
fn pace(rows: usize, days: f64, window: usize) -> Option<Pace> {
    let quarter = (rows as f64 * QUARTER_DAYS / days).round();
    (days > 0.0 && quarter.is_finite()).then_some(())?;
    let quarter = (quarter as usize).clamp(LEAST_WINDOWS * window, 100_000);
    Some(Pace { window, every: (quarter / QUARTER_SESSIONS).max(1), quarter })
}

impl Watch {
    /// The versions in service are these from now on. Those that were before keep what is known of them; `load` makes
    /// the others.
    pub fn serve(
        &mut self,
        options: &WatchOptions,
        versions: &[VersionId],
        mut load: impl FnMut(&VersionId) -> WatchedVersion,
    ) {
        let gone: Vec<VersionId> = self.subjects.keys().filter(|known| !versions.contains(known)).cloned().collect();
        for version in gone {
            self.subjects.remove(&version);
            self.declines.remove(&version);
            self.quiet.remove(&version);
            self.markets.remove(&version);
            self.monitor.forget(&version);
            self.alarms.forget(&version.to_string());
        }
        for version in versions {
            if !self.subjects.contains_key(version) {
                let subject = load(version);
                self.monitor.begin(&options.monitor, version, subject.usual, subject.question);
                self.subjects.insert(version.clone(), subject);
            }
        }
    }

    /// Takes in what happened. When that is on a later trading day than all before, the day before has closed, and each
    /// version in service is judged, unless nothing was heard on that day: it was none.
    pub fn hear(&mut self, options: &WatchOptions, calendar: &TradingCalendar, news: WatchNews) -> Vec<Judgement> {
        let at = news.at();
        let judged = self.turn_to(options, calendar.day_of(at), at);
        match news {
            WatchNews::Time(_) => {}
            WatchNews::Scored(signal) => self.scored(options, calendar.day_of(at), *signal),
            WatchNews::Closed { trade_id, facts, .. } => self.closed(options, &trade_id, facts),
        }
        judged
    }

    /// A version that need not be in service has figures by what it is asked, unless that is known.
    pub fn introduce(&mut self, options: &WatchOptions, version: &VersionId, question: impl FnOnce() -> Question) {
        self.monitor.introduce(&options.monitor, version, question);
    }

    /// The figures of each scope.
    pub fn rolling(&self) -> BTreeMap<Box<str>, Rolling> {
        self.monitor.rolling()
    }

    /// The conditions that hold.
    pub fn alarms(&self) -> &[Alarm] {
        self.alarms.held()
    }

    /// The versions that are judged.
    pub fn versions(&self) -> impl Iterator<Item = &VersionId> {
        self.subjects.keys()
    }

    /// The versions of which something is not watched, and why.
    pub fn unwatched(&self) -> BTreeMap<VersionId, Box<str>> {
        let why = |(version, subject): (&VersionId, &WatchedVersion)| {
            let lacks = || subject.lacks.clone().unwrap_or_else(|| UNKNOWN.into());
            let declines = subject.limits.is_none().then(lacks);
            let labels = self.unlabelled(version).map(Into::into);
            let unknown = (subject.validated.is_none() && declines.is_none()).then(|| NOTHING.into());
            let all: Vec<Box<str>> = [declines, labels, unknown].into_iter().flatten().collect();
            (!all.is_empty()).then(|| (version.clone(), all.join("; ").into()))
        };
        self.subjects.iter().filter_map(why).collect()
    }

    /// What of `version` is not watched although nothing was said of it when it was promoted, each in words.
    pub fn blind(&self, version: &VersionId) -> Vec<String> {
        let Some(subject) = self.subjects.get(version) else { return Vec::new() };
        let is_unknown = subject.validated.is_none() || (subject.limits.is_none() && subject.lacks.is_none());
        self.unlabelled(version).into_iter().chain(is_unknown.then(|| NOTHING.to_owned())).collect()
    }

    fn unlabelled(&self, version: &VersionId) -> Option<String> {
        self.monitor.labels(version).unlabelled().map(|unlabelled| unlabelled.to_string())
    }

    /// The trading day of the latest news.
    pub fn day(&self) -> Option<TradingDay> {
        self.day
    }

    /// Signals that wait for their outcome.
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// Signals that were forgotten before their outcome came, because too many waited behind them.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    fn turn_to(&mut self, options: &WatchOptions, day: TradingDay, at: Timestamp) -> Vec<Judgement> {
        let Some(before) = self.day.replace(self.day.map_or(day, |before| before.max(day))) else { return Vec::new() };
        if day <= before || !std::mem::take(&mut self.busy) {
            return Vec::new();
        }
        let spoke = std::mem::take(&mut self.spoke);
        let traded = std::mem::take(&mut self.traded);
        let versions: Vec<VersionId> = self.subjects.keys().cloned().collect();
        let judge = |version: &VersionId| self.judge(options, version, before, at, traded.contains(version), &spoke);
        versions.iter().filter_map(judge).collect()
    }

    fn scored(&mut self, options: &WatchOptions, day: TradingDay, signal: ScoredSignal) {
        let ScoredSignal { trade_id, symbol, regime, arm, row, said, .. } = signal;
        let mut markets = Vec::new();
        for Said { version, score, .. } in &said {
            let Some(subject) = self.subjects.get(version) else { continue };
            let inputs: Vec<Option<f64>> =
                subject.places.iter().map(|place| row.get(*place).copied().flatten()).collect();
            self.monitor.scored(&options.monitor, version, &inputs, *score);
            if let Some(regime) = &subject.market {
                let state = self.markets.entry(version.clone()).or_default().step(regime, &shown(&row));
                markets.extend(NAMES.get(state).map(|name| (version.clone(), *name)));
            }
        }
        self.busy |= self.is_watched(&said);
        self.numbered += 1;
        let number = self.numbered;
        self.order.insert(number, trade_id.clone());
        if let Some(before) = self.open.insert(trade_id, Open { number, symbol, regime, arm, day, said, markets }) {
            self.order.remove(&before.number);
        }
        if self.order.len() > MOST_OPEN {
            let oldest = self.order.pop_first();
            let forgotten = oldest.and_then(|(_, oldest)| self.open.remove(&oldest));
            self.left_out += usize::from(forgotten.is_some());
        }
    }

    fn closed(&mut self, options: &WatchOptions, trade_id: &TradeId, facts: Facts) {
        let Some(Open { number, symbol, regime, arm, day, said, markets }) = self.open.remove(trade_id) else { return };
        self.order.remove(&number);
        self.busy |= self.is_watched(&said);
        let Some(pnl) = facts.pnl else { return };
        self.traded.extend(said.iter().map(|said| said.version.clone()));
        let trade = Closed { said, arm, symbol, regime, markets, day: Some(day), pnl, facts };
        let is_watched = |version: &VersionId| self.subjects.contains_key(version);
        self.spoke.extend(self.monitor.closed(&options.monitor, &trade, is_watched));
    }

    fn is_watched(&self, said: &[Said]) -> bool {
        said.iter().any(|said| self.subjects.contains_key(&said.version))
    }
}
