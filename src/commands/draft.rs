//! Files that commands write: beside their place first, and put there when they are whole.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::Context;

use super::terminal::{noted, warn};

/// A file on its way to its place. What stands there stays until [`finish`](Draft::finish); one that is dropped before is
/// removed. What is no regular file, such as a pipe or a device, is written to directly.
#[derive(Debug)]
pub(super) struct Draft {
    /// `None` once it is finished.
    file: Option<File>,
    /// Where it is written, when that is not its place.
    beside: Option<PathBuf>,
    place: PathBuf,
}

impl Draft {
    /// Begins a file that is to stand at `path`; of a symbolic link, at its target, whether that is there or not.
    ///
    /// # Errors
    /// When it cannot be made; the message names `path`, and where it leads.
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        Self::begin(path).with_context(|| {
            let leads = followed(path).ok().filter(|place| place != path);
            let leads = leads.map(|place| format!(", which is a link to {},", place.display()));
            format!("{}{} cannot be made", path.display(), leads.unwrap_or_default())
        })
    }

    fn begin(path: &Path) -> io::Result<Self> {
        // asked of the path itself: /dev/stdout is a link to what has no path
        let standing = fs::metadata(path);
        if standing.as_ref().is_ok_and(|metadata| !metadata.is_file()) {
            let file = OpenOptions::new().write(true).open(path)?;
            return Ok(Self { file: Some(file), beside: None, place: path.to_owned() });
        }
        let place = followed(path)?;
        let standing = match standing {
            Ok(metadata) => Some(metadata.permissions()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let mut name = OsString::from(".");
        name.push(place.file_name().ok_or(io::ErrorKind::InvalidFilename)?);
        name.push(format!(".{}.part", std::process::id()));
        let beside = place.with_file_name(name);
        let file = OpenOptions::new().write(true).create_new(true).open(&beside)?;
        let draft = Self { file: Some(file), beside: Some(beside), place };
        if let (Some(permissions), Some(file)) = (standing, &draft.file) {
            file.set_permissions(permissions)?;
        }
        Ok(draft)
    }

    /// Puts the file in its place, once it is on disk.
    ///
    /// # Errors
    /// What the system says; then its place is as it was.
    pub fn finish(mut self) -> io::Result<()> {
        let Some(mut file) = self.file.take() else { return Ok(()) };
        file.flush()?;
        if let Some(beside) = &self.beside {
            file.sync_all()?;
            fs::rename(beside, &self.place)?;
            self.beside = None;
        }
        Ok(())
    }
}

/// Links that are followed one after the other, as by the system.
const MOST_LINKS: usize = 40;

/// Where a path leads that may be a symbolic link, also to what is not there.
fn followed(path: &Path) -> io::Result<PathBuf> {
    let mut place = path.to_owned();
    for _ in 0..MOST_LINKS {
        if !place.is_symlink() {
            return Ok(place);
        }
        let target = fs::read_link(&place)?;
        place = place.parent().unwrap_or(Path::new("")).join(target);
    }
    Err(io::Error::other("its links lead in a circle"))
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // what is no regular file may be a pipe
        noted(self.file.as_mut().ok_or(io::ErrorKind::InvalidInput)?.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), File::flush)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Some(beside) = &self.beside
            && let Err(error) = fs::remove_file(beside)
        {
            warn(format_args!("{} is left behind: {error}", beside.display()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_stands_there_stays_until_the_new_file_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("trades.csv");
        fs::write(&place, "old").unwrap();
        fs::set_permissions(&place, fs::Permissions::from_mode(0o640)).unwrap();
        let mut draft = Draft::create(&place).unwrap();
        draft.write_all(b"half").unwrap();
        assert_eq!(fs::read(&place).unwrap(), b"old");
        drop(draft);
        assert_eq!((fs::read(&place).unwrap(), names(folder.path())), (b"old".to_vec(), vec!["trades.csv".to_owned()]));
        let mut draft = Draft::create(&place).unwrap();
        draft.write_all(b"whole").unwrap();
        draft.finish().unwrap();
        assert_eq!(fs::read(&place).unwrap(), b"whole");
        assert_eq!(fs::metadata(&place).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(names(folder.path()), ["trades.csv"]);
    }

    #[test]
    fn a_link_stays_a_link_and_a_device_is_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let (place, link) = (folder.path().join("real"), folder.path().join("link"));
        fs::write(&place, "old").unwrap();
        symlink(&place, &link).unwrap();
        let mut draft = Draft::create(&link).unwrap();
        draft.write_all(b"new").unwrap();
        draft.finish().unwrap();
        assert!(link.is_symlink() && fs::read(&place).unwrap() == b"new");
        let dangling = folder.path().join("dangling");
        symlink("later", &dangling).unwrap();
        let mut draft = Draft::create(&dangling).unwrap();
        draft.write_all(b"made").unwrap();
        draft.finish().unwrap();
        assert!(dangling.is_symlink() && fs::read(folder.path().join("later")).unwrap() == b"made");
        let astray = folder.path().join("astray");
        symlink("no/folder/x", &astray).unwrap();
        let said = format!("{:#}", Draft::create(&astray).unwrap_err());
        assert!(said.contains("which is a link to") && said.contains("no/folder/x, cannot be made"), "{said}");
        let circle = folder.path().join("circle");
        symlink("circle", &circle).unwrap();
        assert!(Draft::create(&circle).is_err());
        assert_eq!(names(folder.path()), ["astray", "circle", "dangling", "later", "link", "real"]);
        let mut draft = Draft::create(Path::new("/dev/null")).unwrap();
        draft.write_all(b"gone").unwrap();
        draft.finish().unwrap();
        assert!(Draft::create(&folder.path().join("no/such/folder")).is_err());
    }
}
