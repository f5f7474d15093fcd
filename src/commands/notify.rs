//! `vigie notify`: the notifications are a program of their own, so that this one has no network.

use std::ffi::OsString;

use clap::Args;

use super::{Outcome, neighbour};

const EXAMPLES: &str = "\
Examples:
  vigie notify check
  vigie notify test phone
  vigie notify run
  vigie notify status
  vigie notify dead list
  vigie notify -- --help      all commands and options";

/// Send what the running daemon alerts of to people: webhooks, Slack, Discord, Telegram, e-mail
///
/// Starts the program `vigie-notify`, which lies beside this one: `cargo build --release --workspace` builds both. It reads notify.toml;
/// docs/notify.md says what stands there.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Notify {
    /// Command and options of `vigie-notify`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    arguments: Vec<OsString>,
}

impl Notify {
    /// Becomes the other program.
    ///
    /// # Errors
    /// When it is not there or cannot be started.
    pub fn run(self) -> Outcome {
        neighbour::become_it("vigie-notify", self.arguments)
    }
}
