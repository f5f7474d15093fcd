//! `vigie init`: a configuration of one's own, with only what differs from the built-in one.

mod features;
mod questions;
mod written;

use std::{
    fs::OpenOptions,
    io::{self, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::{Context as _, anyhow, bail};
use clap::Args;

use self::{features::Found, questions::ask};
use super::{
    Failed, Outcome,
    terminal::{tell, warn},
};
use crate::{config::Config, domain::Symbol, protocol::peer::AccessList};

const EXAMPLES: &str = "\
Examples:
  vigie init                                            four questions, with the defaults in brackets
  vigie init --symbol ES --daily-loss-limit 600         no question
  vigie init --symbol CL=0.01:10 --trader-user strategy --out /etc/vigie/config.toml
  vigie init --features-from signals.jsonl              for a strategy with features of its own
  vigie init --features-from trades.csv --map my-map.toml
  vigie init --defaults --out - | vigie check /dev/stdin";

/// Write a configuration file of your own
///
/// Asks four questions, unless an option or --defaults answers them or there is no terminal: which instrument, when its trading
/// day turns, what may be lost in a day, and who runs the strategy. The file holds only what differs from the built-in
/// configuration, each key with what it means. A file that is there stays.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Init {
    /// File to write; `-` is standard output
    #[arg(long, value_name = "FILE", default_value = "vigie.toml")]
    out: PathBuf,
    /// An instrument, as NAME or, where it is not built in, NAME=TICK:VALUE; may be repeated
    #[arg(long = "symbol", value_name = "NAME[=TICK:VALUE]")]
    symbols: Vec<Instrument>,
    /// Time zone in which the trading day turns
    #[arg(long, value_name = "ZONE")]
    zone: Option<String>,
    /// Local time at which it turns, such as 17:00
    #[arg(long, value_name = "HH:MM")]
    start: Option<String>,
    /// What the account may lose in a trading day, in its currency
    #[arg(long, value_name = "AMOUNT", allow_negative_numbers = true)]
    daily_loss_limit: Option<f64>,
    /// User who runs the strategy, where it is neither you nor root; may be repeated
    #[arg(long = "trader-user", value_name = "USER")]
    trader_users: Vec<String>,
    /// JSON lines of signals, as for `vigie import`: their features of your own and their symbols go into the configuration; with
    /// --map a CSV file
    #[arg(long, value_name = "FILE")]
    features_from: Option<PathBuf>,
    /// What the columns of the CSV file mean, as for `vigie import`: the name of a map that is built in, or a TOML file of your own
    #[arg(long, value_name = "MAP", requires = "features_from")]
    map: Option<PathBuf>,
    /// Ask nothing
    #[arg(long)]
    defaults: bool,
}

/// A symbol, and what its tick is, where that was said.
#[derive(Debug, Clone, PartialEq)]
struct Instrument {
    symbol: Symbol,
    tick: Option<(f64, f64)>,
}

impl FromStr for Instrument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, tick) = text.split_once('=').map_or((text, None), |(name, tick)| (name, Some(tick)));
        let symbol = Symbol::new(name.trim()).map_err(|error| error.to_string())?;
        let Some(tick) = tick else { return Ok(Self { symbol, tick: None }) };
        let read = |part: &str| part.trim().parse().ok().filter(|value: &f64| *value > 0.0 && *value <= 1e6);
        let parts = tick.split_once(':').and_then(|(tick, value)| Some((read(tick)?, read(value)?)));
        let tick = parts.ok_or_else(|| {
            format!("{tick:?} is no tick and what it is worth, such as CL=0.01:10 for a tick of 0.01 that is worth 10")
        })?;
        Ok(Self { symbol, tick: Some(tick) })
    }
}

/// What goes into the file.
#[derive(Debug, Clone, Default, PartialEq)]
struct Answers {
    symbols: Vec<Instrument>,
    zone: Option<String>,
    start: Option<String>,
    daily_loss_limit: Option<f64>,
    trader_users: Vec<String>,
}

