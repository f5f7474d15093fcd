//! `vigie tune`: what would have happened under another configuration.

use std::{collections::BTreeSet, path::PathBuf};

use clap::Args;
use serde_json::json;

use super::{ConfigArgs, Outcome, SourceArgs, load_config, terminal::tell};
use crate::{
    config::Config,
    domain::{Event, EventKind},
    journal::Reader,
    recall::{events, fold, retold::Retold},
    state::replay::{Comparison, Line, Pnl, Replay, Row, Thresholds, Watching, compare, recorded},
};

/// Sections whose keys the replay follows.
const FOLLOWED: [&str; 9] =
    ["guardian", "staging", "experiment", "lifecycle", "scoring", "sizing", "monitor", "health", "gradual"];
/// Keys in these sections that change nothing here.
const NOT_FOLLOWED: [&str; 2] = ["lifecycle.verify_s", "monitor.clock_tolerance_s"];

const EXAMPLES: &str = "\
Examples:
  vigie tune --config other.toml
  vigie tune --config other.toml --in-force /etc/vigie/config.toml --state /var/lib/vigie
  vigie tune --config other.toml --json";

/// Replay the journal under another configuration, and show side by side what would have happened
///
/// Both replays use the functions that the daemon decides with: emergencies, gates, tests, promotions, and for every
/// trade what it would have earned. The daemon's own steps are found again; what people ordered is taken as they ordered
/// it, when it still applies. The same configuration twice gives the same, to the bit. Reads the journal, also beside the
/// daemon.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Tune {
    /// The other configuration
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The configuration in force [default: through a daemon its own, else as built in]
    #[arg(long, value_name = "FILE")]
    in_force: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    source: SourceArgs,
}

impl Tune {
    /// Runs the command.
    ///
    /// # Errors
    /// When a configuration is wrong or the journal cannot be read.
    pub fn run(self) -> Outcome {
        let other = load_config(&self.config)?;
        let (in_force, reader) = self.source.open(&ConfigArgs { config: self.in_force })?;
        let past = Retold::of(&reader, &in_force).map_err(anyhow::Error::msg)?;
        let by_policy = in_force.policy != other.policy;
        let told = |config: &Config, by_policy| -> anyhow::Result<Replay> {
            let watching = past.watching(config).map_err(anyhow::Error::msg)?;
            let thresholds = thresholds(config, &in_force, by_policy, watching);
            past.under(config, &thresholds).map_err(anyhow::Error::msg)
        };
        let (one, two) = (told(&in_force, false)?, told(&other, by_policy)?);
        let comparison = compare(&one, &two);
        let changed = changed(&in_force, &other);
        let notes = notes(&reader, &in_force, &one, &comparison.pnl)?;
        if self.json {
            tell(json!({
                "changed_keys": changed, "comparison": comparison, "in_force": one, "other": two, "notes": notes,
            }))?;
            return Ok(());
        }
        print(&changed, &comparison, &one, &two)?;
        notes.iter().try_for_each(|note| tell(format_args!("note: {note}")))?;
        Ok(())
    }
}

/// Of `config`, with the trading days of the one in force: the journal was made with these.
fn thresholds(config: &Config, in_force: &Config, by_policy: bool, watching: Watching) -> Thresholds {
    Thresholds {
        calendar: in_force.calendar.clone(),
        keep: fold::open_trades_keep(config),
        guardian: config.guardian.clone(),
        gradual: config.gradual,
        staging: config.staging,
        experiment: config.experiment.clone(),
        automatic: config.lifecycle.automatic,
        policy: config.policy,
        by_policy,
        watching: Some(watching),
    }
}

/// The keys that differ, with both values, and whether the replay follows them.
fn changed(in_force: &Config, other: &Config) -> Vec<(String, String, String, bool)> {
    let (one, two) = (in_force.entries(), other.entries());
    let keys: BTreeSet<&String> = one.iter().chain(&two).map(|(key, _)| key).collect();
    let value = |entries: &[(String, String)], key: &String| {
        entries.iter().find(|(name, _)| name == key).map_or_else(|| "-".to_owned(), |(_, value)| value.clone())
    };
    let followed = |key: &str| {
        let section = key.split('.').next().unwrap_or_default();
        FOLLOWED.contains(&section) && !NOT_FOLLOWED.contains(&key)
    };
    keys.into_iter()
        .map(|key| (key.clone(), value(&one, key), value(&two, key), followed(key)))
        .filter(|(_, one, two, _)| one != two)
        .collect()
}

