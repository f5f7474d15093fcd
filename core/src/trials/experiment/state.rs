//! What was assigned and what became of it.
//!
//! Trades overlap and their outcomes come in any order, the quick ones first. Counting what happens to be closed would
//! favour quick trades, so a trade counts when its whole **session** (the trading day of its signal) has closed: the
//! day is over, every session before it has closed, and each of its trades has an outcome, was let go, or has been
//! waited for long enough. Until then an outcome waits. A trade stays in the arm it was assigned to, whatever was done
//! with it (intention to treat); one that was not traded counts 0.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    domain::{Arm, Outcome, Timestamp, TradeId, TradingDay},
    stats::ratio::SampleRatio,
};

/// A signal that takes part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assignment {
    /// The trader's name for it.
    pub trade_id: TradeId,
    /// When it fired.
    pub at: Timestamp,
    /// The trading day it fired on.
    pub day: TradingDay,
    /// The arm that the salt gave it, even if the answer fell back to the baseline.
    pub arm: Arm,
    /// The chance it had of the ML arm. Outside 0 to 1 exclusive it was not left to chance, and only the paired view
    /// uses it.
    pub allocation: f64,
    /// The multiple of the strategy's own size that the ML policy gives it, at least 0; 0 lets it go, 1 where the policy
    /// has nothing to say. In the baseline arm from the shadow score.
    pub ml_size: f64,
    /// Whether no model was heard; of the baseline arm, whether it is the strategy alone and not another version.
    pub alone: bool,
}

/// A signal and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trade {
    /// As it was assigned.
    pub assignment: Assignment,
    /// After costs, at the size that was traded; `None` when it was not traded or its pnl is not known.
    pub pnl: Option<f64>,
    /// The same at the strategy's own size.
    pub own: Option<f64>,
    /// Of the entry, in ticks, where known.
    pub slippage_ticks: Option<f64>,
    /// Nothing more is expected of it.
    resolved: bool,
}

/// A closed session: nothing in it changes any more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// Its day.
    pub day: TradingDay,
    /// Its trades in the order of their signals.
    pub trades: Vec<Trade>,
}

/// What became of something that was told to an experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noted {
    /// It counts.
    Counted,
    /// The same was known already, and the first word stays.
    Duplicate,
    /// The trade takes no part.
    Unknown,
    /// Its session has closed without it; it is counted among the late ones and nowhere else.
    Late,
    /// There was no room for it; it is counted among those left out and nowhere else.
    LeftOut,
}

/// How much an experiment keeps at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    /// Signals of one session. Those beyond are left out, whatever their arm.
    pub session: usize,
    /// Trades of closed sessions. Beyond that the oldest sessions are given up. No limit where every session counts.
    pub closed: usize,
}

/// A session that has not closed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Open {
    trades: BTreeMap<TradeId, Trade>,
    /// Trades of which something is still expected.
    waiting: usize,
}

/// The state of one experiment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "Stored")]
pub struct Experiment {
    since: Timestamp,
    room: Room,
    open: BTreeMap<TradingDay, Open>,
    sessions: Vec<Session>,
    /// The session of each trade.
    #[serde(skip_serializing)]
    days: BTreeMap<TradeId, TradingDay>,
    late: usize,
    left_out: usize,
    given_up: usize,
    unpriced: usize,
    champion: bool,
    /// Of the trades that were left to chance, in the order in which they came.
    ratio: SampleRatio,
}

/// An experiment as it is stored: the session of each trade stands with the sessions.
#[derive(Deserialize)]
struct Stored {
    since: Timestamp,
    room: Room,
    open: BTreeMap<TradingDay, Open>,
    sessions: Vec<Session>,
    late: usize,
    left_out: usize,
    given_up: usize,
    unpriced: usize,
    champion: bool,
    ratio: SampleRatio,
}

impl From<Stored> for Experiment {
    fn from(stored: Stored) -> Self {
        let Stored { since, room, open, sessions, late, left_out, given_up, unpriced, champion, ratio } = stored;
        let of_open = open.iter().flat_map(|(day, open)| open.trades.keys().map(|trade| (trade.clone(), *day)));
        let closed = |session: &Session| {
            let day = session.day;
            session.trades.iter().map(move |trade| (trade.assignment.trade_id.clone(), day)).collect::<Vec<_>>()
        };
        let days = of_open.chain(sessions.iter().flat_map(closed)).collect();
        Self { since, room, open, sessions, days, late, left_out, given_up, unpriced, champion, ratio }
    }
}

