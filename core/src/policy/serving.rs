//! What may be served, as one immutable value, and the answer to a signal that follows from it.
//!
//! The guardian publishes a [`Serving`]; nobody else makes one. Everything in it is ready: the models are compiled, the
//! salts are made. An answer is a pure function of it, the policy and the signal.
#![deny(clippy::indexing_slicing)]

mod explain;

use std::{collections::BTreeMap, sync::Arc};

pub use explain::{Explained, Explaining, Origin};

use super::{
    answer::Policy,
    routing::{Assigned, Splits},
};
use crate::{
    domain::{Arm, Decision, Opinion, Probability, Reason, Signal, Split, Symbol, TradeId, VersionId},
    features::{design::DesignMatrix, measured::Needs, pipeline::Seen},
    guard::integrity::{IntegrityFault, check_score},
    models::{Compiled, Question, Standard, TradePolicy},
};

/// A version, ready to score.
#[derive(Debug)]
pub struct Served {
    version: VersionId,
    design: DesignMatrix,
    needs: Needs,
    model: Compiled,
    checksum: [u8; 32],
    question: Question,
    standard: Option<Standard>,
    /// What it was validated by, where its record says so.
    policy: Option<TradePolicy>,
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
    /// An emergency silences all of them; they go on to watch.
    pub silenced: bool,
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
    /// How trades are given out, also while nothing may be served.
    pub splits: BTreeMap<Symbol, Splits>,
    /// The versions that would score were nothing locked: who is watched, whatever may be served.
    pub standing: Vec<Standing>,
}

/// A version in service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Which.
    pub version: VersionId,
    /// Whether it speaks where nothing silences it.
    pub speaks: bool,
}

/// An answer and what was thought beside it.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// What the trader is told.
    pub decision: Decision,
    /// What every version in service was to the signal and made of it.
    pub opinions: Vec<Opinion>,
    /// A version whose score is no probability, if there is one: none of its figures means anything.
    pub broken: Option<IntegrityFault>,
    /// The inputs that were not measured, where the answer is the baseline for that.
    pub missing: Vec<Box<str>>,
    /// Versions for which too little was measured, each with its inputs that were not.
    pub stale: Vec<(VersionId, Vec<Box<str>>)>,
}

