//! Derived inputs: what a closed vocabulary makes of a snapshot, the same in training and in service.
//!
//! An expression is one function of named quantities, such as `imbalance(bid_size, ask_size)`. What lacks a part is missing. What
//! points up or down is turned to the side of the trade like the directional features; a level stays that level whatever the
//! side. Nothing here knows of anything later than its signal.
#![deny(clippy::indexing_slicing)]

mod parse;

pub use parse::InvalidExpression;

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    design::is_usable,
    quantity::{BarField, Quantity},
    row::{self, BUILT_IN},
};
use crate::{
    domain::{
        Feature, Inputs, Signal, Symbol,
        snapshot::{MarketSnapshot, Number, VolatilityRegime},
    },
    stats::market::MarketRegime,
};

/// Most bars that an expression looks back on.
pub const MOST_BARS: u8 = 50;

/// What is multiplied with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Regime {
    /// The trend after Dow: -1 down, 0 in a range, 1 up.
    Trend,
    /// The swing of the market: -1 low, 0 normal, 1 high, 2 extreme.
    Volatility,
}

/// A derived input: a name and how it is worked out; an item of `features.derived`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DerivedInput {
    /// Its name, of its own among all inputs.
    pub name: String,
    /// How it is worked out.
    pub expression: Expression,
}

/// One function of the vocabulary with its parts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Expression {
    /// `value(a)`: a plain number as it is.
    Value(Quantity),
    /// `ratio(a, b)` of two sizes: ln(a / b).
    Ratio(Quantity, Quantity),
    /// `share(a, b)` of two sizes: a / (a + b).
    Share(Quantity, Quantity),
    /// `imbalance(a, b)` of two sizes: (a - b) / (a + b).
    Imbalance(Quantity, Quantity),
    /// `difference(a, b)` of two plain numbers: a - b.
    Difference(Quantity, Quantity),
    /// `distance(a, b)` of two prices: (a - b) / ATR.
    Distance(Quantity, Quantity),
    /// `lag(field, k)`: of the bar k before the newest, (price - field) / ATR, or ln(volume / average volume).
    Lag(BarField, u8),
    /// `slope(field, n)`: least squares slope over the newest n bars, in ATR a bar, of volume in average volumes a bar.
    Slope(BarField, u8),
    /// `range(n)`: highest less lowest price of the newest n bars, in ATR.
    Range(u8),
    /// `product(x, trend)` or `product(x, volatility)` of a feature, or of another function of the same signal.
    Product(Box<Factor>, Regime),
    /// `extra(name)`: what rides along under `extra`.
    Extra(Box<str>),
    /// `other(SYMBOL, input)`: the input of the latest snapshot of another symbol, as known at the time of the signal.
    Other(Symbol, Box<str>),
    /// `regime(until, penalty, ...)`: 0 while the market is calm and 1 while it is wild, by regimes that were fitted until a time, as
    /// `vigie regimes` writes them, filtered over the latest signals of the symbol.
    Regime(Box<FittedRegime>),
}

/// Regimes of the market, and until when they were fitted.
#[derive(Debug, Clone, PartialEq)]
pub struct FittedRegime {
    /// The time of the last signal that they were fitted to, in whole seconds since 1970.
    pub until_s: i64,
    /// The regimes.
    pub regime: MarketRegime,
}

/// What is multiplied with a regime.
#[derive(Debug, Clone, PartialEq)]
pub enum Factor {
    /// A feature.
    Feature(Feature),
    /// Another expression, neither a product nor of another symbol.
    Of(Expression),
}

impl Regime {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Trend, Self::Volatility];

    /// Its name in an expression.
    pub fn name(self) -> &'static str {
        match self {
            Self::Trend => "trend",
            Self::Volatility => "volatility",
        }
    }

    fn of(self, signal: &Signal, raw: &[Number]) -> Number {
        match (self, &signal.inputs) {
            (Self::Trend, _) => feature_of(Feature::DowTrendRegime, raw),
            (Self::Volatility, Inputs::Snapshot(snapshot)) => {
                Some(match snapshot.execution_context.volatility_regime {
                    VolatilityRegime::Low => -1.0,
                    VolatilityRegime::Normal => 0.0,
                    VolatilityRegime::High => 1.0,
                    VolatilityRegime::Extreme => 2.0,
                })
            }
            (Self::Volatility, Inputs::Features(_)) => None,
        }
    }
}

/// A feature of a raw row, what points up or down from -1 to 1.
fn feature_of(feature: Feature, raw: &[Number]) -> Number {
    let (_, value) = Feature::ALL.into_iter().zip(raw).find(|(known, _)| *known == feature)?;
    value.map(|value| row::centred(feature, value))
}

