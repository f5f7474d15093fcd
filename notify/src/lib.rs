//! `vigie-notify`: what a running daemon alerts of, sent to people. See `docs/notify.md`.
//!
//! It is a process of its own, so that the daemon needs no network. Three rules carry it: what is told is on disk before it is sent; what is
//! sent next is a function of what is on disk and of the time (`plan`); what a try came to is noted before the next one begins (`ledger`).

mod address;
mod advice;
mod alert;
mod clock;
mod commands;
mod config;
mod dead;
mod deliver;
mod desk;
mod disk;
mod follow;
#[path = "../../web/src/found.rs"]
mod found;
mod keeper;
mod ledger;
mod log;
mod message;
mod network;
pub mod options;
mod payload;
mod plan;
mod quiet;
mod replay;
mod retry;
mod run;
mod secret;
mod send;
mod sendmail;
mod spool;
mod target;
mod text;
mod watched;
mod wire;

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::Parser as _;

use crate::{
    config::Config,
    network::Network,
    options::{Command, Options},
};

/// The program.
pub fn main() -> ExitCode {
    let options = Options::parse();
    let file = options.config();
    let seed = u64::try_from(clock::now().as_nanosecond() & i128::from(u64::MAX)).unwrap_or_default();
    let config = match Config::load(&file, seed) {
        Ok(config) => config,
        Err(faults) => {
            let _nobody_listens = writeln!(io::stderr(), "{faults}");
            return ExitCode::from(2);
        }
    };
    let folder = options.state(config.state.as_deref());
    let socket = options.socket(config.socket.as_deref());
    let network = match &options.command {
        Command::Run | Command::Check | Command::Test { .. } => Network::load(),
        // these send nothing
        Command::Status | Command::Dead { .. } => Ok(Network::none()),
    };
    let network = match network {
        Ok(network) => network,
        Err(faults) => {
            let _nobody_listens = writeln!(io::stderr(), "{}", faults.join("\n"));
            return ExitCode::from(2);
        }
    };
    let is_list = matches!(options.command, Command::Check | Command::Status | Command::Dead { .. });
    let done = match &options.command {
        Command::Run => run::run(config, &network, &folder, &socket).map(|()| true),
        Command::Check => match network.misses(&config) {
            Some(fault) => {
                let _nobody_listens = writeln!(io::stderr(), "{fault}");
                return ExitCode::from(2);
            }
            None => commands::check(&config, &file).map(|()| true).map_err(Into::into),
        },
        Command::Test { receiver } => commands::test(&config, &network, receiver),
        Command::Status => commands::status(&config, &folder).map(|()| true),
        Command::Dead { command } => commands::dead(command, &folder).map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(3),
        // what reads the list has gone away: nothing is left to say
        Err(error) if is_list && is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let _nobody_listens = writeln!(io::stderr(), "vigie notify: {error:#}");
            ExitCode::from(1)
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