enum Route<'a> {
    Speak(&'a Served, Reason),
    Listen(Option<&'a VersionId>, Reason),
}

impl Served {
    /// A version around its compiled model, which scores what `needs` are met by, what it is asked, what may be expected of
    /// it, and the policy it was validated by. `checksum` is that of the record all were read from.
    pub fn new(
        version: VersionId,
        design: DesignMatrix,
        needs: Needs,
        model: Compiled,
        checksum: [u8; 32],
        (question, standard, policy): (Question, Option<Standard>, Option<TradePolicy>),
    ) -> Self {
        Self { version, design, needs, model, checksum, question, standard, policy }
    }

    /// What may be expected of it, where its validation says so.
    pub fn standard(&self) -> Option<&Standard> {
        self.standard.as_ref()
    }

    /// The policy it is served with while `configured` is in force.
    pub fn policy(&self, configured: &Policy) -> Policy {
        configured.of(self.policy.as_ref())
    }

    /// In what it is served otherwise than `configured` says, in words; `None` where it is served with just that.
    pub fn keeps(&self, configured: &Policy) -> Option<String> {
        let differ = self.policy(configured).trade().differences(&configured.trade());
        let keys: Vec<String> = differ.iter().map(|(key, own, other)| format!("{key} = {own}, not {other}")).collect();
        (!keys.is_empty()).then(|| {
            let (version, keys) = (&self.version, keys.join("; "));
            format!("{version} keeps the policy it was validated by ({keys}): train again for a version that is judged by the new one")
        })
    }

    /// What it is asked of each trade.
    pub fn question(&self) -> &Question {
        &self.question
    }

    /// Its name.
    pub fn version(&self) -> &VersionId {
        &self.version
    }

    /// Whether what it gives can be a score: a version that foretells amounts is of no use here.
    pub fn scores(&self) -> bool {
        self.model.scores()
    }

    /// BLAKE2b-32 of the record it was read from.
    pub fn checksum(&self) -> &[u8; 32] {
        &self.checksum
    }

    /// The score of a row of inputs, which [`Pipeline`](crate::features::pipeline::Pipeline) made. `row` is used to work in.
    ///
    /// # Errors
    /// The reason for which it has no score: none of its inputs is known, or what came out is no probability.
    pub fn score(&self, inputs: &[Option<f64>], row: &mut Vec<f64>) -> Result<Probability, Reason> {
        self.design.transform(inputs, row).map_err(|_| Reason::MissingFeature)?;
        self.model.score(row).ok_or(Reason::InvalidScore)
    }

    /// The same of a signal as it came, of which enough must have been measured.
    ///
    /// # Errors
    /// As of [`Served::score`]; [`Reason::StaleInputs`] when too much of it is carried forward or missing.
    fn score_signal(&self, seen: &Seen<'_>, row: &mut Vec<f64>) -> Result<Probability, Reason> {
        if self.needs.is_stale(seen) {
            row.clear();
            let never = self.needs.knows_nothing(seen);
            return Err(if never { Reason::MissingFeature } else { Reason::StaleInputs });
        }
        let far = self.design.far(seen.values, seen.filled.carried);
        if far.is_empty() {
            return self.score(seen.values, row);
        }
        // what this version was trained nowhere near is not carried to it
        let near = |(place, value): (usize, &Option<f64>)| value.filter(|_| !far.contains(place));
        let values: Vec<Option<f64>> = seen.values.iter().enumerate().map(near).collect();
        self.score(&values, row)
    }

    /// What is wrong when it has no score for `reason`; one that foretells amounts never has any.
    fn fault(&self, reason: Reason, row: &[f64]) -> Option<IntegrityFault> {
        let broken = reason == Reason::InvalidScore && self.scores();
        broken.then(|| check_score(&self.version, self.model.value(row).unwrap_or(f64::NAN)))?
    }
}

impl Scored {
    /// An answer in which nothing was missing and nothing is wrong.
    pub fn of(decision: Decision, opinions: Vec<Opinion>) -> Self {
        Self { decision, opinions, broken: None, missing: Vec::new(), stale: Vec::new() }
    }

    /// Takes the word from the model: the answer becomes the baseline for `reason`. What the model said is kept among the
    /// opinions.
    pub fn silence(&mut self, signal: &Signal, reason: Reason) {
        let model = self.decision.model.take();
        self.decision = Decision::baseline(signal.trade_id.clone(), signal.confidence, model, reason);
    }
}

impl Scope {
    /// The names of all versions that score this symbol.
    pub fn names(&self) -> impl Iterator<Item = &VersionId> {
        self.served().map(|served| &served.version)
    }

    fn standing(&self) -> impl Iterator<Item = Standing> {
        let standing = |served: &Arc<Served>, speaks| Standing { version: served.version.clone(), speaks };
        let speaking = self.production.iter().chain(&self.test).map(move |served| standing(served, true));
        speaking.chain(self.shadows.iter().map(move |served| standing(served, false)))
    }

    fn route(&self, assigned: &Assigned) -> Route<'_> {
        let is_ml = |split: &Option<(VersionId, Split)>| split.as_ref().is_some_and(|(_, split)| split.arm == Arm::Ml);
        let (by_test, by_production) = (is_ml(&assigned.test), is_ml(&assigned.production));
        match (&self.test, &self.production) {
            (Some(test), _) if by_test && assigned.test_speaks => Route::Speak(test, Reason::AbTest),
            (_, Some(model)) if by_production && assigned.production_speaks => Route::Speak(model, Reason::Production),
            (_, Some(model)) => Route::Listen(Some(&model.version), Reason::Holdback),
            (Some(test), None) => Route::Listen(Some(&test.version), Reason::AbTest),
            (None, None) if self.shadows.is_empty() && !self.silenced => Route::Listen(None, Reason::NoModel),
            (None, None) => Route::Listen(None, Reason::Shadow),
        }
    }

    /// All versions that score this symbol.
    pub fn served(&self) -> impl Iterator<Item = &Arc<Served>> {
        self.production.iter().chain(&self.test).chain(&self.shadows)
    }
}

impl Serving {
    /// Why a model is silent for a lock or an emergency, if one is.
    pub fn emergency(&self) -> Option<String> {
        let silenced = self.scopes.iter().find(|(_, scope)| scope.silenced);
        let locked = self.lock.as_ref().map(|reason| format!("serving is locked: {reason}"));
        locked.or_else(|| silenced.map(|(symbol, _)| format!("an emergency silences the versions of {symbol}")))
    }