impl Assignment {
    /// Whether it was given the strategy alone, so that what both policies make of it is known. What the version says while it
    /// has no share at all is no evidence: nobody could hear it.
    pub fn is_paired(&self) -> bool {
        self.arm == Arm::Baseline && self.alone && self.is_open()
    }

    /// Whether the version had a share, so that the trade could have heard it.
    pub fn is_open(&self) -> bool {
        self.allocation > 0.0
    }

    /// Whether chance chose its arm.
    pub fn is_random(&self) -> bool {
        self.allocation > 0.0 && self.allocation < 1.0
    }
}

impl Trade {
    /// Whether something was traded.
    pub fn is_taken(&self) -> bool {
        self.pnl.is_some()
    }
}

impl Room {
    /// No limits.
    const ENDLESS: Self = Self { session: usize::MAX, closed: usize::MAX };

    /// Of a test of `sessions` that keeps at most `most` trades: each session has its part, and all sessions count.
    pub fn of_test(most: usize, sessions: usize) -> Self {
        Self { session: (most / sessions.max(1)).max(1), closed: usize::MAX }
    }

    /// Of a holdback that keeps at most `most` trades, of about the latest `sessions`.
    pub fn of_holdback(most: usize, sessions: usize) -> Self {
        Self { session: (most / sessions.max(1)).max(1), closed: most }
    }
}

impl Experiment {
    /// One that began at `since` and keeps everything.
    pub fn new(since: Timestamp) -> Self {
        Self::within(since, Room::ENDLESS)
    }

    /// One that began at `since` and keeps what there is `room` for.
    pub fn within(since: Timestamp, room: Room) -> Self {
        Self {
            since,
            room,
            left_out: 0,
            given_up: 0,
            open: BTreeMap::new(),
            sessions: Vec::new(),
            days: BTreeMap::new(),
            late: 0,
            unpriced: 0,
            champion: false,
            ratio: SampleRatio::default(),
        }
    }

    /// When it began.
    pub fn since(&self) -> Timestamp {
        self.since
    }

    /// The closed sessions, in order.
    pub fn sessions(&self) -> &[Session] {
        &self.sessions
    }

    /// Trades of closed sessions.
    pub fn trades(&self) -> usize {
        self.sessions.iter().map(|session| session.trades.len()).sum()
    }

    /// Trades of sessions that are still open.
    pub fn open_trades(&self) -> usize {
        self.open.values().map(|open| open.trades.len()).sum()
    }

    /// Signals that there was no room for.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// Trades of closed sessions that were given up because newer ones needed the room.
    pub fn given_up(&self) -> usize {
        self.given_up
    }

    /// Assignments and outcomes that came after their session had closed.
    pub fn late(&self) -> usize {
        self.late
    }

    /// Outcomes without a pnl, which count as not traded.
    pub fn unpriced(&self) -> usize {
        self.unpriced
    }

    /// Whether the baseline arm is, in part at least, another version. What the strategy alone would have earned is not
    /// known there, so only the randomised view compares with it.
    pub fn has_champion(&self) -> bool {
        self.champion
    }

    /// Whether a trade takes part.
    pub fn has(&self, trade_id: &TradeId) -> bool {
        self.days.contains_key(trade_id)
    }

    /// Of all trades left to chance, open ones included: how many went to the ML arm, and whether that is as planned.
    pub fn sample_ratio(&self) -> &SampleRatio {
        &self.ratio
    }

    /// A signal takes part. Of a trade that is assigned more than once the first counts. A size that is not a number of
    /// at least 0 is taken for 1.
    pub fn assign(&mut self, mut assignment: Assignment) -> Noted {
        if self.days.contains_key(&assignment.trade_id) {
            return Noted::Duplicate;
        }
        if self.sessions.last().is_some_and(|last| assignment.day <= last.day) {
            self.late += 1;
            return Noted::Late;
        }
        let open = self.open.entry(assignment.day).or_default();
        if open.trades.len() >= self.room.session {
            self.left_out += 1;
            return Noted::LeftOut;
        }
        if !(assignment.ml_size >= 0.0 && assignment.ml_size.is_finite()) {
            assignment.ml_size = 1.0;
        }
        if assignment.is_random() {
            self.ratio.add(assignment.arm == Arm::Ml, assignment.allocation);
        }
        self.champion |= assignment.arm == Arm::Baseline && !assignment.alone;
        self.days.insert(assignment.trade_id.clone(), assignment.day);
        // the ML arm was told to let it go: no outcome is waited for, but if one comes in time it counts
        let resolved = assignment.arm == Arm::Ml && assignment.ml_size == 0.0;
        open.waiting += usize::from(!resolved);
        let trade = Trade { assignment, pnl: None, own: None, slippage_ticks: None, resolved };
        open.trades.insert(trade.assignment.trade_id.clone(), trade);
        Noted::Counted
    }

