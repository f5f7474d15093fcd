//! The emergency rules: what takes a model down at the very outcome that shows it to be dangerous.
//!
//! A pure fold over closed trades, of bounded size and with bounded work per trade; the guardian asks it before an outcome
//! is acknowledged. Four rules: the accuracy of a version by its own question, its streak of losses, the harm that following
//! it did, and the loss of the whole account in a trading day. What a version was validated as ([`Standard`]) sets the first
//! three so that false alarms are as rare as configured (`rare`); the lines of a version without one are as they are written. A
//! rule that cannot be evaluated counts as tripped.
//!
//! What it depends on is the set of trades and not their order, as far as it can be: trades are ranked by the time of
//! their exit, ties by name, and one that comes late takes its place. A version that trips when its trades are told in
//! that order trips in every order, as long as none is late by more trades than the accuracy is taken over. What depends
//! on the order is *when* a rule trips: at the first trade at which what is known by then breaks it, and nothing that
//! comes later takes it back, so that a win told late may come too late. The loss of a day is what is known of it: a loss
//! that was made good by a win that was told before it is none. A trade counts once, as it was first told. A version trips
//! once in its time in service, a day once by its loss, and at every trade that leaves its loss unknown.

mod latch;
mod level;
mod rare;
mod unsettled;
mod window;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use latch::{Latch, Latches, StillLatched};
pub use level::VersionLevel;

pub use self::rare::{NO_TRADE, unwatched};
use self::{rare::Gain, window::Window};
use crate::{
    domain::{
        Money, Probability, Timestamp, TradeId, TradingCalendar, TradingDay, VersionId,
        trip::{Breach, Rule, Trip, Unevaluable},
    },
    models::{Facts, Question, Standard},
};

/// Trading days whose loss is known: the latest ones that had a trade.
const DAYS: usize = 3;
/// Trades of one day that can be told apart. A day with more cannot be evaluated.
const MOST_TRADES: usize = 100_000;

/// The thresholds; part of the section `[guardian]` of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EmergencyOptions {
    /// Closed trades of a version over which its accuracy is taken, at least 1.
    /// These lines and `accuracy_min_trades` hold where nothing is known of a version's validation, and where
    /// `literal` is set.
    pub accuracy_window: usize,
    /// Labelled trades over which an accuracy under `min_accuracy` takes a version down whatever was validated, at least 1.
    pub longest_window: usize,
    /// False alarms a year that a version which is as good as validated may cost, over all rules but the loss of the day;
    /// above 0.
    pub false_alarms_per_year: f64,
    /// Whether the lines hold as they are written, however many false alarms that costs.
    pub literal: bool,
    /// Closed trades of a version before which its accuracy is not judged, 1 to `accuracy_window`.
    pub accuracy_min_trades: usize,
    /// Accuracy under which a version is dangerous, 0 to 1.
    pub min_accuracy: f64,
    /// Losses in a row that a version may have, below `accuracy_window`.
    pub max_loss_streak: usize,
    /// How many times the daily limit the account may lose in a trading day, above 0.
    pub daily_loss_factor: f64,
    /// The daily limit while signals carry none, above 0, in account currency.
    pub daily_loss_limit: f64,
    /// What one trade may make or lose at most, above 0, in account currency: a pnl beyond it is none.
    pub max_trade_pnl: f64,
}

/// A closed trade as the rules see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClosedTrade {
    /// The trader's name for it.
    pub trade_id: TradeId,
    /// When it closed; see [`ClosedTrade::closed_at`].
    pub at: Timestamp,
    /// The trading day it closed on.
    pub day: TradingDay,
    /// After costs.
    pub pnl: Option<Money>,
    /// The model that had a say in it; `None` when it was traded on the baseline, or nothing is known of its decision.
    pub ml: Option<VersionScore>,
    /// What every version in service said of it, heard or not.
    #[serde(default)]
    pub scores: Vec<VersionScore>,
    /// What labels are made of.
    #[serde(default)]
    pub facts: Facts,
    /// The daily limit of the latest signal known, if it carried one; an amount of at least 0.
    pub daily_loss_limit: Option<f64>,
}

