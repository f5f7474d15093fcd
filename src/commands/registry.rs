//! `vigie models show`, `diff` and `at`: what is kept of each version, and what it would have said. They read the journal,
//! also beside the daemon that writes to it.

use std::{collections::BTreeMap, fs, path::PathBuf};

use anyhow::Context;
use clap::Subcommand;
use serde_json::json;

use super::{
    JournalArgs, Outcome,
    terminal::{self, tell},
};
use crate::{
    config::Config,
    domain::{Opinion, SignalLine, Timestamp, VersionId},
    features::pipeline::Pipeline,
    journal::Reader,
    lifecycle::roster::{Plan, Roster},
    policy::{
        routing::Splits,
        serving::{Scope, Scored, Serving},
    },
    recall::{
        history,
        learning::latest_report,
        passport::{difference, facts},
        versions::{record, roster_until, served},
    },
};

/// What is asked of the registry.
#[derive(Debug, Subcommand)]
pub enum Question {
    /// Show everything that is kept of one version, with the report of its latest validation
    #[command(after_help = "Example:\n  vigie models show ES/3 --state /var/lib/vigie")]
    Show {
        /// The version, such as ES/14
        version: VersionId,
        #[command(flatten)]
        from: JournalArgs,
    },
    /// Show what differs between two versions
    #[command(after_help = "Example:\n  vigie models diff ES/3 ES/4")]
    Diff {
        /// One version
        first: VersionId,
        /// The other
        second: VersionId,
        #[command(flatten)]
        from: JournalArgs,
    },
    /// Show what was live at a time, and what it would have said about a signal
    #[command(after_help = "Example:\n  vigie models at 2026-11-02T15:00:00Z --signal examples/signal.json")]
    At {
        /// The time, RFC 3339
        time: Timestamp,
        /// A file with one signal as it is sent
        #[arg(long, value_name = "FILE")]
        signal: Option<PathBuf>,
        #[command(flatten)]
        from: JournalArgs,
    },
}

impl Question {
    /// Answers it.
    ///
    /// # Errors
    /// When the journal cannot be read or has no such version.
    pub fn answer(self) -> Outcome {
        match self {
            Self::Show { version, from } => show(&version, &from),
            Self::Diff { first, second, from } => diff(&first, &second, &from),
            Self::At { time, signal, from } => at(time, signal, &from),
        }
    }
}

fn show(version: &VersionId, from: &JournalArgs) -> Outcome {
    let reader = from.reader()?.1;
    let found = record(&reader, version).map_err(anyhow::Error::msg)?;
    let report = latest_report(&reader, &found).map_err(anyhow::Error::msg)?;
    if from.json {
        tell(json!({ "record": found, "report": report }))?;
        return Ok(());
    }
    let rows: Vec<Vec<String>> = facts(&found).into_iter().map(|(name, value)| vec![name, value]).collect();
    tell(terminal::table(&rows).trim_end())?;
    let importance = found.importance.iter().map(|(column, share)| vec![format!("  {column}"), format!("{share:.4}")]);
    tell(terminal::table(&head("share of each column", importance)).trim_end())?;
    let bins = found
        .reliability
        .iter()
        .map(|bin| vec![format!("  {:.4}", bin.foretold), format!("{:.4}", bin.observed), bin.rows.to_string()]);
    tell(terminal::table(&head("foretold  observed  rows", bins)).trim_end())?;
    found.warnings.iter().try_for_each(|note| tell(format_args!("note: {note}")))?;
    match report {
        Some(report) => tell(report)?,
        None => tell("it was never validated")?,
    }
    Ok(())
}

fn head(title: &str, rows: impl Iterator<Item = Vec<String>>) -> Vec<Vec<String>> {
    std::iter::once(vec![title.to_owned()]).chain(rows).collect()
}

fn diff(first: &VersionId, second: &VersionId, from: &JournalArgs) -> Outcome {
    let reader = from.reader()?.1;
    let differ = difference(&reader, first, second).map_err(anyhow::Error::msg)?;
    let cell = |of: Option<String>| of.unwrap_or_else(|| "-".to_owned());
    let differ: Vec<Vec<String>> =
        differ.into_iter().map(|(name, one, other)| vec![name, cell(one), cell(other)]).collect();
    if from.json {
        tell(json!({ "differ": differ }))?;
    } else {
        tell(terminal::table(&differ).trim_end())?;
    }
    Ok(())
}