    /// A trade was closed at the strategy's own size.
    pub fn outcome(&mut self, trade_id: &TradeId, outcome: &Outcome) -> Noted {
        self.closed(trade_id, outcome, outcome.pnl.map(|pnl| pnl.get()))
    }

    /// A trade was closed, which made `own` at the strategy's own size.
    pub fn closed(&mut self, trade_id: &TradeId, outcome: &Outcome, own: Option<f64>) -> Noted {
        let Some(day) = self.days.get(trade_id) else { return Noted::Unknown };
        let Some((trade, waiting)) = pending(&mut self.open, *day, trade_id) else {
            return match closed(&self.sessions, *day, trade_id) {
                Some(trade) if trade.is_taken() => Noted::Duplicate,
                _ => {
                    self.late += 1;
                    Noted::Late
                }
            };
        };
        if trade.is_taken() {
            return Noted::Duplicate;
        }
        *waiting -= usize::from(!trade.resolved);
        trade.resolved = true;
        (trade.pnl, trade.own) = (outcome.pnl.map(|pnl| pnl.get()), own);
        trade.slippage_ticks = outcome.slippage_ticks.filter(|ticks| ticks.is_finite());
        self.unpriced += usize::from(trade.pnl.is_none());
        Noted::Counted
    }

    /// A signal was let go.
    pub fn skip(&mut self, trade_id: &TradeId) -> Noted {
        let Some(day) = self.days.get(trade_id) else { return Noted::Unknown };
        match pending(&mut self.open, *day, trade_id) {
            Some((trade, _)) if trade.is_taken() => Noted::Duplicate,
            Some((trade, waiting)) => {
                *waiting -= usize::from(!trade.resolved);
                trade.resolved = true;
                Noted::Counted
            }
            None => Noted::Duplicate, // it counted as not traded
        }
    }

    /// Closes the next session if it is due on the trading day `today`, and gives it back. Call it until it gives none,
    /// and judge the experiment after each. A session is no longer waited for `wait_days` days after its own.
    pub fn close_next(&mut self, today: TradingDay, wait_days: u32) -> Option<&Session> {
        let entry = self.open.first_entry()?;
        let day = *entry.key();
        let age = (today.date() - day.date()).get_days();
        let waited = age > i32::try_from(wait_days).unwrap_or(i32::MAX);
        if age <= 0 || !(waited || entry.get().waiting == 0) {
            return None;
        }
        let mut trades: Vec<Trade> = entry.remove().trades.into_values().collect();
        let key = |trade: &Trade| (trade.assignment.at, trade.assignment.trade_id.clone());
        trades.sort_by_cached_key(key);
        self.sessions.push(Session { day, trades });
        self.give_up();
        self.sessions.last()
    }

    /// Gives up the oldest sessions while there is more than there is room for.
    fn give_up(&mut self) {
        let mut kept = if self.room.closed == usize::MAX { 0 } else { self.trades() };
        while kept > self.room.closed && self.sessions.len() > 1 {
            let oldest = self.sessions.remove(0);
            kept -= oldest.trades.len();
            self.given_up += oldest.trades.len();
            for trade in &oldest.trades {
                self.days.remove(&trade.assignment.trade_id);
            }
        }
    }
}

/// A trade of a session that has not closed, and how many of that session are waited for.
fn pending<'a>(
    open: &'a mut BTreeMap<TradingDay, Open>,
    day: TradingDay,
    trade_id: &TradeId,
) -> Option<(&'a mut Trade, &'a mut usize)> {
    let Open { trades, waiting } = open.get_mut(&day)?;
    Some((trades.get_mut(trade_id)?, waiting))
}

fn closed<'a>(sessions: &'a [Session], day: TradingDay, trade_id: &TradeId) -> Option<&'a Trade> {
    let place = sessions.binary_search_by_key(&day, |session| session.day).ok()?;
    sessions.get(place)?.trades.iter().find(|trade| trade.assignment.trade_id == *trade_id)
}
