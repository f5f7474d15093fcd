//! The trader: it follows breakouts from a base of tight bars, and says of each what it sees and how sure it is.
#![deny(clippy::indexing_slicing)]

use std::collections::BTreeMap;

use super::{
    draw::{Draw, Stream},
    market::{Bar, Mood, Regime, Session, average_true_range, mean_price},
};
use vigie_core::{
    domain::{
        MarketSnapshot, Probability, Side,
        snapshot::{
            Analysis, Base, BaseKind, BidAsk, Execution, GammaLevels, GoldenRule, MarketState, Number, OptionsFlow,
            PreviousSession, RiskParameters, SessionPhase, Structure, TrendRegime, ValueArea, VolatilityRegime, Volume,
            Vwap,
        },
    },
    features::formulas::SESSION_MINUTES,
};

/// Bars of a base.
const BASE_BARS: usize = 5;
/// Bars that a snapshot shows.
const SHOWN: usize = 12;
/// Breakouts of a session, on average: from these the trader picks.
const BREAKOUTS: f64 = 15.2;
/// No signals before and after these minutes of the session.
const TRADED: (f64, f64) = (20.0, 1350.0);
/// Points between the strikes that stand for walls.
const STRIKES: f64 = 25.0;
/// Stop and target, in average true ranges.
const RISK_RANGES: f64 = 2.0;

/// A signal before anything is known of its end.
#[derive(Debug, Clone)]
pub(super) struct Setup {
    /// At the end of which bar of the session it fired.
    pub(super) index: usize,
    pub(super) side: Side,
    pub(super) confidence: Probability,
    pub(super) snapshot: MarketSnapshot,
    pub(super) regime: Regime,
    pub(super) ticks_at_risk: f64,
}

/// Draws which breakouts are taken.
#[derive(Debug, Clone)]
pub(super) struct Trader {
    draw: Draw,
    tick: f64,
    share: f64,
    daily_loss_limit: f64,
}

/// What the snapshot is made of: the bars up to the signal, and what follows from them.
struct View<'a> {
    session: &'a Session,
    index: usize,
    bar: Bar,
    /// Bars of the base, oldest first.
    base: &'a [Bar],
    atr: f64,
    side: Side,
}

impl Trader {
    pub(super) fn new(seed: u64, tick: f64, signals_per_session: f64, daily_loss_limit: f64) -> Self {
        let draw = Draw::new(seed, Stream::Trader);
        Self { draw, tick, share: signals_per_session / BREAKOUTS, daily_loss_limit }
    }

    /// The signals of a session, in order.
    pub(super) fn signals(&mut self, session: &Session) -> Vec<Setup> {
        let own = session.carried.max(BASE_BARS)..session.bars.len().saturating_sub(2);
        let mut setups = Vec::new();
        for index in own {
            let Some((bar, base)) = breakout_place(session, index) else { continue };
            let Some(side) = side_of(bar, base) else { continue };
            if (TRADED.0..TRADED.1).contains(&bar.minute) && self.draw.chance(self.share) {
                let atr = average_true_range(session.until(index), self.tick);
                setups.push(self.setup(&View { session, index, bar, base, atr, side }));
            }
        }
        setups
    }

    fn setup(&mut self, view: &View<'_>) -> Setup {
        let market_state = self.market_state(view);
        let analysis = analysis(view, &market_state);
        let confidence = 0.335
            + 0.32 * analysis.confluence_score.unwrap_or_default()
            + 0.08 * analysis.signal_strength.unwrap_or_default()
            + 0.07 * self.draw.normal();
        let ticks = (RISK_RANGES * view.atr / self.tick).round().max(8.0);
        let flow = 0.3 * self.draw.normal();
        let snapshot = MarketSnapshot {
            market_state,
            battle_navale_analysis: analysis,
            market_structure: structure(view, flow),
            execution_context: execution(view, ticks, self.daily_loss_limit),
        };
        let confidence = Probability::new(rounded(confidence.clamp(0.3, 0.95), 4)).unwrap_or(Probability::NEUTRAL);
        let Bar { regime, .. } = view.bar;
        Setup { index: view.index, side: view.side, confidence, snapshot, regime, ticks_at_risk: ticks }
    }