impl Init {
    /// Runs the command.
    ///
    /// # Errors
    /// When the file is there already or cannot be written, an answer is not allowed, or the signals cannot be read.
    pub fn run(self) -> Outcome {
        let is_standard_output = self.out == Path::new("-");
        if !is_standard_output && self.out.symlink_metadata().is_ok() {
            return Err(
                anyhow!("{} is there already, and stays; name another file with --out", self.out.display()).into()
            );
        }
        let symbol = self.symbols.first().map(|instrument| instrument.symbol.clone());
        let found = match (&self.features_from, &self.map) {
            (Some(file), Some(map)) => Some(Found::read_csv(file, map, symbol)?),
            (Some(file), None) => Some(Found::read(file)?),
            _ => None,
        };
        let mut answers = Answers {
            symbols: self.symbols,
            zone: self.zone,
            start: self.start,
            daily_loss_limit: self.daily_loss_limit,
            trader_users: self.trader_users,
        };
        if let Some(found) = &found {
            let named: Vec<Symbol> = answers.symbols.iter().map(|instrument| instrument.symbol.clone()).collect();
            let others = found.symbols.iter().filter(|symbol| !named.contains(symbol));
            answers.symbols.extend(others.map(|symbol| Instrument { symbol: symbol.clone(), tick: None }));
        }
        let builtin = Config::builtin().map_err(|errors| Failed::Config(errors.into()))?;
        if !self.defaults && io::stdin().is_terminal() && io::stderr().is_terminal() {
            ask(&mut answers, &builtin, &mut io::stdin().lock(), &mut io::stderr())?;
        }
        let text = file(&answers, found.as_ref(), &builtin)?;
        if is_standard_output {
            tell(text.trim_end())?;
            return Ok(());
        }
        let mut file = OpenOptions::new().write(true).create_new(true).open(&self.out);
        let written = file.as_mut().map_err(|error| io::Error::new(error.kind(), error.to_string()));
        let written = written.and_then(|file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
        written.with_context(|| format!("{} cannot be written", self.out.display()))?;
        found.iter().flat_map(Found::warnings).for_each(warn);
        // the file may be for another machine
        if let Err(unknown) = AccessList::resolve(&Config::parse(ANSWERS, &text).unwrap_or(builtin).access) {
            warn(format_args!("{unknown}; until then `vigie run` does not start with this file"));
        }
        let name = self.out.display();
        tell(format_args!("{name} is written; next:"))?;
        tell(format_args!("  vigie check {name}"))?;
        tell(format_args!("  vigie run --config {name}"))?;
        Ok(())
    }
}

/// The text of the file; a configuration with it is in order.
fn file(answers: &Answers, found: Option<&Found>, builtin: &Config) -> anyhow::Result<String> {
    for Instrument { symbol, tick } in &answers.symbols {
        if tick.is_none() && !builtin.symbols.contains_key(symbol) {
            bail!(
                "{symbol} is not built in: say what its tick is and what one tick of one contract is worth, \
                 --symbol {symbol}=TICK:VALUE"
            );
        }
    }
    if let Some(limit) = answers.daily_loss_limit.filter(|limit| !limit.is_finite()) {
        bail!("guardian.daily_loss_limit: {limit} is no amount");
    }
    let text = written::file(&once(answers)?, found, builtin);
    Config::parse(ANSWERS, &text).map_err(|errors| anyhow!("{}", in_options(&errors.to_string())))?;
    Ok(text)
}

/// The answers without what was said twice.
fn once(answers: &Answers) -> anyhow::Result<Answers> {
    let mut once = Answers { symbols: Vec::new(), trader_users: Vec::new(), ..answers.clone() };
    for instrument in &answers.symbols {
        match once.symbols.iter().find(|other| other.symbol == instrument.symbol) {
            None => once.symbols.push(instrument.clone()),
            Some(other) if other.tick == instrument.tick => {}
            Some(_) => bail!("--symbol {0} is given twice, with two ticks; keep one of them", instrument.symbol),
        }
    }
    for user in &answers.trader_users {
        if !once.trader_users.contains(user) {
            once.trader_users.push(user.clone());
        }
    }
    Ok(once)
}

/// What the answers are called in faults of the file they make.
const ANSWERS: &str = "the answers";

/// Faults of a file that nobody sees, in the words of the command line: without its name and lines, and with the option.
fn in_options(faults: &str) -> String {
    let options = [
        ("trading_day.zone", "--zone"),
        ("trading_day.start", "--start"),
        ("guardian.daily_loss_limit", "--daily-loss-limit"),
        ("access.trader_users", "--trader-user"),
        ("symbols.", "--symbol"),
    ];
    let told = faults.lines().map(|fault| {
        let fault = fault.strip_prefix(ANSWERS).map_or(fault, |rest| rest.trim_start_matches([':', ' ']));
        let fault = fault.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start_matches([':', ' ']);
        let option = options.iter().find(|(key, _)| fault.starts_with(key));
        option.map_or_else(|| fault.to_owned(), |(_, option)| format!("{option}: {fault}"))
    });
    told.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers() -> Answers {
        Answers { symbols: vec!["ES".parse().unwrap()], ..Answers::default() }
    }

    #[test]
    fn the_file_holds_what_differs_and_nothing_else_and_is_what_was_answered() {
        let builtin = Config::builtin().unwrap();
        let nothing = file(&Answers::default(), None, &builtin).unwrap();
        assert_eq!(Config::parse("x", &nothing).unwrap().hash(), builtin.hash());
        assert!(nothing.lines().all(|line| line.is_empty() || line.starts_with('#')), "{nothing}");
        let answers = Answers {
            symbols: vec!["ES".parse().unwrap(), "CL=0.01:10".parse().unwrap()],
            zone: Some("Europe/Berlin".to_owned()),
            // as it is built in
            start: Some("17:00".to_owned()),
            daily_loss_limit: Some(600.0),
            trader_users: vec!["1234".to_owned()],
        };
        let text = file(&answers, None, &builtin).unwrap();
        let config = Config::parse("x", &text).unwrap();
        let differs: Vec<(String, String)> =
            config.entries().into_iter().filter(|entry| !builtin.entries().contains(entry)).collect();
        let differs: Vec<String> = differs.into_iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(
            differs,
            [
                "symbols.CL.tick=0.01",
                "symbols.CL.tick_value=10.0",
                "trading_day.zone=\"Europe/Berlin\"",
                "access.trader_users=[\"1234\"]",
                "guardian.daily_loss_limit=600.0"
            ]
        );
        assert!(!text.contains("start ="), "{text}");
        assert!(text.contains("# The daily limit while signals carry no"), "each key has its comment: {text}");
        assert_eq!(config.symbols.len(), 2);
    }

    #[test]
    fn what_is_not_allowed_is_refused_with_what_is() {
        let builtin = Config::builtin().unwrap();
        let refused = |answers: &Answers| file(answers, None, &builtin).unwrap_err().to_string();
        let unknown = Answers { symbols: vec!["CL".parse().unwrap()], ..Answers::default() };
        assert!(refused(&unknown).contains("--symbol CL=TICK:VALUE"));
        assert!(refused(&Answers { zone: Some("Mars".to_owned()), ..answers() }).contains("trading_day.zone"));
        assert!(refused(&Answers { start: Some("25:00".to_owned()), ..answers() }).contains("trading_day.start"));
        assert!(refused(&Answers { daily_loss_limit: Some(-1.0), ..answers() }).contains("daily_loss_limit"));
        assert!(refused(&Answers { daily_loss_limit: Some(f64::NAN), ..answers() }).contains("daily_loss_limit"));
        assert!(refused(&Answers { trader_users: vec!["a\"b".to_owned()], ..answers() }).contains("trader_users"));
        let twice = |symbols: [&str; 2]| Answers {
            symbols: symbols.map(|symbol| symbol.parse().unwrap()).into(),
            trader_users: vec!["a".to_owned(), "a".to_owned()],
            ..Answers::default()
        };
        let same = Config::parse("x", &file(&twice(["ES=0.25:5", "ES=0.25:5"]), None, &builtin).unwrap()).unwrap();
        assert_eq!(same.symbols.len(), 1);
        let said = refused(&twice(["ES=0.25:5", "ES=1:1"]));
        assert_eq!(said, "--symbol ES is given twice, with two ticks; keep one of them");
        let said = refused(&Answers { trader_users: vec!["a b".to_owned()], ..Answers::default() });
        assert!(said.starts_with("--trader-user: access.trader_users[0] = \"a b\": must be"), "{said}");
        for wrong in ["es", "CL=", "CL=0:1", "CL=1", "CL=1:x", ""] {
            assert!(wrong.parse::<Instrument>().is_err(), "{wrong}");
        }
    }
}
