//! What can be set in a simulation, and the five scenarios that set it.
#![deny(clippy::indexing_slicing)]

use std::{fmt, ops::RangeInclusive, str::FromStr};

use jiff::civil::Date;
use serde::Serialize;

use super::relation::Relation;

/// Sessions of a month, about.
pub const SESSIONS_PER_MONTH: usize = 21;

/// Everything that can be set. Two simulations with equal options are equal to the last byte.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SimulationOptions {
    /// Seed of every draw.
    pub seed: u64,
    /// The first session is that of this day, or of the first trading day after it.
    pub start: Date,
    /// How long it goes on, in calendar months; 1 to 240.
    pub months: u32,
    /// Signals of a session, on average; 0.5 to 15.
    pub signals_per_session: f64,
    /// Strength of the planted relation, as a factor on its slopes: 0 leaves nothing to foretell, at 1 the best possible
    /// accuracy is about 69 %; -5 to 5.
    pub edge: f64,
    /// Log-odds of a profit at the centre of all inputs, at which 0 means that half the trades win; -3 to 3.
    pub base_log_odds: f64,
    /// How much the fates of the trades of one session have in common, as the correlation of a normal variable behind
    /// them; and half of it goes on to the next session. The probability of each trade stays what it is. 0 to 0.9.
    pub outcome_correlation: f64,
    /// Costs of a round turn of one contract, in account currency; 0 to 1000.
    pub costs: f64,
    /// What the trader sends as its daily loss limit, in account currency; above 0 to 1e9.
    pub daily_loss_limit: f64,
    /// What becomes different on the way.
    pub changes: Vec<Change>,
    /// A stretch whose outcomes are reported wrong.
    pub poison: Option<Poison>,
    /// What gets lost, late or twice between the market and the reader.
    pub delivery: Delivery,
}

/// Something that becomes different at one session, at once or bit by bit, for good or for a while.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Change {
    /// What.
    pub what: Shift,
    /// The first session, counted from 0, that differs.
    pub from: usize,
    /// Sessions until it is in full force; 0: at once.
    pub ramp: usize,
    /// The first session at which all is as before, if there is one.
    pub until: Option<usize>,
}

/// What can become different.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Shift {
    /// The inputs: volatility index, options flow, correlation, spread and volume move by about this many of their
    /// standard deviations. The relation stays.
    Inputs(f64),
    /// The relation goes this share of the way to another one, in which the day's flow speaks against a trade. A new
    /// model can learn it.
    Turn(f64),
    /// The relation's slopes are multiplied by this: 0 makes them useless, a negative factor misleading.
    Strength(f64),
    /// The log-odds of a profit move by this.
    BaseRate(f64),
    /// Prices swing this many times as wide.
    Volatility(f64),
}

/// A stretch in which outcomes are reported as the opposite of what happened.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Poison {
    /// First session of it, from 0.
    pub from: usize,
    /// How many sessions.
    pub sessions: usize,
    /// Share of the outcomes, 0 to 1.
    pub share: f64,
}

/// What goes wrong on the way. All zero: nothing.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Delivery {
    /// Factor on the share of missing values, which at 1 is 2 to 10 % of eight fields; 0 to 10.
    pub missing: f64,
    /// Share of the outcomes that are reported late; 0 to 1.
    pub late: f64,
    /// Half of the late ones are later than this, in hours; above 0 to 1000.
    pub late_hours: f64,
    /// Share of the lines that come twice; 0 to 1.
    pub duplicates: f64,
    /// Outages of 15 minutes to 4 hours, per month: signals are not sent, outcomes when it is over; 0 to 21.
    pub outages_per_month: f64,
}

/// A story to be simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scenario {
    /// There is something to foretell, and it stays so.
    Happy,
    /// The inputs move and the relation turns, slowly, at three fifths of the time.
    Drift,
    /// At three fifths the relation is upside down for eight sessions of wide swings.
    Crash,
    /// There is nothing to foretell.
    NoEdge,
    /// At three fifths outcomes are reported wrong for twenty sessions.
    Poison,
}

/// Options that cannot be simulated.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{name} is {value}; it must be {range}")]
pub struct InvalidOptions {
    /// The option.
    pub name: &'static str,
    /// As it was given.
    pub value: f64,
    /// What is allowed.
    pub range: String,
}

