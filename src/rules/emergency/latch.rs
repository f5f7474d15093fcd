//! What stays in force after an emergency until a person lifts it.

use serde::{Deserialize, Serialize};

use super::{Rule, Trip};
use crate::domain::{TradingDay, VersionId};

/// An emergency that is in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Latch {
    /// What tripped.
    pub trip: Trip,
}

/// All emergencies in force, oldest first. Nothing but [`Latches::resume`] takes one away: no outcome, no reload and no
/// looser threshold.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Latches {
    held: Vec<Latch>,
}

/// Why an emergency cannot be lifted yet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the loss of the trading day {day} is in force until the next trading day, and it is still {today}: resume after the day has turned"
)]
pub struct StillLatched {
    /// The day of the loss.
    pub day: TradingDay,
    /// The trading day now.
    pub today: TradingDay,
}

impl Latches {
    /// Takes in what tripped. The same rule for the same version is held once, and for the day's loss once per day: the
    /// first stays.
    pub fn hold(&mut self, trip: Trip) {
        let same = |latch: &Latch| {
            let Trip { day, version, breach, .. } = &latch.trip;
            breach.rule == trip.breach.rule
                && *version == trip.version
                && (breach.rule != Rule::DayLoss || *day == trip.day)
        };
        if !self.held.iter().any(same) {
            self.held.push(Latch { trip });
        }
    }

    /// What is in force.
    pub fn held(&self) -> &[Latch] {
        &self.held
    }

    /// Whether a version may not speak. An emergency of one version silences all of its symbol, and
    /// the loss of a day every one.
    pub fn silences(&self, version: &VersionId) -> bool {
        self.held.iter().any(|latch| latch.trip.version.as_ref().is_none_or(|held| held.symbol == version.symbol))
    }

    /// Lifts all of them, by an operator's word, on the trading day `today`.
    ///
    /// # Errors
    /// [`StillLatched`] while the trading day of a loss is not over; then all stay.
    pub fn resume(&mut self, today: TradingDay) -> Result<(), StillLatched> {
        let of_today = |latch: &&Latch| latch.trip.breach.rule == Rule::DayLoss && latch.trip.day >= today;
        match self.held.iter().find(of_today) {
            Some(latch) => Err(StillLatched { day: latch.trip.day, today }),
            None => {
                self.held.clear();
                Ok(())
            }
        }
    }
}
