//! Figures that describe a set of numbers.
//!
//! All give `None` for what is not defined: no numbers, too few of them, or a result that is not finite (which is also
//! how a NaN or an infinity among the numbers shows).

/// Arithmetic mean. `None` without values.
pub fn mean(values: &[f64]) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    finite(values.iter().sum::<f64>() / values.len() as f64)
}

/// Sample standard deviation, with n - 1 in the denominator. `None` below two values; exactly 0 when all are equal.
pub fn standard_deviation(values: &[f64]) -> Option<f64> {
    let (first, rest) = values.split_first()?;
    if rest.is_empty() {
        return None;
    }
    let mean = mean(values)?;
    if rest.iter().all(|value| value == first) {
        return Some(0.0); // the mean of equal numbers may miss them by a rounding
    }
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    finite((squares / (values.len() - 1) as f64).sqrt())
}

/// The `q`-quantile by linear interpolation between order statistics (type 7 of Hyndman and Fan 1996, the default of
/// NumPy and R). `values` need not be sorted. `None` without values, with one that is not finite, or unless
/// 0 <= `q` <= 1.
pub fn quantile(values: &[f64], q: f64) -> Option<f64> {
    if !(0.0..=1.0).contains(&q) || !values.iter().all(|value| value.is_finite()) {
        return None;
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let position = q * sorted.len().checked_sub(1)? as f64;
    let below = *sorted.get(position.floor() as usize)?;
    let above = *sorted.get(position.ceil() as usize)?;
    finite(below + (above - below) * position.fract())
}

fn finite(x: f64) -> Option<f64> {
    x.is_finite().then_some(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_defined_is_none() {
        assert_eq!((mean(&[]), standard_deviation(&[]), quantile(&[], 0.5)), (None, None, None));
        assert_eq!(standard_deviation(&[1.0]), None);
        assert_eq!((mean(&[f64::NAN]), standard_deviation(&[1.0, f64::INFINITY])), (None, None));
        assert_eq!((quantile(&[1.0], 1.1), quantile(&[1.0], f64::NAN), quantile(&[f64::NAN], 0.5)), (None, None, None));
    }

    #[test]
    fn equal_numbers_do_not_deviate_at_all() {
        assert_eq!(standard_deviation(&[0.1; 10]), Some(0.0));
    }
}
