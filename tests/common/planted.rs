//! Trades with a planted truth: what a model should find in them, and how well, is known.

use jiff::{SignedDuration, civil, tz::TimeZone};
use rand::RngExt;
use rand_pcg::Pcg64;
use vigie::{
    domain::{
        Timestamp, TradingCalendar,
        snapshot::{TrendRegime, VolatilityRegime},
    },
    features::{Carry, DesignOptions, Scaling, row::Schema},
    validation::{Example, Examples, Goal, Life},
};

/// Coefficients of the first five inputs that make a model worth having.
pub const STRONG: [f64; 5] = [1.3, -1.2, 1.0, -0.9, 0.7];

pub fn design() -> DesignOptions {
    DesignOptions {
        scaling: Scaling::Standardise,
        clip_quantile: 0.001,
        indicator_min_missing: 0.01,
        max_missing: 0.99,
        fill_max_age_hours: 23.0,
        carry: Carry::default(),
        interactions: Vec::new(),
        extra: Vec::new(),
        derived: Vec::new(),
    }
}

pub fn calendar() -> TradingCalendar {
    TradingCalendar::new(TimeZone::get("America/Chicago").unwrap(), civil::time(17, 0, 0, 0))
}

/// `n` trades, four a day of 45 minutes each: twelve standard normal inputs, a confidence that says nothing, and a win
/// with the log-odds that `coefficients` give. A win or a loss is 50 to 150.
pub fn rows(seed: u64, n: usize, coefficients: &[f64]) -> Vec<Example> {
    let mut rng = Pcg64::new(seed.into(), 11);
    let calendar = calendar();
    let start: Timestamp = "2015-01-05T14:00:00Z".parse().unwrap();
    let mut row = |number: usize| {
        let at = start + SignedDuration::from_hours((number / 4 * 24 + number % 4 * 2) as i64);
        let exit_at = at + SignedDuration::from_mins(45);
        let mut values: Vec<f64> = (0..12).map(|_| normal(&mut rng)).collect();
        let log_odds: f64 = values.iter().zip(coefficients).map(|(x, w)| x * w).sum();
        let won = rng.random::<f64>() < 1.0 / (1.0 + (-log_odds).exp());
        let confidence = rng.random_range(0.35..0.65);
        values.push(confidence);
        let size = rng.random_range(50.0..150.0);
        let volatility = [VolatilityRegime::Low, VolatilityRegime::Normal, VolatilityRegime::High];
        let trend = [TrendRegime::TrendUp, TrendRegime::TrendDown, TrendRegime::Range];
        Example {
            values: values.into_iter().map(Some).collect(),
            life: Life { at, exit_at, known_at: exit_at },
            truth: f64::from(u8::from(won)),
            pnl: if won { size } else { -size },
            confidence: Some(confidence),
            heard: false,
            volatility: Some(volatility[rng.random_range(0..3)]),
            trend: Some(trend[rng.random_range(0..3)]),
            day: calendar.day_of(exit_at),
        }
    };
    (0..n).map(&mut row).collect()
}

pub fn examples(goal: Goal, rows: Vec<Example>) -> Examples {
    Examples::new(goal, Schema::new(&[]).unwrap(), rows).unwrap_or_else(|error| unreachable!("{error}"))
}

/// Box and Muller.
pub fn normal(rng: &mut Pcg64) -> f64 {
    let (a, b) = (1.0 - rng.random::<f64>(), rng.random::<f64>());
    (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos()
}
