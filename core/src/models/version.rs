//! One trained version of a model, as it is stored.
//!
//! Its bytes are one JSON object: `format`, `checksum` (BLAKE2b-16 of the format in four bytes, little-endian, and the text
//! of `version`, hexadecimal; up to format 3 of the text alone) and `version`. Everything is checked when it is read; what
//! fails is never served. Format 1 had none of the fields from `kind` on, format 2 no `question`, format 3 no `inputs`,
//! format 4 no pricing in the question, format 5 no `policy`; all are still read.

use std::{collections::BTreeMap, fmt, str::FromStr};

use blake2::{Blake2b128, Digest};
use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    compiled::Compiled,
    input::Values,
    kind::Kind,
    question::Question,
    record::{ModelRecord, RecordError},
    sizing::TradePolicy,
    standard::Standard,
    targets::{Labeller, Target, TargetKind},
};
use crate::{
    domain::{Timestamp, VersionId},
    features::{
        design::{DesignMatrix, InvalidDesign},
        made::InputOptions,
    },
    stats::reference::Reference,
};

/// A trained version: the model, where it comes from, and how good it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VersionRecord {
    /// Its name.
    pub id: VersionId,
    /// What its score is the probability of.
    pub target: Target,
    /// When it was trained.
    pub created_at: Timestamp,
    /// The model.
    pub model: ModelRecord,
    /// Trades it was fitted on: all before the test part.
    pub training: TrainingSpan,
    /// BLAKE2b-16 of what it was fitted on.
    pub data_hash: DataHash,
    /// Seed of everything random in the training.
    pub seed: u64,
    /// Version of the program that trained it.
    pub code_version: Box<str>,
    /// The version it is meant to replace.
    pub parent: Option<VersionId>,
    /// Figures of its training and validation by name; what is not defined is not there.
    pub metrics: BTreeMap<Box<str>, f64>,
    /// How signals become its columns.
    pub design: DesignMatrix,
    /// What a person should know about its data, in words.
    pub warnings: Vec<String>,
    /// The kind that was asked for.
    #[serde(default)]
    pub kind: Option<Kind>,
    /// Hyper-parameters by name: the strength that was chosen, and those that were tried.
    #[serde(default)]
    pub hyper: BTreeMap<Box<str>, Vec<f64>>,
    /// Share of each column in what the model says, in the order of the columns; empty where nothing matters.
    #[serde(default)]
    pub importance: Vec<(Box<str>, f64)>,
    /// What its inputs and its score looked like when it was made.
    #[serde(default)]
    pub reference: References,
    /// How far its probabilities can be taken at their word, on the test part; empty for real values.
    #[serde(default)]
    pub reliability: Vec<ReliabilityBin>,
    /// The report of the validation it went through when it was made, in the layout of the validation module.
    #[serde(default)]
    pub validation: Option<serde_json::Value>,
    /// What it is asked, as it was when it was trained. Records of older formats have none, see [`Self::question`].
    #[serde(default)]
    pub question: Option<Question>,
    /// What may be expected of it in service, by its test part. Records of older formats have none.
    #[serde(default)]
    pub standard: Option<Standard>,
    /// What its inputs were made by. `None` of a record that was written before this was stored.
    #[serde(default)]
    pub inputs: Option<InputOptions>,
    /// The policy it was validated by, which it is served with. `None` of a record that was written before this was stored.
    #[serde(default)]
    pub policy: Option<TradePolicy>,
}

/// What drift is measured against.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct References {
    /// Each input that a column uses, over the training rows, as the service sees it: carried forward and turned to the
    /// side of the trade, not yet filled or scaled. One that was never known is not there.
    pub inputs: BTreeMap<Box<str>, Reference>,
    /// The score, over the test rows, which the model had not seen.
    pub score: Option<Reference>,
}

/// Test rows whose probabilities are near each other.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReliabilityBin {
    /// Rows, at least 1.
    pub rows: u64,
    /// Mean of the probabilities.
    pub foretold: f64,
    /// Share of the rows that came true.
    pub observed: f64,
}

/// The rows a model was fitted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingSpan {
    /// Time of the first signal.
    pub first: Timestamp,
    /// Time of the last signal, not before `first`.
    pub last: Timestamp,
    /// Number of rows.
    pub rows: u64,
    /// Rows labelled yes, fewer than `rows` and at least 1; of real values those that made money, any number.
    pub wins: u64,
}

/// BLAKE2b-16 of a training set, written as 32 hexadecimal digits. Equal data, equal hash, on any machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Box<str>", into = "String")]
pub struct DataHash([u8; 16]);

