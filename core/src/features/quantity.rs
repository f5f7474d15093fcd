//! What a snapshot measures, by the names that derived inputs use.
#![deny(clippy::indexing_slicing)]

use std::fmt;

use crate::domain::snapshot::{MarketSnapshot, Number};

/// What kind of number a quantity is: it says what can be made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// A price, in points.
    Price,
    /// A size above 0: contracts, ticks or points.
    Size,
    /// A number without a unit.
    Plain,
}

/// A number of a snapshot.
#[derive(Clone, Copy)]
pub struct Quantity {
    /// Its name.
    pub name: &'static str,
    /// What it measures.
    pub measure: Measure,
    read: fn(&MarketSnapshot) -> Number,
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl fmt::Debug for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

const fn price(name: &'static str, read: fn(&MarketSnapshot) -> Number) -> Quantity {
    Quantity { name, measure: Measure::Price, read }
}

const fn size(name: &'static str, read: fn(&MarketSnapshot) -> Number) -> Quantity {
    Quantity { name, measure: Measure::Size, read }
}

const fn plain(name: &'static str, read: fn(&MarketSnapshot) -> Number) -> Quantity {
    Quantity { name, measure: Measure::Plain, read }
}

/// All of them. What comes first of two is the first part of a pair.
pub const QUANTITIES: [Quantity; 30] = [
    price("price", |s| s.market_state.price),
    price("bid", |s| s.market_state.bid_ask.bid),
    price("ask", |s| s.market_state.bid_ask.ask),
    price("vwap_session", |s| s.market_state.vwap.session),
    price("vwap_m15", |s| s.market_state.vwap.m15),
    price("vwap_h1", |s| s.market_state.vwap.h1),
    price("price_5m_ago", |s| s.market_state.price_5m_ago),
    price("base_high", |s| s.battle_navale_analysis.base.high),
    price("base_low", |s| s.battle_navale_analysis.base.low),
    price("call_wall", |s| s.market_structure.gamma_levels.call_wall),
    price("put_wall", |s| s.market_structure.gamma_levels.put_wall),
    price("vah", |s| s.market_structure.value_area.vah),
    price("val", |s| s.market_structure.value_area.val),
    price("poc", |s| s.market_structure.value_area.poc),
    price("previous_high", |s| s.market_structure.previous_session.high),
    price("previous_low", |s| s.market_structure.previous_session.low),
    price("previous_close", |s| s.market_structure.previous_session.close),
    size("bid_size", |s| s.market_state.bid_ask.bid_size),
    size("ask_size", |s| s.market_state.bid_ask.ask_size),
    size("volume_session", |s| s.market_state.volume.session),
    size("volume_recent", |s| s.market_state.volume.recent),
    size("volume_average", |s| s.market_state.volume.average),
    size("atr", |s| s.market_state.atr),
    size("stop_ticks", |s| s.execution_context.risk_parameters.stop_ticks),
    size("target_ticks", |s| s.execution_context.risk_parameters.target_ticks),
    plain("vix", |s| s.market_state.vix),
    plain("confluence_score", |s| s.battle_navale_analysis.confluence_score),
    plain("signal_strength", |s| s.battle_navale_analysis.signal_strength),
    plain("base_quality", |s| s.battle_navale_analysis.base.quality),
    plain("put_call_ratio", |s| s.market_structure.options_flow.put_call_ratio),
];

impl Quantity {
    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        QUANTITIES.into_iter().find(|quantity| quantity.name == name)
    }

    /// Its value in a snapshot, a size only above 0.
    pub fn of(self, snapshot: &MarketSnapshot) -> Number {
        (self.read)(snapshot).filter(|value| self.measure != Measure::Size || *value > 0.0)
    }
}

/// A number of each bar of `boules`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BarField {
    /// First price.
    Open,
    /// Highest price.
    High,
    /// Lowest price.
    Low,
    /// Last price.
    Close,
    /// Contracts.
    Volume,
}

impl BarField {
    /// All of them, in the order of a bar.
    pub const ALL: [Self; 5] = [Self::Open, Self::High, Self::Low, Self::Close, Self::Volume];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::High => "high",
            Self::Low => "low",
            Self::Close => "close",
            Self::Volume => "volume",
        }
    }

    /// Its value in a bar.
    pub fn of(self, bar: &[Number; 5]) -> Number {
        let [open, high, low, close, volume] = *bar;
        match self {
            Self::Open => open,
            Self::High => high,
            Self::Low => low,
            Self::Close => close,
            Self::Volume => volume,
        }
    }
}
