//! The emergency rules: what takes a model down at the very outcome that shows it to be dangerous.
//!
//! A pure fold over closed trades, of bounded size and with bounded work per trade; the guardian asks it before an outcome
//! is acknowledged. Each rule is a value ([`EmergencyRule`]) in a file of its own, and [`RULES`] lists them. What a version was
//! validated as ([`Standard`]) moves the thresholds of most, so that false alarms are as rare as configured; those of a version
//! without a validation are as they are written. A rule that cannot be evaluated counts as tripped.
//!
//! What it depends on is the set of trades and not their order, as far as it can be: trades are ranked by the time of
//! their exit, ties by name, and one that comes late takes its place. A version that trips when its trades are told in
//! that order trips in every order, as long as none is late by more trades than the accuracy is taken over. What depends
//! on the order is *when* a rule trips: at the first trade at which what is known by then breaks it, and nothing that
//! comes later takes it back, so that a win told late may come too late. The loss of a day is what is known of it: a loss
//! that was made good by a win that was told before it is none. A trade counts once, as it was first told. A version trips
//! once in its time in service, a day once by its loss, and at every trade that leaves its loss unknown.

pub mod accuracy;
pub mod day_loss;
pub mod harm;
mod latch;
mod level;
pub mod loss_streak;
mod options;
mod rule;
mod trade;
mod unsettled;
mod unwatched;
mod window;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use self::{
    latch::{Latch, Latches, StillLatched},
    level::VersionLevel,
    options::{Allowed, EmergencyOptions, Key},
    rule::{
        AccountDay, Case, EmergencyRule, Found, Observed, OfAccount, OfVersion, Scenario, Scope, Seen, Side, Trades,
    },
    trade::{ClosedTrade, Reported, VersionScore},
    unwatched::{NO_TRADE, unwatched},
};
use self::{unsettled::Unsettled, window::Window};
use crate::{
    domain::{
        TradeId, TradingDay, VersionId,
        trip::{Breach, Rule, Trip, Unevaluable},
    },
    models::{Question, Standard},
};

/// All rules.
pub static RULES: &[&EmergencyRule] = &[&accuracy::RULE, &loss_streak::RULE, &day_loss::RULE, &harm::RULE];

/// Trading days whose loss is known: the latest ones that had a trade.
const DAYS: usize = 3;
/// Trades of one day that can be told apart. A day with more cannot be evaluated.
const MOST_TRADES: usize = 100_000;

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
    told: BTreeMap<TradeId, Unsettled>,
    /// The rules that are applied. Not stored: all, but in drills and tests.
    #[serde(skip)]
    rules: Table,
}

/// The rules that are applied.
#[derive(Debug, Clone, Copy)]
struct Table(&'static [&'static EmergencyRule]);

impl Default for Table {
    fn default() -> Self {
        Self(RULES)
    }
}

impl PartialEq for Table {
    fn eq(&self, other: &Self) -> bool {
        self.0.iter().map(|rule| &rule.name).eq(other.0.iter().map(|rule| &rule.name))
    }
}

impl Table {
    fn of_version(self) -> impl Iterator<Item = (&'static EmergencyRule, &'static OfVersion)> {
        self.0.iter().filter_map(|rule| Some((*rule, rule.of_version()?)))
    }

    fn of_account(self) -> impl Iterator<Item = (&'static EmergencyRule, &'static OfAccount)> {
        self.0.iter().filter_map(|rule| Some((*rule, rule.of_account()?)))
    }
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
    /// What of it the rules of the account do not look at any more.
    #[serde(default)]
    forgiven: i64,
    trades: BTreeSet<TradeId>,
    /// The rules of the account that it broke.
    tripped: BTreeSet<Rule>,
}

