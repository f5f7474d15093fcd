//! `vigie import`: past trades into the journal.

use std::{
    collections::BTreeMap,
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::Args;
use indicatif::ProgressBar;
use serde::Serialize;

use super::{
    ConfigArgs, Failed, Outcome, StateArgs,
    files::{Line, Lines, bytes_bar},
    terminal::tell,
};
use crate::{
    clock::{Clock, WallClock},
    domain::{Event, EventKind, SignalLine},
    journal::{Applied, OpenError, Options, OutcomeRecord, SignalRecord, Source, Store, Write},
};

/// Trades in one commit.
const BATCH: usize = 500;
/// Faults that are shown of each kind.
const EXAMPLES_SHOWN: usize = 3;

const EXAMPLES: &str = "\
Examples:
  vigie import examples/signals.jsonl.gz
  vigie import --state /var/lib/vigie 2015.jsonl 2016.jsonl.gz
  zcat *.gz | vigie import -";

/// Import past trades, one snapshot with its outcome a line
///
/// Importing the same again changes nothing. A trade that is known with other contents is refused, and what is known
/// stays. The daemon of this state folder must not be running.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Import {
    /// Files of JSON lines, plain or gzipped; `-` for standard input
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Print the summary as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    state: StateArgs,
    #[command(flatten)]
    config: ConfigArgs,
}

/// What came of an import.
#[derive(Debug, Default, Serialize)]
struct Summary {
    lines: u64,
    stored: u64,
    duplicates: u64,
    rejected: u64,
    /// By code: how many, and the first few.
    faults: BTreeMap<String, Fault>,
}

#[derive(Debug, Default, Serialize)]
struct Fault {
    count: u64,
    examples: Vec<String>,
}

impl Summary {
    fn reject(&mut self, code: &str, place: &str, message: &str) {
        self.rejected += 1;
        let fault = self.faults.entry(code.to_owned()).or_default();
        fault.count += 1;
        if fault.examples.len() < EXAMPLES_SHOWN {
            fault.examples.push(format!("{place}: {message}"));
        }
    }

    fn print(&self) -> io::Result<()> {
        tell(format_args!(
            "{} lines: {} new, {} known already, {} refused",
            self.lines, self.stored, self.duplicates, self.rejected
        ))?;
        for (code, fault) in &self.faults {
            tell(format_args!("  {code}: {}", fault.count))?;
            fault.examples.iter().try_for_each(|example| tell(format_args!("    {example}")))?;
            let more = fault.count - fault.examples.len() as u64;
            if more > 0 {
                tell(format_args!("    and {more} more"))?;
            }
        }
        Ok(())
    }
}

impl Import {
    /// Runs the command.
    ///
    /// # Errors
    /// When a file cannot be read or the journal not be written; refused lines are in the summary.
    pub fn run(self) -> Outcome {
        let config = self.config.load()?;
        let path = self.state.journal();
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.state.state)
            .with_context(|| format!("{} cannot be made", self.state.state.display()))?;
        let options = Options { cache_bytes: config.journal.cache_bytes, verify: false };
        let mut store = Store::open(&path, options).map_err(|error| match error {
            in_use @ OpenError::InUse { .. } => anyhow::Error::new(in_use).context("nothing was imported"),
            error => error.into(),
        })?;
        let bar = bytes_bar(self.files.iter().map(PathBuf::as_path));
        let mut summary = Summary::default();
        for file in &self.files {
            import_file(file, &mut store, &mut summary, &bar)?;
        }
        bar.finish_and_clear();
        store.close()?;
        if self.json {
            tell(serde_json::to_string(&summary)?)?;
        } else {
            summary.print()?;
        }
        if summary.rejected > 0 { Err(Failed::Refused) } else { Ok(()) }
    }
}

fn import_file(file: &Path, store: &mut Store, summary: &mut Summary, bar: &ProgressBar) -> anyhow::Result<()> {
    let name = file.display().to_string();
    let before = (summary.lines, summary.stored, summary.rejected);
    let mut lines = Lines::open(file, bar)?;
    let mut batch = Batch::default();
    bar.set_message(name.clone());
    while let Some((number, line)) = lines.next()? {
        summary.lines += 1;
        let place = format!("{name}:{number}");
        match read(line) {
            Ok(write) => batch.push(place, write),
            Err((code, message)) => summary.reject(code, &place, &message),
        }
        if batch.writes.len() >= BATCH {
            batch.commit(store, summary)?;
        }
    }
    batch.commit(store, summary)?;
    let kind = EventKind::Imported {
        file: name,
        lines: summary.lines - before.0,
        stored: summary.stored - before.1,
        rejected: summary.rejected - before.2,
    };
    if summary.stored > before.1 {
        store.apply(&[Write::Event(Event { at: WallClock.now(), kind })])?;
    }
    Ok(())
}

fn read(line: Line<'_>) -> Result<Write, (&'static str, String)> {
    let Line::Text(text) = line else { return Err(("line_too_long", "the line is too long".to_owned())) };
    let parsed = SignalLine::parse(text).map_err(|error| (error.code, error.message))?;
    let received_at = WallClock.now();
    let signal = SignalRecord {
        trade_id: parsed.signal.trade_id.clone(),
        received_at,
        source: Source::Import,
        decision: None,
        shadows: Vec::new(),
        latency_us: None,
        line: text.to_vec(),
    };
    Ok(match parsed.outcome {
        None => Write::Signal(signal),
        Some(outcome) => {
            let trade_id = parsed.signal.trade_id;
            Write::Trade(signal, OutcomeRecord { trade_id, received_at, source: Source::Import, echo: None, outcome })
        }
    })
}

#[derive(Default)]
struct Batch {
    places: Vec<String>,
    writes: Vec<Write>,
}

impl Batch {
    fn push(&mut self, place: String, write: Write) {
        self.places.push(place);
        self.writes.push(write);
    }

    fn commit(&mut self, store: &mut Store, summary: &mut Summary) -> anyhow::Result<()> {
        for (place, applied) in self.places.drain(..).zip(store.apply(&self.writes)?) {
            match applied {
                Applied::Stored { .. } => summary.stored += 1,
                Applied::Duplicate => summary.duplicates += 1,
                Applied::Conflict { .. } => {
                    summary.reject("conflict", &place, "this trade is in the journal with other contents, which stay");
                }
                Applied::Unwritable { why } => summary.reject("unwritable", &place, &why),
            }
        }
        self.writes.clear();
        Ok(())
    }
}
