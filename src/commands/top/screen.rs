//! A terminal that is given back as it was, however the command ends.

use std::{
    io::{self, IsTerminal as _, Read as _, Write as _},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::bail;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr},
};

use super::{super::terminal::colours, Line, painted};

/// The terminal as it was, while it is in use.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// A terminal in use. Dropped it is as it was before, also when a panic ends the process.
pub(super) struct Screen {
    colours: bool,
}

impl Screen {
    /// Takes the terminal.
    ///
    /// # Errors
    /// When standard input or output is none.
    pub(super) fn open() -> anyhow::Result<Self> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            bail!("this is no terminal; `vigie top --once` prints one picture without one");
        }
        let before = tcgetattr(io::stdin())?;
        let mut now = before.clone();
        now.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            give_back();
            print(panic);
        }));
        let screen = Self { colours: colours() };
        tcsetattr(io::stdin(), OptionalActions::Now, &now)?;
        write("\u{1b}[?1049h\u{1b}[?25l\u{1b}[2J")?;
        Ok(screen)
    }

    /// Shows these lines.
    pub(super) fn draw(&self, lines: &[Line]) -> io::Result<()> {
        write(&painted(lines, self.colours))
    }

    /// Waits for a key as long as `patience`, or until a signal comes; whether the key is one that ends.
    pub(super) fn wants_to_end(&self, patience: Duration) -> anyhow::Result<bool> {
        let stdin = io::stdin();
        let mut waiting = [PollFd::new(&stdin, PollFlags::IN)];
        let patience = Timespec { tv_sec: patience.as_secs() as i64, tv_nsec: patience.subsec_nanos().into() };
        match poll(&mut waiting, Some(&patience)) {
            Ok(0) | Err(Errno::INTR) => return Ok(false),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let mut keys = [0; 16];
        let count = stdin.lock().read(&mut keys)?;
        // nothing to read is an end: the terminal has gone
        Ok(count == 0 || keys.iter().take(count).any(|key| matches!(key, b'q' | b'Q' | 3 | 4)))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

fn give_back() {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(before) = before {
        let _nobody_can_look = write("\u{1b}[0m\u{1b}[?25h\u{1b}[?1049l");
        let _it_may_have_gone = tcsetattr(io::stdin(), OptionalActions::Now, &before);
    }
}

fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
