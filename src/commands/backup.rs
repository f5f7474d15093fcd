//! `vigie backup` and `vigie restore`: a copy of the journal, and the way back.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use serde_json::json;

use super::{
    ConfigArgs, Failed, Outcome, PATIENCE, StateArgs, change,
    files::bar,
    found::{Found, OwnStateArgs, SERVICE_SOCKET, Source},
    source::{of_folder, through},
    terminal::{tell, warn},
};
use crate::{
    actors::daemon::{JOURNAL_FILE, REACHED_FILE, SILENCE_FILE, SOCKET_FILE},
    clock::{Clock as _, WallClock},
    config::Config,
    journal::{
        Backup as BackupFile, Counts, LatestBackup, Manifest, OpenError, Reached, Reader, SilenceFile, Store,
        StoreOptions, archive_of, archive_of_backup, back_up, copy_archive, find_archive, present,
    },
    protocol::client::{Client, ClientError},
};

/// How the bar looks.
const BAR: &str = "{bar:40} {percent:>3} %  {msg}";

const EXAMPLES: &str = "\
Examples:
  vigie backup vigie-2026-11-28.backup
  vigie backup --state /var/lib/vigie --force /backup/vigie.backup";

const RESTORE_EXAMPLES: &str = "\
Examples:
  vigie restore --check vigie-2026-11-28.backup     only look
  vigie restore --state /var/lib/vigie /backup/vigie.backup";

/// Copy the journal as it stands now, also while a daemon writes to it
///
/// The copy is whole, on disk and read back before it takes its name. A daemon is not held up.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Backup {
    /// File to write
    file: PathBuf,
    /// Replace FILE if there is one
    #[arg(long)]
    force: bool,
    /// Print what is in it as one JSON object
    #[arg(long)]
    json: bool,
    /// Socket of the daemon, which is told, and asked for the copy where the journal cannot be read [default: that in the state
    /// folder, $VIGIE_SOCKET, or /run/vigie/vigie.sock]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    #[command(flatten)]
    state: StateArgs,
    #[command(flatten)]
    config: ConfigArgs,
}

/// Put a backup in the place of the journal; no daemon may run
///
/// All of the backup is checked before anything is changed. The journal that was there is kept beside it.
#[derive(Debug, Args)]
#[command(after_help = RESTORE_EXAMPLES)]
pub struct Restore {
    /// A file that `vigie backup` wrote
    file: PathBuf,
    /// Check the file, say what a restore would do, and change nothing
    #[arg(long)]
    check: bool,
    /// Print what is in it, and what was done, as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    state: OwnStateArgs,
}

impl Backup {
    /// Runs the command.
    ///
    /// # Errors
    /// When the journal cannot be read or the file not be written.
    pub fn run(self) -> Outcome {
        self.refuse()?;
        let source = self.state.source(self.socket.as_deref());
        let made_at = WallClock.now();
        let (config, reader) = match &source {
            Source::Folder(folder) => {
                let config = self.config.load()?;
                let reader = Self::reader(folder, &config)?;
                (config, reader)
            }
            // what is archived stands in the log of such a copy
            Source::Daemon(socket) => through(socket, self.config.given()?)?,
        };
        let (archived, beside) = (reader.archived(), archive_of_backup(&self.file));
        if let Source::Folder(folder) = &source {
            copy_archive(&archived, &archive_of(&folder.journal()), &beside)?;
        }
        let (bar, file) = (bar(0, BAR), self.file.display());
        bar.set_message(format!("{file}"));
        let made = back_up(&reader, &self.file, made_at, &mut |done, of| {
            bar.set_length(of);
            bar.set_position(done);
        });
        bar.finish_and_clear();
        let manifest = made?;
        drop(reader);
        let bytes = std::fs::metadata(&self.file)?.len();
        let noted = self.note(&source, &config, &manifest);
        if self.json {
            let noted = noted.as_ref().err().map(ToString::to_string);
            tell(json!({ "file": self.file, "bytes": bytes, "manifest": manifest, "not_noted": noted }))?;
            return Ok(());
        }
        tell(format_args!("{file}: {}, {} MiB, read back", what_is_in(&manifest), bytes.div_ceil(1 << 20)))?;
        if !archived.is_empty() {
            tell(format_args!("{}: the {} archived files that belong to it", beside.display(), archived.len()))?;
        }
        if let Err(error) = noted {
            warn(format_args!(
                "the backup could not be recorded in the journal, so `vigie status` does not show it: {error:#}"
            ));
        }
        Ok(())
    }

