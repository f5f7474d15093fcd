//! The market: sessions of bars, with their regimes and moods.
//!
//! Bars are of like volume, so they are short when much is going on. A price goes in eight steps through each bar; how
//! wide, follows a slow volatility of the sessions and the regime of the moment.
#![deny(clippy::indexing_slicing)]

use serde::Serialize;

use super::{
    draw::{Draw, Stream},
    options::SimulationOptions,
};
use vigie_core::features::formulas::SESSION_MINUTES;

/// Minutes after the opening at which New York opens, and at which it is closed.
pub(super) const NEW_YORK: (f64, f64) = (930.0, 1335.0);
/// Bars of the session before that are still in sight.
const CARRIED: usize = 30;
/// Bars of an average true range.
const ATR_BARS: usize = 14;
const STEPS: usize = 8;
/// Average range of a bar, as a share of the price.
const RANGE_SHARE: f64 = 0.0008;
/// Range of a walk of [`STEPS`] steps of standard deviation 1.
const WALK_RANGE: f64 = 3.7;
const FIRST_PRICE: f64 = 4000.0;
/// Share of the way back to [`FIRST_PRICE`] that each night takes, so that years stay within sight of it.
const HOMING: f64 = 0.01;
/// Chance that a bar begins another regime.
const TURNOVER: f64 = 1.0 / 45.0;

/// What the market is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Regime {
    /// It climbs.
    TrendUp,
    /// It falls.
    TrendDown,
    /// It comes back to where it was.
    Range,
    /// It swings widely.
    Volatile,
}

/// A stretch of trading.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bar {
    /// When it ended, in minutes since the opening of its session; not above 0 in the session before.
    pub(super) minute: f64,
    /// How long it took, in minutes.
    pub(super) length: f64,
    pub(super) open: f64,
    pub(super) high: f64,
    pub(super) low: f64,
    pub(super) close: f64,
    pub(super) volume: f64,
    /// The price five minutes before its end.
    pub(super) earlier: f64,
    pub(super) regime: Regime,
}

/// What a session is like as a whole.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mood {
    /// Logarithm of how much wider than usual prices swing.
    pub(super) log_volatility: f64,
    pub(super) vix: f64,
    pub(super) correlation: f64,
    /// Logarithm of the put/call ratio.
    pub(super) log_put_call: f64,
    /// Chance that the spread is wider than a tick.
    pub(super) wide_spread: f64,
    /// Factor on the volume of the last bar against the average.
    pub(super) bustle: f64,
}

/// Prices of the session before that are watched.
#[derive(Debug, Clone, Copy)]
pub(super) struct Levels {
    pub(super) high: f64,
    pub(super) low: f64,
    pub(super) close: f64,
    pub(super) value_high: f64,
    pub(super) value_low: f64,
    pub(super) point_of_control: f64,
}

/// One session, all of it.
#[derive(Debug, Clone)]
pub(super) struct Session {
    /// The last bars of the session before, then its own.
    pub(super) bars: Vec<Bar>,
    /// How many of them are of the session before.
    pub(super) carried: usize,
    pub(super) mood: Mood,
    pub(super) levels: Levels,
}

/// Makes one session after another.
#[derive(Debug, Clone)]
pub(super) struct Market {
    draw: Draw,
    tick: f64,
    price: f64,
    regime: Regime,
    /// Volatility, volatility index, correlation and options flow, each a standard normal that changes slowly.
    slow: [f64; 4],
    last: Vec<Bar>,
}

impl Bar {
    fn typical(&self) -> f64 {
        (self.high + self.low + self.close) / 3.0
    }

    pub(super) fn range(&self) -> f64 {
        self.high - self.low
    }

    pub(super) fn body(&self) -> f64 {
        self.close - self.open
    }
}

