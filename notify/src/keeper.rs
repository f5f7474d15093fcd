//! The state folder: held against a second process, made again when somebody removes it, and looked at for letters that cannot be read.

use std::{
    fs::{DirBuilder, File, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context as _, anyhow};

use crate::{
    alert::{Alert, Level},
    clock,
    dead::DeadLetters,
    desk::Desk,
    disk,
    log::say,
};

/// Holds a folder as long as it lives.
#[derive(Debug)]
pub struct Keeper {
    folder: PathBuf,
    lock: File,
    /// Whether it was told that the folder cannot be made again.
    is_lost: bool,
    dead: DeadLetters,
    /// When the list of dead letters was changed, as far as it was looked at.
    looked: Option<SystemTime>,
}

impl Keeper {
    /// Makes the folder, and holds it.
    ///
    /// # Errors
    /// When it cannot be used, or another process holds it.
    pub fn hold(folder: &Path) -> anyhow::Result<Self> {
        let lock = take(folder).with_context(|| format!("the state folder {} cannot be used", folder.display()))?;
        let lock = lock.ok_or_else(|| held(folder))?;
        Ok(Self { folder: folder.to_owned(), lock, is_lost: false, dead: DeadLetters::new(folder), looked: None })
    }

    /// Looks whether all is in its place, and mends it. What the disk does not take is tried again with the next look.
    ///
    /// # Errors
    /// When another process holds the folder now.
    pub fn look(&mut self, desk: &Desk) -> anyhow::Result<()> {
        let place = self.folder.display().to_string();
        if !disk::is_at(&self.lock, &self.folder.join("run.lock")) {
            match take(&self.folder) {
                Ok(Some(lock)) => self.lock = lock,
                Ok(None) => return Err(held(&self.folder)),
                Err(error) => {
                    self.lament(desk, &error.to_string());
                    return Ok(());
                }
            }
        }
        match desk.restore() {
            Ok(false) => {}
            Ok(true) => {
                self.is_lost = false;
                self.tell(desk, format!("the state in {place} was removed while it was used; it was made again"));
            }
            Err(error) => self.lament(desk, &error.to_string()),
        }
        let changed = self.dead.changed();
        if changed != self.looked {
            self.looked = changed;
            match self.dead.mend() {
                Ok(0) => {}
                Ok(lines) => {
                    let words = format!(
                        "{lines} lines of the list of dead letters cannot be read; dead.damaged in {place} keeps them"
                    );
                    self.tell(desk, words);
                }
                Err(error) => say(Level::Warning, &format!("the list of dead letters cannot be read: {error}")),
            }
        }
        Ok(())
    }

    fn lament(&mut self, desk: &Desk, why: &str) {
        if !std::mem::replace(&mut self.is_lost, true) {
            desk.lament(&format!("the state folder {}, which was removed: {why}", self.folder.display()));
        }
    }

    fn tell(&self, desk: &Desk, words: String) {
        say(Level::Critical, &words);
        desk.take(Some(Alert::own(clock::now(), Level::Critical, "spool_damaged", words)), |_| {});
    }
}

/// Makes the folder and takes its lock; none if another process has it.
fn take(folder: &Path) -> io::Result<Option<File>> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder.join("receivers"))?;
    let lock = File::options().create(true).truncate(false).write(true).mode(0o600).open(folder.join("run.lock"))?;
    match lock.try_lock() {
        Ok(()) => Ok(Some(lock)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn held(folder: &Path) -> anyhow::Error {
    anyhow!("another `vigie notify run` uses {}; stop it, or give --state", folder.display())
}
