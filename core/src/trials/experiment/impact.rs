//! What the ML layer changed: two groups of signals, the one it influenced and the one it did not, metric by metric.
//!
//! Two arms of the same days were chosen by chance, so their difference is the layer's doing. Two periods were not: what
//! else changed between them is in the difference as well, and sessions do not cancel out, so every figure is told by how
//! sessions vary.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    DAYS_PER_YEAR,
    arms::{Arms, SessionPnl, Stay, ratio, risk},
    evidence::PolicyFigures,
    inference::{drawdown_per_signal, of_counts, slippages},
    metric::{Horizon, Measure, Metric},
};
use crate::{
    domain::TradingDay,
    stats::{
        bootstrap::{Resampling, block_length},
        cluster::{DesignEffect, SessionSum, Sums},
        compare::{welch, with_error},
        interval::Comparison,
        risk::sharpe,
        sharpe::{Day, studentised_apart},
    },
};

/// How the two groups came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparing {
    /// Chance chose, signal by signal.
    Arms,
    /// The one came before the other.
    Periods,
}

/// A signal whose fate is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Traded {
    /// Its trading day.
    pub day: TradingDay,
    /// After costs, as it was traded; `None` when it was not.
    pub pnl: Option<f64>,
    /// In ticks, where known.
    pub slippage_ticks: Option<f64>,
}

/// How sure, and how resampled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ImpactOptions {
    /// Coverage of the intervals.
    pub confidence: f64,
    /// Number of resamples.
    pub resamples: usize,
    /// Seed of the draws.
    pub seed: u64,
}

/// One of the two groups.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Group {
    /// Signals.
    pub signals: usize,
    /// Those that were traded.
    pub taken: usize,
    /// Trading days with a signal.
    pub sessions: usize,
    /// Sum of the pnl.
    pub pnl: f64,
    /// How much less the trades of a session tell than independent ones.
    pub design_effect: Option<DesignEffect>,
}

/// The whole comparison.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Impact {
    /// How the groups came about.
    pub comparing: Comparing,
    /// Coverage of the intervals.
    pub confidence: f64,
    /// With the ML layer.
    pub ml: Group,
    /// Without it.
    pub baseline: Group,
    /// Every metric.
    pub metrics: Vec<Metric>,
}

/// The signals of one group by session.
struct Side {
    days: BTreeMap<TradingDay, Vec<Traded>>,
    figures: PolicyFigures,
}

/// Compares `ml` with `baseline`, each in any order.
pub fn impact(comparing: Comparing, ml: &[Traded], baseline: &[Traded], options: &ImpactOptions) -> Impact {
    let (ml, baseline) = (Side::new(ml), Side::new(baseline));
    let metrics = match comparing {
        Comparing::Arms => arms(&ml, &baseline, options),
        Comparing::Periods => periods(&ml, &baseline, options),
    };
    let confidence = options.confidence;
    Impact { comparing, confidence, ml: ml.group(), baseline: baseline.group(), metrics }
}

impl Side {
    fn new(trades: &[Traded]) -> Self {
        let mut side = Self { days: BTreeMap::new(), figures: PolicyFigures::default() };
        for trade in trades {
            side.days.entry(trade.day).or_default().push(*trade);
            side.figures.signals += 1;
            if let Some(pnl) = trade.pnl {
                side.figures.taken += 1;
                side.figures.wins += usize::from(pnl > 0.0);
                side.figures.pnl += pnl;
            }
        }
        side
    }

    fn group(&self) -> Group {
        let PolicyFigures { signals, taken, pnl, .. } = self.figures;
        Group { signals, taken, sessions: self.days.len(), pnl, design_effect: self.design_effect(|pnl| pnl) }
    }

    fn design_effect(&self, value: impl Fn(f64) -> f64) -> Option<DesignEffect> {
        let taken = |day: &Vec<Traded>| -> Vec<f64> { day.iter().filter_map(|t| t.pnl).map(&value).collect() };
        let sessions: Vec<Vec<f64>> = self.days.values().map(taken).collect();
        DesignEffect::of(sessions.iter().map(Vec::as_slice))
    }

    fn all<T>(&self, value: impl Fn(&Traded) -> Option<T>) -> Vec<T> {
        self.days.values().flatten().filter_map(value).collect()
    }