impl Delivery {
    /// Nothing is lost, late or twice.
    pub const PERFECT: Self =
        Self { missing: 0.0, late: 0.0, late_hours: 6.0, duplicates: 0.0, outages_per_month: 0.0 };
    /// As a decent feed is.
    pub const ORDINARY: Self =
        Self { missing: 0.5, late: 0.01, late_hours: 6.0, duplicates: 0.005, outages_per_month: 0.5 };
}

impl Default for SimulationOptions {
    /// Six months of an edge of 1, all delivered.
    fn default() -> Self {
        Self {
            seed: 1,
            start: Date::constant(2025, 1, 6),
            months: 6,
            signals_per_session: 9.0,
            edge: 1.0,
            base_log_odds: 0.0,
            outcome_correlation: 0.05,
            costs: 4.5,
            daily_loss_limit: 5000.0,
            changes: Vec::new(),
            poison: None,
            delivery: Delivery::PERFECT,
        }
    }
}

impl SimulationOptions {
    /// The options of `scenario`.
    pub fn of(scenario: Scenario, seed: u64, months: u32) -> Self {
        let at = months as usize * SESSIONS_PER_MONTH * 3 / 5;
        let change = |what, ramp, until| Change { what, from: at, ramp, until };
        let mut options = Self { seed, months, edge: 1.3, delivery: Delivery::ORDINARY, ..Self::default() };
        match scenario {
            Scenario::Happy => {}
            Scenario::NoEdge => options.edge = 0.0,
            Scenario::Drift => {
                options.changes = vec![change(Shift::Inputs(1.0), 10, None), change(Shift::Turn(0.8), 15, None)];
            }
            Scenario::Crash => {
                let over = Some(at + 8);
                options.changes = vec![
                    change(Shift::Strength(-1.5), 0, over),
                    change(Shift::BaseRate(-1.2), 0, over),
                    change(Shift::Volatility(3.5), 0, over),
                ];
            }
            Scenario::Poison => options.poison = Some(Poison { from: at, sessions: 20, share: 0.9 }),
        }
        options
    }

    /// Whether all of it can be simulated.
    ///
    /// # Errors
    /// [`InvalidOptions`] names the first that cannot.
    pub fn check(&self) -> Result<(), InvalidOptions> {
        let Delivery { missing, late, late_hours, duplicates, outages_per_month } = self.delivery;
        within("months", f64::from(self.months), 1.0..=240.0)?;
        within("start", f64::from(self.start.year()), 1970.0..=2400.0)?;
        within("signals_per_session", self.signals_per_session, 0.5..=15.0)?;
        within("edge", self.edge, -5.0..=5.0)?;
        within("base_log_odds", self.base_log_odds, -3.0..=3.0)?;
        within("outcome_correlation", self.outcome_correlation, 0.0..=0.9)?;
        within("costs", self.costs, 0.0..=1000.0)?;
        within("daily_loss_limit", self.daily_loss_limit, f64::MIN_POSITIVE..=1e9)?;
        within("missing", missing, 0.0..=10.0)?;
        within("late", late, 0.0..=1.0)?;
        within("late_hours", late_hours, f64::MIN_POSITIVE..=1000.0)?;
        within("duplicates", duplicates, 0.0..=1.0)?;
        within("outages_per_month", outages_per_month, 0.0..=SESSIONS_PER_MONTH as f64)?;
        within("share of poison", self.poison.map_or(0.0, |poison| poison.share), 0.0..=1.0)?;
        self.changes.iter().try_for_each(|change| match change.what {
            Shift::Inputs(by) => within("shift of the inputs", by, -5.0..=5.0),
            Shift::Turn(share) => within("turn of the relation", share, 0.0..=1.0),
            Shift::Strength(factor) => within("factor of the relation", factor, -5.0..=5.0),
            Shift::BaseRate(by) => within("shift of the base rate", by, -5.0..=5.0),
            Shift::Volatility(factor) => within("factor of the volatility", factor, 0.1..=10.0),
        })
    }

    /// The relation that holds in `session`, from 0.
    pub fn relation(&self, session: usize) -> Relation {
        let (mut base, mut edge, mut turned) = (self.base_log_odds, self.edge, 0.0);
        for (what, force) in self.shifts(session) {
            match what {
                Shift::Turn(share) => turned = f64::max(turned, share * force),
                Shift::Strength(factor) => edge *= 1.0 + force * (factor - 1.0),
                Shift::BaseRate(by) => base += force * by,
                Shift::Inputs(_) | Shift::Volatility(_) => {}
            }
        }
        Relation::new(base, edge, turned)
    }

