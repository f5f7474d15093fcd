//! `vigie train` and `vigie validate`: a new version from what the journal holds, and an old one judged again.

use std::{
    io,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use clap::Args;
use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::{
    ConfigArgs, Outcome, PATIENCE, StateArgs, change,
    files::bar,
    found::{Found, Source},
    source::of_folder,
    terminal::tell,
};
use crate::{
    clock::{Clock, WallClock},
    config::Config,
    domain::{Symbol, VersionId},
    journal::{OpenError, Store, StoreOptions},
    models::{Kind, Target, VersionRecord},
    recall::{
        learning::{CACHE_BYTES, Job, Product, work},
        versions::roster,
    },
    validation::{Stage, check::ValidationCheck, training::Order},
};

/// How the bar looks.
const BAR: &str = "{bar:40} {percent:>3} %  {msg}";
/// Pause between two questions of how far the daemon is.
const POLL: Duration = Duration::from_millis(100);

const EXAMPLES: &str = "\
Examples:
  vigie train
  vigie train --model boosting --target signal_quality --days 365
  vigie train --keep                    a failed validation does not reject it
  vigie train --symbol NQ --state /var/lib/vigie --json
  vigie train --dry-run                 train and judge, register nothing";

const VALIDATE_EXAMPLES: &str = "\
Examples:
  vigie validate ES/3
  vigie validate ES/3 --state /var/lib/vigie --json";

const REINSTATE_EXAMPLES: &str = "\
Examples:
  vigie reinstate ES/3
  vigie reinstate ES/3 --state /var/lib/vigie --json
  vigie reinstate ES/3 --override --reason 'ES/4 misreads the new contract, and nothing else is validated'
  vigie reinstate ES/3 --override --to staging --reason 'to see what it would say'";

/// Train a model on the closed trades of the journal, validate it and register it
///
/// The latest trades are kept apart and the model is judged on them, by every gate of [validation]. One that passes is
/// validated, one that does not is rejected; neither influences anything until it is promoted. Every fit counts in the
/// doubt about whatever is deployed, that of a dry run too. A daemon that has the journal open does it
/// in a child process, by its own configuration; without one it is done here.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Train {
    /// Whose trades
    #[arg(long, default_value = "ES", value_parser = |text: &str| Symbol::new(text))]
    symbol: Symbol,
    /// Kind of model [default: training.model]
    #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(Kind::ALL.map(Kind::name)))]
    model: Option<String>,
    /// What it predicts; a version of pnl or exit_timing foretells amounts and is never promoted [default: training.target]
    #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(Target::ALL.map(Target::name)))]
    target: Option<String>,
    /// Use only trades of so many days before the latest one
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: Option<u32>,
    /// Do not register what was trained
    #[arg(long)]
    dry_run: bool,
    /// If it fails its validation do not reject it: it stays trained, and `promote --override` can still use it
    #[arg(long)]
    keep: bool,
    #[command(flatten)]
    common: Common,
}

/// Validate a version again, on the trades it has not learnt from
///
/// One that is trained or was rolled back is validated or rejected by the verdict; of any other the report is kept and
/// its state stays. A daemon that has the journal open does it
/// in a child process, by its own configuration; without one it is done here.
#[derive(Debug, Args)]
#[command(after_help = VALIDATE_EXAMPLES)]
pub struct Validate {
    /// The version, such as ES/14
    version: VersionId,
    #[command(flatten)]
    common: Common,
}

