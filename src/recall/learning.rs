//! One training or validation, from a journal that is only read to what is to be written: the same for a command on a
//! state folder and for the trainer's child process.

use std::{path::PathBuf, thread};

use serde::{Deserialize, Serialize};

use super::{events, history, versions};
use crate::{
    config::Config,
    domain::{
        Event, EventKind, Timestamp, VersionId,
        event::{By, Trial},
        lifecycle::{State, Transition},
    },
    journal::{Reader, Write},
    lifecycle::roster::{NOT_AWAY, Refusal, Roster},
    models::VersionRecord,
    validation::{
        Ledger, Stage, ValidationReport,
        training::{Birth, History, Order, Settings, TrainError, reinstate, revalidate, train},
    },
};

/// Memory for pages of the journal while a training reads it, in bytes, unless more is configured. Its rows lie all over the file: with
/// less the same pages are read from the disk again and again.
pub const CACHE_BYTES: usize = 64 << 20;

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "job", rename_all = "snake_case")]
pub enum Job {
    /// Train a version and validate it.
    Train {
        /// What.
        order: Order,
        /// Keep nothing but the entry in the ledger.
        dry_run: bool,
        /// Leave a version that fails its validation where an override can still promote it, instead of rejecting it.
        keep: bool,
    },
    /// Validate a version again.
    Validate {
        /// Which.
        version: VersionId,
    },
    /// Bring a version back that is archived or was rolled back, if it passes its gates on what came since.
    Reinstate {
        /// Which.
        version: VersionId,
    },
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Product {
    /// Which version.
    pub version: VersionId,
    /// Of a training, the bytes of the record, which are JSON.
    pub record: Option<String>,
    /// Of a training or a reinstatement, its entry in the ledger.
    pub trial: Option<Trial>,
    /// What the validation found.
    pub report: ValidationReport,
}

/// Why nothing came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    /// A stable word, such as `too_few_trades`.
    pub code: String,
    /// What is missing, and how much.
    pub message: String,
}

/// What a child process is told to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assignment {
    /// What.
    pub job: Job,
    /// The journal, to be read.
    pub journal: PathBuf,
    /// The configuration in force, as TOML.
    pub config: String,
    /// The time of it all.
    pub at: Timestamp,
    /// Most memory it may map.
    pub memory_bytes: u64,
    /// How far it steps back behind other processes, 0 to 19.
    pub nice: i32,
}

/// What a child process tells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChildMessage {
    /// How far it is.
    Progress {
        /// Share done, 0 to 1.
        share: f64,
        /// What it is at.
        stage: String,
    },
    /// What came of it.
    Product(Box<Product>),
    /// Why nothing did.
    Refused(Refused),
}

/// Where the names of the reports of later validations begin among the checkpoints.
const REPORT: &str = "report:";

impl From<TrainError> for Refused {
    fn from(error: TrainError) -> Self {
        Self { code: error.code().to_owned(), message: error.to_string() }
    }
}

impl Refused {
    /// For a reason that has `code` for a name.
    pub fn new(code: &str, message: impl ToString) -> Self {
        Self { code: code.to_owned(), message: message.to_string() }
    }
}

/// Does `job` on what `reader` holds. The same journal, configuration and time give the same product, to the byte.
///
/// # Errors
/// [`Refused`] says what is missing.
pub fn work(
    job: &Job,
    reader: &Reader,
    config: &Config,
    now: Timestamp,
    progress: &mut dyn FnMut(f64, Stage),
) -> Result<Product, Refused> {
    let unreadable = |error: String| Refused::new("journal", error);
    let history = history::read(reader).map_err(unreadable)?;
    let product = on(&history, job, reader, config, now, progress);
    // To free it takes a tenth of a training. Where no thread can be begun it is freed here.
    let _ = thread::Builder::new().name("free".to_owned()).spawn(move || drop(history));
    product
}

