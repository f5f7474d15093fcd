//! Columns of training values: from rows to columns, and what is said about one in a few passes over it.

/// The inputs of checked rows, one after the other; NaN where one is missing, which no value is.
pub(super) fn columns(width: usize, rows: &[&[Option<f64>]]) -> Vec<f64> {
    let mut columns = vec![f64::NAN; width * rows.len()];
    for (place, row) in rows.iter().enumerate() {
        for (column, value) in columns.chunks_exact_mut(rows.len()).zip(row.iter()) {
            if let Some(value) = value {
                column[place] = *value;
            }
        }
    }
    columns
}

/// Mean and population standard deviation.
pub(super) fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let total = |lanes: [f64; LANES]| lanes.into_iter().sum::<f64>();
    let mean = total(lanes(values, 0.0, |sum, value| sum + value)) / n;
    let squares = |sum, value| {
        let deviation: f64 = value - mean;
        sum + deviation * deviation
    };
    (mean, (total(lanes(values, 0.0, squares)) / n).sqrt())
}

/// Sums that run beside each other, so that none waits for the one before. Their order is fixed: the same input gives the same
/// bits.
pub(super) const LANES: usize = 8;

/// `add` over the values in lanes that each begin with `start`.
pub(super) fn lanes(values: &[f64], start: f64, add: impl Fn(f64, f64) -> f64) -> [f64; LANES] {
    let mut lanes = [start; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = add(*lane, *value);
        }
    }
    for (lane, value) in lanes.iter_mut().zip(rest) {
        *lane = add(*lane, *value);
    }
    lanes
}

/// A whole number for each number that is none other's, in the order of [`f64::total_cmp`]: to choose among such is faster.
pub(super) fn key(value: f64) -> i64 {
    swapped(value.to_bits().cast_signed())
}

fn value(key: i64) -> f64 {
    f64::from_bits(swapped(key).cast_unsigned())
}

fn swapped(bits: i64) -> i64 {
    bits ^ ((bits >> 63).cast_unsigned() >> 1).cast_signed()
}

/// So few are looked for one by one.
const FEW: usize = 24;

/// The `count` least of `keys`, ascending: nearly all are no more than compared with the largest of them.
fn least(keys: impl Iterator<Item = i64>, count: usize) -> Vec<i64> {
    let (mut least, mut bound) = (Vec::with_capacity(count + 1), i64::MAX);
    for key in keys {
        if key < bound || least.len() < count {
            let place = least.partition_point(|other| *other <= key);
            least.insert(place, key);
            least.truncate(count);
            if least.len() == count {
                bound = least.last().copied().unwrap_or(bound);
            }
        }
    }
    least
}

/// The `clip` quantile, below 0.5, the median and the 1 - `clip` quantile of numbers given by their keys: type 7. `None` of
/// none. Reorders the keys: to choose a few of them is less work than to sort all.
pub(super) fn quantiles(keys: &mut [i64], clip: f64) -> Option<[f64; 3]> {
    let last = keys.len().checked_sub(1)?;
    let place = |q: f64| {
        let place = q * last as f64;
        ((place as usize).min(last), place.fract())
    };
    let ((low, low_share), (middle, middle_share), (high, high_share)) = (place(clip), place(0.5), place(1.0 - clip));
    let (before, at, after) = keys.select_nth_unstable(middle);
    let at = *at;
    let median = (at, after.iter().min().copied());
    // each other is among those before, or those after, or the median itself
    let low = match before {
        [_, ..] if low < middle && low < FEW => {
            let least = least(before.iter().copied(), low + 2);
            (*least.get(low)?, least.get(low + 1).copied().or(Some(at)))
        }
        [_, ..] if low < middle => {
            let (_, below, rest) = before.select_nth_unstable(low);
            (*below, rest.iter().min().copied().or(Some(at)))
        }
        _ => median,
    };
    let high = match high.checked_sub(middle + 1) {
        // turned around, the largest are the least
        Some(place) if place < after.len() && after.len() - place <= FEW => {
            let from_above = after.len() - 1 - place;
            let least = least(after.iter().map(|key| !key), from_above + 1);
            (!*least.get(from_above)?, from_above.checked_sub(1).and_then(|next| least.get(next)).map(|key| !key))
        }
        Some(place) if place < after.len() => {
            let (_, below, rest) = after.select_nth_unstable(place);
            (*below, rest.iter().min().copied())
        }
        _ => median,
    };
    let between = |(below, above): (i64, Option<i64>), share: f64| {
        let (below, above) = (value(below), value(above.unwrap_or(below)));
        // from the nearer end, so that the result never leaves the two; as NumPy does
        if share < 0.5 { below + (above - below) * share } else { above - (above - below) * (1.0 - share) }
    };
    Some([between(low, low_share), between(median, middle_share), between(high, high_share)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_numpy() {
        // numpy.quantile([1, 2, 4, 8], [0, .1, .5, .9, .999, 1])
        for (clip, low, high) in [(0.0, 1.0, 8.0), (0.1, 1.3, 6.8), (0.001, 1.003, 7.988), (0.5, 3.0, 3.0)] {
            let mut keys = [4.0, 1.0, 8.0, 2.0].map(key);
            let found = quantiles(&mut keys, clip).unwrap();
            let expected = [low, 3.0, high];
            assert!(found.iter().zip(expected).all(|(found, x)| (found - x).abs() < 1e-14), "{clip}: {found:?}");
        }
        assert_eq!((quantiles(&mut [], 0.1), quantiles(&mut [key(3.0)], 0.001)), (None, Some([3.0; 3])));
    }

    #[test]
    fn quantiles_are_those_of_the_sorted_values_whatever_the_length() {
        for n in (1..60_usize).chain([200, 1000, 30_000]) {
            let values: Vec<f64> = (0..n).map(|i| ((i * 37 + 11) % 1009) as f64 - 11.0).collect();
            let mut sorted = values.clone();
            sorted.sort_by(f64::total_cmp);
            for clip in [0.0, 0.001, 0.02, 0.25, 0.49] {
                let mut keys: Vec<i64> = values.iter().map(|value| key(*value)).collect();
                let at = |q: f64| {
                    let place = q * (n - 1) as f64;
                    let (below, above) = (sorted[place as usize], sorted[(place as usize + 1).min(n - 1)]);
                    below + (above - below) * place.fract()
                };
                let found = quantiles(&mut keys, clip).unwrap();
                for (found, q) in found.into_iter().zip([clip, 0.5, 1.0 - clip]) {
                    assert!((found - at(q)).abs() < 1e-12, "{n} values, {q}: {found}");
                }
            }
        }
        assert!([-2.0, -0.0, 0.0, 1e-300, 5.0].windows(2).all(|pair| key(pair[0]) < key(pair[1])));
        assert!([-2.5, 0.0, 1e300].into_iter().all(|number| value(key(number)) == number));
    }
}
