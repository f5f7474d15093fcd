//! The trades under way: what was known and answered when each was scored, kept until nothing more is expected of it.
//!
//! Whoever judges a closed trade needs to know what was made of its signal, and cannot wait for the disk to tell.
//! Closed trades are remembered too, so that an outcome that is sent twice is judged once. It is a fold
//! over what is scored and closed, bounded in time and in number.
#![deny(clippy::indexing_slicing)]

mod answered;
mod image;

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use jiff::SignedDuration;

pub use self::answered::AnsweredSignal;
pub(crate) use self::image::OpenTradesImage;
use super::names::{MOST_NAMES, NameCount, Names};
use crate::domain::{Decision, Reason, Signal, Timestamp, TradeId, decision::traded_on};

/// Trades that are remembered at most; the oldest make room.
pub const MOST_TRADES: usize = 50_000;

/// What is known of a trade that was closed.
#[derive(Debug, Clone, PartialEq)]
pub enum Closing {
    /// It was open, with what was made of its signal if that is known.
    First(Option<Arc<AnsweredSignal>>),
    /// It was closed before.
    Again,
}

/// The trades of the last days.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenTrades {
    keep: SignedDuration,
    trades: HashMap<TradeId, Held>,
    /// The same in the order they came, with the latest time known then: a clock that was set back ages nothing sooner.
    by_time: VecDeque<(Timestamp, TradeId)>,
    daily_loss_limit: Option<f64>,
    /// The names that trades have had, of those too that are forgotten otherwise.
    names: Names,
}

#[derive(Debug, Clone, PartialEq)]
struct Held {
    entry: Option<Arc<AnsweredSignal>>,
    /// A later answer to the same signal in which a model was heard, when it was not in the first.
    heard: Option<Arc<AnsweredSignal>>,
    closed: bool,
    /// Another signal came under its name.
    reused: bool,
}

impl OpenTrades {
    /// An empty one that remembers a trade for `keep` after it came.
    pub fn new(keep: SignedDuration) -> Self {
        Self::knowing(keep, MOST_NAMES)
    }

    /// The same, which knows the latest `names` that trades have had.
    pub fn knowing(keep: SignedDuration, names: usize) -> Self {
        let names = Names::new(names);
        Self { keep, trades: HashMap::new(), by_time: VecDeque::new(), daily_loss_limit: None, names }
    }

    /// What was made of a signal when it was scored for the first time.
    pub fn entry(&self, trade_id: &TradeId) -> Option<&Arc<AnsweredSignal>> {
        self.trades.get(trade_id)?.entry.as_ref()
    }

    /// The same, but of an answer in which a model was heard, if there was one: what a model may be held to account for.
    pub fn heard(&self, trade_id: &TradeId) -> Option<&Arc<AnsweredSignal>> {
        let held = self.trades.get(trade_id)?;
        held.heard.as_ref().or(held.entry.as_ref())
    }

    /// Whether a signal takes the name of another trade: one that fired at another time, or for another symbol or side,
    /// however long ago.
    pub fn is_reuse(&self, signal: &Signal) -> bool {
        let Some(known) = self.entry(&signal.trade_id) else { return self.names.is_of_another(signal) };
        let other_symbol = known.symbol.as_ref().is_some_and(|symbol| *symbol != signal.symbol);
        let other_side = known.side.is_some_and(|side| side != signal.side);
        let other_time = if known.by_echo { self.names.is_of_another(signal) } else { known.at != signal.at };
        other_symbol || other_side || other_time
    }

    /// Whether another signal came under the name of this trade before.
    pub fn was_reused(&self, trade_id: &TradeId) -> bool {
        self.trades.get(trade_id).is_some_and(|held| held.reused) || self.names.was_reused(trade_id)
    }

    /// A signal has its name from a file: no other may take it.
    pub fn take_name(&mut self, signal: &Signal) {
        self.names.take(&signal.trade_id, signal.at, &signal.symbol, signal.side, false);
    }

    /// Whether a signal of this name was answered here; `None` where the name is not known.
    pub fn was_answered(&self, trade_id: &TradeId) -> Option<bool> {
        self.names.was_answered(trade_id)
    }

    /// Room for so many more names, so that none of them waits for it.
    pub fn make_room(&mut self, names: usize) {
        self.names.make_room(names);
    }

    /// [`Names::settle`].
    pub fn settle_names(&mut self) {
        self.names.settle();
    }

    /// How many names are known.
    pub fn names(&self) -> NameCount {
        self.names.count()
    }

    /// The daily limit of the latest signal that carried one.
    pub fn daily_loss_limit(&self) -> Option<f64> {
        self.daily_loss_limit
    }

    /// Whether [`OpenTrades::open`] would give an entry back.
    pub fn is_first(&self, entry: &AnsweredSignal) -> bool {
        !self.trades.contains_key(&entry.trade_id) && entry.decision.reason != Reason::TradeIdReused
    }

    /// A signal was answered at `now`. `None` for one that came before: its first answer is the one that counts.
    pub fn open(&mut self, now: Timestamp, entry: AnsweredSignal) -> Option<Arc<AnsweredSignal>> {
        self.daily_loss_limit = entry.daily_loss_limit.or(self.daily_loss_limit);
        self.recall(now, entry)
    }