fn on(
    history: &History,
    job: &Job,
    reader: &Reader,
    config: &Config,
    now: Timestamp,
    progress: &mut dyn FnMut(f64, Stage),
) -> Result<Product, Refused> {
    let unreadable = |error: String| Refused::new("journal", error);
    let roster = versions::roster(reader).map_err(unreadable)?;
    let ledger = ledger(reader).map_err(unreadable)?;
    let settings = settings(config);
    match job {
        Job::Train { order, .. } => {
            let symbol = &order.symbol;
            let id = VersionId { symbol: symbol.clone(), number: roster.next_number(symbol) };
            let parent = roster.plan().remove(symbol).and_then(|plan| plan.production);
            let birth = Birth { id: id.clone(), created_at: now, parent };
            let trained = train(birth, order, history, &settings, &ledger, progress)?;
            let bytes = trained.record.to_bytes().map_err(|error| Refused::new("record", error))?;
            let record = String::from_utf8(bytes).map_err(|error| Refused::new("record", error))?;
            Ok(Product { version: id, record: Some(record), trial: Some(trained.trial), report: trained.report })
        }
        Job::Validate { version } => {
            let record = versions::record(reader, version).map_err(|error| Refused::new("unknown_version", error))?;
            let report = revalidate(&record, history, &settings, &ledger, progress)?;
            Ok(Product { version: version.clone(), record: None, trial: None, report })
        }
        Job::Reinstate { version } => {
            may_come_back(&roster, version).map_err(|why| Refused::new("refused", why))?;
            let record = versions::record(reader, version).map_err(|error| Refused::new("unknown_version", error))?;
            let judged = judged_until(reader, &record, &ledger).map_err(unreadable)?;
            let (report, trial) = reinstate(&record, judged, history, &settings, &ledger, progress)?;
            Ok(Product { version: version.clone(), record: None, trial: Some(trial), report })
        }
    }
}

/// Whether a version is archived or was rolled back.
///
/// # Errors
/// In words, where it stands otherwise.
fn may_come_back(roster: &Roster, version: &VersionId) -> Result<(), Refusal> {
    let standing = roster.standing(version).ok_or_else(|| Refusal::Unknown(version.clone()))?;
    let no_way = || Refusal::NoWay { version: version.clone(), state: standing.state, why: NOT_AWAY };
    standing.state.back().map(drop).ok_or_else(no_way)
}

/// The time of the last signal that a version learnt from or was judged on, by any of its validations.
fn judged_until(reader: &Reader, record: &VersionRecord, ledger: &Ledger) -> Result<Timestamp, String> {
    let report = latest_report(reader, record)?;
    let tried = ledger.trials().iter().filter(|trial| trial.version.as_ref() == Some(&record.id));
    let tested = tried.filter_map(|trial| trial.test_to).chain(report.and_then(|it| it.evidence.parts.test_to));
    Ok(tested.fold(record.training.last, Timestamp::max))
}

/// The parts of the configuration that a training depends on.
pub fn settings(config: &Config) -> Settings<'_> {
    Settings {
        symbols: &config.symbols,
        calendar: &config.calendar,
        features: &config.features,
        training: &config.training,
        levels: &config.levels,
        validation: &config.validation,
    }
}

/// Every configuration that was tried on a journal.
///
/// # Errors
/// When an event cannot be read.
pub fn ledger(reader: &Reader) -> Result<Ledger, String> {
    let mut ledger = Ledger::default();
    for event in events::whole(reader).map_err(|error| error.to_string())? {
        ledger.apply(&event.map_err(|error| error.to_string())?.kind);
    }
    Ok(ledger)
}

/// The report of the latest validation of a version, if there was one.
///
/// # Errors
/// When it cannot be read.
pub fn latest_report(reader: &Reader, record: &VersionRecord) -> Result<Option<ValidationReport>, String> {
    let later = reader.checkpoint(&format!("{REPORT}{}", record.id)).map_err(|error| error.to_string())?;
    let parsed = match (later, &record.validation) {
        (Some(bytes), _) => serde_json::from_slice(&bytes),
        (None, Some(report)) => serde_json::from_value(report.clone()),
        (None, None) => return Ok(None),
    };
    parsed.map(Some).map_err(|error| format!("the report of {} cannot be read: {error}", record.id))
}

