//! `vigie dataset`: what state a data set is in.

use std::path::PathBuf;

use clap::Args;

use super::{
    Failed, JournalArgs, Outcome,
    files::{Line, Lines, bytes_bar, used},
    terminal::tell,
};
use crate::{
    clock::{Clock, WallClock},
    config::Config,
    domain::{InvalidLine, SignalLine},
    features::quality::QualityCheck,
    guard::plausibility::check_line,
    journal::Reader,
    recall::{in_time::InTime, quality},
};

/// Report the quality of a data set: rows, faults, gaps, missing and impossible values, classes
///
/// Without files, of the signals and outcomes in the journal; that is read, also beside the daemon.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  vigie dataset\n  vigie dataset examples/signals.jsonl.gz\n  vigie dataset --json")]
pub struct Dataset {
    /// Files of JSON lines, plain or gzipped; `-` for standard input
    files: Vec<PathBuf>,
    #[command(flatten)]
    from: JournalArgs,
}

impl Dataset {
    /// Runs the command.
    ///
    /// # Errors
    /// When a file or the journal cannot be read, and when lines were refused.
    pub fn run(self) -> Outcome {
        let (config, reader) = if self.files.is_empty() {
            let (config, reader) = self.from.reader()?;
            (config, Some(reader))
        } else {
            (self.from.config.load()?, None)
        };
        let mut check = QualityCheck::new(quality::options(&config).map_err(anyhow::Error::from)?);
        // what was read before a file ends badly is told
        let read = match &reader {
            Some(reader) => check_journal(reader, &mut check).map_err(Failed::from),
            None => self.check_files(&config, &mut check),
        };
        if read.is_err() && check.report().read == 0 {
            return read;
        }
        let report = check.report();
        if self.from.json {
            tell(serde_json::to_string(&report)?)?
        } else {
            tell(report.to_string().trim_end())?
        }
        read?;
        if self.files.is_empty() && report.read == 0 {
            // a journal without a trade is no input that was refused
            return Ok(());
        }
        used(report.read, report.rejected.values().map(|fault| fault.count).sum())
    }

    fn check_files(&self, config: &Config, check: &mut QualityCheck) -> Result<(), Failed> {
        let bar = bytes_bar(self.files.iter().map(PathBuf::as_path));
        for file in &self.files {
            let mut lines = Lines::open(file, &bar)?;
            while let Some((_, line)) = lines.next()? {
                let parsed = match line {
                    Line::Text(text) => SignalLine::parse(text).and_then(|line| {
                        check_line(&line, Some(WallClock.now()), &config.bounds())?;
                        Ok(line)
                    }),
                    Line::TooLong => {
                        Err(InvalidLine { code: "too_long", message: "the line is too long".to_owned(), field: None })
                    }
                };
                check.push(parsed.as_ref());
            }
        }
        bar.finish_and_clear();
        Ok(())
    }
}

fn check_journal(reader: &Reader, check: &mut QualityCheck) -> anyhow::Result<()> {
    let trades = InTime::read(reader).map_err(anyhow::Error::msg)?;
    for trade in trades.walk(reader, None) {
        let trade = trade.map_err(anyhow::Error::msg)?;
        let outcome = trade.at_own_size();
        check.push(Ok(&SignalLine { signal: trade.stored.signal, outcome, deadline_us: None }));
    }
    Ok(())
}
