//! The latest closed trades of one version: what it said of each, and what those made that it was heard in.

use serde::{Deserialize, Serialize};

use super::{Breach, ClosedTrade, EmergencyOptions, Rule};
use crate::{
    domain::{Money, Timestamp, TradeId},
    models::Answer,
};

/// What is known of a version's trades.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Window {
    /// Those that it scored, heard or not, and whose label is known.
    answers: Latest<bool>,
    /// Those that it was heard in.
    made: Latest<Made>,
    /// Trades that it scored and whose label cannot be known.
    unlabelled: u64,
}

/// What a trade made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Made {
    Won,
    Nothing,
    Lost,
}

/// The latest trades by exit, in that order: twice as many as are looked at, so that a trade that comes late finds the trades
/// that were its latest ones. The oldest goes when there are too many.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Latest<T> {
    trades: Vec<(Timestamp, TradeId, T)>,
}

impl<T> Default for Latest<T> {
    fn default() -> Self {
        Self { trades: Vec::new() }
    }
}

impl<T> Latest<T> {
    /// Puts a trade in its place and gives that back; `None` when it is older than all that are kept.
    fn insert(&mut self, most: usize, trade: &ClosedTrade, value: T) -> Option<usize> {
        let (at, trade_id) = (trade.at, trade.trade_id.clone());
        let place = self.trades.partition_point(|(known, id, _)| (*known, id) < (at, &trade_id));
        self.trades.insert(place, (at, trade_id, value));
        let too_many = self.trades.len().saturating_sub(most);
        self.trades.drain(..too_many);
        place.checked_sub(too_many)
    }

    fn holds(&self, trade_id: &TradeId) -> bool {
        self.trades.iter().any(|(_, known, _)| known == trade_id)
    }

    fn values(&self) -> impl DoubleEndedIterator<Item = &T> + ExactSizeIterator {
        self.trades.iter().map(|(.., value)| value)
    }
}

impl Window {
    /// Takes in what the version said of a trade, and gives back whether its accuracy is broken: as the trades stood when it
    /// closed, or after any that closed later and was told before it. So it does not matter in which order they are told.
    pub(super) fn answered(
        &mut self,
        options: &EmergencyOptions,
        trade: &ClosedTrade,
        answer: Answer,
    ) -> Option<Breach> {
        let Some(hit) = answer.hit() else {
            self.unlabelled += 1;
            return None;
        };
        let place = self.answers.insert(2 * options.accuracy_window, trade, hit)?;
        let accuracy = self.lowest_accuracy(options, place)?;
        Breach::below(Rule::Accuracy, accuracy, options.min_accuracy)
    }

    /// Takes in what a trade made that the version was heard in, and gives back whether its streak is broken, as above.
    pub(super) fn made(&mut self, options: &EmergencyOptions, trade: &ClosedTrade, pnl: Money) -> Option<Breach> {
        let made = match pnl.get() {
            pnl if pnl > 0.0 => Made::Won,
            pnl if pnl < 0.0 => Made::Lost,
            _ => Made::Nothing,
        };
        let place = self.made.insert(2 * options.accuracy_window, trade, made)?;
        let mut streak = 0_usize;
        let streaks = self.made.values().map(|made| {
            streak = if *made == Made::Won { 0 } else { streak + usize::from(*made == Made::Lost) };
            streak
        });
        let longest = streaks.skip(place).max()?;
        Breach::above(Rule::LossStreak, longest as f64, options.max_loss_streak as f64)
    }

    /// Whether a trade of this name is among them.
    pub(super) fn holds(&self, trade_id: &TradeId) -> bool {
        self.made.holds(trade_id) || self.answers.holds(trade_id)
    }

    /// Trades that it was heard in, of those that are kept.
    pub(super) fn heard(&self) -> usize {
        self.made.trades.len()
    }

    /// Trades that the accuracy is taken over.
    pub(super) fn labelled(&self, options: &EmergencyOptions) -> usize {
        self.answers.trades.len().min(options.accuracy_window)
    }

    /// Trades that it scored and whose label cannot be known.
    pub(super) fn unlabelled(&self) -> u64 {
        self.unlabelled
    }

    /// Share of the labelled ones in which its score was right.
    pub(super) fn accuracy(&self, options: &EmergencyOptions) -> Option<f64> {
        let counted = self.labelled(options);
        let hits = self.answers.values().rev().take(counted).filter(|hit| **hit).count();
        (counted > 0).then(|| hits as f64 / counted as f64)
    }

    /// Losses since the last win; a trade that made nothing neither adds to them nor ends them.
    pub(super) fn loss_streak(&self) -> usize {
        self.made.values().rev().take_while(|made| **made != Made::Won).filter(|made| **made == Made::Lost).count()
    }

    /// The lowest accuracy after the trade at `from` or a later one; `None` while there are too few.
    fn lowest_accuracy(&self, options: &EmergencyOptions, from: usize) -> Option<f64> {
        let (window, kept) = (options.accuracy_window, self.answers.trades.len());
        // of the first of so many as are kept, older ones are gone: what was right over them is not known any more
        let is_whole = |counted: usize| counted == window || kept < 2 * window;
        let first = (from + 1).saturating_sub(window);
        let leaving = std::iter::repeat_n(None, window).chain(self.answers.values().skip(first).map(Some));
        let mut hits = 0_usize;
        let accuracies = self.answers.values().enumerate().skip(first).zip(leaving).map(|((place, hit), left)| {
            hits = hits + usize::from(*hit) - usize::from(left.copied().unwrap_or(false));
            let counted = (place + 1).min(window);
            (place, counted, hits as f64 / counted as f64)
        });
        let judged = accuracies.filter(|(place, counted, _)| {
            *place >= from && *counted >= options.accuracy_min_trades && is_whole(*counted)
        });
        judged.map(|(.., accuracy)| accuracy).reduce(f64::min)
    }
}
