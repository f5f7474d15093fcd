//! `vigie-web`: the page of a running daemon and its metrics, on loopback. See `docs/web.md`.
//!
//! As `vigie-web gateway` it is another one, the protocol over HTTP for traders who cannot open the socket. See `docs/gateway.md`.
//!
//! It is a process of its own, so that the daemon needs no network. It reads the daemon's Unix socket and nothing else, and must
//! never ask the daemon more because more pages are open.

mod answer;
mod ask;
mod assets;
mod clock;
mod events;
mod follow;
mod found;
mod gateway;
mod guard;
mod hub;
mod live;
mod metrics;
pub mod options;
mod places;
mod server;
mod site;
mod token;
mod wire;

use std::{
    future::Future,
    io::{self, Write as _},
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context as _;
use clap::Parser as _;
use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
};

use crate::{
    ask::Asker,
    guard::Guard,
    hub::Hub,
    metrics::Metrics,
    options::{Given, Instead, Options},
    places::Most,
    site::{Site, routes},
};

/// Connections of the page: 48 that are open pages and some that gave an order with the token, and all others.
const CONNECTIONS: Most = Most { strangers: 64, kept: live::PAGES + 16 };

/// The program.
pub fn main() -> ExitCode {
    let options = Options::parse();
    let refused = match &options.instead {
        None => options.refused(),
        Some(Instead::Gateway(options)) => options.refused(),
        Some(Instead::Trader(_)) => None,
    };
    if let Some(why) = refused {
        let _nobody_listens = writeln!(io::stderr(), "vigie web: {why}");
        return ExitCode::from(2);
    }
    let done = match &options.instead {
        Some(Instead::Trader(options)) => gateway::make_token(options),
        Some(Instead::Gateway(options)) => on_runtime(until_ended(gateway::run(options))),
        None => on_runtime(until_ended(run(&options))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _nobody_listens = writeln!(io::stderr(), "vigie web: {error:#}");
            ExitCode::from(1)
        }
    }
}

fn on_runtime(serving: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    runtime::Builder::new_current_thread().enable_all().build()?.block_on(serving)
}

/// Serves until a signal ends it.
async fn until_ended(serving: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let (mut terminated, mut interrupted) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        ended = serving => ended,
        _ = terminated.recv() => Ok(()),
        _ = interrupted.recv() => Ok(()),
    }
}

/// Serves the page.
async fn run(options: &Options) -> anyhow::Result<()> {
    let given = options.token()?;
    let listener = server::listen(options.listen);
    let listener = listener.with_context(|| format!("{} cannot be listened on", options.listen))?;
    let address = listener.local_addr()?;
    tell(options, &given, &format!("http://{address}/"))?;
    let hub = Arc::new(Hub::new(token::random()?.chars().take(12).collect()));
    tokio::spawn(follow::follow(Arc::clone(&hub), options.socket()));
    tokio::spawn(follow::look(Arc::clone(&hub), options.socket()));
    let guard = Guard::new(address, options.behind.as_deref(), given.token);
    let site = Site { metrics: Metrics::new(Arc::clone(&hub)), asker: Asker::new(options.socket()), hub };
    server::serve(listener, routes(site, guard), CONNECTIONS).await;
    Ok(())
}

/// Says where the page is. The secret is printed once, when it was made, and never into the log of a service manager.
fn tell(options: &Options, given: &Given, address: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "vigie web: {address} shows the daemon at {}", options.socket().display())?;
    if !options.listen.ip().is_loopback() {
        writeln!(
            out,
            "vigie web: this address is not loopback; only the proxy named by --behind should be able to reach it"
        )?;
    }
    let kept = given.file.as_ref().map(|file| file.display());
    let is_logged = std::env::var_os("JOURNAL_STREAM").is_some();
    match kept {
        Some(file) if given.is_new && !is_logged => {
            writeln!(
                out,
                "vigie web: {address}#token={} may also give orders; it is shown this once and kept in {file}",
                given.token.reveal()
            )?;
        }
        Some(file) => writeln!(out, "vigie web: the token for orders is in {file}")?,
        None => writeln!(out, "vigie web: the token for orders is that of VIGIE_WEB_TOKEN")?,
    }
    out.flush()
}
