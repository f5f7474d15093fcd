//! What is said about a column of training values, in a pass or two over it.

/// Mean and population standard deviation of `values`, each counting as often as `times` says, `total` in all.
pub(super) fn mean_and_deviation(values: &[f64], times: &[f64], total: f64) -> (f64, f64) {
    let mean = sum(values, times, |value, times| times * value) / total;
    let squares = sum(values, times, |value, times| {
        let deviation = value - mean;
        times * deviation * deviation
    });
    (mean, (squares / total).sqrt())
}

/// The least and the largest of `values`.
pub(super) fn extremes(values: &[f64]) -> Option<(f64, f64)> {
    let first = *values.first()?;
    let low = lanes(values, values, first, |low, value, _| if value < low { value } else { low });
    let high = lanes(values, values, first, |high, value, _| if value > high { value } else { high });
    Some((low.into_iter().fold(first, f64::min), high.into_iter().fold(first, f64::max)))
}

fn sum(values: &[f64], times: &[f64], of: impl Fn(f64, f64) -> f64) -> f64 {
    lanes(values, times, 0.0, |sum, value, times| sum + of(value, times)).into_iter().sum()
}

/// Sums that run beside each other, so that none waits for the one before. Their order is fixed: the same input gives the same
/// bits.
const LANES: usize = 8;

/// `add` over pairs of numbers in lanes that each begin with `start`.
fn lanes(left: &[f64], right: &[f64], start: f64, add: impl Fn(f64, f64, f64) -> f64) -> [f64; LANES] {
    let mut lanes = [start; LANES];
    let ((left, left_rest), (right, right_rest)) = (left.as_chunks::<LANES>(), right.as_chunks::<LANES>());
    for (left, right) in left.iter().zip(right) {
        for ((lane, left), right) in lanes.iter_mut().zip(left).zip(right) {
            *lane = add(*lane, *left, *right);
        }
    }
    for ((lane, left), right) in lanes.iter_mut().zip(left_rest).zip(right_rest) {
        *lane = add(*lane, *left, *right);
    }
    lanes
}

/// The `clip` quantile, below 0.5, the median and the 1 - `clip` quantile of the values of some rows: type 7. `order` has the rows
/// ascending by their `value`, `counts` how often each counts, 0 among them, and `known` is their sum. `None` of none.
pub(super) fn quantiles(
    order: &[u32],
    counts: &[u32],
    known: usize,
    clip: f64,
    value: impl Fn(u32) -> Option<f64>,
) -> Option<[f64; 3]> {
    let last = known.checked_sub(1)?;
    let place = |q: f64| {
        let place = q * last as f64;
        ((place as usize).min(last), place.fract())
    };
    let ((low, low_share), (middle, middle_share), (high, high_share)) = (place(clip), place(0.5), place(1.0 - clip));
    let up = |place: usize| neighbours(order.iter(), counts, place);
    let from_above = last - high;
    let high = match from_above.checked_sub(1) {
        Some(above) => neighbours(order.iter().rev(), counts, above).map(|(above, below)| (below, above)),
        None => neighbours(order.iter().rev(), counts, 0).map(|(highest, _)| (highest, highest)),
    };
    let between = |(below, above): (u32, u32), share: f64| {
        let (below, above) = (value(below)?, value(above)?);
        // from the nearer end, so that the result never leaves the two; as NumPy does
        Some(if share < 0.5 { below + (above - below) * share } else { above - (above - below) * (1.0 - share) })
    };
    Some([between(up(low)?, low_share)?, between(up(middle)?, middle_share)?, between(high?, high_share)?])
}

/// The row at a place of an order in which each counts as often as it says, and the row at the next place, itself where there is
/// none.
fn neighbours<'a>(order: impl Iterator<Item = &'a u32>, counts: &[u32], place: usize) -> Option<(u32, u32)> {
    let mut upto = 0;
    let mut order = order.map(|row| (*row, counts.get(*row as usize).map_or(0, |count| *count as usize)));
    let at = order.by_ref().find(|(_, count)| {
        upto += count;
        upto > place
    });
    let (at, _) = at?;
    let next = if upto > place + 1 { None } else { order.find(|(_, count)| *count > 0) };
    Some((at, next.map_or(at, |(row, _)| row)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(values: &[f64], counts: &[u32], clip: f64) -> Option<[f64; 3]> {
        let mut order: Vec<u32> = (0..values.len() as u32).collect();
        order.sort_by(|a, b| values[*a as usize].total_cmp(&values[*b as usize]));
        let known = counts.iter().map(|count| *count as usize).sum();
        quantiles(&order, counts, known, clip, |row| values.get(row as usize).copied())
    }

    #[test]
    fn quantiles_are_those_of_numpy() {
        // numpy.quantile([1, 2, 4, 8], [0, .1, .5, .9, .999, 1])
        for (clip, low, high) in [(0.0, 1.0, 8.0), (0.1, 1.3, 6.8), (0.001, 1.003, 7.988), (0.5, 3.0, 3.0)] {
            let found = found(&[4.0, 1.0, 8.0, 2.0], &[1; 4], clip).unwrap();
            let expected = [low, 3.0, high];
            assert!(found.iter().zip(expected).all(|(found, x)| (found - x).abs() < 1e-14), "{clip}: {found:?}");
        }
        assert_eq!((found(&[], &[], 0.1), found(&[3.0], &[0], 0.1)), (None, None));
        assert_eq!(found(&[3.0], &[2], 0.001), Some([3.0; 3]));
    }

    #[test]
    fn quantiles_are_those_of_the_sorted_values_whatever_the_length_and_the_repeats() {
        for n in (1..60_usize).chain([200, 1000, 30_000]) {
            let values: Vec<f64> = (0..n).map(|i| ((i * 37 + 11) % 1009) as f64 - 11.0).collect();
            for repeats in [|_| 1, |i: usize| (i * 7 % 4) as u32] {
                let counts: Vec<u32> = (0..n).map(|i| if n == 1 { 1 } else { repeats(i) }).collect();
                let mut sorted: Vec<f64> =
                    values.iter().zip(&counts).flat_map(|(x, n)| vec![*x; *n as usize]).collect();
                sorted.sort_by(f64::total_cmp);
                let last = sorted.len() - 1;
                for clip in [0.0, 0.001, 0.02, 0.25, 0.49] {
                    let at = |q: f64| {
                        let place = q * last as f64;
                        let (below, above) = (sorted[place as usize], sorted[(place as usize + 1).min(last)]);
                        below + (above - below) * place.fract()
                    };
                    let found = found(&values, &counts, clip).unwrap();
                    for (found, q) in found.into_iter().zip([clip, 0.5, 1.0 - clip]) {
                        assert!((found - at(q)).abs() < 1e-12, "{n} values, {q}: {found} is not {}", at(q));
                    }
                }
            }
        }
    }

    #[test]
    fn a_value_that_counts_twice_is_two_values() {
        let (values, twice) = ([1.0, 4.0, 9.0, -3.0, 0.5, 2.0, 7.0, 8.0, 11.0, -2.0], [1.0, 4.0, 4.0, 9.0, -3.0]);
        let plain = mean_and_deviation(&twice, &[1.0; 5], 5.0);
        let counted = mean_and_deviation(&[1.0, 4.0, 9.0, -3.0], &[1.0, 2.0, 1.0, 1.0], 5.0);
        assert!((plain.0 - counted.0).abs() < 1e-15 && (plain.1 - counted.1).abs() < 1e-15);
        assert_eq!((extremes(&values), extremes(&[])), (Some((-3.0, 11.0)), None));
    }
}
