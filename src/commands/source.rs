//! The journal that a command reads: the file where this user may open it, else a copy that its daemon sends.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use serde_json::{Map, Value, json};

use super::{
    ConfigArgs, Failed, MOST_CACHED, PATIENCE, StateArgs,
    files::bar,
    found::{Found, How, Source},
};
use crate::{
    config::Config,
    journal::{self, Reader, SCHEMA, TransferError},
};

/// How long a copy of the journal is waited for: others may be under way before it. Then each part of it.
const COPY_PATIENCE: Duration = Duration::from_secs(120);

/// A journal to be read: in its folder, also beside the daemon that writes to it, or through the socket of that daemon.
#[derive(Debug, Args)]
pub(super) struct SourceArgs {
    #[command(flatten)]
    state: StateArgs,
    /// Read through the socket of a daemon, for which its permission suffices [default, where the journal cannot be read:
    /// $VIGIE_SOCKET, else /run/vigie/vigie.sock]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

impl SourceArgs {
    fn source(&self) -> Source {
        self.state.source(self.socket.as_deref())
    }

    /// The file of the journal, where it is that of a folder.
    pub(super) fn journal(&self) -> Option<PathBuf> {
        match self.source() {
            Source::Folder(folder) => Some(folder.journal()),
            Source::Daemon(_) => None,
        }
    }

    /// Whether there is to be a journal: it was named, or there is one where it is looked for.
    pub(super) fn is_meant(&self) -> bool {
        match self.source() {
            Source::Daemon(_) => true,
            Source::Folder(folder) => folder.how != How::Here || folder.journal().exists(),
        }
    }

    /// The journal as it stands, and the configuration to read it with: the one that is given, else that in force with the daemon which
    /// is asked, else the built-in one.
    pub(super) fn open(&self, config: &ConfigArgs) -> Result<(Config, Reader), Failed> {
        let given = config.given()?;
        match self.source() {
            Source::Folder(folder) => {
                let config = given.map_or_else(|| config.load(), Ok)?;
                let reader = of_folder(&folder, &config)?;
                Ok((config, reader))
            }
            Source::Daemon(socket) => through(&socket, given),
        }
    }
}

/// The journal in a state folder, to be read; a daemon may be writing to it.
pub(super) fn of_folder(folder: &Found, config: &Config) -> anyhow::Result<Reader> {
    let path = folder.journal();
    if matches!(path.try_exists(), Ok(false)) {
        anyhow::bail!(
            "{}{}: there is no journal; name its folder with --state, or begin one with `vigie import`",
            path.display(),
            folder.how.words()
        );
    }
    let opened = Reader::open_path(&path, config.journal.cache_bytes.min(MOST_CACHED));
    let reader = opened.map_err(|error| match folder.how.words() {
        "" => error.into(),
        words => anyhow::Error::new(error).context(format!("the state folder is {}{words}", folder.path.display())),
    })?;
    // nothing is told of a part as if it were the whole
    reader.check_archive()?;
    Ok(reader)
}

/// A copy of the journal of the daemon that listens there.
pub(super) fn through(socket: &Found, given: Option<Config>) -> Result<(Config, Reader), Failed> {
    let (head, stream) = socket.client(PATIENCE).stream(&json!({ "type": "copy" }), COPY_PATIENCE)?;
    let number = |name: &str| head.get(name).and_then(Value::as_u64).unwrap_or_default();
    if number("schema") != SCHEMA {
        let what = format!("its schema is {}, this program reads {SCHEMA}", number("schema"));
        return Err(TransferError::Foreign(what).into());
    }
    let bar = bar(number("entries"), "{bar:40} {percent:>3} %  {msg}");
    bar.set_message(format!("the journal of the daemon at {socket}"));
    let received = journal::receive(stream, &mut |entries| bar.set_position(entries));
    bar.finish_and_clear();
    let reader = received?;
    Ok((given.map_or_else(|| in_force(&head), Ok)?, reader))
}

/// The configuration that the daemon runs with.
fn in_force(head: &Map<String, Value>) -> Result<Config, Failed> {
    let text = head.get("config").and_then(Value::as_str).unwrap_or_default();
    Config::parse("the daemon's configuration", text).map_err(|errors| Failed::Config(errors.into()))
}
