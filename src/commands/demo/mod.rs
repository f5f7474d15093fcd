//! `vigie demo`: the whole life of a model in a minute, on a real daemon.

pub(super) mod child;
mod perform;

use std::{
    fs,
    io::{self, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, bail};
use clap::Args;
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    flag,
};

use self::{child::Daemon, perform::Performer};
use super::{
    Outcome,
    draft::Draft,
    terminal::{self, tell},
};
use crate::{
    actors::daemon::JOURNAL_FILE,
    clock::Stopwatch,
    config::Config,
    domain::Symbol,
    journal::Reader,
    recall::{period, review::UNIT},
    report::{Ending, Part, Scope, Words, wrap},
    sim::{
        Scenario, Venue,
        demo::{Demo as Play, Ledger, NOTICE, Step},
    },
};

const EXAMPLES: &str = "\
Examples:
  vigie demo
  vigie demo --scenario crash
  vigie demo --scenario no-edge --months 6 --seed 3 --out no-edge.html

The same scenario, seed and months tell the same story, but for the lines that begin with `measured`.";

/// Columns of the story.
const WIDTH: usize = 110;
/// Pause between two pictures of how far it is.
const PICTURE: Duration = Duration::from_millis(150);

/// Watch a model be trained, refused, staged, tested, promoted and taken down, in about half a minute
///
/// Starts a real daemon on a folder of its own, and drives it through its socket with the months of a simulated market.
/// Writes a report as one HTML page. Ends with 0 only if all happened that should have.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Demo {
    /// happy, drift, crash, no-edge or poison
    #[arg(long, value_name = "NAME", default_value = "happy")]
    scenario: Scenario,
    /// Seed of every draw
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Months that are simulated
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=60))]
    months: u32,
    /// Where the report goes
    #[arg(long, value_name = "FILE", default_value = "vigie-demo.html")]
    out: PathBuf,
    /// Keep the daemon's folder: its journal, configuration and log
    #[arg(long)]
    keep: bool,
}

impl Demo {
    /// Runs the command.
    ///
    /// # Errors
    /// When something that should have happened did not, or it was interrupted.
    pub fn run(self) -> Outcome {
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            flag::register(signal, Arc::clone(&interrupted))?;
        }
        let folder = Folder::new("vigie-demo", self.keep)?;
        let done = self.perform(&folder.path, &interrupted);
        if self.keep {
            tell(format_args!("\nThe daemon's folder is kept: {}", folder.path.display()))?;
        }
        Ok(done?)
    }

    fn perform(&self, folder: &Path, interrupted: &AtomicBool) -> anyhow::Result<()> {
        let watch = Stopwatch::start();
        let mut play = Play::new(self.scenario, self.seed, self.months, venue()?)?;
        self.begin(&play)?;
        let daemon = Daemon::start(folder)?;
        let state = daemon.state();
        let mut performer = Performer::new(daemon)?;
        let mut picture = Picture::new();
        loop {
            if interrupted.load(Ordering::Relaxed) {
                picture.clear();
                performer.stop()?;
                bail!("interrupted; the daemon is stopped");
            }
            let step = play.next_step();
            if step == Step::Over {
                break;
            }
            performer.perform(&mut play, step)?;
            let (news, measured) = (play.news(), performer.measured());
            if !(news.is_empty() && measured.is_empty()) {
                picture.clear();
            }
            for (at, sentence) in news {
                tell(paragraph(&at.strftime("%Y-%m-%d").to_string(), &sentence))?;
            }
            for line in measured {
                tell(paragraph("  measured", &line))?;
            }
            picture.show(&play);
        }
        picture.clear();
        performer.stop()?;
        let reader = Reader::open_path(&state.join(JOURNAL_FILE), 64 << 20)?;
        self.end(&play, &reader, watch.elapsed())
    }

    fn begin(&self, play: &Play) -> io::Result<()> {
        tell(format_args!("vigie demo --scenario {} --seed {} --months {}", self.scenario, self.seed, self.months))?;
        tell(paragraph("", NOTICE))?;
        for line in play.opening() {
            tell(paragraph("", &line))?;
        }
        let settings: Vec<&str> = Daemon::settings().collect();
        tell(paragraph("", &format!("Settings that differ from the defaults: {}.", settings.join(", "))))?;
        tell("")
    }

    fn end(&self, play: &Play, reader: &Reader, took: Duration) -> anyhow::Result<()> {
        let ledger = &ledger(reader)?;
        let took = format!("{:.0} s", took.as_secs_f64());
        let config = Config::builtin().map_err(|errors| anyhow::anyhow!("{errors}"))?;
        // the daemon's own budget: the demonstration does not set it otherwise
        let false_alarms = play.false_alarms(config.monitoring.watch.budget.false_alarms);
        let facts = vec![
            ("took".to_owned(), took.clone()),
            ("false alarms".to_owned(), false_alarms.clone()),
            ("vigie".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
            ("set otherwise than built in".to_owned(), Daemon::settings().collect::<Vec<_>>().join(", ")),
        ];
        // by the rules of the daemon, whose journal it is
        let in_force = Daemon::config()?;
        let summary = period::summary(reader, &in_force, &Scope::default()).map_err(anyhow::Error::msg)?;
        let words = Words { unit: UNIT, calendar: &in_force.calendar };
        let report = play.report(summary.report(&words), ledger, facts);
        let mut page = Draft::create(&self.out)?;
        let written = page.write_all(report.to_html().as_bytes()).and_then(|()| page.finish());
        written.with_context(|| format!("{} cannot be written", self.out.display()))?;
        tell(paragraph("\nIn short", &report.lead))?;
        tell("")?;
        let checks: Vec<Vec<String>> = report
            .checks
            .iter()
            .map(|check| {
                let mark = match check.ending {
                    Ending::AsTold => "  yes",
                    Ending::Better => "  better",
                    Ending::Worse => "  NO",
                };
                vec![mark.to_owned(), check.what.clone(), check.found.clone()]
            })
            .collect();
        tell(terminal::table(&checks))?;
        tell(paragraph("", &format!("False alarms: {false_alarms}.")))?;
        tell("")?;
        for table in report.tables.iter().filter(|table| table.part == Part::End) {
            let rows: Vec<Vec<String>> = std::iter::once(&table.head).chain(&table.rows).cloned().collect();
            tell(format_args!("{}:", table.title))?;
            tell(terminal::table(&rows))?;
        }
        tell(format_args!("The report: {}", self.out.display()))?;
        tell("What to try next:")?;
        let next: Vec<Vec<String>> =
            report.next.iter().map(|(command, what)| vec![format!("  {command}"), what.clone()]).collect();
        tell(terminal::table(&next).trim_end())?;
        tell(format_args!("  measured  {took} in all"))?;
        match report.checks.iter().filter(|check| !check.ok()).count() {
            0 => Ok(()),
            failed => {
                bail!("{failed} of {} things that should have happened did not; see NO above", report.checks.len())
            }
        }
    }
}

