//! Whether the arms of an experiment get the trades they should, looked at as often as one likes.
//!
//! A test for one look, as Pearson's chi-square, taken again at every session stops sound experiments many times as often
//! as its level says. Here a bet is laid instead. Each alternative says that one arm records only a part of its trades,
//! which multiplies the odds of the ML arm by r whatever the allocation is: a trade with the chance q of the ML arm then
//! goes there with chance q r / (q r + 1 - q). The product over the trades of that chance over the planned one, averaged
//! over the alternatives, is a martingale with mean 1 as long as the plan holds, so by Ville's inequality it ever exceeds
//! 1/level with a chance of at most the level: 1 over the largest value so far is a p-value at all looks together. This
//! is the sequential multinomial test of Lindon and Malek, "Anytime-valid inference for multinomial count data" (NeurIPS
//! 2022), for two arms, with a discrete mixture over the odds in the place of the Beta: the alternatives are the same
//! while the allocation changes, and no trades are lost to a start again.

use serde::{Deserialize, Serialize};

use super::interval::Test;

/// What the alternatives multiply the odds of the ML arm by: one arm keeps 98, 95, 90, 80, 65, 40 or 10 % of its trades. An
/// arm that loses less than half of what the mildest of them says is never noticed, however long it lasts.
const ODDS: [f64; 14] =
    [0.98, 0.95, 0.9, 0.8, 0.65, 0.4, 0.1, 1.0 / 0.98, 1.0 / 0.95, 1.0 / 0.9, 1.25, 1.0 / 0.65, 2.5, 10.0];

/// The trades of an experiment that chance gave to its arms, and the test of whether it did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct SampleRatio {
    trades: u64,
    in_ml: u64,
    expected: f64,
    /// Of each alternative, the logarithm of its likelihood over that of the plan.
    logs: [f64; ODDS.len()],
    /// The largest logarithm of their mean so far, at least 0.
    largest: f64,
}

impl SampleRatio {
    /// A trade that had the chance `allocation` of the ML arm. One that was not left to chance, with a chance that is not
    /// above 0 and below 1, changes nothing.
    pub fn add(&mut self, in_ml: bool, allocation: f64) {
        if !(allocation > 0.0 && allocation < 1.0) {
            return;
        }
        self.trades += 1;
        self.in_ml += u64::from(in_ml);
        self.expected += allocation;
        for (log, odds) in self.logs.iter_mut().zip(ODDS) {
            let arm = if in_ml { odds.ln() } else { 0.0 };
            *log += arm - (allocation * (odds - 1.0)).ln_1p();
        }
        let most = self.logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = self.logs.iter().map(|log| (log - most).exp()).sum();
        self.largest = self.largest.max(most + (sum / ODDS.len() as f64).ln());
    }

    /// How many trades went to the ML arm.
    pub fn in_ml(&self) -> u64 {
        self.in_ml
    }

    /// How many should have.
    pub fn expected(&self) -> f64 {
        self.expected
    }

    /// Whether that is as planned. The statistic is the largest ratio of the likelihoods so far, at least 1; p holds over
    /// all looks together and never rises. `None` before the first trade.
    pub fn test(&self) -> Option<Test> {
        (self.trades > 0).then(|| Test { statistic: self.largest.exp(), p: (-self.largest).exp() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(trades: impl IntoIterator<Item = (bool, f64)>) -> SampleRatio {
        let mut ratio = SampleRatio::default();
        trades.into_iter().for_each(|(in_ml, allocation)| ratio.add(in_ml, allocation));
        ratio
    }

    #[test]
    fn the_statistic_has_mean_one_over_all_ways_that_chance_may_go_while_the_allocation_changes() {
        // its largest value is what is kept; over one trade nothing else can have been larger than the last
        let allocations = [0.5, 0.1, 0.9, 0.5, 0.3];
        let mut mean = 0.0;
        for way in 0..1_u32 << allocations.len() {
            let arms = allocations.iter().enumerate().map(|(place, share)| (way >> place & 1 == 1, *share));
            let chance: f64 = arms.clone().map(|(in_ml, share)| if in_ml { share } else { 1.0 - share }).product();
            let ratio = of(arms);
            mean += chance * ratio.logs.iter().map(|log| log.exp()).sum::<f64>() / ODDS.len() as f64;
        }
        assert!((mean - 1.0).abs() < 1e-12, "{mean}");
    }

    #[test]
    fn three_trades_where_eleven_should_be_are_no_proof_and_an_arm_without_any_soon_is() {
        // chi-square says p 6.5e-4 here, by approximation, and would have been looked at before
        let few = of((0..22).map(|n| (n % 7 == 0 && n < 15, 0.5)));
        assert_eq!((few.in_ml(), few.expected()), (3, 11.0));
        assert!(few.test().unwrap().p > 0.005, "{few:?}");
        let none = |n| of((0..n).map(|_| (false, 0.5))).test().unwrap().p;
        assert!(none(12) > 0.001 && none(20) < 0.001, "{} {}", none(12), none(20));
    }

    #[test]
    fn it_never_forgets_and_what_is_not_left_to_chance_says_nothing() {
        let lost = of((0..20).map(|_| (false, 0.5)));
        let mut later = lost;
        (0..20).for_each(|_| later.add(true, 0.5));
        assert_eq!(later.test().unwrap().p, lost.test().unwrap().p);
        let none = of([(true, 1.0), (false, 0.0), (true, f64::NAN)]);
        assert_eq!((none.test(), none.in_ml()), (None, 0));
    }
}