impl Market {
    pub(super) fn new(seed: u64, tick: f64) -> Self {
        let mut draw = Draw::new(seed, Stream::Market);
        let slow = [draw.normal(), draw.normal(), draw.normal(), draw.normal()];
        let mut market = Self { draw, tick, price: FIRST_PRICE, regime: Regime::Range, slow, last: Vec::new() };
        // a session to look back on
        let mood = market.mood(0.0);
        market.last = market.trade(mood, Vec::new());
        market
    }

    /// The next session, whose number from 0 says what `options` change in it.
    pub(super) fn session(&mut self, number: usize, options: &SimulationOptions) -> Session {
        let mut mood = self.mood(options.moved(number));
        mood.log_volatility += options.swing(number).ln();
        let levels = self.levels();
        let last = std::mem::take(&mut self.last);
        let mut bars: Vec<Bar> = last.iter().rev().take(CARRIED).rev().copied().collect();
        let end = bars.last().map_or(0.0, |bar| bar.minute);
        bars.iter_mut().for_each(|bar| bar.minute -= end);
        let carried = bars.len();
        let gap = RANGE_SHARE * mood.log_volatility.exp() * self.draw.normal();
        let home = HOMING * (FIRST_PRICE / self.price).ln();
        self.price = to_tick(self.tick, self.price * (gap + home).exp());
        let bars = self.trade(mood, bars);
        self.last = bars.iter().skip(carried).copied().collect();
        Session { bars, carried, mood, levels }
    }

    /// Draws the next mood; the inputs are `moved` by so many of their standard deviations.
    fn mood(&mut self, moved: f64) -> Mood {
        for (value, memory) in self.slow.iter_mut().zip([0.93_f64, 0.95, 0.8, 0.6]) {
            *value = memory * *value + (1.0 - memory * memory).sqrt() * self.draw.normal();
        }
        let [volatility, fear, apart, flow] = self.slow;
        Mood {
            log_volatility: 0.3 * volatility,
            vix: 10.0 + (1.75 + 0.45 * volatility + 0.5 * fear + 0.67 * moved).exp().min(70.0),
            correlation: 1.0 - (-3.13 + 0.5 * (apart + moved)).exp().min(1.0),
            log_put_call: -0.05 + 0.2 * (flow - moved),
            wide_spread: (0.07 + 0.15 * moved).clamp(0.0, 1.0),
            bustle: (0.2 * moved).exp(),
        }
    }

    /// Trades until the session closes.
    fn trade(&mut self, mood: Mood, mut bars: Vec<Bar>) -> Vec<Bar> {
        let (mut minute, mut anchor) = (0.0, self.price);
        loop {
            let bar = self.bar(minute, anchor, mood);
            if bar.minute > SESSION_MINUTES {
                return bars;
            }
            (minute, self.price) = (bar.minute, bar.close);
            anchor += 0.1 * (bar.close - anchor);
            bars.push(bar);
        }
    }

    /// The bar that begins at `minute`.
    fn bar(&mut self, minute: f64, anchor: f64, mood: Mood) -> Bar {
        if self.draw.chance(TURNOVER) {
            self.regime = self.next_regime();
        }
        let regime = self.regime;
        let wide = if regime == Regime::Volatile { 1.6 } else { 1.0 };
        let scale = self.price * RANGE_SHARE * mood.log_volatility.exp() * wide * self.draw.lognormal(0.3);
        let mut path = [self.price; STEPS + 1];
        let mut price = self.price;
        for place in path.iter_mut().skip(1) {
            let pull = match regime {
                Regime::TrendUp => 0.022 * scale,
                Regime::TrendDown => -0.022 * scale,
                Regime::Range => 0.035 * (anchor - price),
                Regime::Volatile => 0.0,
            };
            price = to_tick(self.tick, price + pull + scale / WALK_RANGE * self.draw.normal());
            *place = price;
        }
        let moved = (price - self.price).abs() / scale;
        // a fast move fills a bar soon
        let length = usual_minutes(minute) * self.draw.lognormal(0.3) * 1.3 / (0.5 + 1.3 * moved).clamp(0.6, 3.0);
        let length = length.max(0.5) / mood.log_volatility.exp().sqrt();
        let thin = if self.draw.chance(0.12) { self.draw.between(0.3, 0.9) } else { 1.0 };
        Bar {
            minute: minute + length,
            length,
            open: self.price,
            high: path.iter().copied().fold(f64::MIN, f64::max),
            low: path.iter().copied().fold(f64::MAX, f64::min),
            close: price,
            volume: (9000.0 * thin * self.draw.lognormal(0.17)).round(),
            earlier: before_the_end(&path, length),
            regime,
        }
    }

