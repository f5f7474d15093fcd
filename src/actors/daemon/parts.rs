//! What the daemon's own loop does: it reloads, kills, counts restarts, makes its rounds, and says its last words.

use std::{
    cell::{Cell, RefCell},
    fs,
    path::PathBuf,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::{
    net::UnixListener,
    sync::watch,
    time::{sleep, timeout},
};

use super::{OnReload, Supervision, drill, reload::Read};
use crate::{
    actors::{
        ab_router::{AbRouter, Look},
        acknowledge::all_stored,
        archivist::Archivist,
        gateway::Reloaded,
        guardian::{Guardian, LockNow},
        jobs::JobLog,
        journal::{self, JournalHandle, NotClosed},
        keeper::{self, KeeperHandle, KeeperNews},
        monitor::MonitorHandle,
        scorer::{self, Renew, Scorer},
        supervision::{Failure, Failures, Place, Shell},
        trade_news::TradeNews,
        trainer,
    },
    clock::{Clock, Stopwatch},
    config::Config,
    domain::{
        Event, EventKind, Timestamp,
        event::{By, Level},
    },
    journal::Write,
    policy::serving::Serving,
    protocol::{listen::Displaced, peer::AccessList, server::Connections},
};

/// How long the last events may take to reach the disk when the daemon ends.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// How long the last checkpoint may take.
const LAST_CHECKPOINT: Duration = Duration::from_secs(5);
/// Pause before a guardian that is restarting is told again to lock.
const LOCK_RETRY: Duration = Duration::from_millis(10);

/// What the daemon's own loop acts on.
pub(super) struct Parts {
    pub(super) config: Arc<ArcSwap<Config>>,
    pub(super) serving: Arc<ArcSwap<Serving>>,
    /// What a guardian that takes its place must know, whatever the journal said when it was made.
    pub(super) unsaved: Rc<RefCell<Vec<Event>>>,
    pub(super) journal: JournalHandle,
    pub(super) clock: Arc<dyn Clock>,
    /// Whether that is the wall's, and has to agree with how time passes.
    pub(super) is_wall_clock: bool,
    /// What it said when it was looked at last, and when that was; at first, when the daemon started.
    pub(super) looked_at: Cell<(Timestamp, Stopwatch)>,
    /// The time at the start by either clock.
    pub(super) began: (Timestamp, Stopwatch),
    pub(super) scorer: actix::Addr<Shell<Scorer>>,
    pub(super) guardian: actix::Addr<Shell<Guardian>>,
    pub(super) connections: Rc<Connections>,
    pub(super) training: Rc<RefCell<trainer::Desk>>,
    pub(super) ab_router: actix::Addr<Shell<AbRouter>>,
    pub(super) trade_news: TradeNews,
    pub(super) kill_file: PathBuf,
    /// Whether the file was there when it was looked for last.
    pub(super) killed: Cell<bool>,
    pub(super) restarts: Rc<Cell<u64>>,
    /// The file by which a start learns that the one before it met damage.
    pub(super) opening: PathBuf,
    pub(super) on_reload: Option<OnReload>,
    pub(super) keeper: KeeperHandle,
    pub(super) archivist: Archivist,
    pub(super) monitor: MonitorHandle,
    pub(super) failures: Failures,
    pub(super) jobs: JobLog,
}

impl Parts {
    pub(super) fn write_event(&self, kind: EventKind) {
        let event = Event { at: self.clock.now(), kind };
        if self.journal.write_behind(Write::Event(event)).is_err() {
            tracing::warn!("an event found no room in the journal's queue");
        }
    }

    /// Records that the daemon serves from now on.
    pub(super) fn began(&self, is_drill: bool) {
        self.write_event(EventKind::Started {
            code_version: env!("CARGO_PKG_VERSION").into(),
            config_hash: self.config.load().hash().into(),
        });
        if is_drill {
            self.write_event(drill::notice());
        }
    }

    /// Takes the configuration that was read, all or nothing. Says which changes wait for a restart, and which versions keep
    /// another policy.
    pub(super) fn reload(&self, read: Read, access: &watch::Sender<AccessList>) -> Result<Reloaded, String> {
        self.failures.caught(Place::DaemonReload, || self.take(read, access))?
    }

    fn take(&self, read: Read, access: &watch::Sender<AccessList>) -> Result<Reloaded, String> {
        let running = self.config.load_full();
        let (taken, notes, result) = match read {
            Ok((new, resolved)) => {
                let waiting = running.frozen_changes(&new);
                let new = Arc::new(new.with_frozen_of(&running));
                self.config.store(Arc::clone(&new));
                if let Some(told) = &self.on_reload {
                    told(&new);
                }
                access.send_replace(resolved);
                // its mailbox has room, or the daemon is past helping
                if running.hash_of(&scorer::READS) != new.hash_of(&scorer::READS)
                    && self.scorer.try_send(Renew).is_err()
                {
                    tracing::error!("the new configuration did not reach the scorer");
                }
                tracing::info!(?waiting, "a new configuration is in force; what is named waits for a restart");
                let serving = self.serving.load();
                let kept: Vec<String> = serving.all().filter_map(|served| served.keeps(&new.policy)).collect();
                kept.iter().for_each(|kept| tracing::warn!("{kept}"));
                let notes = waiting.iter().chain(&kept).cloned().collect();
                (true, notes, Ok(Reloaded { waiting, kept }))
            }
            Err(errors) => {
                tracing::error!("the new configuration is refused, the old one stays in force:\n{errors}");
                (false, errors.lines().map(str::to_owned).collect(), Err(errors))
            }
        };
        let config_hash = self.config.load().hash().into();
        self.write_event(EventKind::Reloaded { config_hash, notes, taken });
        result
    }

    /// Serves nothing but the baseline and takes every version that speaks out of service. The first is in force when this
    /// returns, whatever the guardian and the disk are at.
    pub(super) fn kill(&self, reason: &str) {
        tracing::error!(reason, "killed: locked to the baseline, every version that speaks is rolled back");
        self.lock(format!("killed: {reason}"), By::Daemon("signal".into()), true);
    }

    /// What the keeper has to tell.
    pub(super) fn hear_of_checkpoints(&self, news: &KeeperNews) {
        match news {
            KeeperNews::Differs(reason) => self.distrust(reason),
            KeeperNews::Failed(why) => {
                let (level, message) = (Level::Warning, why.clone());
                self.write_event(EventKind::Alert { level, code: "checkpoint_failed".into(), message });
            }
        }
    }

    /// Serves nothing but the baseline: what the daemon began from is not what the journal comes to.
    fn distrust(&self, reason: &str) {
        tracing::error!(code = "checkpoint_differs", "{reason}");
        let message = reason.to_owned();
        self.write_event(EventKind::Alert { level: Level::Critical, code: "checkpoint_differs".into(), message });
        self.lock(reason.to_owned(), By::Daemon(keeper::NAME.into()), false);
    }

    /// Locks at once, and has the guardian know of it.
    fn lock(&self, reason: String, by: By, kill: bool) {
        let event = self.lock_at_once(&reason, &by);
        let lock = LockNow { reason, by, kill };
        let (guardian, unsaved, failures) = (self.guardian.clone(), Rc::clone(&self.unsaved), self.failures.clone());
        actix::spawn(async move {
            // a guardian that cannot be made ends the daemon
            while failures.caught_future(Place::DaemonLock, guardian.send(lock.clone())).await != Ok(Ok(true)) {
                sleep(LOCK_RETRY).await;
            }
            unsaved.borrow_mut().retain(|other| *other != event);
        });
    }

    /// Kills when the kill file has appeared. While it is there nothing is resumed; one that appeared while a resume was carried out
    /// is found by what is served.
    pub(super) fn kill_file_is(&self, there: bool) {
        let is_locked = self.serving.load().lock.is_some();
        if there && (!self.killed.get() || !is_locked) {
            self.kill(&format!("the file {} is there", self.kill_file.display()));
        }
        self.killed.set(there);
    }

    /// The socket's file was not where it should be. Gives back who listens there now.
    pub(super) fn socket_is(&self, displaced: Displaced) -> Option<UnixListener> {
        let made_again = match displaced {
            Displaced::MadeAgain(listener) => listener.listener().map_err(|error| error.to_string()),
            Displaced::Lost(error) => Err(error.to_string()),
        };
        let message = match &made_again {
            Ok(_) => {
                "the socket's file was deleted or replaced; it was made again, and open connections go on".to_owned()
            }
            Err(error) => {
                format!("the socket's file was deleted or replaced, and nobody can connect any more: {error}")
            }
        };
        tracing::warn!(code = "socket_displaced", "{message}");
        self.write_event(EventKind::Alert { level: Level::Warning, code: "socket_displaced".into(), message });
        made_again.ok()
    }

    /// Has the router look at the news when the feed rings, which it does when there is some and once a second.
    pub(super) fn rounds(&self) -> impl Future<Output = ()> + 'static + use<> {
        let (trade_news, router) = (self.trade_news.clone(), self.ab_router.clone());
        let failures = self.failures.clone();
        async move {
            loop {
                // a router that has no room looks at all of it later
                let _counted = failures.caught(Place::DaemonRounds, || drop(router.try_send(Look)));
                trade_news.rung().await;
            }
        }
    }

    /// Serves nothing but the baseline, also when a guardian that was made without knowing takes its place.
    fn lock_at_once(&self, reason: &str, by: &By) -> Event {
        silence(&self.serving, reason);
        let kind = EventKind::Locked { reason: reason.to_owned(), by: by.clone(), until: None };
        let event = Event { at: self.clock.now(), kind };
        self.unsaved.borrow_mut().push(event.clone());
        event
    }

    /// The journal's file is damaged beyond repair: the daemon starts over with another one, unless that happened too often.
    /// Says why it must end, if so.
    pub(super) fn survive_damage(&self, supervision: &mut Supervision, why: &str) -> Option<String> {
        tracing::error!(why, "the daemon restarts and puts the damaged journal aside");
        self.mistrust();
        self.survive(supervision, &Failure { actor: journal::NAME, panic: why.to_owned(), is_last: false })
    }

    /// Counts a restart. Says why the daemon must end, when it was one too many.
    pub(super) fn survive(&self, supervision: &mut Supervision, failure: &Failure) -> Option<String> {
        self.restarts.set(self.restarts.get() + 1);
        self.write_event(EventKind::Restarted { actor: failure.actor.into(), panic: failure.panic.clone() });
        let survived = supervision.budget.restart(supervision.started.elapsed());
        if failure.is_last {
            return Some(format!("the {} is given up: {}", failure.actor, failure.panic));
        }
        (!survived).then(|| format!("too many restarts, the last of the {}: {}", failure.actor, failure.panic))
    }

    pub(super) async fn lock_for_good(&self, reason: &str) {
        let event = self.lock_at_once(reason, &By::Daemon("supervision".into()));
        tracing::error!(reason, "locked to the baseline; the daemon ends");
        let saved = async {
            while all_stored(self.journal.write(vec![Write::Event(event.clone())]).await).is_err() {
                sleep(LOCK_RETRY).await;
            }
        };
        if timeout(LAST_WORDS, saved).await.is_err() {
            tracing::error!("the lock did not reach the disk in time");
        }
    }

    pub(super) async fn last_words(&self) {
        self.training.borrow().clear();
        self.write_event(EventKind::Stopped);
        self.monitor.end();
        self.archivist.stop();
        if timeout(LAST_CHECKPOINT, self.keeper.stop()).await.is_err() {
            tracing::warn!("the last checkpoint was not made in time; the next start reads more of the log");
        }
        // it is written before the journal ends
        let _handed_over = self.jobs.hand_over(&self.journal);
        match timeout(LAST_WORDS, self.journal.stop()).await {
            Ok(Ok(())) => {}
            Ok(Err(NotClosed { why, damaged })) => {
                tracing::error!(why, "the journal could not be closed in good order; the next start recovers it");
                if damaged {
                    self.mistrust();
                }
            }
            Err(_) => tracing::error!("the journal did not end in time; what was not acknowledged may be lost"),
        }
    }

    /// Has the next start look at every page of the journal before it trusts any.
    pub(super) fn mistrust(&self) {
        let marked = fs::write(&self.opening, "The journal was damaged.\n");
        if let Err(error) = marked {
            tracing::error!(%error, "the mark of a damaged journal could not be written for the next start");
        }
    }
}

/// Serves nothing but the baseline from now on, until the guardian publishes again. Trades are given out as before.
pub(super) fn silence(serving: &ArcSwap<Serving>, reason: &str) {
    let silenced = serving.load().silenced(reason.to_owned());
    serving.store(Arc::new(silenced));
}