impl Expression {
    /// Whether it points up or down, so that it is turned to the side of the trade. Of another symbol that is for who knows its
    /// input to say.
    pub fn is_directional(&self) -> bool {
        match self {
            Self::Ratio(a, b) | Self::Imbalance(a, b) => is_book(*a, *b),
            Self::Distance(a, b) => !is_width(*a, *b),
            Self::Lag(field, _) | Self::Slope(field, _) => *field != BarField::Volume,
            Self::Product(factor, regime) => {
                let directional = match &**factor {
                    Factor::Feature(feature) => row::is_directional(*feature),
                    Factor::Of(inner) => inner.is_directional(),
                };
                directional != (*regime == Regime::Trend)
            }
            Self::Value(_) | Self::Share(..) | Self::Difference(..) | Self::Range(_) => false,
            Self::Extra(_) | Self::Other(..) | Self::Regime(_) => false,
        }
    }

    /// Its value for a signal whose built-in inputs are `raw`, not turned to a side. `None` where a part is missing, where it
    /// is not a number that can be fitted on, and of another symbol.
    pub fn value(&self, signal: &Signal, raw: &[Number]) -> Number {
        let value = match self {
            Self::Extra(name) => signal.extra.get(name).copied().flatten(),
            Self::Product(factor, regime) => {
                let factor = match &**factor {
                    Factor::Feature(feature) => feature_of(*feature, raw.get(..BUILT_IN)?),
                    Factor::Of(inner) => inner.value(signal, raw),
                };
                factor.zip(regime.of(signal, raw)).map(|(factor, regime)| factor * regime)
            }
            Self::Other(..) | Self::Regime(_) => None,
            _ => match &signal.inputs {
                Inputs::Snapshot(snapshot) => self.of_snapshot(snapshot),
                Inputs::Features(_) => None,
            },
        };
        value.filter(|value| is_usable(*value))
    }

    fn of_snapshot(&self, snapshot: &MarketSnapshot) -> Number {
        let atr = || snapshot.market_state.atr.filter(|atr| *atr > 0.0);
        let both = |a: Quantity, b: Quantity| a.of(snapshot).zip(b.of(snapshot));
        match self {
            Self::Value(quantity) => quantity.of(snapshot),
            Self::Ratio(a, b) => both(*a, *b).map(|(a, b)| (a / b).ln()),
            Self::Share(a, b) => both(*a, *b).map(|(a, b)| a / (a + b)),
            Self::Imbalance(a, b) => both(*a, *b).map(|(a, b)| (a - b) / (a + b)),
            Self::Difference(a, b) => both(*a, *b).map(|(a, b)| a - b),
            Self::Distance(a, b) => both(*a, *b).zip(atr()).map(|((a, b), atr)| (a - b) / atr),
            Self::Lag(field, back) => {
                let bar = snapshot.battle_navale_analysis.boules.iter().nth_back(usize::from(*back))?;
                let value = field.of(bar)?;
                match field {
                    BarField::Volume => {
                        let average = snapshot.market_state.volume.average.filter(|average| *average > 0.0)?;
                        (value > 0.0).then(|| (value / average).ln())
                    }
                    _ => Some((snapshot.market_state.price? - value) / atr()?),
                }
            }
            Self::Slope(field, bars) => {
                let slope = slope(newest(snapshot, *bars)?, *field)?;
                let unit = match field {
                    BarField::Volume => snapshot.market_state.volume.average.filter(|average| *average > 0.0)?,
                    _ => atr()?,
                };
                Some(slope / unit)
            }
            Self::Range(bars) => {
                let bars = newest(snapshot, *bars)?;
                let (mut high, mut low) = (f64::NEG_INFINITY, f64::INFINITY);
                for bar in bars {
                    (high, low) = (high.max(BarField::High.of(bar)?), low.min(BarField::Low.of(bar)?));
                }
                Some((high - low) / atr()?)
            }
            Self::Product(..) | Self::Extra(_) | Self::Other(..) | Self::Regime(_) => None,
        }
    }

    /// The name that it has where nobody gives it another: its words, joined by `_`.
    pub fn own_name(&self) -> String {
        let text = self.to_string().to_ascii_lowercase();
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).filter(|word| !word.is_empty());
        words.collect::<Vec<_>>().join("_")
    }
}

/// Whether the two are the sides of the book.
fn is_book(a: Quantity, b: Quantity) -> bool {
    matches!((a.name, b.name), ("bid_size", "ask_size") | ("ask_size", "bid_size"))
}

/// Whether the two prices are the two ends of one thing, so that their distance is a width.
fn is_width(a: Quantity, b: Quantity) -> bool {
    const ENDS: [(&str, &str); 5] = [
        ("ask", "bid"),
        ("base_high", "base_low"),
        ("call_wall", "put_wall"),
        ("vah", "val"),
        ("previous_high", "previous_low"),
    ];
    ENDS.contains(&(a.name, b.name)) || ENDS.contains(&(b.name, a.name))
}

/// The newest bars; `None` when there are fewer.
fn newest(snapshot: &MarketSnapshot, bars: u8) -> Option<&[[Number; 5]]> {
    let all = &snapshot.battle_navale_analysis.boules;
    all.get(all.len().checked_sub(usize::from(bars))?..)
}

