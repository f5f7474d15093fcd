//! Numbers of a snapshot or an outcome that cannot be what they say they are.
//!
//! Such a number does not make a signal unusable: the formula that needs it gives a missing feature or clips it. But a
//! data set that has many of them comes from a broken feed, which the quality report says.
#![deny(clippy::indexing_slicing)]

use std::ops::RangeInclusive;

use crate::domain::{
    MarketSnapshot, Outcome, Timestamp,
    snapshot::{Analysis, Base, Execution, MarketState, Number, Structure},
};

/// What is asked of a value, as it is said in a report.
pub type Rule = &'static str;

const UNIT: RangeInclusive<f64> = 0.0..=1.0;

/// Calls `found` with the path, the rule and the value of each number in `snapshot` that breaks its rule. Of two numbers
/// that contradict each other, such as a bid above the ask, the value is their difference.
pub fn check_snapshot(snapshot: &MarketSnapshot, found: &mut impl FnMut(&'static str, Rule, f64)) {
    check_market(&snapshot.market_state, found);
    check_analysis(&snapshot.battle_navale_analysis, found);
    check_structure(&snapshot.market_structure, found);
    check_execution(&snapshot.execution_context, found);
}

/// As [`check_snapshot`], for the outcome of a signal that fired at `at`.
pub fn check_outcome(outcome: &Outcome, at: Timestamp, found: &mut impl FnMut(&'static str, Rule, f64)) {
    if outcome.exit_at < at {
        let early = at.duration_since(outcome.exit_at).as_secs_f64();
        found("outcome_metrics.exit_at", "seconds before the signal", early);
    }
    at_least_0("outcome_metrics.bars_held", outcome.bars_held, found);
    at_least_0("outcome_metrics.mfe_ticks", outcome.mfe_ticks, found);
    at_least_0("outcome_metrics.mae_ticks", outcome.mae_ticks, found);
    at_least_0("outcome_metrics.mfe_bars", outcome.mfe_bars, found);
    if let Some((best, held)) = outcome.mfe_bars.zip(outcome.bars_held).filter(|(best, held)| best > held) {
        found("outcome_metrics.mfe_bars", "bars beyond bars_held", best - held);
    }
}

fn check_market(market: &MarketState, found: &mut impl FnMut(&'static str, Rule, f64)) {
    above_0("market_state.price", market.price, found);
    above_0("market_state.atr", market.atr, found);
    above_0("market_state.vix", market.vix, found);
    above_0("market_state.price_5m_ago", market.price_5m_ago, found);
    at_least_0("market_state.volume.session", market.volume.session, found);
    at_least_0("market_state.volume.recent", market.volume.recent, found);
    above_0("market_state.volume.average", market.volume.average, found);
    at_least_0("market_state.bid_ask.bid_size", market.bid_ask.bid_size, found);
    at_least_0("market_state.bid_ask.ask_size", market.bid_ask.ask_size, found);
    in_order("market_state.bid_ask", market.bid_ask.bid, market.bid_ask.ask, found);
    above_0("market_state.vwap.session", market.vwap.session, found);
    above_0("market_state.vwap.m15", market.vwap.m15, found);
    above_0("market_state.vwap.h1", market.vwap.h1, found);
}

fn check_analysis(analysis: &Analysis, found: &mut impl FnMut(&'static str, Rule, f64)) {
    for [open, high, low, close, volume] in &analysis.boules {
        in_order("battle_navale_analysis.boules", *low, *high, found);
        for inside in [*open, *close] {
            in_order("battle_navale_analysis.boules", *low, inside, found);
            in_order("battle_navale_analysis.boules", inside, *high, found);
        }
        at_least_0("battle_navale_analysis.boules volume", *volume, found);
    }
    for strength in analysis.patterns.values() {
        within("battle_navale_analysis.patterns", "0 to 1", UNIT, *strength, found);
    }
    let Base { high, low, quality, .. } = analysis.base;
    in_order("battle_navale_analysis.base", low, high, found);
    within("battle_navale_analysis.base.quality", "0 to 1", UNIT, quality, found);
    within("battle_navale_analysis.confluence_score", "0 to 1", UNIT, analysis.confluence_score, found);
    within("battle_navale_analysis.signal_strength", "0 to 1", UNIT, analysis.signal_strength, found);
}

fn check_structure(structure: &Structure, found: &mut impl FnMut(&'static str, Rule, f64)) {
    above_0("market_structure.gamma_levels.call_wall", structure.gamma_levels.call_wall, found);
    above_0("market_structure.gamma_levels.put_wall", structure.gamma_levels.put_wall, found);
    in_order("market_structure.value_area", structure.value_area.val, structure.value_area.vah, found);
    in_order(
        "market_structure.previous_session",
        structure.previous_session.low,
        structure.previous_session.high,
        found,
    );
    within("market_structure.es_nq_correlation", "-1 to 1", -1.0..=1.0, structure.es_nq_correlation, found);
    above_0("market_structure.options_flow.put_call_ratio", structure.options_flow.put_call_ratio, found);
}

fn check_execution(execution: &Execution, found: &mut impl FnMut(&'static str, Rule, f64)) {
    within("execution_context.session_fraction", "0 to 1", UNIT, execution.session_fraction, found);
    let risk = execution.risk_parameters;
    above_0("execution_context.risk_parameters.contracts", risk.contracts, found);
    above_0("execution_context.risk_parameters.stop_ticks", risk.stop_ticks, found);
    above_0("execution_context.risk_parameters.target_ticks", risk.target_ticks, found);
    above_0("execution_context.risk_parameters.daily_loss_limit", risk.daily_loss_limit, found);
}

fn above_0(path: &'static str, value: Number, found: &mut impl FnMut(&'static str, Rule, f64)) {
    if let Some(value) = value.filter(|value| *value <= 0.0) {
        found(path, "above 0", value);
    }
}

fn at_least_0(path: &'static str, value: Number, found: &mut impl FnMut(&'static str, Rule, f64)) {
    if let Some(value) = value.filter(|value| *value < 0.0) {
        found(path, "at least 0", value);
    }
}

fn within(
    path: &'static str,
    rule: Rule,
    range: RangeInclusive<f64>,
    value: Number,
    found: &mut impl FnMut(&'static str, Rule, f64),
) {
    if let Some(value) = value.filter(|value| !range.contains(value)) {
        found(path, rule, value);
    }
}

fn in_order(path: &'static str, low: Number, high: Number, found: &mut impl FnMut(&'static str, Rule, f64)) {
    if let Some((low, high)) = low.zip(high).filter(|(low, high)| low > high) {
        found(path, "high not below low", high - low);
    }
}
