//! The daemon: the wiring of the actors, from an open journal to the last answer. [`run`] is the only way to start it.

mod begin;
mod drill;
mod jobs;
mod parts;
mod reload;
mod system;

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    io,
    path::PathBuf,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use actix::Actor;
use arc_swap::ArcSwap;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

pub use self::drill::{DRILL_FILE, mark};
pub use self::system::system;
use self::{
    begin::{Beginning, Begun, OPENING, make_folder, make_pipeline},
    jobs::{Disk, Job},
    parts::{Parts, silence},
    reload::{Reloads, tell},
};
use super::{
    ab_router::{self, AbRouter},
    alerts::AlertList,
    gateway::{Gateway, Pace, ReloadRequest, Wiring},
    guardian::Guardian,
    jobs::{JobLog, names},
    keeper,
    kill_file::{self, KILL_FILE},
    monitor,
    scorer::{self, Scorer},
    storage::Storage,
    supervision::{Budget, Door, Failure, Failures, Place, Shell, Tripwire},
    ticker,
    trainer::{self, Trainer},
};
use crate::{
    clock::{Clock, EventClock, Stopwatch, WallClock},
    config::{self, Config},
    domain::EventKind,
    journal::OpenError,
    policy::serving::Serving,
    protocol::{
        listen::{Displaced, ListenError, listen},
        peer::{AccessList, UnknownAccount},
        server::{Connections, serve},
    },
};

/// Name of the file of silencing events in the state folder.
pub const SILENCE_FILE: &str = "vigie.silenced";
/// Name of the file in the state folder that says how far the journal has come.
pub const REACHED_FILE: &str = "vigie.reached";
/// Name of the journal's file in the state folder.
pub const JOURNAL_FILE: &str = "vigie.redb";
/// Name of the socket in the state folder, when none is given.
pub const SOCKET_FILE: &str = "vigie.sock";

/// Where the daemon's time comes from.
#[derive(Clone)]
pub enum Time {
    /// The machine.
    Wall,
    /// A clock that is taken for the machine's.
    Given(Arc<dyn Clock>),
    /// The messages: replays and simulations, in which months pass in seconds.
    Event,
}

/// Told of each new configuration that is taken.
pub type OnReload = Rc<dyn Fn(&Config)>;

/// What a daemon is started with.
#[derive(Clone)]
pub struct DaemonOptions {
    /// The configuration.
    pub config: Config,
    /// The file it came from, to be read again at a reload. `None`: the built-in one, which does not change.
    pub config_path: Option<PathBuf>,
    /// The state folder; made when it is not there.
    pub state: PathBuf,
    /// The socket.
    pub socket: PathBuf,
    /// The program whose children train: this one.
    pub program: PathBuf,
    /// Where time comes from.
    pub time: Time,
    /// Whether it is a drill: marked as such, and on no folder but that of a drill.
    pub drill: bool,
    /// Where tests make parts fail.
    pub tripwire: Tripwire,
    /// How the journal's file is opened.
    pub storage: Storage,
    /// Called with each new configuration that is taken.
    pub on_reload: Option<OnReload>,
}

/// What a running daemon can be told from outside, besides its socket.
#[derive(Debug)]
pub enum Control {
    /// Stop in good order.
    Stop,
    /// Read the configuration again.
    Reload,
    /// Lock to the baseline at once and take every version that speaks out of service.
    Kill,
}

/// How a daemon ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It was told to.
    Stopped,
    /// A part failed too often; serving is locked until an operator resumes it.
    TooManyFailures(String),
}

