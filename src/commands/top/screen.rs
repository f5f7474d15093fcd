//! A terminal that is given back as it was, however the command ends.

use std::{
    ffi::OsStr,
    io::{self, IsTerminal as _, Read as _, Write as _},
    os::{fd::AsFd, unix::net::UnixStream},
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::bail;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{getpgrp, getsid},
    termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr},
};
use signal_hook::{
    consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGWINCH},
    flag,
    low_level::{emulate_default_handler, pipe},
};

use super::{super::terminal::colours, layout::Row, painted};

/// The terminal as it was, while it is in use.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// A terminal in use. Dropped it is as it was before, also when a panic ends the process and while the process is stopped.
pub(super) struct Screen {
    colours: bool,
    /// A signal that ends came.
    over: Arc<AtomicBool>,
    /// The process is to stop.
    stop: Arc<AtomicBool>,
    /// The process goes on after it was stopped.
    on: Arc<AtomicBool>,
    woken: UnixStream,
    waker: UnixStream,
}

impl Screen {
    /// Takes the terminal, and the signals that end or stop the process.
    ///
    /// # Errors
    /// When standard input or output is none, or it cannot move its cursor.
    pub(super) fn open() -> anyhow::Result<Self> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            bail!("this is no terminal; `vigie top --once` prints one picture without one");
        }
        let term = std::env::var_os("TERM");
        if !draws(term.as_deref()) {
            let term = term.unwrap_or_default();
            let term = term.to_string_lossy();
            bail!(
                "this terminal cannot be drawn on (TERM={term}); `vigie top --once` prints one picture as plain lines"
            );
        }
        let (woken, waker) = UnixStream::pair()?;
        woken.set_nonblocking(true)?;
        waker.set_nonblocking(true)?;
        let [over, stop, on] = [(); 3].map(|()| Arc::new(AtomicBool::new(false)));
        let ends = [SIGINT, SIGTERM, SIGHUP, SIGQUIT].map(|signal| (signal, &over));
        for (signal, what) in ends.into_iter().chain([(SIGTSTP, &stop), (SIGCONT, &on)]) {
            flag::register(signal, Arc::clone(what))?;
        }
        // the flag is set first, then who waits is woken
        for signal in [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT, SIGWINCH] {
            pipe::register(signal, waker.try_clone()?)?;
        }
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            give_back();
            print(panic);
        }));
        take()?;
        Ok(Self { colours: colours(), over, stop, on, woken, waker })
    }

    /// What wakes [`Self::wants_to_end`] by one byte.
    pub(super) fn waker(&self) -> io::Result<UnixStream> {
        self.waker.try_clone()
    }

    /// Shows these lines.
    pub(super) fn draw(&self, rows: &[Row]) -> io::Result<()> {
        let in_use = before();
        if in_use.is_none() {
            return Ok(());
        }
        write(&painted(rows, self.colours))
    }

    /// Waits for a key, a signal or news as long as `patience`; whether what came ends the command. A process that is to stop
    /// stops here, with the terminal given back; when it goes on the terminal is taken again.
    pub(super) fn wants_to_end(&self, patience: Duration) -> anyhow::Result<bool> {
        let stdin = io::stdin();
        let mut waiting = [PollFd::new(&stdin, PollFlags::IN), PollFd::new(&self.woken, PollFlags::IN)];
        let patience = Timespec { tv_sec: patience.as_secs() as i64, tv_nsec: patience.subsec_nanos().into() };
        match poll(&mut waiting, Some(&patience)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let [typed, _] = waiting.map(|polled| !polled.revents().is_empty());
        let mut bytes = [0; 256];
        while matches!((&self.woken).read(&mut bytes), Ok(1..)) {}
        if self.over.load(SeqCst) {
            return Ok(true);
        }
        if self.stop.swap(false, SeqCst) && has_job_control() {
            give_back();
            emulate_default_handler(SIGTSTP)?;
            self.on.store(true, SeqCst);
        }
        if self.on.swap(false, SeqCst) {
            take()?;
            return Ok(false);
        }
        if !typed {
            return Ok(false);
        }
        let mut keys = [0; 64];
        match rustix::io::read(stdin.as_fd(), &mut keys) {
            // nothing to read is an end: the terminal has gone
            Ok(count) => Ok(count == 0 || keys.iter().take(count).any(|key| matches!(key, b'q' | b'Q' | 3 | 4))),
            Err(Errno::INTR | Errno::AGAIN) => Ok(false),
            Err(Errno::IO) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// Whether a terminal of this name obeys what moves the cursor.
fn draws(term: Option<&OsStr>) -> bool {
    term.is_some_and(|term| !term.is_empty() && term != "dumb")
}

/// Whether a shell is there that lets a stopped process go on: one that leads the session itself has none.
fn has_job_control() -> bool {
    getsid(None).is_ok_and(|session| session != getpgrp())
}

fn before() -> MutexGuard<'static, Option<Termios>> {
    BEFORE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sets the terminal's modes and shows an empty screen. In the background the system stops the process here, until it is in front.
fn take() -> anyhow::Result<()> {
    let mut before = before();
    let was = match before.take() {
        Some(was) => was,
        None => tcgetattr(io::stdin())?,
    };
    let mut now = was.clone();
    now.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
    *before = Some(was);
    tcsetattr(io::stdin(), OptionalActions::Now, &now)?;
    write("\u{1b}[?1049h\u{1b}[?25l\u{1b}[2J")?;
    Ok(())
}

fn give_back() {
    let mut before = before();
    if let Some(was) = before.take() {
        let _nobody_can_look = write("\u{1b}[0m\u{1b}[?25h\u{1b}[?1049l");
        let _it_may_have_gone = tcsetattr(io::stdin(), OptionalActions::Now, &was);
    }
}

fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_that_obeys_nothing_is_not_drawn_on() {
        let names = [None, Some(""), Some("dumb"), Some("xterm-256color"), Some("linux")];
        assert_eq!(names.map(|name| draws(name.map(OsStr::new))), [false, false, false, true, true]);
    }
}
