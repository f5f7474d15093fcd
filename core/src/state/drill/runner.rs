//! A model in service, simulated: every rule is told of its trades, as in the daemon.

use jiff::{SignedDuration, civil, tz::TimeZone};

use super::{
    DrillOptions, PastTrade,
    stream::{Sample, Stream},
};
use crate::{
    domain::{Arm, Money, Probability, Symbol, Timestamp, TradeId, TradingCalendar, VersionId},
    guard::{
        alarm::Turn,
        emergency::{ClosedTrade, Emergency, EmergencyOptions, EmergencyRule, VersionScore, accuracy},
        health::{ScoredTrade, Validated},
        monitor::{Learnt, Said, Usual},
        watch::{Judgement, ScoredSignal, Watch, WatchNews, WatchedVersion},
    },
    models::{Question, Standard, standard::Validated as Seen},
    stats::{budget::Thresholds, decline::DeclineOptions, reference::Reference, sessions::History},
};

/// The rules of the monitor that are tried, by the codes of their alerts.
pub(super) const OF_MONITOR: [&str; 11] = [
    "composite",
    "composite_share",
    "composite_retrain",
    "composite_rollback",
    "instability",
    "expected_accuracy",
    "adwin",
    "page_hinkley",
    "cusum",
    "drift",
    "novelty",
];
/// Most days until the windows are full.
const LONGEST_WARM_UP: usize = 10_000;

/// An emergency rule that is tried by itself: what one does to a version is nothing to the others.
pub(super) struct TriedRule {
    /// As in trips; with `_literal` behind it when it is taken as it is written.
    pub(super) name: String,
    /// It alone.
    rule: &'static [&'static EmergencyRule],
    options: EmergencyOptions,
}

impl TriedRule {
    /// All emergency rules, those that a validation moves also as they are written.
    pub(super) fn all(options: &DrillOptions) -> Vec<Self> {
        let one = |rule: &'static [&'static EmergencyRule], behind: &str, literal: bool| {
            let name = rule.iter().map(|rule| format!("{}{behind}", rule.name)).collect();
            let literal = literal || options.emergency.literal;
            Self { name, rule, options: EmergencyOptions { literal, ..options.emergency.clone() } }
        };
        let fitted = options.rules.chunks(1).filter(|rule| rule.iter().any(|rule| rule.is_fitted));
        let as_it_is = options.rules.chunks(1).map(|rule| one(rule, "", false));
        as_it_is.chain(fitted.map(|rule| one(rule, "_literal", true))).collect()
    }
}

pub(super) struct Runner<'a> {
    options: &'a DrillOptions,
    /// The emergency rules, each with what it remembers.
    emergencies: Vec<(&'a TriedRule, Emergency)>,
    names: Option<(Symbol, VersionId)>,
    calendar: TradingCalendar,
    watch: Watch,
    question: Question,
    standard: Option<Standard>,
    day: i64,
    told: u64,
    taken: usize,
}

/// What a version is judged against that was validated on `sample`.
pub(super) fn subject(
    sample: &Sample<'_>,
    limits: &[Thresholds],
    score_limit: Option<Thresholds>,
    decline: &DeclineOptions,
) -> WatchedVersion {
    let (question, names) = (sample.past.question, sample.past.names());
    let scored = |trade: &PastTrade| ScoredTrade {
        day: Some(trade.day),
        score: trade.score,
        answer: question.answer(trade.score, &trade.facts()),
        taken: trade.taken(),
        pnl: trade.pnl,
    };
    let trades: Vec<ScoredTrade> = sample.trades().map(scored).collect();
    let taken = trades.iter().filter(|trade| trade.taken);
    let hits: Vec<_> = taken.filter_map(|trade| Some((trade.day?, trade.answer.hit()?, trade.pnl))).collect();
    let history = History::of(&hits);
    let (falls, lacks) = WatchedVersion::declines(&history, decline);
    let score = Reference::of(sample.trades().map(|trade| Some(trade.score)));
    let inputs: Vec<Option<Reference>> = (0..names.len()).map(|place| Reference::of(sample.column(place))).collect();
    // a column that was drawn without a value leaves nothing to compare
    let whole = inputs.iter().all(Option::is_some);
    let variance = score.as_ref().map_or(0.0, |score| score.sd() * score.sd());
    let names = if whole { names.to_vec() } else { Vec::new() };
    WatchedVersion {
        places: (0..names.len()).collect(),
        thresholds: if whole { limits.to_vec() } else { Vec::new() },
        learnt: score.map(|score| Learnt {
            names,
            inputs: if whole { inputs.into_iter().flatten().collect() } else { Vec::new() },
            score,
        }),
        score_limit,
        question,
        standard: standard(sample),
        validated: Validated::of(&trades, variance),
        limits: falls,
        lacks,
        usual: Usual::of(&history),
        market: None,
    }
}

