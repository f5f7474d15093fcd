//! Where a command finds the journal and the daemon: where the command line says, else the environment, else in this folder, else
//! where the service has them. What is found says how it was, so that an error can.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use clap::Args;

use super::{DEFAULT_STATE, PATIENCE};
use crate::{
    actors::daemon::{JOURNAL_FILE, SOCKET_FILE},
    protocol::client::Client,
};

/// Where the service has its state and listens, as its unit says.
pub(super) const SERVICE_STATE: &str = "/var/lib/vigie";
pub(super) const SERVICE_SOCKET: &str = "/run/vigie/vigie.sock";
/// What the environment says of them.
const STATE_VARIABLE: &str = "VIGIE_STATE";
const SOCKET_VARIABLE: &str = "VIGIE_SOCKET";

/// A path, and who named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) how: How,
}

/// Who named a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// The command line.
    Named,
    /// This variable.
    Environment(&'static str),
    /// Nobody; it is in this folder.
    Here,
    /// Nobody; it is the service's.
    Service,
}

impl How {
    /// What an error says behind the path.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Named => "",
            Self::Environment(STATE_VARIABLE) => " (from VIGIE_STATE)",
            Self::Environment(_) => " (from VIGIE_SOCKET)",
            Self::Here => " (the default in this folder)",
            Self::Service => " (the service's)",
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.path.display(), self.how.words())
    }
}

impl Found {
    fn new(path: impl Into<PathBuf>, how: How) -> Self {
        Self { path: path.into(), how }
    }

    /// As the command line names it.
    pub(super) fn named(path: impl Into<PathBuf>) -> Self {
        Self::new(path, How::Named)
    }

    /// A client of the daemon that listens there.
    pub(super) fn client(&self, deadline: std::time::Duration) -> Client {
        Client::new(&self.path, deadline).named_by(self.how.words())
    }

    /// Of a state folder: its journal.
    pub(super) fn journal(&self) -> PathBuf {
        self.path.join(JOURNAL_FILE)
    }

    /// Of a state folder: where its daemon listens.
    pub(super) fn socket(&self) -> Self {
        surroundings(|around| around.socket_of(self))
    }
}

/// Whether something is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum There {
    Yes,
    No,
    /// This user may not know, or may not read it.
    Denied,
}

/// What is asked to find something.
struct Surroundings<'a> {
    variable: &'a dyn Fn(&str) -> Option<PathBuf>,
    there: &'a dyn Fn(&Path) -> There,
}

/// As this process sees it.
fn surroundings<T>(find: impl FnOnce(&Surroundings<'_>) -> T) -> T {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let there = |path: &Path| {
        // a socket cannot be opened: it is there if it is seen
        let seen = path.symlink_metadata().and_then(|found| match found.is_file() {
            true => std::fs::File::open(path).map(drop),
            false => Ok(()),
        });
        match seen {
            Ok(()) => There::Yes,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => There::Denied,
            Err(_) => There::No,
        }
    };
    find(&Surroundings { variable: &variable, there: &there })
}