    fn next_regime(&mut self) -> Regime {
        match self.draw.uniform() {
            x if x < 0.22 => Regime::TrendUp,
            x if x < 0.44 => Regime::TrendDown,
            x if x < 0.85 => Regime::Range,
            _ => Regime::Volatile,
        }
    }

    /// Of the session that is over.
    fn levels(&mut self) -> Levels {
        let middle = mean_price(self.last.iter()).unwrap_or(self.price);
        let squares: f64 = self.last.iter().map(|bar| (bar.close - middle).powi(2)).sum();
        let spread = (squares / self.last.len().max(1) as f64).sqrt();
        let off = spread / 3.0 * self.draw.normal();
        Levels {
            high: self.last.iter().map(|bar| bar.high).fold(f64::MIN, f64::max),
            low: self.last.iter().map(|bar| bar.low).fold(f64::MAX, f64::min),
            close: self.price,
            value_high: to_tick(self.tick, middle + spread),
            value_low: to_tick(self.tick, middle - spread),
            point_of_control: to_tick(self.tick, middle + off),
        }
    }
}

impl Session {
    /// The bars up to the one at `index`, that one included.
    pub(super) fn until(&self, index: usize) -> &[Bar] {
        self.bars.get(..=index).unwrap_or(&self.bars)
    }

    /// As [`Self::until`], of this session only.
    pub(super) fn own(&self, index: usize) -> &[Bar] {
        self.until(index).get(self.carried..).unwrap_or_default()
    }
}

/// Mean true range of the latest bars, in points; at least four ticks.
pub(super) fn average_true_range(bars: &[Bar], tick: f64) -> f64 {
    let latest = bars.iter().rev().take(ATR_BARS);
    let before = bars.iter().rev().skip(1);
    let ranges: Vec<f64> =
        latest.zip(before).map(|(bar, before)| bar.high.max(before.close) - bar.low.min(before.close)).collect();
    (ranges.iter().sum::<f64>() / ranges.len().max(1) as f64).max(4.0 * tick)
}

/// Volume-weighted mean price.
pub(super) fn mean_price<'a>(bars: impl Iterator<Item = &'a Bar>) -> Option<f64> {
    let sum = |(money, volume): (f64, f64), bar: &Bar| (money + bar.typical() * bar.volume, volume + bar.volume);
    let (money, volume) = bars.fold((0.0, 0.0), sum);
    (volume > 0.0).then(|| money / volume)
}

/// The price that can be quoted nearest to `price`.
fn to_tick(tick: f64, price: f64) -> f64 {
    ((price / tick).round() * tick).max(tick)
}

/// How long a bar usually takes that begins at `minute`.
fn usual_minutes(minute: f64) -> f64 {
    match minute {
        m if m < 480.0 => 55.0,
        m if m < NEW_YORK.0 => 27.0,
        m if m < 1020.0 => 7.0,
        m if m < 1230.0 => 11.0,
        m if m < NEW_YORK.1 => 8.0,
        _ => 25.0,
    }
}

/// The price five minutes before the end of a bar that took `length` minutes along `path`.
fn before_the_end(path: &[f64; STEPS + 1], length: f64) -> f64 {
    let steps = (STEPS as f64 * 5.0 / length).round().min(STEPS as f64) as usize;
    path.iter().rev().nth(steps).copied().unwrap_or_default()
}
