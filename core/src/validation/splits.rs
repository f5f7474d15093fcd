//! Splits of closed trades by time, with purge and embargo (Lopez de Prado 2018, chapters 7 and 12).
//!
//! A trade lives from its signal to its exit, both included. Its label is known only when its outcome has been told, so a
//! trade whose outcome was not known when a judged one begins, or that begins while a judged one lives, is **purged** from what
//! is learned from: it could not have been learnt from, or may share the judged one's fate. The **embargo** does the same to trades that begin shortly after a judged one ended,
//! whose features still remember it.

use std::{ops::Range, slice::from_ref};

use jiff::SignedDuration;

use crate::domain::Timestamp;

/// When a trade began and ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// Time of the signal.
    pub at: Timestamp,
    /// Time of the exit, not before `at`.
    pub exit_at: Timestamp,
    /// When the outcome was known to who learns from it, not before `exit_at`: the time at which it was told.
    pub known_at: Timestamp,
}

/// Lives in the order of their signals. Row numbers in a split are places in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lives(Vec<Life>);

/// What to learn from and what to judge on, as ascending row numbers; neither is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Rows to learn from.
    pub train: Vec<usize>,
    /// Rows to judge on.
    pub test: Vec<usize>,
}

/// Three parts, one after the other in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeSplit {
    /// Rows to learn from: the first, without those alive when the next part begins.
    pub train: Vec<usize>,
    /// Rows to choose hyper-parameters on, without those alive when the test part begins; empty for a share of 0.
    pub validation: Vec<usize>,
    /// The last rows, for one judgement only.
    pub test: Vec<usize>,
}

/// What a walk-forward step learns from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// All rows before the judged ones.
    Expanding,
    /// As many rows before the judged ones as the first step had.
    Rolling,
}

/// One of the splits of combinatorial cross-validation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Combination {
    /// The groups that are judged, ascending.
    pub groups: Vec<usize>,
    /// Its rows.
    pub split: Split,
}

/// Why trades cannot be split as asked.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are what the messages name")]
pub enum SplitError {
    /// A life that ends before it begins.
    #[error("trade {row} exits at {exit_at}, before its signal at {at}")]
    EndsBeforeItBegins { row: usize, at: Timestamp, exit_at: Timestamp },
    /// Signals out of order.
    #[error("trade {row} has an earlier signal than the trade before it: sort by time of signal")]
    Unsorted { row: usize },
    /// A share that is none.
    #[error("share of the {part} part is {value}: shares must be at least 0, and together below 1")]
    Share { part: &'static str, value: f64 },
    /// A number of folds, steps or groups that cannot be.
    #[error("{what} is {value}: it must be from {least} to {most} for {rows} trades")]
    Count { what: &'static str, value: usize, least: usize, most: usize, rows: usize },
    /// An embargo below 0.
    #[error("the embargo is {embargo:#}: it must be at least 0")]
    Embargo { embargo: SignedDuration },
    /// Nothing is left of a part.
    #[error(
        "the {part} part of split {split} is empty after the purge: more trades, fewer splits or a shorter embargo"
    )]
    NothingLeft { part: &'static str, split: usize },
}

impl Lives {
    /// Takes lives sorted by the time of their signal.
    ///
    /// # Errors
    /// [`SplitError`] when they are not sorted or one ends before it begins.
    pub fn new(lives: Vec<Life>) -> Result<Self, SplitError> {
        if let Some((row, &Life { at, exit_at, .. })) =
            lives.iter().enumerate().find(|(_, life)| life.exit_at < life.at)
        {
            return Err(SplitError::EndsBeforeItBegins { row, at, exit_at });
        }
        if let Some(row) = lives.windows(2).position(|pair| matches!(pair, [a, b] if b.at < a.at)) {
            return Err(SplitError::Unsorted { row: row + 1 });
        }
        Ok(Self(lives))
    }

    /// The lives, sorted by the time of their signal.
    pub fn as_slice(&self) -> &[Life] {
        &self.0
    }

