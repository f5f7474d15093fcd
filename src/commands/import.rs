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
use serde_json::{Map, Value, json};

use super::{
    ConfigArgs, Failed, Outcome, PATIENCE, StateArgs, change,
    files::{Line, Lines, bytes_bar},
    terminal::tell,
};
use crate::{
    actors::daemon::SOCKET_FILE,
    clock::{Clock, WallClock},
    config::Config,
    domain::{Event, EventKind, InvalidLine, SignalLine, Timestamp},
    journal::{Applied, Existing, OpenError, Options, Store, Write},
    protocol::client::Client,
    rules::credible::{Bounds, check, check_line},
};

/// Trades in one commit.
const BATCH: usize = 200;
/// Faults that are shown of each kind.
const EXAMPLES_SHOWN: usize = 3;

const EXAMPLES: &str = "\
Examples:
  vigie import examples/signals.jsonl.gz
  vigie import --state /var/lib/vigie 2015.jsonl 2016.jsonl.gz
  vigie import --socket /run/vigie/vigie.sock 2016.jsonl    through that daemon
  zcat *.gz | vigie import -";

/// Import past trades, one snapshot with its outcome a line
///
/// Importing the same again changes nothing. A trade that is known with other contents is refused, and what is known
/// stays. When a daemon runs on the state folder, the trades go through it.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Import {
    /// Files of JSON lines, plain or gzipped; `-` for standard input
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Print the summary as one JSON object
    #[arg(long)]
    json: bool,
    /// Import through the daemon that listens there
    #[arg(long, value_name = "PATH", conflicts_with = "state")]
    socket: Option<PathBuf>,
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
    /// Trades whose outcome lacked something that is known now.
    completed: u64,
    duplicates: u64,
    rejected: u64,
    /// Trades among those that could be read whose symbol has no table in the configuration, by symbol: nothing is learnt from
    /// them, and their signals are answered with the baseline.
    unknown_symbols: BTreeMap<String, u64>,
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
        if self.completed > 0 {
            tell(format_args!("  {} outcomes lacked something that is known now", self.completed))?;
        }
        for (symbol, trades) in &self.unknown_symbols {
            tell(format_args!(
                "  {trades} trades of {symbol} have no table in the configuration; add [symbols.{symbol}]"
            ))?;
        }
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

/// Where trades go.
enum Journal {
    /// The file itself; no daemon uses it.
    Own(Box<Store>),
    /// The daemon that has it open, and the longest line that it takes.
    Daemon(Client, usize),
}

impl Import {
    /// Runs the command.
    ///
    /// # Errors
    /// When a file cannot be read or the journal not be written; refused lines are in the summary.
    pub fn run(self) -> Outcome {
        let config = self.config.load()?;
        let mut journal = self.journal(&config)?;
        let bar = bytes_bar(self.files.iter().map(PathBuf::as_path));
        let mut summary = Summary::default();
        let imported =
            self.files.iter().try_for_each(|file| import_file(file, &config, &mut journal, &mut summary, &bar));
        bar.finish_and_clear();
        if let Journal::Own(store) = journal {
            store.close()?;
        }
        if self.json {
            tell(serde_json::to_string(&summary)?)?;
        } else {
            summary.print()?;
        }
        // what was read before is stored, and told
        imported?;
        if summary.rejected > 0 { Err(Failed::Refused) } else { Ok(()) }
    }

