//! A model in service, simulated: every rule is told of its trades, as in the daemon.

use jiff::{SignedDuration, civil, tz::TimeZone};

use super::{DrillOptions, Past, PastTrade, stream::Stream};
use crate::{
    domain::{Arm, Money, Probability, Symbol, Timestamp, TradeId, TradingCalendar, VersionId, trip::Rule},
    guard::{
        alarm::Turn,
        emergency::{ClosedTrade, Emergency, EmergencyOptions, VersionScore},
        health::{ScoredTrade, Validated},
        monitor::{Learnt, Said, Usual},
        watch::{Judgement, ScoredSignal, Watch, WatchNews, WatchedVersion},
    },
    models::{Question, Standard, standard::Validated as Seen},
    stats::{budget::Thresholds, decline::DeclineOptions, reference::Reference, sessions::History},
};

/// The rules that are tried, by the names they have in trips and alerts.
pub(super) const RULES: [&str; 17] = [
    "accuracy",
    "loss_streak",
    "day_loss",
    "harm",
    "accuracy_literal",
    "loss_streak_literal",
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
/// The emergency rules among them, those that are taken as they are written last, each with a state of its own and the others out of force: what one does to a version is
/// nothing to the others.
const EMERGENCIES: [(Rule, &str, bool); 6] = [
    (Rule::Accuracy, "accuracy", false),
    (Rule::LossStreak, "loss_streak", false),
    (Rule::DayLoss, "day_loss", false),
    (Rule::Harm, "harm", false),
    (Rule::Accuracy, "accuracy_literal", true),
    (Rule::LossStreak, "loss_streak_literal", true),
];
/// Most days until the windows are full.
const LONGEST_WARM_UP: usize = 10_000;

pub(super) struct Runner<'a> {
    options: &'a DrillOptions,
    names: Option<(Symbol, VersionId)>,
    calendar: TradingCalendar,
    watch: Watch,
    emergencies: [Emergency; 6],
    question: Question,
    standard: Option<Standard>,
    day: i64,
    told: u64,
    taken: usize,
}

/// What a version is judged against that was validated on `past`.
pub(super) fn subject(
    past: &Past,
    limits: &[Thresholds],
    score_limit: Option<Thresholds>,
    decline: &DeclineOptions,
) -> WatchedVersion {
    let scored = |trade: &PastTrade| ScoredTrade {
        day: Some(trade.day),
        score: trade.score,
        answer: past.question.answer(trade.score, &trade.facts()),
        taken: trade.taken(),
        pnl: trade.pnl,
    };
    let trades: Vec<ScoredTrade> = past.trades().map(scored).collect();
    let taken = trades.iter().filter(|trade| trade.taken);
    let hits: Vec<_> = taken.filter_map(|trade| Some((trade.day?, trade.answer.hit()?, trade.pnl))).collect();
    let history = History::of(&hits);
    let (falls, lacks) = WatchedVersion::declines(&history, decline);
    let score = Reference::of(past.trades().map(|trade| Some(trade.score)));
    let inputs: Vec<Option<Reference>> = (0..past.names.len()).map(|place| Reference::of(past.column(place))).collect();
    // a column that was drawn without a value leaves nothing to compare
    let whole = inputs.iter().all(Option::is_some);
    let variance = score.as_ref().map_or(0.0, |score| score.sd() * score.sd());
    let names = if whole { past.names.clone() } else { Vec::new() };
    WatchedVersion {
        places: (0..names.len()).collect(),
        thresholds: if whole { limits.to_vec() } else { Vec::new() },
        learnt: score.map(|score| Learnt {
            names,
            inputs: if whole { inputs.into_iter().flatten().collect() } else { Vec::new() },
            score,
        }),
        score_limit,
        question: past.question,
        standard: standard(past),
        validated: Validated::of(&trades, variance),
        limits: falls,
        lacks,
        usual: Usual::of(&history),
    }
}

impl<'a> Runner<'a> {
    pub(super) fn new(options: &'a DrillOptions, subject: WatchedVersion) -> Self {
        let names = Symbol::new("DRILL").ok().zip("DRILL/1".parse().ok());
        let mut watch = Watch::default();
        if let Some((_, version)) = &names {
            watch.serve(&options.watch, std::slice::from_ref(version), |_| subject.clone());
        }
        let calendar = TradingCalendar::new(TimeZone::UTC, civil::Time::midnight());
        let (question, standard) = (subject.question, subject.standard);
        let emergencies = Default::default();
        Self { options, names, calendar, watch, emergencies, question, standard, day: 0, told: 0, taken: 0 }
    }

    /// Trades that were taken.
    pub(super) fn taken(&self) -> usize {
        self.taken
    }

    /// Goes on until every window is full.
    pub(super) fn warm_up(&mut self, stream: &mut Stream<'_>) {
        let full = self.options.watch.monitor.window.max(self.options.emergency.accuracy_window);
        for _ in 0..LONGEST_WARM_UP {
            if self.taken >= full {
                return;
            }
            let Some(day) = stream.next_day() else { return };
            self.day(day);
        }
    }

    /// The rules whose alarms hold.
    pub(super) fn holding(&self) -> impl Iterator<Item = &'static str> {
        let held = self.watch.alarms().iter().map(|alarm| &*alarm.condition.code);
        held.filter_map(|code| RULES.into_iter().find(|rule| *rule == code))
    }

    /// A trading day goes by. The rules that speak on it, each as often as it does.
    pub(super) fn day(&mut self, trades: &[PastTrade]) -> Vec<&'static str> {
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
                Turn::Raised(alarm) => RULES.into_iter().find(|rule| **rule == *alarm.condition.code),
                Turn::Cleared(_) => None,
            })
            .collect()
    }

    fn judge(&mut self, trade: &PastTrade, trade_id: TradeId, at: Timestamp, version: &VersionId) -> Vec<&'static str> {
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
            daily_loss_limit: trade.daily_loss_limit,
        };
        let mut spoken = Vec::new();
        for ((rule, name, literal), emergency) in EMERGENCIES.into_iter().zip(&mut self.emergencies) {
            emergency.ask(version, self.question, self.standard);
            emergency.begin(version);
            let trips = emergency.judge(&alone(rule, literal, &self.options.emergency), &closed);
            if !trips.is_empty() {
                spoken.push(name);
            }
            // a version that was taken down is followed by another
            if trips.iter().any(|trip| trip.version.is_some()) {
                *emergency = Emergency::default();
            }
        }
        spoken
    }
}

/// What the emergency rules expect of a version that was validated on `past`.
fn standard(past: &Past) -> Option<Standard> {
    let seen = |trade: &PastTrade| {
        let answer = past.question.answer(trade.score, &trade.facts());
        let (yes, label) = (answer.yes, answer.label?);
        Some(Seen { session: trade.day, yes, label, taken: trade.taken(), won: trade.pnl > 0.0 })
    };
    Standard::of(&past.trades().filter_map(seen).collect::<Vec<_>>())
}

/// The thresholds with which nothing but `rule` can trip.
fn alone(rule: Rule, literal: bool, options: &EmergencyOptions) -> EmergencyOptions {
    let mut alone = EmergencyOptions { literal: literal || options.literal, ..*options };
    if rule != Rule::Accuracy {
        alone.min_accuracy = 0.0;
    }
    if rule != Rule::LossStreak {
        alone.max_loss_streak = usize::MAX;
    }
    if rule != Rule::DayLoss {
        alone.daily_loss_factor = f64::MAX;
    }
    alone
}
