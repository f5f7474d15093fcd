//! The way from the trader to its reader, and what gets lost, late, twice or wrong on it.
#![deny(clippy::indexing_slicing)]

use jiff::SignedDuration;

use super::{
    draw::{Draw, Stream},
    options::{Delivery, Poison, SESSIONS_PER_MONTH},
};
use vigie_core::{
    domain::{MarketSnapshot, Timestamp, snapshot::Number},
    features::formulas::SESSION_MINUTES,
};

/// Shortest and longest outage, in minutes.
const OUTAGE: (f64, f64) = (15.0, 240.0);
/// Longest delay of a late outcome, in hours.
const LATEST: f64 = 72.0;
/// How long it takes until the same is sent again.
const AGAIN: SignedDuration = SignedDuration::from_millis(250);

/// How a trade reaches its reader.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Delivered {
    /// Whether it is never sent, since there was an outage when its signal fired.
    pub lost: bool,
    /// When the outcome is reported: at its exit, or later.
    pub reported_at: Timestamp,
    /// When the signal is sent a second time, if it is.
    pub signal_again_at: Option<Timestamp>,
    /// When the outcome is sent a second time, if it is.
    pub outcome_again_at: Option<Timestamp>,
}

/// Draws what happens on the way.
#[derive(Debug, Clone)]
pub(super) struct Courier {
    draw: Draw,
    delivery: Delivery,
    outage: Option<(Timestamp, Timestamp)>,
}

impl Courier {
    pub(super) fn new(seed: u64, delivery: Delivery) -> Self {
        Self { draw: Draw::new(seed, Stream::Delivery), delivery, outage: None }
    }

    /// Begins the session that opens at `opening`.
    pub(super) fn next_session(&mut self, opening: Timestamp) {
        let down = self.draw.chance(self.delivery.outages_per_month / SESSIONS_PER_MONTH as f64);
        let from = opening + minutes(self.draw.between(0.0, SESSION_MINUTES));
        let until = from + minutes(self.draw.between(OUTAGE.0, OUTAGE.1));
        self.outage = down.then_some((from, until));
    }

    /// Whether an outcome of `session` is reported wrong.
    pub(super) fn poisons(&mut self, poison: Option<Poison>, session: usize) -> bool {
        let share = match poison {
            Some(poison) if (poison.from..poison.from + poison.sessions).contains(&session) => poison.share,
            _ => 0.0,
        };
        self.draw.chance(share)
    }

    /// How a trade from `at` to `exit_at` is delivered.
    pub(super) fn deliver(&mut self, at: Timestamp, exit_at: Timestamp) -> Delivered {
        let Delivery { late, late_hours, duplicates, .. } = self.delivery;
        let (is_late, hours) = (self.draw.chance(late), late_hours * self.draw.lognormal(1.0));
        let [signal_again, outcome_again] = [self.draw.chance(duplicates), self.draw.chance(duplicates)];
        let during = |time: Timestamp| self.outage.filter(|(from, until)| (*from..*until).contains(&time));
        let mut reported_at = exit_at;
        if is_late {
            reported_at += minutes(60.0 * hours.min(LATEST));
        }
        if let Some((_, until)) = during(reported_at) {
            reported_at = until;
        }
        Delivered {
            lost: during(at).is_some(),
            reported_at,
            signal_again_at: signal_again.then_some(at + AGAIN),
            outcome_again_at: outcome_again.then_some(reported_at + AGAIN),
        }
    }

    /// Takes away what a feed loses now and then.
    pub(super) fn lose(&mut self, snapshot: &mut MarketSnapshot) {
        let (market, structure) = (&mut snapshot.market_state, &mut snapshot.market_structure);
        let fields: [(f64, &mut Number); 8] = [
            (0.04, &mut market.vix),
            (0.06, &mut structure.options_flow.put_call_ratio),
            (0.03, &mut market.price_5m_ago),
            (0.03, &mut market.vwap.h1),
            (0.02, &mut structure.es_nq_correlation),
            (0.02, &mut structure.gamma_levels.call_wall),
            (0.10, &mut market.bid_ask.bid_size),
            (0.02, &mut market.volume.average),
        ];
        for (share, field) in fields {
            if self.draw.chance(share * self.delivery.missing) {
                *field = None;
            }
        }
    }
}

fn minutes(minutes: f64) -> SignedDuration {
    SignedDuration::from_millis((minutes * 60_000.0).round() as i64)
}