    fn refuse(&self) -> anyhow::Result<()> {
        let file = self.file.display();
        let name = self.file.file_name().with_context(|| format!("{file} is no name of a file"))?;
        let folder = self.file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = folder.canonicalize().with_context(|| format!("{file} cannot be made"))?;
        let is_state = self.state.found().path.canonicalize().is_ok_and(|state| state == folder);
        let own = [JOURNAL_FILE, SILENCE_FILE, REACHED_FILE, SOCKET_FILE];
        if is_state && own.iter().any(|own| name.to_string_lossy().starts_with(own)) {
            anyhow::bail!("{file}: files of that name are the daemon's own; choose another name");
        }
        match self.file.symlink_metadata() {
            Ok(found) if !found.is_file() => anyhow::bail!("{file}: something that is no file is in the way"),
            Ok(_) if !self.force => anyhow::bail!("{file} exists; --force replaces it"),
            _ => Ok(()),
        }
    }

    /// The journal as it stands. After a kill it is recovered first, as a daemon would.
    fn reader(folder: &Found, config: &Config) -> anyhow::Result<Reader> {
        match of_folder(folder, config) {
            Err(error) if matches!(error.downcast_ref(), Some(OpenError::NeedsRecovery { .. })) => {
                Store::open(&folder.journal(), options(config))?.close()?;
                of_folder(folder, config)
            }
            other => other,
        }
    }

    /// Tells the journal, through its daemon if there is one.
    fn note(&self, source: &Source, config: &Config, manifest: &Manifest) -> anyhow::Result<()> {
        let latest = LatestBackup { at: manifest.made_at, last_seq: manifest.last_seq };
        let request = json!({
            "type": "backed_up", "at": latest.at, "last_seq": latest.last_seq, "created_at": manifest.created_at,
        });
        let ask = |socket: &Found| change::send(&mut socket.client(PATIENCE), &request).map(drop);
        let folder = match (source, &self.socket) {
            (_, Some(socket)) => return Ok(ask(&Found::named(socket))?),
            (Source::Daemon(socket), None) => return Ok(ask(socket)?),
            (Source::Folder(folder), None) => folder,
        };
        match ask(&folder.socket()) {
            Err(ClientError::Unreachable { .. }) => {}
            asked => return Ok(asked?),
        }
        match Store::open(&folder.journal(), options(config)) {
            Ok(mut store) => {
                store.apply(&[latest.write()])?;
                Ok(store.close()?)
            }
            Err(OpenError::InUse { .. }) => Ok(ask(&Found::named(SERVICE_SOCKET))?),
            Err(error) => Err(error.into()),
        }
    }
}

fn options(config: &Config) -> StoreOptions {
    StoreOptions { cache_bytes: config.journal.cache_bytes, verify: false }
}

fn what_is_in(manifest: &Manifest) -> String {
    let Counts { signals, outcomes, events, versions, .. } = manifest.counts;
    format!(
        "the journal of {} up to number {}: {signals} signals, {outcomes} outcomes, {events} events, {versions} versions",
        manifest.made_at, manifest.last_seq
    )
}

