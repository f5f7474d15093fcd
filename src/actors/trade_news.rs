//! The one state that lives on the serving thread and that its parts share: the trades under way, what the emergency rules know, and the
//! trials with the one roster of versions; and the news that the trials have not taken in yet.
//!
//! Nobody waits for anybody. It outlives the parts that use it; at a start it is made from the journal. What is on disk comes here, and
//! so do signals when they are answered, so it has everything in the order of the log, whichever part fails meanwhile. What follows is
//! said by [`State`]'s steps, as for who reads the log.

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
    domain::{Event, EventKind, Opinion, Signal, Timestamp, TradeId, snapshot::TrendRegime},
    lifecycle::{happening::Happening, names::NameCount, open_trades::AnsweredSignal, roster::Roster},
    state::step::{Effects, Risk, Rules, State, Telling},
    trials::running::{TrialNews, Trials},
};

/// News that may wait; beyond them the reader is told to start from the journal.
const MOST_NEWS: usize = 100_000;

/// The live state and the news of it.
#[derive(Debug, Clone)]
pub struct TradeNews(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Without what is carried forward and the feeds that are lost, which are the scorer's.
    state: RefCell<State>,
    /// The number up to which the log is in what the rules know by the last reading of it.
    risk_seq: Cell<u64>,
    /// What the trials have not taken in yet.
    news: RefCell<VecDeque<(Timestamp, TrialNews)>>,
    /// How many parts of the state are being made of the journal, and what came since the first of them was begun, numbered.
    makings: Cell<usize>,
    since: RefCell<VecDeque<(u64, Since)>>,
    next: Cell<u64>,
    config: Arc<ArcSwap<Config>>,
    lost: Cell<bool>,
    bell: Notify,
    monitor: MonitorHandle,
}

/// What came while a part of the state was being made of the journal.
#[derive(Debug)]
enum Since {
    /// For the trials; with the number of its record, where that is known.
    News(Option<u64>, Timestamp, TrialNews),
    /// For what the rules know.
    OnDisk(OnDisk),
}

/// An outcome that is on disk.
#[derive(Debug, Clone)]
pub struct OnDisk {
    /// The number of its record, unless it was there already.
    pub seq: Option<u64>,
    /// A closed trade, or one of which more is known.
    pub happening: Happening,
    /// What was answered to the trade's signal, if that is not remembered.
    pub recalled: Vec<AnsweredSignal>,
}

impl TradeNews {
    /// News of `state`, which is told to `monitor` as well.
    pub fn new(state: State, config: Arc<ArcSwap<Config>>, monitor: MonitorHandle) -> Self {
        Self(Rc::new(Inner {
            state: RefCell::new(state),
            risk_seq: Cell::new(0),
            news: RefCell::default(),
            makings: Cell::new(0),
            since: RefCell::default(),
            next: Cell::new(0),
            config,
            lost: Cell::new(false),
            bell: Notify::new(),
            monitor,
        }))
    }

    /// All of it as it is now.
    pub fn state(&self) -> State {
        self.0.state.borrow().clone()
    }

