//! How far a validation is.

use std::fmt;

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Choosing the strength of regularisation.
    Choice,
    /// Fitting the model that is judged.
    Fit,
    /// Models of the levels below.
    Rivals,
    /// Cross-validation.
    CrossValidation,
    /// Walk-forward.
    WalkForward,
    /// Combinatorial cross-validation.
    Paths,
    /// Labels shifted in a circle.
    Null,
    /// Refits on bootstrap samples.
    Bootstrap,
    /// Shuffling one input after the other.
    Importance,
    /// Done.
    Done,
}

/// Counts the steps and tells.
pub(super) struct Progress<'a> {
    tell: &'a mut dyn FnMut(f64, Stage),
    done: usize,
    total: usize,
}

impl<'a> Progress<'a> {
    /// Of about `total` steps; `tell` gets the share done, 0 to 1, and what is being done.
    pub fn new(tell: &'a mut dyn FnMut(f64, Stage), total: usize) -> Self {
        Self { tell, done: 0, total: total.max(1) }
    }

    /// One step of `stage` begins.
    pub fn tick(&mut self, stage: Stage) {
        let share = self.done as f64 / self.total as f64;
        self.done += 1;
        (self.tell)(share.min(1.0), stage);
    }

    /// All is done.
    pub fn finish(self) {
        (self.tell)(1.0, Stage::Done);
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Choice => "choosing the regularisation",
            Self::Fit => "fitting",
            Self::Rivals => "the levels below",
            Self::CrossValidation => "cross-validation",
            Self::WalkForward => "walk-forward",
            Self::Paths => "combinatorial paths",
            Self::Null => "shuffled labels",
            Self::Bootstrap => "bootstrap",
            Self::Importance => "importance of the inputs",
            Self::Done => "done",
        })
    }
}
