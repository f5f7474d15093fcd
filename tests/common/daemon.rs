//! A daemon in this process, on a thread of its own, and a tripwire to make its parts fail or stand still.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::sync::mpsc::{Sender, UnboundedSender};
use vigie::{
    actors::{
        daemon::{self, Control, DaemonOptions, Ended, StartError, Time},
        storage::Storage,
        supervision::Tripwire,
    },
    config::{self, Config},
    state::step::State,
};

use super::{
    place::{CONFIG, Place},
    wait::PATIENCE,
    wire::Wire,
};

/// How a daemon is to be started.
pub struct Setup {
    /// The configuration, unless there is a file.
    pub config: String,
    pub config_path: Option<PathBuf>,
    pub socket: Option<PathBuf>,
    pub program: PathBuf,
    pub time: Time,
    pub trap: Trap,
    pub storage: Storage,
    /// Whether a service manager's watchdog is fed.
    pub watchdog: bool,
    /// Whether the daemon's state can be asked for.
    pub observed: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            config: CONFIG.to_owned(),
            config_path: None,
            socket: None,
            program: env!("CARGO_BIN_EXE_vigie").into(),
            time: Time::Wall,
            trap: Trap::default(),
            storage: Storage::default(),
            watchdog: false,
            observed: false,
        }
    }
}

/// A daemon that runs.
pub struct Daemon {
    control: Sender<Control>,
    thread: JoinHandle<Result<Ended, StartError>>,
    socket: PathBuf,
    /// Where its state is asked for.
    observe: UnboundedSender<mpsc::Sender<State>>,
}

impl Daemon {
    /// Starts a daemon with [`CONFIG`] and waits until it answers.
    pub fn start(place: &Place) -> Self {
        Self::start_with(place, Setup::default())
    }

    pub fn start_with(place: &Place, setup: Setup) -> Self {
        Self::try_start(place, setup).unwrap_or_else(|error| panic!("{error}"))
    }

    pub fn try_start(place: &Place, setup: Setup) -> Result<Self, StartError> {
        let config = match &setup.config_path {
            Some(path) => config::load(path).unwrap(),
            None => Config::parse("test", &setup.config).unwrap(),
        };
        let (state, socket) = (place.state(), setup.socket.unwrap_or_else(|| place.socket()));
        let (control, controlled) = tokio::sync::mpsc::channel(4);
        let (ready, readied) = mpsc::channel();
        let own_socket = socket.clone();
        let (observe, observed) = tokio::sync::mpsc::unbounded_channel::<mpsc::Sender<State>>();
        let mut observed = setup.observed.then_some(observed);
        let thread = thread::spawn(move || {
            let options = DaemonOptions {
                config,
                config_path: setup.config_path,
                state,
                socket: own_socket,
                program: setup.program,
                time: setup.time,
                tripwire: setup.trap.wire(),
                storage: setup.storage,
                drill: false,
                on_reload: None,
            };
            daemon::system().unwrap().block_on(daemon::run(options, controlled, move |gateway| {
                if let Some(mut observed) = observed.take() {
                    let gateway = gateway.clone();
                    actix::spawn(async move {
                        while let Some(asker) = observed.recv().await {
                            asker.send(gateway.state()).unwrap();
                        }
                    });
                }
                if setup.watchdog {
                    actix::spawn(daemon::feed_watchdog(gateway, Duration::from_millis(90), || ()));
                }
                let _nobody_waits_any_more = ready.send(());
            }))
        });
        match readied.recv_timeout(PATIENCE) {
            Ok(()) => Ok(Self { control, thread, socket, observe }),
            Err(_) => match thread.join().unwrap() {
                Err(error) => Err(error),
                Ok(ended) => panic!("it ended without serving: {ended:?}"),
            },
        }
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    pub fn connect(&self) -> Wire {
        Wire::connect(&self.socket)
    }

    /// What the parts of an observed daemon know now.
    pub fn state(&self) -> State {
        let (asker, answer) = mpsc::channel();
        self.observe.send(asker).unwrap();
        answer.recv_timeout(PATIENCE).unwrap()
    }

    pub fn tell(&self, control: Control) {
        self.control.blocking_send(control).unwrap();
    }

    /// Waits for the end of a daemon that ends by itself.
    pub fn ended(self) -> Ended {
        self.thread.join().unwrap().unwrap()
    }

    /// Stops it in good order.
    pub fn stop(self) {
        self.tell(Control::Stop);
        assert_eq!(self.ended(), Ended::Stopped);
    }
}

/// What a test holds to make parts of a daemon fail.
#[derive(Clone, Default)]
pub struct Trap(Arc<(Mutex<Traps>, Condvar)>);

#[derive(Default)]
struct Traps {
    panics: Vec<(&'static str, &'static str, usize)>,
    hold: Option<(&'static str, Option<&'static str>)>,
    held: bool,
    passed: BTreeMap<(String, String), usize>,
}

impl Trap {
    /// `actor` panics over the next `times` messages of the name `message`.
    pub fn panic_over(&self, actor: &'static str, message: &'static str, times: usize) {
        self.state().panics.push((actor, message, times));
    }

    /// Nothing panics any more.
    pub fn heal(&self) {
        self.state().panics.clear();
    }

    /// Panics that have not happened yet.
    pub fn left(&self) -> usize {
        self.state().panics.iter().map(|(_, _, left)| left).sum()
    }

    /// The journal's thread stands still before its next commit, as on a disk that hangs.
    pub fn hold_journal(&self) {
        self.hold_at("journal", "apply");
    }

    /// The thread of `actor` stands still before its next message.
    pub fn hold(&self, actor: &'static str) {
        self.state().hold = Some((actor, None));
    }

    /// The same, before its next message of the name `message`. What stands still elsewhere goes on.
    pub fn hold_at(&self, actor: &'static str, message: &'static str) {
        self.state().hold = Some((actor, Some(message)));
        self.0.1.notify_all();
    }

    /// Waits until the thread stands still.
    pub fn await_held(&self) {
        let (_, changed) = &*self.0;
        let waited = changed.wait_timeout_while(self.state(), PATIENCE, |state| !state.held);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(state.held, "nothing came to where it was to stand still");
    }

    /// How many messages of that name `actor` was about to handle.
    pub fn passed(&self, actor: &str, message: &str) -> usize {
        self.state().passed.get(&(actor.to_owned(), message.to_owned())).copied().unwrap_or(0)
    }

    /// Lets what stands still go on.
    pub fn release(&self) {
        self.state().hold = None;
        self.0.1.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, Traps> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wire(&self) -> Tripwire {
        let trap = self.clone();
        Tripwire::new(move |actor, message| trap.pass(actor, message))
    }

    fn pass(&self, actor: &str, message: &str) {
        let mut state = self.state();
        *state.passed.entry((actor.to_owned(), message.to_owned())).or_default() += 1;
        let is_held =
            |state: &Traps| state.hold.is_some_and(|(held, at)| held == actor && at.is_none_or(|at| at == message));
        if is_held(&state) {
            state.held = true;
            let (_, changed) = &*self.0;
            changed.notify_all();
            state = changed.wait_while(state, |state| is_held(state)).unwrap_or_else(PoisonError::into_inner);
            state.held = false;
        }
        let due = state.panics.iter_mut().find(|(a, m, left)| *a == actor && *m == message && *left > 0);
        if let Some((_, _, left)) = due {
            *left -= 1;
            drop(state);
            panic!("on purpose, over {message}");
        }
    }
}
