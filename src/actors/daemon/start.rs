//! The start of a daemon: its parts in the order of their birth, each with what it owns and whom it tells.

use std::{
    cell::{Cell, OnceCell, RefCell},
    rc::Rc,
    sync::Arc,
};

use actix::{Actor as _, Addr, Recipient};
use tokio::{
    net::UnixListener,
    sync::{Semaphore, mpsc, watch},
};

use super::{
    DaemonOptions, JOURNAL_FILE, OPENING_FILE, StartError,
    apart::Apart,
    begin::{Beginning, Begun, make_folder, make_scorer},
    common::Common,
    drill,
    jobs::{self, Disk, Job, Times},
    part_error,
    parts::{Parts, silence},
};
use crate::{
    actors::{
        ab_router::{AbRouter, RouterShared},
        alerts::AlertList,
        archivist::Archivist,
        gateway::{Gateway, Pace, ReloadRequest, Wiring},
        guardian::{Guardian, GuardianShared},
        journal::JournalHandle,
        keeper::{self, KeeperHandle, KeeperNews, Kept},
        kill_file::KILL_FILE,
        monitor::{self, Finding},
        scorer::{Scorer, ScorerShared},
        supervision::{AT_ONCE, Door, Failure, Failures, Shell},
        trade_news::TradeNews,
        trainer::{Desk, Trainer, TrainerShared},
    },
    clock::Stopwatch,
    features::pipeline::Pipeline,
    policy::stale::StaleWatch,
    protocol::{
        listen::{Displaced, SocketFile, listen},
        peer::AccessList,
        server::Connections,
    },
};

/// Messages that wait in a mailbox besides one a connection.
const MAILBOX_ROOM: usize = 16;

/// Everything that was started and not yet let loose.
pub(super) struct Daemon {
    pub(super) socket: Socket,
    pub(super) access: watch::Sender<AccessList>,
    pub(super) gateway: Gateway,
    pub(super) parts: Parts,
    pub(super) calls: Calls,
}

/// The socket, which nobody was accepted from yet.
pub(super) struct Socket {
    pub(super) listener: UnixListener,
    pub(super) file: SocketFile,
}

/// What reaches the daemon's own loop, besides orders from outside.
pub(super) struct Calls {
    /// The jobs of this thread that are due.
    pub(super) due: mpsc::Receiver<&'static Job>,
    /// Whether the kill file is there.
    pub(super) is_killed: mpsc::Receiver<bool>,
    /// What was found where the socket's file should be.
    pub(super) displaced: mpsc::UnboundedReceiver<Displaced>,
    /// What the keeper of checkpoints has to tell.
    pub(super) doubts: mpsc::UnboundedReceiver<KeeperNews>,
    /// Reloads that clients ask for.
    pub(super) reloads: mpsc::Receiver<ReloadRequest>,
    /// Parts that failed.
    pub(super) failures: mpsc::Receiver<Failure>,
}

impl Daemon {
    /// Everything that can go wrong does so before anybody can connect.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left behind then.
    pub(super) async fn start(options: &DaemonOptions) -> Result<Self, StartError> {
        let access = AccessList::resolve(&options.config.access)?;
        make_folder(&options.state)?;
        drill::check(&options.state, options.drill)?;
        let (failed, failures) = Failures::new(options.tripwire.clone());
        let (monitor, inbox) = monitor::channel();
        let common = Common::new(options, failed, monitor);
        let begun = Beginning { options, common: &common }.begin().await?;
        let Begun { journal, trade_news, guardian, guardian_shared, pipeline, stale, kept } = begun;
        let births = Births { options, common, journal, trade_news };
        let socket = births.socket().await?;
        let scorer = births.scorer(pipeline, stale);
        let guardian = births.guardian(guardian, guardian_shared, &scorer);
        births.monitor(inbox, &guardian.shell)?;
        let (keeper, doubts) = births.keeper(kept)?;
        let ab_router = births.ab_router(&guardian.shell);
        let trainer = births.trainer(&guardian);
        let archivist = births.archivist();
        let DiskNews { due, is_killed, displaced } = births.jobs(&socket, &trainer.shell)?;
        let (reload, reloads) = mpsc::channel(1);
        let actors = Actors { scorer, guardian, ab_router, trainer, keeper, archivist };
        let (gateway, parts) = births.in_service(actors, reload);
        let calls = Calls { due, is_killed, displaced, doubts, reloads, failures };
        Ok(Self { socket, access: watch::channel(access).0, gateway, parts, calls })
    }
}

