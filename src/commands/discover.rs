//! `vigie discover`: which inputs of the closed vocabulary know something of the outcome.

use std::io;

use clap::Args;
use serde_json::json;

use super::{
    ConfigArgs, Outcome, SourceArgs,
    files::bar,
    terminal::{tell, warn},
};
use crate::{
    clock::{Clock, WallClock},
    config::Config,
    discovery::{Discovery, DiscoveryOptions, Finding, Prepared, Standing, prepare, search},
    domain::{Event, EventKind, Symbol},
    features::vocabulary::BOOK,
    journal::{Store, StoreOptions, Write},
    models::{Kind, Target},
    recall::{
        history,
        learning::{CACHE_BYTES, settings},
    },
    validation::Recipe,
};

/// How the bar looks.
const BAR: &str = "{bar:40} {percent:>3} %  {msg}";
/// Folds, of five, in which a relation keeps its sign at least.
const STABLE_FOLDS: usize = 4;
const FOLDS: usize = 5;

const EXAMPLES: &str = "\
Examples:
  vigie discover
  vigie discover --target signal_quality --state /var/lib/vigie
  vigie discover --all                  what is chance too
  vigie discover --json > found.json";

/// Search what snapshots hold for inputs that know something of the outcome
///
/// Candidates are built from a closed vocabulary: sizes of the book, volumes, distances to levels in ATR, lags, slopes and ranges of
/// the bars, products with trend and volatility, undeclared extras, and the latest snapshot of every other symbol as it was known then. The
/// latest trades, on which a version is tested, are not looked at. Of ten inputs that are found, on average at least nine know
/// something that memory alone does not explain; where none does, at least 95 of 100 searches find nothing. Nothing is an honest
/// answer. A gain was measured on the trades that the input was found on: the trades that come are the proof. What was tried
/// counts in the ledger; where a daemon has the journal open it is only read, and a note says so.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Discover {
    /// Whose trades
    #[arg(long, default_value = "ES", value_parser = |text: &str| Symbol::new(text))]
    symbol: Symbol,
    /// What is to be foretold [default: training.target]
    #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(Target::ALL.map(Target::name)))]
    target: Option<String>,
    /// Share of what is found that may be there by chance, on average
    #[arg(long, value_name = "SHARE", default_value_t = 0.1)]
    rate: f64,
    /// Show every candidate
    #[arg(long)]
    all: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    config: ConfigArgs,
}

impl Discover {
    /// Runs the command.
    ///
    /// # Errors
    /// When the journal cannot be read or the trades do not suffice.
    pub fn run(self) -> Outcome {
        let (config, reader) = self.source.open(&self.config)?;
        let target = self.target.as_deref().and_then(Target::named).unwrap_or(config.training.target);
        let bar = bar(1000, BAR);
        bar.set_message("reading the trades");
        let history = history::read(&reader).map_err(anyhow::Error::msg)?;
        let prepared = prepare(&self.symbol, target, &history, &settings(&config))?;
        drop((history, reader));
        let options = DiscoveryOptions {
            false_discovery_rate: self.rate,
            folds: FOLDS,
            stable_folds: STABLE_FOLDS,
            embargo_hours: config.validation.splits.embargo_hours,
            seed: config.training.seed,
        };
        let recipe = Recipe {
            kind: Kind::Logistic.for_target(target.kind()),
            target,
            solver: config.training.solver,
            design: &config.features,
            seed: config.training.seed,
        };
        bar.set_message(format!("{} candidates", prepared.candidates.len()));
        let progress = &mut |share: f64| bar.set_position((share * 1000.0) as u64);
        let found = search(&prepared.examples, &prepared.candidates, &recipe, &options, progress);
        bar.finish_and_clear();
        let found = found?;
        let in_ledger = self.note(&found, target, &config)?;
        let (symbol, rate) = (&self.symbol, self.rate);
        if self.json {
            tell(json!({
                "symbol": symbol, "target": target.name(), "rate": rate, "test_trades": prepared.test_trades,
                "warnings": prepared.warnings, "in_ledger": in_ledger, "discovery": found, "config": lines(&found),
            }))?;
            return Ok(());
        }
        print(&found, &prepared, self.all)?;
        if !in_ledger {
            warn("a daemon has the journal open, or it may not be written: what was tried is in no ledger");
        }
        Ok(())
    }