    /// The trials as far as they have taken the news in.
    pub fn trials(&self) -> RefMut<'_, Trials> {
        RefMut::map(self.0.state.borrow_mut(), |state| &mut state.trials)
    }

    /// What the rules know, and what has it follow from what is told.
    pub fn risk(&self) -> RefMut<'_, Risk> {
        RefMut::map(self.0.state.borrow_mut(), |state| &mut state.risk)
    }

    /// Where all versions stand by what is on disk.
    pub fn roster(&self) -> Roster {
        let mut roster = self.0.state.borrow().trials.roster().clone();
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
        let rules = config.rules();
        let mut state = self.0.state.borrow_mut();
        loop {
            // not held while it is taken in
            let next = self.0.news.borrow_mut().pop_front();
            let Some((at, news)) = next else { break };
            state.learn(&rules, at, &news);
        }
        state.pass_to(&rules, now);
    }

    /// A part of the state is being made of the journal as it is from now on. What is news meanwhile it takes in when it takes its
    /// place.
    pub fn making(&self) -> Making {
        self.0.makings.set(self.0.makings.get() + 1);
        Making { of: self.clone(), since: self.0.next.get() }
    }

    /// Puts `trials`, made of the journal up to number `seq`, in the place of those that are there.
    pub fn install(&self, trials: Trials, seq: u64, making: &Making) {
        self.0.state.borrow_mut().trials = trials;
        let is_news = |(number, since): &(u64, Since)| match since {
            // what was news before is in the journal that they were made of
            Since::News(known, at, news) if *number >= making.since && known.is_none_or(|known| known > seq) => {
                Some((*at, news.clone()))
            }
            _ => None,
        };
        self.0.news.replace(self.0.since.borrow().iter().filter_map(is_news).collect());
    }

    /// Puts what the rules know by the journal up to number `seq` in the place of what they knew; the trades under way stay. Says what
    /// follows, where `roster` is in force, from outcomes that reached the disk meanwhile.
    pub fn install_risk(&self, made: Risk, seq: u64, making: &Making, roster: &Roster) -> Vec<EventKind> {
        let config = self.0.config.load();
        let (mut state, mut events) = (self.0.state.borrow_mut(), Vec::new());
        let Risk { open_trades, .. } = std::mem::replace(&mut state.risk, made);
        state.risk.open_trades = open_trades;
        self.0.risk_seq.set(seq);
        for (_, since) in self.0.since.borrow().iter().filter(|(number, _)| *number >= making.since) {
            if let Since::OnDisk(on_disk) = since {
                events.extend(count(&mut state.risk, &config.rules(), roster, on_disk.clone(), seq).events);
            }
        }
        events
    }

    /// What was made of a signal when it was scored for the first time.
    pub fn entry(&self, trade_id: &TradeId) -> Option<Arc<AnsweredSignal>> {
        self.0.state.borrow().risk.open_trades.entry(trade_id).cloned()
    }

    /// What was answered to a signal when a model was heard, else when it was scored for the first time.
    pub fn heard(&self, trade_id: &TradeId) -> Option<Arc<AnsweredSignal>> {
        self.0.state.borrow().risk.open_trades.heard(trade_id).cloned()
    }

    /// What the versions made of a signal when it was scored for the first time; nothing when it never was.
    pub fn first(&self, trade_id: &TradeId) -> Vec<Opinion> {
        self.0.state.borrow().risk.open_trades.entry(trade_id).map(|entry| entry.opinions.clone()).unwrap_or_default()
    }

    /// Whether a signal takes the name of another trade, and whether that trade's name was taken before.
    pub fn reuse(&self, signal: &Signal) -> Option<bool> {
        let state = self.0.state.borrow();
        let open_trades = &state.risk.open_trades;
        open_trades.is_reuse(signal).then(|| open_trades.was_reused(&signal.trade_id))
    }

    /// A signal has its name from a file: no other may take it.
    pub fn take_name(&self, signal: &Signal) {
        self.0.state.borrow_mut().risk.open_trades.take_name(signal);
    }

    /// How many names of trades are known.
    pub fn names(&self) -> NameCount {
        self.0.state.borrow().risk.open_trades.names()
    }

    /// What is on disk may not have been told here: who counts the news reads all of it again.
    pub fn read_again(&self) {
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
        let opened = self.0.state.borrow_mut().risk.scored(now, entry)?;
        self.push(None, now, TrialNews::Scored(Arc::clone(&opened)));
        Some(opened)
    }

    /// Whether the outcome of a trade is known to be on disk.
    pub fn is_closed(&self, trade_id: &TradeId) -> bool {
        self.0.state.borrow().risk.open_trades.is_closed(trade_id)
    }

    /// An outcome is on disk, where `roster` is in force: it counts for good, however often it comes. What follows from it is to be put
    /// in force.
    pub fn on_disk(&self, roster: &Roster, on_disk: OnDisk) -> Vec<EventKind> {
        let (at, seq) = (on_disk.happening.at(), on_disk.seq);
        let is_first = matches!(on_disk.happening, Happening::Closed { .. });
        if self.0.makings.get() > 0 {
            self.keep(Since::OnDisk(on_disk.clone()));
        }
        let config = self.0.config.load();
        let Effects { events, news } = count(&mut self.risk(), &config.rules(), roster, on_disk, self.0.risk_seq.get());
        for news in news {
            if let (true, TrialNews::Closed(entry, outcome)) = (is_first, &news) {
                self.0.monitor.closed(at, entry, outcome);
            }
            self.push(seq, at, news);
            self.ring();
        }
        events
    }

    /// That a signal was let go is on disk.
    pub fn skipped(&self, now: Timestamp, trade_id: &TradeId) {
        let config = self.0.config.load();
        let happening = Happening::Skipped { at: now, trade_id: trade_id.clone() };
        let news = {
            let mut state = self.0.state.borrow_mut();
            let State { risk, trials, .. } = &mut *state;
            risk.take(&config.rules(), trials.roster(), happening).news
        };
        for news in news {
            self.push(None, now, news);
            self.ring();
        }
    }

    /// Something happened in the life of a version, and is on disk.
    pub fn event(&self, event: &Event) {
        self.push(None, event.at, TrialNews::Event(event.kind.clone()));
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

    fn push(&self, seq: Option<u64>, at: Timestamp, news: TrialNews) {
        // when nobody reads, what is in the journal is the truth; but where versions stand is always known
        if self.0.makings.get() > 0 {
            self.keep(Since::News(seq, at, news.clone()));
        }
        let mut waiting = self.0.news.borrow_mut();
        if waiting.len() >= MOST_NEWS {
            waiting.retain(|(_, news)| matches!(news, TrialNews::Event(_)));
            self.0.lost.set(true);
        }
        waiting.push_back((at, news));
    }

    fn keep(&self, news: Since) {
        let mut since = self.0.since.borrow_mut();
        if since.len() >= MOST_NEWS {
            since.retain(|(_, since)| matches!(since, Since::News(_, _, TrialNews::Event(_)) | Since::OnDisk(_)));
            self.0.lost.set(true);
        }
        since.push_back((self.0.next.get(), news));
        self.0.next.set(self.0.next.get() + 1);
    }

    /// Calls for a look.
    pub fn ring(&self) {
        self.0.bell.notify_one();
    }
}