/// What every part is made of.
struct Births<'a> {
    options: &'a DaemonOptions,
    common: Common,
    /// Owns the journal's file, on its own thread.
    journal: JournalHandle,
    /// Owns the live state; rings for the router.
    trade_news: TradeNews,
}

/// The scorer, and how others reach it.
struct ScorerParts {
    shell: Addr<Shell<Scorer>>,
    door: Door<Scorer>,
    /// What it carries forward.
    pipeline: Rc<RefCell<Option<Pipeline>>>,
    /// Whom it tells of a score that is none.
    guardian: Rc<OnceCell<Recipient<Finding>>>,
}

/// The guardian, and what outlives it.
struct GuardianParts {
    shell: Addr<Shell<Guardian>>,
    shared: GuardianShared,
}

/// The trainer, and what outlives it.
struct TrainerParts {
    shell: Addr<Shell<Trainer>>,
    desk: Rc<RefCell<Desk>>,
}

/// What the thread of the jobs tells.
struct DiskNews {
    due: mpsc::Receiver<&'static Job>,
    is_killed: mpsc::Receiver<bool>,
    displaced: mpsc::UnboundedReceiver<Displaced>,
}

/// All parts that are asked or told something.
struct Actors {
    scorer: ScorerParts,
    guardian: GuardianParts,
    ab_router: Addr<Shell<AbRouter>>,
    trainer: TrainerParts,
    keeper: KeeperHandle,
    archivist: Archivist,
}

