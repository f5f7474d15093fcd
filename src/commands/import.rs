//! `vigie import`: past trades into the journal.

mod again;
mod cell;
mod convert;
mod doubt;
mod guess;
mod journal;
mod map;
mod pair;
mod places;
mod request;
mod sheet;
mod summary;
mod table;

use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::ProgressBar;
use serde_json::{Map, Value};

pub(super) use self::table::as_lines;
use self::{
    again::{Again, again},
    doubt::Doubt,
    journal::{Journal, Journals},
    request::{REQUEST_BYTES, faulty_request, request},
    summary::{CONFLICT, Summary},
    table::{Source, TableArgs},
};
use super::{
    ConfigArgs, Failed, Outcome, PATIENCE,
    files::{Line, Lines, bytes_bar},
    found::OwnStateArgs,
    terminal::{harmless, tell},
};
use crate::{
    clock::{Clock, WallClock},
    config::Config,
    domain::{EventKind, InvalidLine, SignalLine, Timestamp, trip::Unevaluable},
    guard::plausibility::check_line,
    journal::Write,
    protocol::message::unread_outcome,
};

/// Trades in one commit.
const BATCH: usize = 200;

const EXAMPLES: &str = "\
Examples:
  vigie import examples/signals.jsonl.gz
  vigie import --state /var/lib/vigie 2015.jsonl 2016.jsonl.gz
  vigie import --socket /run/vigie/vigie.sock 2016.jsonl    through that daemon
  zcat *.gz | vigie import -
  vigie import --csv --map ninjatrader --zone America/Chicago report.csv
  vigie import --guess trades.csv --out my-map.toml
  vigie import --csv --map my-map.toml trades.csv";

/// Import past trades, one snapshot with its outcome a line, or the files of other programs
///
/// Importing the same again changes nothing. A trade that is known with other contents is refused, and what is known
/// stays. When a daemon runs on the state folder, the trades go through it. CSV files need a map; docs/import.md tells of maps.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Import {
    /// Files of JSON lines, or of CSV, plain or gzipped; `-` for standard input
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Print the summary, or with --dry-run what would be imported, as one JSON object
    #[arg(long)]
    json: bool,
    /// Import through the daemon that listens there [default, without a state folder: $VIGIE_SOCKET]
    #[arg(long, value_name = "PATH", conflicts_with = "state")]
    socket: Option<PathBuf>,
    #[command(flatten)]
    table: TableArgs,
    #[command(flatten)]
    state: OwnStateArgs,
    #[command(flatten)]
    config: ConfigArgs,
}

impl Import {
    /// Runs the command.
    ///
    /// # Errors
    /// When a file cannot be read or the journal not be written; refused lines are in the summary.
    pub fn run(self) -> Outcome {
        let config = self.config.load()?;
        if let Some(name) = self.table.stray() {
            return Err(
                anyhow::anyhow!("{name} is about CSV files; name their map with --csv --map, or use --guess").into()
            );
        }
        if self.table.guess {
            return guess::propose(&self.files, &self.table, &config);
        }
        let map = self.table.map()?;
        if let Some(map) = map.as_ref().filter(|_| self.table.dry_run) {
            return table::preview(&self.files, map, &self.table, &config, self.json);
        }
        let mut journals = Journals::new(&self, &config);
        let bar = bytes_bar(self.files.iter().map(PathBuf::as_path));
        let mut summary = Summary::default();
        let imported = self.files.iter().try_for_each(|file| {
            let read = match &map {
                Some(map) => self.import_table(file, map, &mut journals, &mut summary, &bar),
                None => import_file(file, &mut journals, &mut summary, &bar),
            }?;
            // the files behind it are read all the same
            Ok::<(), Failed>(read.or_else(|unreadable| summary.break_off(&unreadable))?)
        });
        bar.finish_and_clear();
        let journal = journals.opened();
        if journal.is_none() && imported.is_err() {
            return imported; // there is nothing to import into
        }
        let closed = if let Some(Journal::Own(store, _)) = journal { store.close() } else { Ok(()) };
        if self.json {
            tell(serde_json::to_string(&summary)?)?;
        } else {
            summary.print()?;
        }
        // what was read before is stored, and told
        imported?;
        closed?;
        summary.ended(self.files.len())
    }