    /// Writes what was tried into the ledger, if nobody else has the journal open.
    fn note(&self, found: &Discovery, target: Target, config: &Config) -> anyhow::Result<bool> {
        let Some(journal) = self.source.journal() else { return Ok(false) };
        let options = StoreOptions { cache_bytes: config.journal.cache_bytes.max(CACHE_BYTES), verify: false };
        let Ok(mut store) = Store::open_audited(&journal, options) else { return Ok(false) };
        let kind = EventKind::Tried(Box::new(found.trial(&self.symbol, target)));
        store.apply(&[Write::Event(Event { at: WallClock.now(), kind })])?;
        store.close()?;
        Ok(true)
    }
}

fn print(found: &Discovery, prepared: &Prepared, all: bool) -> io::Result<()> {
    let (trades, tried) = (found.trades, found.tried);
    let first =
        format!("{tried} candidates on {trades} closed trades; the latest {} were not looked at", prepared.test_trades);
    tell(first)?;
    prepared.warnings.iter().try_for_each(|warning| tell(format_args!("note: {warning}")))?;
    let count = |standing| found.findings.iter().filter(|finding| finding.standing == standing).count();
    let named = [
        (Standing::Found, "found"),
        (Standing::AddsNothing, "known to the model already, or too weak to be sure"),
        (Standing::Unstable, "in some of the time only"),
        (Standing::Chance, "may be chance"),
        (Standing::Unusable, "known in too few trades, or hardly ever another value"),
    ];
    for (standing, words) in named {
        tell(format_args!("{:>6}  {words}", count(standing)))?;
    }
    let shown = |finding: &&Finding| all || finding.standing < Standing::Chance;
    let rows: Vec<&Finding> = found.findings.iter().filter(shown).collect();
    if !rows.is_empty() {
        tell(format_args!(
            "\n{:<44} {:>24} {:>9} {:>6} {:>6}  gain a trade",
            "input", "correlation", "p", "FDR", "folds"
        ))?;
    }
    for finding in rows {
        tell(row(finding, found.folds))?;
    }
    let lines = lines(found);
    if !lines.is_empty() {
        tell("\nTo use what was found, put this into [features] and train a version:")?;
        tell(format_args!("derived = [\n  {},\n]", lines.join(",\n  ")))?;
    }
    Ok(())
}

fn row(finding: &Finding, folds: usize) -> String {
    let (Some(correlation), Some(interval)) = (finding.correlation, finding.interval) else {
        return format!("{:<44} {:>24}", finding.expression, "-");
    };
    let skill = format!("{correlation:+.3} ({:+.3} to {:+.3})", interval.low, interval.high);
    let number = |value: Option<f64>, digits: usize| value.map_or("-".to_owned(), |value| format!("{value:.digits$}"));
    let folds = finding.stable_folds.map_or("-".to_owned(), |stable| format!("{stable}/{folds}"));
    let gain = finding.gain.map_or("-".to_owned(), |gain| {
        format!("{:+.5} ({:+.5} to {:+.5})", gain.gain, gain.interval.low, gain.interval.high)
    });
    let (p, rate) = (number(finding.p, 5), number(finding.false_discovery_rate, 2));
    format!("{:<44} {skill:>24} {p:>9} {rate:>6} {folds:>6}  {gain}", finding.expression)
}

/// What was found as items of `features.derived`; what one of another symbol asks for stands before it.
fn lines(found: &Discovery) -> Vec<String> {
    let item = |name: &str, expression: &str| format!("[\"{name}\", \"{expression}\"]");
    let of_another = |finding: &&Finding| finding.expression.starts_with("other(");
    let (others, own): (Vec<&Finding>, Vec<&Finding>) = found.found().partition(of_another);
    let own = own.into_iter().chain(others).map(|finding| item(&finding.name, &finding.expression));
    let needs_book = found.found().any(|finding| finding.expression.ends_with(&format!(", {BOOK})")));
    let has_book = found.found().any(|finding| &*finding.name == BOOK);
    let book = (needs_book && !has_book).then(|| item(BOOK, "imbalance(bid_size, ask_size)"));
    book.into_iter().chain(own).collect()
}