impl Births<'_> {
    /// The socket owns its file.
    async fn socket(&self) -> Result<Socket, StartError> {
        match listen(&self.options.socket) {
            Ok((listener, file)) => Ok(Socket { listener, file }),
            Err(error) => {
                // nothing is left behind: the next start finds the journal closed
                let _it_recovers_another = self.journal.stop().await;
                Err(error.into())
            }
        }
    }

    /// The scorer owns what is carried forward and which feeds are lost. It tells the journal of each decision, the open trades of
    /// each signal, and the guardian of a score that is none.
    fn scorer(&self, pipeline: Pipeline, stale: StaleWatch) -> ScorerParts {
        let Common { config, serving, clock, failures, .. } = &self.common;
        let shared = ScorerShared {
            serving: Arc::clone(serving),
            config: Arc::clone(config),
            journal: self.journal.clone(),
            trade_news: self.trade_news.clone(),
            clock: Arc::clone(clock),
            guardian: Rc::default(),
            counters: Rc::default(),
            pipeline: Rc::default(),
            failures: failures.clone(),
            stale: Rc::new(RefCell::new(stale)),
        };
        let (guardian, carried) = (Rc::clone(&shared.guardian), Rc::clone(&shared.pipeline));
        let scorer = Scorer::new(pipeline, shared.clone());
        let again = Rc::new(move || Box::pin(make_scorer(shared.clone())) as _);
        let (shell, door) = Door::open(Shell::new(scorer, again, failures.clone(), || {}, self.mailbox()));
        ScorerParts { shell, door, pipeline: carried, guardian }
    }

    /// The guardian owns the roster and what is served. It tells the journal, the live state and the trainer. While it is restarted
    /// nothing but the baseline is served.
    fn guardian(&self, guardian: Guardian, shared: GuardianShared, scorer: &ScorerParts) -> GuardianParts {
        let (silenced, news, again) = (Arc::clone(&self.common.serving), self.trade_news.clone(), shared.clone());
        let restarting = move || {
            silence(&silenced, "the guardian is restarting");
            // what it recorded it may not have told of
            news.read_again();
        };
        let limits = &self.options.config.server;
        let mailbox = self.mailbox().max(limits.max_connections * limits.max_in_flight);
        let again = Rc::new(move || Box::pin(Guardian::from_journal(again.clone())) as _);
        let shell = Shell::new(guardian, again, self.common.failures.clone(), restarting, mailbox).start();
        let _set_once = scorer.guardian.set(shell.clone().recipient());
        GuardianParts { shell, shared }
    }

    /// The monitor owns what it knows of the versions in service, on its own thread. It tells the guardian what it finds.
    fn monitor(&self, inbox: monitor::Inbox, guardian: &Addr<Shell<Guardian>>) -> Result<(), StartError> {
        let Common { config, serving, clock, failures, jobs, .. } = &self.common;
        let started = inbox.start(monitor::Surroundings {
            config: Arc::clone(config),
            serving: Arc::clone(serving),
            journal: self.journal.clone(),
            clock: Arc::clone(clock),
            guardian: guardian.clone().recipient(),
            failures: failures.clone(),
            jobs: jobs.clone(),
        });
        started.map_err(|error| part_error(monitor::NAME, error.to_string()))
    }

    /// The keeper owns the checkpoints, on its own thread. It tells the journal, and the daemon's loop when the state that was begun
    /// from is not what the log comes to.
    fn keeper(&self, kept: Kept) -> Result<(KeeperHandle, mpsc::UnboundedReceiver<KeeperNews>), StartError> {
        let Common { config, failures, jobs, .. } = &self.common;
        keeper::start(kept, self.journal.clone(), Arc::clone(config), failures.clone(), jobs.clone())
            .map_err(|error| part_error(keeper::NAME, error.to_string()))
    }

    /// The router owns the trials' half of the live state. It tells the guardian which step follows.
    fn ab_router(&self, guardian: &Addr<Shell<Guardian>>) -> Addr<Shell<AbRouter>> {
        let Common { config, serving, clock, failures, .. } = &self.common;
        let shared = RouterShared {
            config: Arc::clone(config),
            serving: Arc::clone(serving),
            trade_news: self.trade_news.clone(),
            journal: self.journal.clone(),
            clock: Arc::clone(clock),
            guardian: guardian.clone(),
            failures: failures.clone(),
        };
        let router = AbRouter::new(shared.clone());
        let again = Rc::new(move || Box::pin(AbRouter::from_journal(shared.clone())) as _);
        Shell::new(router, again, failures.clone(), || {}, self.mailbox()).start()
    }

    /// The trainer owns the child that trains. It tells the guardian of a version, and is asked by it for one.
    fn trainer(&self, guardian: &GuardianParts) -> TrainerParts {
        let Common { config, clock, failures, .. } = &self.common;
        let shared = TrainerShared {
            program: self.options.program.clone(),
            file: self.options.state.join(JOURNAL_FILE),
            config: Arc::clone(config),
            guardian: guardian.shell.clone().recipient(),
            journal: self.journal.clone(),
            clock: Arc::clone(clock),
            failures: failures.clone(),
            desk: Rc::default(),
        };
        let (desk, trainer) = (Rc::clone(&shared.desk), Trainer::new(shared.clone()));
        let again = Rc::new(move || Box::pin(std::future::ready(Ok(Trainer::new(shared.clone())))) as _);
        let shell = Shell::new(trainer, again, failures.clone(), || {}, self.mailbox()).start();
        let _set_once = guardian.shared.trainer.set(shell.clone().recipient());
        TrainerParts { shell, desk }
    }

    /// The archivist has a thread while it works. It gives the journal small writes.
    fn archivist(&self) -> Archivist {
        let Common { config, clock, failures, jobs, .. } = &self.common;
        let (journal, config, clock) = (self.journal.clone(), Arc::clone(config), Arc::clone(clock));
        Archivist::new(journal, config, clock, failures.clone(), jobs.clone())
    }

    /// The thread of the jobs owns the times at which they are due. It tells the daemon's loop, the journal of their runs, and the trainer
    /// of a retraining that is due.
    fn jobs(&self, socket: &Socket, trainer: &Addr<Shell<Trainer>>) -> Result<DiskNews, StartError> {
        let Common { config, serving, clock, event_clock, failures, jobs, .. } = &self.common;
        let ((kills, is_killed), (displaces, displaced)) = (mpsc::channel(1), mpsc::unbounded_channel());
        let kill_file = self.options.state.join(KILL_FILE);
        let disk = Disk { kill_file, is_killed: kills, socket: socket.file.watch(), displaced: displaces };
        let apart = Apart {
            journal: self.journal.clone(),
            config: Arc::clone(config),
            serving: Arc::clone(serving),
            clock: Arc::clone(clock),
            failures: failures.clone(),
            trainer: trainer.clone().recipient(),
            training: trainer.clone().recipient(),
        };
        let due = jobs::start(Times {
            jobs: jobs::JOBS,
            log: jobs.clone(),
            journal: self.journal.clone(),
            config: Arc::clone(config),
            serving: Arc::clone(serving),
            clock: Arc::clone(clock),
            failures: failures.clone(),
            disk,
            apart: Some(apart),
            is_wall_clock: event_clock.is_none(),
        });
        let due = due.map_err(|error| part_error("jobs", error.to_string()))?;
        Ok(DiskNews { due, is_killed, displaced })
    }

    /// The gateway, which asks all parts, and what the daemon's loop acts on.
    fn in_service(self, actors: Actors, reload: mpsc::Sender<ReloadRequest>) -> (Gateway, Parts) {
        let connections = Rc::new(Connections::default());
        let restarts = Rc::new(Cell::new(0));
        let wiring = self.wiring(&actors, reload, Rc::clone(&connections), Rc::clone(&restarts));
        (Gateway::new(wiring), self.parts(actors, connections, restarts))
    }

    fn wiring(
        &self,
        actors: &Actors,
        reload: mpsc::Sender<ReloadRequest>,
        connections: Rc<Connections>,
        restarts: Rc<Cell<u64>>,
    ) -> Wiring {
        let Common { config, serving, clock, event_clock, failures, jobs, monitor, .. } = &self.common;
        let Actors { scorer, guardian, ab_router, trainer, archivist, .. } = actors;
        Wiring {
            scorer: scorer.door.clone(),
            pipeline: Rc::clone(&scorer.pipeline),
            scorer_shell: scorer.shell.clone(),
            guardian: guardian.shell.clone(),
            trainer: trainer.shell.clone(),
            monitor: monitor.clone(),
            ab_router: ab_router.clone(),
            trade_news: self.trade_news.clone(),
            serving: Arc::clone(serving),
            journal: self.journal.clone(),
            archivist: archivist.clone(),
            unsaved: Rc::clone(&guardian.shared.unsaved),
            alerts: AlertList::new(self.options.drill),
            config: Arc::clone(config),
            clock: Arc::clone(clock),
            event_clock: event_clock.clone(),
            pace: Pace::default(),
            connections,
            reload,
            restarts,
            started_at: clock.now(),
            started: Stopwatch::start(),
            drill: self.options.drill,
            rejected: Cell::new(0),
            failures: failures.clone(),
            jobs: jobs.clone(),
            copies: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    fn parts(self, actors: Actors, connections: Rc<Connections>, restarts: Rc<Cell<u64>>) -> Parts {
        let Common { config, serving, clock, began, event_clock, failures, jobs, monitor } = self.common;
        let Actors { scorer, guardian, ab_router, trainer, keeper, archivist } = actors;
        Parts {
            config,
            serving,
            unsaved: guardian.shared.unsaved,
            journal: self.journal,
            is_wall_clock: event_clock.is_none(),
            looked_at: Cell::new(began),
            began,
            clock,
            scorer: scorer.shell,
            guardian: guardian.shell,
            connections,
            training: trainer.desk,
            ab_router,
            trade_news: self.trade_news,
            kill_file: self.options.state.join(KILL_FILE),
            opening: self.options.state.join(OPENING_FILE),
            killed: Cell::new(false),
            restarts,
            on_reload: self.options.on_reload.clone(),
            keeper,
            archivist,
            monitor,
            failures,
            jobs,
        }
    }

    /// Room for a message of each connection.
    fn mailbox(&self) -> usize {
        self.options.config.server.max_connections + MAILBOX_ROOM
    }
}
