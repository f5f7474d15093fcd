//! The logistic function and its relatives, in forms that neither overflow nor cancel.

/// 1 / (1 + exp(-x)), between 0 and 1 for every `x` but NaN.
pub fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 {
        1.0 / (1.0 + (-x).exp())
    } else {
        let e = x.exp();
        e / (1.0 + e)
    }
}

/// ln(1 + exp(x)): the log loss of a linear predictor `-x` on a won trade, or `x` on a lost one.
pub fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// Share beyond which [`clipped_logit`] tells probabilities no longer apart.
const CLIP: f64 = 1e-6;

/// ln(p / (1 - p)) of a probability, which is first brought between 1e-6 and 1 - 1e-6, so that one certain score does not
/// outweigh all others.
pub fn clipped_logit(p: f64) -> f64 {
    let p = p.clamp(CLIP, 1.0 - CLIP);
    p.ln() - (-p).ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_logit_is_the_inverse_of_the_sigmoid_as_far_as_it_is_not_clipped() {
        for x in [-13.0, -1.5, -1e-9, 0.0, 0.3, 12.0] {
            assert!((clipped_logit(sigmoid(x)) - x).abs() < 1e-9, "{x}");
        }
        assert_eq!(clipped_logit(0.0), clipped_logit(1e-7));
        assert!(clipped_logit(1.0).is_finite() && clipped_logit(f64::NAN).is_nan());
    }

    #[test]
    fn the_ends_are_reached_without_overflow() {
        assert_eq!((sigmoid(1e308), sigmoid(-1e308), sigmoid(0.0)), (1.0, 0.0, 0.5));
        assert_eq!((softplus(1e308), softplus(-1e308)), (1e308, 0.0));
        assert!((softplus(0.0) - std::f64::consts::LN_2).abs() < 1e-16);
        // far out only the exponential is left
        assert!((sigmoid(-700.0) / (-700f64).exp() - 1.0).abs() < 1e-15);
    }
}