    /// The pnl of the signals of a day, 0 for one that was not traded.
    fn session(&self, day: &TradingDay) -> (Vec<f64>, usize) {
        let trades = self.days.get(day).map(Vec::as_slice).unwrap_or_default();
        let taken = trades.iter().filter(|trade| trade.pnl.is_some()).count();
        (trades.iter().map(|trade| trade.pnl.unwrap_or(0.0)).collect(), taken)
    }

    fn daily(&self) -> Vec<f64> {
        self.days.keys().map(|day| self.session(day).0.iter().sum()).collect()
    }

    /// Mean pnl with the error that its sessions tell, per signal or per trade.
    fn mean(&self, per_trade: bool) -> Option<Sums> {
        let session = |day: &TradingDay| {
            let (pnl, taken) = self.session(day);
            let weight = if per_trade { taken } else { pnl.len() };
            SessionSum { difference: pnl.iter().sum(), weight: weight as f64 }
        };
        Sums::of(&self.days.keys().map(session).collect::<Vec<_>>())
    }

    /// Wins and trades, as many as independent ones would be worth as much.
    fn effective(&self) -> f64 {
        self.design_effect(|pnl| f64::from(u8::from(pnl > 0.0))).map_or(1.0, |effect| effect.effect.max(1.0))
    }
}

fn win_rate(ml: &Side, baseline: &Side, level: f64, effect: f64) -> Metric {
    let method = if effect > 1.0 { format!("counts over the design effect {effect:.2}") } else { String::new() };
    let blank = Metric::blank(Measure::WinRate, Horizon::Fixed, "Newcombe interval, two-proportion z");
    let found = of_counts(level, ml.figures, baseline.figures, effect).unwrap_or(blank);
    let method = if method.is_empty() { found.method.clone() } else { format!("{}, {method}", found.method) };
    Metric::with_figures(Metric { method, ..found }, ml.figures.win_rate(), baseline.figures.win_rate())
}

fn slippage(ml: &Side, baseline: &Side, level: f64) -> Metric {
    let of = |side: &Side| side.all(|trade| trade.slippage_ticks);
    slippages(level, &of(ml), &of(baseline))
}

fn arms(ml: &Side, baseline: &Side, options: &ImpactOptions) -> Vec<Metric> {
    let level = options.confidence;
    let mut days: Vec<TradingDay> = ml.days.keys().chain(baseline.days.keys()).copied().collect();
    days.sort();
    days.dedup();
    let session = |day: &TradingDay| {
        let ((ml, ml_taken), (baseline, baseline_taken)) = (ml.session(day), baseline.session(day));
        SessionPnl { ml, baseline, taken: [ml_taken, baseline_taken] }
    };
    let sessions: Vec<SessionPnl> = days.iter().map(session).collect();
    // Sharpe ratio and drawdown depend on how many signals there are
    let (of_ml, of_baseline) = (ml.figures.signals as f64, baseline.figures.signals as f64);
    let stays = [(of_baseline / of_ml).min(1.0), (of_ml / of_baseline).min(1.0)];
    let stay: Option<Stay> = (of_ml != of_baseline && of_ml > 0.0 && of_baseline > 0.0).then(|| {
        let of_day = |day: &SessionPnl| [vec![stays[0]; day.ml.len()], vec![stays[1]; day.baseline.len()]];
        sessions.iter().map(of_day).collect()
    });
    let welch_of = |measure, value: fn(&Traded) -> Option<f64>, figures: [Option<f64>; 2]| {
        let metric = Metric::blank(measure, Horizon::Fixed, "Welch t").with_figures(figures[0], figures[1]);
        metric.compared(welch(&ml.all(value), &baseline.all(value), level))
    };
    let mut metrics = vec![
        win_rate(ml, baseline, level, 1.0),
        welch_of(
            Measure::PnlPerSignal,
            |trade| Some(trade.pnl.unwrap_or(0.0)),
            [ml.figures.per_signal(), baseline.figures.per_signal()],
        ),
        welch_of(Measure::PnlPerTaken, |trade| trade.pnl, [ml.figures.per_taken(), baseline.figures.per_taken()]),
    ];
    let compared = Arms { sessions: &sessions, stay: stay.as_ref() };
    metrics.extend(risk(level, compared, options.resamples, options.seed));
    metrics.push(slippage(ml, baseline, level));
    metrics
}