    /// Imports a CSV file, all of it or nothing.
    fn import_table(
        &self,
        file: &Path,
        map: &map::Map,
        journals: &mut Journals<'_>,
        summary: &mut Summary,
        bar: &ProgressBar,
    ) -> Result<Read, Failed> {
        let name = file.display().to_string();
        bar.set_message(harmless(&name).into_owned());
        let bytes = match table::whole(file, bar) {
            Ok(bytes) => bytes,
            Err(unreadable) => return Ok(Err(unreadable)),
        };
        let converted = match table::trades(&bytes, map, &self.table.said(), journals.config) {
            Ok(converted) => converted,
            Err(faults) => {
                summary.refuse_file(&name, &faults);
                return Ok(Ok(()));
            }
        };
        summary.left_out += converted.skipped;
        let lines = Source::Table { rest: converted.trades.into_iter(), line: String::new() };
        Ok(import_lines(name, lines, journals.config, journals.journal()?, summary)?)
    }
}

/// Whether a file could be read to its end.
type Read = anyhow::Result<()>;

fn import_file(
    file: &Path,
    journals: &mut Journals<'_>,
    summary: &mut Summary,
    bar: &ProgressBar,
) -> Result<Read, Failed> {
    let name = file.display().to_string();
    bar.set_message(harmless(&name).into_owned());
    match Lines::open(file, bar) {
        Ok(lines) => Ok(import_lines(name, Source::Lines(lines), journals.config, journals.journal()?, summary)?),
        Err(unreadable) => Ok(Err(unreadable)),
    }
}

fn import_lines(
    name: String,
    mut lines: Source,
    config: &Config,
    journal: &mut Journal,
    summary: &mut Summary,
) -> anyhow::Result<Read> {
    let before = (summary.lines, summary.stored, summary.rejected, summary.completed);
    let mut batch = Batch::default();
    let read_to = loop {
        let (number, line) = match lines.next() {
            Ok(Some(line)) => line,
            Ok(None) => break Ok(()),
            // what was read before a file ends badly is good
            Err(error) => break Err(error),
        };
        summary.lines += 1;
        let place = format!("{name}:{number}");
        match read(line, config, journal) {
            Ok(trade) => batch.push(place, trade),
            Err(Unread { doubted: Some(Doubted::ByDaemon(line)), .. }) => {
                batch.commit(config, journal, summary)?;
                journal.tell(&line, &place, summary)?;
            }
            Err(Unread { code, message, doubted }) => {
                let gone = match doubted {
                    Some(Doubted::Here(doubt)) => journal.doubt(config, &doubt, &message, summary)?,
                    _ => String::new(),
                };
                summary.reject(code, &place, &format!("{message}{gone}"));
            }
        }
        if batch.trades.len() >= BATCH {
            batch.commit(config, journal, summary)?;
        }
    };
    batch.commit(config, journal, summary)?;
    let (lines, stored) = (summary.lines - before.0, summary.stored - before.1);
    let rejected = summary.rejected - before.2;
    if stored > 0 || summary.completed > before.3 {
        journal.note(EventKind::Imported { file: name, lines, stored, rejected })?;
    }
    Ok(read_to)
}

/// A line that can be imported.
type Trade = (SignalLine, Vec<u8>);

/// Why a line cannot be imported.
struct Unread {
    code: &'static str,
    message: String,
    /// The trade that it says was closed.
    doubted: Option<Doubted>,
}

/// Who sees to a trade that a line says was closed and that cannot be imported.
enum Doubted {
    /// This program: no daemon runs.
    Here(Doubt),
    /// The daemon, which refuses the line as well: this is it, as a request.
    ByDaemon(String),
}

