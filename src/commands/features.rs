//! `vigie features`: the twelve features of each snapshot.

use std::{io::Write, path::PathBuf};

use clap::Args;

use super::{
    ConfigArgs, Outcome,
    files::{Line, Lines, bytes_bar, used},
    named,
    terminal::{Output, warn},
};
use crate::{
    clock::{Clock, WallClock},
    domain::SignalLine,
    features::formulas,
    guard::plausibility::check_line,
};

const EXAMPLES: &str = "\
Examples:
  vigie features examples/signals.jsonl.gz | head -3
  vigie features --with-id snapshots.jsonl > features.jsonl";

/// Print the twelve features of each snapshot, one JSON object a line, null where missing
///
/// They are the raw features, before anything is carried forward or turned to the side of the trade.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Features {
    /// Snapshots, one JSON object a line, plain or gzipped; `-` for standard input
    file: PathBuf,
    /// Put the trade's id before the features
    #[arg(long)]
    with_id: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

impl Features {
    /// Runs the command.
    ///
    /// # Errors
    /// When the file cannot be read; lines that are at fault are named on standard error.
    pub fn run(self) -> Outcome {
        let config = self.config.load()?;
        let mut lines = Lines::open(&self.file, &bytes_bar([]))?;
        let mut out = std::io::BufWriter::new(Output::new());
        let (mut lines_read, mut refused) = (0, 0);
        while let Some((number, line)) = lines.next()? {
            lines_read += 1;
            let parsed = match line {
                Line::Text(text) => SignalLine::parse(text)
                    .and_then(|line| {
                        check_line(&line, Some(WallClock.now()), &config.bounds())?;
                        Ok(line)
                    })
                    .map_err(|error| error.to_string()),
                Line::TooLong => Err("the line is too long".to_owned()),
            };
            let computed = parsed.and_then(|line| {
                let instrument = named::instrument(&config, &line.signal.symbol).map_err(|why| why.to_string())?;
                let vector = formulas::compute(&line.signal, instrument, &config.calendar);
                Ok((line.signal.trade_id, vector))
            });
            match computed {
                Err(error) => {
                    warn(format_args!("{}:{number}: {error}", self.file.display()));
                    refused += 1;
                }
                Ok((trade_id, vector)) if self.with_id => {
                    let features = serde_json::to_string(&vector)?;
                    writeln!(out, "{{\"trade_id\":\"{trade_id}\",{}", features.trim_start_matches('{'))?;
                }
                Ok((_, vector)) => writeln!(out, "{}", serde_json::to_string(&vector)?)?,
            }
        }
        out.flush()?;
        if 0 < refused && refused < lines_read {
            warn(format_args!("{refused} of {lines_read} lines were refused"));
        }
        used(lines_read, refused)
    }
}