impl Emergency {
    /// Nothing happened yet, and only these rules are applied.
    pub fn by(rules: &'static [&'static EmergencyRule]) -> Self {
        Self { rules: Table(rules), ..Self::default() }
    }

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
            self.told.values_mut().for_each(|told| told.begins(version));
        }
    }

    /// A version is out of service: trades of it that close later count for the account and trip nothing else.
    pub fn retire(&mut self, version: &VersionId) {
        self.versions.insert(version.clone(), Tracked::Retired);
    }

    /// Takes in a closed trade whose outcome is on disk, and gives back every rule that it trips. A version that was neither
    /// begun nor retired is judged as if it had been begun: better a rule too many than one that was forgotten.
    pub fn judge(&mut self, options: &EmergencyOptions, trade: &ClosedTrade) -> Vec<Trip> {
        if self.has_told(&trade.trade_id) {
            return self.settle(options, trade);
        }
        if self.knows(trade) { Vec::new() } else { self.take_in(options, trade) }
    }

    fn take_in(&mut self, options: &EmergencyOptions, trade: &ClosedTrade) -> Vec<Trip> {
        let mut breaches = self.count_for(options, trade, &self.scored(trade));
        breaches.extend(self.judge_day(options, trade));
        breaches.into_iter().map(|(version, breach)| trade.trip(version, breach)).collect()
    }

    /// A trade counts for the versions of these scores, which are among those of the trade.
    fn count_for(
        &mut self,
        options: &EmergencyOptions,
        trade: &ClosedTrade,
        scores: &[VersionScore],
    ) -> Vec<(Option<VersionId>, Breach)> {
        let mut breaches = Vec::new();
        for score in scores {
            breaches.extend(self.judge_score(options, trade, score, Trades::Scored));
        }
        if let Some(heard) = &trade.ml
            && scores.iter().any(|score| score.version == heard.version)
        {
            breaches.extend(self.judge_heard(options, trade, heard));
        }
        for version in breaches.iter().filter_map(|(version, _)| version.as_ref()) {
            self.versions.insert(version.clone(), Tracked::Retired);
        }
        breaches
    }

    /// The rules that a trade trips of which it is known that it was closed, and by `why` not how. It does not count: it may
    /// yet be corrected.
    pub fn unknown(&self, trade: &ClosedTrade, why: Unevaluable) -> Vec<Trip> {
        let judged = trade.ml.as_ref().map(|say| &say.version).filter(|version| self.judges(version));
        let of_version = judged.into_iter().flat_map(|version| self.blind(version, why));
        let of_account = self.rules.of_account().map(|(rule, _)| (None, Breach::unknown(rule.name.clone(), why)));
        of_version.chain(of_account).map(|(version, breach)| trade.trip(version, breach)).collect()
    }

    /// The rules of a version that count as tripped, since nobody knows how a trade ended that it was heard in.
    fn blind(&self, version: &VersionId, why: Unevaluable) -> Vec<(Option<VersionId>, Breach)> {
        let blind = self.rules.of_version().filter(|(_, of)| of.trips_blind);
        blind.map(|(rule, _)| (Some(version.clone()), Breach::unknown(rule.name.clone(), why))).collect()
    }

    /// Whether the trades of `version` are judged.
    pub fn judges(&self, version: &VersionId) -> bool {
        matches!(self.versions.get(version), Some(Tracked::Judged(_)))
    }

    /// What the account made in a trading day, as far as is known; `None` when that is nothing.
    pub fn day_pnl(&self, day: TradingDay) -> Option<f64> {
        self.days.iter().find(|known| known.day == day).map(Day::pnl)
    }

    /// The account was resumed on the day of an emergency: its rules look at what it makes from here on, and may trip again.
    pub fn begin_days_anew(&mut self) {
        for day in &mut self.days {
            day.forgiven = day.micros;
            day.tripped.clear();
        }
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

    /// A trade that a version scored, by the rules that look at such `trades`.
    fn judge_score(
        &mut self,
        options: &EmergencyOptions,
        trade: &ClosedTrade,
        say: &VersionScore,
        trades: Trades,
    ) -> Vec<(Option<VersionId>, Breach)> {
        let (question, standard) = self.asked.get(&say.version).copied().unwrap_or_default();
        let standing = self.versions.entry(say.version.clone()).or_insert(Tracked::Judged(Window::default()));
        let Tracked::Judged(window) = standing else { return Vec::new() };
        if !trade.is_credible(options) {
            return Vec::new();
        }
        let observed = Observed::of(trade, say, &question);
        let rules = self.rules.of_version().filter(|(_, of)| of.trades == trades);
        rules
            .filter_map(|rule| window.take(rule, options, standard.as_ref(), &observed))
            .map(|breach| (Some(say.version.clone()), breach))
            .collect()
    }

    /// A trade that a version was heard in, which must tell what it made.
    fn judge_heard(
        &mut self,
        options: &EmergencyOptions,
        trade: &ClosedTrade,
        say: &VersionScore,
    ) -> Vec<(Option<VersionId>, Breach)> {
        match trade.pnl {
            _ if self.versions.get(&say.version) == Some(&Tracked::Retired) => Vec::new(),
            Some(_) if !trade.is_credible(options) => self.blind(&say.version, Unevaluable::PnlOutOfRange),
            Some(_) => self.judge_score(options, trade, say, Trades::Heard),
            // asked for no trade, and there was none
            None if say.size == 0.0 => Vec::new(),
            None => self.blind(&say.version, Unevaluable::PnlOfMlTrade),
        }
    }

    fn judge_day(&mut self, options: &EmergencyOptions, trade: &ClosedTrade) -> Vec<(Option<VersionId>, Breach)> {
        let untraded = trade.pnl.is_none() && trade.ml.as_ref().is_some_and(|say| say.size == 0.0);
        let rules = self.rules;
        let Some(day) = self.day(trade.day) else { return Vec::new() };
        if day.trades.len() <= MOST_TRADES {
            day.trades.insert(trade.trade_id.clone());
        }
        let pnl = trade.pnl.filter(|_| trade.is_credible(options));
        if let Some(pnl) = pnl {
            day.micros = day.micros.saturating_add(micros(pnl.get()));
        }
        let blank = match trade.pnl {
            _ if untraded => return Vec::new(),
            None => Some(Unevaluable::PnlOfTrade),
            Some(_) if pnl.is_none() => Some(Unevaluable::PnlOutOfRange),
            Some(_) if day.trades.len() > MOST_TRADES => Some(Unevaluable::TooManyTrades),
            Some(_) => None,
        };
        let made = day.micros.saturating_sub(day.forgiven) as f64 / 1e6;
        let broken = rules.of_account().filter_map(|(rule, of)| {
            match blank.map_or_else(|| (of.judge)(&AccountDay { options, trade, made }), Err) {
                Err(why) => Some(Breach::unknown(rule.name.clone(), why)),
                Ok(found) => rule.breach(found).filter(|_| day.tripped.insert(rule.name.clone())),
            }
        });
        broken.map(|breach| (None, breach)).collect()
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
                self.days.insert(
                    place,
                    Day { day, micros: 0, forgiven: 0, trades: BTreeSet::new(), tripped: BTreeSet::new() },
                );
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
