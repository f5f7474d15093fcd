//! How far a single row lies from what a model has learnt from.

use serde::{Deserialize, Serialize};

use super::reference::Reference;

/// Share of missing values in a reference below which a missing value is unusual.
const RARELY_MISSING: f64 = 0.01;

/// A row against the references of its columns.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Novelty {
    /// Share of the columns whose value lies outside the middle 99 % of its reference, or is missing where it hardly ever
    /// was. A row like those of the reference has about 0.01.
    pub outside: f64,
    /// The largest distance from a reference's mean, in its standard deviations. `None` when no value has one.
    pub furthest: Option<f64>,
}

impl Novelty {
    /// Measures `row`, column by column. `None` without columns, or when their numbers differ.
    pub fn of(references: &[Reference], row: &[Option<f64>]) -> Option<Self> {
        (!row.is_empty() && references.len() == row.len()).then_some(())?;
        let (mut unusual, mut furthest) = (0_usize, None::<f64>);
        for (reference, value) in references.iter().zip(row) {
            let Some(value) = value.filter(|value| value.is_finite()) else {
                unusual += usize::from(reference.missing() < RARELY_MISSING);
                continue;
            };
            unusual += usize::from(reference.is_unusual(value));
            if reference.sd() > 0.0 {
                let distance = (value - reference.mean()).abs() / reference.sd();
                furthest = Some(furthest.map_or(distance, |other| other.max(distance)));
            }
        }
        Some(Self { outside: unusual as f64 / row.len() as f64, furthest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_the_reference_is_no_news_and_one_far_away_is() {
        let full = Reference::of((0..1000).map(|n| Some(f64::from(n)))).unwrap();
        let gappy = Reference::of((0..1000).map(|n| (n % 2 == 0).then_some(f64::from(n % 5)))).unwrap();
        let constant = Reference::of([3.0; 5].map(Some)).unwrap();
        let references = [full.clone(), gappy, constant];
        let usual = Novelty::of(&references, &[Some(499.5), None, Some(3.0)]).unwrap();
        assert_eq!((usual.outside, usual.furthest), (0.0, Some(0.0)));
        let odd = Novelty::of(&references, &[Some(499.5 + 5.0 * full.sd()), Some(9.0), Some(4.0)]).unwrap();
        assert_eq!(odd.outside, 1.0);
        assert!(odd.furthest.unwrap() > 4.9, "{odd:?}");
        assert!(Novelty::of(&references, &[None, None, None]).unwrap().outside > 0.6);
        assert_eq!((Novelty::of(&references, &[None]), Novelty::of(&[], &[])), (None, None));
    }
}