/// Bring a version back that is archived or was rolled back
///
/// It is judged first, by every gate of [validation], on the trades that have closed since it was last judged: not on those that it learnt
/// from, and not twice on the same. That counts in the trial ledger. If it passes it is validated, and goes on to staging as any
/// other; if not, it stays where it is, and what was not passed is said with its figures. With --override a daemon brings it back at once,
/// past its gates, and the version is marked for ever; the rules that watch versions in service judge it all the same.
#[derive(Debug, Args)]
#[command(after_help = REINSTATE_EXAMPLES)]
pub struct Reinstate {
    /// The version, such as ES/14
    version: VersionId,
    /// Bring it back at once, past its gates; say why with --reason
    #[arg(long = "override", requires = "reason")]
    overridden: bool,
    /// With --override, how far [default: production]
    #[arg(long, value_name = "STATE", requires = "overridden", value_parser = ["validated", "staging", "ab_test", "production"])]
    to: Option<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Common {
    /// Why, in your words; a daemon keeps it
    #[arg(long, value_name = "TEXT", default_value = "ordered on the command line")]
    reason: String,
    /// Print the figures as one JSON object
    #[arg(long)]
    json: bool,
    /// Socket of the daemon that has the journal open [default: vigie.sock in the state folder; where that cannot be read
    /// $VIGIE_SOCKET, else /run/vigie/vigie.sock]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    #[command(flatten)]
    state: StateArgs,
    #[command(flatten)]
    config: ConfigArgs,
}

impl Train {
    /// Runs the command.
    ///
    /// # Errors
    /// When the journal cannot be used or the trades do not suffice.
    pub fn run(self) -> Outcome {
        let order = Order {
            symbol: self.symbol,
            model: self.model.as_deref().and_then(Kind::named),
            target: self.target.as_deref().and_then(Target::named),
            days: self.days,
        };
        self.common.run(&Job::Train { order, dry_run: self.dry_run, keep: self.keep })
    }
}

impl Validate {
    /// Runs the command.
    ///
    /// # Errors
    /// When the journal cannot be used, there is no such version or the trades do not suffice.
    pub fn run(self) -> Outcome {
        self.common.run(&Job::Validate { version: self.version })
    }
}

impl Reinstate {
    /// Runs the command.
    ///
    /// # Errors
    /// When the journal cannot be used, there is no such version, it is in service, or a gate is not passed.
    pub fn run(self) -> Outcome {
        let Self { version, overridden, to, common } = self;
        if !overridden {
            return common.run(&Job::Reinstate { version });
        }
        let mut request = json!({ "type": "reinstate", "version": version, "reason": common.reason, "override": true });
        if let (Some(to), Value::Object(fields)) = (to, &mut request) {
            fields.insert("to".to_owned(), to.into());
        }
        let socket = match common.source() {
            Source::Daemon(socket) => socket,
            Source::Folder(folder) => folder.socket(),
        };
        change::order(&mut socket.client(PATIENCE), &request, common.json)
    }
}

impl Common {
    fn source(&self) -> Source {
        let named = self.socket.clone().map(Found::named);
        named.map_or_else(|| self.state.source(None), Source::Daemon)
    }

    fn run(&self, job: &Job) -> Outcome {
        let config = self.config.load()?;
        let product = match self.source() {
            Source::Daemon(socket) => self.by_the_daemon(job, &socket)?,
            Source::Folder(folder) => self.by_whom_has_the_journal(&folder, job, &config)?,
        };
        let record = product.checked_record().map_err(anyhow::Error::msg)?;
        if self.json {
            tell(figures(job, &product, record.as_ref()))?
        } else {
            print(job, &product, record.as_ref())?
        }
        match job {
            Job::Reinstate { version } if !product.report.is_deployable() => {
                let failed: Vec<String> = product.report.failed_gates().map(found_and_asked).collect();
                let failed = failed.join("; ");
                Err(anyhow::anyhow!("{version} stays where it is: the gate to validated is not passed: {failed}")
                    .into())
            }
            _ => Ok(()),
        }
    }