/// A model's say in a trade.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VersionScore {
    /// Whose.
    pub version: VersionId,
    /// What it said.
    pub score: Probability,
    /// The multiple of the strategy's size that followed; 0 asked for no trade.
    pub size: f64,
}

/// What the rules remember.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Emergency {
    versions: BTreeMap<VersionId, Tracked>,
    /// What each is asked and may be expected to be; of one that is not among them whether the trade makes money, at one
    /// half, and nothing is expected.
    #[serde(default, with = "crate::domain::as_json")]
    asked: BTreeMap<VersionId, (Question, Option<Standard>)>,
    /// Rising, at most [`DAYS`].
    days: Vec<Day>,
    /// Outcomes that were heard and are not known to be on disk, as they count now.
    #[serde(default)]
    told: BTreeMap<TradeId, ClosedTrade>,
}

/// What is known of a version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Tracked {
    /// It is judged by its trades.
    Judged(Window),
    /// Its trades are judged no more: it was taken down, or is not in service.
    Retired,
}

/// What is known of a trading day of the whole account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Day {
    day: TradingDay,
    /// Sum of the pnl in millionths, so that the order of the trades does not matter.
    micros: i64,
    trades: BTreeSet<TradeId>,
    tripped: bool,
}

impl Default for EmergencyOptions {
    fn default() -> Self {
        Self {
            accuracy_window: 100,
            longest_window: 400,
            false_alarms_per_year: 0.02,
            literal: false,
            accuracy_min_trades: 50,
            min_accuracy: 0.5,
            max_loss_streak: 10,
            daily_loss_factor: 2.0,
            daily_loss_limit: 1000.0,
            max_trade_pnl: 1e6,
        }
    }
}

impl ClosedTrade {
    /// When a trade counts as closed, and on which trading day: at its exit as the trader tells it, but not after it was
    /// told, so that a clock that is ahead does not keep a trade among the latest for ever.
    pub fn closed_at(
        exit_at: Timestamp,
        received_at: Timestamp,
        calendar: &TradingCalendar,
    ) -> (Timestamp, TradingDay) {
        let at = exit_at.min(received_at);
        (at, calendar.day_of(at))
    }
}

impl Emergency {
    /// What `version` is asked, from now on, and may be expected to be.
    pub fn ask(&mut self, version: &VersionId, question: Question, standard: Option<Standard>) {
        self.asked.insert(version.clone(), (question, standard));
    }

    /// Whether it is known what `version` is asked.
    pub fn is_asked(&self, version: &VersionId) -> bool {
        self.asked.contains_key(version)
    }

    /// A version goes into service; its trades are judged from here on. What was known of one that is judged already
    /// stays.
    pub fn begin(&mut self, version: &VersionId) {
        let standing = self.versions.entry(version.clone()).or_insert(Tracked::Retired);
        if *standing == Tracked::Retired {
            *standing = Tracked::Judged(Window::default());
        }
    }

    /// A version is out of service: trades of it that close later count for the account and trip nothing else.
    pub fn retire(&mut self, version: &VersionId) {
        self.versions.insert(version.clone(), Tracked::Retired);
    }

    /// Takes in a closed trade whose outcome is on disk, and gives back every rule that it trips. A version that was neither
    /// begun nor retired is judged as if it had been begun: better a rule too many than one that was forgotten.
    pub fn judge(&mut self, options: &EmergencyOptions, trade: &ClosedTrade) -> Vec<Trip> {
        if self.is_told(trade) {
            return self.settle(options, trade);
        }
        if self.knows(trade) { Vec::new() } else { self.take_in(options, trade) }
    }

