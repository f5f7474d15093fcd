//! The gate out of staging: what a version must show in shadow before any trade hears it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::arms::ratio;
use crate::{
    domain::{Timestamp, TradeId},
    lifecycle::gates::Check,
};

/// The section `[staging]` of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct StagingOptions {
    /// Hours in staging, at least 0.
    pub min_hours: f64,
    /// Closed trades that the version scored in shadow.
    pub min_trades: usize,
    /// Largest drawdown of the shadow policy, as a multiple of the baseline's.
    pub max_drawdown_ratio: f64,
}

/// A trade that was closed while a version watched, as the strategy alone traded it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ShadowTrade {
    /// After costs, at the strategy's own size.
    pub pnl: f64,
    /// The multiple of that size which the version's policy would have traded; 0 lets it go.
    pub ml_size: f64,
}

/// Whether a version may go on, condition by condition.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StagingRuling {
    /// The conditions.
    pub checks: Vec<Check>,
    /// Whether all hold.
    pub passed: bool,
}

impl StagingRuling {
    /// The same under further `conditions`.
    #[must_use]
    pub fn under(mut self, conditions: Vec<Check>) -> Self {
        self.passed &= conditions.iter().all(|check| check.passed);
        self.checks.extend(conditions);
        self
    }
}

/// The trades that closed while a version watched, with figures that are kept up as trades come, so that a look at the gate
/// costs next to nothing however many there are.
///
/// Trades lie by the hour of their exit; each hour knows its sums and how deep they fall, and hours are put together when
/// somebody asks. In whatever order trades are told, the same trades make the same book.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShadowBook {
    hours: BTreeMap<i64, Hour>,
    known: BTreeSet<TradeId>,
    most: usize,
    left_out: usize,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Hour {
    trades: BTreeMap<(Timestamp, TradeId), ShadowTrade>,
    runs: Runs,
}

/// What a stretch of trades adds up to under both policies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Runs {
    ml: Run,
    baseline: Run,
}

/// A stretch of pnl: its sum, the highest and the lowest that the sum was on the way, the beginning included, and its
/// deepest fall.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Run {
    sum: f64,
    highest: f64,
    lowest: f64,
    deepest: f64,
}

impl Run {
    fn of(pnl: f64) -> Self {
        Self { sum: pnl, highest: pnl.max(0.0), lowest: pnl.min(0.0), deepest: (-pnl).max(0.0) }
    }

    /// This stretch and then `next`.
    fn then(self, next: Self) -> Self {
        Self {
            sum: self.sum + next.sum,
            highest: self.highest.max(self.sum + next.highest),
            lowest: self.lowest.min(self.sum + next.lowest),
            deepest: self.deepest.max(next.deepest).max(self.highest - (self.sum + next.lowest)),
        }
    }
}

impl Runs {
    fn of(trade: &ShadowTrade) -> Self {
        // 0 times a pnl may be -0
        let ml = if trade.ml_size > 0.0 { trade.ml_size * trade.pnl } else { 0.0 };
        Self { ml: Run::of(ml), baseline: Run::of(trade.pnl) }
    }

    fn then(self, next: Self) -> Self {
        Self { ml: self.ml.then(next.ml), baseline: self.baseline.then(next.baseline) }
    }
}

impl Hour {
    fn add(&mut self, at: Timestamp, trade_id: TradeId, trade: ShadowTrade) {
        let key = (at, trade_id);
        let is_last = self.trades.last_key_value().is_none_or(|(last, _)| *last < key);
        self.trades.insert(key, trade);
        self.runs = if is_last {
            self.runs.then(Runs::of(&trade))
        } else {
            self.trades.values().map(Runs::of).fold(Runs::default(), Runs::then)
        };
    }
}

impl ShadowBook {
    /// An empty one that keeps at most `most` trades.
    pub fn new(most: usize) -> Self {
        Self { hours: BTreeMap::new(), known: BTreeSet::new(), most, left_out: 0 }
    }

