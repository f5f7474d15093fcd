//! What is told of signals and trades.

use super::open_trades::AnsweredSignal;
use crate::{
    domain::{Arm, Outcome, Timestamp, snapshot::TrendRegime},
    guard::{
        monitor::Said,
        watch::{ScoredSignal, WatchNews},
    },
};

/// What is told of a signal that at least one version scored.
pub fn scored_news(
    at: Timestamp,
    entry: &AnsweredSignal,
    row: Vec<Option<f64>>,
    regime: Option<TrendRegime>,
) -> Option<WatchNews> {
    let symbol = entry.symbol.clone()?;
    let said = entry.opinions.iter().filter_map(|opinion| {
        Some(Said { version: opinion.version.clone(), score: opinion.score?.get(), taken: opinion.size > 0.0 })
    });
    let mut said: Vec<Said> = said.collect();
    (!said.is_empty()).then_some(())?;
    // the one whose word counted first
    said.sort_by_key(|said| Some(&said.version) != entry.speaker());
    let arm = if entry.speaker().is_some() { Arm::Ml } else { Arm::Baseline };
    Some(WatchNews::Scored(Box::new(ScoredSignal {
        trade_id: entry.trade_id.clone(),
        at,
        symbol,
        regime,
        arm,
        row,
        said,
    })))
}

/// What is told of a trade that was closed.
pub fn closed_news(at: Timestamp, entry: &AnsweredSignal, outcome: &Outcome) -> WatchNews {
    WatchNews::Closed { trade_id: entry.trade_id.clone(), at, facts: entry.facts(outcome) }
}
