//! What the journal tells of the trades of a symbol, for who plans an A/B test.
#![deny(clippy::indexing_slicing)]

use std::collections::BTreeMap;

use serde::Serialize;

use super::{history::kept, in_time::InTime, retold::Retold};
use crate::{
    config::Config,
    domain::{Arm, Opinion, Symbol, TradingDay, VersionId},
    journal::{Reader, SignalRecord},
    stats::cluster::DesignEffect,
    trials::sample_size::{Amounts, Assumptions, Effects, SESSIONS_PER_WEEK, Watched, WatchedTrades},
};

/// What is assumed where nothing is known: win rate, share of trades let go, signals of a week.
const UNKNOWN: [f64; 3] = [0.5, 0.3, 100.0];

/// What the journal tells of the trades of a symbol. What it does not tell is 0 or `None`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct SeenTrades {
    /// Its signals.
    pub signals: usize,
    /// Trading days that had one.
    pub sessions: usize,
    /// Signals a week, at five such days a week.
    pub per_week: Option<f64>,
    /// Closed trades that the strategy alone made.
    pub closed: usize,
    /// Share of them that won.
    pub win_rate: Option<f64>,
    /// How much less than independent ones the trades of a session tell.
    pub design_effect: Option<DesignEffect>,
    /// What wins and losses are like.
    pub amounts: Option<Amounts>,
    /// The version that is looked at.
    pub version: Option<VersionId>,
    /// What it would have let go.
    pub watched: Option<Watched>,
}

/// What is stated and need not be seen.
#[derive(Debug, Clone, Copy, Default)]
pub struct Given {
    /// Share of the trades that the policy lets go.
    pub skipped: Option<f64>,
    /// Signals a week.
    pub per_week: Option<f64>,
}

impl SeenTrades {
    /// What a test is planned by, and notes on what is assumed: of the share of trades that the policy lets go and of the signals a
    /// week what is `given`, else what is seen, else what is usual.
    pub fn assumptions(&self, given: Given, config: &Config) -> (Assumptions, Vec<String>) {
        let [win_rate, skipped, per_week] = UNKNOWN;
        let mut notes = Vec::new();
        let mut known = |what: &str, stated: Option<f64>, found: Option<f64>, otherwise: f64| {
            stated.or(found).unwrap_or_else(|| {
                notes.push(format!("assumed, since the journal does not tell: {what} {otherwise}"));
                otherwise
            })
        };
        let win_rate = known("a win rate of", None, self.win_rate, win_rate);
        let skipped = known("trades let go", given.skipped, self.watched.map(|watched| watched.skipped), skipped);
        let per_week = known("signals a week", given.per_week, self.per_week, per_week);
        let effects = match (self.watched, &self.design_effect) {
            (Some(watched), _) => watched.effects,
            (None, Some(effect)) => Effects::of_independent_skips(effect, skipped),
            (None, None) => {
                notes.push("assumed, since the journal does not tell: trades of a session are independent".to_owned());
                Effects::NONE
            }
        };
        if self.amounts.is_none() {
            notes.push("the pnl is not looked at: the journal has no wins and losses to tell its spread".to_owned());
        }
        let options = &config.experiment;
        notes.push(format!(
            "a version ships only if the gain it shows is at least {:.1} points; a true gain of just that shows it in half \
             of the tests",
            100.0 * options.min_win_rate_gain
        ));
        let assumptions = Assumptions {
            win_rate,
            skipped,
            allocation: config.policy.ab_share.clamp(0.01, 0.99),
            per_week,
            level: options.level,
            power: options.power,
            effects,
            pnl: self.amounts,
        };
        (assumptions, notes)
    }
}

/// What the journal tells of the trades of `symbol`, and of what the version that is `wanted`, else the one that watched most, would have
/// let go. The trades are read one by one.
///
/// # Errors
/// In words, when the journal cannot be read.
pub fn seen_trades(
    reader: &Reader,
    config: &Config,
    symbol: &Symbol,
    wanted: Option<&VersionId>,
) -> Result<SeenTrades, String> {
    let Own { signals_of, closed } = Own::of(reader, config, symbol)?;
    let version = wanted.cloned().map_or_else(|| most_watched(reader, symbol), |wanted| Ok(Some(wanted)))?;
    let watched = version.as_ref().map(|version| watched(reader, config, version)).transpose()?.flatten();
    let all: Vec<f64> = closed.values().flatten().copied().collect();
    let (signals, sessions) = (signals_of.values().sum::<usize>(), signals_of.len());
    let wins = all.iter().filter(|pnl| **pnl > 0.0).count();
    Ok(SeenTrades {
        signals,
        sessions,
        per_week: (sessions > 0).then(|| SESSIONS_PER_WEEK * signals as f64 / sessions as f64),
        closed: all.len(),
        win_rate: (!all.is_empty()).then(|| wins as f64 / all.len() as f64),
        design_effect: DesignEffect::of(closed.values().map(Vec::as_slice)),
        amounts: Amounts::of(&all),
        version,
        watched,
    })
}

/// The trades of a symbol, by the trading day of their signals.
#[derive(Default)]
struct Own {
    /// How many signals there were.
    signals_of: BTreeMap<TradingDay, usize>,
    /// The pnl of every closed trade that the strategy alone made.
    closed: BTreeMap<TradingDay, Vec<f64>>,
}

impl Own {
    fn of(reader: &Reader, config: &Config, symbol: &Symbol) -> Result<Self, String> {
        let (in_time, mut own) = (InTime::read(reader)?, Self::default());
        for trade in in_time.walk(reader, None) {
            let trade = trade?;
            let signal = &trade.stored.signal;
            if signal.symbol != *symbol {
                continue;
            }
            let day = config.calendar.day_of(signal.at);
            *own.signals_of.entry(day).or_default() += 1;
            let pnl = trade.at_own_size().and_then(|outcome| outcome.pnl).filter(|_| !trade.heard);
            if let Some(pnl) = pnl {
                own.closed.entry(day).or_default().push(pnl.get());
            }
        }
        Ok(own)
    }
}

/// The version of `symbol` that scored most signals beside the strategy alone.
fn most_watched(reader: &Reader, symbol: &Symbol) -> Result<Option<VersionId>, String> {
    let mut counts: BTreeMap<VersionId, usize> = BTreeMap::new();
    for stored in reader.signals().map_err(|error| error.to_string())? {
        let Some(SignalRecord { decision: Some(decision), opinions, .. }) = kept(stored)?.map(|stored| stored.record)
        else {
            continue;
        };
        if decision.arm == Arm::Ml {
            continue;
        }
        let of_symbol = |opinion: &Opinion| opinion.score.is_some() && opinion.version.symbol == *symbol;
        opinions.into_iter().filter(of_symbol).for_each(|opinion| *counts.entry(opinion.version).or_default() += 1);
    }
    Ok(counts.into_iter().max_by_key(|(_, count)| *count).map(|(version, _)| version))
}

/// What `version` would have made of the trades that the strategy alone made while it watched. `None` when it saw none closed.
fn watched(reader: &Reader, config: &Config, version: &VersionId) -> Result<Option<Watched>, String> {
    let mut trades = WatchedTrades::of(version.clone());
    Retold::of(reader, config)?.each(&mut |happening| trades.hear(happening))?;
    Ok(trades.watched(&config.calendar))
}