    /// A trade closed at `exit_at`. Of one that comes again the first counts. When there is no room the trades of the oldest
    /// hour go, or, when they are all of one hour, the new one.
    pub fn add(&mut self, exit_at: Timestamp, trade_id: &TradeId, trade: ShadowTrade) {
        if self.known.contains(trade_id) {
            return;
        }
        if self.known.len() >= self.most {
            if self.hours.len() < 2 {
                self.left_out += 1;
                return;
            }
            if let Some((_, oldest)) = self.hours.pop_first() {
                self.left_out += oldest.trades.len();
                for (_, trade_id) in oldest.trades.keys() {
                    self.known.remove(trade_id);
                }
            }
        }
        self.known.insert(trade_id.clone());
        self.hours.entry(exit_at.as_second().div_euclid(3600)).or_default().add(exit_at, trade_id.clone(), trade);
    }

    /// Trades that there was no room for.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// Whether a version that has been in staging since `since` may go on. The hours are looked at first, then the number
    /// of trades, and the rest only when these suffice.
    pub fn opens(&self, options: &StagingOptions, since: Timestamp, now: Timestamp) -> bool {
        hours(since, now) >= options.min_hours
            && self.known.len() >= options.min_trades
            && self.ruling(options, since, now).passed
    }

    /// The same, condition by condition. Both policies have the same trades; performance is mean pnl per trade of the
    /// strategy, drawdowns are in the order of the exits.
    pub fn ruling(&self, options: &StagingOptions, since: Timestamp, now: Timestamp) -> StagingRuling {
        let Runs { ml, baseline } = self.hours.values().map(|hour| hour.runs).fold(Runs::default(), Runs::then);
        let trades = self.known.len() as f64;
        let any = trades > 0.0;
        let gain = Some((ml.sum - baseline.sum) / trades).filter(|gain| gain.is_finite());
        let drawdown = ratio(ml.deepest, baseline.deepest).filter(|_| any);
        let least = |name, value: Option<f64>, threshold: f64| Check {
            name,
            value,
            threshold,
            passed: value.is_some_and(|value| value >= threshold),
        };
        let most = options.max_drawdown_ratio;
        let checks = vec![
            least("hours", Some(hours(since, now)), options.min_hours),
            least("trades", Some(trades), options.min_trades as f64),
            least("mean_pnl_gain", gain, 0.0),
            Check {
                name: "drawdown_ratio",
                value: drawdown,
                threshold: most,
                passed: drawdown.is_some_and(|ratio| ratio <= most),
            },
        ];
        let passed = checks.iter().all(|check| check.passed);
        StagingRuling { checks, passed }
    }
}