    /// All versions that score, of whatever symbol.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Served>> {
        self.scopes.values().flat_map(Scope::served)
    }

    /// Serves `scopes`, by the `splits` of their trades; nothing but the baseline where there is a `lock`.
    pub fn new(
        epoch: u64,
        lock: Option<String>,
        scopes: BTreeMap<Symbol, Scope>,
        splits: BTreeMap<Symbol, Splits>,
    ) -> Self {
        let standing = scopes.values().flat_map(Scope::standing).collect();
        let scopes = if lock.is_some() { BTreeMap::new() } else { scopes };
        Self { epoch, lock, scopes, splits, standing }
    }

    /// Serves nothing but the baseline, because of `lock`, and knows of no version. Trades are still given out by `splits`.
    pub fn locked(epoch: u64, lock: String, splits: BTreeMap<Symbol, Splits>) -> Self {
        Self::new(epoch, Some(lock), BTreeMap::new(), splits)
    }

    /// What is served when all models are silenced because of `lock`.
    #[must_use]
    pub fn silenced(&self, lock: String) -> Self {
        let (splits, standing) = (self.splits.clone(), self.standing.clone());
        Self { epoch: self.epoch + 1, lock: Some(lock), scopes: BTreeMap::new(), splits, standing }
    }

    /// Where a trade belongs; `first` is what was made of it when it was scored before.
    pub fn assign(&self, policy: &Policy, symbol: &Symbol, trade_id: &TradeId, first: &[Opinion]) -> Assigned {
        self.splits.get(symbol).map(|splits| splits.assign(policy, trade_id, first)).unwrap_or_default()
    }

    /// The answer to a signal whose inputs are `seen`. When `silent` is set no model may speak, for that reason; those
    /// that watch still do. `first` is what was made of the trade when it was scored before: it stays in its arms.
    pub fn answer(
        &self,
        policy: &Policy,
        signal: &Signal,
        seen: &Seen<'_>,
        silent: Option<Reason>,
        first: &[Opinion],
        row: &mut Vec<f64>,
    ) -> Scored {
        let scope = self.scopes.get(&signal.symbol);
        let silent = match self.lock {
            Some(_) => Some(Reason::Locked),
            None if scope.is_some_and(|scope| scope.silenced) => Some(Reason::Silenced),
            None => silent,
        };
        let assigned = self.assign(policy, &signal.symbol, &signal.trade_id, first);
        let listen = |model: Option<&VersionId>, reason| {
            Decision::baseline(signal.trade_id.clone(), signal.confidence, model.cloned(), reason)
        };
        let Some(scope) = scope else {
            let decision = listen(None, silent.unwrap_or(Reason::NoModel));
            return Scored::of(decision, assigned.unheard());
        };
        let (mut broken, mut stale) = (None, Vec::new());
        let mut score_of = |served: &Served| {
            let score = served.score_signal(seen, row);
            match score {
                Err(Reason::StaleInputs | Reason::MissingFeature) => {
                    // one that is to speak and cannot is asked twice
                    if stale.iter().all(|(version, _)| *version != served.version) {
                        stale.push((served.version.clone(), served.needs.missing(seen)));
                    }
                }
                Err(reason) => broken = broken.take().or_else(|| served.fault(reason, row)),
                Ok(_) => {}
            }
            score
        };
        let decision = match (scope.route(&assigned), silent) {
            (Route::Listen(model, reason), None) => listen(model, reason),
            (Route::Listen(model, _), Some(reason)) => listen(model, reason),
            (Route::Speak(served, _), Some(reason)) => listen(Some(&served.version), reason),
            (Route::Speak(served, reason), None) => match (score_of(served), signal.confidence) {
                (Err(reason), _) => listen(Some(&served.version), reason),
                (_, None) => listen(Some(&served.version), Reason::NoConfidence),
                (Ok(score), Some(own)) => {
                    served.policy(policy).ml_answer(signal.trade_id.clone(), own, score, served.version.clone(), reason)
                }
            },
        };
        let spoke = (decision.arm == Arm::Ml).then_some(()).and(decision.model.as_ref());
        let opinion = |served: &Arc<Served>| {
            let score = if Some(&served.version) == spoke { Some(decision.score) } else { score_of(served).ok() };
            let sized = score.zip(signal.confidence);
            let policy = served.policy(policy);
            let size = sized.map_or(1.0, |(score, own)| policy.size(policy.blend(own, score), score));
            Opinion { version: served.version.clone(), split: assigned.by(&served.version), score, size }
        };
        let opinions = scope.served().map(opinion).collect();
        let unheard = matches!(decision.reason, Reason::StaleInputs | Reason::MissingFeature);
        let own = stale.iter().find(|(version, _)| unheard && Some(version) == decision.model.as_ref());
        let missing = own.map(|(_, missing)| missing.clone()).unwrap_or_default();
        Scored { decision, opinions, broken, missing, stale }
    }
}
