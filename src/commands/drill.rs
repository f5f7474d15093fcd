//! `vigie drill`: how often each rule speaks of a healthy model, and how late of a broken one; and how fast the daemon
//! falls silent when one does.

mod load;
mod play;
mod scenario;
mod stage;

use clap::Args;
use serde_json::json;

use super::{
    ConfigArgs, Outcome, SourceArgs,
    files::bar,
    named,
    terminal::{table, tell},
};
use crate::{
    config::Config,
    domain::{Symbol, VersionId},
    features::row::Schema,
    guard::emergency::{RULES, Reported},
    journal::Reader,
    models::{Facts, Stake},
    recall::{
        scored::{self, Signals},
        versions,
    },
    sim::{Scenario, Sessions, SimulationOptions, Venue},
    state::drill::{Damage, Delay, DrillOptions, DrillReport, Past, PastTrade, drill},
};

/// Closed trades that a version must have scored before its own are drawn from.
const LEAST_TRADES: usize = 300;
/// Months of simulated trades, when there are too few.
const MONTHS: u32 = 12;

const EXAMPLES: &str = "\
Examples:
  vigie drill                                  on the trades of the version that scored most, else on simulated ones
  vigie drill --version ES/3 --runs 500
  vigie drill --config other.toml --simulate   other thresholds, always on simulated trades
  vigie drill --state /var/lib/vigie --json
  vigie drill --play --rounds 20               each emergency 20 times on a daemon of its own, marked as a drill
  vigie drill --play --version ES/3            with a copy of this version, not one of simulated trades";

/// Try the rules: how often each speaks of a healthy model, and how late of a broken one
///
/// Streams of trades are drawn from the closed trades that a version scored, in blocks of whole trading days. As they are
/// they stand for a healthy model. In a broken one, from a known trade on: fading, its win rate falls; ignorant, its scores
/// are dealt out again; reversed, what was won is lost; shifted, its inputs have moved. With fewer than 300 trades they are
/// simulated. Reads the journal, also beside the daemon, and changes nothing. With --play the emergencies themselves are
/// played, on a daemon of its own and in a folder of its own.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Drill {
    /// Whose trades [default: those of the version's symbol, else ES]
    #[arg(long, value_parser = |text: &str| Symbol::new(text))]
    symbol: Option<Symbol>,
    /// The version whose trades are drawn from [default: the one that scored most]; with --play, a copy of it is taken down
    /// [default: one of simulated trades]
    #[arg(long, conflicts_with = "simulate")]
    version: Option<VersionId>,
    /// Draw from simulated trades, whatever the journal holds
    #[arg(long)]
    simulate: bool,
    /// Streams of each sort
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u16).range(2..=10_000))]
    runs: u16,
    /// Trades of a stream
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(100..=100_000))]
    trades: u32,
    /// Mean length of the blocks that are drawn, in trading days
    #[arg(long, value_name = "DAYS", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
    block: u16,
    /// Points by which the win rate of a fading model falls
    #[arg(long, value_name = "POINTS", default_value_t = 10, value_parser = clap::value_parser!(u8).range(1..=99))]
    fall: u8,
    /// Tenths of its standard deviation by which each input moves
    #[arg(long, value_name = "TENTHS", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=100))]
    shift: u16,
    /// Seed of all draws
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Play each emergency under load, and measure how long a model was still heard; ends with 1 if one was heard after
    /// the acknowledgement
    #[arg(long, conflicts_with_all = ["simulate", "runs", "trades", "block", "fall", "shift", "config"])]
    play: bool,
    /// How often each emergency is played
    #[arg(long, value_name = "N", default_value_t = 10, requires = "play", value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    config: ConfigArgs,
}

impl Drill {
    /// Runs the command.
    ///
    /// # Errors
    /// When the journal cannot be read, or a version that is named has scored too few trades.
    pub fn run(self) -> Outcome {
        if self.play {
            return play::run(&self);
        }
        let journal = (!self.simulate && self.source.is_meant()).then(|| self.source.open(&self.config)).transpose()?;
        let (config, reader) = match journal {
            Some((config, reader)) => (config, Some(reader)),
            None => (self.config.load()?, None),
        };
        let (source, past) = self.past(&config, reader.as_ref())?;
        let options = DrillOptions {
            emergency: config.guardian.clone(),
            rules: RULES,
            watch: config.monitoring.watch,
            runs: self.runs.into(),
            trades: usize::try_from(self.trades)?,
            block_days: self.block.into(),
            fall: f64::from(self.fall) / 100.0,
            shift: f64::from(self.shift) / 10.0,
            seed: self.seed,
        };
        let bar = bar(100, "{bar:40} {percent:>3} %");
        let report = drill(&past, &options, |share| bar.set_position((100.0 * share) as u64));
        bar.finish_and_clear();
        let report = report.ok_or_else(|| anyhow::anyhow!("none of these trades is one that the policy takes"))?;
        if self.json {
            let report = serde_json::to_value(&report)?;
            tell(json!({ "source": source, "runs": self.runs, "trades": self.trades, "drill": report }))?;
            return Ok(());
        }
        self.print(&source, &report)?;
        Ok(())
    }

