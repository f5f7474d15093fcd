//! One file per subcommand. They may read clocks and files and print; nothing they do is needed by the daemon.

mod alerts;
mod archive;
mod backup;
mod change;
mod check;
mod compare;
mod dataset;
mod demo;
mod discover;
mod draft;
mod drift;
mod drill;
mod events;
mod experiment;
mod export;
mod features;
mod files;
mod flatten;
mod found;
mod impact;
mod import;
mod init;
mod log;
mod models;
mod named;
mod neighbour;
mod notify;
mod phases;
mod power;
mod regimes;
mod registry;
mod replay;
mod report;
mod run;
mod schedule;
mod score;
mod simulate;
mod source;
mod status;
mod terminal;
mod top;
mod train;
mod tune;
mod web;
mod work;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use clap::{Args, Parser, Subcommand};

use crate::{
    config::{self, Config, LoadError},
    journal::Reader,
    panics,
    protocol::client::ClientError,
};

use found::{SocketArgs, StateArgs};
use source::SourceArgs;

pub use change::{Kill, Lock, Promote, Reload, Resume, Rollback};

/// The state folder when none is given.
const DEFAULT_STATE: &str = "vigie-state";
/// How long a command waits for the daemon.
const PATIENCE: Duration = Duration::from_secs(10);

const EXIT_CODES: &str = "\
Exit codes:
  0   done
  1   it failed; the message says why
  2   the command line is wrong
  3   the configuration is wrong
  4   no daemon answers
  5   done, but some input was refused, or none could be used; the summary lists it
  70  a part of the daemon failed too often; it is locked to the baseline until `vigie resume`
`vigie status --check` ends as monitoring plugins do: 0 all is well, 1 warning, 2 critical, 3 nobody can say.";

/// The lookout beside an automated futures trader: scores every signal of a rule-based strategy with a model that had
/// to earn it, and steps aside the moment anything is not right.
#[derive(Debug, Parser)]
#[command(name = "vigie", version, arg_required_else_help = true, subcommand_required = true, after_help = EXIT_CODES)]
pub struct Vigie {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What can be done.
#[derive(Debug, Subcommand)]
#[expect(missing_docs, reason = "each is documented where it is defined, and that text is its help")]
pub enum Command {
    Run(run::Run),
    Check(check::Check),
    Init(init::Init),
    Import(import::Import),
    Features(features::Features),
    Train(train::Train),
    Score(score::Score),
    Status(status::Status),
    Top(top::Top),
    Models(models::Models),
    Replay(replay::Replay),
    Simulate(simulate::Simulate),
    Promote(Promote),
    Rollback(Rollback),
    Lock(Lock),
    Kill(Kill),
    Resume(Resume),
    Experiment(experiment::Experiment),
    Power(power::Power),
    Impact(impact::ImpactArgs),
    Report(report::Report),
    Tune(tune::Tune),
    Reload(Reload),
    Validate(train::Validate),
    Reinstate(train::Reinstate),
    Compare(compare::Compare),
    Phases(phases::Phases),
    Schedule(schedule::Schedule),
    Dataset(dataset::Dataset),
    Discover(discover::Discover),
    Regimes(regimes::Regimes),
    Drill(drill::Drill),
    Drift(drift::Drift),
    Export(export::Export),
    Alerts(alerts::Alerts),
    Events(events::Events),
    Archive(archive::Archive),
    Backup(backup::Backup),
    Restore(backup::Restore),
    Demo(demo::Demo),
    Web(web::Web),
    Notify(notify::Notify),
    Work(work::Work),
}

/// How far what works through much stands back behind a daemon that serves on the same machine.
const NICE: i32 = 10;

impl Command {
    /// Lowers the priority of this process where the command works through much: a score comes first.
    pub fn stand_back(&self) {
        let works_through_much = matches!(
            self,
            Self::Import(_)
                | Self::Features(_)
                | Self::Train(_)
                | Self::Replay(_)
                | Self::Simulate(_)
                | Self::Power(_)
                | Self::Impact(_)
                | Self::Report(_)
                | Self::Tune(_)
                | Self::Validate(_)
                | Self::Reinstate(_)
                | Self::Compare(_)
                | Self::Phases(_)
                | Self::Dataset(_)
                | Self::Discover(_)
                | Self::Regimes(_)
                | Self::Drill(_)
                | Self::Export(_)
                | Self::Archive(_)
                | Self::Backup(_)
        );
        if works_through_much {
            let _it_is_only_polite = rustix::process::nice(NICE);
        }
    }
}

/// How a command ended, when it did not simply succeed.
#[derive(Debug)]
pub enum Failed {
    /// It failed.
    Error(anyhow::Error),
    /// The configuration cannot be taken.
    Config(LoadError),
    /// No daemon answers.
    NoDaemon(ClientError),
    /// It is done, but some input was refused; a summary has been printed.
    Refused,
    /// It was looked how things stand, and not all is well; what is not has been printed. The exit code is that of a monitoring plugin.
    Checked(u8),
    /// The daemon gave up.
    GaveUp(String),
}

/// What every command returns.
pub type Outcome = Result<(), Failed>;

impl<E: Into<anyhow::Error>> From<E> for Failed {
    fn from(error: E) -> Self {
        let error = error.into();
        match error.downcast::<ClientError>() {
            Ok(error @ ClientError::Unreachable { .. }) => Self::NoDaemon(error),
            Ok(error) => Self::Error(error.into()),
            Err(error) => Self::Error(error),
        }
    }
}

/// What every command begins with. A handler of any kind for SIGXFSZ makes of a file that may not grow (`ulimit -f`) a write that
/// fails, as on a full disk, and not the end of the process. A panic of a library that is caught is not printed: the command
/// says in its own words what it means.
///
/// # Errors
/// When the system takes no handler.
pub fn begin() -> std::io::Result<()> {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !panics::are_caught() {
            print(panic);
        }
    }));
    signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::default()).map(drop)
}

