//! The file under the journal: how it comes to be, which file is trusted, where a damaged one goes.
//!
//! redb writes a new file in several steps, and a kill between them leaves one that never opens. So a new journal is
//! made under the name `<name>.new` and takes its own name when it is complete and on disk. The folder is locked while
//! that is done, so that two processes that start together do not take each other's half-made file for a leftover.
#![deny(clippy::indexing_slicing)]

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use nix::{fcntl::OFlag, unistd::geteuid};
use redb::{Builder, backends::FileBackend};

use super::{
    error::{OpenError, guarded},
    schema,
};
use crate::clock::{Clock, WallClock};

/// Which file a journal is, wherever it is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Origin {
    pub(super) fn of(path: &Path, file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self { path: path.to_owned(), device: metadata.dev(), inode: metadata.ino() })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file still stands where it was opened.
    ///
    /// # Errors
    /// What is there instead and what to do, in words.
    pub(super) fn is_in_place(&self) -> Result<(), String> {
        let path = self.path.display();
        let way_out = "what is written now would be lost: put the file back, or stop the daemon, put the right journal there \
                       and start it";
        match fs::symlink_metadata(&self.path) {
            Ok(found) if (found.dev(), found.ino()) == (self.device, self.inode) => Ok(()),
            Ok(_) => Err(format!("another file was put in the place of the journal {path}; {way_out}")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(format!("the journal {path} was deleted or moved away; {way_out}"))
            }
            Err(error) => Err(format!("the journal {path} cannot be found: {error}; {way_out}")),
        }
    }
}

/// Makes the journal at `path` if there is none, and clears away what a kill left of an earlier try.
pub(super) fn ensure(path: &Path, builder: &Builder) -> Result<(), OpenError> {
    let folder = lock_folder(path)?;
    refuse_open_folder(path, &folder)?;
    let half_made = with_suffix(path, ".new");
    remove(&half_made)?;
    match fs::symlink_metadata(path) {
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(OpenError::io(path, "looking for the journal", &error)),
    }
    create(&half_made, builder)?;
    fs::rename(&half_made, path).map_err(|error| OpenError::io(path, "naming a new journal", &error))?;
    folder.sync_all().map_err(|error| OpenError::io(path, "making a new journal's name durable", &error))
}

/// Opens the journal's file for reading and writing, if it is one that nobody else can have put there.
pub(super) fn open_own(path: &Path) -> Result<File, OpenError> {
    let (file, metadata) = open_regular(path, true)?;
    let (owner, me) = (metadata.uid(), geteuid().as_raw());
    if owner != me {
        let reason =
            format!("it belongs to uid {owner}, and this is uid {me}; run as its owner, or give it to uid {me}");
        return Err(OpenError::refused(path, reason));
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o022 != 0 {
        let reason = format!("its mode is {mode:04o}, others may write to it; set it to 0600");
        return Err(OpenError::refused(path, reason));
    }
    if metadata.len() == 0 {
        return Err(OpenError::corrupt(path, "it is empty"));
    }
    Ok(file)
}

/// Opens the journal's file for reading.
pub(super) fn open_to_read(path: &Path) -> Result<File, OpenError> {
    match open_regular(path, false)? {
        (_, metadata) if metadata.len() == 0 => Err(OpenError::corrupt(path, "it is empty")),
        (file, _) => Ok(file),
    }
}

/// Gives the journal at `path` the file `new`, which is complete, and removes the old one.
pub(super) fn replace(path: &Path, new: &Path) -> Result<(), OpenError> {
    let folder = lock_folder(path)?;
    let failed = |error: &io::Error| OpenError::io(path, "putting the new journal in its place", error);
    File::open(new).and_then(|file| file.sync_all()).map_err(|error| failed(&error))?;
    fs::rename(new, path).map_err(|error| failed(&error))?;
    folder.sync_all().map_err(|error| failed(&error))
}

/// Opens a file that only this program makes, for the one who has the journal open.
pub(super) fn open_beside(path: &Path) -> io::Result<File> {
    let flags = OFlag::O_NOFOLLOW;
    OpenOptions::new().read(true).write(true).create(true).mode(0o600).custom_flags(flags.bits()).open(path)
}

/// Removes a file that may not be there.
pub(super) fn remove(path: &Path) -> Result<(), OpenError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(OpenError::io(path, "removing what an earlier start left", &error))
        }
        _ => Ok(()),
    }
}