    /// As [`OpenTrades::open`], of a signal that was answered long ago: what it says of the daily limit has been overtaken.
    pub fn recall(&mut self, now: Timestamp, mut entry: AnsweredSignal) -> Option<Arc<AnsweredSignal>> {
        if let Some(held) = self.trades.get_mut(&entry.trade_id) {
            held.reused |= entry.decision.reason == Reason::TradeIdReused;
            let heard_before = held.heard.as_ref().or(held.entry.as_ref()).is_some_and(|held| held.speaker().is_some());
            if entry.speaker().is_some() && !heard_before {
                if let Some(first) = &held.entry {
                    entry.trade_on(&first.decision);
                }
                held.heard = Some(Arc::new(entry));
            }
            return None;
        }
        if entry.decision.reason == Reason::TradeIdReused {
            self.names.reuse(&entry.trade_id);
            return None;
        }
        if let (Some(symbol), Some(side)) = (&entry.symbol, entry.side) {
            self.names.take(&entry.trade_id, entry.at, symbol, side, true);
        }
        let (trade_id, entry) = (entry.trade_id.clone(), Arc::new(entry));
        self.hold(now, trade_id, Some(Arc::clone(&entry)), false);
        Some(entry)
    }

    /// A trade was closed, and its outcome echoes `echo`: everything that follows is at the size of that answer, or without
    /// an echo of the first.
    pub fn traded_on(&mut self, trade_id: &TradeId, echo: Option<&Decision>) {
        let Some(held) = self.trades.get_mut(trade_id) else { return };
        let first = held.entry.as_ref().map(|entry| entry.decision.clone());
        let Some(answer) = traded_on(first.as_ref(), echo) else { return };
        for entry in held.entry.iter_mut().chain(&mut held.heard).filter(|entry| entry.size() != answer.size) {
            Arc::make_mut(entry).trade_on(answer);
        }
    }

    /// Whether a trade is known to be closed.
    pub fn is_closed(&self, trade_id: &TradeId) -> bool {
        self.trades.get(trade_id).is_some_and(|held| held.closed)
    }

    /// A trade was closed at `now`.
    pub fn close(&mut self, now: Timestamp, trade_id: &TradeId) -> Closing {
        match self.trades.get_mut(trade_id) {
            Some(held) if held.closed => Closing::Again,
            Some(held) => {
                held.closed = true;
                Closing::First(held.entry.clone())
            }
            None => {
                self.hold(now, trade_id.clone(), None, true);
                Closing::First(None)
            }
        }
    }

    fn hold(&mut self, now: Timestamp, trade_id: TradeId, entry: Option<Arc<AnsweredSignal>>, closed: bool) {
        let now = self.by_time.back().map_or(now, |(latest, _)| now.max(*latest));
        self.by_time.push_back((now, trade_id.clone()));
        self.trades.insert(trade_id, Held { entry, heard: None, closed, reused: false });
        let oldest = now.checked_sub(self.keep).unwrap_or(Timestamp::MIN);
        while self.by_time.front().is_some_and(|(at, _)| *at < oldest || self.trades.len() > MOST_TRADES)
            && let Some((_, trade_id)) = self.by_time.pop_front()
        {
            self.trades.remove(&trade_id);
        }
        debug_assert_eq!(self.trades.len(), self.by_time.len());
    }
}

#[cfg(test)]
mod tests {
    use jiff::{civil, tz::TimeZone};

    use super::*;
    use crate::{
        domain::{Arm, Split, Symbol, TradingCalendar, VersionId},
        models::Stake,
        policy::answer::Policy,
    };

    fn at(day: i64) -> Timestamp {
        Timestamp::from_second(1_420_000_000 + day * 86_400).unwrap()
    }

    fn id(n: usize) -> TradeId {
        TradeId::new(format!("T-{n}")).unwrap()
    }

    fn calendar() -> TradingCalendar {
        TradingCalendar::new(TimeZone::UTC, civil::time(22, 0, 0, 0))
    }

    fn entry(n: usize, size: f64) -> AnsweredSignal {
        let decision = Decision { size, ..Decision::baseline(id(n), None, None, Reason::AbTest) };
        let symbol = Some(Symbol::new("ES").unwrap());
        let day = calendar().day_of(at(0));
        AnsweredSignal {
            trade_id: id(n),
            at: at(0),
            day,
            symbol,
            side: None,
            confidence: None,
            decision,
            traded: None,
            opinions: vec![],
            daily_loss_limit: None,
            stake: Stake::default(),
            by_echo: false,
        }
    }

    fn open_trades() -> OpenTrades {
        OpenTrades::new(SignedDuration::from_hours(240))
    }

