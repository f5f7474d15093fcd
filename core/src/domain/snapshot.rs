//! What the trader knows about a signal at the moment it fires, as it stands in a snapshot.
//!
//! Every number may be missing or null; nothing else may. Unknown names are refused.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::unique;

/// A price, size or ratio that may be unknown. JSON cannot carry NaN or infinities, so `Some` is finite.
pub type Number = Option<f64>;

/// The direction of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Buy first.
    Long,
    /// Sell first.
    Short,
}

impl Side {
    /// +1 for long, -1 for short.
    pub fn sign(self) -> f64 {
        match self {
            Self::Long => 1.0,
            Self::Short => -1.0,
        }
    }
}

/// The four parts of a snapshot that exist before the trade.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MarketSnapshot {
    /// Prices, volumes and volatility now.
    pub market_state: MarketState,
    /// What the primary strategy saw.
    pub battle_navale_analysis: Analysis,
    /// Levels and relations around the price.
    pub market_structure: Structure,
    /// How the trade would be executed.
    pub execution_context: Execution,
}

/// Prices, volumes and volatility at the signal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the names are the format's own")]
pub struct MarketState {
    #[serde(default)]
    pub price: Number,
    pub volume: Volume,
    pub bid_ask: BidAsk,
    pub vwap: Vwap,
    /// Average true range, in points.
    #[serde(default)]
    pub atr: Number,
    #[serde(default)]
    pub vix: Number,
    #[serde(default)]
    pub price_5m_ago: Number,
}

/// Contracts traded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "the names are the format's own")]
pub struct Volume {
    pub session: Number,
    pub recent: Number,
    pub average: Number,
}

/// The top of the book.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "the names are the format's own")]
pub struct BidAsk {
    pub bid: Number,
    pub ask: Number,
    pub bid_size: Number,
    pub ask_size: Number,
}

/// Volume-weighted average prices over three spans.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "the names are the format's own")]
pub struct Vwap {
    pub session: Number,
    pub m15: Number,
    pub h1: Number,
}

/// The primary strategy's reading of the chart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the names are the format's own")]
pub struct Analysis {
    /// Bars, oldest first: open, high, low, close, volume.
    pub boules: Vec<[Number; 5]>,
    /// Strength of each named pattern, 0 to 1.
    #[serde(deserialize_with = "unique::map")]
    pub patterns: BTreeMap<Box<str>, Number>,
    pub base: Base,
    pub golden_rule: GoldenRule,
    #[serde(default)]
    pub confluence_score: Number,
    pub trend_regime: TrendRegime,
    #[serde(default)]
    pub signal_strength: Number,
}

/// A stretch of tight bars.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the names are the format's own")]
pub struct Base {
    pub kind: BaseKind,
    #[serde(default)]
    pub high: Number,
    #[serde(default)]
    pub low: Number,
    #[serde(default)]
    pub quality: Number,
}

/// Colour of a base.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are the format's own")]
pub enum BaseKind {
    Green,
    Red,
    Neutral,
}

/// Whether the strategy's golden rule holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are the format's own")]
pub enum GoldenRule {
    Intact,
    Broken,
}

/// The trend after Dow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are the format's own")]
pub enum TrendRegime {
    TrendUp,
    TrendDown,
    Range,
}

/// Levels and relations around the price.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the names are the format's own")]
pub struct Structure {
    pub gamma_levels: GammaLevels,
    pub value_area: ValueArea,
    pub previous_session: PreviousSession,
    #[serde(default)]
    pub es_nq_correlation: Number,
    pub options_flow: OptionsFlow,
}

/// Strikes with the largest dealer gamma.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "the names are the format's own")]
pub struct GammaLevels {
    pub call_wall: Number,
    pub put_wall: Number,
}

/// Value area of the volume profile.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "the names are the format's own")]
pub struct ValueArea {
    pub vah: Number,
    pub val: Number,
    pub poc: Number,
}

/// The session before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "the names are the format's own")]
pub struct PreviousSession {
    pub high: Number,
    pub low: Number,
    pub close: Number,
}

/// Options trading.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "the names are the format's own")]
pub struct OptionsFlow {
    pub put_call_ratio: Number,
}

/// How the trade would be executed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the names are the format's own")]
pub struct Execution {
    pub entry_reason: Box<str>,
    pub session_phase: SessionPhase,
    #[serde(default)]
    pub session_fraction: Number,
    pub volatility_regime: VolatilityRegime,
    pub risk_parameters: RiskParameters,
}

/// Part of the trading day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are the format's own")]
pub enum SessionPhase {
    Overnight,
    Open,
    Regular,
    Close,
    AfterHours,
}

/// How wide the market swings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are the format's own")]
pub enum VolatilityRegime {
    Low,
    Normal,
    High,
    Extreme,
}

/// What the trader risks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "the names are the format's own")]
pub struct RiskParameters {
    pub contracts: Number,
    pub stop_ticks: Number,
    pub target_ticks: Number,
    /// Account currency; a loss of the trading day beyond it is what the trader wants to avoid.
    pub daily_loss_limit: Number,
}