impl Surroundings<'_> {
    fn has(&self, path: impl AsRef<Path>) -> bool {
        (self.there)(path.as_ref()) != There::No
    }

    /// Whether the service is installed. Who sets one of the variables to nothing does not want it to be found.
    fn has_service(&self) -> bool {
        let is_unwanted = [STATE_VARIABLE, SOCKET_VARIABLE].iter().any(|name| (self.variable)(name) == Some("".into()));
        !is_unwanted && (self.has(Path::new(SERVICE_STATE).join(JOURNAL_FILE)) || self.has(SERVICE_SOCKET))
    }

    fn variable(&self, name: &'static str) -> Option<Found> {
        let named = (self.variable)(name).filter(|path| !path.as_os_str().is_empty());
        named.map(|path| Found::new(path, How::Environment(name)))
    }

    /// A folder that is written to: never the service's, unless it is named.
    fn own_state(&self, named: Option<&Path>) -> Found {
        let named = named.map(|path| Found::new(path, How::Named)).or_else(|| self.variable(STATE_VARIABLE));
        named.unwrap_or_else(|| Found::new(DEFAULT_STATE, How::Here))
    }

    /// Whether a daemon has its state in this folder, or had it.
    fn is_here(&self) -> bool {
        let files = [JOURNAL_FILE, SOCKET_FILE].map(|file| Path::new(DEFAULT_STATE).join(file));
        files.iter().any(|file| (self.there)(file) == There::Yes)
    }

    /// The socket, unless one is named the one that belongs to [`state`](Self::state): what is read and what is ordered are of one
    /// daemon.
    fn socket(&self, named: Option<&Path>) -> Found {
        let named = named.map(|path| Found::new(path, How::Named)).or_else(|| self.variable(SOCKET_VARIABLE));
        named.unwrap_or_else(|| self.socket_of(&self.state(None)))
    }

    /// Where the daemon of a state folder listens.
    fn socket_of(&self, state: &Found) -> Found {
        let own = state.path.join(SOCKET_FILE);
        if state.path == Path::new(SERVICE_STATE) && !self.has(&own) {
            return Found::new(SERVICE_SOCKET, How::Service);
        }
        Found::new(own, state.how)
    }

    fn state(&self, named: Option<&Path>) -> Found {
        match named.map(|path| Found::new(path, How::Named)).or_else(|| self.variable(STATE_VARIABLE)) {
            Some(found) => found,
            None if !self.is_here() && self.has_service() => Found::new(SERVICE_STATE, How::Service),
            None => Found::new(DEFAULT_STATE, How::Here),
        }
    }

    /// What is read: a folder that this user may read, else through the socket of its daemon.
    fn source(&self, state: Option<&Path>, socket: Option<&Path>) -> Source {
        let by_socket = match (state, socket) {
            (None, Some(_)) => true,
            (None, None) => self.variable(STATE_VARIABLE).is_none() && self.variable(SOCKET_VARIABLE).is_some(),
            _ => false,
        };
        if by_socket {
            return Source::Daemon(self.socket(socket));
        }
        let folder = self.state(state);
        let journal = (self.there)(&folder.journal());
        let is_services = folder.path == Path::new(SERVICE_STATE);
        match (journal, socket.map(|path| Found::new(path, How::Named)).or_else(|| self.variable(SOCKET_VARIABLE))) {
            (There::Denied, Some(socket)) => Source::Daemon(socket),
            (There::Denied, None) if is_services => Source::Daemon(Found::new(SERVICE_SOCKET, How::Service)),
            (There::No, None) if is_services && self.has(SERVICE_SOCKET) => {
                Source::Daemon(Found::new(SERVICE_SOCKET, How::Service))
            }
            _ => Source::Folder(folder),
        }
    }
}

/// Where the journal is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// In this state folder.
    Folder(Found),
    /// With the daemon that listens there.
    Daemon(Found),
}

/// Where the daemon's socket is.
#[derive(Debug, Clone, Args)]
pub(super) struct SocketArgs {
    /// Socket of the daemon [default: $VIGIE_SOCKET, else the one in $VIGIE_STATE, else vigie-state/vigie.sock if that folder has a
    /// journal or a socket, else /run/vigie/vigie.sock if the service is installed]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

impl SocketArgs {
    pub(super) fn found(&self) -> Found {
        surroundings(|around| around.socket(self.socket.as_deref()))
    }

    pub(super) fn client(&self) -> Client {
        self.found().client(PATIENCE)
    }

    /// Of a command that can name a state folder too: unless a socket is named, the daemon of a folder that is.
    pub(super) fn client_of(&self, state: &StateArgs) -> Client {
        match state.state.as_ref().filter(|_| self.socket.is_none()) {
            Some(folder) => Found::named(folder).socket().client(PATIENCE),
            None => self.client(),
        }
    }
}

/// Where the state is.
#[derive(Debug, Clone, Args)]
pub(super) struct StateArgs {
    /// State folder [default: $VIGIE_STATE, else vigie-state if it has a journal or a socket, else /var/lib/vigie
    /// if the service is installed]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

impl StateArgs {
    pub(super) fn found(&self) -> Found {
        surroundings(|around| around.state(self.state.as_deref()))
    }