impl Restore {
    /// Runs the command.
    ///
    /// # Errors
    /// When the backup is not whole, a daemon has the journal open, or the disk fails; the journal is then as it was.
    pub fn run(self) -> Outcome {
        let backup = BackupFile::open(&self.file)?;
        let (manifest, journal) = (backup.manifest().clone(), self.state.found().journal());
        self.refuse_daemon()?;
        let (lost, next) = (self.lost(&manifest), self.next(backup.reader()));
        let (archived, own) = (backup.reader().archived(), archive_of(&journal));
        let beside = archive_of_backup(&self.file);
        find_archive(&archived, &[&beside, &own])?;
        let bar = bar(0, BAR);
        bar.set_message(format!("{}", self.file.display()));
        let mut progress = |done, of| {
            bar.set_length(of);
            bar.set_position(done);
        };
        let done = if self.check {
            backup.check(&mut progress).map(|()| None)
        } else {
            self.make_folder()?;
            // before the journal that reads them
            copy_archive(&archived, &beside, &own)?;
            backup.restore(&journal, &mut progress)
        };
        bar.finish_and_clear();
        let aside = done?;
        if self.json {
            tell(json!({
                "restored": !self.check, "manifest": manifest, "kept_as": aside, "lost": lost, "next_start": next,
            }))?;
            return Ok(());
        }
        tell(format_args!("{}: {}; whole", self.file.display(), what_is_in(&manifest)))?;
        if let Some(aside) = &aside {
            tell(format_args!("the journal that was there is kept as {}", aside.display()))?;
        }
        if !self.check {
            tell(format_args!("the backup is now the journal: {}", journal.display()))?;
        }
        tell(lost)?;
        tell(next)?;
        Ok(())
    }

    fn refuse_daemon(&self) -> Result<(), Failed> {
        let socket = self.state.found().path.join(SOCKET_FILE);
        match Client::new(&socket, PATIENCE).request(&json!({ "type": "ping" }), PATIENCE) {
            Ok(_) if !self.check => {
                let why = format!("a daemon runs there ({} answers); stop it first", socket.display());
                Err(anyhow::Error::msg(why).into())
            }
            _ => Ok(()),
        }
    }

    fn make_folder(&self) -> anyhow::Result<()> {
        use std::os::unix::fs::DirBuilderExt as _;
        let state = self.state.found();
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&state.path);
        made.with_context(|| format!("{state} cannot be made"))
    }

    /// What the journal of now has that the backup has not, in words.
    fn lost(&self, manifest: &Manifest) -> String {
        let now = match present(&self.state.found().journal()) {
            Ok(None) => return "there is no journal now".to_owned(),
            Ok(Some(reader)) => (reader.created_at(), reader.last_seq(), reader.counts()),
            Err(error) => return format!("the present journal cannot be compared: {error}"),
        };
        let (Ok(created_at), Ok(last_seq), Ok(counts)) = now else {
            return "what the journal of now has cannot be said: it cannot be read".to_owned();
        };
        if created_at != manifest.created_at {
            return format!(
                "the present journal is a different one: created {created_at}, with records up to number {last_seq}"
            );
        }
        let more = |now: u64, then: u64| now.saturating_sub(then);
        if last_seq <= manifest.last_seq {
            return "the present journal has nothing that the backup lacks".to_owned();
        }
        format!(
            "the journal of now goes up to number {last_seq}, and has {} signals, {} outcomes, {} events and {} versions more",
            more(counts.signals, manifest.counts.signals),
            more(counts.outcomes, manifest.counts.outcomes),
            more(counts.events, manifest.counts.events),
            more(counts.versions, manifest.counts.versions),
        )
    }

    /// What the next start will find, in words.
    fn next(&self, restored: &Reader) -> String {
        let (silence, reached) =
            (self.state.found().path.join(SILENCE_FILE), self.state.found().path.join(REACHED_FILE));
        let mut why = Vec::new();
        match SilenceFile::open(&silence) {
            Ok(mut file) => match file.compare(restored) {
                Ok(()) => {
                    if file.is_new() && restored.checkpoint("silenced").is_ok_and(|begun| begun.is_some()) {
                        why.push(format!(
                            "{} is gone, and with it what was rolled back since; see Restore in docs/operations.md",
                            silence.display()
                        ));
                    }
                    why.extend(file.disagreement());
                }
                Err(error) => why.push(error.to_string()),
            },
            Err(error) => why.push(error.to_string()),
        }
        let last = restored.last_seq().unwrap_or(0);
        let number = if reached.exists() { Reached::open(&reached).number() } else { 0 };
        if number > last {
            why.push(format!("the journal ends at number {last} of {number}: send the latest outcomes again"));
        }
        match why.as_slice() {
            [] => "the next start serves as the backup says: nothing that silenced a model is missing in it".to_owned(),
            why => format!("the next start locks to the baseline: {}", why.join("; ")),
        }
    }
}