    /// Cuts into training, validation and test part by shares of the rows, each rounded to the nearest row.
    ///
    /// # Errors
    /// [`SplitError`] for shares that are not shares, and when the training or test part is empty, or the validation
    /// part although a share was asked for.
    pub fn time_split(&self, validation_share: f64, test_share: f64) -> Result<TimeSplit, SplitError> {
        for (part, value) in [("validation", validation_share), ("test", test_share)] {
            // written so that NaN is refused
            if !(value >= 0.0 && validation_share + test_share < 1.0) {
                return Err(SplitError::Share { part, value });
            }
        }
        let n = self.0.len();
        let rows_of = |share: f64| (share * n as f64).round() as usize;
        let test_start = n.saturating_sub(rows_of(test_share));
        let validation_start = test_start.saturating_sub(rows_of(validation_share));
        let (last, later) = (test_start..n, validation_start..n);
        let train = self.purged(0..validation_start, from_ref(&later), SignedDuration::ZERO);
        let validation = self.purged(validation_start..test_start, from_ref(&last), SignedDuration::ZERO);
        let test: Vec<usize> = last.collect();
        for (part, rows, needed) in
            [("training", &train, true), ("validation", &validation, validation_share > 0.0), ("test", &test, true)]
        {
            if needed && rows.is_empty() {
                return Err(SplitError::NothingLeft { part, split: 0 });
            }
        }
        Ok(TimeSplit { train, validation, test })
    }

    /// Splits at a time: what begins from then on is the test part, what was closed before it the training part.
    ///
    /// # Errors
    /// [`SplitError`] when a part is empty.
    pub fn split_at(&self, from: Timestamp) -> Result<TimeSplit, SplitError> {
        let place = self.0.partition_point(|life| life.at < from);
        let later = place..self.0.len();
        let train = self.purged(0..place, from_ref(&later), SignedDuration::ZERO);
        let test: Vec<usize> = later.collect();
        for (part, rows) in [("training", &train), ("test", &test)] {
            if rows.is_empty() {
                return Err(SplitError::NothingLeft { part, split: 0 });
            }
        }
        Ok(TimeSplit { train, validation: Vec::new(), test })
    }

    /// Cross-validation: `folds` blocks of rows in time order, each judged once by what is learned from all others.
    /// Blocks differ by one row at most, the longer ones first.
    ///
    /// # Errors
    /// [`SplitError`] unless there are 2 to n folds, for a negative embargo, and when a training part is empty.
    pub fn purged_k_fold(&self, folds: usize, embargo: SignedDuration) -> Result<Vec<Split>, SplitError> {
        let n = self.0.len();
        self.check_count("number of folds", folds, 2, n)?;
        check_embargo(embargo)?;
        let blocks = blocks(0..n, folds);
        blocks.enumerate().map(|(k, test)| self.split(k, 0..n, &[test], embargo)).collect()
    }

    /// Walk-forward: the rows from `first_train` on in `steps` blocks, each judged by what is learned from rows before
    /// it. There is no embargo: nothing after a judged block is learned from.
    ///
    /// # Errors
    /// [`SplitError`] unless there is at least one row to learn from and one to judge on a step, and when a training
    /// part is empty after the purge.
    pub fn walk_forward(&self, first_train: usize, steps: usize, window: Window) -> Result<Vec<Split>, SplitError> {
        let n = self.0.len();
        self.check_count("number of steps", steps, 1, n.saturating_sub(1))?;
        self.check_count("number of rows of the first training part", first_train, 1, n - steps)?;
        let blocks = blocks(first_train..n, steps);
        let split = |(step, test): (usize, Range<usize>)| {
            let from = match window {
                Window::Expanding => 0,
                Window::Rolling => test.start - first_train,
            };
            self.split(step, from..test.start, &[test], SignedDuration::ZERO)
        };
        blocks.enumerate().map(split).collect()
    }

