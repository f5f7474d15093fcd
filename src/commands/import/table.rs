//! Past trades in the files of other programs: the options, and a file as lines of JSON.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow};
use clap::Args;
use indicatif::ProgressBar;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::{
    cell::Twice,
    convert::{Converted, convert},
    map::{Map, Said},
    sheet::Fault,
    summary::Summary,
};
use crate::{
    clock::{Clock, WallClock},
    commands::{
        Failed, Outcome,
        files::{self, Line, Lines},
        terminal::{tell, warn},
    },
    config::Config,
    domain::{InvalidLine, SignalLine, Symbol},
    guard::plausibility::check_line,
};

/// Largest file that is read: it is in memory, since all of it is checked before any of it is taken.
const MOST_BYTES: u64 = 256 << 20;

/// How files of other programs are read.
#[derive(Debug, Args)]
pub(super) struct TableArgs {
    /// The files are CSV, with a map that says what their columns mean; a file with a fault is not imported at all
    #[arg(long, requires = "map")]
    csv: bool,
    /// The map: freqtrade, ninjatrader, sierrachart, tradingview or pandas, or a TOML file of your own
    #[arg(long, value_name = "MAP", requires = "csv")]
    map: Option<PathBuf>,
    /// Propose a map for one CSV file, import nothing
    #[arg(long, conflicts_with_all = ["csv", "map", "json", "socket", "dry_run"])]
    pub guess: bool,
    /// Where the proposed map goes; a file that is there stays [default: standard output]
    #[arg(long, value_name = "FILE", requires = "guess")]
    pub out: Option<PathBuf>,
    /// Check CSV files, print the first trade as it would be imported, and import nothing
    #[arg(long, requires = "csv")]
    pub dry_run: bool,
    /// Time zone of times that name none, such as America/Chicago
    #[arg(long, value_name = "ZONE", value_parser = zone)]
    zone: Option<TimeZone>,
    /// Symbol of all trades of the files
    #[arg(long, value_parser = |text: &str| Symbol::new(text))]
    symbol: Option<Symbol>,
    /// Decimal sign of numbers, where it does not follow from the file
    #[arg(long, value_name = "SIGN", value_parser = decimal)]
    decimal: Option<char>,
    /// Form of times, where it does not follow from the file: as strftime has it, or iso, unix_s, unix_ms
    #[arg(long, value_name = "FORM")]
    time_format: Option<String>,
    /// What a local time means that the clocks showed twice
    #[arg(long, value_enum, value_name = "WHICH")]
    ambiguous: Option<Twice>,
}

fn zone(name: &str) -> Result<TimeZone, String> {
    let zone = TimeZone::get(name).ok().filter(|zone| !zone.is_unknown() && zone.iana_name().is_some());
    zone.ok_or_else(|| "it is no time zone, such as America/Chicago or UTC".to_owned())
}

fn decimal(text: &str) -> Result<char, String> {
    match text {
        "." => Ok('.'),
        "," => Ok(','),
        _ => Err("it must be . or ,".to_owned()),
    }
}

impl TableArgs {
    /// The map, if the files are CSV.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn map(&self) -> anyhow::Result<Option<Map>> {
        self.map.as_deref().filter(|_| self.csv).map(Map::load).transpose()
    }

    /// Whether anything is said that only CSV files need.
    pub(super) fn stray(&self) -> Option<&'static str> {
        let said = [
            (self.zone.is_some(), "--zone"),
            (self.symbol.is_some(), "--symbol"),
            (self.decimal.is_some(), "--decimal"),
            (self.time_format.is_some(), "--time-format"),
            (self.ambiguous.is_some(), "--ambiguous"),
        ];
        said.into_iter().find(|(is_said, _)| *is_said && !self.csv && !self.guess).map(|(_, name)| name)
    }

    pub(super) fn said(&self) -> Said {
        Said {
            zone: self.zone.clone(),
            symbol: self.symbol.clone(),
            decimal: self.decimal,
            time_format: self.time_format.clone(),
            ambiguous: self.ambiguous,
        }
    }
}

/// A whole file; gzipped ones are unpacked.
///
/// # Errors
/// When it cannot be read, or is larger than is read.
pub(super) fn whole(path: &Path, bar: &ProgressBar) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = files::open(path, bar)?;
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).with_context(|| format!("{} cannot be read", path.display()))?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(anyhow!("{} has more than {} MiB; split it", path.display(), MOST_BYTES >> 20));
    }
    Ok(bytes)
}

