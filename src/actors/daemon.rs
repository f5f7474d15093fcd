//! The daemon: the wiring of the actors, from an open journal to the last answer. [`run`] is the only way to start it.

mod apart;
mod begin;
mod common;
mod drill;
mod jobs;
mod parts;
mod reload;
mod start;
mod system;

use std::{io, path::PathBuf, rc::Rc, sync::Arc, time::Duration};

use tokio::{
    net::UnixListener,
    sync::{mpsc, watch},
    task::JoinHandle,
};

pub use self::drill::{DRILL_FILE, mark};
pub use self::jobs::of_schedule;
pub use self::system::system;
use self::{
    parts::Parts,
    reload::{Reloads, tell},
    start::{Calls, Daemon},
};
use super::{
    gateway::Gateway,
    jobs::names,
    kill_file,
    storage::Storage,
    supervision::{Budget, Place, Tripwire},
    ticker,
};
use crate::{
    clock::{Clock, Stopwatch},
    config::Config,
    journal::OpenError,
    protocol::{
        listen::ListenError,
        peer::{AccessList, UnknownAccount},
        server::serve,
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
/// Name of a file that is in the state folder while a start is under way, and when a daemon ended over damage. The database
/// ends the whole process over some damage; the next start then looks at every page before it trusts any.
pub const OPENING_FILE: &str = "opening";

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

fn part_error(part: &'static str, error: String) -> StartError {
    StartError::Part { part, error }
}

/// Runs a daemon until it is told to stop or cannot go on. When its journal turns out to be damaged it starts over, and puts the
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

/// How many restarts are left, over all lives.
struct Supervision {
    budget: Budget,
    started: Stopwatch,
}

/// One life: the parts are started, the socket is served, what reaches the daemon's own loop is attended to until it ends, and
/// the parts say their last words.
async fn live(
    options: DaemonOptions,
    control: &mut mpsc::Receiver<Control>,
    ready: &mut impl FnMut(Gateway),
    supervision: &mut Supervision,
) -> Result<Life, StartError> {
    let Daemon { socket, access, gateway, parts, mut calls } = Daemon::start(&options).await?;
    parts.kill_file_is(kill_file::is_there(&parts.kill_file));
    let (stop, stopped) = watch::channel(false);
    let mut served = Served::begin(socket.listener, &gateway, &access, &parts, stopped);
    parts.began(options.drill);
    ready(gateway);
    let rounds = actix::spawn(parts.rounds());
    let reloads = Reloads::new(options.config_path, parts.failures.clone());
    let life = calls.attend(control, reloads, &mut served, (&parts, &access), supervision).await;
    if let Life::Over(Ended::TooManyFailures(reason)) = &life {
        parts.lock_for_good(reason).await;
    }
    rounds.abort();
    served.drain(&stop).await;
    drop(socket.file);
    parts.last_words().await;
    Ok(life)
}

impl Calls {
    /// Attends to what comes until the life is over.
    async fn attend(
        &mut self,
        control: &mut mpsc::Receiver<Control>,
        mut reading: Reloads,
        served: &mut Served,
        (parts, access): (&Parts, &watch::Sender<AccessList>),
        supervision: &mut Supervision,
    ) -> Life {
        loop {
            tokio::select! {
                ordered = control.recv() => match ordered {
                    Some(Control::Reload) => reading.ask(None),
                    Some(Control::Kill) => parts.kill("ordered by signal"),
                    Some(Control::Stop) | None => return Life::Over(Ended::Stopped),
                },
                Some(job) = self.due.recv() => parts.run(job),
                Some(there) = self.is_killed.recv() => parts.kill_file_is(there),
                Some(displaced) = self.displaced.recv() => if let Some(listener) = parts.socket_is(displaced) {
                    let _the_server_may_be_gone = served.listeners.send(listener);
                },
                Some(news) = self.doubts.recv() => parts.hear_of_checkpoints(&news),
                Some(asker) = self.reloads.recv(), if !reading.is_under_way() => reading.ask(Some(asker)),
                (read, asker) = reading.next() => tell(asker, parts.reload(read, access)),
                ended = &mut served.server => {
                    let why = ended.ok().flatten().unwrap_or_else(|| "it ended".to_owned());
                    return Life::Over(Ended::TooManyFailures(format!("nobody can connect any more: {why}")));
                }
                Some(failure) = self.failures.recv() => if let Some(reason) = parts.survive(supervision, &failure) {
                    return Life::Over(Ended::TooManyFailures(reason));
                },
                why = parts.journal.damaged() => return match parts.survive_damage(supervision, &why) {
                    None => Life::Damaged(parts.config.load_full()),
                    Some(reason) => Life::Over(Ended::TooManyFailures(reason)),
                },
            }
        }
    }
}

/// The socket's server at work.
struct Served {
    /// Why it ended, once it has.
    server: JoinHandle<Option<String>>,
    /// Where it is given a listener in the place of one whose file is gone.
    listeners: mpsc::UnboundedSender<UnixListener>,
}

impl Served {
    fn begin(
        listener: UnixListener,
        gateway: &Gateway,
        access: &watch::Sender<AccessList>,
        parts: &Parts,
        stopped: watch::Receiver<bool>,
    ) -> Self {
        let (listeners, others) = mpsc::unbounded_channel();
        let limits = Rc::new(parts.config.load().server.clone());
        let connections = Rc::clone(&parts.connections);
        let serving = serve(listener, others, gateway.clone(), access.subscribe(), limits, connections, stopped);
        let failures = parts.failures.clone();
        let watched = async move { failures.caught_future(Place::DaemonServe, serving).await.err() };
        Self { server: actix::spawn(watched), listeners }
    }

    /// Lets the requests under way end.
    async fn drain(self, stop: &watch::Sender<bool>) {
        let _the_server_may_be_gone = stop.send(true);
        if !self.server.is_finished()
            && let Err(error) = self.server.await
        {
            tracing::error!(%error, "the server did not end in good order");
        }
    }
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
