//! What the strategy made in each regime, and what each version would have made of the same signals.
//!
//! Only closed trades that no model chose are counted: of those that a model let go nobody knows the end. A size is replayed on them, since
//! a trader of few contracts does not move the market.
#![deny(clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::{
    domain::{Symbol, TradingDay, VersionId},
    stats::{
        cluster::{SessionSum, Sums},
        interval::Interval,
        paired::paired,
    },
};

/// How sure the intervals are.
const LEVEL: f64 = 0.95;

/// A closed trade that no model chose.
#[derive(Debug, Clone, PartialEq)]
pub struct RegimeTrade {
    /// The trading day of its signal.
    pub day: TradingDay,
    /// The regimes that it was in, by name: as the market shows itself, and as the trader says.
    pub regimes: Vec<&'static str>,
    /// What it made at the strategy's own size.
    pub pnl: f64,
    /// At what multiple of that each version would have traded it.
    pub sizes: Vec<(VersionId, f64)>,
}

/// What was made in one regime.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RegimeMoney {
    /// Whose signals.
    pub symbol: Symbol,
    /// Which regime.
    pub regime: &'static str,
    /// Signals that were closed.
    pub signals: usize,
    /// Trading days with one.
    pub sessions: usize,
    /// What the strategy made of them.
    pub strategy: PerSignal,
    /// What each version would have made of those that it scored.
    pub versions: Vec<VersionMoney>,
}

/// What a version would have made in a regime.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VersionMoney {
    /// Which.
    pub version: VersionId,
    /// Signals that it scored.
    pub signals: usize,
    /// What following it made of them.
    pub made: PerSignal,
    /// How much more that is than the strategy alone made of the same, trade by trade.
    pub gain: PerSignal,
}

/// Money per signal.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PerSignal {
    /// Its mean.
    pub mean: f64,
    /// Where the true mean lies, at 95 %, by how trading days vary. `None` with too few of them, or where they do not vary.
    pub interval: Option<Interval>,
}

/// Regime by regime, in the order of their names, what `trades` of `symbol` made.
pub fn by_regime(symbol: &Symbol, trades: &[RegimeTrade]) -> Vec<RegimeMoney> {
    let names: BTreeSet<&'static str> = trades.iter().flat_map(|trade| trade.regimes.iter().copied()).collect();
    let of = |regime: &'static str| {
        let own: Vec<&RegimeTrade> = trades.iter().filter(|trade| trade.regimes.contains(&regime)).collect();
        let versions: BTreeSet<&VersionId> =
            own.iter().flat_map(|trade| trade.sizes.iter().map(|(version, _)| version)).collect();
        let days: BTreeSet<TradingDay> = own.iter().map(|trade| trade.day).collect();
        Some(RegimeMoney {
            symbol: symbol.clone(),
            regime,
            signals: own.len(),
            sessions: days.len(),
            strategy: PerSignal::of(own.iter().map(|trade| (trade.day, trade.pnl)))?,
            versions: versions.into_iter().filter_map(|version| VersionMoney::of(version, &own)).collect(),
        })
    };
    names.into_iter().filter_map(of).collect()
}

impl VersionMoney {
    fn of(version: &VersionId, trades: &[&RegimeTrade]) -> Option<Self> {
        let sized = |trade: &&RegimeTrade| {
            let size = trade.sizes.iter().find(|(own, _)| own == version).map(|(_, size)| *size)?;
            Some((trade.day, trade.pnl, size))
        };
        let scored: Vec<(TradingDay, f64, f64)> = trades.iter().filter_map(sized).collect();
        Some(Self {
            version: version.clone(),
            signals: scored.len(),
            made: PerSignal::of(scored.iter().map(|(day, pnl, size)| (*day, size * pnl)))?,
            gain: PerSignal::of(scored.iter().map(|(day, pnl, size)| (*day, (size - 1.0) * pnl)))?,
        })
    }
}

impl PerSignal {
    fn of(made: impl Iterator<Item = (TradingDay, f64)>) -> Option<Self> {
        let mut days: BTreeMap<TradingDay, SessionSum> = BTreeMap::new();
        for (day, pnl) in made {
            let sum = days.entry(day).or_default();
            sum.difference += pnl;
            sum.weight += 1.0;
        }
        let sessions: Vec<SessionSum> = days.into_values().collect();
        let mean = Sums::of(&sessions)?.estimate()?;
        Some(Self { mean, interval: paired(&sessions, LEVEL).map(|found| found.interval) })
    }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, civil, tz::TimeZone};

    use super::*;
    use crate::domain::{Timestamp, TradingCalendar};

    fn day(number: i64) -> TradingDay {
        let calendar = TradingCalendar::new(TimeZone::UTC, civil::time(22, 0, 0, 0));
        let start: Timestamp = "2025-01-06T12:00:00Z".parse().unwrap();
        calendar.day_of(start + SignedDuration::from_hours(24 * number))
    }

    /// Two signals a day: one that wins 100 and one that loses 50, the second wild on odd days. The version lets half of the losers go.
    fn trades(days: i64) -> Vec<RegimeTrade> {
        let trade = |number: i64| {
            let (day_of, wins) = (number / 2, number % 2 == 0);
            let wild = !wins && day_of % 2 == 1;
            let regimes = vec![if wild { "market wild" } else { "market calm" }, "trend up"];
            let pnl = if wins { 100.0 } else { -50.0 };
            let size = if wild { 0.0 } else { 1.0 };
            let sizes = if number < 4 { Vec::new() } else { vec![("ES/1".parse().unwrap(), size)] };
            RegimeTrade { day: day(day_of), regimes, pnl, sizes }
        };
        (0..2 * days).map(trade).collect()
    }

    #[test]
    fn each_regime_has_what_was_made_in_it_and_a_version_only_what_it_scored() {
        let symbol = Symbol::new("ES").unwrap();
        let found = by_regime(&symbol, &trades(40));
        let names: Vec<&str> = found.iter().map(|it| it.regime).collect();
        assert_eq!(names, ["market calm", "market wild", "trend up"]);
        let [calm, wild, all] = <[RegimeMoney; 3]>::try_from(found).unwrap();
        assert_eq!((calm.signals, wild.signals, all.signals, all.sessions), (60, 20, 80, 40));
        assert_eq!((wild.strategy.mean, all.strategy.mean), (-50.0, 25.0));
        let version = &wild.versions[0];
        assert_eq!((version.signals, version.made.mean, version.gain.mean), (19, 0.0, 50.0));
        assert_eq!(version.gain.interval, None, "it never varies");
        let of_all = &all.versions[0];
        assert_eq!(of_all.signals, 76);
        let (gain, interval) = (of_all.gain.mean, of_all.gain.interval.unwrap());
        assert!(
            (gain - 19.0 * 50.0 / 76.0).abs() < 1e-9 && interval.low > 0.0 && interval.contains(gain),
            "{of_all:?}"
        );
    }

    #[test]
    fn of_few_days_there_is_a_mean_and_no_interval() {
        let found = by_regime(&Symbol::new("ES").unwrap(), &trades(4));
        assert!(found.iter().all(|it| it.strategy.interval.is_none()), "{found:?}");
        assert!(by_regime(&Symbol::new("ES").unwrap(), &[]).is_empty());
    }
}
