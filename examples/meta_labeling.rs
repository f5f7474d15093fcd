//! The published test bench of meta-labeling: what a second model makes of a strategy that earns nothing.
//!
//! After Joubert (2022), "Meta-Labeling: Theory and Framework", and Thumm, Barucca and Joubert (2022), "Ensemble
//! Meta-Labeling", both Journal of Financial Data Science 4: daily returns of an autoregression of order 3 whose signs turn in
//! every fifth stretch of 30 days, and also in every fifth of the others, with twice the noise. The strategy is long after a
//! day that rose. The second model sees the last three returns, and in the second half of the table also which kind of
//! stretch it was five days ago. 10,000 days, the last 40 % of the trades for the test.
//!
//! `cargo run --release --example meta_labeling -- [RUNS] [KIND...]`
#![expect(clippy::unwrap_used, reason = "the configuration that is compiled in can be read")]

use std::{env, error::Error};

use jiff::{SignedDuration, civil, tz::TimeZone};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use vigie::{
    config::Config,
    domain::{Timestamp, TradingCalendar},
    features::{DesignOptions, Scaling, row::Schema},
    models::{
        Kind, Solver, Target, TradePolicy,
        levels::{Level, Thresholds},
        sizing::Sizing,
    },
    validation::{
        Candidate, Example, Examples, Goal, Life, Recipe, ValidationOptions, ValidationReport,
        baselines::{BaselineModel, BaselineModels},
        options::Effort,
        validate_subject,
    },
};

/// Days of a run, and of a stretch.
const DAYS: usize = 10_000;
const STRETCH: usize = 30;
/// Standard deviation of a day.
const NOISE: f64 = 0.014_543_365_294_448_746;
const COEFFICIENTS: [f64; 3] = [0.25, -0.20, 0.35];
const DRIFT_TURNED: f64 = -0.0001;
/// The returns that each stretch begins after.
const BEFORE: [f64; 3] = [0.032, 0.020, -0.042];
const SWITCH: f64 = 0.2;
/// Days by which the kind of stretch is known late.
const LAG: usize = 5;
/// Inputs of the schema, besides the confidence.
const INPUTS: usize = 12;
const TRADING_DAYS: f64 = 252.0;
const KINDS: [Kind; 4] = [Kind::Logistic, Kind::RandomForest, Kind::ExtraTrees, Kind::Boosting];
const STRENGTHS: [f64; 3] = [1.0, 10.0, 100.0];
const LEAVES: [f64; 3] = [40.0, 80.0, 160.0];

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = env::args().skip(1).collect();
    let runs: u64 = words.first().map_or(Ok(50), |count| count.parse())?;
    let kinds: Vec<Kind> = words.iter().skip(1).filter_map(|name| Kind::named(name)).collect();
    let kinds = if kinds.is_empty() { KINDS.to_vec() } else { kinds };
    println!("{runs} runs; intervals are 95 %\n");
    println!("| kind | regime | Sharpe ratio | primary alone | deployable | hard conditions not passed |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for regime in [false, true] {
        for kind in &kinds {
            let (mut with, mut alone, mut deployable) = (Vec::new(), Vec::new(), 0);
            let mut failed = std::collections::BTreeMap::<String, usize>::new();
            for seed in 1..=runs {
                let (examples, test_days) = market(seed, regime)?;
                let report = judged(*kind, &examples)?;
                let policy = report.evidence.policy.map_or(0.0, |policy| policy.sharpe.unwrap_or_default());
                let every = report.evidence.every_trade.map_or(0.0, |every| every.sharpe.unwrap_or_default());
                let days = report.evidence.parts.test_days as f64 / test_days;
                // published over all days, those without a signal too; a report has those with one
                with.push(over_all_days(policy, days));
                alone.push(over_all_days(every, days));
                deployable += usize::from(report.is_deployable());
                report.failed_gates().for_each(|check| *failed.entry(check.part.to_string()).or_default() += 1);
            }
            let failed: Vec<String> = failed.iter().map(|(part, count)| format!("{part} {count}")).collect();
            let (low, high) = wilson(deployable, runs);
            println!(
                "| {kind} | {} | {} | {} | {deployable} of {runs} ({low:.0} to {high:.0} %) | {} |",
                if regime { "yes" } else { "no" },
                interval(&with),
                interval(&alone),
                failed.join(", ")
            );
        }
    }
    Ok(())
}

/// A Sharpe ratio over days of which only `share` had a signal, the others 0: the mean shrinks by that share, the mean
/// square too.
fn over_all_days(sharpe: f64, share: f64) -> f64 {
    let ratio = sharpe / TRADING_DAYS.sqrt();
    let (mean, square) = (share * ratio, share * (1.0 + ratio * ratio));
    mean / (square - mean * mean).sqrt() * TRADING_DAYS.sqrt()
}