    /// By how many standard deviations the inputs have moved in `session`.
    pub(super) fn moved(&self, session: usize) -> f64 {
        let by = |(what, force)| if let Shift::Inputs(by) = what { force * by } else { 0.0 };
        self.shifts(session).map(by).sum()
    }

    /// How many times as wide prices swing in `session`.
    pub(super) fn swing(&self, session: usize) -> f64 {
        let by = |(what, force): (Shift, f64)| if let Shift::Volatility(by) = what { by.powf(force) } else { 1.0 };
        self.shifts(session).map(by).product()
    }

    /// What is different in `session`, and how far, above 0 to 1.
    fn shifts(&self, session: usize) -> impl Iterator<Item = (Shift, f64)> {
        let force = move |change: &Change| {
            let since = session.checked_sub(change.from)?;
            let over = change.until.is_some_and(|until| session >= until);
            (!over).then(|| (change.what, ((since + 1) as f64 / (change.ramp + 1) as f64).min(1.0)))
        };
        self.changes.iter().filter_map(force)
    }
}

fn within(name: &'static str, value: f64, range: RangeInclusive<f64>) -> Result<(), InvalidOptions> {
    // NaN is in no range
    if range.contains(&value) {
        return Ok(());
    }
    let (low, high) = range.into_inner();
    let range = if low == f64::MIN_POSITIVE { format!("above 0 to {high}") } else { format!("{low} to {high}") };
    Err(InvalidOptions { name, value, range })
}

impl Scenario {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Happy, Self::Drift, Self::Crash, Self::NoEdge, Self::Poison];

    /// Its name on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Happy => "happy",
            Self::Drift => "drift",
            Self::Crash => "crash",
            Self::NoEdge => "no-edge",
            Self::Poison => "poison",
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Scenario {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|scenario| scenario.name() == text.replace('_', "-"));
        found.ok_or_else(|| format!("there is happy, drift, crash, no-edge and poison, and no {text}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_comes_bit_by_bit_and_goes() {
        let change = Change { what: Shift::BaseRate(-1.0), from: 10, ramp: 4, until: Some(20) };
        let options = SimulationOptions { changes: vec![change], ..SimulationOptions::default() };
        let base: Vec<f64> = [9, 10, 12, 14, 19, 20].map(|session| options.relation(session).base).to_vec();
        for (found, expected) in base.iter().zip([0.0, -0.2, -0.6, -1.0, -1.0, 0.0]) {
            assert!((found - expected).abs() < 1e-12, "{base:?}");
        }
        let sudden = Change { what: Shift::Volatility(3.0), from: 5, ramp: 0, until: None };
        let options = SimulationOptions { changes: vec![sudden], ..SimulationOptions::default() };
        assert_eq!([4, 5, 500].map(|session| options.swing(session)), [1.0, 3.0, 3.0]);
    }

    #[test]
    fn options_out_of_range_are_named() {
        for scenario in Scenario::ALL {
            assert_eq!(SimulationOptions::of(scenario, 1, 6).check(), Ok(()), "{scenario}");
            assert_eq!(scenario.name().parse(), Ok(scenario));
        }
        assert_eq!("no_edge".parse(), Ok(Scenario::NoEdge));
        assert!("sunny".parse::<Scenario>().is_err());
        let bad = [
            (SimulationOptions { months: 0, ..SimulationOptions::default() }, "months is 0; it must be 1 to 240"),
            (SimulationOptions { edge: f64::NAN, ..SimulationOptions::default() }, "edge is NaN; it must be -5 to 5"),
            (
                SimulationOptions { daily_loss_limit: 0.0, ..SimulationOptions::default() },
                "daily_loss_limit is 0; it must be above 0 to 1000000000",
            ),
            (
                SimulationOptions {
                    poison: Some(Poison { from: 0, sessions: 1, share: 1.5 }),
                    ..SimulationOptions::default()
                },
                "share of poison is 1.5; it must be 0 to 1",
            ),
            (
                SimulationOptions {
                    changes: vec![Change { what: Shift::Turn(2.0), from: 0, ramp: 0, until: None }],
                    ..SimulationOptions::default()
                },
                "turn of the relation is 2; it must be 0 to 1",
            ),
        ];
        for (options, message) in bad {
            assert_eq!(options.check().unwrap_err().to_string(), message);
        }
    }
}