    /// Combinatorial purged cross-validation: `groups` blocks of rows in time order, every choice of `judged` of them
    /// judged by what is learned from the others, in lexicographic order. With 10 and 2, 45 splits that make 9 full
    /// paths.
    ///
    /// # Errors
    /// [`SplitError`] unless there are 2 to n groups (at most 20) with 1 to all but one judged, for a negative embargo,
    /// and when a training part is empty.
    pub fn combinatorial(
        &self,
        groups: usize,
        judged: usize,
        embargo: SignedDuration,
    ) -> Result<Vec<Combination>, SplitError> {
        let n = self.0.len();
        self.check_count("number of groups", groups, 2, n.min(20))?;
        self.check_count("number of judged groups", judged, 1, groups - 1)?;
        check_embargo(embargo)?;
        let blocks: Vec<Range<usize>> = blocks(0..n, groups).collect();
        let choices = combinations(groups, judged).into_iter().enumerate();
        let combination = |(k, groups): (usize, Vec<usize>)| {
            let tests: Vec<Range<usize>> = groups.iter().filter_map(|&group| blocks.get(group).cloned()).collect();
            Ok(Combination { split: self.split(k, 0..n, &tests, embargo)?, groups })
        };
        choices.map(combination).collect()
    }

    /// Judges `tests`, learns from what the purge leaves of `rows`.
    fn split(
        &self,
        number: usize,
        rows: Range<usize>,
        tests: &[Range<usize>],
        embargo: SignedDuration,
    ) -> Result<Split, SplitError> {
        let train = self.purged(rows, tests, embargo);
        if train.is_empty() {
            return Err(SplitError::NothingLeft { part: "training", split: number });
        }
        Ok(Split { train, test: tests.iter().cloned().flatten().collect() })
    }

    /// Those of `rows` that are in none of `tests` and whose life keeps clear of them.
    fn purged(&self, rows: Range<usize>, tests: &[Range<usize>], embargo: SignedDuration) -> Vec<usize> {
        let spans: Vec<Life> = tests.iter().filter_map(|test| self.span(test)).collect();
        let kept = |row: &usize| {
            self.0.get(*row).is_some_and(|life| {
                !tests.iter().any(|test| test.contains(row)) && spans.iter().all(|span| is_clear(life, span, embargo))
            })
        };
        rows.filter(kept).collect()
    }

    /// From the first signal to the last exit of a block. A life outside the block that touches its span touches one of
    /// its lives too: an earlier one that reaches the first signal meets the first life, and a later one that begins
    /// before the last exit meets the life that ends there.
    fn span(&self, block: &Range<usize>) -> Option<Life> {
        let lives = self.0.get(block.clone())?;
        let latest = |of: fn(&Life) -> Timestamp| lives.iter().map(of).max();
        let (exit_at, known_at) = (latest(|life| life.exit_at)?, latest(|life| life.known_at)?);
        Some(Life { at: lives.first()?.at, exit_at, known_at })
    }

    fn check_count(&self, what: &'static str, value: usize, least: usize, most: usize) -> Result<(), SplitError> {
        if (least..=most).contains(&value) {
            return Ok(());
        }
        Err(SplitError::Count { what, value, least, most, rows: self.0.len() })
    }
}

/// Whether the outcome of `life` was known before `span`, or it begins after the last exit there and the embargo.
fn is_clear(life: &Life, span: &Life, embargo: SignedDuration) -> bool {
    life.exit_at.max(life.known_at) < span.at || life.at.duration_since(span.exit_at) > embargo
}

fn check_embargo(embargo: SignedDuration) -> Result<(), SplitError> {
    if embargo.is_negative() { Err(SplitError::Embargo { embargo }) } else { Ok(()) }
}

/// `rows` in `count` (at least 1) blocks that differ by one row at most, the longer ones first.
pub(super) fn blocks(rows: Range<usize>, count: usize) -> impl Iterator<Item = Range<usize>> {
    let (each, longer) = (rows.len() / count, rows.len() % count);
    let start = move |block: usize| rows.start + block * each + block.min(longer);
    (0..count).map(move |block| start(block)..start(block + 1))
}

/// All choices of `k` from 0..n, ascending, in lexicographic order.
fn combinations(n: usize, k: usize) -> Vec<Vec<usize>> {
    let mut chosen: Vec<Vec<usize>> = vec![vec![]];
    for _ in 0..k {
        let longer = chosen.iter().flat_map(|choice| {
            let next = choice.last().map_or(0, |last| last + 1);
            (next..n).map(|item| choice.iter().copied().chain([item]).collect())
        });
        chosen = longer.collect();
    }
    chosen
}