    fn take_in(&mut self, options: &EmergencyOptions, trade: &ClosedTrade) -> Vec<Trip> {
        let mut breaches = Vec::new();
        for say in self.scored(trade) {
            breaches.extend(self.judge_score(options, trade, &say));
        }
        if let Some(say) = &trade.ml {
            breaches.extend(self.judge_version(options, trade, say));
        }
        for version in breaches.iter().filter_map(|(version, _)| version.as_ref()) {
            self.versions.insert(version.clone(), Tracked::Retired);
        }
        breaches.extend(self.judge_day(options, trade));
        let trip = |(version, breach)| Trip { at: trade.at, day: trade.day, version, breach };
        breaches.into_iter().map(trip).collect()
    }

    /// The rules that a trade trips of which it is known that it was closed, and by `why` not how. It does not count: it may
    /// yet be told rightly.
    pub fn unknown(&self, trade: &ClosedTrade, why: Unevaluable) -> Vec<Trip> {
        let judged = trade.ml.as_ref().map(|say| &say.version).filter(|version| self.judges(version));
        let of_version = judged.into_iter().flat_map(|version| {
            [Rule::Accuracy, Rule::LossStreak].map(|rule| (Some(version.clone()), Breach::unknown(rule, why)))
        });
        let of_account = (None, Breach::unknown(Rule::DayLoss, why));
        let trip = |(version, breach)| Trip { at: trade.at, day: trade.day, version, breach };
        of_version.chain([of_account]).map(trip).collect()
    }

    /// Whether the trades of `version` are judged.
    pub fn judges(&self, version: &VersionId) -> bool {
        matches!(self.versions.get(version), Some(Tracked::Judged(_)))
    }

    /// What the account made in a trading day, as far as is known; `None` when that is nothing.
    pub fn day_pnl(&self, day: TradingDay) -> Option<f64> {
        self.days.iter().find(|known| known.day == day).map(Day::pnl)
    }

    /// Whether a trade of this name counted already.
    fn knows(&self, trade: &ClosedTrade) -> bool {
        let holds = |version: &VersionId| matches!(self.versions.get(version), Some(Tracked::Judged(window)) if window.holds(&trade.trade_id));
        let heard = trade.ml.iter().map(|say| &say.version);
        heard.chain(trade.scores.iter().map(|say| &say.version)).any(holds)
            || self.days.iter().any(|day| day.trades.contains(&trade.trade_id))
    }

    /// The versions whose score of the trade is known: those in service, and the one that was heard, which may be known by
    /// an echo alone.
    fn scored(&self, trade: &ClosedTrade) -> Vec<VersionScore> {
        let is_heard = |say: &VersionScore| trade.ml.as_ref().is_some_and(|heard| heard.version == say.version);
        let beside = trade.scores.iter().filter(|say| !is_heard(say) && self.judges(&say.version));
        trade.ml.iter().chain(beside).cloned().collect()
    }

    fn standard(&self, version: &VersionId) -> Option<&Standard> {
        self.asked.get(version)?.1.as_ref()
    }

    /// A trade that a version scored, heard or not, against its own question and by the money.
    fn judge_score(
        &mut self,
        options: &EmergencyOptions,
        trade: &ClosedTrade,
        say: &VersionScore,
    ) -> Vec<(Option<VersionId>, Breach)> {
        let (question, standard) = self.asked.get(&say.version).copied().unwrap_or_default();
        let standing = self.versions.entry(say.version.clone()).or_insert(Tracked::Judged(Window::default()));
        let Tracked::Judged(window) = standing else { return Vec::new() };
        if trade.pnl.is_some_and(|pnl| pnl.get().abs() > options.max_trade_pnl) {
            return Vec::new();
        }
        let answer = question.answer(say.score.get(), &trade.facts);
        let wrong = window.answered(options, standard.as_ref(), trade, answer);
        let heard = trade.ml.as_ref().is_some_and(|ml| ml.version == say.version);
        let gain = trade.facts.pnl.map(|pnl| Gain {
            day: trade.day,
            more: say.beyond_own_size(heard) * pnl,
            made: say.size * pnl,
            own: pnl,
            heard,
        });
        let harm = gain.and_then(|gain| window.gained(options, standard.as_ref(), trade, gain));
        wrong.into_iter().chain(harm).map(|breach| (Some(say.version.clone()), breach)).collect()
    }