fn print(
    changed: &[(String, String, String, bool)],
    comparison: &Comparison,
    one: &Replay,
    two: &Replay,
) -> Result<(), std::io::Error> {
    if changed.is_empty() {
        tell("the two configurations are the same")?;
    }
    for (key, one, two, followed) in changed {
        let unseen = if *followed { "" } else { "   (not replayed)" };
        tell(format_args!("{key}: {one} in force, {two} in the other{unseen}"))?;
    }
    tell("")?;
    for Row { at, in_force, other } in &comparison.rows {
        let at = at.strftime("%Y-%m-%d %H:%M:%S");
        match (in_force, other) {
            (Some(text), Some(_)) => tell(format_args!("{at}  both      {text}"))?,
            (Some(text), None) => tell(format_args!("{at}  in force  {text}"))?,
            (None, Some(text)) => tell(format_args!("{at}  other     {text}"))?,
            (None, None) => {}
        }
    }
    tell("")?;
    for (name, replay) in [("in force", one), ("other", two)] {
        let standing: Vec<String> =
            replay.standing.iter().map(|(version, state)| format!("{version} {state}")).collect();
        let locked = replay.locked.as_ref().map_or_else(String::new, |why| format!("; locked: {why}"));
        tell(format_args!(
            "{name:<9} a model was heard in {} signals; in the end {}{locked}",
            replay.heard,
            if standing.is_empty() { "there is no version".to_owned() } else { standing.join(", ") }
        ))?;
    }
    let Pnl { signals, in_force, other, difference, changed, unknown, .. } = comparison.pnl;
    match difference {
        Some(difference) => tell(format_args!(
            "pnl of {signals} signals: {in_force:.2} in force, {other:.2} in the other, difference {difference:+.2}; \
             {changed} earned something else"
        )),
        None => tell(format_args!(
            "no difference is given: of {} signals the result of {unknown} ({:.0} %) is unknown under one of the configurations, and \
             these are the signals on which they differ. The other {signals}: {in_force:.2} in force, {other:.2} in the other; \
             {changed} of them have a different result",
            signals + unknown,
            100.0 * unknown as f64 / (signals + unknown) as f64
        )),
    }
}

fn notes(reader: &Reader, in_force: &Config, one: &Replay, pnl: &Pnl) -> anyhow::Result<Vec<String>> {
    let mut notes = Vec::new();
    let events: Vec<Event> =
        events::in_force(reader)?.map(|stored| stored.map(|stored| stored.event)).collect::<Result<_, _>>()?;
    let hash = events.iter().rev().find_map(|event| config_hash(&event.kind));
    let own: Vec<Line> = events.iter().filter_map(|event| recorded(event, true)).collect();
    if let Some(hash) = hash.filter(|hash| *hash != in_force.hash()) {
        notes.push(format!(
            "the journal's last configuration has the hash {hash}, the one given as in force {}: name the right one with \
             --in-force",
            in_force.hash()
        ));
    }
    let found = agreeing(&own, &one.lines);
    notes.push(format!(
        "of the {} steps and emergencies in the journal the replay of the configuration in force finds {found}",
        own.len()
    ));
    let Pnl { unknown_in_force, unknown_other, .. } = pnl;
    if unknown_in_force + unknown_other > 0 {
        notes.push(format!(
            "not known: {unknown_in_force} signals in force, {unknown_other} in the other; they were let go in fact, closed \
             without a pnl, or the version that would have spoken has no score recorded, and are left out of both sums; what a \
             version's refusals are worth is told by the paired view of `vigie experiment`, from the trades it was not heard in"
        ));
    }
    notes.push(
        "assumed: the strategy alone trades its own size, a version the size that is recorded or follows from its score, \
         at the same prices; people order what they ordered, when they ordered it; each configuration is in force all \
         the time, so a changed [scoring] or [sizing] is followed as if the versions had been validated by it; declines are looked \
         for by the limits of their own validation"
            .to_owned(),
    );
    let damaged = reader.signals()?.filter(Result::is_err).count() + reader.outcomes()?.filter(Result::is_err).count();
    if damaged > 0 {
        notes.push(format!("{damaged} damaged records are left out"));
    }
    Ok(notes)
}

/// The hash of the configuration that came into force.
fn config_hash(kind: &EventKind) -> Option<&str> {
    match kind {
        EventKind::Started { config_hash, .. } => Some(config_hash),
        EventKind::Reloaded { config_hash, taken: true, .. } => Some(config_hash),
        _ => None,
    }
}

/// How many of `own` are among `found`, in the same order.
fn agreeing(own: &[Line], found: &[Line]) -> usize {
    let mut rest = found.iter();
    own.iter()
        .filter(|line| rest.clone().position(|other| other.text == line.text).map(|n| rest.nth(n)).is_some())
        .count()
}
