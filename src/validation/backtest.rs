//! How far the policy's earnings can be believed, given everything that was tried.

use super::{example::Example, figures::daily_pnl, refit::Refit, report::Deflated};
use crate::stats::{
    describe::standard_deviation,
    overfit::{TrackRecord, deflated_sharpe, expected_max_sharpe, probabilistic_sharpe},
    risk::sharpe,
};

/// Thresholds that are tried beside the configured one, as distances from it.
const THRESHOLD_STEPS: [f64; 3] = [-0.05, 0.0, 0.05];

/// Daily pnl of every configuration on `rows`, each row judged by a model that had not seen it: taking every trade, and
/// each strength (whose scores are `scores`) at each threshold.
pub(super) fn trials(refit: &Refit<'_>, rows: &[usize], scores: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let offered: Vec<&Example> = refit.examples.pick(rows).collect();
    let middle = refit.options.policy.trade_threshold;
    let mut trials = vec![daily_pnl(&offered, &vec![true; offered.len()])];
    for scores in scores {
        let at = |step: f64| daily_pnl(&offered, &refit.taken(rows, scores, middle + step));
        trials.extend(THRESHOLD_STEPS.map(at));
    }
    trials
}

/// The policy's Sharpe ratio on `rows`, deflated for the number of configurations tried: those of earlier runs and the
/// `configurations` of this one.
///
/// The variance of the trials' ratios under chance comes from their spread in cross-validation, which is small where
/// trials are alike and so not really many. It is scaled from the days of the trials to those of the test, and a spread
/// beyond what chance allows for independent trials does not count: trials that differ in skill differ by more.
pub(super) fn deflate(
    refit: &Refit<'_>,
    rows: &[usize],
    scores: &[f64],
    trials: &[Vec<f64>],
    configurations: usize,
) -> Option<Deflated> {
    let offered: Vec<&Example> = refit.examples.pick(rows).collect();
    let taken = refit.taken(rows, scores, refit.options.policy.trade_threshold);
    let record = TrackRecord::of(&daily_pnl(&offered, &taken))?;
    let count = refit.options.trials.saturating_add(configurations).max(1);
    let ratios: Vec<f64> = trials.iter().filter_map(|trial| sharpe(trial, 1.0)).collect();
    let trial_days = trials.first().map_or(0, Vec::len).saturating_sub(1) as f64;
    let unlike = standard_deviation(&ratios).map_or(1.0, |deviation| (deviation.powi(2) * trial_days).min(1.0));
    let variance = unlike / (record.periods as f64 - 1.0);
    Some(Deflated {
        sharpe: record.sharpe,
        days: record.periods,
        trials: count,
        benchmark: expected_max_sharpe(variance, count)?,
        spread: record.spread()?,
        probabilistic: probabilistic_sharpe(&record, 0.0)?,
        deflated: deflated_sharpe(&record, variance, count)?,
    })
}
