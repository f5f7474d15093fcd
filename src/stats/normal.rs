//! The standard normal distribution.

/// Distribution function of the standard normal at `x`.
pub fn cdf(x: f64) -> f64 {
    0.5 * statrs::function::erf::erfc(-x / std::f64::consts::SQRT_2)
}
