//! Detectors that look at a stream value by value and say when its mean has moved: Page and Hinkley's, for any number,
//! and the cumulative sums of a win rate.

use serde::{Deserialize, Serialize};

/// Which way a mean has moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the two ways")]
pub enum Move {
    Up,
    Down,
}

/// What Page and Hinkley's test is told.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageHinkleyOptions {
    /// Change of the mean that is let pass, at least 0, in the unit of the values.
    pub delta: f64,
    /// Sum of deviations that is an alarm, above 0, in the unit of the values.
    pub threshold: f64,
    /// How much of the sum is kept at each value, above 0 to 1; 1 forgets nothing.
    pub alpha: f64,
    /// Values before which nothing is said.
    pub min_values: u64,
    /// The only way that is looked at; `None` for both.
    pub only: Option<Move>,
}

/// Page and Hinkley's test: the sum of the deviations from the running mean, against its extremes so far. Step by step as
/// in the Python package river. After an alarm it starts over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageHinkley {
    options: PageHinkleyOptions,
    values: u64,
    mean: f64,
    rise: f64,
    lowest_rise: f64,
    fall: f64,
    highest_fall: f64,
}

impl PageHinkley {
    /// One that has seen nothing. `None` when an option is out of its range.
    pub fn new(options: PageHinkleyOptions) -> Option<Self> {
        let PageHinkleyOptions { delta, threshold, alpha, .. } = options;
        let valid = delta >= 0.0 && delta.is_finite() && threshold > 0.0 && alpha > 0.0 && alpha <= 1.0;
        valid.then(|| Self::empty(options))
    }

    fn empty(options: PageHinkleyOptions) -> Self {
        Self { options, values: 0, mean: 0.0, rise: 0.0, lowest_rise: 0.0, fall: 0.0, highest_fall: 0.0 }
    }

    /// Takes in a value, and says which way the mean has moved if it has. A value that is not finite is left out.
    pub fn update(&mut self, value: f64) -> Option<Move> {
        value.is_finite().then_some(())?;
        let PageHinkleyOptions { delta, threshold, alpha, min_values, only } = self.options;
        self.values += 1;
        self.mean += (value - self.mean) / self.values as f64;
        let deviation = value - self.mean;
        self.rise = alpha * self.rise + deviation - delta;
        self.fall = alpha * self.fall + deviation + delta;
        // the first value is its own extreme
        let first = self.values == 1;
        self.lowest_rise = if first { self.rise } else { self.lowest_rise.min(self.rise) };
        self.highest_fall = if first { self.fall } else { self.highest_fall.max(self.fall) };
        let far = |way, sum: f64| (only.is_none_or(|only| only == way) && sum > threshold).then_some(way);
        let found = far(Move::Up, self.rise - self.lowest_rise).or(far(Move::Down, self.highest_fall - self.fall));
        let found = found.filter(|_| self.values >= min_values);
        if found.is_some() {
            *self = Self::empty(self.options);
        }
        found
    }

    /// The larger of the sums that are looked at, as a share of the threshold: above 1 is an alarm.
    pub fn level(&self) -> f64 {
        let (up, down) = (self.rise - self.lowest_rise, self.highest_fall - self.fall);
        let sum = match self.options.only {
            Some(Move::Up) => up,
            Some(Move::Down) => down,
            None => up.max(down),
        };
        sum / self.options.threshold
    }
}

/// What the cumulative sums of a win rate are told.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CusumOptions {
    /// The win rate that is expected, above 0 to below 1.
    pub rate: f64,
    /// How far `rate` may be off, at least 0: a fall is looked for from so much below it, a rise from so much above.
    #[serde(default)]
    pub error: f64,
    /// The change it is sharpest for, above 0; `rate` less and plus it and the error must lie between 0 and 1.
    pub shift: f64,
    /// The log likelihood ratio that is an alarm, above 0. The mean number of trades between false alarms of one side is
    /// at least its exponential (Lorden 1971), and in truth several times that.
    pub threshold: f64,
}

