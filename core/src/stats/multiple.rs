//! Several tests at once.

/// Holm's step-down adjustment (1979): in the order of `p`, the smallest level at which each is significant while the
/// chance of any false finding stays at that level, whatever the dependence. `None` when one is not a probability.
pub fn holm(p: &[f64]) -> Option<Vec<f64>> {
    if !p.iter().all(|p| (0.0..=1.0).contains(p)) {
        return None;
    }
    let mut order: Vec<(usize, f64)> = p.iter().copied().enumerate().collect();
    order.sort_by(|a, b| a.1.total_cmp(&b.1));
    let mut adjusted = vec![1.0; p.len()];
    let mut floor = 0.0_f64;
    for (step, (place, p)) in order.into_iter().enumerate() {
        floor = floor.max(((adjusted.len() - step) as f64 * p).min(1.0));
        *adjusted.get_mut(place)? = floor;
    }
    Some(adjusted)
}

/// Benjamini and Hochberg's step-up adjustment (1995): in the order of `p`, the smallest share of false findings at which
/// each is found, for tests that are independent or go together. `None` when one is not a probability.
pub fn benjamini_hochberg(p: &[f64]) -> Option<Vec<f64>> {
    if !p.iter().all(|p| (0.0..=1.0).contains(p)) {
        return None;
    }
    let mut order: Vec<(usize, f64)> = p.iter().copied().enumerate().collect();
    order.sort_by(|a, b| b.1.total_cmp(&a.1));
    let mut adjusted = vec![1.0; p.len()];
    let mut ceiling = 1.0_f64;
    for (step, (place, p)) in order.into_iter().enumerate() {
        let rank = (adjusted.len() - step) as f64;
        ceiling = ceiling.min(p * adjusted.len() as f64 / rank);
        *adjusted.get_mut(place)? = ceiling;
    }
    Some(adjusted)
}

/// What Benjamini and Yekutieli multiply with for `tests` tests: 1 + 1/2 + ... + 1/`tests`.
pub fn harmonic(tests: usize) -> f64 {
    (1..=tests).map(|n| 1.0 / n as f64).sum()
}

/// Benjamini and Yekutieli's adjustment (2001): as [`benjamini_hochberg`], whatever the dependence of the tests. `None` when
/// one is not a probability.
pub fn benjamini_yekutieli(p: &[f64]) -> Option<Vec<f64>> {
    let factor = harmonic(p.len());
    Some(benjamini_hochberg(p)?.into_iter().map(|q| (q * factor).min(1.0)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_adjusted_value_is_never_below_a_smaller_one() {
        assert_eq!(holm(&[0.03, 0.01, 0.02]), Some(vec![0.04, 0.03, 0.04]));
        assert_eq!((holm(&[]), holm(&[0.5, f64::NAN]), holm(&[1.5])), (Some(Vec::new()), None, None));
    }

    #[test]
    fn a_finding_is_never_adjusted_above_a_larger_one() {
        assert_eq!(benjamini_hochberg(&[0.03, 0.01, 0.5]), Some(vec![0.045, 0.03, 0.5]));
        assert_eq!(benjamini_hochberg(&[0.04, 0.04]), Some(vec![0.04, 0.04]));
        assert_eq!((benjamini_hochberg(&[]), benjamini_hochberg(&[0.5, f64::NAN])), (Some(Vec::new()), None));
    }

    #[test]
    fn whatever_the_dependence_a_finding_costs_more() {
        // statsmodels 0.14: multipletests([.001, .008, .039, .041, .9], method="fdr_by")[1]
        let expected = [
            0.011_416_666_666_666_665,
            0.045_666_666_666_666_66,
            0.117_020_833_333_333_32,
            0.117_020_833_333_333_32,
            1.0,
        ];
        let found = benjamini_yekutieli(&[0.001, 0.008, 0.039, 0.041, 0.9]).unwrap();
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}");
        assert_eq!(benjamini_yekutieli(&[f64::NAN]), None);
    }
}
