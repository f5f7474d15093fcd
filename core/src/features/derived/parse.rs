//! From the text of an expression to the expression.
#![deny(clippy::indexing_slicing)]

use super::{Expression, Factor, FittedRegime, MOST_BARS, Regime, is_book};
use crate::{
    domain::{Feature, Symbol},
    features::{
        quantity::{BarField, Measure, Quantity},
        row,
    },
    stats::market::{MarketRegime, NUMBERS},
};

/// An expression that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidExpression {
    /// Not of the form `function(part, ...)`.
    #[error("{text:?} is no expression: write a function and its parts, such as imbalance(bid_size, ask_size)")]
    Form {
        /// What was given, cut.
        text: String,
    },
    /// Not a function of the vocabulary.
    #[error("{name:?} is no function; there are {FUNCTIONS}")]
    Function {
        /// The name.
        name: String,
    },
    /// A part that the function does not take.
    #[error("{function} cannot take {part:?}: {takes}")]
    Part {
        /// The function.
        function: String,
        /// The part as given.
        part: String,
        /// What it takes.
        takes: &'static str,
    },
    /// Too many or too few parts.
    #[error("{function} takes {takes}, and was given {found} parts")]
    Count {
        /// The function.
        function: String,
        /// What it takes.
        takes: &'static str,
        /// How many there were.
        found: usize,
    },
}

/// All functions, for messages.
pub const FUNCTIONS: &str =
    "value, ratio, share, imbalance, difference, distance, lag, slope, range, product, extra, other and regime";

/// Longest text of an expression.
const LONGEST: usize = 400;

const SIZES: &str = "two sizes, such as bid_size, ask_size, volume_recent, atr, stop_ticks";
const PRICES: &str = "two prices, such as price, vwap_session, base_high, vah, previous_close";
const REGIME: &str = "the numbers that `vigie regimes` writes: a time and what was fitted until then";
const PLAIN: &str = "plain numbers: vix, confluence_score, signal_strength, base_quality, put_call_ratio";

