//! What stays in force after an emergency until a person lifts it.

use serde::{Deserialize, Serialize};

use crate::domain::{Symbol, TradingDay, trip::Trip};

/// An emergency that is in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Latch {
    /// What tripped.
    pub trip: Trip,
}

/// All emergencies in force, oldest first. Nothing but [`Latches::lift`] takes one away: no outcome, no reload and no
/// looser threshold.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Latches {
    held: Vec<Latch>,
}

/// Why an emergency cannot be lifted yet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the emergency of the account on the trading day {day} is in force until the next trading day, and it is still {today}: resume after the day has turned"
)]
pub struct StillLatched {
    /// The day of the emergency.
    pub day: TradingDay,
    /// The trading day now.
    pub today: TradingDay,
}

impl Latches {
    /// Takes in what tripped. The same rule for the same version is held once, and one of the account once per day: the
    /// first stays.
    pub fn hold(&mut self, trip: Trip) {
        if !self.held.iter().any(|latch| latch.trip.is_same(&trip)) {
            self.held.push(Latch { trip });
        }
    }

    /// What is in force.
    pub fn held(&self) -> &[Latch] {
        &self.held
    }

    /// What keeps the models of `symbol` silent, if anything does. An emergency of one version silences all of its
    /// symbol, and one of the account every one.
    pub fn silences(&self, symbol: &Symbol) -> Option<&Trip> {
        let of = |trip: &&Trip| trip.version.as_ref().is_none_or(|held| held.symbol == *symbol);
        self.held.iter().map(|latch| &latch.trip).find(of)
    }

    /// Whether an operator may lift them on the trading day `today`.
    ///
    /// # Errors
    /// [`StillLatched`] while the trading day of an emergency of the account is not over.
    pub fn may_resume(&self, today: TradingDay) -> Result<(), StillLatched> {
        let of_today = |latch: &&Latch| latch.trip.is_of_account() && latch.trip.day >= today;
        match self.held.iter().find(of_today) {
            Some(latch) => Err(StillLatched { day: latch.trip.day, today }),
            None => Ok(()),
        }
    }

    /// Lifts all of them: an operator said so, and might.
    pub fn lift(&mut self) {
        self.held.clear();
    }
}