impl<'a> Runner<'a> {
    pub(super) fn new(options: &'a DrillOptions, tried: &'a [TriedRule], subject: WatchedVersion) -> Self {
        let names = Symbol::new("DRILL").ok().zip("DRILL/1".parse().ok());
        let mut watch = Watch::default();
        if let Some((_, version)) = &names {
            watch.serve(&options.watch, std::slice::from_ref(version), |_| subject.clone());
        }
        let calendar = TradingCalendar::new(TimeZone::UTC, civil::Time::midnight());
        let (question, standard) = (subject.question, subject.standard);
        let emergencies = tried.iter().map(|tried| (tried, Emergency::by(tried.rule))).collect();
        Self { options, emergencies, names, calendar, watch, question, standard, day: 0, told: 0, taken: 0 }
    }

    /// Trades that were taken.
    pub(super) fn taken(&self) -> usize {
        self.taken
    }

    /// Goes on until every window is full.
    pub(super) fn warm_up(&mut self, stream: &mut Stream<'_>) {
        let full = self.options.watch.monitor.window.max(self.options.emergency.count(&accuracy::WINDOW));
        for _ in 0..LONGEST_WARM_UP {
            if self.taken >= full {
                return;
            }
            let Some(day) = stream.next_day() else { return };
            self.day(&day);
        }
    }

    /// The rules whose alarms hold.
    pub(super) fn holding(&self) -> impl Iterator<Item = &'static str> {
        let held = self.watch.alarms().iter().map(|alarm| &*alarm.condition.code);
        held.filter_map(|code| OF_MONITOR.into_iter().find(|rule| *rule == code))
    }

    /// A trading day goes by. The rules that speak on it, each as often as it does.
    pub(super) fn day(&mut self, trades: &[PastTrade]) -> Vec<&'a str> {
        let Some((symbol, version)) = self.names.clone() else { return Vec::new() };
        self.day += 1;
        let mut spoken = Vec::new();
        for (place, trade) in trades.iter().enumerate() {
            self.told += 1;
            let at = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * self.day);
            let at = at + SignedDuration::from_millis(place as i64);
            let Ok(trade_id) = TradeId::new(format!("D{}", self.told)) else { continue };
            let said = vec![Said { version: version.clone(), score: trade.score, taken: trade.taken() }];
            let signal = ScoredSignal {
                trade_id: trade_id.clone(),
                at,
                symbol: symbol.clone(),
                regime: None,
                arm: Arm::Ml,
                row: trade.row.clone(),
                said,
            };
            spoken.extend(self.hear(WatchNews::Scored(Box::new(signal))));
            self.taken += usize::from(trade.taken());
            spoken.extend(self.hear(WatchNews::Closed { trade_id: trade_id.clone(), at, facts: trade.facts() }));
            spoken.extend(self.judge(trade, trade_id, at, &version));
        }
        // the next day begins
        let night = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * (self.day + 1));
        spoken.extend(self.hear(WatchNews::Time(night)));
        spoken
    }

    fn hear(&mut self, news: WatchNews) -> Vec<&'static str> {
        let judged = self.watch.hear(&self.options.watch, &self.calendar, news);
        let turns = judged.iter().flat_map(|Judgement { turns, .. }| turns);
        turns
            .filter_map(|turn| match turn {
                Turn::Raised(alarm) => OF_MONITOR.into_iter().find(|rule| **rule == *alarm.condition.code),
                Turn::Cleared(_) => None,
            })
            .collect()
    }

    fn judge(&mut self, trade: &PastTrade, trade_id: TradeId, at: Timestamp, version: &VersionId) -> Vec<&'a str> {
        let Ok(score) = Probability::new(trade.score) else { return Vec::new() };
        let say = VersionScore { version: version.clone(), score, size: trade.size };
        let closed = ClosedTrade {
            trade_id,
            at,
            day: self.calendar.day_of(at),
            pnl: Money::new(trade.pnl).ok(),
            ml: Some(say.clone()).filter(|_| trade.taken()),
            scores: vec![say],
            facts: trade.facts(),
            reported: trade.reported,
            daily_loss_limit: trade.daily_loss_limit,
        };
        let mut spoken = Vec::new();
        for (tried, emergency) in &mut self.emergencies {
            emergency.ask(version, self.question, self.standard);
            emergency.begin(version);
            let trips = emergency.judge(&tried.options, &closed);
            if !trips.is_empty() {
                spoken.push(&*tried.name);
            }
            // a version that was taken down is followed by another
            if trips.iter().any(|trip| trip.version.is_some()) {
                *emergency = Emergency::by(tried.rule);
            }
        }
        spoken
    }
}

/// What the emergency rules expect of a version that was validated on `sample`.
fn standard(sample: &Sample<'_>) -> Option<Standard> {
    let seen = |trade: &PastTrade| {
        let answer = sample.past.question.answer(trade.score, &trade.facts());
        let (yes, label) = (answer.yes, answer.label?);
        Some(Seen { session: trade.day, yes, label, taken: trade.taken(), won: trade.pnl > 0.0 })
    };
    Standard::of(&sample.trades().filter_map(seen).collect::<Vec<_>>())
}
