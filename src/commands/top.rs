//! `vigie top`: what the daemon does now, in a terminal.

mod ask;
mod frame;
mod layout;
mod levels;
mod screen;
mod words;

use std::time::Duration;

use anyhow::anyhow;
use clap::Args;
use terminal_size::terminal_size_of;

use self::{
    ask::News,
    frame::{Away, Seen, frame},
    layout::{Row, Tone},
    screen::Screen,
};
use super::{Outcome, SocketArgs, found::Found, terminal::tell};
use crate::clock::Stopwatch;

/// Without an answer for so long the daemon is away.
const SILENCE: Duration = Duration::from_millis(2_500);
/// The size of a picture where no terminal says it.
const SIZE: (usize, usize) = (100, 60);

const EXAMPLES: &str = "\
Examples:
  vigie top
  vigie top --once --width 60 | mail -s 'before the open' trader";

/// Watch the daemon in a terminal: what is served and why, the guardian, tests, latency, alerts, signals
///
/// Asks once a second, tests every ten. `q` or Ctrl-C ends it, Ctrl-Z stops it. While the daemon is away it says so and since when its
/// picture is old, and goes on when that is back. What a window has no room for is counted.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Top {
    /// Print one picture, and end; it needs no terminal
    #[arg(long)]
    once: bool,
    /// Columns of the picture [default: as the terminal has, or 100]
    #[arg(long, value_name = "COLUMNS", value_parser = clap::value_parser!(u16).range(40..=400))]
    width: Option<u16>,
    #[command(flatten)]
    socket: SocketArgs,
}

impl Top {
    /// Runs the command.
    ///
    /// # Errors
    /// With `--once` when no daemon answers; else when standard output is no terminal, or one that cannot be drawn on.
    pub fn run(self) -> Outcome {
        let socket = self.socket.found();
        if self.once {
            let mut client = socket.client(ask::PATIENCE);
            let seen = ask::now(&mut client)?;
            let seen = Seen { trials: ask::trials(&mut client)?, ..seen };
            let (width, height) = self.size();
            for row in frame(&seen, width, height) {
                tell(row.into_iter().map(|(_, text)| text).collect::<String>().trim_end())?;
            }
            return Ok(());
        }
        self.watch(&socket)
    }

    fn watch(&self, socket: &Found) -> Outcome {
        let screen = Screen::open()?;
        let asking = ask::begin(socket, screen.waker()?)?;
        let (mut seen, mut heard) = (Seen::default(), Stopwatch::start());
        let mut why = None;
        loop {
            while let Some(news) = asking.news() {
                match news {
                    News::Now(now) => {
                        seen = Seen { trials: seen.trials, ..*now };
                        (heard, why) = (Stopwatch::start(), None);
                    }
                    News::Trials(trials) => seen.trials = trials,
                    News::Away(error) => why = Some(error),
                }
            }
            if asking.is_broken() {
                return Err(anyhow!(
                    "a part of `vigie top` has failed; the daemon is not touched by that, start it again"
                )
                .into());
            }
            let silent = heard.elapsed();
            let away = why.is_some() || silent >= SILENCE;
            seen.away = away.then(|| Away { why: why.clone().unwrap_or_default(), seconds: silent.as_secs() });
            let (width, height) = self.size();
            screen.draw(&frame(&seen, width, height))?;
            panics_here("drawing");
            if screen.wants_to_end(ask::PERIOD)? {
                return Ok(());
            }
        }
    }

    fn size(&self) -> (usize, usize) {
        let found = terminal_size_of(std::io::stdout()).map(|(width, height)| (width.0.into(), height.0.into()));
        let (width, height) = found.unwrap_or(SIZE);
        (self.width.map_or(width, usize::from), if self.once { SIZE.1 } else { height })
    }
}

/// Where a test has it panic, in a build with debug assertions.
fn panics_here(place: &str) {
    debug_assert!(std::env::var_os("VIGIE_TOP_PANICS").is_none_or(|at| at != place), "planted");
}

/// The picture as a terminal takes it.
fn painted(rows: &[Row], colours: bool) -> String {
    let mut out = String::from("\u{1b}[H");
    for (place, row) in rows.iter().enumerate() {
        // erased before it is written: behind a full line the cursor stands on its last character
        out += if place + 1 < rows.len() { "\u{1b}[K" } else { "\u{1b}[J" };
        for (tone, text) in row {
            let code = match tone {
                Tone::Plain => "",
                Tone::Head => "\u{1b}[1m",
                Tone::Quiet => "\u{1b}[2m",
                Tone::Good => "\u{1b}[32m",
                Tone::Warn => "\u{1b}[33m",
                Tone::Bad => "\u{1b}[1;31m",
            };
            let (on, off) = if colours && !code.is_empty() { (code, "\u{1b}[0m") } else { ("", "") };
            out += &format!("{on}{text}{off}");
        }
        if place + 1 < rows.len() {
            out += "\r\n";
        }
    }
    out
}