impl Expression {
    /// Reads an expression.
    ///
    /// # Errors
    /// [`InvalidExpression`] says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, InvalidExpression> {
        let form = || InvalidExpression::Form { text: text.chars().take(80).collect() };
        let text = text.trim();
        if text.len() > LONGEST {
            return Err(form());
        }
        let (function, rest) = text.split_once('(').ok_or_else(form)?;
        let inner = rest.strip_suffix(')').ok_or_else(form)?;
        let function = function.trim();
        if function == "product" {
            let (factor, regime) = inner.rsplit_once(',').ok_or_else(form)?;
            return Self::product(factor.trim(), regime.trim());
        }
        if inner.contains(['(', ')']) {
            return Err(form());
        }
        let parts: Vec<&str> = inner.split(',').map(str::trim).collect();
        Self::of_parts(function, &parts)
    }

    fn product(factor: &str, regime: &str) -> Result<Self, InvalidExpression> {
        let part = |part: &str, takes| InvalidExpression::Part { function: "product".into(), part: part.into(), takes };
        let known = Regime::ALL.into_iter().find(|known| known.name() == regime);
        let regime = known.ok_or_else(|| part(regime, "its second part is trend or volatility"))?;
        if let Some(feature) = Feature::ALL.into_iter().find(|feature| feature.name() == factor) {
            return Ok(Self::Product(Box::new(Factor::Feature(feature)), regime));
        }
        match Self::parse(factor)? {
            Self::Product(..) | Self::Other(..) | Self::Regime(_) => {
                Err(part(factor, "its first part is a feature or a function of the same signal, no other product"))
            }
            inner => Ok(Self::Product(Box::new(Factor::Of(inner)), regime)),
        }
    }

    fn of_parts(function: &str, parts: &[&str]) -> Result<Self, InvalidExpression> {
        let count = |takes| InvalidExpression::Count { function: function.into(), takes, found: parts.len() };
        let bad = |part: &str, takes| InvalidExpression::Part { function: function.into(), part: part.into(), takes };
        let quantity = |name: &str, measure: Measure, takes| {
            Quantity::named(name).filter(|quantity| quantity.measure == measure).ok_or_else(|| bad(name, takes))
        };
        let two = |measure, takes| match *parts {
            [a, b] if a == b => Err(bad(b, "its two parts must differ")),
            [a, b] => Ok((quantity(a, measure, takes)?, quantity(b, measure, takes)?)),
            _ => Err(count(takes)),
        };
        let bars = |text: &str, least: u8, takes| {
            text.parse::<u8>().ok().filter(|n| (least..=MOST_BARS).contains(n)).ok_or_else(|| bad(text, takes))
        };
        let field = |name: &str| {
            let known = BarField::ALL.into_iter().find(|field| field.name() == name);
            known.ok_or_else(|| bad(name, "its first part is open, high, low, close or volume"))
        };
        Ok(match function {
            "value" => match *parts {
                [name] => Self::Value(quantity(name, Measure::Plain, PLAIN)?),
                _ => return Err(count(PLAIN)),
            },
            "ratio" => two(Measure::Size, SIZES).map(|(a, b)| Self::Ratio(a, b))?,
            "share" => match two(Measure::Size, SIZES)? {
                (a, b) if is_book(a, b) => return Err(bad(a.name, "of the two sides of the book take imbalance")),
                (a, b) => Self::Share(a, b),
            },
            "imbalance" => two(Measure::Size, SIZES).map(|(a, b)| Self::Imbalance(a, b))?,
            "difference" => two(Measure::Plain, PLAIN).map(|(a, b)| Self::Difference(a, b))?,
            "distance" => two(Measure::Price, PRICES).map(|(a, b)| Self::Distance(a, b))?,
            "lag" | "slope" => match *parts {
                [name, n] if function == "lag" => {
                    Self::Lag(field(name)?, bars(n, 1, "its second part is 1 to 50 bars")?)
                }
                [name, n] => Self::Slope(field(name)?, bars(n, 3, "its second part is 3 to 50 bars")?),
                _ => return Err(count("a number of a bar and a count of bars")),
            },
            "range" => match *parts {
                [n] => Self::Range(bars(n, 2, "its part is 2 to 50 bars")?),
                _ => return Err(count("a count of bars")),
            },
            "extra" => match *parts {
                [name] if row::is_name(name) => Self::Extra(name.into()),
                [name] => return Err(bad(name, "its part is the name of an input under extra")),
                _ => return Err(count("the name of an input under extra")),
            },
            "other" => match *parts {
                [symbol, name] if row::is_name(name) => {
                    let symbol = Symbol::new(symbol).map_err(|_| bad(symbol, "its first part is a symbol"))?;
                    Self::Other(symbol, name.into())
                }
                [_, name] => return Err(bad(name, "its second part is the name of an input")),
                _ => return Err(count("a symbol and the name of an input")),
            },
            "regime" => match parts {
                [until, numbers @ ..] if numbers.len() == NUMBERS => {
                    let until_s = until.parse::<i64>().map_err(|_| bad(until, REGIME))?;
                    let read = |text: &&str| text.parse::<f64>().map_err(|_| bad(text, REGIME));
                    let numbers: Vec<f64> = numbers.iter().map(read).collect::<Result<_, _>>()?;
                    let regime = MarketRegime::of_numbers(&numbers).ok_or_else(|| bad(until, REGIME))?;
                    Self::Regime(Box::new(FittedRegime { until_s, regime }))
                }
                _ => return Err(count(REGIME)),
            },
            name => return Err(InvalidExpression::Function { name: name.chars().take(80).collect() }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_is_refused_in_words() {
        let told = |text: &str| Expression::parse(text).unwrap_err().to_string();
        assert!(told("bid_size / ask_size").contains("is no expression"));
        assert!(told("log(vix)").contains("there are value, ratio"));
        assert!(told("ratio(vix, atr)").contains("ratio cannot take \"vix\": two sizes"));
        assert!(told("share(bid_size, ask_size)").contains("take imbalance"));
        assert!(told("distance(price)").contains("was given 1 parts"));
        assert!(told("lag(close, 0)").contains("1 to 50 bars"));
        assert!(told("distance(price, price)").contains("must differ"));
        assert!(told("product(product(value(vix), trend), trend)").contains("cannot take"));
        assert!(told("other(N Q, recent_momentum)").contains("is a symbol"));
        assert!(told(&"(".repeat(300)).contains("is no expression"));
    }
}
