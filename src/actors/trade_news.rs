//! What the scorer and the guardian know of the trades under way, and the news of them that others wait for.
//!
//! All of it is on the serving thread: nobody waits for anybody. It outlives the parts that use it; at a start it is
//! made from the journal.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
    sync::Arc,
};

use tokio::sync::Notify;

use super::monitor::MonitorHandle;
use crate::{
    domain::{Decision, EventKind, Opinion, Outcome, Signal, Timestamp, TradeId, snapshot::TrendRegime},
    lifecycle::{
        names::NameCount,
        open_trades::{AnsweredSignal, Closing, OpenTrades},
    },
    trials::running::TrialNews,
};

/// News that may wait; beyond them the reader is told to start from the journal.
const MOST_NEWS: usize = 100_000;

/// The open trades and the news of them.
#[derive(Debug, Clone)]
pub struct TradeNews(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    open_trades: RefCell<OpenTrades>,
    news: RefCell<VecDeque<(Timestamp, TrialNews)>>,
    lost: Cell<bool>,
    bell: Notify,
    monitor: MonitorHandle,
}

impl TradeNews {
    /// News of `open_trades`, which are told to `monitor` as well.
    pub fn new(open_trades: OpenTrades, monitor: MonitorHandle) -> Self {
        let (news, lost, bell) = (RefCell::default(), Cell::new(false), Notify::new());
        Self(Rc::new(Inner { open_trades: RefCell::new(open_trades), news, lost, bell, monitor }))
    }

    /// What was made of a signal when it was scored for the first time.
    pub fn entry(&self, trade_id: &TradeId) -> Option<Arc<AnsweredSignal>> {
        self.0.open_trades.borrow().entry(trade_id).cloned()
    }

    /// What was answered to a signal when a model was heard, else when it was scored for the first time.
    pub fn heard(&self, trade_id: &TradeId) -> Option<Arc<AnsweredSignal>> {
        self.0.open_trades.borrow().heard(trade_id).cloned()
    }

    /// What the versions made of a signal when it was scored for the first time; nothing when it never was.
    pub fn first(&self, trade_id: &TradeId) -> Vec<Opinion> {
        self.0.open_trades.borrow().entry(trade_id).map(|entry| entry.opinions.clone()).unwrap_or_default()
    }

    /// Whether a signal takes the name of another trade, and whether that trade's name was taken before.
    pub fn reuse(&self, signal: &Signal) -> Option<bool> {
        let open_trades = self.0.open_trades.borrow();
        open_trades.is_reuse(signal).then(|| open_trades.was_reused(&signal.trade_id))
    }

    /// A signal has its name from a file: no other may take it.
    pub fn take_name(&self, signal: &Signal) {
        self.0.open_trades.borrow_mut().take_name(signal);
    }

    /// How many names of trades are known.
    pub fn names(&self) -> NameCount {
        self.0.open_trades.borrow().names()
    }

    /// What is known of a closed trade has changed on disk: who counts its news reads all of it again.
    pub fn completed(&self) {
        self.0.lost.set(true);
        self.ring();
    }

    /// A signal was answered at `now` and its record is on its way to the journal.
    pub fn scored(&self, now: Timestamp, entry: AnsweredSignal) {
        self.open(now, entry);
    }

    /// The same, with what the versions looked at.
    pub fn looked_at(&self, now: Timestamp, entry: AnsweredSignal, row: Vec<Option<f64>>, regime: Option<TrendRegime>) {
        if let Some(entry) = self.open(now, entry) {
            self.0.monitor.scored(now, &entry, row, regime);
        }
    }

    fn open(&self, now: Timestamp, entry: AnsweredSignal) -> Option<Arc<AnsweredSignal>> {
        let opened = self.0.open_trades.borrow_mut().open(now, entry)?;
        self.push(now, TrialNews::Scored(Arc::clone(&opened)));
        Some(opened)
    }

    /// What was answered to a signal long ago, from the journal. It is no news.
    pub fn remember(&self, now: Timestamp, entry: AnsweredSignal) {
        self.0.open_trades.borrow_mut().recall(now, entry);
    }

    /// [`OpenTrades::traded_on`].
    pub fn traded_on(&self, trade_id: &TradeId, echo: Option<&Decision>) {
        self.0.open_trades.borrow_mut().traded_on(trade_id, echo);
    }

    /// Whether the outcome of a trade is known to be on disk.
    pub fn is_closed(&self, trade_id: &TradeId) -> bool {
        self.0.open_trades.borrow().is_closed(trade_id)
    }

    /// The daily limit of the latest signal that carried one.
    pub fn daily_loss_limit(&self) -> Option<f64> {
        self.0.open_trades.borrow().daily_loss_limit()
    }

    /// The outcome of a trade is on disk. It is told once, however often it is sent.
    pub fn closed(&self, now: Timestamp, trade_id: &TradeId, outcome: Outcome) {
        let closing = self.0.open_trades.borrow_mut().close(now, trade_id);
        if let Closing::First(Some(entry)) = closing {
            self.0.monitor.closed(now, &entry, &outcome);
            self.push(now, TrialNews::Closed(entry, outcome));
            self.ring();
        }
    }

    /// That a signal was let go is on disk.
    pub fn skipped(&self, now: Timestamp, trade_id: &TradeId) {
        if let Some(entry) = self.entry(trade_id) {
            self.push(now, TrialNews::Skipped(entry));
            self.ring();
        }
    }

    /// Something happened in the life of a version.
    pub fn event(&self, at: Timestamp, event: EventKind) {
        self.push(at, TrialNews::Event(event));
        self.ring();
    }

    /// Waits until something calls for a look at the news.
    pub async fn rung(&self) {
        self.0.bell.notified().await;
    }

    /// How much news waits to be taken.
    pub fn waiting(&self) -> usize {
        self.0.news.borrow().len()
    }

    /// Takes the oldest news. It stays here until a part is there that takes it.
    pub fn next(&self) -> Option<(Timestamp, TrialNews)> {
        self.0.news.borrow_mut().pop_front()
    }

    /// Whether news was lost since this was asked last.
    pub fn has_lost(&self) -> bool {
        self.0.lost.take()
    }

    fn push(&self, at: Timestamp, news: TrialNews) {
        let mut waiting = self.0.news.borrow_mut();
        if waiting.len() >= MOST_NEWS {
            // nobody reads: what is in the journal is the truth
            waiting.clear();
            self.0.lost.set(true);
        }
        waiting.push_back((at, news));
    }

    /// Calls for a look.
    pub fn ring(&self) {
        self.0.bell.notify_one();
    }
}
