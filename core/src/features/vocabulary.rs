//! The closed vocabulary of discovery: every expression that is tried, and no other.
//!
//! Of functions of the same parts that have the same order (ratio, share and imbalance) one is tried. What has the order of a
//! feature that every model sees already is not tried again.

use std::collections::BTreeSet;

use super::{
    derived::{Expression, Factor, Regime},
    quantity::{BarField, Measure, QUANTITIES, Quantity},
};
use crate::domain::{Feature, Symbol};

/// Bars that slopes and ranges look back on.
const SPANS: [u8; 3] = [3, 6, 12];
/// Bars that lags go back.
const LAGS: [u8; 6] = [1, 2, 3, 5, 8, 11];
/// Pairs of sizes, besides the two sides of the book.
const PAIRS: [(&str, &str); 8] = [
    ("volume_recent", "volume_session"),
    ("volume_session", "volume_average"),
    ("bid_size", "volume_average"),
    ("ask_size", "volume_average"),
    ("bid_size", "volume_recent"),
    ("ask_size", "volume_recent"),
    ("target_ticks", "stop_ticks"),
    ("stop_ticks", "atr"),
];
/// Pairs of prices, besides the price and each of the others.
const LEVELS: [(&str, &str); 8] = [
    ("vwap_session", "vwap_m15"),
    ("vwap_m15", "vwap_h1"),
    ("base_high", "base_low"),
    ("call_wall", "put_wall"),
    ("vah", "val"),
    ("previous_high", "previous_low"),
    ("poc", "vwap_session"),
    ("previous_close", "poc"),
];
/// What has the order of a feature: `put_call_ratio` of the options flow, `vix` of the volatility.
const KNOWN: [&str; 2] = ["put_call_ratio", "vix"];

/// All candidates, in a fixed order: those of a snapshot alone, those of the inputs `extras` that ride along undeclared, and
/// those of the latest snapshots of the symbols `others`.
pub fn candidates(extras: &[String], others: &[Symbol]) -> Vec<Expression> {
    let own = of_snapshot();
    let products = own.iter().filter(|expression| may_be_factor(expression)).flat_map(|expression| {
        Regime::ALL.map(|regime| Expression::Product(Box::new(Factor::Of(expression.clone())), regime))
    });
    let features = Feature::ALL.into_iter().filter(|feature| *feature != Feature::DowTrendRegime);
    let of_features = features
        .flat_map(|feature| Regime::ALL.map(|regime| Expression::Product(Box::new(Factor::Feature(feature)), regime)));
    let extra = extras.iter().map(|name| Expression::Extra(name.as_str().into()));
    let theirs = others.iter().flat_map(|symbol| {
        let inputs = Feature::ALL.into_iter().filter(|feature| *feature != Feature::SessionTime).map(Feature::name);
        let inputs = inputs.map(Into::into).chain([Box::from(BOOK)]);
        inputs.map(|input| Expression::Other(symbol.clone(), input))
    });
    let mut texts = BTreeSet::new();
    let all = own.iter().cloned().chain(of_features).chain(products).chain(extra).chain(theirs);
    all.filter(|expression| texts.insert(expression.to_string())).collect()
}

/// The imbalance of the book's sizes by the name that it has of itself; of other symbols it is a candidate too.
pub const BOOK: &str = "imbalance_bid_size_ask_size";

fn of_snapshot() -> Vec<Expression> {
    let named = |(a, b): &(&str, &str)| Quantity::named(a).zip(Quantity::named(b));
    let plain: Vec<_> = QUANTITIES.into_iter().filter(|quantity| quantity.measure == Measure::Plain).collect();
    let mut all = Vec::new();
    all.extend([("bid_size", "ask_size")].iter().filter_map(named).map(|(a, b)| Expression::Imbalance(a, b)));
    all.extend(PAIRS.iter().filter_map(named).map(|(a, b)| Expression::Ratio(a, b)));
    let prices = QUANTITIES.into_iter().filter(|quantity| quantity.measure == Measure::Price);
    if let Some(price) = Quantity::named("price") {
        let others = prices.filter(|level| *level != price && !matches!(level.name, "bid" | "ask" | "price_5m_ago"));
        all.extend(others.map(|level| Expression::Distance(price, level)));
    }
    all.extend(LEVELS.iter().filter_map(named).map(|(a, b)| Expression::Distance(a, b)));
    all.extend(plain.iter().filter(|quantity| !KNOWN.contains(&quantity.name)).map(|a| Expression::Value(*a)));
    all.extend(
        [("confluence_score", "signal_strength")].iter().filter_map(named).map(|(a, b)| Expression::Difference(a, b)),
    );
    for field in BarField::ALL {
        all.extend(LAGS.map(|back| Expression::Lag(field, back)));
        all.extend(SPANS.map(|bars| Expression::Slope(field, bars)));
    }
    all.extend(SPANS.map(Expression::Range));
    all
}

/// Products of lags of bars are left out: there are many, and slopes say what they say.
fn may_be_factor(expression: &Expression) -> bool {
    !matches!(expression, Expression::Lag(..))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::row::is_name;

    #[test]
    fn every_candidate_is_read_back_from_its_text_and_has_a_name_of_its_own() {
        let others = [Symbol::new("NQ").unwrap()];
        let all = candidates(&["news".to_owned()], &others);
        let names: BTreeSet<_> = all.iter().map(Expression::own_name).collect();
        assert_eq!(names.len(), all.len());
        for expression in &all {
            let text = expression.to_string();
            assert_eq!(Expression::parse(&text).as_ref(), Ok(expression), "{text}");
            assert!(is_name(&expression.own_name()), "{text}");
        }
        for text in ["imbalance(bid_size, ask_size)", "other(NQ, recent_momentum)", "extra(news)", "range(6)"] {
            assert!(all.contains(&Expression::parse(text).unwrap()), "{text}");
        }
        assert!(all.iter().any(|expression| expression.own_name() == BOOK));
        assert!((180..=400).contains(&all.len()), "{}", all.len());
    }
}
