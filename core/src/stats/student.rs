//! Student's t distribution.

use statrs::function::beta::checked_beta_reg;

/// Chance that a t variable with `freedom` degrees of freedom is at least as far from 0 as `t`. `None` unless `freedom`
/// is above 0 and `t` is a number.
pub fn two_sided_p(t: f64, freedom: f64) -> Option<f64> {
    if !(freedom > 0.0 && freedom.is_finite()) || t.is_nan() {
        return None;
    }
    let ratio = freedom / (freedom + t * t);
    checked_beta_reg(freedom / 2.0, 0.5, ratio).ok()
}

/// The `t` that leaves `level` between -t and t. `None` unless 0 < `level` < 1 and `freedom` is above 0.
pub fn two_sided_quantile(level: f64, freedom: f64) -> Option<f64> {
    if !(level > 0.0 && level < 1.0) {
        return None;
    }
    let outside = 1.0 - level;
    let mut high = 1.0;
    while two_sided_p(high, freedom)? > outside {
        high *= 2.0;
        if high > 1e150 {
            return None;
        }
    }
    let mut low = 0.0;
    // each step halves the bracket: 80 of them end at the spacing of doubles
    for _ in 0..80 {
        let middle = 0.5 * (low + high);
        if two_sided_p(middle, freedom)? > outside { low = middle } else { high = middle }
    }
    Some(0.5 * (low + high))
}
