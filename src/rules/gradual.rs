//! Taking a version's say away step by step, a step a trading day, and giving it back when it recovers.

use serde::{Deserialize, Serialize};

use crate::domain::TradingDay;

/// Shares of the signals that the version speaks to, from all to none, as parts of what it would have.
const STEPS: [f64; 4] = [1.0, 0.5, 0.25, 0.0];

/// Thresholds of the gradual rollback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GradualOptions {
    /// Trading days in a row with a falling composite after which the say shrinks, at least 1.
    pub decline_days: usize,
    /// Trading days after the whole say has been given back in which no decline counts. Instability always does.
    pub cooldown_days: usize,
}

/// What is known when a trading day closes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DayClose {
    /// Which.
    pub day: TradingDay,
    /// The composite at its end; `None` when it is not defined: such a day counts for nothing.
    pub composite: Option<f64>,
    /// Whether the composite is below its reference by more than chance. A decline of what is as good as validated takes
    /// nothing away.
    pub degraded: bool,
    /// Whether the score is unstable.
    pub unstable: bool,
}

/// Where a version stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Gradual {
    step: usize,
    /// The latest day that was closed.
    #[serde(default)]
    closed: Option<TradingDay>,
    /// The composite of the latest day that had one.
    last: Option<f64>,
    declines: usize,
    /// The composite before the decline began, and the lowest since.
    fall: Option<(f64, f64)>,
    cooldown: usize,
}

/// The say of a version has changed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Share of what it would have, before.
    pub from: f64,
    /// And from now on.
    pub to: f64,
}

impl Default for GradualOptions {
    fn default() -> Self {
        Self { decline_days: 3, cooldown_days: 5 }
    }
}

/// The share to go to on one day from `share`, when the days so far call for `called_for`: down at once, up by one step.
pub fn next_share(share: f64, called_for: f64) -> f64 {
    let steps = STEPS.iter().rev().copied();
    let above = || steps.clone().find(|step| *step > share).unwrap_or(called_for);
    if called_for > share { called_for.min(above()) } else { called_for }
}

impl Gradual {
    /// Share of the signals that would be the version's and are.
    pub fn share(&self) -> f64 {
        STEPS.get(self.step).copied().unwrap_or(0.0)
    }

    /// A trading day has closed: at most one step down or up. A day that is not after the last one is passed over, so a
    /// clock that goes back, or a day that is closed twice, changes nothing.
    pub fn close_day(&mut self, options: &GradualOptions, close: &DayClose) -> Option<Step> {
        if self.closed.is_some_and(|closed| close.day <= closed) {
            return None;
        }
        self.closed = Some(close.day);
        let cooling = self.cooldown > 0;
        self.cooldown = self.cooldown.saturating_sub(1);
        if let Some(composite) = close.composite.filter(|composite| composite.is_finite()) {
            self.follow(composite);
        }
        let declining = self.declines >= options.decline_days && close.degraded && !cooling;
        let from = self.share();
        if close.unstable || declining {
            self.step = (self.step + 1).min(STEPS.len() - 1);
        } else if self.step > 0 && self.has_recovered(close) {
            self.step -= 1;
            if self.step == 0 {
                (self.fall, self.declines, self.cooldown) = (None, 0, options.cooldown_days);
            }
        }
        let to = self.share();
        (from != to).then_some(Step { from, to })
    }

    fn follow(&mut self, composite: f64) {
        if let Some(before) = self.last {
            if composite < before {
                self.declines += 1;
                let (start, lowest) = self.fall.unwrap_or((before, before));
                self.fall = Some((start, lowest.min(composite)));
            } else {
                self.declines = 0;
                // a dip that took nothing away is over
                self.fall = self.fall.filter(|_| self.step > 0);
            }
        }
        self.last = Some(composite);
    }

    /// Half-way from its lowest back to where it was. What was unstable and never fell has recovered when it is stable.
    fn has_recovered(&self, close: &DayClose) -> bool {
        match (self.fall, close.composite) {
            (None, _) => true,
            (Some((start, lowest)), Some(now)) => now >= lowest + (start - lowest) / 2.0,
            (Some(_), None) => false,
        }
    }
}
