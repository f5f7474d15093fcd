//! The twelve formulas: from a snapshot to the numbers the strategy names.
//!
//! A value that cannot be computed is missing. No formula makes up a number for what it does not know, and none gives
//! NaN, an infinity or a value outside its range. Nothing here allocates.
#![deny(clippy::indexing_slicing)]

use super::Instrument;
use crate::domain::{
    Feature, FeatureVector, Inputs, MarketSnapshot, Signal, Timestamp, TradingCalendar,
    snapshot::{Analysis, BidAsk, MarketState, Number, OptionsFlow, Structure, TrendRegime, Volume},
};

/// Length of a session in minutes: 23 hours, the day of an index future without its daily pause.
pub const SESSION_MINUTES: f64 = 1380.0;

/// VIX points at which [`Feature::MarketVolatility`] is 0, and the points from there to 1.
const VIX_FLOOR: f64 = 10.0;
const VIX_SPAN: f64 = 40.0;
/// Average true range, as a share of the price, that stands for the highest volatility where no VIX is known.
const ATR_SHARE_CEILING: f64 = 0.004;
/// Ticks of spread beyond the first at which [`Feature::BidAskSpread`] is 1.
const SPREAD_TICKS: f64 = 4.0;

/// The twelve features of `signal`, each finite and in its range, or missing. Features the trader computed itself are
/// handed on as they are.
///
/// Missing is what lacks an input, and what has an input it cannot work with: an average true range, an average volume
/// or a put/call ratio that is not above 0, a negative recent volume, an ask below the bid, and, where volatility has
/// to do without a VIX, a price that is not above 0. Differences of prices take any price: futures have traded below 0.
pub fn compute(signal: &Signal, instrument: Instrument, calendar: &TradingCalendar) -> FeatureVector {
    match &signal.inputs {
        Inputs::Features(features) => *features,
        Inputs::Snapshot(snapshot) => from_snapshot(snapshot, signal.at, instrument, calendar),
    }
}

fn from_snapshot(
    snapshot: &MarketSnapshot,
    at: Timestamp,
    instrument: Instrument,
    calendar: &TradingCalendar,
) -> FeatureVector {
    let MarketSnapshot { market_state: market, battle_navale_analysis, market_structure: structure, execution_context } =
        snapshot;
    let atr = market.atr.filter(|atr| *atr > 0.0);
    let of = |feature: Feature, value: Number| in_range(feature, value);
    FeatureVector {
        vwap_trend_signal: of(Feature::VwapTrendSignal, vwap_trend(market, atr)),
        sierra_pattern_strength: of(Feature::SierraPatternStrength, strongest_pattern(battle_navale_analysis)),
        dow_trend_regime: Some(dow(battle_navale_analysis.trend_regime)),
        gamma_levels_proximity: of(Feature::GammaLevelsProximity, gamma_proximity(market.price, atr, structure)),
        level_proximity: of(Feature::LevelProximity, level_proximity(market.price, atr, structure)),
        es_nq_correlation: of(Feature::EsNqCorrelation, structure.es_nq_correlation),
        volume_confirmation: of(Feature::VolumeConfirmation, volume(market.volume)),
        options_flow_bias: of(Feature::OptionsFlowBias, options_bias(structure.options_flow)),
        market_volatility: of(Feature::MarketVolatility, volatility(market, atr)),
        session_time: of(Feature::SessionTime, session_time(execution_context.session_fraction, at, calendar)),
        bid_ask_spread: of(Feature::BidAskSpread, spread(market.bid_ask, instrument.tick)),
        recent_momentum: of(Feature::RecentMomentum, momentum(market, atr)),
    }
}

/// Clips to the feature's range. What is not a number, after an overflow of absurd inputs, is missing.
fn in_range(feature: Feature, value: Number) -> Number {
    value.filter(|value| !value.is_nan()).map(|value| value.clamp(feature.lowest(), 1.0))
}

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn vwap_trend(market: &MarketState, atr: Number) -> Number {
    let (price, session, atr) = (market.price?, market.vwap.session?, atr?);
    let slope = market.vwap.m15.zip(market.vwap.h1).map_or(0.0, |(m15, h1)| (m15 - h1) / atr);
    Some(logistic(0.5 * (price - session) / atr + slope))
}

fn strongest_pattern(analysis: &Analysis) -> Number {
    analysis.patterns.values().copied().flatten().reduce(f64::max)
}

fn dow(regime: TrendRegime) -> f64 {
    match regime {
        TrendRegime::TrendDown => -1.0,
        TrendRegime::Range => 0.0,
        TrendRegime::TrendUp => 1.0,
    }
}

fn gamma_proximity(price: Number, atr: Number, structure: &Structure) -> Number {
    proximity(price?, atr?, [structure.gamma_levels.call_wall, structure.gamma_levels.put_wall])
}

fn level_proximity(price: Number, atr: Number, structure: &Structure) -> Number {
    let (area, previous) = (structure.value_area, structure.previous_session);
    proximity(price?, atr?, [area.vah, area.val, area.poc, previous.high, previous.low, previous.close])
}

/// `exp(-d / 2A)` for the distance `d` to the nearest of the levels that are known.
fn proximity<const N: usize>(price: f64, atr: f64, levels: [Number; N]) -> Number {
    let distance = levels.into_iter().flatten().map(|level| (price - level).abs()).reduce(f64::min)?;
    Some((-distance / (2.0 * atr)).exp())
}

fn volume(volume: Volume) -> Number {
    let recent = volume.recent.filter(|recent| *recent >= 0.0)?;
    let ratio = recent / volume.average.filter(|average| *average > 0.0)?;
    Some(ratio / (1.0 + ratio))
}

fn options_bias(flow: OptionsFlow) -> Number {
    let ratio = flow.put_call_ratio.filter(|ratio| *ratio > 0.0)?;
    Some((-ratio.ln()).tanh())
}

fn volatility(market: &MarketState, atr: Number) -> Number {
    if let Some(vix) = market.vix {
        return Some((vix - VIX_FLOOR) / VIX_SPAN);
    }
    Some(atr? / market.price.filter(|price| *price > 0.0)? / ATR_SHARE_CEILING)
}

fn session_time(fraction: Number, at: Timestamp, calendar: &TradingCalendar) -> Number {
    Some(fraction.unwrap_or_else(|| calendar.minutes_into_day(at) / SESSION_MINUTES))
}

fn spread(book: BidAsk, tick: f64) -> Number {
    let (bid, ask) = (book.bid?, book.ask?);
    // written so that a NaN among them is refused
    let usable = tick > 0.0 && ask >= bid;
    usable.then(|| ((ask - bid) / tick - 1.0).clamp(0.0, SPREAD_TICKS) / SPREAD_TICKS)
}

fn momentum(market: &MarketState, atr: Number) -> Number {
    Some(((market.price? - market.price_5m_ago?) / atr?).tanh())
}
