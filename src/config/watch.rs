//! The keys of the monitor, of the degradations and of the gradual rollback.

#![deny(clippy::indexing_slicing)]

use std::time::Duration;

use super::reader::{Effect::AtReload, Reader, section::above};
use crate::{
    guard::{
        gradual::GradualOptions,
        health::HealthOptions,
        monitor::MonitorOptions,
        watch::{Budget, WatchOptions},
    },
    stats::{
        adwin::AdwinOptions,
        bootstrap::Resampling,
        decline::DeclineOptions,
        detector::{Move, PageHinkleyOptions},
    },
};

/// Seed of the years that are drawn for the limits of declines.
const DECLINE_SEED: u64 = 1;

/// How the daemon's monitor watches.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Monitoring {
    /// What it decides by.
    pub watch: WatchOptions,
    /// Trades without an outcome that are read from the journal, the latest ones.
    pub max_open: usize,
    /// How far the wall clock may go otherwise than time does.
    pub clock_tolerance: Duration,
}

pub(super) fn monitoring(reader: &mut Reader<'_, '_>) -> Monitoring {
    let mut at = reader.section("monitor", AtReload);
    let monitor = MonitorOptions {
        window: at.count("window", 20..=5_000),
        scopes: at.count("scopes", 8..=1_000),
        adwin: AdwinOptions {
            delta: at.number("adwin_delta", above(0.0, 0.5)),
            clock: at.whole("adwin_every", 1..=1_000),
        },
        page_hinkley: PageHinkleyOptions {
            delta: at.number("pnl_slack", 0.0..=10.0),
            threshold: at.number("pnl_threshold", above(0.0, 1000.0)),
            alpha: 1.0,
            min_values: at.whole("pnl_min_trades", 1..=10_000),
            only: Some(Move::Down),
        },
        cusum_shift: at.number("win_rate_shift", above(0.0, 0.5)),
        cusum_threshold: at.number("win_rate_threshold", above(0.0, 100.0)),
    };
    let budget = Budget {
        false_alarms: at.number("false_alarms_per_quarter", above(0.0, 100.0)),
        resampling: Resampling {
            resamples: at.count("budget_resamples", 20..=10_000),
            block: at.number("budget_block", 1.0..=1000.0),
            seed: 1,
        },
    };
    let novelty = at.number("novelty", above(0.0, 1.0));
    let max_open = at.count("max_open", 10_000..=10_000_000);
    let clock_tolerance = at.seconds("clock_tolerance_s", 1..=86_400);
    let health = health(reader);
    let seen = health.min_trades <= monitor.window;
    reader.demand(seen, ("health.min_trades", "must not be above", "monitor.window"));
    Monitoring { watch: WatchOptions { monitor, health, budget, novelty }, max_open, clock_tolerance }
}

fn health(reader: &mut Reader<'_, '_>) -> HealthOptions {
    let mut at = reader.section("health", AtReload);
    let options = HealthOptions {
        min_trades: at.count("min_trades", 2..=5_000),
        act_level: at.number("act_level", above(0.0, 0.5)),
        accuracy_drop: at.number("accuracy_drop", above(0.0, 1.0)),
        decline: DeclineOptions {
            small_fall: at.number("small_fall", above(0.0, 0.5)),
            large_fall: at.number("large_fall", above(0.0, 0.5)),
            budgets: [
                at.number("alert_budget", above(0.0, 100.0)),
                at.number("share_budget", above(0.0, 100.0)),
                at.number("retrain_budget", above(0.0, 100.0)),
                at.number("rollback_budget", above(0.0, 100.0)),
            ],
            resamples: at.count("years", 1_000..=100_000),
            seed: DECLINE_SEED,
        },
        score_psi: at.number("score_psi", above(0.0, 10.0)),
        variance_factor: at.number("variance_factor", above(1.0, 1000.0)),
    };
    let DeclineOptions { small_fall, large_fall, budgets: [alert, share, retrain, roll_back], .. } = options.decline;
    reader.demand(small_fall < large_fall, ("health.small_fall", "must be below", "health.large_fall"));
    reader.demand(share <= alert, ("health.share_budget", "must not be above", "health.alert_budget"));
    reader.demand(retrain <= share, ("health.retrain_budget", "must not be above", "health.share_budget"));
    reader.demand(roll_back <= retrain, ("health.rollback_budget", "must not be above", "health.retrain_budget"));
    options
}

pub(super) fn gradual(reader: &mut Reader<'_, '_>) -> GradualOptions {
    let mut at = reader.section("gradual", AtReload);
    GradualOptions {
        decline_days: at.count("decline_days", 1..=100),
        cooldown_days: at.count("cooldown_days", 0..=1_000),
    }
}
