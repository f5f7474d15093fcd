//! Reading the configuration again: the file and the account database are read away from the serving thread, one reload at a
//! time, and what was read is taken in one go.

use std::{collections::VecDeque, path::PathBuf, pin::Pin};

use crate::{
    actors::{
        gateway::{ReloadRequest, Reloaded},
        supervision::{Failures, Place},
    },
    config::{self, Config},
    protocol::peer::AccessList,
};

/// A configuration with the accounts that it names, or what is wrong with it.
pub(super) type Read = Result<(Config, AccessList), String>;

type Reading = Pin<Box<dyn Future<Output = Read>>>;

/// The reloads that are wanted.
pub(super) struct Reloads {
    /// The file; `None` while the built-in configuration is in force.
    path: Option<PathBuf>,
    failures: Failures,
    under_way: Option<(Reading, Asker)>,
    waiting: VecDeque<Asker>,
}

/// Who asked for a reload: a client, or somebody by a signal, who reads the log.
pub(super) type Asker = Option<ReloadRequest>;

/// Reloads by signal that wait; more of them would only read the same again.
const MOST_WAITING: usize = 1;

impl Reloads {
    pub(super) fn new(path: Option<PathBuf>, failures: Failures) -> Self {
        Self { path, failures, under_way: None, waiting: VecDeque::new() }
    }

    /// Begins a reload, behind the one under way if there is one.
    pub(super) fn ask(&mut self, asker: Asker) {
        let Some(path) = self.path.clone() else {
            let why = "the built-in configuration is in force, and there is no file to read; start with --config";
            return tell(asker, Err(why.to_owned()));
        };
        if self.under_way.is_none() {
            self.under_way = Some((self.read(path), asker));
        } else if asker.is_some() || self.waiting.len() < MOST_WAITING {
            self.waiting.push_back(asker);
        }
    }

    /// Whether one is under way.
    pub(super) fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }

    /// What was read by the reload under way, and who asked for it. Waits for ever where there is none.
    pub(super) async fn next(&mut self) -> (Read, Asker) {
        let Some((reading, _)) = &mut self.under_way else { return std::future::pending().await };
        let read = reading.await;
        let asker = self.under_way.take().and_then(|(_, asker)| asker);
        if let Some(next) = self.waiting.pop_front() {
            self.ask(next);
        }
        (read, asker)
    }

    fn read(&self, path: PathBuf) -> Reading {
        let failures = self.failures.clone();
        Box::pin(async move {
            let read = failures.blocking(Place::DaemonReloadRead, move || {
                let new = config::load(&path).map_err(|error| error.to_string())?;
                let access = AccessList::resolve(&new.access).map_err(|error| error.to_string())?;
                Ok((new, access))
            });
            read.await?
        })
    }
}

/// Tells who asked what came of it.
pub(super) fn tell(asker: Asker, done: Result<Reloaded, String>) {
    match asker {
        Some(asker) => drop(asker.send(done)),
        None => {
            if let Err(error) = done {
                tracing::error!("nothing was reloaded: {}", error.lines().next().unwrap_or_default());
            }
        }
    }
}
