//! Files that survive a power cut: written beside, brought to the disk, renamed.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

/// Replaces `path` by `bytes`. Whatever happens, one of the two is there, whole.
///
/// # Errors
/// When the system writes nothing; the old file is still there then.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let open = || File::options().write(true).create(true).truncate(true).mode(0o600).open(&beside);
    let mut file = match (open(), path.parent()) {
        // somebody removed the folder
        (Err(error), Some(folder)) if error.kind() == io::ErrorKind::NotFound => {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            open()?
        }
        (file, _) => file?,
    };
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    sync_folder(path)
}

/// Brings the names in the folder of `path` to the disk.
///
/// # Errors
/// When the system does not.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// Whether `file` is what lies at `path`, and was not removed or replaced.
pub fn is_at(file: &File, path: &Path) -> bool {
    let name = |found: fs::Metadata| (found.dev(), found.ino());
    let (open, there) = (file.metadata().map(name), fs::metadata(path).map(name));
    matches!((open, there), (Ok(open), Ok(there)) if open == there)
}

/// The bytes of a file; none if there is none.
///
/// # Errors
/// When it is there and cannot be read.
pub fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        bytes => bytes.map(Some),
    }
}