/// The trades of a file that can be imported, or all that is wrong with it.
pub(super) fn trades(bytes: &[u8], map: &Map, said: &Said, config: &Config) -> Result<Converted, Vec<Fault>> {
    let (now, bounds) = (WallClock.now(), config.bounds());
    convert(bytes, map, said, |line| {
        let parsed = SignalLine::parse(line.as_bytes())?;
        if let Some(outcome) = &parsed.outcome {
            outcome.check()?;
        }
        check_line(&parsed, Some(now), &bounds).map_err(InvalidLine::from)
    })
}

/// Says what files would be imported as.
pub(super) fn preview(files: &[PathBuf], map: &Map, args: &TableArgs, config: &Config, json: bool) -> Outcome {
    let (mut summary, mut read, mut files_read) = (Summary::default(), 0, Vec::new());
    for file in files {
        let name = file.display().to_string();
        match trades(&whole(file, &ProgressBar::hidden())?, map, &args.said(), config) {
            Ok(converted) => {
                read += converted.trades.len();
                if json {
                    files_read.push(figures(&name, &converted));
                } else {
                    told(&name, &converted)?;
                }
            }
            Err(faults) => summary.refuse_file(&name, &faults),
        }
    }
    if json {
        tell(json!({ "files": files_read, "refused": summary }))?;
    }
    match (summary.refused_files.len(), read) {
        (0, 0) => {
            warn("there was no trade to read");
            return Err(Failed::Refused);
        }
        (0, _) => return Ok(()),
        _ if json => {}
        _ => summary.print()?,
    }
    let why = format!("{} would be refused as a whole, since it has faults", summary.refused_files.join(", "));
    if read > 0 {
        warn(why);
        return Err(Failed::Refused);
    }
    Err(anyhow!("nothing would be imported: {why}").into())
}

/// The trades of a CSV file as lines of JSON, each with its line in the file, for who asks what they carry and not when they were: times
/// that name no zone are taken for UTC. A map that wants a symbol gets `symbol`.
///
/// # Errors
/// When the file or its map cannot be read, and for the first of its faults.
pub(in crate::commands) fn as_lines(
    file: &Path,
    map: &Path,
    symbol: Option<Symbol>,
) -> anyhow::Result<Vec<(u64, String)>> {
    let map = Map::load(map)?;
    let symbol = symbol.filter(|_| map.trade.symbol.value.is_none() && map.trade.symbol.column.is_empty());
    let said = Said { zone: map.zone.is_none().then_some(TimeZone::UTC), symbol, ..Said::default() };
    let bytes = whole(file, &ProgressBar::hidden())?;
    let converted = convert(&bytes, &map, &said, |line| SignalLine::parse(line.as_bytes()).map(drop));
    let Converted { trades, .. } = converted.map_err(|faults| {
        let more = faults.len().saturating_sub(1);
        let first = faults.first().map_or_else(String::new, |fault| format!("{}: {fault}", fault.line));
        anyhow!(
            "{}:{first}{}",
            file.display(),
            if more > 0 { format!("; and {more} more faults") } else { String::new() }
        )
    })?;
    Ok(trades)
}

fn figures(name: &str, converted: &Converted) -> Value {
    let Converted { trades, skipped, separator, decimal, form } = converted;
    let first =
        trades.first().map(|(line, first)| json!({ "line": line, "trade": serde_json::from_str::<Value>(first).ok() }));
    json!({
        "file": name, "trades": trades.len(), "left_out": skipped, "separator": separator, "decimal": decimal,
        "time_format": form, "first": first,
    })
}

fn told(name: &str, converted: &Converted) -> std::io::Result<()> {
    let Converted { trades, skipped, separator, decimal, form } = converted;
    tell(format_args!(
        "{name}: {} trades, {skipped} left out by the map; columns apart by {separator:?}, decimal sign {decimal:?}, \
         times of the form {form:?}",
        trades.len()
    ))?;
    trades.first().map_or(Ok(()), |(line, first)| tell(format_args!("  line {line}: {first}")))
}

/// Where lines come from.
pub(super) enum Source {
    /// A file of them.
    Lines(Lines),
    /// A file that was read whole, and the line at hand.
    Table { rest: std::vec::IntoIter<(u64, String)>, line: String },
}

impl Source {
    /// The next line, with its number in the file.
    pub(super) fn next(&mut self) -> anyhow::Result<Option<(u64, Line<'_>)>> {
        match self {
            Self::Lines(lines) => lines.next(),
            Self::Table { rest, line } => {
                let Some((number, next)) = rest.next() else { return Ok(None) };
                *line = next;
                Ok(Some((number, Line::Text(line.as_bytes()))))
            }
        }
    }
}