fn hours(since: Timestamp, now: Timestamp) -> f64 {
    now.duration_since(since).as_secs_f64() / 3600.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::risk::max_drawdown;

    const OPTIONS: StagingOptions = StagingOptions { min_hours: 24.0, min_trades: 50, max_drawdown_ratio: 1.2 };

    fn second(n: usize) -> Timestamp {
        Timestamp::from_second(1_420_000_000 + n as i64).unwrap()
    }

    fn book(trades: impl Iterator<Item = (usize, ShadowTrade)>) -> ShadowBook {
        let mut book = ShadowBook::new(usize::MAX);
        trades.for_each(|(n, trade)| book.add(second(600 * n), &TradeId::new(format!("T-{n}")).unwrap(), trade));
        book
    }

    fn gate(hours: i64, trades: &[ShadowTrade]) -> StagingRuling {
        let now = Timestamp::from_second(1_420_000_000 + hours * 3600).unwrap();
        book(trades.iter().copied().enumerate()).ruling(&OPTIONS, second(0), now)
    }

    fn failed(ruling: &StagingRuling) -> Vec<&'static str> {
        ruling.checks.iter().filter(|check| !check.passed).map(|check| check.name).collect()
    }

    /// Wins and losses in turn, the policy sizing the losses by `loss_size`.
    fn trades(n: usize, loss_size: f64) -> Vec<ShadowTrade> {
        let trade = |i: usize| {
            let won = i.is_multiple_of(2);
            ShadowTrade { pnl: if won { 100.0 } else { -90.0 }, ml_size: if won { 1.0 } else { loss_size } }
        };
        (0..n).map(trade).collect()
    }

    #[test]
    fn a_day_and_fifty_trades_no_worse_than_the_baseline_open_the_gate() {
        assert!(gate(24, &trades(50, 1.0)).passed);
        assert!(gate(24, &trades(50, 0.0)).passed);
        assert_eq!(failed(&gate(23, &trades(49, 1.0))), ["hours", "trades"]);
    }

    #[test]
    fn a_worse_policy_or_a_deeper_drawdown_closes_it() {
        assert_eq!(failed(&gate(48, &trades(60, 1.1))), ["mean_pnl_gain"]);
        assert_eq!(failed(&gate(48, &trades(60, 1.3))), ["mean_pnl_gain", "drawdown_ratio"]);
        assert_eq!(failed(&gate(48, &[])), ["trades", "mean_pnl_gain", "drawdown_ratio"]);
    }

    #[test]
    fn a_book_says_what_all_its_trades_do_in_whatever_order_they_were_told() {
        let mut seed = 9_u64;
        let mut draw = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 40) as f64 / (1_u64 << 24) as f64 - 0.45
        };
        let all: Vec<ShadowTrade> = (0..400).map(|_| ShadowTrade { pnl: 100.0 * draw(), ml_size: 1.0 }).collect();
        let all: Vec<_> = all.into_iter().map(|t| ShadowTrade { ml_size: (0.45 + draw()).abs(), ..t }).collect();
        let in_order = book(all.iter().copied().enumerate());
        let shuffled = book((0..400).map(|n| (n * 171) % 400).map(|n| (n, all[n])));
        assert_eq!(in_order, shuffled);
        let ruling = in_order.ruling(&OPTIONS, second(0), second(0));
        let [ml, baseline] = [true, false].map(|ml| -> Vec<f64> {
            all.iter().map(|trade| trade.pnl * if ml { trade.ml_size } else { 1.0 }).collect()
        });
        let gain = (ml.iter().sum::<f64>() - baseline.iter().sum::<f64>()) / 400.0;
        let drawdown = max_drawdown(&ml).unwrap() / max_drawdown(&baseline).unwrap();
        assert!((ruling.checks[2].value.unwrap() - gain).abs() < 1e-9, "{ruling:?}, {gain}");
        assert!((ruling.checks[3].value.unwrap() - drawdown).abs() < 1e-9, "{ruling:?}, {drawdown}");
    }

    #[test]
    fn what_there_is_no_room_for_is_counted_and_the_oldest_goes_first() {
        let mut book = ShadowBook::new(60);
        for n in 0..100 {
            let trade = ShadowTrade { pnl: n as f64, ml_size: 1.0 };
            book.add(second(600 * n), &TradeId::new(format!("T-{n}")).unwrap(), trade);
        }
        // six trades an hour, an hour goes at once
        assert!((55..=60).contains(&book.known.len()), "{}", book.known.len());
        assert_eq!(book.known.len() + book.left_out(), 100);
        assert!(!book.known.contains(&TradeId::new("T-0").unwrap()));
        // all of one hour: what is new stays out
        let mut flood = ShadowBook::new(60);
        (0..100).for_each(|n| {
            flood.add(second(n), &TradeId::new(format!("T-{n}")).unwrap(), ShadowTrade { pnl: 1.0, ml_size: 1.0 })
        });
        assert_eq!((flood.known.len(), flood.left_out()), (60, 40));
    }

    #[test]
    fn a_look_at_sixteen_thousand_trades_touches_hours_and_not_trades() {
        let trade = |n: usize| ShadowTrade { pnl: if n.is_multiple_of(2) { 5.0 } else { -5.0 }, ml_size: 0.5 };
        let mut book = ShadowBook::new(usize::MAX);
        for n in 0..16_000 {
            book.add(second(10 * n), &TradeId::new(format!("T-{n}")).unwrap(), trade(n));
        }
        assert_eq!(book.known.len(), 16_000);
        assert!(book.hours.len() <= 46, "{} hours are put together at a look", book.hours.len());
        assert!(book.opens(&OPTIONS, second(0), second(200_000)));
        assert!(!book.opens(&OPTIONS, second(0), second(3_600)), "the hours come first");
    }
}