/// Least squares slope a bar. `None` where a bar lacks the number.
fn slope(bars: &[[Number; 5]], field: BarField) -> Number {
    let middle = (bars.len() as f64 - 1.0) / 2.0;
    let (mut products, mut squares) = (0.0, 0.0);
    for (step, bar) in bars.iter().enumerate() {
        let offset = step as f64 - middle;
        products += offset * field.of(bar)?;
        squares += offset * offset;
    }
    Some(products / squares)
}

impl From<Expression> for String {
    fn from(expression: Expression) -> Self {
        expression.to_string()
    }
}

impl TryFrom<String> for Expression {
    type Error = InvalidExpression;

    fn try_from(text: String) -> Result<Self, InvalidExpression> {
        Self::parse(&text)
    }
}

impl fmt::Display for FittedRegime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "regime({}", self.until_s)?;
        self.regime.numbers().iter().try_for_each(|number| write!(f, ", {number}"))?;
        f.write_str(")")
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(a) => write!(f, "value({})", a.name),
            Self::Ratio(a, b) => write!(f, "ratio({}, {})", a.name, b.name),
            Self::Share(a, b) => write!(f, "share({}, {})", a.name, b.name),
            Self::Imbalance(a, b) => write!(f, "imbalance({}, {})", a.name, b.name),
            Self::Difference(a, b) => write!(f, "difference({}, {})", a.name, b.name),
            Self::Distance(a, b) => write!(f, "distance({}, {})", a.name, b.name),
            Self::Lag(field, back) => write!(f, "lag({}, {back})", field.name()),
            Self::Slope(field, bars) => write!(f, "slope({}, {bars})", field.name()),
            Self::Range(bars) => write!(f, "range({bars})"),
            Self::Product(factor, regime) => match &**factor {
                Factor::Feature(feature) => write!(f, "product({}, {})", feature.name(), regime.name()),
                Factor::Of(inner) => write!(f, "product({inner}, {})", regime.name()),
            },
            Self::Extra(name) => write!(f, "extra({name})"),
            Self::Other(symbol, name) => write!(f, "other({symbol}, {name})"),
            Self::Regime(fitted) => fitted.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::SignalLine;

    fn signal(change: &[(&str, &str)]) -> Signal {
        let mut line = include_str!("../../../examples/signal.json").to_owned();
        for (from, to) in change {
            assert!(line.contains(from), "{from}");
            line = line.replacen(from, to, 1);
        }
        SignalLine::parse(line.as_bytes()).unwrap().signal
    }

    fn value(text: &str, signal: &Signal) -> Number {
        Expression::parse(text).unwrap().value(signal, &[Some(0.75); BUILT_IN])
    }

    #[test]
    fn an_expression_is_worked_out_by_hand() {
        let signal = signal(&[]);
        let Inputs::Snapshot(snapshot) = &signal.inputs else { panic!("a snapshot") };
        let market = &snapshot.market_state;
        let (price, atr) = (market.price.unwrap(), market.atr.unwrap());
        let (bid, ask) = (market.bid_ask.bid_size.unwrap(), market.bid_ask.ask_size.unwrap());
        let bars = &snapshot.battle_navale_analysis.boules;
        let close = |back: usize| bars[bars.len() - 1 - back][3].unwrap();
        assert_eq!(value("imbalance(bid_size, ask_size)", &signal), Some((bid - ask) / (bid + ask)));
        assert_eq!(value("ratio( bid_size ,ask_size )", &signal), Some((bid / ask).ln()));
        assert_eq!(value("lag(close, 2)", &signal), Some((price - close(2)) / atr));
        let slope = value("slope(close, 3)", &signal).unwrap();
        assert!((slope - (close(0) - close(2)) / 2.0 / atr).abs() < 1e-12, "{slope}");
        let trend = value("product(imbalance(bid_size, ask_size), trend)", &signal);
        assert_eq!(trend, Some((bid - ask) / (bid + ask) * 0.75));
        assert_eq!(value("product(vwap_trend_signal, trend)", &signal), Some(0.5 * 0.75));
        assert_eq!(value("slope(close, 50)", &signal), None);
        assert_eq!(value("other(NQ, recent_momentum)", &signal), None);
    }

    #[test]
    fn what_points_up_or_down_is_known() {
        let directional = |text: &str| Expression::parse(text).unwrap().is_directional();
        for text in ["imbalance(bid_size, ask_size)", "distance(price, vah)", "lag(close, 1)", "slope(open, 3)"] {
            assert!(directional(text), "{text}");
            assert!(!directional(&format!("product({text}, trend)")), "{text}");
            assert!(directional(&format!("product({text}, volatility)")), "{text}");
        }
        for text in ["ratio(volume_recent, atr)", "distance(vah, val)", "range(3)", "lag(volume, 1)", "value(vix)"] {
            assert!(!directional(text), "{text}");
        }
        assert!(directional("product(market_volatility, trend)") && !directional("product(recent_momentum, trend)"));
    }
}