/// Puts a damaged journal aside, as `<name>.corrupt-<n>` in the same folder, and says where it now is. Nothing is ever
/// deleted; the next [`Store::open`](super::Store::open) begins a new journal.
///
/// # Errors
/// [`OpenError::Storage`] when it could not be renamed.
pub fn quarantine(path: &Path) -> Result<PathBuf, OpenError> {
    let folder = lock_folder(path)?;
    let failed = |error: &io::Error| OpenError::io(path, "putting a damaged journal aside", error);
    for n in 1_u64.. {
        let aside = with_suffix(path, &format!(".corrupt-{n}"));
        match fs::symlink_metadata(&aside) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::rename(path, &aside).map_err(|error| failed(&error))?;
                folder.sync_all().map_err(|error| failed(&error))?;
                return Ok(aside);
            }
            Err(error) => return Err(failed(&error)),
        }
    }
    Err(failed(&io::ErrorKind::AlreadyExists.into()))
}

/// Gives the journal at `path` a second name, `<name>.before-restore-<n>`, and says which. `None` where there is none.
pub(super) fn keep_aside(path: &Path) -> Result<Option<PathBuf>, OpenError> {
    let failed = |error: &io::Error| OpenError::io(path, "keeping the journal that is there", error);
    for n in 1_u64.. {
        let aside = with_suffix(path, &format!(".before-restore-{n}"));
        match fs::hard_link(path, &aside) {
            Ok(()) => {
                sync_folder(path).map_err(|error| failed(&error))?;
                return Ok(Some(aside));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(&error)),
        }
    }
    Err(failed(&io::ErrorKind::AlreadyExists.into()))
}

pub(super) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes the names in the folder of `path` durable.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

/// Whether only one of the two commit slots of a redb file says that it has the format `version`: a program that writes it
/// says so in both.
pub(super) fn is_flipped(path: &Path, version: u8) -> bool {
    /// Where each slot says it, in bytes from the start of the file.
    const FORMATS: [usize; 2] = [64, 192];
    let mut header = [0; 256];
    let read = open_to_read(path).ok().and_then(|mut file| file.read_exact(&mut header).ok());
    let formats = FORMATS.map(|place| header.get(place).copied());
    read.is_some() && formats.iter().any(|format| *format != Some(version))
}

fn create(path: &Path, builder: &Builder) -> Result<(), OpenError> {
    let failed = |error: &io::Error| OpenError::io(path, "making a new journal", error);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| failed(&error))?;
    let to_sync = file.try_clone().map_err(|error| failed(&error))?;
    guarded("making a new journal", || {
        let database = builder.create_with_backend(FileBackend::new(file)?)?;
        schema::create(&database, WallClock.now())?;
        Ok(database.close()?)
    })
    .map_err(|failure| OpenError::Storage { path: path.to_owned(), failure })?;
    to_sync.sync_all().map_err(|error| failed(&error))
}

pub(super) fn open_regular(path: &Path, write: bool) -> Result<(File, fs::Metadata), OpenError> {
    // without O_NONBLOCK a pipe at this place would stop the daemon
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let opened = OpenOptions::new().read(true).write(write).custom_flags(flags.bits()).open(path);
    let file = opened.map_err(|error| match error.raw_os_error() {
        Some(code) if code == nix::errno::Errno::ELOOP as i32 => {
            OpenError::refused(path, "it is a symbolic link; put the journal itself there")
        }
        _ => OpenError::io(path, "opening the journal", &error),
    })?;
    let metadata = file.metadata().map_err(|error| OpenError::io(path, "opening the journal", &error))?;
    if !metadata.is_file() {
        return Err(OpenError::refused(path, "it is not a regular file"));
    }
    Ok((file, metadata))
}

/// The folder of `path`, locked against other processes that make or rename a journal in it, until it is dropped.
pub(super) fn lock_folder(path: &Path) -> Result<File, OpenError> {
    let folder = folder_of(path);
    let locked = File::open(folder).and_then(|folder| folder.lock().map(|()| folder));
    locked.map_err(|error| OpenError::io(folder, "locking the journal's folder", &error))
}

/// In a folder that others may write to, a journal can be replaced by any other.
fn refuse_open_folder(path: &Path, folder: &File) -> Result<(), OpenError> {
    let metadata = folder.metadata().map_err(|error| OpenError::io(path, "looking at the journal's folder", &error))?;
    let (owner, me, mode) = (metadata.uid(), geteuid().as_raw(), metadata.mode() & 0o7777);
    let name = path.parent().unwrap_or(path);
    if owner != me && owner != 0 {
        let reason = format!(
            "the state folder belongs to uid {owner}, and this is uid {me}; run as its owner, or give it to uid {me}"
        );
        return Err(OpenError::refused(name, reason));
    }
    if mode & 0o022 != 0 {
        let reason = format!("the mode of the state folder is {mode:04o}, others may write to it; set it to 0700");
        return Err(OpenError::refused(name, reason));
    }
    Ok(())
}

pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}
