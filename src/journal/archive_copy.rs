//! Archived files beside a backup. They never change, so what is there already is not copied again.
#![deny(clippy::indexing_slicing)]

use std::{
    fs::{self, File},
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use super::{
    ArchiveError,
    archive::{self, is_it},
    archived_file::ArchivedFile,
    file,
};

/// The folder of the archived files of the journal at `path`.
pub fn archive_of(path: &Path) -> PathBuf {
    archive::folder_of(path)
}

/// The folder of those of a backup.
pub fn archive_of_backup(path: &Path) -> PathBuf {
    file::with_suffix(path, ".archive")
}

/// Looks whether each file is in one of the folders.
///
/// # Errors
/// [`ArchiveError::File`] names the first that is in none.
pub fn find_archive(files: &[ArchivedFile], folders: &[&Path]) -> Result<(), ArchiveError> {
    files.iter().try_for_each(|file| find(file, folders).map(drop))
}

/// Puts the files that are not in the folder `to` yet there, from `from`, and waits for the disk. Says how many these were.
///
/// # Errors
/// [`ArchiveError::File`].
pub fn copy_archive(files: &[ArchivedFile], from: &Path, to: &Path) -> Result<usize, ArchiveError> {
    let mut copied = 0;
    for file in files {
        let place = to.join(&file.name);
        if is_it(&place, file).is_ok() {
            continue;
        }
        let source = find(file, &[from])?;
        let half = to.join(format!(".{}.part", file.name));
        let done = fs::DirBuilder::new().recursive(true).mode(0o700).create(to).and_then(|()| {
            fs::copy(&source, &half)?;
            fs::set_permissions(&half, fs::Permissions::from_mode(0o600))?;
            File::open(&half)?.sync_all()?;
            fs::rename(&half, &place)?;
            file::sync_folder(&place)?;
            file::sync_folder(to)
        });
        done.map_err(|error| ArchiveError::File { path: place.clone(), what: error.to_string() })?;
        is_it(&place, file).map_err(|what| ArchiveError::File { path: place, what })?;
        copied += 1;
    }
    Ok(copied)
}

fn find(file: &ArchivedFile, folders: &[&Path]) -> Result<PathBuf, ArchiveError> {
    let mut first = None;
    for folder in folders {
        let path = folder.join(&file.name);
        match is_it(&path, file) {
            Ok(()) => return Ok(path),
            Err(what) => {
                let what = format!("the archive of the records {} to {} {what}; put it there", file.first, file.last);
                first.get_or_insert(ArchiveError::File { path, what });
            }
        }
    }
    let nowhere = || ArchiveError::File { path: PathBuf::from(&file.name), what: "it is in no folder".to_owned() };
    Err(first.unwrap_or_else(nowhere))
}