/// Prints what clap says of a command line, help and version included, and says how the process ends.
pub fn misused(error: &clap::Error) -> ExitCode {
    let text = error.render().to_string();
    if terminal::harmless(&text) == text {
        error.exit()
    }
    // a word of the command line holds what a terminal obeys: no colours then
    terminal::warn(text.trim_end());
    ExitCode::from(2)
}

/// Says what went wrong, and how the process ends.
pub fn exit_code(outcome: Outcome) -> ExitCode {
    let Err(failed) = outcome else { return ExitCode::SUCCESS };
    match failed {
        // what reads our output has gone away: nothing is left to say
        Failed::Error(_) if terminal::is_unread() => ExitCode::SUCCESS,
        Failed::Error(error) => {
            terminal::warn(format_args!("{error:#}"));
            ExitCode::from(1)
        }
        Failed::Config(error) => {
            terminal::draw(&error);
            ExitCode::from(3)
        }
        Failed::NoDaemon(error) => {
            terminal::warn(error);
            ExitCode::from(4)
        }
        Failed::Refused => ExitCode::from(5),
        Failed::Checked(code) => ExitCode::from(code),
        Failed::GaveUp(reason) => {
            terminal::warn(reason);
            ExitCode::from(70)
        }
    }
}

/// Most bytes of the journal that a command caches: it reads from one end to the other, and hardly anything twice.
const MOST_CACHED: usize = 16 << 20;

/// Which configuration to use.
#[derive(Debug, Clone, Args)]
struct ConfigArgs {
    /// Configuration file; what it leaves out, and without it everything, is as built in; who reads through a daemon has the
    /// configuration of that
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ConfigArgs {
    /// Says that the daemon which does the work has a configuration of its own, where one was named.
    fn is_not_used(&self) {
        if let Some(path) = &self.config {
            terminal::warn(format_args!(
                "{} is not used: the daemon uses its own configuration; `vigie reload` makes it read its file again",
                path.display()
            ));
        }
    }

    fn load(&self) -> Result<Config, Failed> {
        self.given()?.map_or_else(|| Config::builtin().map_err(|errors| Failed::Config(errors.into())), Ok)
    }

    /// The one that was named.
    fn given(&self) -> Result<Option<Config>, Failed> {
        self.config.as_deref().map(load_config).transpose()
    }
}

/// A journal to be read, in its folder or through its daemon.
#[derive(Debug, Args)]
pub struct JournalArgs {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    config: ConfigArgs,
}

impl JournalArgs {
    fn reader(&self) -> Result<(Config, Reader), Failed> {
        self.source.open(&self.config)
    }
}

fn load_config(path: &Path) -> Result<Config, Failed> {
    config::load(path).map_err(Failed::Config)
}