fn read(line: Line<'_>, config: &Config, journal: &Journal) -> Result<Trade, Unread> {
    let too_long = |message: String| Unread { code: "line_too_long", message, doubted: None };
    let Line::Text(text) = line else { return Err(too_long("the line is too long".to_owned())) };
    if let Journal::Daemon(_, most) = journal
        && text.len() + REQUEST_BYTES > *most
    {
        let message = format!("the daemon takes lines of {most} bytes; stop it and import on its state folder");
        return Err(too_long(message));
    }
    let parsed = SignalLine::parse(text).and_then(|parsed| {
        parsed.outcome.as_ref().map_or(Ok(()), |outcome| outcome.check())?;
        Ok(parsed)
    });
    let parsed = parsed.map_err(|InvalidLine { code, message, .. }| {
        let told = unread_outcome(Some("import"), text);
        let doubted = told.and_then(|told| {
            let doubt = Doubt { trade_id: told.trade_id?, blank: Unevaluable::OutcomeUnreadable, closed: told.closed };
            Some(match journal {
                Journal::Own(..) => Doubted::Here(doubt),
                Journal::Daemon(..) => Doubted::ByDaemon(faulty_request(text)?),
            })
        });
        Unread { code, message, doubted }
    })?;
    if let Journal::Own(..) = journal {
        // a daemon does the same by its own clock and configuration
        check_line(&parsed, Some(WallClock.now()), &config.bounds()).map_err(|incredible| {
            let doubted = parsed.outcome.as_ref().map(|outcome| {
                Doubted::Here(Doubt {
                    trade_id: parsed.signal.trade_id.clone(),
                    blank: incredible.blank(),
                    closed: outcome.pnl.map(|pnl| (outcome.exit_at, pnl)),
                })
            });
            let InvalidLine { code, message, .. } = incredible.into();
            Unread { code, message, doubted }
        })?;
    }
    Ok((parsed, text.to_vec()))
}

#[derive(Default)]
struct Batch {
    places: Vec<String>,
    trades: Vec<Trade>,
}

impl Batch {
    fn push(&mut self, place: String, trade: Trade) {
        self.places.push(place);
        self.trades.push(trade);
    }

    fn commit(&mut self, config: &Config, journal: &mut Journal, summary: &mut Summary) -> anyhow::Result<()> {
        let (places, trades) = (std::mem::take(&mut self.places), std::mem::take(&mut self.trades));
        match journal {
            Journal::Own(store, _) => {
                let symbols = trades.iter().map(|(parsed, _)| &parsed.signal.symbol);
                symbols.filter(|symbol| !config.symbols.contains_key(*symbol)).for_each(|it| summary.lacks(it));
                let now = WallClock.now();
                let fired: Vec<Timestamp> = trades.iter().map(|(parsed, _)| parsed.signal.at).collect();
                let writes: Vec<Write> =
                    trades.into_iter().map(|(parsed, line)| Write::past_trade(parsed, line, now)).collect();
                let applied = store.apply(&writes)?;
                let told = writes.iter().zip(&applied).zip(&fired);
                let again: Vec<Again> =
                    told.map(|((write, applied), at)| again(write, applied, *at, now, &config.bounds())).collect();
                let completed = store.apply(&again.iter().flat_map(Again::writes).cloned().collect::<Vec<_>>())?;
                let mut completed = completed.into_iter();
                for ((place, applied), again) in places.iter().zip(&applied).zip(&again) {
                    match again {
                        Again::No => summary.take(place, applied),
                        Again::Completes(writes) => {
                            summary.take_completion(place, completed.by_ref().take(writes.len()));
                        }
                        Again::Contradicts(doubt) => {
                            let gone = journal.doubt(config, doubt, CONFLICT, summary)?;
                            summary.reject("conflict", place, &format!("{CONFLICT}{gone}"));
                        }
                    }
                }
            }
            Journal::Daemon(client, _) => {
                let lines: String = trades.iter().map(|(_, line)| request(line)).collect::<Result<_, _>>()?;
                client.send(&lines, PATIENCE)?;
                for (place, (parsed, _)) in places.iter().zip(&trades) {
                    let answer: Map<String, Value> = serde_json::from_str(&client.receive(PATIENCE)?)?;
                    if answer.get("unknown_symbol") == Some(&Value::Bool(true)) {
                        summary.lacks(&parsed.signal.symbol);
                    }
                    summary.take_answer(place, &answer)?;
                }
            }
        }
        Ok(())
    }
}