    #[test]
    fn the_first_answer_to_a_signal_stays_and_its_outcome_counts_once() {
        let mut open_trades = open_trades();
        assert!(open_trades.open(at(0), entry(1, 1.0)).is_some());
        assert_eq!(open_trades.open(at(0), entry(1, 0.0)), None);
        assert_eq!(open_trades.entry(&id(1)).unwrap().decision.size, 1.0);
        assert!(matches!(open_trades.close(at(1), &id(1)), Closing::First(Some(entry)) if entry.decision.size == 1.0));
        assert_eq!(open_trades.close(at(1), &id(1)), Closing::Again);
        assert_eq!(open_trades.heard(&id(1)).unwrap().speaker(), None);
        let mut late = entry(1, 1.0);
        late.decision = Decision { arm: Arm::Ml, model: Some("ES/3".parse().unwrap()), ..late.decision };
        assert_eq!(open_trades.open(at(1), late), None);
        assert!(
            open_trades.heard(&id(1)).unwrap().speaker().is_some()
                && open_trades.entry(&id(1)).unwrap().speaker().is_none()
        );
        // one that was never scored here counts once as well, and is not opened behind its own outcome
        assert_eq!(open_trades.close(at(1), &id(2)), Closing::First(None));
        assert_eq!((open_trades.close(at(1), &id(2)), open_trades.open(at(1), entry(2, 1.0))), (Closing::Again, None));
    }

    #[test]
    fn a_trade_is_of_the_size_of_the_answer_that_its_outcome_echoes_and_else_of_the_first() {
        let sized = |size| Decision { size, ..entry(1, size).decision };
        let mut trades = open_trades();
        trades.open(at(0), entry(1, 1.0));
        let mut heard = entry(1, 0.5);
        heard.decision = Decision { arm: Arm::Ml, model: Some("ES/3".parse().unwrap()), ..heard.decision };
        trades.open(at(0), heard);
        let own =
            |trades: &OpenTrades| [trades.entry(&id(1)), trades.heard(&id(1))].map(|entry| entry?.at_own_size(100.0));
        assert_eq!(own(&trades), [Some(100.0); 2]);
        for (echo, wanted) in
            [(Some(0.5), Some(200.0)), (Some(0.0), None), (Some(1.0), Some(100.0)), (None, Some(100.0))]
        {
            trades.traded_on(&id(1), echo.map(sized).as_ref());
            assert_eq!(own(&trades), [wanted; 2], "{echo:?}");
        }
        let said = trades.heard(&id(1)).unwrap();
        assert_eq!((said.decision.size, said.speaker().is_some()), (0.5, true), "what was said stays");
    }

    #[test]
    fn the_daily_limit_is_that_of_the_latest_signal_and_not_of_one_that_is_recalled() {
        let with = |n, limit| AnsweredSignal { daily_loss_limit: limit, ..entry(n, 1.0) };
        let mut open_trades = open_trades();
        open_trades.open(at(0), with(1, Some(1e6)));
        open_trades.open(at(11), with(2, Some(1000.0)));
        open_trades.open(at(11), with(3, None));
        assert_eq!(open_trades.entry(&id(1)), None);
        open_trades.recall(at(11), with(1, Some(1e6)));
        assert_eq!((open_trades.entry(&id(1)).is_some(), open_trades.daily_loss_limit()), (true, Some(1000.0)));
        open_trades.open(at(11), with(4, Some(500.0)));
        assert_eq!(open_trades.daily_loss_limit(), Some(500.0));
    }

    #[test]
    fn it_forgets_what_is_too_old_or_too_many() {
        let mut open_trades = open_trades();
        (0..3).for_each(|n| drop(open_trades.open(at(n as i64), entry(n, 1.0))));
        open_trades.open(at(11), entry(3, 1.0));
        let held: Vec<bool> = (0..4).map(|n| open_trades.entry(&id(n)).is_some()).collect();
        assert_eq!(held, [false, true, true, true], "ten days");
        (10..10 + MOST_TRADES).for_each(|n| drop(open_trades.open(at(12), entry(n, 1.0))));
        assert_eq!(open_trades.trades.len(), MOST_TRADES);
        assert!(open_trades.entry(&id(3)).is_none() && open_trades.entry(&id(10)).is_some());
    }

    #[test]
    fn an_echo_tells_the_arm_of_a_trade_that_was_lost() {
        let sizing = crate::models::sizing::Sizing {
            rule: crate::models::sizing::SizingRule::Unit,
            min: 0.0,
            max: 1.0,
            kelly_fraction: 0.5,
        };
        let policy = Policy { blend_weight: 0.5, trade_threshold: 0.5, ab_share: 0.4, holdback: 0.1, sizing };
        let model: VersionId = "ES/3".parse().unwrap();
        let told = |reason| Decision::baseline(id(1), None, Some(model.clone()), reason);
        let of = |reason| AnsweredSignal::of_echo(&told(reason), at(2), &calendar(), &policy);
        let split = of(Reason::AbTest).opinion(&model).unwrap().split.unwrap();
        assert_eq!(split, Split { arm: Arm::Baseline, share: 0.4 });
        assert_eq!(of(Reason::Holdback).opinion(&model).unwrap().split.unwrap().share, 0.9);
        assert!(of(Reason::Locked).opinions.is_empty());
        assert_eq!(of(Reason::Locked).at_own_size(12.0), Some(12.0));
    }
}
