//! Taking a version's say away step by step, a step a trading day, and giving it back when it recovers.

use serde::{Deserialize, Serialize};

use crate::domain::TradingDay;

/// Shares of the signals that the version speaks to, from all to none, as parts of what it would have.
const STEPS: [f64; 4] = [1.0, 0.5, 0.25, 0.0];

/// Thresholds of the gradual rollback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GradualOptions {
    /// Trading days between two steps of a version that declines and goes on falling, at least 1.
    pub decline_days: usize,
    /// Trading days after the whole influence has been given back in which no decline counts. Instability always does.
    pub cooldown_days: usize,
}

/// What is known when a trading day closes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DayClose {
    /// Which.
    pub day: TradingDay,
    /// The composite at its end; `None` when it is not defined: such a day counts for nothing.
    pub composite: Option<f64>,
    /// Whether the detector of a decline holds: from its limit on, until it is half-way back.
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
    /// Days of the present decline.
    declines: usize,
    /// The composite of the latest day that had one.
    last: Option<f64>,
    /// The composite at the latest step down.
    stepped_at: Option<f64>,
    cooldown: usize,
}

/// The influence of a version has changed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ShareStep {
    /// Share of what it would have, before.
    pub from: f64,
    /// And from now on.
    pub to: f64,
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
    pub fn close_day(&mut self, options: &GradualOptions, close: &DayClose) -> Option<ShareStep> {
        if self.closed.is_some_and(|closed| close.day <= closed) {
            return None;
        }
        self.closed = Some(close.day);
        let cooling = self.cooldown > 0;
        self.cooldown = self.cooldown.saturating_sub(1);
        self.last = close.composite.filter(|composite| composite.is_finite()).or(self.last);
        self.declines = if close.degraded && !cooling { self.declines + 1 } else { 0 };
        let from = self.share();
        if close.unstable || self.is_due(options) {
            self.step = (self.step + 1).min(STEPS.len() - 1);
            self.stepped_at = self.last;
        } else if self.step > 0 && !close.degraded {
            self.step -= 1;
            if self.step == 0 {
                (self.stepped_at, self.cooldown) = (None, options.cooldown_days);
            }
        }
        let to = self.share();
        (from != to).then_some(ShareStep { from, to })
    }

    /// Whether a decline takes a step now: on its first day, and then every so many days while the composite goes on falling.
    fn is_due(&self, options: &GradualOptions) -> bool {
        let whole = self.declines.checked_sub(1).is_some_and(|days| days % options.decline_days.max(1) == 0);
        let falls = self.last.zip(self.stepped_at).is_none_or(|(now, then)| now < then);
        whole && (self.declines == 1 || falls)
    }
}
