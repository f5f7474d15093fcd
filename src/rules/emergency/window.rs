//! The latest closed trades of one version.

use serde::{Deserialize, Serialize};

use super::{Breach, ClosedTrade, EmergencyOptions, Rule};
use crate::domain::{Money, Probability, Timestamp, TradeId};

/// A score of at least this much says that the trade will win.
const SAYS_WIN: f64 = 0.5;

/// The latest trades by exit, in that order: twice as many as the accuracy is taken over, so that a trade that comes late
/// finds the trades that were its latest ones.
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
    /// Takes in a trade at its place, and gives back the rules that are broken: as the trades stood when it closed, or after
    /// any that closed later and was told before it. So it does not matter in which order they are told. The oldest goes
    /// when there are too many.
    pub(super) fn insert(
        &mut self,
        options: &EmergencyOptions,
        trade: &ClosedTrade,
        score: Probability,
        pnl: Money,
    ) -> Vec<Breach> {
        let pnl = pnl.get();
        let hit = (score.get() >= SAYS_WIN) == (pnl > 0.0);
        let (at, trade_id) = (trade.at, trade.trade_id.clone());
        let place = self.trades.partition_point(|known| (known.at, &known.trade_id) < (at, &trade_id));
        self.trades.insert(place, Entry { at, trade_id, hit, won: pnl > 0.0, lost: pnl < 0.0 });
        let too_many = self.trades.len().saturating_sub(2 * options.accuracy_window);
        self.trades.drain(..too_many);
        if place < too_many { Vec::new() } else { self.breaches(options, place - too_many) }
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

    /// The rules that are broken after the trade at `from` or a later one, by the worst that they come to.
    fn breaches(&self, options: &EmergencyOptions, from: usize) -> Vec<Breach> {
        let window = options.accuracy_window;
        // of the first of so many as are kept, older ones are gone: what was right over them is not known any more
        let is_whole = |counted: usize| counted == window || self.trades.len() < 2 * window;
        let first = (from + 1).saturating_sub(window);
        let before = self.trades.iter().take(first).rev().take_while(|trade| !trade.won);
        let (mut hits, mut streak) = (0_usize, before.filter(|trade| trade.lost).count());
        let (mut lowest, mut longest) = (None::<f64>, 0);
        let latest = self.trades.iter().enumerate().skip(first);
        let leaving = std::iter::repeat_n(None, window).chain(self.trades.iter().skip(first).map(Some));
        for ((place, trade), left) in latest.zip(leaving) {
            hits = hits + usize::from(trade.hit) - usize::from(left.is_some_and(|left| left.hit));
            streak = if trade.won { 0 } else { streak + usize::from(trade.lost) };
            if place < from {
                continue;
            }
            longest = longest.max(streak);
            let counted = (place + 1).min(window);
            if counted >= options.accuracy_min_trades && is_whole(counted) {
                let accuracy = hits as f64 / counted as f64;
                lowest = Some(lowest.map_or(accuracy, |lowest| lowest.min(accuracy)));
            }
        }
        let low = lowest.and_then(|accuracy| Breach::below(Rule::Accuracy, accuracy, options.min_accuracy));
        low.into_iter().chain(Breach::above(Rule::LossStreak, longest as f64, options.max_loss_streak as f64)).collect()
    }
}