/// Why a daemon could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The journal cannot be opened.
    #[error(transparent)]
    Journal(#[from] OpenError),
    /// The socket cannot be made.
    #[error(transparent)]
    Socket(#[from] ListenError),
    /// `[access]` names somebody this machine does not know.
    #[error(transparent)]
    Access(#[from] UnknownAccount),
    /// The state folder cannot be used.
    #[error("the state folder {path} cannot be made: {source}")]
    State {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The folder is that of a drill, and this daemon is none.
    #[error("{path} is the state folder of a drill, which is not to be traded on: name another one with --state")]
    IsADrill {
        /// The folder.
        path: PathBuf,
    },
    /// The folder is not that of a drill, and this daemon is one.
    #[error("{path} has a journal that is not of a drill: a drill begins in a folder of its own")]
    IsNoDrill {
        /// The folder.
        path: PathBuf,
    },
    /// A part could not be made from the journal.
    #[error("{part} could not be made: {error}")]
    Part {
        /// Its name.
        part: &'static str,
        /// Why.
        error: String,
    },
}

/// Runs a daemon until it is told to stop or cannot go on. When its journal turns out to be damaged it begins anew, and puts the
/// file aside as any start does. `ready` is called with its gateway each time it serves. Must be called inside an actix system.
///
/// # Errors
/// [`StartError`] when it cannot start; nothing is left behind then.
pub async fn run(
    mut options: DaemonOptions,
    mut control: mpsc::Receiver<Control>,
    mut ready: impl FnMut(Gateway),
) -> Result<Ended, StartError> {
    let mut supervision = Supervision { budget: Budget::new(&options.config.supervision), started: Stopwatch::start() };
    loop {
        match live(options.clone(), &mut control, &mut ready, &mut supervision).await? {
            Life::Over(ended) => return Ok(ended),
            Life::Damaged(config) => options.config = Config::clone(&config),
        }
    }
}

/// How one life of a daemon ended.
enum Life {
    Over(Ended),
    /// Its journal is damaged. With the configuration in force.
    Damaged(Arc<Config>),
}

async fn live(
    options: DaemonOptions,
    control: &mut mpsc::Receiver<Control>,
    ready: &mut impl FnMut(Gateway),
    supervision: &mut Supervision,
) -> Result<Life, StartError> {
    let drill = options.drill;
    let daemon = Daemon::start(options).await?;
    let (stop, stopped) = watch::channel(false);
    let Daemon {
        listener,
        socket_file,
        access,
        limits,
        gateway,
        parts,
        mut is_killed,
        mut due,
        mut displaced,
        mut doubts,
        mut reloads,
        mut failures,
        config_path,
    } = daemon;
    parts.kill_file_is(kill_file::is_there(&parts.kill_file));
    let connections = Rc::clone(&parts.connections);
    let (listens, listeners) = mpsc::unbounded_channel();
    let serving = serve(listener, listeners, gateway.clone(), access.subscribe(), limits, connections, stopped);
    let watched = parts.failures.clone();
    let mut server = actix::spawn(async move { watched.caught_future(Place::DaemonServe, serving).await.err() });
    let mut reading = Reloads::new(config_path, parts.failures.clone());
    parts.write_event(EventKind::Started {
        code_version: env!("CARGO_PKG_VERSION").into(),
        config_hash: parts.config.load().hash().into(),
    });
    if drill {
        parts.write_event(drill::notice());
    }
    ready(gateway.clone());
    let rounds = actix::spawn(parts.rounds());
    let ended = loop {
        tokio::select! {
            told = control.recv() => match told {
                Some(Control::Reload) => reading.ask(None),
                Some(Control::Kill) => parts.kill("ordered by signal"),
                Some(Control::Stop) | None => break Life::Over(Ended::Stopped),
            },
            Some(job) = due.recv() => parts.run(job),
            Some(there) = is_killed.recv() => parts.kill_file_is(there),
            Some(displaced) = displaced.recv() => if let Some(listener) = parts.socket_is(displaced) {
                let _the_server_may_be_gone = listens.send(listener);
            },
            Some(doubt) = doubts.recv() => parts.distrust(&doubt),
            Some(asker) = reloads.recv(), if !reading.is_under_way() => reading.ask(Some(asker)),
            (read, asker) = reading.next() => tell(asker, parts.reload(read, &access)),
            ended = &mut server => {
                let why = ended.ok().flatten().unwrap_or_else(|| "it ended".to_owned());
                break Life::Over(Ended::TooManyFailures(format!("nobody can connect any more: {why}")));
            }
            Some(failure) = failures.recv() => if let Some(reason) = parts.survive(supervision, &failure) {
                break Life::Over(Ended::TooManyFailures(reason));
            },
            why = parts.journal.damaged() => break match parts.survive_damage(supervision, &why) {
                None => Life::Damaged(parts.config.load_full()),
                Some(reason) => Life::Over(Ended::TooManyFailures(reason)),
            },
        }
    };
    if let Life::Over(Ended::TooManyFailures(reason)) = &ended {
        parts.lock_for_good(reason).await;
    }
    rounds.abort();
    drain(&stop, server).await;
    drop(socket_file);
    parts.last_words().await;
    Ok(ended)
}

async fn drain(stop: &watch::Sender<bool>, server: JoinHandle<Option<String>>) {
    let _the_server_may_be_gone = stop.send(true);
    if !server.is_finished()
        && let Err(error) = server.await
    {
        tracing::error!(%error, "the server did not end in good order");
    }
}

/// Everything that was started and not yet let loose.
struct Daemon {
    listener: tokio::net::UnixListener,
    socket_file: crate::protocol::listen::SocketFile,
    access: watch::Sender<AccessList>,
    limits: Rc<config::Server>,
    gateway: Gateway,
    parts: Parts,
    /// The jobs of this thread that are due.
    due: mpsc::Receiver<&'static Job>,
    /// Whether the kill file is there.
    is_killed: mpsc::Receiver<bool>,
    /// What was found where the socket's file should be.
    displaced: mpsc::UnboundedReceiver<Displaced>,
    /// Why the state that was begun from is not to be trusted.
    doubts: mpsc::UnboundedReceiver<String>,
    reloads: mpsc::Receiver<ReloadRequest>,
    failures: mpsc::Receiver<Failure>,
    config_path: Option<PathBuf>,
}

struct Supervision {
    budget: Budget,
    started: Stopwatch,
}

impl Daemon {
    async fn start(options: DaemonOptions) -> Result<Self, StartError> {
        let access = AccessList::resolve(&options.config.access)?;
        let limits = Rc::new(options.config.server.clone());
        make_folder(&options.state)?;
        drill::check(&options.state, options.drill)?;
        let (failed, failures) = Failures::new(options.tripwire);
        // everything that can still go wrong comes before anybody can connect
        let event_clock = matches!(options.time, Time::Event).then(|| Arc::new(EventClock::default()));
        let clock: Arc<dyn Clock> = match (&event_clock, options.time) {
            (Some(clock), _) => Arc::clone(clock) as Arc<dyn Clock>,
            (None, Time::Given(clock)) => clock,
            (None, _) => Arc::new(WallClock),
        };
        let (looked_at, is_wall_clock) = (Cell::new((clock.now(), Stopwatch::start())), event_clock.is_none());
        let mailbox = limits.max_connections + 16;
        let config = Arc::new(ArcSwap::from_pointee(options.config));
        let serving = Arc::new(ArcSwap::from_pointee(Serving::locked(0, "starting".to_owned(), BTreeMap::new())));
        let (monitor, inbox) = monitor::channel();
        let jobs = JobLog::new(Arc::clone(&clock), jobs::about());
        let file = options.state.join(JOURNAL_FILE);
        let beginning = Beginning {
            state: &options.state,
            config: &config,
            serving: &serving,
            clock: &clock,
            event_clock: event_clock.as_deref(),
            monitor: &monitor,
            failures: &failed,
            storage: &options.storage,
        };
        let Begun { journal, trade_news, guardian, guardian_shared, pipeline, stale, kept } = beginning.begin().await?;
        let kill_file = options.state.join(KILL_FILE);
        let asked_to_train = Rc::clone(&guardian_shared.trainer);
        let unsaved = Rc::clone(&guardian_shared.unsaved);
        let scorer_shared = scorer::ScorerShared {
            serving: Arc::clone(&serving),
            config: Arc::clone(&config),
            journal: journal.clone(),
            trade_news: trade_news.clone(),
            clock: Arc::clone(&clock),
            guardian: Rc::default(),
            counters: Rc::default(),
            pipeline: Rc::default(),
            failures: failed.clone(),
            stale: Rc::new(RefCell::new(stale)),
        };
        let told_of_scores = Rc::clone(&scorer_shared.guardian);
        let carried = Rc::clone(&scorer_shared.pipeline);
        let scorer = Scorer::new(pipeline, scorer_shared.clone());
        let (listener, socket_file) = match listen(&options.socket) {
            Ok(listening) => listening,
            Err(error) => {
                // nothing is left behind: the next start finds the journal closed
                let _it_recovers_another = journal.stop().await;
                return Err(error.into());
            }
        };
        let shell = Shell::new(
            scorer,
            Rc::new(move || Box::pin(make_scorer(scorer_shared.clone()))),
            failed.clone(),
            || {},
            mailbox,
        );
        let (scorer, door) = Door::open(shell);
        let (silenced, news) = (Arc::clone(&serving), trade_news.clone());
        let guardian = Shell::new(
            guardian,
            Rc::new(move || Box::pin(Guardian::from_journal(guardian_shared.clone()))),
            failed.clone(),
            move || {
                silence(&silenced, "the guardian is restarting");
                // what it recorded it may not have told of
                news.read_again();
            },
            mailbox.max(limits.max_connections * limits.max_in_flight),
        )
        .start();
        let _set_once = told_of_scores.set(guardian.clone().recipient());
        let watched = inbox.start(monitor::Surroundings {
            config: Arc::clone(&config),
            serving: Arc::clone(&serving),
            journal: journal.clone(),
            clock: Arc::clone(&clock),
            guardian: guardian.clone().recipient(),
            failures: failed.clone(),
            jobs: jobs.clone(),
        });
        watched.map_err(|error| part_error(monitor::NAME, error.to_string()))?;
        let (keeper, doubts) = keeper::start(kept, journal.clone(), Arc::clone(&config), failed.clone(), jobs.clone())
            .map_err(|error| part_error(keeper::NAME, error.to_string()))?;
        let router_shared = ab_router::RouterShared {
            config: Arc::clone(&config),
            serving: Arc::clone(&serving),
            trade_news: trade_news.clone(),
            journal: journal.clone(),
            clock: Arc::clone(&clock),
            guardian: guardian.clone(),
            failures: failed.clone(),
        };
        let ab_router = Shell::new(
            AbRouter::new(router_shared.clone()),
            Rc::new(move || Box::pin(AbRouter::from_journal(router_shared.clone()))),
            failed.clone(),
            || {},
            mailbox,
        )
        .start();
        let trainer_shared = trainer::TrainerShared {
            program: options.program,
            file,
            config: Arc::clone(&config),
            guardian: guardian.clone().recipient(),
            journal: journal.clone(),
            clock: Arc::clone(&clock),
            failures: failed.clone(),
            desk: Rc::default(),
        };
        let training = Rc::clone(&trainer_shared.desk);
        let again = trainer_shared.clone();
        let trainer = Shell::new(
            Trainer::new(trainer_shared),
            Rc::new(move || Box::pin(std::future::ready(Ok(Trainer::new(again.clone()))))),
            failed.clone(),
            || {},
            mailbox,
        )
        .start();
        let _set_once = asked_to_train.set(trainer.clone().recipient());
        let ((kills, is_killed), (displaces, displaced)) = (mpsc::channel(1), mpsc::unbounded_channel());
        let disk =
            Disk { kill_file: kill_file.clone(), is_killed: kills, socket: socket_file.watch(), displaced: displaces };
        let due = jobs::start(jobs.clone(), Arc::clone(&config), Arc::clone(&clock), failed.clone(), disk);
        let due = due.map_err(|error| part_error("jobs", error.to_string()))?;
        let (reload, reloads) = mpsc::channel(1);
        let connections = Rc::new(Connections::default());
        let restarts = Rc::new(Cell::new(0));
        let gateway = Gateway::new(Wiring {
            scorer: door,
            pipeline: carried,
            scorer_shell: scorer.clone(),
            guardian: guardian.clone(),
            trainer,
            monitor: monitor.clone(),
            ab_router: ab_router.clone(),
            trade_news: trade_news.clone(),
            serving: Arc::clone(&serving),
            journal: journal.clone(),
            unsaved: Rc::clone(&unsaved),
            alerts: AlertList::new(options.drill),
            config: Arc::clone(&config),
            clock: Arc::clone(&clock),
            event_clock,
            pace: Pace::default(),
            connections: Rc::clone(&connections),
            reload,
            restarts: Rc::clone(&restarts),
            started_at: clock.now(),
            started: Stopwatch::start(),
            drill: options.drill,
            rejected: Cell::new(0),
            failures: failed.clone(),
            jobs: jobs.clone(),
        });
        let parts = Parts {
            config,
            serving,
            unsaved,
            journal,
            clock,
            is_wall_clock,
            looked_at,
            scorer,
            guardian,
            connections,
            training,
            ab_router,
            trade_news,
            kill_file,
            opening: options.state.join(OPENING),
            killed: Cell::new(false),
            restarts,
            on_reload: options.on_reload,
            keeper,
            monitor,
            failures: failed,
            jobs,
        };
        let access = watch::channel(access).0;
        let config_path = options.config_path;
        Ok(Self {
            listener,
            socket_file,
            access,
            limits,
            gateway,
            parts,
            due,
            is_killed,
            displaced,
            doubts,
            reloads,
            failures,
            config_path,
        })
    }
}

fn part_error(part: &'static str, error: String) -> StartError {
    StartError::Part { part, error }
}

/// A scorer that carries forward what the signals that were answered knew.
async fn make_scorer(shared: scorer::ScorerShared) -> Result<Scorer, String> {
    shared.journal.works().await;
    let (pipeline, stale) = make_pipeline(&shared.journal, &shared.config, &shared.failures).await?;
    // one that is made anew knows what it has told
    if shared.pipeline.borrow().is_none() {
        shared.stale.replace(stale);
    }
    Ok(Scorer::new(pipeline, shared))
}

/// Feeds the service manager's watchdog as long as a probe through the real scoring path and the journal comes back.
pub async fn feed_watchdog(gateway: Gateway, period: Duration, feed: impl Fn()) {
    let watched = (gateway.failures().clone(), Place::WatchdogBeat);
    let mut beats = match ticker::start("watchdog", period / 3, watched, || ()) {
        Ok(beats) => beats,
        Err(error) => {
            return tracing::error!(%error, "the watchdog cannot be fed; the service manager will restart this");
        }
    };
    while beats.recv().await.is_some() {
        let running = gateway.jobs().begin(names::WATCHDOG);
        if gateway.probe(period / 3).await {
            feed();
            running.end(Ok("the probe came back".into()));
        } else {
            let why = "the probe through the scoring path and the journal did not come back";
            tracing::error!("{why}");
            running.end(Err(why.to_owned()));
        }
    }
}
