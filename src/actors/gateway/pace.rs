//! How time passes in a replay: it moves on only when everything that follows from earlier messages is done, so that each
//! thing happens at the time at which it would have happened live, however fast the messages come.
//!
//! Every wait has a bound. A part that is not done by then is named in an alert, once, and the replay goes on without it.
//! With the machine's clock nothing here waits.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    fmt,
    pin::pin,
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    time::{sleep, timeout},
};

use super::Gateway;
use crate::{
    actors::{ab_router::ObserveRouter, guardian::ObserveGuardian, trainer::ObserveTrainer},
    clock::{Clock as _, EventClock, Stopwatch},
    domain::{
        Event, EventKind, Timestamp,
        event::{By, Level},
    },
    journal::Write,
};

/// The longest that a message of a replay waits for a training that the daemon began by itself. On the market's clock a
/// training takes no time.
pub const TRAINING: Duration = Duration::from_secs(600);
/// The longest for a part that only has to catch up.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest for the monitor, whose thread stands back behind all others, and for the router, which prepares what a test
/// is judged by.
const WORK: Duration = Duration::from_secs(10);
/// The longest for a part that was waited for in vain before, until it is done once.
const IMPATIENCE: Duration = Duration::from_millis(10);
const PAUSE: Duration = Duration::from_millis(1);
/// Trading days that are closed one by one between two messages; of a longer gap only the first of them.
const MOST_DAYS: usize = 14;

/// What the gateway knows about the messages of a replay that are under way.
#[derive(Debug, Default)]
pub struct Pace {
    /// Held by the message that is being handled.
    turn: Arc<Mutex<()>>,
    /// Outcomes and skips that the guardian has heard and the disk has not acknowledged.
    recording: Cell<usize>,
    /// What was waited for in vain and has not been done since.
    late: RefCell<BTreeSet<Awaited>>,
}

/// Holds the next message of a replay back.
pub(super) type Turn = OwnedMutexGuard<()>;

/// What a replay waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Awaited {
    Disk,
    Guardian,
    Router,
    Monitor,
    Training,
}

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rest {
    AtOnce,
    InTime,
    InVain,
}

impl Awaited {
    const fn patience(self) -> Duration {
        match self {
            Self::Disk | Self::Guardian => PATIENCE,
            Self::Router | Self::Monitor => WORK,
            Self::Training => TRAINING,
        }
    }
}

impl fmt::Display for Awaited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Disk => "the disk",
            Self::Guardian => "the guardian",
            Self::Router => "the A/B router",
            Self::Monitor => "the monitor",
            Self::Training => "a training",
        })
    }
}

/// Counts one record that is on its way to the disk.
struct OnItsWay<'a>(&'a Cell<usize>);

impl<'a> OnItsWay<'a> {
    fn begin(count: &'a Cell<usize>) -> Self {
        count.set(count.get() + 1);
        Self(count)
    }
}

impl Drop for OnItsWay<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

impl Gateway {
    /// In a replay, moves the time on to `at`. What follows from earlier messages is done first, and each trading day that
    /// ends in between is judged at the moment it ends. `None` outside of a replay.
    pub(super) async fn pass_to(&self, at: Timestamp) -> Option<Turn> {
        let clock = self.0.event_clock.as_deref()?;
        let turn = Arc::clone(&self.0.pace.turn).lock_owned().await;
        let now = clock.now();
        if at > now && now > Timestamp::UNIX_EPOCH {
            self.settle().await;
            if self.is_watched() {
                self.close_days(clock, at).await;
            }
        }
        clock.observe(at);
        Some(turn)
    }

    /// The same for an outcome. It may take a version out of service, so the monitor first hears of the trades before it:
    /// they count for the versions that were in service then.
    pub(super) async fn close_at(&self, at: Timestamp) -> Option<Turn> {
        let turn = self.pass_to(at).await?;
        if self.is_watched() {
            self.hear().await;
        }
        Some(turn)
    }

