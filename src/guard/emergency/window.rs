//! The latest closed trades of one version: what it said of each, what those made that it was heard in, and what following it
//! made against not following it.

use serde::{Deserialize, Serialize};

use super::{
    Breach, ClosedTrade, EmergencyOptions, Rule, VersionScore,
    rare::{Accuracy, Answered, Gain, harm},
};
use crate::{
    domain::{Money, Timestamp, TradeId},
    models::{Answer, Standard},
};

/// What is known of a version's trades.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Window {
    /// Those that it scored, heard or not, and whose label is known.
    answers: Latest<Answered>,
    /// Those that it was heard in.
    made: Latest<Made>,
    /// Those that it scored and whose money is known.
    #[serde(default)]
    money: Latest<Gain>,
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
    trades: Vec<(Timestamp, TradeId)>,
    /// One for each of them.
    values: Vec<T>,
}

impl<T> Default for Latest<T> {
    fn default() -> Self {
        Self { trades: Vec::new(), values: Vec::new() }
    }
}

impl<T> Latest<T> {
    /// Puts a trade in its place and gives that back; `None` when it is older than all that are kept.
    fn insert(&mut self, most: usize, trade: &ClosedTrade, value: T) -> Option<usize> {
        let (at, trade_id) = (trade.at, trade.trade_id.clone());
        let place = self.trades.partition_point(|(known, id)| (*known, id) < (at, &trade_id));
        self.trades.insert(place, (at, trade_id));
        self.values.insert(place, value);
        let too_many = self.trades.len().saturating_sub(most);
        self.trades.drain(..too_many);
        self.values.drain(..too_many);
        place.checked_sub(too_many)
    }

    fn holds(&self, trade_id: &TradeId) -> bool {
        self.trades.iter().any(|(_, known)| known == trade_id)
    }

    fn forget(&mut self, trade_id: &TradeId) {
        if let Some(place) = self.trades.iter().position(|(_, known)| known == trade_id) {
            self.trades.remove(place);
            self.values.remove(place);
        }
    }
}

impl VersionScore {
    /// By what multiple of the strategy's size following it differs from not following it, as far as closed trades can tell. Of those that
    /// heard it mostly those close that it took: what a smaller size gave away in them is seen, and what it saved in those that it
    /// refused is not. So a smaller size counts only where the trade did not choose itself by the score.
    pub(super) fn beyond_own_size(&self, heard: bool) -> f64 {
        let is_smaller = self.size > 0.0 && self.size < 1.0;
        if heard && is_smaller { 0.0 } else { self.size - 1.0 }
    }
}

impl Window {
    /// Takes in what the version said of a trade, and gives back whether its accuracy is broken: as the trades stood when it
    /// closed, or after any that closed later and was told before it. So it does not matter in which order they are told.
    pub(super) fn answered(
        &mut self,
        options: &EmergencyOptions,
        standard: Option<&Standard>,
        trade: &ClosedTrade,
        answer: Answer,
    ) -> Option<Breach> {
        let Some(hit) = answer.hit() else {
            self.unlabelled += 1;
            return None;
        };
        let rule = Accuracy::new(options, standard);
        let place = self.answers.insert(rule.kept(), trade, Answered { day: trade.day, yes: answer.yes, hit })?;
        Breach::below(Rule::Accuracy, rule.lowest(&self.answers.values, place)?, options.min_accuracy)
    }

    /// Takes in what a trade made that the version was heard in, and gives back whether its streak is broken, as above.
    pub(super) fn made(
        &mut self,
        options: &EmergencyOptions,
        standard: Option<&Standard>,
        trade: &ClosedTrade,
        pnl: Money,
    ) -> Option<Breach> {
        let made = match pnl.get() {
            pnl if pnl > 0.0 => Made::Won,
            pnl if pnl < 0.0 => Made::Lost,
            _ => Made::Nothing,
        };
        let place = self.made.insert(2 * options.accuracy_window.max(options.longest_window), trade, made)?;
        let mut streak = 0_usize;
        let streaks = self.made.values.iter().map(|made| {
            streak = if *made == Made::Won { 0 } else { streak + usize::from(*made == Made::Lost) };
            streak
        });
        let longest = streaks.skip(place).max().filter(|longest| *longest > options.max_loss_streak)?;
        Breach::above(Rule::LossStreak, longest as f64, options.streak_limit(standard) as f64)
    }

    /// Takes in what following the version made of a trade, less what the strategy alone made of it, and gives back whether
    /// that is harm.
    pub(super) fn gained(
        &mut self,
        options: &EmergencyOptions,
        standard: Option<&Standard>,
        trade: &ClosedTrade,
        gain: Gain,
    ) -> Option<Breach> {
        let place = self.money.insert(2 * options.longest_window, trade, gain)?;
        harm(options, standard, &self.money.values, place)
    }

    /// Whether a trade of this name is among them.
    pub(super) fn holds(&self, trade_id: &TradeId) -> bool {
        self.made.holds(trade_id) || self.answers.holds(trade_id) || self.money.holds(trade_id)
    }

    /// Takes a trade out again. What older trades it displaced does not come back: twice as many are kept as are looked at.
    pub(super) fn forget(&mut self, trade_id: &TradeId, was_unlabelled: bool) {
        self.answers.forget(trade_id);
        self.made.forget(trade_id);
        self.money.forget(trade_id);
        self.unlabelled = self.unlabelled.saturating_sub(u64::from(was_unlabelled));
    }

    /// Trades that it was heard in, of those that are kept.
    pub(super) fn heard(&self) -> usize {
        self.made.trades.len()
    }

    /// Trades that the accuracy is told of.
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
        let hits = self.answers.values.iter().rev().take(counted).filter(|trade| trade.hit).count();
        (counted > 0).then(|| hits as f64 / counted as f64)
    }

    /// Share of the labelled ones in which its score said yes.
    pub(super) fn said_yes(&self, options: &EmergencyOptions) -> Option<f64> {
        let counted = self.labelled(options);
        let yes = self.answers.values.iter().rev().take(counted).filter(|trade| trade.yes).count();
        (counted > 0).then(|| yes as f64 / counted as f64)
    }

    /// Losses since the last win; a trade that made nothing neither adds to them nor ends them.
    pub(super) fn loss_streak(&self) -> usize {
        self.made.values.iter().rev().take_while(|made| **made != Made::Won).filter(|made| **made == Made::Lost).count()
    }

    /// What following it made of the trades that are kept, what that is more than the strategy alone made of them, and how many these
    /// are: of those that heard it, or of those that did not, of which it is what it would have made. Account currency.
    pub(super) fn gain(&self, heard: bool) -> (f64, f64, usize) {
        let gains = self.money.values.iter().filter(|gain| gain.heard == heard);
        gains
            .fold((0.0, 0.0, 0), |(made, more, count), gain| (made + gain.made, more + gain.made - gain.own, count + 1))
    }
}
