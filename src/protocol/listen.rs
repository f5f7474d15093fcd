//! The socket's file: made so that nobody can slip in before its mode is set, and never taken from a living daemon.

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use tokio::net::{UnixListener, UnixStream};

/// Owner and group may connect.
const MODE: u32 = 0o660;

/// Why the socket cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// A daemon answers there.
    #[error("{path}: another daemon listens there; stop it, or choose another --socket")]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// Something that is not a socket of ours stands there.
    #[error("{path}: {what} is in the way; remove it, or choose another --socket")]
    InTheWay {
        /// The path.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// The system refused.
    #[error("{path}: the socket cannot be made: {source}")]
    Io {
        /// The path.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

/// The file of a socket that is listened on; it is removed when this is dropped, unless it is somebody else's by then.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    inode: u64,
}

/// Listens at `path`, mode 0660. A socket left behind by a daemon that was killed is replaced.
///
/// # Errors
/// [`ListenError`].
pub async fn listen(path: &Path) -> Result<(UnixListener, SocketFile), ListenError> {
    let failed = |source| ListenError::Io { path: path.to_owned(), source };
    clear_the_way(path).await?;
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}", std::process::id()));
    let temporary = PathBuf::from(temporary);
    let _left_behind = fs::remove_file(&temporary);
    let listener = UnixListener::bind(&temporary).map_err(failed)?;
    let placed = fs::set_permissions(&temporary, fs::Permissions::from_mode(MODE))
        .and_then(|()| fs::rename(&temporary, path))
        .and_then(|()| fs::symlink_metadata(path));
    match placed {
        Ok(metadata) => Ok((listener, SocketFile { path: path.to_owned(), inode: metadata.ino() })),
        Err(error) => {
            let _best_effort = fs::remove_file(&temporary);
            Err(failed(error))
        }
    }
}

async fn clear_the_way(path: &Path) -> Result<(), ListenError> {
    let in_the_way = |what| Err(ListenError::InTheWay { path: path.to_owned(), what });
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(ListenError::Io { path: path.to_owned(), source }),
        Ok(metadata) => metadata,
    };
    if metadata.file_type().is_symlink() {
        return in_the_way("a symbolic link");
    }
    if !metadata.file_type().is_socket() {
        return in_the_way("a file that is no socket");
    }
    match UnixStream::connect(path).await {
        Ok(_) => Err(ListenError::InUse { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(ListenError::InUse { path: path.to_owned() }),
        Err(source) => Err(ListenError::Io { path: path.to_owned(), source }),
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|metadata| metadata.ino() == self.inode) {
            let _best_effort = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_living_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "left behind");
        run(async {
            let (_listener, file) = listen(&path).await.unwrap();
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, MODE);
            assert!(matches!(listen(&path).await, Err(ListenError::InUse { .. })));
            drop(file);
            assert!(!path.exists(), "removed at the end");
        });
    }

    #[test]
    fn links_and_other_files_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "precious").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        run(async {
            assert!(matches!(listen(&file).await, Err(ListenError::InTheWay { .. })));
            assert!(matches!(listen(&link).await, Err(ListenError::InTheWay { .. })));
        });
        assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    }
}
