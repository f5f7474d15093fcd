//! The scopes that a closed trade counts in.

use super::{Closed, Said};
use crate::domain::{Arm, VersionId, snapshot::TrendRegime};

/// The scope of a version in a regime that the market shows.
pub(super) fn of_market(market: &str, version: &VersionId) -> Box<str> {
    format!("{market} of {version}").into()
}

/// Each of them, with what was said that its figures are of.
pub(super) fn scopes_of(trade: &Closed) -> Vec<(Box<str>, Option<&Said>)> {
    let arm = match trade.arm {
        Arm::Ml => "arm ml",
        Arm::Baseline => "arm baseline",
    };
    let regime = trade.regime.map(|regime| match regime {
        TrendRegime::TrendUp => "regime trend_up",
        TrendRegime::TrendDown => "regime trend_down",
        TrendRegime::Range => "regime range",
    });
    let first = trade.said.first();
    let common = [Some(arm.into()), Some(format!("symbol {}", trade.symbol).into()), regime.map(Into::into)];
    let common = common.into_iter().flatten().map(|name: Box<str>| (name, first));
    let models = trade.said.iter().map(|said| (format!("model {}", said.version).into(), Some(said)));
    let market =
        |said: &Said| trade.markets.iter().find(|(version, _)| *version == said.version).map(|(_, name)| *name);
    let markets = trade.said.iter().filter_map(|said| Some((of_market(market(said)?, &said.version), Some(said))));
    common.chain(models).chain(markets).collect()
}
