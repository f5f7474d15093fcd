//! `vigie export`: the training matrix, the raw snapshots, decisions, outcomes or events, for other programs.

mod matrix;
mod records;

use std::{
    io::{self, BufWriter, IsTerminal, Write},
    path::PathBuf,
};

use clap::{Args, ValueEnum};

use self::{matrix::Matrix, records::Records};
use super::{
    ConfigArgs, Outcome, SourceArgs,
    draft::Draft,
    flatten::Survey,
    named,
    terminal::{Harmless, Output},
};
use crate::{
    config::Config,
    domain::{SignalLine, Symbol, writable::readable},
    journal::{Reader, StoreError},
    table::Parts,
};

/// Rows of a table that are in memory at once.
const PART: usize = 8192;

const EXAMPLES: &str = "\
Examples:
  vigie export --output trades.csv
  vigie export --format pickle --output trades.pickle
  vigie export --format parquet --what snapshots --output snapshots.parquet
  vigie export --what snapshots --format csv --output snapshots.csv
  vigie export --what decisions --format parquet --output decisions.parquet
  vigie export --what outcomes --symbol NQ --output outcomes.csv
  vigie export --what events | head
  vigie export --what snapshots | gzip > snapshots.jsonl.gz";

/// Export the training matrix, the raw snapshots, decisions, outcomes or events
///
/// The matrix has a row a closed trade: its id, times, the inputs as a model sees them before its own design (carried
/// forward, turned to the side of the trade, empty where missing), its pnl and the seven targets. The tercile of
/// signal_strength_class is that of the training part. Parquet has times, numbers and yes or no as such; as a table a snapshot
/// has a column a field. Decisions have a row an answer, with what every version made of the signal; outcomes a row a closed trade as
/// it was told, at the size that was traded; events a row each, with all their fields as JSON in the last column. In CSV, text that a spreadsheet would take for a formula stands behind an apostrophe. A file takes
/// its place when it is whole: when the export fails, the old one stays. Reads the journal, also beside the daemon.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Export {
    /// What to export
    #[arg(long, value_enum, default_value_t = What::Matrix)]
    what: What,
    /// Format of the file: snapshots are written as jsonl, csv or parquet, everything else as csv, pickle or parquet [default:
    /// jsonl for snapshots, else csv]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Whose trades [default: ES for the matrix and snapshots, else all]
    #[arg(long, value_parser = |text: &str| Symbol::new(text))]
    symbol: Option<Symbol>,
    /// File to write; standard output without it
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// A row a closed trade
    Matrix,
    /// Every signal as it was received
    Snapshots,
    /// Every answer to a signal
    Decisions,
    /// Every closed trade as it was told
    Outcomes,
    /// Everything else that happened
    Events,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Comma-separated values with a head
    Csv,
    /// A Python pickle: a dict of the columns' names and the rows
    Pickle,
    /// Apache Parquet, gzipped
    Parquet,
    /// JSON lines as they were received
    Jsonl,
}

/// Where an export goes.
enum Sink {
    Standard(BufWriter<Output>),
    File(BufWriter<Draft>),
}

impl Export {
    /// Runs the command.
    ///
    /// # Errors
    /// When the journal cannot be read or the file not be written.
    pub fn run(self) -> Outcome {
        let format = self.format.unwrap_or(match self.what {
            What::Snapshots => Format::Jsonl,
            _ => Format::Csv,
        });
        match (self.what, format) {
            (What::Snapshots, Format::Pickle) => {
                return Err(anyhow::anyhow!("snapshots are not written as pickle; use jsonl, csv or parquet").into());
            }
            (What::Snapshots, _) => {}
            (_, Format::Jsonl) => {
                return Err(
                    anyhow::anyhow!("all but snapshots are not written as jsonl; use csv, pickle or parquet").into()
                );
            }
            _ => {}
        }
        let (config, reader) = self.source.open(&self.config)?;
        let mut sink = match &self.output {
            Some(path) => Sink::File(BufWriter::new(Draft::create(path)?)),
            None => Sink::Standard(BufWriter::new(Output::new())),
        };
        match (&mut sink, format) {
            (Sink::File(out), _) => self.write(&reader, &config, format, out)?,
            // JSON stays the same JSON, whoever reads it
            (Sink::Standard(out), Format::Jsonl) => {
                self.write(&reader, &config, format, &mut Harmless(out))?;
            }
            (Sink::Standard(out), Format::Csv) if io::stdout().is_terminal() => {
                self.write(&reader, &config, format, &mut Harmless(out))?;
            }
            (Sink::Standard(out), _) => self.write(&reader, &config, format, out)?,
        }
        match sink {
            Sink::Standard(mut out) => out.flush()?,
            Sink::File(out) => out.into_inner().map_err(io::IntoInnerError::into_error)?.finish()?,
        }
        Ok(())
    }

    fn write(
        &self,
        reader: &Reader,
        config: &Config,
        format: Format,
        out: &mut (dyn Write + Send),
    ) -> anyhow::Result<()> {
        if !matches!(self.what, What::Matrix | What::Snapshots) {
            return Records::of(self.what, reader, self.symbol.as_ref(), config)?.write(format, out);
        }
        let symbol = &named::symbol_of(self.symbol.as_ref(), None)?;
        if self.what == What::Matrix {
            return Matrix::of(reader, symbol, config)?.write(format, out);
        }
        if format == Format::Jsonl {
            let count = snapshots(reader, symbol, |line| {
                out.write_all(line)?;
                Ok(out.write_all(b"\n")?)
            })?;
            return named::symbol(config, symbol, count);
        }
        // read twice, so that no more than a part of the rows is in memory: which columns there are is known behind the last
        let mut survey = Survey::default();
        let count = snapshots(reader, symbol, |line| {
            survey.look(serde_json::from_slice(line)?);
            Ok(())
        })?;
        named::symbol(config, symbol, count)?;
        let layout = survey.layout();
        let mut part = layout.part();
        let head = part.columns();
        let mut table = match format {
            Format::Parquet => Parts::parquet(&head, out)?,
            _ => Parts::csv(&head, out)?,
        };
        snapshots(reader, symbol, |line| {
            part.push(serde_json::from_slice(line)?);
            if part.rows() == PART {
                table.rows(&part.columns())?;
            }
            Ok(())
        })?;
        table.rows(&part.columns())?;
        Ok(table.end()?)
    }
}

/// Hands over the line of every signal of `symbol`, and says how many there are.
fn snapshots(
    reader: &Reader,
    symbol: &Symbol,
    mut each: impl FnMut(&[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<usize> {
    let mut count = 0;
    for stored in reader.signals()? {
        let stored = match stored {
            Ok(stored) => stored,
            // a damaged record is named by `vigie train` and left out
            Err(StoreError::BadRecord(_)) => continue,
            Err(failure) => return Err(failure.into()),
        };
        if stored.signal.symbol == *symbol {
            // earlier versions took lines that no other program reads
            let odd = SignalLine::parse(&stored.record.line).is_err();
            let line = if odd { readable(&stored.record.line) } else { None };
            each(line.as_deref().unwrap_or(&stored.record.line))?;
            count += 1;
        }
    }
    Ok(count)
}
