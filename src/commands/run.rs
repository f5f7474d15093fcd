//! `vigie run`: the daemon.

use std::{
    path::{Path, PathBuf},
    rc::Rc,
    time::Duration,
};

use clap::{Args, ValueEnum};
use futures_util::StreamExt;
use sd_notify::NotifyState;
use signal_hook::{
    consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGUSR1},
    flag,
};
use signal_hook_tokio::Signals;
use tokio::sync::mpsc;

use super::{ConfigArgs, Failed, Outcome, found, log};
use crate::{
    actors::{
        daemon::{self, Control, DaemonOptions, Ended, OPENING_FILE, Time},
        gateway::Gateway,
        storage::Storage,
        supervision::Tripwire,
    },
    config::Config,
    protocol::lateness,
};

const EXAMPLES: &str = "\
Examples:
  vigie run                              built-in configuration, state in ./vigie-state
  vigie run --config my.toml --state /var/lib/vigie --socket /run/vigie/vigie.sock

Signals:
  SIGTERM, SIGINT  answer what was asked, then stop (within server.drain_ms)
  SIGHUP           read the configuration again, all or nothing
  SIGUSR1          lock to the baseline at once and take every model out of service;
                   so does a file named `kill` in the state folder";

/// Run the daemon
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Run {
    #[command(flatten)]
    config: ConfigArgs,
    /// State folder, made if it is not there [default: $VIGIE_STATE, else vigie-state]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Socket to listen on [default: $VIGIE_SOCKET, else vigie.sock in the state folder]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Where time comes from: this machine, or the messages (replays)
    #[arg(long, value_enum, default_value = "wall")]
    clock: ClockArg,
    /// Be a drill: marked in every log line, event and alert, in status and in the journal, on a folder for drills only
    #[arg(long)]
    drill: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ClockArg {
    Wall,
    Event,
}

impl Run {
    /// Runs the command until the daemon ends.
    ///
    /// # Errors
    /// When the daemon cannot start, or had to give up.
    pub fn run(self) -> Outcome {
        let config = self.config.load()?;
        // until the end, which waits for its last lines
        let (state, socket) = found::of_a_new_daemon(self.state.as_deref(), self.socket.as_deref());
        let log = log::start(config.log_level, self.drill, state.join(OPENING_FILE))?;
        let level = log.level.clone();
        let options = DaemonOptions {
            config,
            config_path: self.config.config.clone(),
            state,
            socket: socket.clone(),
            program: std::env::current_exe().map_err(anyhow::Error::from)?,
            time: match self.clock {
                ClockArg::Wall => Time::Wall,
                ClockArg::Event => Time::Event,
            },
            drill: self.drill,
            tripwire: Tripwire::default(),
            storage: Storage::default(),
            on_reload: Some(Rc::new(move |config: &Config| {
                if let Err(error) = level.reload(log::filter(config.log_level)) {
                    tracing::warn!(%error, "the log level stays as it is");
                }
            })),
        };
        flag::register(SIGCONT, lateness::continued()).map_err(anyhow::Error::from)?;
        let system = daemon::system().map_err(anyhow::Error::from)?;
        let ended = system.block_on(async {
            let (control, controlled) = mpsc::channel(16);
            let signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGUSR1]).map_err(anyhow::Error::from)?;
            actix::spawn(forward(signals, control));
            let ended = daemon::run(options, controlled, |gateway| ready(gateway, &socket)).await;
            let _no_manager = sd_notify::notify(&[NotifyState::Stopping]);
            ended.map_err(anyhow::Error::from)
        })?;
        match ended {
            Ended::Stopped => {
                tracing::info!("stopped");
                Ok(())
            }
            Ended::TooManyFailures(reason) => Err(Failed::GaveUp(reason)),
        }
    }
}

async fn forward(mut signals: Signals, control: mpsc::Sender<Control>) {
    while let Some(signal) = signals.next().await {
        let told = match signal {
            SIGHUP => Control::Reload,
            SIGUSR1 => Control::Kill,
            _ => Control::Stop,
        };
        if control.send(told).await.is_err() {
            return;
        }
    }
}

fn ready(gateway: Gateway, socket: &Path) {
    tracing::info!(socket = %socket.display(), version = env!("CARGO_PKG_VERSION"), "ready");
    let status = format!("answering at {}", socket.display());
    let _no_manager = sd_notify::notify(&[NotifyState::Ready, NotifyState::Status(&status)]);
    if let Some(period) = sd_notify::watchdog_enabled() {
        actix::spawn(daemon::feed_watchdog(gateway, period.max(Duration::from_millis(300)), || {
            let _no_manager = sd_notify::notify(&[NotifyState::Watchdog]);
        }));
    }
}