    fn market_state(&mut self, view: &View<'_>) -> MarketState {
        let Mood { vix, wide_spread, bustle, .. } = view.session.mood;
        let (own, all) = (view.session.own(view.index), view.session.until(view.index));
        let Bar { close, minute, earlier, volume, .. } = view.bar;
        let since = |minutes: f64| all.iter().filter(move |bar| bar.minute > minute - minutes);
        let average = all.iter().rev().take(20).map(|bar| bar.volume).sum::<f64>() / all.len().clamp(1, 20) as f64;
        let (wide, by) = (self.draw.chance(wide_spread), (1.0 + self.draw.between(0.4, 2.6)).round());
        let price = |price: Option<f64>| price.map(|price| rounded(price, 3));
        MarketState {
            price: Some(close),
            volume: Volume {
                session: Some(own.iter().map(|bar| bar.volume).sum()),
                recent: Some((volume * bustle).round()),
                average: Some(rounded(average, 1)),
            },
            bid_ask: BidAsk {
                bid: Some(close),
                ask: Some(close + self.tick * if wide { by } else { 1.0 }),
                bid_size: Some(self.draw.between(5.0, 180.0).floor()),
                ask_size: Some(self.draw.between(5.0, 180.0).floor()),
            },
            vwap: Vwap {
                session: price(mean_price(own.iter())),
                m15: price(mean_price(since(15.0))),
                h1: price(mean_price(since(60.0))),
            },
            atr: Some(rounded(view.atr, 4)),
            vix: Some(rounded(vix, 2)),
            price_5m_ago: Some(earlier),
        }
    }
}

/// The bar at `index` and the base before it.
fn breakout_place(session: &Session, index: usize) -> Option<(Bar, &[Bar])> {
    Some((*session.bars.get(index)?, session.bars.get(index.checked_sub(BASE_BARS)?..index)?))
}

fn side_of(bar: Bar, base: &[Bar]) -> Option<Side> {
    if bar.close > highest(base) {
        Some(Side::Long)
    } else if bar.close < lowest(base) {
        Some(Side::Short)
    } else {
        None
    }
}

fn highest(bars: &[Bar]) -> f64 {
    bars.iter().map(|bar| bar.high).fold(f64::MIN, f64::max)
}

fn lowest(bars: &[Bar]) -> f64 {
    bars.iter().map(|bar| bar.low).fold(f64::MAX, f64::min)
}

fn analysis(view: &View<'_>, market: &MarketState) -> Analysis {
    let all = view.session.until(view.index);
    let shown = all.get(all.len().saturating_sub(SHOWN)..).unwrap_or(all);
    let (high, low) = (highest(view.base), lowest(view.base));
    let quality = (0.62 * view.atr / (high - low).max(view.atr / 4.0)).clamp(0.0, 1.0);
    let beyond = if view.side == Side::Long { view.bar.close - high } else { low - view.bar.close };
    let patterns = patterns(all, view.atr);
    let strongest = patterns.values().copied().flatten().fold(0.0, f64::max);
    let (trend, golden) = (trend(shown), golden_rule(view));
    let with_trend =
        matches!((trend, view.side), (TrendRegime::TrendUp, Side::Long) | (TrendRegime::TrendDown, Side::Short));
    let with_flow = market.vwap.session.is_some_and(|vwap| view.side.sign() * (view.bar.close - vwap) > 0.0);
    let busy = market.volume.recent.zip(market.volume.average).is_some_and(|(recent, average)| recent > average);
    let clues = [with_trend, with_flow, busy, quality > 0.27, golden == GoldenRule::Intact || strongest > 0.0];
    Analysis {
        boules: shown.iter().map(|bar| [bar.open, bar.high, bar.low, bar.close, bar.volume].map(Some)).collect(),
        patterns,
        base: Base {
            kind: colour(view.base, view.atr),
            high: Some(high),
            low: Some(low),
            quality: Some(rounded(quality, 4)),
        },
        golden_rule: golden,
        confluence_score: Some(clues.iter().filter(|clue| **clue).count() as f64 / clues.len() as f64),
        trend_regime: trend,
        signal_strength: Some(rounded((1.4 * beyond / view.atr).clamp(0.03, 1.0), 4)),
    }
}

