//! The planted relation: which log-odds of a profit follow from the inputs of a signal.
//!
//! It is a logistic model on the inputs as a model sees them, turned to the side of the trade, before anything is lost
//! on the way. So a logistic fit on enough trades finds these slopes again, and nothing can foretell better than they.
#![deny(clippy::indexing_slicing)]

use serde::Serialize;

use vigie_core::{features::row::BUILT_IN, stats::logit::sigmoid};

/// Slopes at edge 1, in the order of the inputs: the twelve features and the confidence.
const PLANTED: [f64; BUILT_IN] = [0.9, 1.2, 0.35, -1.0, -0.9, 0.0, 3.0, 1.6, -2.0, 0.0, -0.8, 0.8, 2.5];

/// Where [`PLANTED`] goes when the market turns: what follows the flow of the day loses its sense and then some, the
/// rest stays.
const TURNED: [f64; BUILT_IN] = [-0.9, 1.2, -0.35, -1.0, -0.9, 0.0, 3.0, -1.6, -2.0, 0.0, -0.8, -0.8, 2.5];

/// Where each input lies on average, so that the strength of the edge leaves the share of wins alone.
const CENTRES: [f64; BUILT_IN] = [0.55, 0.08, 0.53, 0.44, 0.53, 0.95, 0.49, 0.0, 0.19, 0.68, 0.03, 0.38, 0.61];

/// The relation that holds on one day.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Relation {
    /// Log-odds of a profit where every input is at its centre.
    pub base: f64,
    /// One slope per input: the twelve features, then the confidence.
    pub slopes: [f64; BUILT_IN],
}

impl Relation {
    /// The planted slopes times `edge`, gone `turned` (0 to 1) of the way to those of a market that turned.
    pub fn new(base: f64, edge: f64, turned: f64) -> Self {
        let mut slopes = PLANTED;
        for (slope, other) in slopes.iter_mut().zip(TURNED) {
            *slope = edge * (*slope + turned * (other - *slope));
        }
        Self { base, slopes }
    }

    /// Log-odds of a profit for `inputs`, which are turned to the side of the trade. One that is unknown to the market
    /// itself counts as its centre.
    pub fn log_odds(&self, inputs: &[Option<f64>]) -> f64 {
        let terms = self.slopes.iter().zip(inputs).zip(CENTRES);
        self.base + terms.map(|((slope, x), centre)| slope * (x.unwrap_or(centre) - centre)).sum::<f64>()
    }

    /// Probability of a profit for `inputs`.
    pub fn probability(&self, inputs: &[Option<f64>]) -> f64 {
        sigmoid(self.log_odds(inputs))
    }

    /// Log-odds of a profit where every input is 0: what a fit on raw inputs finds as its intercept.
    pub fn intercept(&self) -> f64 {
        self.log_odds(&[Some(0.0); BUILT_IN])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_edge_scales_the_slopes_and_a_turn_leads_from_one_set_to_the_other() {
        let whole = Relation::new(0.3, 1.0, 0.0);
        assert_eq!((whole.slopes, Relation::new(0.3, 1.0, 1.0).slopes), (PLANTED, TURNED));
        let none = Relation::new(0.3, 0.0, 0.4);
        assert_eq!((none.log_odds(&[Some(9.0); BUILT_IN]), none.intercept()), (0.3, 0.3));
        assert_eq!(Relation::new(0.0, 2.0, 0.5).slopes[7], 0.0);
        // at the centres, and where nothing is known, the edge says nothing
        assert_eq!(whole.log_odds(&CENTRES.map(Some)), 0.3);
        assert_eq!(whole.log_odds(&[None; BUILT_IN]), 0.3);
    }
}