fn periods(ml: &Side, baseline: &Side, options: &ImpactOptions) -> Vec<Metric> {
    let level = options.confidence;
    let effect = ml.effective().max(baseline.effective());
    let by_session = |measure, per_trade, figures: [Option<f64>; 2]| {
        let metric =
            Metric::blank(measure, Horizon::Fixed, "Welch t over sessions").with_figures(figures[0], figures[1]);
        metric.compared(of_sums(ml.mean(per_trade), baseline.mean(per_trade), level))
    };
    vec![
        win_rate(ml, baseline, level, effect),
        by_session(Measure::PnlPerSignal, false, [ml.figures.per_signal(), baseline.figures.per_signal()]),
        by_session(Measure::PnlPerTaken, true, [ml.figures.per_taken(), baseline.figures.per_taken()]),
        sharpe_apart(ml, baseline, options),
        drawdown_apart(ml, baseline, options),
        slippage(ml, baseline, level),
    ]
}

/// Two means whose sessions have nothing to do with each other, with the degrees of freedom of Welch and Satterthwaite.
fn of_sums(ml: Option<Sums>, baseline: Option<Sums>, level: f64) -> Option<Comparison> {
    let (ml, baseline) = (ml?, baseline?);
    let (va, vb) = (ml.standard_error()?.powi(2), baseline.standard_error()?.powi(2));
    let freedom =
        (va + vb).powi(2) / (va * va / (ml.sessions as f64 - 1.0) + vb * vb / (baseline.sessions as f64 - 1.0));
    with_error(ml.estimate()? - baseline.estimate()?, (va + vb).sqrt(), freedom, level)
}

const APART: &str = "stationary block bootstrap over the sessions of each period";

/// Each period resampled by itself, with blocks as long as its days ask for.
fn resamplings(ml: &Side, baseline: &Side, options: &ImpactOptions) -> [Resampling; 2] {
    let of = |side: &Side, seed| {
        let block = block_length(&side.daily()).unwrap_or(1.0);
        Resampling { block, resamples: options.resamples, seed }
    };
    [of(ml, options.seed), of(baseline, options.seed.wrapping_add(1))]
}

fn sharpe_apart(ml: &Side, baseline: &Side, options: &ImpactOptions) -> Metric {
    let (ml_days, baseline_days) = (ml.daily(), baseline.daily());
    let of = |days: &[f64]| sharpe(days, DAYS_PER_YEAR);
    let method = "studentised stationary bootstrap over the sessions of each period";
    let metric = Metric::blank(Measure::Sharpe, Horizon::Fixed, method).with_figures(of(&ml_days), of(&baseline_days));
    let [first, second] = resamplings(ml, baseline, options);
    let of_days = |days: &[f64]| days.iter().map(|pnl| Day { pnl: *pnl, extra: 0.0 }).collect::<Vec<_>>();
    let (ml_days, baseline_days) = (of_days(&ml_days), of_days(&baseline_days));
    let interval = studentised_apart((&ml_days, first), (&baseline_days, second), options.confidence);
    let interval = interval.and_then(|interval| interval.times(DAYS_PER_YEAR.sqrt()));
    Metric { interval, ..metric }
}

fn drawdown_apart(ml: &Side, baseline: &Side, options: &ImpactOptions) -> Metric {
    let sessions = |side: &Side| -> Vec<Vec<f64>> { side.days.keys().map(|day| side.session(day).0).collect() };
    let (ml_sessions, baseline_sessions) = (sessions(ml), sessions(baseline));
    let of = |sessions: &[Vec<f64>]| drawdown_per_signal(sessions.iter().map(Vec::as_slice));
    let (found, before) = (of(&ml_sessions), of(&baseline_sessions));
    let [first, second] = resamplings(ml, baseline, options);
    let replicate = |resampling: Resampling, sessions: &[Vec<f64>]| {
        let pick = |places: &[usize]| {
            drawdown_per_signal(places.iter().filter_map(|place| sessions.get(*place)).map(Vec::as_slice))
        };
        resampling.replicate(sessions.len(), pick)
    };
    let both = replicate(first, &ml_sessions).zip(replicate(second, &baseline_sessions));
    let (ratios, excess) = match &both {
        Some((a, b)) => (Some(a.with(b, ratio)), Some(a.with(b, |a, b| Some(a - b)))),
        None => (None, None),
    };
    Metric {
        ml: found,
        baseline: before,
        difference: found.zip(before).and_then(|(ml, baseline)| ratio(ml, baseline)),
        interval: ratios.and_then(|ratios| ratios.interval(options.confidence)),
        chance_worse: excess.and_then(|excess| excess.share_above(0.0)),
        ..Metric::blank(Measure::DrawdownRatio, Horizon::Fixed, APART)
    }
}