/// Two cumulative sums of a win rate (Page 1954): the log likelihood ratio of a rate that has fallen, or risen, by the
/// shift, each kept from going below 0. After an alarm both start over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cusum {
    options: CusumOptions,
    down: f64,
    up: f64,
}

impl Cusum {
    /// One that has seen nothing. `None` when an option is out of its range.
    pub fn new(options: CusumOptions) -> Option<Self> {
        let CusumOptions { rate, error, shift, threshold } = options;
        let farthest = error + shift;
        let valid = error >= 0.0 && shift > 0.0 && rate - farthest > 0.0 && rate + farthest < 1.0 && threshold > 0.0;
        valid.then_some(Self { options, down: 0.0, up: 0.0 })
    }

    /// Takes in a trade, and says which way the win rate has moved if it has.
    pub fn update(&mut self, won: bool) -> Option<Move> {
        let CusumOptions { rate, error, shift, threshold } = self.options;
        let ratio = |from: f64, to: f64| if won { (to / from).ln() } else { ((1.0 - to) / (1.0 - from)).ln() };
        let (low, high) = (rate - error, rate + error);
        self.down = (self.down + ratio(low, low - shift)).max(0.0);
        self.up = (self.up + ratio(high, high + shift)).max(0.0);
        let found = match () {
            () if self.down >= threshold => Some(Move::Down),
            () if self.up >= threshold => Some(Move::Up),
            () => None,
        };
        if found.is_some() {
            (self.down, self.up) = (0.0, 0.0);
        }
        found
    }

    /// The larger of both sums, as a share of the threshold: 1 is an alarm.
    pub fn level(&self) -> f64 {
        self.down.max(self.up) / self.options.threshold
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_out_of_range_and_odd_values_are_refused() {
        let options = PageHinkleyOptions { delta: 0.1, threshold: 5.0, alpha: 1.0, min_values: 30, only: None };
        for bad in [
            PageHinkleyOptions { delta: -0.1, ..options },
            PageHinkleyOptions { threshold: f64::NAN, ..options },
            PageHinkleyOptions { alpha: 1.1, ..options },
        ] {
            assert_eq!(PageHinkley::new(bad), None);
        }
        let mut page = PageHinkley::new(options).unwrap();
        assert_eq!((page.update(f64::NAN), page.values), (None, 0));
        for (rate, shift, threshold) in [(0.5, 0.5, 1.0), (0.5, 0.0, 1.0), (0.05, 0.1, 1.0), (0.5, 0.1, f64::NAN)] {
            assert_eq!(Cusum::new(CusumOptions { rate, error: 0.0, shift, threshold }), None);
        }
    }

    #[test]
    fn a_cumulative_sum_is_the_log_likelihood_ratio_and_says_which_way() {
        let options = CusumOptions { rate: 0.55, error: 0.0, shift: 0.1, threshold: 1.0 };
        let run = |wins: &[bool]| {
            let mut cusum = Cusum::new(options).unwrap();
            wins.iter().position(|won| cusum.update(*won).is_some()).map(|place| (place, cusum))
        };
        // ln(0.55 / 0.45) = 0.2007 a loss, so the fifth loss passes 1; ln(0.65 / 0.55) = 0.167 a win, so the sixth does
        assert_eq!(run(&[false; 9]).unwrap().0, 4);
        assert_eq!(run(&[true; 9]).unwrap().0, 5);
        let mut cusum = Cusum::new(options).unwrap();
        (0..4).for_each(|_| assert_eq!(cusum.update(false), None));
        assert!((cusum.level() - 4.0 * (0.55_f64 / 0.45).ln()).abs() < 1e-12);
        assert_eq!((cusum.update(false), cusum.level()), (Some(Move::Down), 0.0));
        assert_eq!(run(&[true, false].repeat(9)), None);
    }
}
