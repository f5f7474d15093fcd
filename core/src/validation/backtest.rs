//! Whether following the model earns more than taking every trade, given how often the test part was looked at.

use super::{
    evidence::{Gain, MoneyGain},
    example::{Example, Examples},
    figures::daily_pnl,
    options::Look,
    refit::Refit,
};
use crate::stats::{association::correlation, bootstrap::Estimate, describe::mean, sharpe::sharpe_gain};

/// Thresholds that are tried beside the configured one, as distances from it.
const THRESHOLD_STEPS: [f64; 3] = [-0.05, 0.0, 0.05];
/// Place of the configured threshold among them.
const CONFIGURED: usize = 1;
/// Resamples of the days.
const RESAMPLES: usize = 2000;
/// Trading days of a year.
const DAYS_PER_YEAR: f64 = 252.0;

/// Daily pnl of every configuration on `rows`, each row judged by a model that had not seen it: taking every trade, and
/// each strength (whose scores are `scores`) at each threshold.
pub(super) fn trials(refit: &Refit<'_>, rows: &[usize], scores: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let offered: Vec<&Example> = refit.examples.pick(rows).collect();
    let middle = refit.options.policy.trade_threshold;
    let mut trials = vec![daily_pnl(&offered, &vec![1.0; offered.len()])];
    for scores in scores {
        let at = |step: f64| daily_pnl(&offered, &refit.sizes(rows, scores, middle + step));
        trials.extend(THRESHOLD_STEPS.map(at));
    }
    trials
}

/// The Sharpe ratio that the policy gained on `rows` over taking every trade, and how far it can be believed: `trials`
/// are those of [`trials`].
///
/// A version is one look at its test part. Settings that were chosen before it never saw it and do not count; what was
/// judged on it earlier does, by the share of these rows that it covered. A look by a recipe of the same kind counts as
/// far as it could have come out otherwise: one less the mean correlation between the gains of this recipe's own
/// settings. That is the effective number of independent trials of Lopez de Prado and Lewis (2019) where correlations
/// are all alike.
pub(super) fn gain(refit: &Refit<'_>, rows: &[usize], scores: &[f64], trials: &[Vec<f64>]) -> Option<Gain> {
    let offered: Vec<&Example> = refit.examples.pick(rows).collect();
    let sizes = refit.sizes(rows, scores, refit.options.policy.trade_threshold);
    let (policy, every) = (daily_pnl(&offered, &sizes), daily_pnl(&offered, &vec![1.0; offered.len()]));
    let found = sharpe_gain(&policy, &every, RESAMPLES, refit.options.seed)?;
    let likeness = likeness(trials);
    let looks = looks(refit.examples, rows, &refit.options.looks, likeness);
    let probability = found.confidence_above_zero()?;
    let year = DAYS_PER_YEAR.sqrt();
    Some(Gain {
        difference: found.value * year,
        error: found.error * year,
        days: policy.len(),
        blocks: found.blocks,
        probability,
        earlier: refit.options.looks.len(),
        likeness,
        looks,
        deflated: probability.powf(looks),
    })
}

/// What the policy made more on `rows` than taking every trade at the strategy's own size, per signal. A Sharpe ratio may rise while
/// the money falls: a policy that is small, or refuses what earns, risks less.
pub(super) fn money(refit: &Refit<'_>, rows: &[usize], scores: &[f64]) -> Option<MoneyGain> {
    let offered: Vec<&Example> = refit.examples.pick(rows).collect();
    let sizes = refit.sizes(rows, scores, refit.options.policy.trade_threshold);
    let more: Vec<f64> = sizes.iter().map(|size| size - 1.0).collect();
    let days = daily_pnl(&offered, &more);
    let found = Estimate::of(&days, RESAMPLES, refit.options.seed, |places| {
        mean(&places.iter().filter_map(|place| days.get(*place).copied()).collect::<Vec<f64>>())
    })?;
    let each = days.len() as f64 / offered.len() as f64;
    let probability = found.confidence_above_zero()?;
    Some(MoneyGain { per_signal: each * found.value, error: each * found.error, probability })
}

/// How many independent looks there were, this one included.
fn looks(examples: &Examples, rows: &[usize], earlier: &[Look], likeness: f64) -> f64 {
    let times: Vec<_> = examples.pick(rows).map(|example| example.life.at).collect();
    let covered = |look: &Look| match (look.from, look.to) {
        (Some(from), Some(to)) => {
            times.iter().filter(|at| (from..=to).contains(*at)).count() as f64 / times.len().max(1) as f64
        }
        // nobody knows which trades it was judged on: these, to be on the safe side
        _ => 1.0,
    };
    let weight = |look: &Look| covered(look) * if look.alike { 1.0 - likeness } else { 1.0 };
    1.0 + earlier.iter().map(weight).sum::<f64>()
}

/// Mean correlation between what the settings of a recipe gained over taking every trade, 0 to 1, each at the configured
/// threshold; 0 where nothing is known.
fn likeness(trials: &[Vec<f64>]) -> f64 {
    let Some((every, settings)) = trials.split_first() else { return 0.0 };
    let gains: Vec<Vec<f64>> = settings
        .iter()
        .skip(CONFIGURED)
        .step_by(THRESHOLD_STEPS.len())
        .map(|trial| trial.iter().zip(every).map(|(policy, every)| policy - every).collect())
        .collect();
    let pairs = gains.iter().enumerate().flat_map(|(place, a)| gains.iter().skip(place + 1).map(move |b| (a, b)));
    let all: Vec<f64> = pairs.filter_map(|(a, b)| correlation(a, b)).collect();
    mean(&all).map_or(0.0, |mean| mean.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_gain_on_the_same_days_are_hardly_two() {
        let every = vec![0.0; 6];
        let gain = |values: [f64; 6]| values.to_vec();
        let (a, b) = (gain([1.0, -1.0, 2.0, 0.0, 1.0, -3.0]), gain([-1.0, 3.0, 0.5, 2.0, 0.0, 1.0]));
        let trials = |second: &[f64]| {
            let noise = || gain([9.0, 1.0, -9.0, 4.0, 2.0, 7.0]);
            vec![every.clone(), noise(), a.clone(), noise(), noise(), second.to_vec(), noise()]
        };
        assert!((likeness(&trials(&a)) - 1.0).abs() < 1e-12);
        assert_eq!(likeness(&trials(&b)), 0.0, "what goes against each other is not less than two");
        assert_eq!((likeness(&[]), likeness(&[every])), (0.0, 0.0));
    }
}
