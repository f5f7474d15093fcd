//! Which levels of models the trades of a journal allow: the decision points, condition by condition.
#![deny(clippy::indexing_slicing)]

use serde::Serialize;

use super::{in_time::InTime, learning, versions};
use crate::{
    config::Config,
    domain::Symbol,
    journal::Reader,
    models::{
        Target,
        levels::{Level, LevelVerdict, judge},
    },
    portfolio::{Held, PORTFOLIO_DAYS, PORTFOLIO_SYMBOLS},
    validation::gather::is_clean,
};

/// The decision points of a symbol.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PhasesTold {
    /// Whose trades.
    pub symbol: Symbol,
    /// For models of what.
    pub target: Target,
    /// Each level, simplest first.
    pub levels: Vec<LevelVerdict>,
    /// Levels that are opened by the configuration whatever the data say.
    pub allowed: Vec<Level>,
    /// Whether a portfolio of symbols can be thought of.
    pub portfolio: PortfolioTold,
    /// What it would take for a policy that is learnt by trading.
    pub reinforcement_learning: Reinforcement,
}

/// Whether a portfolio can be thought of.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PortfolioTold {
    /// Whether.
    pub go: bool,
    /// Symbols that have a version in production.
    pub symbols_in_production: usize,
    /// Those of them that count.
    pub proven: usize,
    /// How many are needed.
    pub needed: usize,
    /// How many days one must have held production.
    pub needed_days: f64,
    /// The versions in production.
    pub versions: Vec<Held>,
}

/// Nothing here learns by trading: there is neither a proven portfolio nor a model of the market.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Reinforcement {
    /// Always false.
    pub go: bool,
}

/// How many trades of a symbol there are.
#[derive(Debug, Clone, Copy, Default)]
struct Trades {
    signals: usize,
    /// Closed ones with a known pnl.
    closed: u64,
    /// Those of them that the quality checks have nothing to say about.
    clean: u64,
}

/// The decision points for models of `target`, or of what is configured. `None` of a symbol that is neither configured nor traded.
///
/// # Errors
/// When the journal cannot be read.
pub fn phases(
    reader: &Reader,
    config: &Config,
    symbol: &Symbol,
    target: Option<Target>,
) -> Result<Option<PhasesTold>, String> {
    let trades = Trades::of(reader, symbol)?;
    if trades.signals == 0 && !config.symbols.contains_key(symbol) {
        return Ok(None);
    }
    let target = target.unwrap_or(config.training.target);
    let facts = learning::ledger(reader)?.facts(symbol, target.name(), trades.closed, trades.clean);
    let portfolio = versions::portfolio(reader)?;
    let held = portfolio.held();
    Ok(Some(PhasesTold {
        symbol: symbol.clone(),
        target,
        levels: Level::ALL.into_iter().map(|level| judge(level, &facts, &config.levels)).collect(),
        allowed: config.training.allow_levels.clone(),
        portfolio: PortfolioTold {
            go: portfolio.go(),
            symbols_in_production: held.len(),
            proven: held.iter().filter(|held| held.counts).count(),
            needed: PORTFOLIO_SYMBOLS,
            needed_days: PORTFOLIO_DAYS,
            versions: held,
        },
        reinforcement_learning: Reinforcement { go: false },
    }))
}

impl Trades {
    fn of(reader: &Reader, symbol: &Symbol) -> Result<Self, String> {
        let mut found = Self::default();
        for trade in InTime::read(reader)?.walk(reader, None) {
            let trade = trade?;
            let signal = &trade.stored.signal;
            if signal.symbol != *symbol {
                continue;
            }
            found.signals += 1;
            if let Some(outcome) = trade.at_own_size() {
                found.closed += u64::from(outcome.pnl.is_some());
                found.clean += u64::from(is_clean(signal, &outcome));
            }
        }
        Ok(found)
    }
}
