//! Figures of a sequence of profits and losses, in the order in which they happened.

use super::describe::{mean, standard_deviation};

/// The deepest fall of the running sum of `pnl` below its highest point so far, as an amount of at least 0. The sum
/// starts at 0, so a first loss is a drawdown. `None` without values or with one that is not finite.
pub fn max_drawdown(pnl: &[f64]) -> Option<f64> {
    if pnl.is_empty() {
        return None;
    }
    let (mut equity, mut peak, mut deepest) = (0.0_f64, 0.0_f64, 0.0_f64);
    for result in pnl {
        equity += result;
        if !equity.is_finite() {
            return None;
        }
        peak = peak.max(equity);
        deepest = deepest.max(peak - equity);
    }
    Some(deepest)
}

/// What a trade brings on average: win rate x mean win - loss rate x mean loss, which is the mean of `pnl`.
/// `None` without values.
pub fn expectancy(pnl: &[f64]) -> Option<f64> {
    mean(pnl)
}

/// Sharpe ratio: mean over sample standard deviation, times the square root of `periods_per_year` (252 for daily
/// figures, 1 to leave it as it is). `None` below two values, without any deviation, or unless the number of periods is
/// above 0.
pub fn sharpe(pnl: &[f64], periods_per_year: f64) -> Option<f64> {
    let sd = standard_deviation(pnl).filter(|sd| *sd > 0.0)?;
    let ratio = mean(pnl)? / sd * periods_per_year.sqrt();
    (ratio.is_finite() && periods_per_year > 0.0).then_some(ratio)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawdown_is_measured_from_the_peak_and_from_the_start() {
        assert_eq!(max_drawdown(&[3.0, -2.0, 1.0, -4.0, 9.0]), Some(5.0));
        assert_eq!(max_drawdown(&[-2.0, 1.0]), Some(2.0));
        assert_eq!(max_drawdown(&[1.0, 2.0]), Some(0.0));
        assert_eq!((max_drawdown(&[]), max_drawdown(&[f64::NAN])), (None, None));
    }

    #[test]
    fn one_trade_or_equal_ones_have_no_sharpe_ratio() {
        assert_eq!((sharpe(&[1.0], 252.0), sharpe(&[0.1; 5], 252.0), sharpe(&[1.0, 2.0], 0.0)), (None, None, None));
    }
}
