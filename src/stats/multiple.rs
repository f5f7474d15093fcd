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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_adjusted_value_is_never_below_a_smaller_one() {
        assert_eq!(holm(&[0.03, 0.01, 0.02]), Some(vec![0.04, 0.03, 0.04]));
        assert_eq!((holm(&[]), holm(&[0.5, f64::NAN]), holm(&[1.5])), (Some(Vec::new()), None, None));
    }
}