/// The trades of one run, and the days that its test part spans.
fn market(seed: u64, regime: bool) -> Result<(Examples, f64), Box<dyn Error>> {
    let mut rng = Pcg64::seed_from_u64(seed);
    let (mut returns, mut turned) = (Vec::with_capacity(DAYS), Vec::with_capacity(DAYS));
    for _ in 0..DAYS / STRETCH {
        let (other, loud) = (rng.random::<f64>() < SWITCH, rng.random::<f64>() < SWITCH);
        let (is_turned, noise) = (other || loud, if loud && !other { 2.0 * NOISE } else { NOISE });
        let sign = if is_turned { -1.0 } else { 1.0 };
        let drift = if is_turned { DRIFT_TURNED } else { 0.0 };
        let mut last = BEFORE;
        for _ in 0..STRETCH {
            let foretold: f64 = COEFFICIENTS.iter().zip(last).map(|(weight, past)| sign * weight * past).sum();
            let today = drift + foretold + noise * normal(&mut rng);
            last = [today, last[0], last[1]];
            returns.push(today);
            turned.push(if is_turned { 1.0 } else { 0.0 });
        }
    }
    let calendar = TradingCalendar::new(TimeZone::UTC, civil::time(0, 0, 0, 0));
    let start: Timestamp = "1990-01-01T00:10:00Z".parse()?;
    let signals: Vec<usize> = (LAG + 2..returns.len() - 1).filter(|day| returns[*day] > 0.0).collect();
    let row = |day: &usize| {
        let at = start + SignedDuration::from_hours(24 * *day as i64);
        let exit_at = at + SignedDuration::from_hours(23);
        let next = returns[day + 1];
        let mut values = vec![Some(returns[*day]), Some(returns[day - 1]), Some(returns[day - 2])];
        values.extend(regime.then(|| Some(turned[day - LAG])));
        values.resize(INPUTS, None);
        values.push(Some(0.5));
        Example {
            values,
            life: Life { at, exit_at, known_at: exit_at },
            truth: if next >= 0.0 { 1.0 } else { 0.0 },
            pnl: 10_000.0 * next,
            confidence: Some(0.5),
            heard: false,
            volatility: None,
            trend: None,
            day: calendar.day_of(exit_at),
        }
    };
    let test_from = signals[signals.len() - (signals.len() as f64 * 0.4).round() as usize];
    let test_days = (returns.len() - 1 - test_from) as f64;
    let examples = Examples::new(Goal::Profitability, Schema::new(&[])?, signals.iter().map(row).collect())?;
    Ok((examples, test_days))
}

/// The gate as a training has it, with models of the levels below; repeats are few where they do not decide. The policy is
/// the published one: a trade is taken at a probability of at least one half.
fn judged(kind: Kind, examples: &Examples) -> Result<ValidationReport, Box<dyn Error>> {
    let design = DesignOptions {
        scaling: Scaling::Standardise,
        clip_quantile: 0.001,
        indicator_min_missing: 0.01,
        max_missing: 0.99,
        fill_max_age_hours: 23.0,
        interactions: Vec::new(),
        extra: Vec::new(),
        derived: Vec::new(),
        carry: Default::default(),
    };
    let strengths = if kind.is_linear() { STRENGTHS } else { LEAVES };
    let mut options = ValidationOptions {
        effort: Effort { bootstrap: 3, null: 200, importance: 2, blocks: 8 },
        strengths: strengths.to_vec(),
        policy: TradePolicy { blend_weight: 1.0, trade_threshold: 0.5, sizing: Sizing::UNIT },
        ..Config::builtin().unwrap().validation.clone()
    };
    (options.splits.test_share, options.splits.steps, options.splits.groups) = (0.4, 3, 4);
    (options.splits.judged_groups, options.splits.folds) = (1, 4);
    let recipe = Recipe { kind, target: Target::Profitability, solver: Solver::Newton, design: &design, seed: 7 };
    let fitter = recipe.fitter();
    let (linear, forest) =
        (Recipe { kind: Kind::Logistic, ..recipe }.fitter(), Recipe { kind: Kind::RandomForest, ..recipe }.fitter());
    let level = kind.level();
    let mut below = Vec::new();
    if level > Level::Linear {
        below.push(BaselineModel { level: Level::Linear, fitter: &linear, strengths: &STRENGTHS });
    }
    if level > Level::RandomForest {
        below.push(BaselineModel { level: Level::RandomForest, fitter: &forest, strengths: &LEAVES });
    }
    let baselines = (!below.is_empty()).then_some(BaselineModels { level, thresholds: Thresholds::default(), below });
    let subject = Candidate { fitter: &fitter, given: None, baselines };
    Ok(validate_subject(examples, subject, &options, &mut |_, _| ())?)
}

fn interval(values: &[f64]) -> String {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
    format!("{mean:.2} +- {:.2}", 1.96 * (variance / n).sqrt())
}

/// Wilson's interval of a share, in per cent.
fn wilson(hits: usize, runs: u64) -> (f64, f64) {
    let (n, z) = (runs as f64, 1.96_f64);
    let p = hits as f64 / n;
    let centre = (p + z * z / (2.0 * n)) / (1.0 + z * z / n);
    let half = z / (1.0 + z * z / n) * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    (100.0 * (centre - half), 100.0 * (centre + half))
}

/// Box and Muller.
fn normal(rng: &mut Pcg64) -> f64 {
    let (a, b) = (1.0 - rng.random::<f64>(), rng.random::<f64>());
    (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos()
}
