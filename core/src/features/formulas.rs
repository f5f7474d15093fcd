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

/// The number of the formulas, stored with each version. It grows when a formula gives another value than before.
///
/// 2: prices are put on the grid of the tick before their differences are taken.
pub const FORMULAS: u32 = 2;

/// Parts of a tick on whose grid prices are put: what is nearer to each other is one price. Prices that travelled as 32-bit
/// floats are off by up to a few thousandths of a tick, means of two quotes lie at its half.
const GRID: f64 = 100.0;

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
    let (tick, of) = (instrument.tick, |feature: Feature, value: Number| in_range(feature, value));
    FeatureVector {
        vwap_trend_signal: of(Feature::VwapTrendSignal, vwap_trend(market, atr, tick)),
        sierra_pattern_strength: of(Feature::SierraPatternStrength, strongest_pattern(battle_navale_analysis)),
        dow_trend_regime: Some(dow(battle_navale_analysis.trend_regime)),
        gamma_levels_proximity: of(Feature::GammaLevelsProximity, gamma_proximity(market.price, atr, tick, structure)),
        level_proximity: of(Feature::LevelProximity, level_proximity(market.price, atr, tick, structure)),
        es_nq_correlation: of(Feature::EsNqCorrelation, structure.es_nq_correlation),
        volume_confirmation: of(Feature::VolumeConfirmation, volume(market.volume)),
        options_flow_bias: of(Feature::OptionsFlowBias, options_bias(structure.options_flow)),
        market_volatility: of(Feature::MarketVolatility, volatility(market, atr)),
        session_time: of(Feature::SessionTime, session_time(execution_context.session_fraction, at, calendar)),
        bid_ask_spread: of(Feature::BidAskSpread, spread(market.bid_ask, tick)),
        recent_momentum: of(Feature::RecentMomentum, momentum(market, atr, tick)),
    }
}

/// Clips to the feature's range. What is not a number, after an overflow of absurd inputs, is missing.
fn in_range(feature: Feature, value: Number) -> Number {
    value.filter(|value| !value.is_nan()).map(|value| value.clamp(feature.lowest(), 1.0))
}

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// `a - b` of two prices on the grid of the tick, in ticks. Without a tick that can be used, `None`.
fn ticks_between(a: f64, b: f64, tick: f64) -> Number {
    let on_grid = |price: f64| (price / tick * GRID).round() / GRID;
    (tick > 0.0).then(|| on_grid(a) - on_grid(b))
}

/// The same in points.
fn between(a: f64, b: f64, tick: f64) -> Number {
    Some(ticks_between(a, b, tick)? * tick)
}

/// Volume-weighted means lie on no grid: they are taken as they are.
fn vwap_trend(market: &MarketState, atr: Number, tick: f64) -> Number {
    let (price, session, atr) = (market.price?, market.vwap.session?, atr?);
    let slope = market.vwap.m15.zip(market.vwap.h1).map_or(0.0, |(m15, h1)| (m15 - h1) / atr);
    let price = between(price, 0.0, tick)?;
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

fn gamma_proximity(price: Number, atr: Number, tick: f64, structure: &Structure) -> Number {
    proximity(price?, atr?, tick, [structure.gamma_levels.call_wall, structure.gamma_levels.put_wall])
}

fn level_proximity(price: Number, atr: Number, tick: f64, structure: &Structure) -> Number {
    let (area, previous) = (structure.value_area, structure.previous_session);
    proximity(price?, atr?, tick, [area.vah, area.val, area.poc, previous.high, previous.low, previous.close])
}

/// `exp(-d / 2A)` for the distance `d` to the nearest of the levels that are known.
fn proximity<const N: usize>(price: f64, atr: f64, tick: f64, levels: [Number; N]) -> Number {
    let distances = levels.into_iter().flatten().filter_map(|level| between(price, level, tick));
    let distance = distances.map(f64::abs).reduce(f64::min)?;
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
    let ticks = ticks_between(book.ask?, book.bid?, tick)?;
    // written so that a NaN among them is refused
    (ticks >= 0.0).then(|| (ticks - 1.0).clamp(0.0, SPREAD_TICKS) / SPREAD_TICKS)
}

fn momentum(market: &MarketState, atr: Number, tick: f64) -> Number {
    Some((between(market.price?, market.price_5m_ago?, tick)? / atr?).tanh())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_one_tick_apart_have_one_spread_wherever_they_stand() {
        for tick in [0.1, 0.01, 0.25, 0.0001, 1.0 / 128.0, 0.3] {
            for step in 0..20_000 {
                let quote = |ticks: i32| Some(f64::from(ticks) * tick);
                // as a feed prints them, and as one that keeps 32 bits sends them
                let printed = |price: Option<f64>| price.map(|price| format!("{price:.7}").parse().unwrap());
                let short = |price: Option<f64>| price.map(|price| f64::from(price as f32));
                let book = |bid, ask| BidAsk { bid, ask, ..BidAsk::default() };
                let (bid, ask) = (quote(step), quote(step + 1));
                for book in [book(bid, ask), book(printed(bid), printed(ask)), book(short(bid), short(ask))] {
                    assert_eq!(spread(book, tick), Some(0.0), "{tick} {book:?}");
                }
                let wide = book(bid, quote(step + 3));
                assert_eq!(spread(wide, tick), Some(0.5), "{tick} {wide:?}");
            }
        }
    }

    #[test]
    fn two_prices_that_are_one_but_for_residue_have_no_distance() {
        let (price, same) = (5865.7, 5865.6 + 0.1);
        assert_ne!(price, same);
        assert_eq!(between(price, same, 0.1), Some(0.0));
        assert_eq!(proximity(price, 5.9, 0.1, [Some(same)]), Some(1.0));
        // a mean of two quotes keeps its half tick
        assert_eq!(ticks_between(5865.75, 5865.7, 0.1), Some(0.5));
    }
}
