//! `vigie web`: the page and the metrics are a program of their own, so that this one has no network. It is started in the place of
//! this process.

use std::{ffi::OsString, os::unix::process::CommandExt as _, process::Command};

use anyhow::{Context as _, anyhow};
use clap::Args;

use super::Outcome;

/// The program, beside this one.
const NEIGHBOUR: &str = "vigie-web";

const EXAMPLES: &str = "\
Examples:
  vigie web
  vigie web --listen 127.0.0.1:9000
  vigie web -- --help      all options";

/// Serve the page of the running daemon, and its metrics, on loopback
///
/// Starts the program `vigie-web`, which lies beside this one: `cargo build --release --workspace` builds both.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Web {
    /// Options of `vigie-web`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    arguments: Vec<OsString>,
}

impl Web {
    /// Becomes the other program.
    ///
    /// # Errors
    /// When it is not there or cannot be started.
    pub fn run(self) -> Outcome {
        let own = std::env::current_exe().context("this program cannot be found")?;
        let program = own.with_file_name(NEIGHBOUR);
        if !program.exists() {
            let build = "build it with `cargo build --release --workspace`";
            return Err(anyhow!("{} is not there: {build}", program.display()).into());
        }
        let failed = Command::new(&program).args(self.arguments).exec();
        Err(anyhow::Error::from(failed).context(format!("{} cannot be started", program.display())).into())
    }
}