/// Strengths of three figures of the last bars: long down, then up; long up, then down; a run of one colour that ends.
fn patterns(bars: &[Bar], atr: f64) -> BTreeMap<Box<str>, Number> {
    let bodies: Vec<f64> = bars.iter().rev().take(4).map(|bar| bar.body() / atr).collect();
    let (last, before) = match bodies.as_slice() {
        [last, before, ..] => (*last, *before),
        _ => (0.0, 0.0),
    };
    let reversal = |from: f64, to: f64| if from > 0.3 && to > 0.3 { (1.3 * from.min(to)).min(1.0) } else { 0.0 };
    let run = bodies.iter().skip(1).all(|body| body * last < 0.0) && bodies.len() == 4;
    let setting = if run && last.abs() > 0.25 { (0.8 * last.abs()).min(1.0) } else { 0.0 };
    [
        ("long_down_up_bar", reversal(-before, last)),
        ("long_up_down_bar", reversal(before, -last)),
        ("color_down_setting", setting),
    ]
    .into_iter()
    .map(|(name, strength)| (name.into(), Some(rounded(strength, 4))))
    .collect()
}

fn trend(shown: &[Bar]) -> TrendRegime {
    let moved = shown.last().zip(shown.first()).map_or(0.0, |(last, first)| last.close - first.open);
    let range = shown.iter().map(Bar::range).sum::<f64>() / shown.len().max(1) as f64;
    match moved / range {
        x if x > 2.3 => TrendRegime::TrendUp,
        x if x < -2.3 => TrendRegime::TrendDown,
        _ => TrendRegime::Range,
    }
}

/// Broken when the bar that breaks out also went through the other side of the base.
fn golden_rule(view: &View<'_>) -> GoldenRule {
    let through = match view.side {
        Side::Long => view.bar.low < lowest(view.base),
        Side::Short => view.bar.high > highest(view.base),
    };
    if through { GoldenRule::Broken } else { GoldenRule::Intact }
}

fn colour(base: &[Bar], atr: f64) -> BaseKind {
    let moved: f64 = base.iter().map(Bar::body).sum::<f64>() / atr;
    match moved {
        x if x > 0.8 => BaseKind::Green,
        x if x < -0.8 => BaseKind::Red,
        _ => BaseKind::Neutral,
    }
}

fn structure(view: &View<'_>, flow: f64) -> Structure {
    let Mood { correlation, log_put_call, .. } = view.session.mood;
    let levels = view.session.levels;
    let put_wall = (view.bar.close / STRIKES).floor() * STRIKES;
    Structure {
        gamma_levels: GammaLevels { call_wall: Some(put_wall + STRIKES), put_wall: Some(put_wall) },
        value_area: ValueArea {
            vah: Some(levels.value_high),
            val: Some(levels.value_low),
            poc: Some(levels.point_of_control),
        },
        previous_session: PreviousSession { high: Some(levels.high), low: Some(levels.low), close: Some(levels.close) },
        es_nq_correlation: Some(rounded(correlation, 4)),
        options_flow: OptionsFlow { put_call_ratio: Some(rounded((log_put_call + flow).exp(), 3)) },
    }
}

fn execution(view: &View<'_>, ticks: f64, daily_loss_limit: f64) -> Execution {
    let minute = view.bar.minute;
    let entry_reason = if view.side == Side::Long { "base_breakout_long" } else { "base_breakout_short" };
    Execution {
        entry_reason: entry_reason.into(),
        session_phase: phase(minute),
        session_fraction: Some(rounded(minute / SESSION_MINUTES, 4)),
        volatility_regime: swing(view.session.mood.log_volatility),
        risk_parameters: RiskParameters {
            contracts: Some(1.0),
            stop_ticks: Some(ticks),
            target_ticks: Some(ticks),
            daily_loss_limit: Some(daily_loss_limit),
        },
    }
}

fn phase(minute: f64) -> SessionPhase {
    match minute {
        m if m < 930.0 => SessionPhase::Overnight,
        m if m < 990.0 => SessionPhase::Open,
        m if m < 1260.0 => SessionPhase::Regular,
        m if m < 1335.0 => SessionPhase::Close,
        _ => SessionPhase::AfterHours,
    }
}

fn swing(log_volatility: f64) -> VolatilityRegime {
    match log_volatility {
        v if v < -0.45 => VolatilityRegime::Low,
        v if v < 0.4 => VolatilityRegime::Normal,
        v if v < 0.75 => VolatilityRegime::High,
        _ => VolatilityRegime::Extreme,
    }
}

/// To so many digits after the point, as a feed would send it.
fn rounded(x: f64, digits: i32) -> f64 {
    let unit = 10f64.powi(digits);
    (x * unit).round() / unit
}
