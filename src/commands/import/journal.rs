//! Where imported trades go: the file itself, or the daemon that has it open.

use std::os::unix::fs::DirBuilderExt as _;

use anyhow::Context;
use serde_json::json;

use super::{
    Import,
    doubt::{Doubt, Doubts},
    summary::Summary,
};
use crate::{
    actors::{acknowledge::words, daemon::SILENCE_FILE},
    clock::{Clock, WallClock},
    commands::{
        Failed, PATIENCE, change,
        found::{self, Found},
    },
    config::Config,
    domain::{Event, EventKind},
    journal::{OpenError, Store, StoreOptions, Write},
    protocol::client::Client,
};

/// Where trades go.
pub(super) enum Journal {
    /// The file itself; no daemon uses it.
    Own(Box<Store>, Doubts),
    /// The daemon that has it open, and the longest line that it takes.
    Daemon(Client, usize),
}

/// The journal, opened when the first file is read: what cannot be read leaves no folder behind.
pub(super) struct Journals<'a> {
    import: &'a Import,
    pub(super) config: &'a Config,
    opened: Option<Journal>,
}

impl<'a> Journals<'a> {
    pub(super) fn new(import: &'a Import, config: &'a Config) -> Self {
        Self { import, config, opened: None }
    }

    /// The one that was opened, if one was.
    pub(super) fn opened(self) -> Option<Journal> {
        self.opened
    }

    pub(super) fn journal(&mut self) -> Result<&mut Journal, Failed> {
        let journal = match self.opened.take() {
            Some(journal) => journal,
            None => {
                let journal = open(self.import, self.config)?;
                if let Journal::Daemon(..) = journal {
                    self.import.config.is_not_used();
                }
                journal
            }
        };
        Ok(self.opened.insert(journal))
    }
}

fn open(import: &Import, config: &Config) -> Result<Journal, Failed> {
    let daemon = |socket: &Found| Journal::Daemon(socket.client(PATIENCE), config.server.max_line_bytes);
    let folder = match import.state.written(import.socket.as_deref()) {
        found::Source::Daemon(socket) => return Ok(daemon(&socket)),
        found::Source::Folder(folder) => folder,
    };
    let state = folder.path.as_path();
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(state)
        .with_context(|| format!("{folder} cannot be made"))?;
    let options = StoreOptions { cache_bytes: config.journal.cache_bytes, verify: false };
    match Store::open_audited(&folder.journal(), options) {
        Ok(store) => Ok(Journal::Own(Box::new(store), Doubts::new(state.join(SILENCE_FILE)))),
        Err(in_use @ OpenError::InUse { .. }) => {
            let socket = folder.socket();
            if socket.path.exists() {
                return Ok(daemon(&socket));
            }
            let hint = "nothing was imported; name the socket of its daemon with --socket";
            Err(anyhow::Error::new(in_use).context(hint).into())
        }
        Err(error) => Err(error.into()),
    }
}

impl Journal {
    /// Has the daemon hear of a trade that a line at fault says was closed.
    pub(super) fn tell(&mut self, line: &str, place: &str, summary: &mut Summary) -> anyhow::Result<()> {
        let Self::Daemon(client, _) = self else { return Ok(()) };
        client.send(line, PATIENCE)?;
        summary.take_answer(place, &serde_json::from_str(&client.receive(PATIENCE)?)?)
    }

    /// Nobody can know how a trade was closed that an import tells of, for `fault`. Where there is no daemon that hears of it, it
    /// is recorded here what follows. Gives back the end of a sentence, which says that.
    pub(super) fn doubt(
        &mut self,
        config: &Config,
        doubt: &Doubt,
        fault: &str,
        summary: &mut Summary,
    ) -> anyhow::Result<String> {
        let Self::Own(store, doubts) = self else { return Ok(String::new()) };
        let gone = doubts.record(store, config, doubt, fault)?;
        summary.silenced.extend(gone.iter().map(ToString::to_string));
        Ok(words(&gone))
    }

    pub(super) fn note(&mut self, kind: EventKind) -> anyhow::Result<()> {
        match (self, kind) {
            (Self::Own(store, _), kind) => drop(store.apply(&[Write::Event(Event { at: WallClock.now(), kind })])?),
            (Self::Daemon(client, _), EventKind::Imported { file, lines, stored, rejected }) => {
                let note =
                    json!({ "type": "imported", "file": file, "lines": lines, "stored": stored, "rejected": rejected });
                change::send(client, &note)?;
            }
            _ => {}
        }
        Ok(())
    }
}
