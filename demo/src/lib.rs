//! A simulated market with a trader in it, whose truth is known: for tests, drills and the demonstration.
//!
//! Months of sessions of an index future pass in a fraction of a second. The trader's signals are whole snapshots, so that
//! everything that serves and learns is used as in life; whether a trade wins is drawn with a probability that a known
//! [`Relation`] gives. Nothing here says anything about a real market, and nothing that judges a model may use it.
//!
//! Pure: the same [`SimulationOptions`] at the same [`Venue`] give the same bytes.

mod delivery;
pub mod demo;
mod draw;
pub mod execution;
mod fate;
mod market;
pub mod options;
pub mod process;
mod relation;
pub mod tape;
pub mod trade;
mod trader;
pub mod wire;

pub use delivery::Delivered;
pub use market::Regime;
pub use options::{Change, Delivery, InvalidOptions, Poison, Scenario, Shift, SimulationOptions};
pub use relation::Relation;
pub use tape::{Action, ActionKind, Tape};
pub use trade::{Sessions, Trade, TradedSession, Truth};

use vigie_core::{
    domain::{Symbol, TradingCalendar},
    features::Instrument,
};

/// Where the simulated trader trades.
#[derive(Debug, Clone, PartialEq)]
pub struct Venue {
    /// What.
    pub symbol: Symbol,
    /// Its tick and what it is worth.
    pub instrument: Instrument,
    /// When its sessions open; they last 23 hours.
    pub calendar: TradingCalendar,
}

/// The accuracy that nothing can exceed on these trades, save by luck: the mean of the larger of the two probabilities of
/// each. `None` without trades.
pub fn bayes_accuracy(truths: impl IntoIterator<Item = Truth>) -> Option<f64> {
    let best: Vec<f64> = truths.into_iter().map(|truth| truth.probability.max(1.0 - truth.probability)).collect();
    vigie_core::stats::describe::mean(&best)
}
