//! A report for people: one HTML page that needs nothing else, or text for a terminal, from a plain value.
//!
//! What happened in a period of a journal is [`Gathered`] into a [`Summary`], and that makes a [`Report`]. No scripts, no fonts, no pictures from outside: charts are drawn here, as inline SVG. It reads in a light and in a
//! dark room, and on paper. Every text in it is escaped, wherever it came from. It decides nothing and computes no more
//! than is to be seen: every figure is that of the rules.

mod chart;
mod chronicle;
mod entry;
mod gather;
mod heat;
mod page;
mod people;
mod regimes;
mod scale;
mod sections;
mod spread;
mod summary;
mod text;
mod timeline;
mod told;

use serde::{Deserialize, Serialize};

use crate::domain::{Timestamp, lifecycle::State};

pub use chronicle::{Chronicle, Stay};
pub use entry::{Entry, Weight};
pub use gather::{EndOf, Gathered, Judged, Record};
pub use people::{count, known, money, percent};
pub use regimes::{PerSignal, RegimeMoney, RegimeTrade, VersionMoney, by_regime};
pub use spread::{Quantiles, Spread};
pub use summary::{AlertLine, Answers, Lost, Made, Money, Scope, Summary, TestTold, VersionHealth};
pub use text::wrap;
pub use told::Words;

/// What a page is made from. A part without contents is left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// The head line.
    pub title: String,
    /// What to know before all else, such as that nothing in it is real.
    pub notice: Option<String>,
    /// The unit of money.
    pub unit: String,
    /// What came of it, in a sentence or two.
    pub lead: String,
    /// What it is about: names and values.
    pub facts: Vec<(String, String)>,
    /// From when to when.
    pub span: Option<(Timestamp, Timestamp)>,
    /// The story, sentence by sentence.
    pub story: Vec<(Timestamp, String)>,
    /// The life of each version.
    pub lives: Vec<Life>,
    /// When everything was locked to the baseline.
    pub locks: Vec<(Timestamp, Timestamp)>,
    /// Moments that the charts over time mark, with a word for each.
    pub marks: Vec<(Timestamp, String)>,
    /// Cumulative pnl of groups of signals.
    pub equity: Vec<Curve>,
    /// Tests of versions against the strategy alone.
    pub tests: Vec<Test>,
    /// Rolling accuracy.
    pub accuracy: Vec<Curve>,
    /// Accuracies to compare it with, with their names.
    pub accuracy_limits: Vec<(f64, String)>,
    /// What took a version down for its accuracy: when, at which figure, and in words.
    pub accuracy_marks: Vec<(Timestamp, f64, String)>,
    /// Over how many trades it is, what each version is held to, and what is to be known of the marks.
    pub accuracy_notes: Vec<String>,
    /// Composites against validation, 1 is as validated.
    pub composite: Vec<Curve>,
    /// How far each input has moved.
    pub drift: Vec<Moved>,
    /// What the distances are, in words.
    pub drift_what: String,
    /// From what on a move is to be noticed, and from what on it is an alert.
    pub drift_limits: (f64, f64),
    /// Everything that was decided, oldest first.
    pub entries: Vec<Entry>,
    /// Older lines that are not among them.
    pub entries_left_out: usize,
    /// What was to happen, and what did.
    pub checks: Vec<Expectation>,
    /// Figures, each table in its part of the page.
    pub tables: Vec<Table>,
    /// What can be done next: commands and what they are for.
    pub next: Vec<(String, String)>,
}

/// A part of the page that has tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say what stands there")]
pub enum Part {
    Money,
    Versions,
    Tests,
    Health,
    Alerts,
    Times,
    Lost,
    #[default]
    End,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Table {
    /// Where it stands.
    pub part: Part,
    /// Its heading; without one it belongs to what stands above it.
    pub title: String,
    /// What to look at in it.
    pub help: String,
    /// The names of its columns.
    pub head: Vec<String>,
    /// Its rows, each with a cell a column. The first cell says what the row is of.
    pub rows: Vec<Vec<String>>,
    /// What must be known of it.
    pub notes: Vec<String>,
}

/// The life of a version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Life {
    /// Its name.
    pub version: String,
    /// Where it stood, from when to when.
    pub stages: Vec<(State, Timestamp, Timestamp)>,
}

/// A value over time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// What it is of.
    pub name: String,
    /// It has a gap where there is no value.
    pub points: Vec<(Timestamp, Option<f64>)>,
}

/// A test of a version, as it went on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Test {
    /// The version.
    pub version: String,
    /// Which test of that version it is, from 1.
    pub number: usize,
    /// When it began.
    pub begun: Timestamp,
    /// What came of it.
    pub outcome: String,
    /// Sessions planned.
    pub planned: usize,
    /// After each session, up to the one that decided.
    pub points: Vec<TestPoint>,
    /// What it has shown.
    pub figures: Option<Table>,
}

/// A test after a session.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TestPoint {
    /// Sessions closed.
    pub session: usize,
    /// The standardised difference of the win rates, positive where the version is better; `None` where the test is not judged by it.
    pub win_rate: Option<f64>,
    /// The same of the money per signal, by which harm is judged.
    pub money: Option<f64>,
    /// What one of them must reach for the version to be better beyond chance.
    pub success: Option<f64>,
    /// What that of the money must fall to for the test to be ended for harm.
    pub harm: Option<f64>,
}

/// How far an input has moved from what the version in service was trained on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Moved {
    /// The input.
    pub input: String,
    /// Its distance over time.
    pub readings: Vec<(Timestamp, Option<f64>)>,
}

/// Something that was to happen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expectation {
    /// What.
    pub what: String,
    /// What was found, and why it is better than told where it is.
    pub found: String,
    /// How that compares with what was told.
    pub ending: Ending,
}

/// How something ended, against what was told beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Ending {
    /// As told.
    AsTold,
    /// Otherwise than told, and better: no failure.
    Better,
    /// Worse: a failure.
    Worse,
}

impl Expectation {
    /// Whether it is no failure.
    pub fn ok(&self) -> bool {
        self.ending != Ending::Worse
    }
}

impl Report {
    /// The page.
    pub fn to_html(&self) -> String {
        sections::html(self)
    }

    /// The same as text of lines of at most `width` columns, at least 40: tables and sentences, without its charts.
    pub fn to_text(&self, width: usize) -> String {
        text::text(self, width.max(text::LEAST))
    }
}

/// Seconds since 1970.
fn seconds(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1000.0
}
