//! Numbers and inputs that a script can draw as well.

use ndarray::Array2;

/// SplitMix64, as in the scripts of `tests/fixtures/models`.
pub fn uniform(seed: u64, place: u64) -> f64 {
    let mut number = place.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(seed);
    number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((number ^ (number >> 31)) >> 11) as f64 * 2.0_f64.powi(-53)
}

/// The number of row `i` in column `j`; after the twelve inputs there is one for the label.
pub fn cell(seed: u64, i: usize, j: usize) -> f64 {
    uniform(seed, (i * 13 + j + 1) as u64)
}

/// Twelve columns between -2 and 2.
pub fn inputs(seed: u64, rows: usize) -> Array2<f64> {
    Array2::from_shape_fn((rows, 12), |(i, j)| 4.0 * cell(seed, i, j) - 2.0)
}