    fn by_whom_has_the_journal(&self, folder: &Found, job: &Job, config: &Config) -> anyhow::Result<Product> {
        if !folder.journal().exists() {
            of_folder(folder, config)?; // says what to do
        }
        let options = StoreOptions { cache_bytes: config.journal.cache_bytes.max(CACHE_BYTES), verify: false };
        match Store::open(&folder.journal(), options) {
            Ok(store) => Self::on_the_folder(store, &folder.journal(), job, config),
            Err(in_use @ OpenError::InUse { .. }) => {
                let socket = folder.socket();
                if socket.path.exists() {
                    return self.by_the_daemon(job, &socket);
                }
                Err(anyhow::Error::new(in_use)
                    .context("nothing was trained; name the socket of its daemon with --socket"))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Lets the daemon do it, and waits.
    fn by_the_daemon(&self, job: &Job, socket: &Found) -> anyhow::Result<Product> {
        self.config.is_not_used();
        let mut client = socket.client(PATIENCE);
        let begun = change::send(&mut client, &self.request(job))?;
        let number = begun.get("training").and_then(Value::as_u64);
        let bar = bar(1000, BAR);
        loop {
            let answer = client.request(&json!({ "type": "training" }), PATIENCE)?;
            let training = answer.get("training").cloned().unwrap_or_default();
            let field = |name: &str| training.pointer(name).cloned().unwrap_or_default();
            if field("/running/number").as_u64() == number {
                bar.set_position((field("/running/share").as_f64().unwrap_or_default() * 1000.0) as u64);
                bar.set_message(field("/running/stage").as_str().unwrap_or_default().to_owned());
                thread::sleep(POLL);
                continue;
            }
            bar.finish_and_clear();
            if field("/last/number").as_u64() != number {
                anyhow::bail!(
                    "the daemon does not know any more what came of it; see `vigie models` and `vigie status`"
                );
            }
            if let Some(refused) = field("/last/refused/message").as_str() {
                anyhow::bail!("{refused}");
            }
            let (version, report) = (field("/last/version"), field("/last/report"));
            let (version, report) = (serde_json::from_value(version)?, serde_json::from_value(report)?);
            return Ok(Product { version, record: None, trial: None, report });
        }
    }

    fn request(&self, job: &Job) -> Value {
        let reason = &self.reason;
        match job {
            Job::Train { order: Order { symbol, model, target, days }, dry_run, keep } => json!({
                "type": "train", "symbol": symbol, "model": model, "target": target, "days": days, "dry_run": dry_run,
                "keep": keep, "reason": reason,
            }),
            Job::Validate { version } => json!({ "type": "validate", "version": version, "reason": reason }),
            Job::Reinstate { version } => json!({ "type": "reinstate", "version": version, "reason": reason }),
        }
    }

    /// Does it here, on a journal that nobody else has open for writing. The journal is audited meanwhile; nothing is said or written
    /// of a training on one that is damaged.
    fn on_the_folder(mut store: Store, path: &Path, job: &Job, config: &Config) -> anyhow::Result<Product> {
        let reader = store.reader()?;
        let to_audit = store.reader();
        let (bar, now) = (bar(1000, BAR), WallClock.now());
        let (audited, product) = thread::scope(|both| {
            let audit = both.spawn(|| Store::audited(path, to_audit));
            let product = work(job, &reader, config, now, &mut |share, stage| show(&bar, share, stage));
            (audit.join(), product)
        });
        bar.finish_and_clear();
        audited.map_err(|_| anyhow::anyhow!("the audit of the journal panicked; nothing was trained"))??;
        let product = product?;
        let roster = roster(&reader).map_err(anyhow::Error::msg)?;
        let writes = product.writes(job, &roster, now).map_err(anyhow::Error::msg)?;
        drop(reader);
        store.apply(&writes)?;
        store.close()?;
        Ok(product)
    }
}

fn show(bar: &ProgressBar, share: f64, stage: Stage) {
    bar.set_position((share * 1000.0) as u64);
    bar.set_message(stage.to_string());
}

/// What was found of a part, and what is asked of it.
fn found_and_asked(check: &ValidationCheck) -> String {
    let found = check.value.map_or_else(|| "not defined".to_owned(), |value| format!("{value:.4}"));
    format!("{} is {found} and must be {}", check.part, check.limit)
}

fn is_dry(job: &Job) -> bool {
    matches!(job, Job::Train { dry_run: true, .. })
}

fn figures(job: &Job, product: &Product, record: Option<&VersionRecord>) -> serde_json::Value {
    let report = &product.report;
    serde_json::json!({
        "version": product.version,
        "registered": matches!(job, Job::Train { dry_run: false, .. }),
        "kind": record.map(|record| record.kind),
        "target": report.goal,
        "verdict": report.verdict,
        "overall": report.overall,
        "failed_gates": report.failed_gates().map(|check| check.part).collect::<Vec<_>>(),
        "training": record.map(|record| record.training),
        "data_hash": record.map(|record| record.data_hash),
        "metrics": report.metrics(),
        "warnings": record.map(|record| &record.warnings),
        "report": report,
    })
}

fn print(job: &Job, product: &Product, record: Option<&VersionRecord>) -> io::Result<()> {
    let (version, passed) = (&product.version, product.report.is_deployable());
    if let Some(record) = record {
        let kind = record.kind.map_or(record.model.kind(), Kind::name);
        let span = record.training;
        tell(format_args!("{version}: {kind} on {}, {} columns", record.target, record.design.width()))?;
        tell(format_args!("trained on {}, {} to {}", record.trained_on(), span.first, span.last))?;
    }
    tell(product.report.to_string().trim_end())?;
    let notes = record.iter().flat_map(|record| &record.warnings);
    // the report has told its own notes
    let mut others = notes.filter(|note| !product.report.evidence.notes.contains(note));
    others.try_for_each(|note| tell(format_args!("note: {note}")))?;
    let kept = matches!(job, Job::Train { keep: true, .. });
    let state = if passed {
        "validated"
    } else if kept {
        "trained"
    } else {
        "rejected"
    };
    match (job, record) {
        _ if is_dry(job) => tell("nothing was registered (--dry-run); what was tried is in the ledger"),
        (Job::Train { .. }, _) => {
            tell(format_args!("registered as {version}, state {state}; it influences nothing until it is promoted"))
        }
        (Job::Reinstate { .. }, _) if passed => tell(format_args!(
            "{version} is validated again and goes on to staging; it influences nothing until it is promoted"
        )),
        _ => tell(format_args!("{version}: {}", product.report.summary())),
    }
}