    fn past(&self, config: &Config, reader: Option<&Reader>) -> anyhow::Result<(String, Past)> {
        let symbol = named::symbol_of(self.symbol.as_ref(), self.version.as_ref())?;
        if let (Some(reader), Some(version)) = (reader, &self.version) {
            named::version(reader, version)?;
        }
        let signals = reader.map(|reader| Signals::read(reader, config)).transpose();
        let signals = signals.map_err(anyhow::Error::msg)?;
        let counts = signals.as_ref().map(|signals| signals.versions(&symbol)).transpose();
        let counts = counts.map_err(anyhow::Error::msg)?.unwrap_or_default();
        let most = counts.iter().max_by_key(|(_, count)| **count).map(|(version, _)| version.clone());
        let chosen = self.version.clone().or(most);
        let count = chosen.as_ref().and_then(|version| counts.get(version)).copied().unwrap_or(0);
        match chosen.zip(signals) {
            Some((version, signals)) if count >= LEAST_TRADES => {
                let question = reader.and_then(|reader| versions::record(reader, &version).ok());
                let question = question.map(|record| record.question()).unwrap_or_default();
                let past = signals.past(&version).map_err(anyhow::Error::msg)?;
                Ok((format!("the trades that {version} scored"), past.asked(question)))
            }
            _ if self.version.is_some() => {
                anyhow::bail!("it scored {count} closed trades, and {LEAST_TRADES} are needed; --simulate does without")
            }
            _ => {
                let why =
                    if self.simulate { String::new() } else { format!(", for the journal has {count} to draw from") };
                let source = format!("SIMULATED trades of a model that knows all that can be known{why}");
                Ok((source, simulated(config, &symbol, self.seed)?))
            }
        }
    }

    fn print(&self, source: &str, report: &DrillReport) -> anyhow::Result<()> {
        tell(format_args!(
            "Drawn from {source}: {} trades, {} taken, {} trading days",
            report.trades, report.taken, report.days
        ))?;
        if let Some(validated) = report.validated {
            let told = |value: Option<f64>, digits: usize| {
                value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
            };
            tell(format_args!(
                "A healthy model: accuracy {:.3}, precision {}, expectancy {}; {} inputs with limits",
                validated.accuracy,
                told(validated.precision, 3),
                told(validated.expectancy, 2),
                report.inputs
            ))?;
        }
        tell(format_args!(
            "{} streams of {} trades each. False alarms of a healthy model; of a broken one the trades until the rule speaks:\n\
             median and nine of ten, and the share of the streams in which it does within {} trades. Fading: -{} points of win\n\
             rate. Shifted: inputs by {:.1} standard deviations.\n",
            self.runs,
            self.trades,
            self.trades,
            self.fall,
            f64::from(self.shift) / 10.0
        ))?;
        let mut rows = vec![["rule", "per 1,000 trades", "per quarter"].map(str::to_owned).to_vec()];
        rows.iter_mut().for_each(|row| row.extend(Damage::ALL.map(|damage| damage.name().to_owned())));
        for rule in &report.rules {
            let error = rule.error.map_or_else(String::new, |error| format!(" +- {error:.2}"));
            let mut row = vec![
                rule.rule.to_string(),
                format!("{:.2}{error}", rule.false_alarms),
                format!("{:.2}", rule.per_quarter),
            ];
            row.extend(Damage::ALL.map(|damage| rule.delays.get(&damage).map_or_else(String::new, delay)));
            rows.push(row);
        }
        tell(table(&rows).trim_end())?;
        let watches = RULES.iter().map(|rule| format!("\n  {}: {}", rule.name, rule.watches));
        tell(format_args!("\nThe emergency rules, with _literal as they are written:{}", watches.collect::<String>()))?;
        Ok(())
    }
}

fn delay(delay: &Delay) -> String {
    let trades = |at: Option<f64>| at.map_or_else(|| "-".to_owned(), |at| format!("{at:.0}"));
    format!("{} / {} ({:.0} %)", trades(delay.median), trades(delay.nine_of_ten), 100.0 * delay.found)
}

/// Trades of a market that never was, scored by what is true of them.
fn simulated(config: &Config, symbol: &Symbol, seed: u64) -> anyhow::Result<Past> {
    let instrument = named::instrument(config, symbol)?;
    let venue = Venue { symbol: symbol.clone(), instrument, calendar: config.calendar.clone() };
    let sessions = Sessions::new(SimulationOptions::of(Scenario::Happy, seed, MONTHS), venue)?;
    let mut past = Past::of(Schema::built_in().names().map(Into::into).collect());
    for trade in sessions.flat_map(|session| session.trades) {
        let Ok(score) = crate::domain::Probability::new(trade.truth.probability) else { continue };
        let confidence = trade.signal.confidence.unwrap_or(score);
        let Some(pnl) = trade.outcome.pnl else { continue };
        past.push(PastTrade {
            day: trade.truth.day,
            score: score.get(),
            size: config.policy.size(config.policy.blend(confidence, score), score),
            pnl: pnl.get(),
            daily_loss_limit: scored::daily_loss_limit(&trade.signal),
            facts: Facts::of(&trade.outcome, Some(pnl.get()), Stake::of(&trade.signal, Some(instrument))),
            reported: Reported::of(&trade.outcome),
            row: trade.inputs,
        });
    }
    Ok(past.known(scored::LEAST_KNOWN))
}
