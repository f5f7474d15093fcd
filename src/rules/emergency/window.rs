//! The latest closed trades of one version.

use serde::{Deserialize, Serialize};

use super::{Breach, ClosedTrade, EmergencyOptions, Rule};
use crate::domain::{Money, Probability, Timestamp, TradeId};

/// A score of at least this much says that the trade will win.
const SAYS_WIN: f64 = 0.5;

/// The latest trades by exit, at most as many as the accuracy is taken over, in that order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Window {
    trades: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Entry {
    at: Timestamp,
    trade_id: TradeId,
    /// Whether it went as the score said.
    hit: bool,
    won: bool,
    lost: bool,
}

impl Window {
    /// Takes in a trade at its place; the oldest goes when there are too many.
    pub(super) fn insert(&mut self, options: &EmergencyOptions, trade: &ClosedTrade, score: Probability, pnl: Money) {
        let pnl = pnl.get();
        let hit = (score.get() >= SAYS_WIN) == (pnl > 0.0);
        let (at, trade_id) = (trade.at, trade.trade_id.clone());
        let place = self.trades.partition_point(|known| (known.at, &known.trade_id) < (at, &trade_id));
        self.trades.insert(place, Entry { at, trade_id, hit, won: pnl > 0.0, lost: pnl < 0.0 });
        let too_many = self.trades.len().saturating_sub(options.accuracy_window);
        self.trades.drain(..too_many);
    }

    /// Whether a trade of this name is among them.
    pub(super) fn holds(&self, trade_id: &TradeId) -> bool {
        self.trades.iter().any(|known| known.trade_id == *trade_id)
    }

    /// Trades that the accuracy is taken over.
    pub(super) fn len(&self, options: &EmergencyOptions) -> usize {
        self.trades.len().min(options.accuracy_window)
    }

    /// Share of them that went as the score said.
    pub(super) fn accuracy(&self, options: &EmergencyOptions) -> Option<f64> {
        let counted = self.len(options);
        let hits = self.trades.iter().rev().take(counted).filter(|trade| trade.hit).count();
        (counted > 0).then(|| hits as f64 / counted as f64)
    }

    /// Losses since the last win; a trade that made nothing neither adds to them nor ends them.
    pub(super) fn loss_streak(&self) -> usize {
        self.trades.iter().rev().take_while(|trade| !trade.won).filter(|trade| trade.lost).count()
    }

    /// The rules that these trades break.
    pub(super) fn breaches(&self, options: &EmergencyOptions) -> Vec<Breach> {
        let enough = self.len(options) >= options.accuracy_min_trades;
        let accuracy = self.accuracy(options).filter(|_| enough);
        let low = accuracy.and_then(|accuracy| Breach::below(Rule::Accuracy, accuracy, options.min_accuracy));
        let (streak, most) = (self.loss_streak() as f64, options.max_loss_streak as f64);
        low.into_iter().chain(Breach::above(Rule::LossStreak, streak, most)).collect()
    }
}