/// Where the simulated trader trades: ES as built in.
fn venue() -> anyhow::Result<Venue> {
    let config = Config::builtin().map_err(|errors| anyhow::anyhow!("{errors}"))?;
    let symbol = Symbol::new("ES")?;
    let instrument = config.symbols.get(&symbol).copied().context("ES has no table in the configuration")?;
    Ok(Venue { symbol, instrument, calendar: config.calendar.clone() })
}

/// What the journal holds in the end.
fn ledger(reader: &Reader) -> anyhow::Result<Ledger> {
    let mut ledger = Ledger::default();
    for stored in reader.signals()? {
        match stored {
            Ok(stored) => ledger.take(stored.seq, stored.record.decision.as_ref()),
            Err(_) => ledger.unreadable += 1,
        }
    }
    ledger.outcomes = reader.counts()?.outcomes;
    Ok(ledger)
}

/// The folder of the daemon, removed in the end.
pub(super) struct Folder {
    pub(super) path: PathBuf,
    keep: bool,
}

impl Folder {
    /// A folder of this process for temporary files.
    pub(super) fn new(name: &str, keep: bool) -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("{} cannot be made", path.display()))?;
        Ok(Self { path, keep })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.keep
            && let Err(error) = fs::remove_dir_all(&self.path)
        {
            terminal::warn(format_args!("{} is left behind: {error}", self.path.display()));
        }
    }
}

/// A sentence beside its date, broken at the width of the story.
fn paragraph(beside: &str, text: &str) -> String {
    let indent = if beside.is_empty() { 0 } else { 12 };
    let lines = wrap(text, WIDTH - indent);
    format!("{beside:indent$}{}", lines.join(&format!("\n{}", " ".repeat(indent))))
}

/// How far it is, on a terminal: one line that is written over.
struct Picture {
    shown: bool,
    on_terminal: bool,
    last: Stopwatch,
}

impl Picture {
    fn new() -> Self {
        Self { shown: false, on_terminal: io::stderr().is_terminal(), last: Stopwatch::start() }
    }

    fn show(&mut self, play: &Play) {
        if !self.on_terminal || self.last.elapsed() < PICTURE {
            return;
        }
        self.last = Stopwatch::start();
        let progress = play.progress();
        let done = (progress.share * 24.0).round() as usize;
        let bar: String = (0..24).map(|n| if n < done { '#' } else { '.' }).collect();
        let _nobody_may_look = write!(
            io::stderr(),
            "\r\x1b[2K[{bar}] {}  {} signals  traded {:+.0}, the strategy alone {:+.0}",
            progress.at.strftime("%Y-%m-%d"),
            progress.signals,
            progress.traded,
            progress.own
        );
        self.shown = true;
    }

    fn clear(&mut self) {
        if self.shown {
            let _nobody_may_look = write!(io::stderr(), "\r\x1b[2K");
            self.shown = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_is_broken_between_words_and_stays_beside_its_date() {
        let text = "word ".repeat(40);
        let told = paragraph("2025-01-06", &text);
        assert!(told.lines().all(|line| line.chars().count() <= WIDTH));
        assert!(told.starts_with("2025-01-06  word") && told.lines().nth(1).unwrap().starts_with("            word"));
        assert_eq!(told.split_whitespace().count(), 41);
    }
}
