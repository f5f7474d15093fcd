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
}