/// Why the bytes of a version cannot be used, or would not be if they were written.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are what the messages name")]
pub enum VersionError {
    /// Not the JSON that is written here.
    #[error("the stored version cannot be read: {message}")]
    Malformed { message: String },
    /// Written by another program.
    #[error(
        "the stored version has format {found}, this program reads up to format {read}: use the program that wrote it"
    )]
    Format { found: u32, read: u32 },
    /// Changed since it was written.
    #[error("the checksum of the stored version does not match its content: restore it or train it again")]
    Checksum,
    /// Its model cannot be served.
    #[error("version {id}: {error}")]
    Model { id: VersionId, error: RecordError },
    /// Its design matrix cannot be used.
    #[error("version {id}: {error}")]
    Design { id: VersionId, error: InvalidDesign },
    /// Its model takes other columns than its design makes.
    #[error("version {id}: the model takes {model} columns and its design makes {design}: train it again")]
    Width { id: VersionId, model: usize, design: usize },
    /// A figure that JSON cannot hold.
    #[error("version {id}: metric {name:?} is {value}: leave out what is not defined")]
    Metric { id: VersionId, name: Box<str>, value: f64 },
    /// A policy that cannot be.
    #[error("version {id}: its policy has {name} = {value}, which cannot be")]
    Policy { id: VersionId, name: &'static str, value: f64 },
    /// A span that no training has.
    #[error("version {id}: {wins} wins in {rows} rows from {first} to {last} cannot be a training set")]
    Training { id: VersionId, first: Timestamp, last: Timestamp, rows: u64, wins: u64 },
    /// Not 32 hexadecimal digits.
    #[error("data hash {text:?} is not 32 hexadecimal digits")]
    DataHash { text: String },
}

/// The first format that says what a version is asked.
const WITH_QUESTION: u32 = 3;
/// The first format that says what the inputs were made by.
const WITH_INPUTS: u32 = 4;
/// The first format that says what ticks were turned into money by.
const WITH_PRICING: u32 = 5;
/// The first format that says what policy a version was validated by.
const WITH_POLICY: u32 = 6;

/// What stands in every format, newer ones included.
#[derive(Deserialize)]
struct Head {
    format: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<'a> {
    format: u32,
    checksum: String,
    #[serde(borrow)]
    version: &'a RawValue,
}

impl VersionRecord {
    /// The format that is written. It changes with any field, in here or in a model's own record.
    pub const FORMAT: u32 = 6;
    /// The oldest format that is read.
    const OLDEST: u32 = 1;

    /// The bytes to store.
    ///
    /// # Errors
    /// [`VersionError`] for a record that would not be read back.
    pub fn to_bytes(&self) -> Result<Vec<u8>, VersionError> {
        self.check()?;
        let version = serde_json::value::to_raw_value(self).map_err(malformed)?;
        let checksum = checksum(Self::FORMAT, version.get());
        serde_json::to_vec(&Envelope { format: Self::FORMAT, checksum, version: &version }).map_err(malformed)
    }

