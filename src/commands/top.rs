//! `vigie top`: what the daemon does now, in a terminal.

mod frame;
mod screen;

use std::{path::Path, sync::Arc, sync::atomic::AtomicBool, sync::atomic::Ordering, time::Duration};

use clap::Args;
use serde_json::{Value, json};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    flag,
};
use terminal_size::terminal_size_of;

use self::{
    frame::{Line, Seen, frame},
    screen::Screen,
};
use super::{Outcome, SocketArgs, terminal::tell};
use crate::{
    clock::Stopwatch,
    protocol::client::{Client, ClientError},
};

/// Between two pictures.
const PERIOD: Duration = Duration::from_secs(1);
/// Pictures between two looks at tests, which take the daemon longer.
const TRIALS_EVERY: u64 = 10;
/// How long the daemon is waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// The size of a picture where no terminal says it.
const SIZE: (usize, usize) = (100, 60);

const EXAMPLES: &str = "\
Examples:
  vigie top
  vigie top --once --width 60 | mail -s 'before the open' trader";

/// Watch the daemon in a terminal: what is served and why, the guardian, tests, latency, alerts, signals
///
/// Asks once a second, tests every ten. `q` or Ctrl-C ends it. While the daemon is away it says so, and goes on when that is back.
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
    /// With `--once` when no daemon answers; else when standard output is no terminal.
    pub fn run(self) -> Outcome {
        let path = self.socket.path();
        if self.once {
            let mut client = Client::new(&path, PATIENCE);
            let mut seen = Seen::default();
            look(&mut client, &mut seen, true)?;
            let (width, height) = self.size();
            for (_, line) in frame(&seen, width, height) {
                tell(line)?;
            }
            return Ok(());
        }
        self.watch(&path)
    }

    fn watch(&self, path: &Path) -> Outcome {
        let over = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            flag::register(signal, Arc::clone(&over))?;
        }
        let screen = Screen::open()?;
        let (mut seen, mut client) = (Seen::default(), Client::new(path, PATIENCE));
        let (mut away, mut looks): (Option<Stopwatch>, u64) = (None, 0);
        while !over.load(Ordering::Relaxed) {
            match look(&mut client, &mut seen, looks.is_multiple_of(TRIALS_EVERY)) {
                Ok(()) => (away, seen.away, looks) = (None, None, looks + 1),
                Err(error) => {
                    let since = away.get_or_insert_with(Stopwatch::start);
                    seen.away = Some((error.to_string(), since.elapsed().as_secs()));
                    (client, looks) = (Client::new(path, PATIENCE), 0);
                }
            }
            let shown = Stopwatch::start();
            loop {
                let (width, height) = self.size();
                screen.draw(&frame(&seen, width, height))?;
                let left = PERIOD.saturating_sub(shown.elapsed());
                if left.is_zero() || over.load(Ordering::Relaxed) {
                    break;
                }
                // a key or a signal ends the wait; another size of the window shows at the next picture
                if screen.wants_to_end(left)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn size(&self) -> (usize, usize) {
        let found = terminal_size_of(std::io::stdout()).map(|(width, height)| (width.0.into(), height.0.into()));
        let (width, height) = found.unwrap_or(SIZE);
        (self.width.map_or(width, usize::from), if self.once { SIZE.1 } else { height })
    }
}

/// Asks the daemon for all that is shown; of the tests only where `trials` says so.
fn look(client: &mut Client, seen: &mut Seen, trials: bool) -> Result<(), ClientError> {
    let mut ask = |request: &Value, part: &str| {
        client.request(request, PATIENCE).map(|mut answer| answer.remove(part).unwrap_or_default())
    };
    seen.status = ask(&json!({ "type": "status" }), "status")?;
    seen.signals = ask(&json!({ "type": "signals", "limit": 12 }), "signals")?;
    seen.alerts = ask(&json!({ "type": "alerts", "limit": 4 }), "alerts")?;
    if trials {
        seen.trials = ask(&json!({ "type": "experiment" }), "trials")?;
    }
    Ok(())
}

/// The picture as a terminal takes it.
fn painted(lines: &[Line], colours: bool) -> String {
    let mut out = String::from("\u{1b}[H");
    for (place, (tone, line)) in lines.iter().enumerate() {
        let code = match tone {
            frame::Tone::Plain => "",
            frame::Tone::Head => "\u{1b}[1m",
            frame::Tone::Quiet => "\u{1b}[2m",
            frame::Tone::Good => "\u{1b}[32m",
            frame::Tone::Warn => "\u{1b}[33m",
            frame::Tone::Bad => "\u{1b}[1;31m",
        };
        let (on, off) = if colours && !code.is_empty() { (code, "\u{1b}[0m") } else { ("", "") };
        let end = if place + 1 < lines.len() { "\r\n" } else { "" };
        out += &format!("{on}{line}{off}\u{1b}[K{end}");
    }
    out + "\u{1b}[J"
}
