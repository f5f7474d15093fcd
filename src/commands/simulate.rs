//! `vigie simulate`: trades of a market that never was, whose truth is known.

use std::{
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::Args;
use flate2::{Compression, write::GzEncoder};
use jiff::civil::Date;
use serde::Serialize;

use super::{
    ConfigArgs, Outcome,
    draft::Draft,
    named,
    terminal::{Output, tell},
};
use crate::{
    config::Config,
    domain::{Symbol, Timestamp, TradeId},
    sim::{self, Scenario, Sessions, SimulationOptions, Trade, Truth, Venue},
};

const EXAMPLES: &str = "\
Examples:
  vigie simulate --out trades.jsonl.gz
  vigie simulate --scenario no-edge --months 12 --seed 7 --out - | vigie import -
  vigie simulate --out trades.jsonl --truth truth.jsonl        with the probability of each trade beside it";

/// Make closed trades of a simulated market, for `vigie import` and for other tools
///
/// Nothing in it comes from a real market. The same options give the same bytes. Whether a trade wins is drawn with a
/// probability that is known; see docs/simulator.md.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Simulate {
    /// File to write, one JSON object a line, gzipped if its name ends in .gz; `-` for standard output
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Write the truth about each trade to this file, one JSON object a line
    #[arg(long, value_name = "FILE")]
    truth: Option<PathBuf>,
    /// happy, drift, crash, no-edge or poison
    #[arg(long, value_name = "NAME", default_value = "happy")]
    scenario: Scenario,
    /// Seed of every draw
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Calendar months
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=240))]
    months: u32,
    /// First day
    #[arg(long, value_name = "DATE", default_value = "2025-01-06")]
    start: Date,
    /// Strength of what can be foretold; 0: nothing, 1: 69 % of the trades [default: of the scenario]
    #[arg(long)]
    edge: Option<f64>,
    /// What is traded; it must have a table in the configuration
    #[arg(long, default_value = "ES", value_parser = |text: &str| Symbol::new(text))]
    symbol: Symbol,
    /// Print the summary as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

/// What was made.
#[derive(Debug, Default, Serialize)]
struct Summary {
    sessions: usize,
    trades: usize,
    wins: usize,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    /// Sum, in account currency.
    pnl: f64,
    /// The accuracy that nothing can exceed, save by luck.
    bayes_accuracy: Option<f64>,
    /// Trades whose signal fell into an outage: they are not in the file.
    lost: usize,
    /// Outcomes that are reported wrong.
    poisoned: usize,
}

/// A line of the file of truths.
#[derive(Serialize)]
struct TruthLine<'a> {
    trade_id: &'a str,
    #[serde(flatten)]
    truth: Truth,
}

impl Simulate {
    /// Runs the command.
    ///
    /// # Errors
    /// When an option is out of range or a file cannot be written.
    pub fn run(self) -> Outcome {
        let config = self.config.load()?;
        let mut options =
            SimulationOptions { start: self.start, ..SimulationOptions::of(self.scenario, self.seed, self.months) };
        options.edge = self.edge.unwrap_or(options.edge);
        let sessions = Sessions::new(options, venue(&config, self.symbol)?)?;
        let mark = mark(self.scenario, self.edge);
        let mut out = Sink::create(&self.out)?;
        let mut truths = self.truth.as_deref().map(Sink::create).transpose()?;
        let (mut summary, mut all) = (Summary::default(), Vec::new());
        for session in sessions {
            summary.sessions += 1;
            for mut trade in session.trades {
                summary.take(&trade);
                if trade.delivered.lost {
                    continue;
                }
                all.push(trade.truth);
                let trade_id = trade.signal.trade_id.as_str().replacen('-', &mark, 1);
                trade.signal.trade_id = TradeId::new(trade_id).map_err(anyhow::Error::from)?;
                out.line(&sim::wire::closed_trade(&trade.signal, &trade.outcome))?;
                if let Some(truths) = &mut truths {
                    let line = TruthLine { trade_id: trade.signal.trade_id.as_str(), truth: trade.truth };
                    truths.line(&serde_json::to_string(&line)?)?;
                }
            }
        }
        summary.bayes_accuracy = sim::bayes_accuracy(all);
        let to_standard_output = out.finish()? | truths.map(Sink::finish).transpose()?.unwrap_or(false);
        match (to_standard_output, self.json) {
            (true, _) => {}
            (false, true) => tell(serde_json::to_string(&summary)?)?,
            (false, false) => summary.print(&self.out)?,
        }
        Ok(())
    }
}

