//! `vigie phases` and `vigie dataset`: what the data allow, and what state they are in.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{
    ConfigArgs, Failed, Outcome, StateArgs,
    files::{Line, Lines, bytes_bar},
    terminal::tell,
};
use crate::{
    actors::{history, learning, models::roster},
    config::Config,
    domain::{InvalidLine, SignalLine, Symbol},
    features::{
        quality::{QualityCheck, QualityOptions},
        row::Schema,
    },
    journal::Reader,
    models::{
        Target,
        levels::{Level, Verdict, judge},
    },
    validation::gather::{clean_trades, closed_trades},
};

/// Trading days in a row without a signal from which a gap is reported.
const MAX_GAP_DAYS: u32 = 3;
/// Symbols in production from which a portfolio can be thought of.
const PORTFOLIO_SYMBOLS: usize = 2;

/// Show which levels of models may be trained, GO or NO-GO, with the evidence condition by condition
///
/// Reads the journal, also beside the daemon.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  vigie phases\n  vigie phases --symbol NQ --target signal_quality --json")]
pub struct Phases {
    /// Whose trades
    #[arg(long, default_value = "ES", value_parser = |text: &str| Symbol::new(text))]
    symbol: Symbol,
    /// For models of what [default: training.target]
    #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(Target::ALL.map(Target::name)))]
    target: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    state: StateArgs,
    #[command(flatten)]
    config: ConfigArgs,
}

/// Report the quality of a data set: rows, faults, gaps, missing and impossible values, classes
///
/// Without files, of the signals and outcomes in the journal; that is read, also beside the daemon.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  vigie dataset\n  vigie dataset examples/signals.jsonl.gz\n  vigie dataset --json")]
pub struct Dataset {
    /// Files of JSON lines, plain or gzipped; `-` for standard input
    files: Vec<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    state: StateArgs,
    #[command(flatten)]
    config: ConfigArgs,
}

impl Phases {
    /// Runs the command.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn run(self) -> Outcome {
        let config = self.config.load()?;
        let reader = self.state.reader(&config)?;
        let target = self.target.as_deref().and_then(Target::named).unwrap_or(config.training.target);
        let verdicts = verdicts(&reader, &config, &self.symbol, target).map_err(anyhow::Error::msg)?;
        let plans = roster(&reader).map_err(anyhow::Error::msg)?.plan();
        let symbols = plans.values().filter(|plan| plan.production.is_some()).count();
        let portfolio = symbols >= PORTFOLIO_SYMBOLS;
        if self.json {
            let portfolio = json!({ "go": portfolio, "symbols_in_production": symbols, "needed": PORTFOLIO_SYMBOLS });
            tell(json!({
                "symbol": self.symbol, "target": target, "levels": verdicts, "allowed": config.training.allow_levels,
                "portfolio": portfolio, "reinforcement_learning": { "go": false },
            }))?;
            return Ok(());
        }
        tell(format_args!("{}, {target}", self.symbol))?;
        for verdict in &verdicts {
            tell(verdict)?;
            if !verdict.go && config.training.allow_levels.contains(&verdict.level) {
                tell("  opened by training.allow_levels")?;
            }
        }
        let word = if portfolio { "GO" } else { "NO-GO" };
        tell(format_args!("portfolio: {word}\n  symbols in production: {symbols}, needs >= {PORTFOLIO_SYMBOLS}"))?;
        tell(
            "reinforcement_learning: NO-GO\n  it needs a proven portfolio and a model of the market; neither is there",
        )?;
        Ok(())
    }
}

fn verdicts(reader: &Reader, config: &Config, symbol: &Symbol, target: Target) -> Result<Vec<Verdict>, String> {
    let history = history::read(reader)?;
    let (closed, clean) = (closed_trades(&history, symbol), clean_trades(&history, symbol));
    let facts = learning::ledger(reader)?.facts(symbol, target.name(), closed, clean);
    Ok(Level::ALL.into_iter().map(|level| judge(level, &facts, &config.levels)).collect())
}

impl Dataset {
    /// Runs the command.
    ///
    /// # Errors
    /// When a file or the journal cannot be read.
    pub fn run(self) -> Outcome {
        let config = self.config.load()?;
        let schema = Schema::new(&config.features.extra).map_err(anyhow::Error::from)?;
        let options = QualityOptions {
            symbols: config.symbols.clone(),
            calendar: config.calendar.clone(),
            schema,
            max_gap_days: MAX_GAP_DAYS,
            max_missing: config.features.max_missing,
        };
        let mut check = QualityCheck::new(options);
        if self.files.is_empty() {
            self.check_journal(&config, &mut check)?
        } else {
            self.check_files(&mut check)?
        }
        let report = check.report();
        if self.json {
            tell(serde_json::to_string(&report)?)?
        } else {
            tell(report.to_string().trim_end())?
        }
        Ok(())
    }

    fn check_journal(&self, config: &Config, check: &mut QualityCheck) -> anyhow::Result<()> {
        let reader = self.state.reader(config)?;
        let history = history::read(&reader).map_err(anyhow::Error::msg)?;
        for signal in &history.signals {
            let outcome = history.outcomes.get(&signal.trade_id).cloned();
            check.push(Ok(&SignalLine { signal: signal.clone(), outcome, deadline_us: None }));
        }
        Ok(())
    }

    fn check_files(&self, check: &mut QualityCheck) -> Result<(), Failed> {
        let bar = bytes_bar(self.files.iter().map(PathBuf::as_path));
        for file in &self.files {
            let mut lines = Lines::open(file, &bar)?;
            while let Some((_, line)) = lines.next()? {
                let parsed = match line {
                    Line::Text(text) => SignalLine::parse(text),
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
