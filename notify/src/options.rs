//! The command line.

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};

use crate::{found, ledger::Letter};

const EXAMPLES: &str = "\
Examples:
  vigie notify check
  vigie notify test phone
  vigie notify run
  vigie notify status
  vigie notify dead retry --all

Exit codes: 0 done; 1 it failed; 2 the command line or the configuration is wrong; 3 a message was not delivered.";

/// Send what a running daemon alerts of to people: webhooks, Slack, Discord, Telegram, e-mail
///
/// A process of its own, which reads the daemon's socket: the daemon has no network. Each alert comes at least once and in order; what a
/// receiver does not take is tried again, and ends on the list of dead letters. docs/notify.md says more.
#[derive(Debug, Parser)]
#[command(name = "vigie notify", bin_name = "vigie notify", version, after_help = EXAMPLES)]
pub struct Options {
    /// What is to be done.
    #[command(subcommand)]
    pub command: Command,
    /// Who is told [default: notify.toml, or /etc/vigie-notify/notify.toml if only that exists]
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// The daemon's socket, in place of the configuration's
    #[arg(long, value_name = "PATH", global = true)]
    socket: Option<PathBuf>,
    /// The folder of the own state, in place of the configuration's
    #[arg(long, value_name = "FOLDER", global = true)]
    state: Option<PathBuf>,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Follow the daemon and tell, until a signal ends it
    Run,
    /// Check the configuration and the secrets that it names
    Check,
    /// Send one message to a receiver, now, and say what came of it
    Test {
        /// The receiver's name in the configuration
        #[arg(value_name = "RECEIVER")]
        receiver: String,
    },
    /// Show how far the daemon is followed, and what each receiver has
    Status,
    /// What was given up
    Dead {
        /// What is to be done with it.
        #[command(subcommand)]
        command: Dead,
    },
}

/// What can be done with dead letters.
#[derive(Debug, Subcommand)]
pub enum Dead {
    /// List them, oldest first
    List,
    /// Have them sent once more, by the process that runs or the next one
    Retry(Choice),
    /// Remove them for good
    Drop(Choice),
}

/// Which letters.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub struct Choice {
    /// These, by the names that the list shows
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// Those of one receiver
    #[arg(long, value_name = "RECEIVER")]
    receiver: Option<String>,
    /// All
    #[arg(long)]
    all: bool,
}

impl Choice {
    /// Those of the names that are in none of these letters.
    pub fn unknown(&self, letters: &[Letter]) -> Vec<&str> {
        let is_known =
            |id: &&str| letters.iter().any(|letter| letter.message.id == *id && self.has(&letter.receiver, id));
        self.ids.iter().map(String::as_str).filter(|id| !is_known(id)).collect()
    }

    /// Whether a letter is among them.
    pub fn has(&self, receiver: &str, id: &str) -> bool {
        let is_named = self.ids.is_empty() || self.ids.iter().any(|named| named == id);
        self.all || (is_named && self.receiver.as_deref().is_none_or(|named| named == receiver))
    }
}

impl Options {
    /// The configuration's file.
    pub fn config(&self) -> PathBuf {
        self.config.clone().unwrap_or_else(|| first("notify.toml", "/etc/vigie-notify/notify.toml"))
    }

    /// The daemon's socket.
    pub fn socket(&self, configured: Option<&Path>) -> PathBuf {
        found::socket(self.socket.as_deref().or(configured))
    }

    /// The folder of the own state.
    pub fn state(&self, configured: Option<&Path>) -> PathBuf {
        let given = self.state.as_deref().or(configured).map(Path::to_owned);
        let service = || std::env::var_os("STATE_DIRECTORY").map(PathBuf::from);
        given.or_else(service).unwrap_or_else(|| first("vigie-notify-state", "/var/lib/vigie-notify"))
    }
}

/// The one of this folder, or that of the service if only that exists.
fn first(local: &str, service: &str) -> PathBuf {
    let is_service = !Path::new(local).exists() && Path::new(service).exists();
    PathBuf::from(if is_service { service } else { local })
}