    fn judge_version(
        &mut self,
        options: &EmergencyOptions,
        trade: &ClosedTrade,
        say: &VersionScore,
    ) -> Vec<(Option<VersionId>, Breach)> {
        let standard = self.standard(&say.version).copied();
        let standing = self.versions.entry(say.version.clone()).or_insert(Tracked::Judged(Window::default()));
        let Tracked::Judged(window) = standing else { return Vec::new() };
        let breaches = match trade.pnl {
            Some(pnl) if pnl.get().abs() > options.max_trade_pnl => vec![
                Breach::unknown(Rule::Accuracy, Unevaluable::PnlOutOfRange),
                Breach::unknown(Rule::LossStreak, Unevaluable::PnlOutOfRange),
            ],
            Some(pnl) => window.made(options, standard.as_ref(), trade, pnl).into_iter().collect(),
            // asked for no trade, and there was none
            None if say.size == 0.0 => Vec::new(),
            None => vec![
                Breach::unknown(Rule::Accuracy, Unevaluable::PnlOfMlTrade),
                Breach::unknown(Rule::LossStreak, Unevaluable::PnlOfMlTrade),
            ],
        };
        breaches.into_iter().map(|breach| (Some(say.version.clone()), breach)).collect()
    }

    fn judge_day(&mut self, options: &EmergencyOptions, trade: &ClosedTrade) -> Option<(Option<VersionId>, Breach)> {
        let untraded = trade.pnl.is_none() && trade.ml.as_ref().is_some_and(|say| say.size == 0.0);
        let day = self.day(trade.day)?;
        if day.trades.len() <= MOST_TRADES {
            day.trades.insert(trade.trade_id.clone());
        }
        let pnl = trade.pnl.filter(|pnl| pnl.get().abs() <= options.max_trade_pnl);
        if let Some(pnl) = pnl {
            day.micros = day.micros.saturating_add(micros(pnl.get()));
        }
        let breach = match trade.daily_loss_limit.unwrap_or(options.daily_loss_limit) {
            _ if untraded => None,
            _ if trade.pnl.is_none() => Some(Breach::unknown(Rule::DayLoss, Unevaluable::PnlOfTrade)),
            _ if pnl.is_none() => Some(Breach::unknown(Rule::DayLoss, Unevaluable::PnlOutOfRange)),
            _ if day.trades.len() > MOST_TRADES => Some(Breach::unknown(Rule::DayLoss, Unevaluable::TooManyTrades)),
            limit if limit >= 0.0 => Breach::above(Rule::DayLoss, -day.pnl(), options.daily_loss_factor * limit),
            _ => Some(Breach::unknown(Rule::DayLoss, Unevaluable::DailyLimit)),
        };
        let breach = breach?;
        if breach.value.is_some() && std::mem::replace(&mut day.tripped, true) {
            return None;
        }
        Some((None, breach))
    }

    /// What is known of `day`, which is made room for. `None` when it is older than the days that are kept.
    fn day(&mut self, day: TradingDay) -> Option<&mut Day> {
        let place = match self.days.binary_search_by_key(&day, |known| known.day) {
            Ok(place) => place,
            Err(place) => {
                let full = self.days.len() >= DAYS;
                if full && place == 0 {
                    return None;
                }
                self.days.insert(place, Day { day, micros: 0, trades: BTreeSet::new(), tripped: false });
                if full {
                    self.days.remove(0);
                }
                place - usize::from(full)
            }
        };
        self.days.get_mut(place)
    }
}

impl Day {
    fn pnl(&self) -> f64 {
        self.micros as f64 / 1e6
    }
}

/// An amount in millionths, cut where no account reaches.
fn micros(amount: f64) -> i64 {
    (amount.clamp(-1e12, 1e12) * 1e6).round() as i64
}
