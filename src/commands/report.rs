//! `vigie report`: what happened in a period, for people.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow};
use clap::Args;
use serde::Serialize;
use terminal_size::terminal_size_of;

use super::{
    Failed, JournalArgs, Outcome,
    draft::Draft,
    named,
    terminal::{Output, tell},
};
use crate::{
    domain::{Symbol, Timestamp, VersionId},
    recall::{
        period,
        review::{self, UNIT},
    },
    report::{self, Scope, Words},
};

/// Columns of the text where no terminal says how many it has.
const COLUMNS: usize = 120;
/// Letters of the name of a currency.
const LONGEST_UNIT: usize = 12;

const EXAMPLES: &str = "\
Examples:
  vigie report
  vigie report --since 2026-11-01 --until 2026-12-01 --html november.html
  vigie report --review                       the latest review that the schedule wrote
  vigie report --version ES/14 --currency USD
  vigie report --state /var/lib/vigie --json | jq '.money[].groups'";

/// Tell what happened in a period: money, versions, tests, health, alerts, latency, what was lost
///
/// Prints it as text, or writes one HTML page that needs nothing else: it reads on a phone, in light and dark, and prints. Each
/// figure is that of the rules: the accuracy is what the guardian judges by, a test ends at the look that decided, and the money
/// of the arms is what `vigie impact` compares. A signal belongs to the period in which it fired, with all that is known of it
/// now. Reads the whole journal, also beside the daemon; name the daemon's configuration with --config.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Report {
    /// Beginning of the period; a date alone is its midnight in UTC [default: that of the journal]
    #[arg(long, value_name = "TIME", value_parser = named::time_or_date)]
    since: Option<Timestamp>,
    /// End of the period, which does not belong to it [default: that of the journal]
    #[arg(long, value_name = "TIME", value_parser = named::time_or_date)]
    until: Option<Timestamp>,
    /// The review of this number that the schedule wrote, as it was told then; without a number the latest
    #[arg(long, value_name = "N", num_args = 0..=1, conflicts_with_all = ["since", "until", "version", "symbol", "currency"])]
    review: Option<Option<u32>>,
    /// Only what concerns this version: the signals that chance split for it, its tests, its health
    #[arg(long)]
    version: Option<VersionId>,
    /// Only what concerns this symbol [default: all]
    #[arg(long, value_parser = |text: &str| Symbol::new(text))]
    symbol: Option<Symbol>,
    /// Write one HTML page there, and print its summary only; `-` is standard output, without a summary
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    html: Option<PathBuf>,
    /// What the account is kept in, such as USD
    #[arg(long, value_name = "NAME", default_value = UNIT, value_parser = unit)]
    currency: String,
    /// Columns of the text [default: as the terminal has, or 120]
    #[arg(long, value_name = "COLUMNS", value_parser = clap::value_parser!(u16).range(40..=400))]
    width: Option<u16>,
    #[command(flatten)]
    from: JournalArgs,
}

fn unit(text: &str) -> Result<String, String> {
    let is_name = (1..=LONGEST_UNIT).contains(&text.chars().count()) && text.chars().all(char::is_alphanumeric);
    if is_name || text == UNIT {
        return Ok(text.to_owned());
    }
    Err(format!("it must be 1 to {LONGEST_UNIT} letters or digits, such as USD"))
}

/// Whether a path is that of standard output.
fn is_standard_output(path: &Path) -> bool {
    ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"].iter().any(|name| path == Path::new(name))
}

impl Report {
    /// Runs the command.
    ///
    /// # Errors
    /// When the journal cannot be read, the page cannot be written, or the period ends before it begins.
    pub fn run(self) -> Outcome {
        if let Some((since, until)) = self.since.zip(self.until).filter(|(since, until)| since >= until) {
            return Err(anyhow!("the period is empty: --since {since} is not before --until {until}").into());
        }
        if self.version.is_some() {
            named::symbol_of(self.symbol.as_ref(), self.version.as_ref())?;
        }
        let (config, reader) = self.from.reader()?;
        if let Some(number) = self.review {
            let review = review::load(&reader, number).map_err(anyhow::Error::msg)?;
            return self.tell(&review.summary, &review.report);
        }
        if let Some(version) = &self.version {
            named::version(&reader, version)?;
        }
        if let Some(symbol) = self.symbol.as_ref().filter(|symbol| !config.symbols.contains_key(symbol)) {
            let is_there = reader.signals()?.flatten().any(|stored| stored.signal.symbol == *symbol);
            named::symbol(&config, symbol, usize::from(is_there))?;
        }
        let Self { since, until, version, symbol, .. } = &self;
        let scope = Scope { since: *since, until: *until, symbol: symbol.clone(), version: version.clone() };
        let summary = period::summary(&reader, &config, &scope).map_err(anyhow::Error::msg)?;
        let report = summary.report(&Words { unit: &self.currency, calendar: &config.calendar });
        self.tell(&summary, &report)
    }

    /// Prints it, as text or as JSON, or writes the page.
    fn tell(&self, summary: &impl Serialize, report: &report::Report) -> Outcome {
        if self.from.json {
            tell(serde_json::to_string(summary).map_err(anyhow::Error::from)?)?;
            return Ok(());
        }
        let Some(path) = &self.html else {
            tell(report.to_text(self.columns()).trim_end())?;
            return Ok(());
        };
        if is_standard_output(path) {
            // the page is all that goes there
            let mut out = Output::new();
            let written = out.write_all(report.to_html().as_bytes()).and_then(|()| out.flush());
            return written.context("standard output cannot be written").map_err(Failed::Error);
        }
        let mut page = Draft::create(path)?;
        let written = page.write_all(report.to_html().as_bytes()).and_then(|()| page.finish());
        written.with_context(|| format!("{} cannot be written", path.display())).map_err(Failed::Error)?;
        tell(&report.lead)?;
        tell(format_args!("The page: {}", path.display()))?;
        Ok(())
    }

    fn columns(&self) -> usize {
        let on_terminal = || terminal_size_of(std::io::stdout()).map(|(width, _)| usize::from(width.0));
        self.width.map(usize::from).or_else(on_terminal).unwrap_or(COLUMNS)
    }
}
