//! What the parts on the serving thread share: the trades under way, the trials with the one roster of versions, and the news
//! that these have not taken in yet.
//!
//! Nobody waits for anybody. It outlives the parts that use it; at a start it is made from the journal. News is given here when
//! it is on disk, but for signals, so the roster has every event in the order of the log, whichever part fails meanwhile.

use std::{
    cell::{Cell, RefCell, RefMut},
    collections::VecDeque,
    rc::Rc,
    sync::Arc,
};

use arc_swap::ArcSwap;
use tokio::sync::Notify;

use super::monitor::MonitorHandle;
use crate::{
    config::Config,
    domain::{Decision, Event, Opinion, Outcome, Signal, Timestamp, TradeId, snapshot::TrendRegime},
    lifecycle::{
        names::NameCount,
        open_trades::{AnsweredSignal, Closing, OpenTrades},
        roster::Roster,
    },
    trials::running::{TrialNews, Trials},
};

/// News that may wait; beyond them the reader is told to start from the journal.
const MOST_NEWS: usize = 100_000;

/// The open trades and the news of them.
#[derive(Debug, Clone)]
pub struct TradeNews(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    open_trades: RefCell<OpenTrades>,
    trials: RefCell<Trials>,
    /// What the trials have not taken in yet.
    news: RefCell<VecDeque<(Timestamp, TrialNews)>>,
    /// How many trials are being made of the journal, and the news since the first of them was begun.
    makings: Cell<usize>,
    since: RefCell<Vec<(Timestamp, TrialNews)>>,
    config: Arc<ArcSwap<Config>>,
    lost: Cell<bool>,
    bell: Notify,
    monitor: MonitorHandle,
}

impl TradeNews {
    /// News of `open_trades` and `trials`, which is told to `monitor` as well.
    pub fn new(open_trades: OpenTrades, trials: Trials, config: Arc<ArcSwap<Config>>, monitor: MonitorHandle) -> Self {
        Self(Rc::new(Inner {
            open_trades: RefCell::new(open_trades),
            trials: RefCell::new(trials),
            news: RefCell::default(),
            makings: Cell::new(0),
            since: RefCell::default(),
            config,
            lost: Cell::new(false),
            bell: Notify::new(),
            monitor,
        }))
    }

    /// The trials as far as they have taken the news in.
    pub fn trials(&self) -> RefMut<'_, Trials> {
        self.0.trials.borrow_mut()
    }

    /// Where all versions stand by what is on disk.
    pub fn roster(&self) -> Roster {
        let mut roster = self.0.trials.borrow().roster().clone();
        for (_, news) in &*self.0.news.borrow() {
            if let TrialNews::Event(event) = news {
                roster.apply(event);
            }
        }
        roster
    }

    /// The trials take in all news, each after the sessions that are due before it have closed, and close what is due at `now`.
    pub fn take_news(&self, now: Timestamp) {
        let config = self.0.config.load();
        let mut trials = self.0.trials.borrow_mut();
        let close = |trials: &mut Trials, at| {
            trials.close_due(config.calendar.day_of(at), config.experiment.outcome_wait_days);
        };
        loop {
            // not held while it is taken in
            let next = self.0.news.borrow_mut().pop_front();
            let Some((at, news)) = next else { break };
            close(&mut trials, at);
            trials.take(at, &news);
        }
        close(&mut trials, now);
    }

    /// Trials are being made of the journal as it is from now on. What is news meanwhile they take in when they take their place.
    pub fn making(&self) -> Making {
        self.0.makings.set(self.0.makings.get() + 1);
        Making { of: self.clone(), since: self.0.since.borrow().len() }
    }

    /// Puts `trials` in the place of those that are there.
    pub fn install(&self, trials: Trials, making: &Making) {
        self.0.trials.replace(trials);
        let since = self.0.since.borrow();
        // what was news before is in the journal that they were made of
        self.0.news.replace(since.iter().skip(making.since).cloned().collect());
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

    /// Something happened in the life of a version, and is on disk.
    pub fn event(&self, event: &Event) {
        self.push(event.at, TrialNews::Event(event.kind.clone()));
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

    /// Whether news was lost since this was asked last.
    pub fn has_lost(&self) -> bool {
        self.0.lost.take()
    }

    fn push(&self, at: Timestamp, news: TrialNews) {
        // when nobody reads, what is in the journal is the truth; but where versions stand is always known
        let is_event = |(_, news): &(Timestamp, TrialNews)| matches!(news, TrialNews::Event(_));
        let (mut waiting, mut since) = (self.0.news.borrow_mut(), self.0.since.borrow_mut());
        if waiting.len() >= MOST_NEWS {
            waiting.retain(is_event);
            self.0.lost.set(true);
        }
        if self.0.makings.get() > 0 {
            if since.len() >= MOST_NEWS {
                since.retain(is_event);
                self.0.lost.set(true);
            }
            since.push((at, news.clone()));
        }
        waiting.push_back((at, news));
    }

    /// Calls for a look.
    pub fn ring(&self) {
        self.0.bell.notify_one();
    }
}

/// Trials that are being made of the journal.
#[derive(Debug)]
pub struct Making {
    of: TradeNews,
    /// How much of the news that is kept is older.
    since: usize,
}

impl Drop for Making {
    fn drop(&mut self) {
        let inner = &self.of.0;
        inner.makings.set(inner.makings.get().saturating_sub(1));
        if inner.makings.get() == 0 {
            inner.since.borrow_mut().clear();
        }
    }
}
