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

/// exp(x) of an `x` of at most 0, within 2 units of the last place; below -708, where it is under 4e-308, that of -708. Made
/// of multiplications and additions alone, so that a compiler works on several at a time, and the bits are those of every machine.
#[inline(always)]
pub fn exp_of_negative(x: f64) -> f64 {
    const ROUND: f64 = 6_755_399_441_055_744.0; // 1.5 * 2^52: what is added to it loses its fraction
    const LN_2_HIGH: f64 = 6.931_471_803_691_238e-1;
    const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    // 1 / n!, from 13 down
    const TERMS: [f64; 13] = [
        1.0 / 6_227_020_800.0,
        1.0 / 479_001_600.0,
        1.0 / 39_916_800.0,
        1.0 / 3_628_800.0,
        1.0 / 362_880.0,
        1.0 / 40_320.0,
        1.0 / 5_040.0,
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
    ];
    // written so that NaN stays
    let x = if x < -708.0 { -708.0 } else { x };
    let shifted = x.mul_add(std::f64::consts::LOG2_E, ROUND);
    let twos = shifted - ROUND;
    let rest = (-twos).mul_add(LN_2_LOW, (-twos).mul_add(LN_2_HIGH, x));
    let power = TERMS.iter().fold(0.0_f64, |sum, term| sum.mul_add(rest, *term)).mul_add(rest, 1.0);
    // times 2^twos: the last bits of `shifted` are that number, and belong into the exponent
    f64::from_bits(power.to_bits().wrapping_add(shifted.to_bits() << 52))
}

/// ln(1 + x) of an `x` of 0 to 1, within 2 units of the last place: 2 atanh(x / (2 + x)) by its series. Made like
/// [`exp_of_negative`], and as fast.
#[inline(always)]
pub fn ln_1p_of_share(x: f64) -> f64 {
    const TERMS: usize = 17;
    let ratio = x / (2.0 + x);
    let square = ratio * ratio;
    // 1 / (2n + 1), from the last down; the first is 1
    let rest = (1..=TERMS).rev().fold(0.0_f64, |sum, n| sum.mul_add(square, 1.0 / (2 * n + 1) as f64));
    2.0 * ratio * rest.mul_add(square, 1.0)
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
    fn the_exponential_of_what_is_negative_is_right_to_the_last_places() {
        let mut worst = 0.0_f64;
        for step in 0..200_000 {
            let x = -708.0 * (f64::from(step) / 200_000.0).powi(3);
            worst = worst.max((exp_of_negative(x) / x.exp() - 1.0).abs());
        }
        assert!(worst < 4.5e-16, "{worst:e}");
        assert_eq!((exp_of_negative(0.0), exp_of_negative(-0.0)), (1.0, 1.0));
        assert!(exp_of_negative(f64::NEG_INFINITY) < 4e-308 && exp_of_negative(f64::NAN).is_nan());
    }

    #[test]
    fn the_logarithm_of_one_and_a_share_is_right_to_the_last_places() {
        let mut worst = 0.0_f64;
        for step in 1..=200_000 {
            let x = (f64::from(step) / 200_000.0).powi(5);
            worst = worst.max((ln_1p_of_share(x) / x.ln_1p() - 1.0).abs());
        }
        assert!(worst < 4.5e-16, "{worst:e}");
        assert_eq!((ln_1p_of_share(0.0), ln_1p_of_share(1e-300)), (0.0, 1e-300));
        assert!(ln_1p_of_share(f64::NAN).is_nan());
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