impl Product {
    /// The record, read and checked as if anybody could have written it: that of the version it speaks of, with the
    /// report it speaks of.
    ///
    /// # Errors
    /// In words.
    pub fn checked_record(&self) -> Result<Option<VersionRecord>, String> {
        let Some(text) = &self.record else { return Ok(None) };
        let record = VersionRecord::from_bytes(text.as_bytes()).map_err(|error| error.to_string())?;
        let same_report = serde_json::to_value(&self.report).ok() == record.validation;
        if record.id != self.version || !same_report || self.trial.is_none() {
            return Err(format!("the record of {} and what is said about it do not belong together", self.version));
        }
        Ok(Some(record))
    }

    /// What is to be written, given where the versions stand: the record, its entry in the ledger, the steps of its life
    /// with the evidence for them. A dry run leaves the entry only.
    ///
    /// # Errors
    /// In words, when the product is not sound.
    pub fn writes(&self, job: &Job, roster: &Roster, at: Timestamp) -> Result<Vec<Write>, String> {
        let record = self.checked_record()?;
        let fits = match job {
            Job::Train { order, .. } => record.is_some() && self.version.symbol == order.symbol,
            Job::Validate { version } => record.is_none() && self.trial.is_none() && self.version == *version,
            Job::Reinstate { version } => record.is_none() && self.trial.is_some() && self.version == *version,
        };
        if !fits {
            return Err(format!("what was made, {}, is not what was asked for", self.version));
        }
        let event = |kind| Write::Event(Event { at, kind });
        let dry = matches!(job, Job::Train { dry_run: true, .. });
        let mut writes = Vec::new();
        if let Some(trial) = &self.trial {
            let version = trial.version.clone().filter(|_| !dry);
            writes.push(event(EventKind::Tried(Box::new(Trial { version, ..trial.clone() }))));
        }
        if dry {
            return Ok(writes);
        }
        let state = match (record, &self.record) {
            (Some(record), Some(text)) => {
                if roster.standing(&self.version).is_some() {
                    return Err(format!("there is a version {} already", self.version));
                }
                writes.push(Write::Version { id: self.version.clone(), body: text.clone().into_bytes() });
                writes.push(event(EventKind::Trained { version: self.version.clone(), evidence: record.metrics }));
                State::Trained
            }
            _ => {
                let standing = roster.standing(&self.version);
                let bytes = serde_json::to_vec(&self.report).map_err(|error| error.to_string())?;
                writes.push(Write::Checkpoint { name: format!("{REPORT}{}", self.version), bytes });
                standing.ok_or_else(|| format!("there is no version {}", self.version))?.state
            }
        };
        let kept = matches!(job, Job::Train { keep: true, .. }) && !self.report.is_deployable();
        let steps = match job {
            Job::Reinstate { .. } => self.steps_back(state),
            _ if kept => Vec::new(),
            _ => self.steps(state),
        };
        writes.extend(steps.into_iter().map(|step| event(self.moved(step))));
        Ok(writes)
    }

    /// The steps that the verdict means for a version in `state`: none for one that is past validation.
    fn steps(&self, state: State) -> Vec<Transition> {
        let verdict = if self.report.is_deployable() { Transition::Validate } else { Transition::Reject };
        match state {
            State::Trained => vec![verdict],
            State::RolledBack => vec![Transition::Revalidate, verdict],
            _ => Vec::new(),
        }
    }

    /// The steps of a version in `state` that is to come back: none where the verdict is against it, or where it is back already.
    fn steps_back(&self, state: State) -> Vec<Transition> {
        let back = state.back().filter(|_| self.report.is_deployable());
        back.map_or_else(Vec::new, |back| vec![back, Transition::Validate])
    }

    fn moved(&self, step: Transition) -> EventKind {
        EventKind::Moved {
            version: self.version.clone(),
            step,
            reason: self.report.summary(),
            by: By::Daemon("trainer".into()),
            overridden: false,
            evidence: self.report.decided_on(),
        }
    }
}