fn at(time: Timestamp, signal: Option<PathBuf>, from: &JournalArgs) -> Outcome {
    let (config, reader) = from.reader()?;
    let roster = roster_until(&reader, Some(time)).map_err(anyhow::Error::msg)?;
    let said = signal.map(|path| said(&reader, &config, &roster, &path)).transpose()?;
    let plans = roster.plan();
    if from.json {
        let live =
            |plan: &Plan| json!({ "production": plan.production, "ab_test": plan.test, "staging": plan.shadows });
        let plans: BTreeMap<String, _> = plans.iter().map(|(symbol, plan)| (symbol.to_string(), live(plan))).collect();
        let said = said.map(|said| json!({ "decision": said.decision, "opinions": said.opinions }));
        tell(json!({ "at": time, "lock": roster.lock(), "live": plans, "said": said }))?;
        return Ok(());
    }
    match roster.lock() {
        Some(reason) => tell(format_args!("locked to the baseline: {reason}"))?,
        None => tell("not locked")?,
    }
    for (symbol, plan) in &plans {
        let name = |version: &Option<VersionId>| version.as_ref().map_or_else(|| "-".to_owned(), VersionId::to_string);
        let shadows: Vec<String> = plan.shadows.iter().map(VersionId::to_string).collect();
        let (production, test, shadows) = (name(&plan.production), name(&plan.test), shadows.join(" "));
        tell(format_args!("{symbol}: production {production}, A/B test {test}, staging {shadows}"))?;
    }
    let Some(Scored { decision, opinions, .. }) = said else { return Ok(()) };
    tell(format_args!(
        "answer: {:?}, confidence {}, score {:.4}, size {}, reason {}",
        decision.arm,
        decision.confidence.map_or_else(|| "-".to_owned(), |confidence| format!("{:.4}", confidence.get())),
        decision.score.get(),
        decision.size,
        decision.reason.name()
    ))?;
    for Opinion { version, score, size, .. } in opinions {
        let score = score.map_or_else(|| "-".to_owned(), |score| format!("{:.4}", score.get()));
        tell(format_args!("  {version} scores {score}, size {size}"))?;
    }
    Ok(())
}

/// What was live, asked about a signal, with what was known before it carried forward; by the policy it is served with.
fn said(reader: &Reader, config: &Config, roster: &Roster, path: &PathBuf) -> anyhow::Result<Scored> {
    let text = fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let SignalLine { signal, .. } = SignalLine::parse(text.trim_ascii())?;
    let mut pipeline = Pipeline::new(config.symbols.clone(), config.calendar.clone(), &config.features)?;
    let history = history::read(reader).map_err(anyhow::Error::msg)?;
    history.live().filter(|earlier| earlier.at < signal.at).for_each(|earlier| pipeline.remember(earlier));
    let schema = pipeline.schema().clone();
    let load = |version: &VersionId| served(reader, version, &schema, config).map_err(anyhow::Error::msg);
    let Plan { production, test, shadows } = roster.plan().remove(&signal.symbol).unwrap_or_default();
    let scope = Scope {
        production: production.as_ref().map(load).transpose()?,
        test: test.as_ref().map(load).transpose()?,
        shadows: shadows.iter().map(load).collect::<Result<_, _>>()?,
        silenced: roster.silenced(&signal.symbol).is_some(),
    };
    let share = |version: &VersionId| (version.clone(), roster.share(version));
    let splits = Splits::new(test.as_ref().map(share), production.as_ref().map(share));
    let scopes = BTreeMap::from([(signal.symbol.clone(), scope)]);
    let splits = BTreeMap::from([(signal.symbol.clone(), splits)]);
    let serving = Serving::new(0, roster.lock(), scopes, splits);
    let seen = pipeline.look(&signal)?;
    Ok(serving.answer(&config.policy, &signal, &seen, None, &[], &mut Vec::new()))
}
