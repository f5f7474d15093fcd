//! What may be served, as one immutable value, and the answer to a signal that follows from it.
//!
//! The guardian publishes a [`Serving`]; nobody else makes one. Everything in it is ready: the models are compiled, the
//! salts are made. An answer is a pure function of it, the policy and the signal.
#![deny(clippy::indexing_slicing)]

use std::{collections::BTreeMap, sync::Arc};

use super::{answer::Policy, routing::Salt};
use crate::{
    domain::{Arm, Decision, Probability, Reason, Signal, Symbol, VersionId},
    features::{
        design::{DesignMatrix, InvalidDesign},
        row::Schema,
    },
    models::Compiled,
};

/// A version, ready to score.
#[derive(Debug)]
pub struct Served {
    version: VersionId,
    design: DesignMatrix,
    model: Compiled,
    test_salt: Salt,
    holdback_salt: Salt,
}

/// The versions of one symbol.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Blended into every signal but the holdback.
    pub production: Option<Arc<Served>>,
    /// Blended into its share of the signals.
    pub test: Option<Arc<Served>>,
    /// Scored and never used.
    pub shadows: Vec<Arc<Served>>,
}

/// What may be served.
#[derive(Debug, Clone, Default)]
pub struct Serving {
    /// Grows with every change.
    pub epoch: u64,
    /// Why nothing but the baseline may be served, if so.
    pub lock: Option<String>,
    /// The versions per symbol.
    pub scopes: BTreeMap<Symbol, Scope>,
}

/// An answer and what was thought beside it.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// What the trader is told.
    pub decision: Decision,
    /// Scores of the versions that had no say in it.
    pub shadows: Vec<(VersionId, Probability)>,
}

enum Route<'a> {
    Speak(&'a Served, Reason),
    Listen(Option<&'a VersionId>, Reason),
}

impl Served {
    /// A version around its compiled model.
    pub fn new(version: VersionId, design: DesignMatrix, model: Compiled) -> Self {
        let test_salt = Salt::new(&format!("test:{version}"));
        let holdback_salt = Salt::new(&format!("holdback:{version}"));
        Self { version, design, model, test_salt, holdback_salt }
    }

    /// The same, reading its inputs from rows of `schema`.
    ///
    /// # Errors
    /// [`InvalidDesign`] when it uses an input that `schema` does not have.
    pub fn for_schema(&self, schema: &Schema) -> Result<Self, InvalidDesign> {
        let design = self.design.for_schema(schema)?;
        Ok(Self::new(self.version.clone(), design, self.model.clone()))
    }

    /// Its name.
    pub fn version(&self) -> &VersionId {
        &self.version
    }

    /// The score of a row of inputs, which [`Pipeline`](crate::features::pipeline::Pipeline) made. `row` is used to work in.
    ///
    /// # Errors
    /// The reason for which it has no score: an input it cannot do without is missing, or what came out is no
    /// probability.
    pub fn score(&self, inputs: &[Option<f64>], row: &mut Vec<f64>) -> Result<Probability, Reason> {
        self.design.transform(inputs, row).map_err(|_| Reason::MissingFeature)?;
        self.model.score(row).ok_or(Reason::InvalidScore)
    }
}

impl Scored {
    /// Takes the word from the model: the answer becomes the baseline for `reason`. What the model said is kept among the
    /// shadows.
    pub fn silence(&mut self, signal: &Signal, reason: Reason) {
        let model = self.decision.model.take();
        if let (Arm::Ml, Some(version)) = (self.decision.arm, &model) {
            self.shadows.push((version.clone(), self.decision.score));
        }
        self.decision = Decision::baseline(signal.trade_id.clone(), signal.confidence, model, reason);
    }
}

impl Scope {
    /// The names of all versions that score this symbol.
    pub fn names(&self) -> impl Iterator<Item = &VersionId> {
        self.all().map(|served| &served.version)
    }

    fn route(&self, policy: &Policy, signal: &Signal) -> Route<'_> {
        if let Some(test) = &self.test {
            if test.test_salt.position(&signal.trade_id) < policy.ab_share {
                return Route::Speak(test, Reason::AbTest);
            }
            if self.production.is_none() {
                return Route::Listen(Some(&test.version), Reason::AbTest);
            }
        }
        match &self.production {
            Some(model) if model.holdback_salt.position(&signal.trade_id) < policy.holdback => {
                Route::Listen(Some(&model.version), Reason::Holdback)
            }
            Some(model) => Route::Speak(model, Reason::Production),
            None if self.shadows.is_empty() => Route::Listen(None, Reason::NoModel),
            None => Route::Listen(None, Reason::Shadow),
        }
    }

    fn all(&self) -> impl Iterator<Item = &Arc<Served>> {
        self.production.iter().chain(&self.test).chain(&self.shadows)
    }
}

impl Serving {
    /// Serves nothing but the baseline, because of `lock`.
    pub fn locked(epoch: u64, lock: String) -> Self {
        Self { epoch, lock: Some(lock), scopes: BTreeMap::new() }
    }

    /// The answer to a signal whose inputs are `inputs`. When `silent` is set no model may speak, for that reason; those
    /// that watch still do.
    pub fn answer(
        &self,
        policy: &Policy,
        signal: &Signal,
        inputs: &[Option<f64>],
        silent: Option<Reason>,
        row: &mut Vec<f64>,
    ) -> Scored {
        let silent = if self.lock.is_some() { Some(Reason::Locked) } else { silent };
        let listen = |model: Option<&VersionId>, reason| {
            Decision::baseline(signal.trade_id.clone(), signal.confidence, model.cloned(), reason)
        };
        let Some(scope) = self.scopes.get(&signal.symbol) else {
            return Scored { decision: listen(None, silent.unwrap_or(Reason::NoModel)), shadows: Vec::new() };
        };
        let decision = match (scope.route(policy, signal), silent) {
            (Route::Listen(model, reason), None) => listen(model, reason),
            (Route::Listen(model, _), Some(reason)) => listen(model, reason),
            (Route::Speak(served, _), Some(reason)) => listen(Some(&served.version), reason),
            (Route::Speak(served, reason), None) => match (served.score(inputs, row), signal.confidence) {
                (Err(reason), _) => listen(Some(&served.version), reason),
                (_, None) => listen(Some(&served.version), Reason::NoConfidence),
                (Ok(score), Some(own)) => {
                    policy.ml_answer(signal.trade_id.clone(), own, score, served.version.clone(), reason)
                }
            },
        };
        let spoke = (decision.arm == Arm::Ml).then_some(()).and(decision.model.as_ref());
        let watching = scope.all().filter(|served| Some(&served.version) != spoke);
        let shadows = watching.filter_map(|served| Some((served.version.clone(), served.score(inputs, row).ok()?)));
        Scored { shadows: shadows.collect(), decision }
    }
}