/// What stands behind the seed in the names of trades, so that no two markets of one seed share a name. The usual one has none.
fn mark(scenario: Scenario, edge: Option<f64>) -> String {
    let scenario = if scenario == Scenario::Happy { String::new() } else { format!("-{scenario}") };
    // a name of a trade has no plus, and needs none
    let edge = edge.map_or_else(String::new, |edge| format!("-e{edge}"));
    format!("{scenario}{edge}-")
}

/// Where `symbol` is traded, as configured.
fn venue(config: &Config, symbol: Symbol) -> anyhow::Result<Venue> {
    let instrument = named::instrument(config, &symbol)?;
    Ok(Venue { symbol, instrument, calendar: config.calendar.clone() })
}

impl Summary {
    fn take(&mut self, trade: &Trade) {
        if trade.delivered.lost {
            self.lost += 1;
            return;
        }
        self.trades += 1;
        self.wins += usize::from(trade.truth.won);
        self.poisoned += usize::from(trade.truth.poisoned);
        self.first = self.first.or(Some(trade.signal.at));
        self.last = Some(trade.signal.at);
        self.pnl += trade.outcome.pnl.map_or(0.0, |pnl| pnl.get());
    }

    fn print(&self, path: &Path) -> io::Result<()> {
        let share = |part: usize, whole: usize| 100.0 * part as f64 / whole.max(1) as f64;
        let day = |at: Option<Timestamp>| at.map_or_else(|| "-".to_owned(), |at| at.strftime("%Y-%m-%d").to_string());
        tell(format_args!(
            "{}: {} trades of {} sessions, {} to {}; SYNTHETIC, of a market that never was",
            path.display(),
            self.trades,
            self.sessions,
            day(self.first),
            day(self.last)
        ))?;
        tell(format_args!("  won       {:.1} %, in all {:.2} after costs", share(self.wins, self.trades), self.pnl))?;
        let best = self.bayes_accuracy.map_or_else(|| "-".to_owned(), |best| format!("{:.1} %", 100.0 * best));
        tell(format_args!("  at best   {best} of them can be foretold"))?;
        if self.lost > 0 {
            tell(format_args!("  left out  {} trades whose signals fell into an outage", self.lost))?;
        }
        if self.poisoned > 0 {
            tell(format_args!("  poisoned  {} outcomes are reported as the opposite", self.poisoned))?;
        }
        Ok(())
    }
}

/// A file of lines, plain or gzipped by its name, or standard output.
struct Sink {
    name: String,
    out: Out,
}

enum Out {
    Standard(BufWriter<Output>),
    Plain(BufWriter<Draft>),
    Gzip(GzEncoder<BufWriter<Draft>>),
}

impl Sink {
    fn create(path: &Path) -> anyhow::Result<Self> {
        let name = path.display().to_string();
        if name == "-" {
            return Ok(Self { name, out: Out::Standard(BufWriter::new(Output::new())) });
        }
        let file = BufWriter::new(Draft::create(path)?);
        let gzip = path.extension().is_some_and(|extension| extension == "gz");
        // no name and no time in its head: the same trades give the same bytes
        let out = if gzip { Out::Gzip(GzEncoder::new(file, Compression::default())) } else { Out::Plain(file) };
        Ok(Self { name, out })
    }

    fn line(&mut self, line: &str) -> anyhow::Result<()> {
        let written = match &mut self.out {
            Out::Standard(out) => writeln!(out, "{line}"),
            Out::Plain(out) => writeln!(out, "{line}"),
            Out::Gzip(out) => writeln!(out, "{line}"),
        };
        self.explain(written)
    }

    /// Writes what is left, puts the file in its place, and says whether it went to standard output.
    fn finish(self) -> anyhow::Result<bool> {
        let Self { name, out } = self;
        let is_standard_output = matches!(out, Out::Standard(_));
        let whole = |file: BufWriter<Draft>| file.into_inner().map_err(io::IntoInnerError::into_error)?.finish();
        let written = match out {
            Out::Standard(mut out) => out.flush(),
            Out::Plain(out) => whole(out),
            Out::Gzip(out) => out.finish().and_then(whole),
        };
        explain(&name, written).map(|()| is_standard_output)
    }

    fn explain(&self, written: io::Result<()>) -> anyhow::Result<()> {
        explain(&self.name, written)
    }
}

fn explain(name: &str, written: io::Result<()>) -> anyhow::Result<()> {
    written.with_context(|| format!("{name} cannot be written"))
}