    /// The folder, or the daemon to go through: one that is named, or that of a folder which this user may not read.
    pub(super) fn source(&self, socket: Option<&Path>) -> Source {
        surroundings(|around| around.source(self.state.as_deref(), socket))
    }
}

/// Where the state is that is written to.
#[derive(Debug, Clone, Args)]
pub(super) struct OwnStateArgs {
    /// State folder [default: $VIGIE_STATE, else vigie-state]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

impl OwnStateArgs {
    /// The folder, or the daemon that is named by the command line, or by the environment where no folder is.
    pub(super) fn written(&self, socket: Option<&Path>) -> Source {
        surroundings(|around| {
            let folder = around.own_state(self.state.as_deref());
            let by_variable = || around.variable(SOCKET_VARIABLE).filter(|_| folder.how == How::Here);
            match socket.map(Found::named).or_else(by_variable) {
                Some(socket) => Source::Daemon(socket),
                None => Source::Folder(folder),
            }
        })
    }

    pub(super) fn found(&self) -> Found {
        surroundings(|around| around.own_state(self.state.as_deref()))
    }
}

/// Where a daemon that starts has its state and listens. It never takes the service's by itself.
pub(super) fn of_a_new_daemon(state: Option<&Path>, socket: Option<&Path>) -> (PathBuf, PathBuf) {
    surroundings(|around| {
        let state = around.own_state(state).path;
        let named = socket.map(Path::to_owned).or_else(|| around.variable(SOCKET_VARIABLE).map(|found| found.path));
        let socket = named.unwrap_or_else(|| state.join(SOCKET_FILE));
        (state, socket)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICE_JOURNAL: &str = "/var/lib/vigie/vigie.redb";
    const LOCAL_JOURNAL: &str = "vigie-state/vigie.redb";
    const LOCAL_SOCKET: &str = "vigie-state/vigie.sock";

    /// With these variables, paths that are there, and paths that are denied.
    fn around<T>(
        variables: &[(&str, &str)],
        there: &[&str],
        denied: &[&str],
        find: impl FnOnce(&Surroundings<'_>) -> T,
    ) -> T {
        let variable = |name: &str| variables.iter().find(|(own, _)| *own == name).map(|(_, path)| PathBuf::from(path));
        let looked = |path: &Path| {
            let is_in = |paths: &[&str]| paths.iter().any(|own| Path::new(own) == path);
            match (is_in(there), is_in(denied)) {
                (true, _) => There::Yes,
                (_, true) => There::Denied,
                _ => There::No,
            }
        };
        find(&Surroundings { variable: &variable, there: &looked })
    }

    fn service(state: bool) -> Source {
        if state {
            Source::Folder(Found::new(SERVICE_STATE, How::Service))
        } else {
            Source::Daemon(Found::new(SERVICE_SOCKET, How::Service))
        }
    }

    #[test]
    fn what_is_named_comes_first_then_the_environment_then_this_folder_then_the_service() {
        let both = [(STATE_VARIABLE, "s"), (SOCKET_VARIABLE, "s.sock")];
        let all = [LOCAL_JOURNAL, LOCAL_SOCKET, SERVICE_JOURNAL, SERVICE_SOCKET];
        let named =
            around(&both, &all, &[], |around| (around.state(Some("x".as_ref())), around.socket(Some("y".as_ref()))));
        assert_eq!(named, (Found::new("x", How::Named), Found::new("y", How::Named)));
        let said = around(&both, &all, &[], |around| (around.state(None), around.socket(None)));
        assert_eq!(said.0, Found::new("s", How::Environment(STATE_VARIABLE)));
        assert_eq!(said.1, Found::new("s.sock", How::Environment(SOCKET_VARIABLE)));
        let here = around(&[], &all, &[], |around| (around.state(None), around.socket(None)));
        assert_eq!(here, (Found::new("vigie-state", How::Here), Found::new(LOCAL_SOCKET, How::Here)));
        let installed = around(&[], &all[2..], &[], |around| (around.state(None), around.socket(None)));
        assert_eq!(installed.0, Found::new(SERVICE_STATE, How::Service));
        assert_eq!(installed.1, Found::new(SERVICE_SOCKET, How::Service));
        let stopped = around(&[], &[], &[SERVICE_JOURNAL], |around| (around.state(None), around.socket(None)));
        assert_eq!(stopped, installed, "a service that is stopped is installed all the same");
        let none = around(&[], &[], &[], |around| (around.state(None), around.socket(None)));
        assert_eq!(none, here);
        let unwanted = [(SOCKET_VARIABLE, "")];
        let unwanted = around(&unwanted, &all[2..], &[], |around| (around.state(None), around.socket(None)));
        assert_eq!(unwanted, here, "an empty variable: as if no service were installed");
    }

    #[test]
    fn what_is_ordered_and_what_is_read_are_of_one_daemon() {
        let service = [SERVICE_JOURNAL, SERVICE_SOCKET];
        let socket =
            |variables: &[(&str, &str)], there: &[&str]| around(variables, there, &[], |around| around.socket(None));
        let by_state =
            socket(&[(STATE_VARIABLE, "s")], &[LOCAL_JOURNAL, LOCAL_SOCKET, SERVICE_JOURNAL, SERVICE_SOCKET]);
        assert_eq!(by_state, Found::new("s/vigie.sock", How::Environment(STATE_VARIABLE)));
        assert_eq!(by_state.to_string(), "s/vigie.sock (from VIGIE_STATE)");
        let of_service = socket(&[(STATE_VARIABLE, SERVICE_STATE)], &[LOCAL_SOCKET, SERVICE_JOURNAL, SERVICE_SOCKET]);
        assert_eq!(of_service, Found::new(SERVICE_SOCKET, How::Service));
        // the daemon of this folder is stopped: an order is not for the service
        for here in [&[LOCAL_JOURNAL][..], &[LOCAL_SOCKET]] {
            let there = [here, &service].concat();
            let found = around(&[], &there, &[], |around| (around.state(None), around.socket(None)));
            assert_eq!(found, (Found::new("vigie-state", How::Here), Found::new(LOCAL_SOCKET, How::Here)), "{here:?}");
        }
    }

    #[test]
    fn what_writes_takes_the_folder_of_the_service_only_where_it_is_named() {
        let all = [SERVICE_JOURNAL, SERVICE_SOCKET];
        let own = |variables: &[(&str, &str)], named: Option<&Path>| {
            around(variables, &all, &[], |around| around.own_state(named))
        };
        assert_eq!(own(&[], None), Found::new("vigie-state", How::Here));
        assert_eq!(own(&[(STATE_VARIABLE, "s")], None), Found::new("s", How::Environment(STATE_VARIABLE)));
        assert_eq!(own(&[], Some(SERVICE_STATE.as_ref())), Found::new(SERVICE_STATE, How::Named));
    }

    #[test]
    fn a_journal_that_may_not_be_read_is_read_through_its_daemon() {
        let root = around(&[], &[SERVICE_JOURNAL, SERVICE_SOCKET], &[], |around| around.source(None, None));
        assert_eq!(root, service(true));
        let denied = |state: Option<&Path>| {
            around(&[], &[SERVICE_SOCKET], &[SERVICE_JOURNAL], |around| around.source(state, None))
        };
        assert_eq!(denied(None), service(false));
        assert_eq!(denied(Some(SERVICE_STATE.as_ref())), service(false), "the commands of the handbook work for all");
        let elsewhere = around(&[], &[], &["x/vigie.redb"], |around| {
            (around.source(Some("x".as_ref()), None), around.source(Some("x".as_ref()), Some("y".as_ref())))
        });
        assert_eq!(elsewhere.0, Source::Folder(Found::new("x", How::Named)), "its error says that it may not be read");
        assert_eq!(elsewhere.1, Source::Daemon(Found::new("y", How::Named)));
        let socket = [(SOCKET_VARIABLE, "s.sock")];
        let by_variable = around(&socket, &[LOCAL_JOURNAL], &[], |around| around.source(None, None));
        assert_eq!(by_variable, Source::Daemon(Found::new("s.sock", How::Environment(SOCKET_VARIABLE))));
        let by_name = around(&socket, &[LOCAL_JOURNAL], &[], |around| around.source(None, Some("y".as_ref())));
        assert_eq!(by_name, Source::Daemon(Found::new("y", How::Named)));
        let folder = around(&socket, &["x/vigie.redb"], &[], |around| around.source(Some("x".as_ref()), None));
        assert_eq!(folder, Source::Folder(Found::new("x", How::Named)));
    }
}