    /// Reads what [`Self::to_bytes`] wrote, and checks it as if anybody could have written it.
    ///
    /// # Errors
    /// [`VersionError`] says what is wrong with it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, VersionError> {
        let Head { format } = serde_json::from_slice(bytes).map_err(malformed)?;
        if !(Self::OLDEST..=Self::FORMAT).contains(&format) {
            return Err(VersionError::Format { found: format, read: Self::FORMAT });
        }
        let envelope: Envelope<'_> = serde_json::from_slice(bytes).map_err(malformed)?;
        if envelope.checksum != checksum(format, envelope.version.get()) {
            return Err(VersionError::Checksum);
        }
        let record: Self = serde_json::from_str(envelope.version.get()).map_err(malformed)?;
        // the format stands outside of the checksum: what an older one cannot hold tells that it was damaged
        if (format < WITH_QUESTION && record.question.is_some())
            || (format < WITH_INPUTS && (record.inputs.is_some() || record.standard.is_some()))
            || (format < WITH_PRICING && record.question.is_some_and(|question| question.labeller.pricing().is_some()))
            || (format < WITH_POLICY && record.policy.is_some())
        {
            return Err(VersionError::Checksum);
        }
        record.check()?;
        Ok(record)
    }

    /// The model in the form that scores, as it was validated: a foretold strength is cut to 0 and 1.
    ///
    /// # Errors
    /// [`RecordError`] for a model that was not checked.
    pub fn compile(&self) -> Result<Compiled, RecordError> {
        let model = self.model.compile()?;
        Ok(if self.target == Target::SignalStrength { model.of_shares() } else { model })
    }

    /// What it is asked. Of an older record the decision point is the base rate as its span tells it, for real values the
    /// mean of the training part if it has that figure, else one half; a class of strength has no label there.
    pub fn question(&self) -> Question {
        let real = self.target.kind() == TargetKind::Real;
        let rate = self.training.wins as f64 / self.training.rows as f64;
        let rate = if real { self.metrics.get("train_mean").copied().unwrap_or(f64::NAN) } else { rate };
        self.question.unwrap_or_else(|| Question::new(Labeller::bare(self.target), rate))
    }

    /// Its training trades in words, and how many of them were what its target calls yes.
    pub fn trained_on(&self) -> String {
        let TrainingSpan { rows, wins, .. } = self.training;
        match self.target {
            Target::Profitability | Target::ConfidenceScore => format!("{rows} trades, {wins} of them won"),
            Target::SignalQuality | Target::SignalStrengthClass => {
                format!("{rows} trades, {wins} of them labelled yes as {}", self.target)
            }
            Target::SignalStrength | Target::Pnl | Target::ExitTiming => {
                format!("{rows} trades, {wins} of which made money, for {}", self.target)
            }
        }
    }

    fn check(&self) -> Result<(), VersionError> {
        let id = || self.id.clone();
        self.model.compile().map_err(|error| VersionError::Model { id: id(), error })?;
        self.design.check().map_err(|error| VersionError::Design { id: id(), error })?;
        let (model, design) = (self.model.width(), self.design.width());
        if model != design {
            return Err(VersionError::Width { id: id(), model, design });
        }
        let hyper = self.hyper.iter().flat_map(|(name, values)| values.iter().map(move |value| (name, value)));
        let shares = self.importance.iter().map(|(name, share)| (name, share));
        if let Some((name, &value)) = self.metrics.iter().chain(hyper).chain(shares).find(|(_, v)| !v.is_finite()) {
            return Err(VersionError::Metric { id: id(), name: name.clone(), value });
        }
        let point = self.question.map_or(0.0, |question| question.decision_point);
        if !point.is_finite() {
            return Err(VersionError::Metric { id: id(), name: "decision_point".into(), value: point });
        }
        if let Some((name, value)) = self.policy.and_then(|policy| policy.fault()) {
            return Err(VersionError::Policy { id: id(), name, value });
        }
        let TrainingSpan { first, last, rows, wins } = self.training;
        let both = self.target.kind() == TargetKind::Real || (wins > 0 && wins < rows);
        if first > last || wins > rows || rows == 0 || !both {
            return Err(VersionError::Training { id: id(), first, last, rows, wins });
        }
        Ok(())
    }
}

impl DataHash {
    /// Hash of column names, matrix (n x k) and labels (n), see [`Self::of_values`].
    pub fn of(columns: &[&str], x: ArrayView2<'_, f64>, y: &[bool]) -> Self {
        Self::of_values(columns, x, Values::Classes(y))
    }

    /// Hash of column names, matrix (n x k) and values (n), in this order: the number of rows and of columns (8 bytes
    /// each), each name as its length (8 bytes) and its UTF-8, the cells row by row (8 bytes each, -0 as 0), a byte 0
    /// or 1 a label or 8 bytes a real value; all integers and floats little-endian.
    pub fn of_values(columns: &[&str], x: ArrayView2<'_, f64>, y: Values<'_>) -> Self {
        let mut hash = Blake2b128::new();
        let length = |n: usize| (n as u64).to_le_bytes();
        hash.update(length(x.nrows()));
        hash.update(length(x.ncols()));
        for name in columns {
            hash.update(length(name.len()));
            hash.update(name);
        }
        for cell in x.iter() {
            hash.update((cell + 0.0).to_le_bytes()); // -0 + 0 = 0
        }
        match y {
            Values::Classes(labels) => labels.iter().for_each(|&label| hash.update([u8::from(label)])),
            Values::Reals(values) => values.iter().for_each(|value| hash.update((value + 0.0).to_le_bytes())),
        }
        Self(hash.finalize().into())
    }
}

impl fmt::Display for DataHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for DataHash {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let refuse = || VersionError::DataHash { text: text.chars().take(80).collect() };
        // from_str_radix would take a sign
        if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(refuse());
        }
        u128::from_str_radix(text, 16).map(|bits| Self(bits.to_be_bytes())).map_err(|_| refuse())
    }
}

impl TryFrom<Box<str>> for DataHash {
    type Error = VersionError;
    fn try_from(text: Box<str>) -> Result<Self, VersionError> {
        text.parse()
    }
}

impl From<DataHash> for String {
    fn from(hash: DataHash) -> Self {
        hash.to_string()
    }
}

/// From format 4 on it covers the format too: the number of a format that is read must not turn into that of another.
fn checksum(format: u32, text: &str) -> String {
    let mut hash = Blake2b128::new();
    if format >= 4 {
        hash.update(format.to_le_bytes());
    }
    hash.update(text);
    DataHash(hash.finalize().into()).to_string()
}

fn malformed(error: serde_json::Error) -> VersionError {
    VersionError::Malformed { message: error.to_string() }
}
