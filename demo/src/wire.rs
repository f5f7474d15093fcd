//! Signals and outcomes as lines of JSON, as a trader writes them.
#![deny(clippy::indexing_slicing)]

use serde::Serialize;

use vigie_core::domain::{
    Inputs, Outcome, Probability, Signal, Symbol, Timestamp, TradeId,
    snapshot::{Analysis, Execution, MarketState, Side, Structure},
};

#[derive(Serialize)]
struct SignalFields<'a> {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    trade_id: &'a TradeId,
    at: Timestamp,
    symbol: &'a Symbol,
    side: Side,
    confidence: Option<Probability>,
    #[serde(skip_serializing_if = "Option::is_none")]
    market_state: Option<&'a MarketState>,
    #[serde(skip_serializing_if = "Option::is_none")]
    battle_navale_analysis: Option<&'a Analysis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    market_structure: Option<&'a Structure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    execution_context: Option<&'a Execution>,
    #[serde(skip_serializing_if = "Option::is_none")]
    features: Option<&'a vigie_core::domain::FeatureVector>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome_metrics: Option<&'a Outcome>,
}

#[derive(Serialize)]
struct OutcomeFields<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    trade_id: &'a TradeId,
    outcome_metrics: &'a Outcome,
}

impl<'a> SignalFields<'a> {
    fn of(signal: &'a Signal) -> Self {
        let (snapshot, features) = match &signal.inputs {
            Inputs::Snapshot(snapshot) => (Some(snapshot), None),
            Inputs::Features(features) => (None, Some(features)),
        };
        Self {
            kind: None,
            trade_id: &signal.trade_id,
            at: signal.at,
            symbol: &signal.symbol,
            side: signal.side,
            confidence: signal.confidence,
            market_state: snapshot.map(|snapshot| &snapshot.market_state),
            battle_navale_analysis: snapshot.map(|snapshot| &snapshot.battle_navale_analysis),
            market_structure: snapshot.map(|snapshot| &snapshot.market_structure),
            execution_context: snapshot.map(|snapshot| &snapshot.execution_context),
            features,
            outcome_metrics: None,
        }
    }
}

/// A closed trade as a line of a file for `vigie import`.
pub fn closed_trade(signal: &Signal, outcome: &Outcome) -> String {
    text(&SignalFields { outcome_metrics: Some(outcome), ..SignalFields::of(signal) })
}

/// A closed trade as an `import` request.
pub fn past_trade(signal: &Signal, outcome: &Outcome) -> String {
    text(&SignalFields { kind: Some("import"), outcome_metrics: Some(outcome), ..SignalFields::of(signal) })
}

/// A `score` request.
pub fn score(signal: &Signal) -> String {
    text(&SignalFields { kind: Some("score"), ..SignalFields::of(signal) })
}

/// An `outcome` request.
pub fn outcome(trade_id: &TradeId, outcome: &Outcome) -> String {
    text(&OutcomeFields { kind: "outcome", trade_id, outcome_metrics: outcome })
}

/// These types have text keys and finite numbers, so there is nothing that could not be written.
fn text(fields: &impl Serialize) -> String {
    serde_json::to_string(fields).unwrap_or_default()
}