    fn journal(&self, config: &Config) -> Result<Journal, Failed> {
        let daemon = |socket: PathBuf| Journal::Daemon(Client::new(socket, PATIENCE), config.server.max_line_bytes);
        if let Some(socket) = &self.socket {
            return Ok(daemon(socket.clone()));
        }
        let state = self.state.folder();
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(state)
            .with_context(|| format!("{} cannot be made", state.display()))?;
        let options = Options { cache_bytes: config.journal.cache_bytes, verify: false };
        match Store::open_audited(&self.state.journal(), options) {
            Ok(store) => Ok(Journal::Own(Box::new(store))),
            Err(in_use @ OpenError::InUse { .. }) => {
                let socket = state.join(SOCKET_FILE);
                if socket.exists() {
                    return Ok(daemon(socket));
                }
                let hint = "nothing was imported; name the socket of its daemon with --socket";
                Err(anyhow::Error::new(in_use).context(hint).into())
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn import_file(
    file: &Path,
    config: &Config,
    journal: &mut Journal,
    summary: &mut Summary,
    bar: &ProgressBar,
) -> anyhow::Result<()> {
    let name = file.display().to_string();
    let before = (summary.lines, summary.stored, summary.rejected, summary.completed);
    let mut lines = Lines::open(file, bar)?;
    let mut batch = Batch::default();
    bar.set_message(name.clone());
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
            Err((code, message)) => summary.reject(code, &place, &message),
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
    read_to
}

/// A line that can be imported.
type Trade = (SignalLine, Vec<u8>);

fn read(line: Line<'_>, config: &Config, journal: &Journal) -> Result<Trade, (&'static str, String)> {
    let Line::Text(text) = line else { return Err(("line_too_long", "the line is too long".to_owned())) };
    if let Journal::Daemon(_, most) = journal
        && text.len() + REQUEST_BYTES > *most
    {
        let message = format!("the daemon takes lines of {most} bytes; stop it and import on its state folder");
        return Err(("line_too_long", message));
    }
    let refused = |error: InvalidLine| (error.code, error.message);
    let parsed = SignalLine::parse(text).map_err(refused)?;
    if let Journal::Own(_) = journal {
        // a daemon does the same by its own clock and configuration
        check_line(&parsed, Some(WallClock.now()), &config.bounds())
            .map_err(|incredible| refused(incredible.into()))?;
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
        let symbols = trades.iter().map(|(parsed, _)| &parsed.signal.symbol);
        for symbol in symbols.filter(|symbol| !config.symbols.contains_key(*symbol)) {
            *summary.unknown_symbols.entry(symbol.to_string()).or_default() += 1;
        }
        match journal {
            Journal::Own(store) => {
                let now = WallClock.now();
                let fired: Vec<Timestamp> = trades.iter().map(|(parsed, _)| parsed.signal.at).collect();
                let writes: Vec<Write> =
                    trades.into_iter().map(|(parsed, line)| Write::past_trade(parsed, line, now)).collect();
                let applied = store.apply(&writes)?;
                let told = writes.iter().zip(&applied).zip(&fired);
                let again: Vec<Vec<Write>> =
                    told.map(|((write, applied), at)| completion(write, applied, *at, now, &config.bounds())).collect();
                let completed = store.apply(&again.concat())?;
                let mut completed = completed.into_iter();
                for ((place, applied), again) in places.iter().zip(&applied).zip(&again) {
                    match again.is_empty() {
                        true => summary.take(place, applied),
                        false => summary.take_completion(place, completed.by_ref().take(again.len())),
                    }
                }
            }
            Journal::Daemon(client, _) => {
                let lines: String = trades.iter().map(|(_, line)| request(line)).collect::<Result<_, _>>()?;
                client.send(&lines, PATIENCE)?;
                for place in &places {
                    let answer: Map<String, Value> = serde_json::from_str(&client.receive(PATIENCE)?)?;
                    summary.take_answer(place, &answer)?;
                }
            }
        }
        Ok(())
    }
}

/// What is written instead of a past trade whose outcome is told already, by the rules of a daemon: the outcome with what was
/// missing in it, and the signal, if that is not there. Nothing where the two contradict each other, and where nothing stands
/// in the way.
fn completion(write: &Write, applied: &Applied, fired: Timestamp, now: Timestamp, bounds: &Bounds) -> Vec<Write> {
    let (Write::Trade(trade), Applied::Conflict { existing }) = (write, applied) else { return Vec::new() };
    let Existing::Outcome(stored) = &**existing else { return Vec::new() };
    let (signal, told) = (&trade.0, &trade.1.outcome);
    let whole = stored.record.completed_by(told, None, now);
    let credible = whole.filter(|whole| check(&whole.outcome, Some(fired), now, bounds).is_ok());
    credible.map_or_else(Vec::new, |whole| vec![Write::Completion(Box::new(whole)), Write::Signal(signal.clone())])
}

/// What a request has beside the trade's own fields, at most.
const REQUEST_BYTES: usize = 32;

/// A line of a file as a request.
fn request(line: &[u8]) -> anyhow::Result<String> {
    let mut fields: Map<String, Value> = serde_json::from_slice(line)?;
    fields.remove("id");
    fields.remove("deadline_us");
    fields.insert("type".to_owned(), "import".into());
    Ok(format!("{}\n", Value::Object(fields)))
}

impl Journal {
    fn note(&mut self, kind: EventKind) -> anyhow::Result<()> {
        match (self, kind) {
            (Self::Own(store), kind) => drop(store.apply(&[Write::Event(Event { at: WallClock.now(), kind })])?),
            (Self::Daemon(client, _), EventKind::Imported { file, lines, stored, rejected }) => {
                let note =
                    json!({ "type": "imported", "file": file, "lines": lines, "stored": stored, "rejected": rejected });
                change::send(client, &note)?;
            }
            _ => {}
        }
        Ok(())
    }
}

impl Summary {
    fn take(&mut self, place: &str, applied: &Applied) {
        match applied {
            Applied::Stored { .. } => self.stored += 1,
            Applied::Duplicate => self.duplicates += 1,
            Applied::Conflict { .. } => {
                self.reject("conflict", place, "this trade is in the journal with other contents, which stay");
            }
            Applied::Unwritable { why } => self.reject("unwritable", place, why),
        }
    }

    /// What became of an outcome with what was missing in it, and of its signal.
    fn take_completion(&mut self, place: &str, applied: impl Iterator<Item = Applied>) {
        let applied: Vec<Applied> = applied.collect();
        match applied.as_slice() {
            [Applied::Stored { .. }, _] => self.completed += 1,
            [Applied::Duplicate, signal] => self.take(place, signal),
            [outcome, ..] => self.take(place, outcome),
            [] => {}
        }
    }

    /// # Errors
    /// When the daemon refuses all of it, or cannot write now: what was stored by then stays, and importing again is safe.
    fn take_answer(&mut self, place: &str, answer: &Map<String, Value>) -> anyhow::Result<()> {
        let Some(error) = answer.get("error") else {
            let says = |name: &str| answer.get(name) == Some(&Value::Bool(true));
            let count = match (says("completed"), says("duplicate")) {
                (true, _) => &mut self.completed,
                (_, true) => &mut self.duplicates,
                _ => &mut self.stored,
            };
            *count += 1;
            return Ok(());
        };
        let text = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or("-");
        match text("code") {
            "retry" | "forbidden" => anyhow::bail!(
                "{place}: {}; {} trades were stored before, and importing again is safe",
                text("message"),
                self.stored
            ),
            code => self.reject(code, place, text("message")),
        }
        Ok(())
    }
}
