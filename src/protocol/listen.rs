//! The socket's file: made so that nobody can slip in before its mode is set, never taken from a living daemon, and made again
//! when it is gone.

use std::{
    fs, io,
    os::{
        fd::AsRawFd as _,
        unix::{
            fs::{FileTypeExt, MetadataExt, PermissionsExt},
            net::UnixListener as Socket,
        },
    },
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use nix::{
    errno::Errno,
    sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket},
};
use tokio::net::UnixListener;

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
    held: Held,
}

/// Which file it is, until it is to be there no more. Held while it is looked for, so that none is made behind the last.
type Held = Arc<Mutex<Option<u64>>>;

/// Looks whether the file is still there. It is asked on a thread that may wait for a disk.
#[derive(Debug)]
pub struct SocketWatch {
    path: PathBuf,
    held: Held,
    /// What stands in the way was told of.
    told: bool,
}

/// What was found when the file was not in its place.
#[derive(Debug)]
pub enum Displaced {
    /// It was made again; who connects from now on comes here.
    MadeAgain(UnixListenerToBe),
    /// It could not be made again; told once.
    Lost(ListenError),
}

/// A listener of the system, which becomes one of the event loop's on its thread.
#[derive(Debug)]
pub struct UnixListenerToBe(Socket);

impl UnixListenerToBe {
    /// The listener of this thread's event loop.
    ///
    /// # Errors
    /// What the system says.
    pub fn listener(self) -> io::Result<UnixListener> {
        self.0.set_nonblocking(true)?;
        UnixListener::from_std(self.0)
    }
}

impl SocketFile {
    /// Looks after the file from another thread.
    pub fn watch(&self) -> SocketWatch {
        SocketWatch { path: self.path.clone(), held: Arc::clone(&self.held), told: false }
    }
}

impl SocketWatch {
    /// Looks, and makes the file again when it is gone, or when a socket stands there that nobody listens on. What somebody
    /// else put there is left alone.
    pub fn look(&mut self) -> Option<Displaced> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let inode = (*held)?;
        // the inode of a socket that is listened on is given to no other file
        if fs::symlink_metadata(&self.path).is_ok_and(|found| found.ino() == inode) {
            self.told = false;
            return None;
        }
        match clear_the_way(&self.path).and_then(|()| place(&self.path)) {
            Ok((socket, inode)) => {
                *held = Some(inode);
                self.told = false;
                Some(Displaced::MadeAgain(UnixListenerToBe(socket)))
            }
            Err(error) => (!std::mem::replace(&mut self.told, true)).then_some(Displaced::Lost(error)),
        }
    }
}

/// Listens at `path`, mode 0660. A socket left behind by a daemon that was killed is replaced.
///
/// # Errors
/// [`ListenError`].
pub fn listen(path: &Path) -> Result<(UnixListener, SocketFile), ListenError> {
    clear_the_way(path)?;
    let (socket, inode) = place(path)?;
    let failed = |source| ListenError::Io { path: path.to_owned(), source };
    let file = SocketFile { path: path.to_owned(), held: Arc::new(Mutex::new(Some(inode))) };
    Ok((UnixListenerToBe(socket).listener().map_err(failed)?, file))
}

/// Makes the socket under another name, and gives it its own when its mode is set.
fn place(path: &Path) -> Result<(Socket, u64), ListenError> {
    let failed = |source| ListenError::Io { path: path.to_owned(), source };
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}", std::process::id()));
    let temporary = PathBuf::from(temporary);
    let _left_behind = fs::remove_file(&temporary);
    let socket = Socket::bind(&temporary).map_err(failed)?;
    let placed = fs::set_permissions(&temporary, fs::Permissions::from_mode(MODE))
        .and_then(|()| fs::rename(&temporary, path))
        .and_then(|()| fs::symlink_metadata(path));
    match placed {
        Ok(metadata) => Ok((socket, metadata.ino())),
        Err(error) => {
            let _best_effort = fs::remove_file(&temporary);
            Err(failed(error))
        }
    }
}

fn clear_the_way(path: &Path) -> Result<(), ListenError> {
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
    match try_connect(path) {
        Err(Errno::ECONNREFUSED | Errno::ENOENT) => Ok(()),
        Ok(()) | Err(Errno::EAGAIN) => Err(ListenError::InUse { path: path.to_owned() }),
        Err(errno) => Err(ListenError::Io { path: path.to_owned(), source: errno.into() }),
    }
}

/// Connects without waiting.
fn try_connect(path: &Path) -> Result<(), Errno> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    connect(socket.as_raw_fd(), &UnixAddr::new(path)?)
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let inode = self.held.lock().unwrap_or_else(PoisonError::into_inner).take();
        if fs::symlink_metadata(&self.path).is_ok_and(|metadata| Some(metadata.ino()) == inode) {
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
            let (_listener, file) = listen(&path).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, MODE);
            assert!(matches!(listen(&path), Err(ListenError::InUse { .. })));
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
            assert!(matches!(listen(&file), Err(ListenError::InTheWay { .. })));
            assert!(matches!(listen(&link), Err(ListenError::InTheWay { .. })));
        });
        assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    }
}
