//! A report for people: one HTML page that needs nothing else, from a plain value.
//!
//! No scripts, no fonts, no pictures from outside: charts are drawn here, as inline SVG. It reads in a light and in a
//! dark room, and on paper. Every text in it is escaped, wherever it came from. It decides nothing and computes no more
//! than a drawing needs.

mod chart;
mod entry;
mod heat;
mod page;
mod scale;
mod sections;
mod timeline;

use crate::domain::{Timestamp, lifecycle::State};

pub use entry::{Entry, Weight};

/// What a page is made from. A part without contents is left out.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    /// The head line.
    pub title: String,
    /// What to know before all else, such as that nothing in it is real.
    pub notice: Option<String>,
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
    /// Cumulative pnl of the policies.
    pub equity: Vec<Curve>,
    /// Tests of versions against the strategy alone.
    pub tests: Vec<Test>,
    /// Rolling accuracy.
    pub accuracy: Vec<Curve>,
    /// Accuracies to compare it with, with their names.
    pub accuracy_limits: Vec<(f64, String)>,
    /// How far each input has moved.
    pub drift: Vec<Moved>,
    /// What the distances are, in words.
    pub drift_what: String,
    /// From what on a move is to be noticed, and from what on it is an alert.
    pub drift_limits: (f64, f64),
    /// Everything that was decided, oldest first.
    pub entries: Vec<Entry>,
    /// What was to happen, and what did.
    pub checks: Vec<Check>,
    /// Figures at the end, by row; the first row is the head.
    pub figures: Vec<Vec<String>>,
    /// What can be done next: commands and what they are for.
    pub next: Vec<(String, String)>,
}

/// The life of a version.
#[derive(Debug, Clone, PartialEq)]
pub struct Life {
    /// Its name.
    pub version: String,
    /// Where it stood, from when to when.
    pub stages: Vec<(State, Timestamp, Timestamp)>,
}

/// A value over time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Curve {
    /// What it is of.
    pub name: String,
    /// It has a gap where there is no value.
    pub points: Vec<(Timestamp, Option<f64>)>,
}

/// A test of a version, as it went on.
#[derive(Debug, Clone, PartialEq)]
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
    /// After each session.
    pub points: Vec<TestPoint>,
}

/// A test after a session.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TestPoint {
    /// Sessions closed.
    pub session: usize,
    /// The standardised difference, positive where the version is better.
    pub statistic: Option<f64>,
    /// What it must reach for the version to be better beyond chance.
    pub success: Option<f64>,
    /// What it must fall to for the test to be ended for harm.
    pub harm: Option<f64>,
}

/// How far an input has moved from what the version in service was trained on.
#[derive(Debug, Clone, PartialEq)]
pub struct Moved {
    /// The input.
    pub input: String,
    /// Its distance over time.
    pub readings: Vec<(Timestamp, Option<f64>)>,
}

/// Something that was to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What.
    pub what: String,
    /// What was found, and why it is better than told where it is.
    pub found: String,
    /// How that compares with what was told.
    pub ending: Ending,
}

/// How something ended, against what was told beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    /// As told.
    AsTold,
    /// Otherwise than told, and better: no failure.
    Better,
    /// Worse: a failure.
    Worse,
}

impl Check {
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
}

/// Seconds since 1970.
fn seconds(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1000.0
}
