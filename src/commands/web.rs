//! `vigie web`: the page, the metrics and the gateway over HTTP are a program of their own, so that this one has no network.

use std::ffi::OsString;

use clap::Args;

use super::{Outcome, neighbour};

const EXAMPLES: &str = "\
Examples:
  vigie web
  vigie web --listen 127.0.0.1:9000
  vigie web trader nt8     a token for a trader who cannot open the socket
  vigie web gateway        the protocol over HTTP for those who have one
  vigie web -- --help      all options";

/// Serve the page of the running daemon, its metrics, or the gateway over HTTP, on loopback
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
        neighbour::become_it("vigie-web", self.arguments)
    }
}