    /// The guardian's answer to something that is to be recorded. The next message of a replay has its turn as soon as the
    /// guardian has heard this one: the disk is waited for only when time moves on.
    pub(super) async fn recorded<R>(&self, turn: Option<Turn>, answer: impl Future<Output = R>) -> R {
        let Some(turn) = turn else { return answer.await };
        let _until_it_is_answered = OnItsWay::begin(&self.0.pace.recording);
        let mut answer = pin!(answer);
        tokio::select! {
            biased;
            answer = &mut answer => return answer,
            // its mailbox is answered in order: it has heard what came before
            _ = self.0.guardian.send(ObserveGuardian) => {}
        }
        drop(turn);
        answer.await
    }

    /// Whether a version is in service, so that the end of a day matters.
    fn is_watched(&self) -> bool {
        let serving = self.0.serving.load();
        !serving.splits.is_empty() || serving.scopes.values().any(|scope| scope.names().next().is_some())
    }

    async fn close_days(&self, clock: &EventClock, at: Timestamp) {
        let calendar = self.0.config.load().calendar.clone();
        let mut day = calendar.day_of(clock.now()).date();
        for _ in 0..MOST_DAYS {
            let Ok(next) = day.tomorrow() else { return };
            day = next;
            match calendar.opening(day) {
                Some(opening) if opening < at => {
                    clock.observe(opening);
                    self.0.monitor.time(opening);
                    // what it finds is in the guardian's mailbox before it says that it has heard
                    self.hear().await;
                    self.settle().await;
                }
                _ => break,
            }
        }
    }

    /// Waits until the monitor has heard all news.
    async fn hear(&self) {
        self.rest(Awaited::Monitor).await;
    }

    /// Waits until nothing follows from what has happened any more.
    async fn settle(&self) {
        let watch = Stopwatch::start();
        // what one part does may call for something in another
        while self.settle_once().await == Rest::InTime && watch.elapsed() < TRAINING {}
    }

    /// The longest wait of one look at all parts; a part that is late ends it.
    async fn settle_once(&self) -> Rest {
        let mut longest = Rest::AtOnce;
        for part in [Awaited::Disk, Awaited::Guardian, Awaited::Router, Awaited::Training] {
            longest = longest.max(self.rest(part).await);
            if longest == Rest::InVain {
                break;
            }
        }
        longest
    }

    async fn is_at_rest(&self, part: Awaited) -> bool {
        let wiring = &*self.0;
        match part {
            Awaited::Disk => wiring.pace.recording.get() == 0,
            Awaited::Guardian => {
                let guardian = wiring.guardian.send(ObserveGuardian).await.ok().flatten();
                guardian.is_some_and(|guardian| guardian.settled)
            }
            Awaited::Router => {
                let router = wiring.ab_router.send(ObserveRouter).await.ok().flatten();
                router.is_some_and(|router| router.settled)
            }
            Awaited::Monitor => wiring.monitor.observe().await.is_some(),
            // a person who orders a training knows when to go on
            Awaited::Training => match wiring.trainer.send(ObserveTrainer).await.ok().flatten() {
                Some(trainer) => !trainer.running.is_some_and(|running| matches!(running.by, By::Daemon(_))),
                None => false,
            },
        }
    }

    /// Looks until `part` is at rest, but no longer than its patience.
    async fn rest(&self, part: Awaited) -> Rest {
        let was_late = self.0.pace.late.borrow().contains(&part);
        let patience = if was_late { IMPATIENCE } else { part.patience() };
        let waited = timeout(patience, async {
            let mut rest = Rest::AtOnce;
            while !self.is_at_rest(part).await {
                rest = Rest::InTime;
                sleep(PAUSE).await;
            }
            rest
        });
        let rest = waited.await.unwrap_or(Rest::InVain);
        if rest != Rest::InVain {
            self.0.pace.late.borrow_mut().remove(&part);
        } else if self.0.pace.late.borrow_mut().insert(part) {
            self.tell_late(part, patience);
        }
        rest
    }

    fn tell_late(&self, part: Awaited, patience: Duration) {
        let message = format!(
            "the replay waited {} s for {part} in vain and goes on: until {part} is done, what follows may carry a later time \
             than it had on the market",
            patience.as_secs()
        );
        tracing::warn!(code = "replay_late", "{message}");
        let kind = EventKind::Alert { level: Level::Warning, code: "replay_late".into(), message };
        let event = Event { at: self.0.clock.now(), kind };
        let _it_is_logged = self.0.journal.write_behind(Write::Event(event));
    }
}