/// What an outcome that is on disk comes to. `seq`: the number up to which the log is in what is known. More that is said of a closed
/// trade is counted once: while it can be taken back, or where it is not known.
fn count(risk: &mut Risk, rules: &Rules<'_>, roster: &Roster, on_disk: OnDisk, seq: u64) -> Effects {
    let OnDisk { seq: number, happening, recalled } = on_disk;
    let (Happening::Closed { at, trade_id, .. } | Happening::Completed { at, trade_id, .. }) = &happening else {
        return Effects::default();
    };
    if risk.open_trades.heard(trade_id).is_none() {
        recalled.into_iter().for_each(|entry| drop(risk.open_trades.recall(*at, entry)));
    }
    if let Happening::Completed { at, told_at, trade_id, echo, outcome, .. } = &happening
        && !risk.emergency.has_told(trade_id)
        && number.is_none_or(|number| number <= seq)
    {
        let telling = Telling { at: *told_at, trade_id, outcome, echo: echo.as_deref(), recalled: &[] };
        return risk.completed(rules, roster, *at, &telling);
    }
    risk.take(rules, roster, happening)
}

/// A part of the state that is being made of the journal.
#[derive(Debug)]
pub struct Making {
    of: TradeNews,
    /// The number of the first news that came since.
    since: u64,
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
