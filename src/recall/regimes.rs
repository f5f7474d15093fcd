//! The regimes of the market, from the signals that a journal holds: what was made in each, and a fit to be declared as an input.
#![deny(clippy::indexing_slicing)]

use std::collections::BTreeMap;

use super::{
    history,
    in_time::pipeline,
    learning::settings,
    scored::{Scored, Signals},
};
use crate::{
    config::Config,
    domain::{
        Arm, Inputs, Signal, Symbol, Timestamp,
        snapshot::{TrendRegime, VolatilityRegime},
    },
    features::derived::FittedRegime,
    journal::Reader,
    report::{RegimeMoney, RegimeTrade, Scope, by_regime},
    stats::market::{FEWEST, MarketRegime, NAMES, Shown, shown},
    validation::training::labelled,
};

/// The signals of one symbol, in the order of time.
#[derive(Default)]
struct Seen {
    shown: Vec<Shown>,
    /// Those before the period.
    before: usize,
    /// The trades of the period that count, each with its place.
    trades: Vec<(usize, RegimeTrade)>,
}

/// What the strategy and the versions made in each regime, of the part of the past that `scope` names. The regimes of the market are
/// fitted to what came before the period; where that is too little, to the first half of all.
///
/// # Errors
/// When the storage cannot be read; damaged records are left out.
pub fn regimes(reader: &Reader, config: &Config, scope: &Scope) -> Result<Vec<RegimeMoney>, String> {
    let mut symbols: BTreeMap<Symbol, Seen> = BTreeMap::new();
    let signals = Signals::read(reader, config)?;
    for scored in signals.each() {
        let scored = scored?;
        let symbol = &scored.signal.symbol;
        if scope.its_symbol().is_none_or(|wanted| wanted == symbol) {
            symbols.entry(symbol.clone()).or_default().take(&scored, config, scope);
        }
    }
    Ok(symbols.iter().flat_map(|(symbol, seen)| seen.made(symbol, config.training.seed)).collect())
}

impl Seen {
    fn take(&mut self, scored: &Scored, config: &Config, scope: &Scope) {
        let (place, at) = (self.shown.len(), scored.signal.at);
        self.shown.push(shown(&scored.row));
        let is_later = |since: Timestamp| at >= since;
        if !scope.since.is_none_or(is_later) {
            self.before += 1;
            return;
        }
        if scope.until.is_some_and(is_later) {
            return;
        }
        self.trades.extend(trade(scored, config, scope).map(|trade| (place, trade)));
    }

    fn made(&self, symbol: &Symbol, seed: u64) -> Vec<RegimeMoney> {
        let past = if self.before >= FEWEST { self.before } else { self.shown.len() / 2 };
        let regime = self.shown.get(..past).and_then(|past| MarketRegime::fit(past, seed));
        let labels = regime.map(|regime| regime.filtered(&self.shown)).unwrap_or_default();
        let with_market = |(place, trade): &(usize, RegimeTrade)| {
            let market = labels.get(*place).and_then(|label| NAMES.get(*label)).copied();
            RegimeTrade { regimes: market.into_iter().chain(trade.regimes.iter().copied()).collect(), ..trade.clone() }
        };
        let trades: Vec<RegimeTrade> = self.trades.iter().map(with_market).collect();
        by_regime(symbol, &trades)
    }
}

/// A closed trade that was answered here and that no model chose, with the regimes that the trader names.
fn trade(scored: &Scored, config: &Config, scope: &Scope) -> Option<RegimeTrade> {
    scored.decision.as_ref().filter(|decision| decision.arm == Arm::Baseline)?;
    let is_meant = |version| scope.version.as_ref().is_none_or(|wanted| wanted == version);
    let opinions = scored.opinions.iter().filter(|opinion| opinion.score.is_some() && is_meant(&opinion.version));
    Some(RegimeTrade {
        day: config.calendar.day_of(scored.signal.at),
        regimes: named(&scored.signal),
        pnl: scored.pnl?,
        sizes: opinions.map(|opinion| (opinion.version.clone(), opinion.size)).collect(),
    })
}

/// The regimes that the trader names.
fn named(signal: &Signal) -> Vec<&'static str> {
    let trend = signal.trend().map(|trend| match trend {
        TrendRegime::TrendUp => "trend up",
        TrendRegime::TrendDown => "trend down",
        TrendRegime::Range => "trend range",
    });
    let volatility = match &signal.inputs {
        Inputs::Snapshot(snapshot) => Some(match snapshot.execution_context.volatility_regime {
            VolatilityRegime::Low => "volatility low",
            VolatilityRegime::Normal => "volatility normal",
            VolatilityRegime::High => "volatility high",
            VolatilityRegime::Extreme => "volatility extreme",
        }),
        Inputs::Features(_) => None,
    };
    trend.into_iter().chain(volatility).collect()
}

/// The regimes of a symbol, fitted to what comes before the test part of a training.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    /// The regimes, as an input of `features.derived` names them.
    pub regime: FittedRegime,
    /// Signals that they were fitted to.
    pub signals: usize,
    /// Share of these that came while the market was wild, 0 to 1.
    pub share_wild: f64,
}

/// Fits the regimes of `symbol` to its signals, traded or not, before the test part of a training on the journal of now.
///
/// # Errors
/// In words, when the journal cannot be read, a training would have too few trades, or the market shows one regime only.
pub fn fitted(reader: &Reader, config: &Config, symbol: &Symbol) -> Result<Fitted, String> {
    let history = history::read(reader)?;
    let settings = settings(config);
    let target = config.training.target;
    let (examples, _) = labelled(symbol, target, &history, &settings).map_err(|error| error.to_string())?;
    let split = examples.lives().time_split(0.0, config.training.test_share).map_err(|error| error.to_string())?;
    let from = examples.pick(&split.test).next().map_or(Timestamp::MAX, |first| first.life.at);
    let mut pipeline = pipeline(config).map_err(|error| error.to_string())?;
    let before = history.signals.iter().filter(|signal| signal.symbol == *symbol && signal.at < from);
    let seen: Vec<(Timestamp, Shown)> =
        before.filter_map(|signal| Some((signal.at, pipeline.shown(signal).ok()?))).collect();
    let shown: Vec<Shown> = seen.iter().map(|(_, shown)| *shown).collect();
    let regime = MarketRegime::fit(&shown, config.training.seed).and_then(|regime| regime.rounded());
    let regime = regime.ok_or_else(|| {
        let signals = shown.len();
        format!("the market shows one regime only, or too little of its volatility, in {signals} signals of {symbol} before {from}; it takes {FEWEST}")
    })?;
    let wild = regime.filtered(&shown).iter().filter(|label| **label > 0).count();
    let until_s = seen.last().map_or(0, |(at, _)| at.as_second());
    let (signals, share_wild) = (shown.len(), wild as f64 / shown.len() as f64);
    Ok(Fitted { regime: FittedRegime { until_s, regime }, signals, share_wild })
}
