//! One signal as it would have been answered, and what would have become of it.

use super::{Fate, Thresholds};
use crate::{
    domain::{Arm, Decision, Money, Opinion, Outcome, Probability, Reason, VersionId},
    lifecycle::{
        open_trades::AnsweredSignal,
        roster::{Plan, Roster},
    },
    policy::routing::{Assigned, Splits},
};

/// A signal as it would have been answered.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Counterfactual {
    /// The answer and the opinions; where the answer is not known, that of the baseline.
    pub(super) entry: AnsweredSignal,
    /// Whether the answer is known.
    pub(super) known: bool,
}

/// What would have become of a trade.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Became {
    /// It would have been closed like this.
    Closed(Outcome),
    /// It would not have been traded, or nothing tells what it would have earned.
    LetGo,
}

/// Answers `entry` again, when the versions stand as in `roster`, and stood as in `then` when it was answered.
pub(super) fn answer_again(
    entry: &AnsweredSignal,
    roster: &Roster,
    then: &Roster,
    thresholds: &Thresholds,
) -> Counterfactual {
    let Some(symbol) = &entry.symbol else { return Counterfactual { entry: entry.clone(), known: true } };
    let plan = roster.plan().remove(symbol).unwrap_or_default();
    let part = |version: &VersionId| (version.clone(), roster.share(version));
    let splits = Splits::new(plan.test.as_ref().map(part), plan.production.as_ref().map(part));
    let first = if thresholds.by_policy { Vec::new() } else { still_split(entry, &plan, roster, then, &splits) };
    let assigned = splits.assign(&thresholds.policy, &entry.trade_id, &first);
    let silenced = match roster.lock() {
        Some(_) => Some(Reason::Locked),
        None => roster.silenced(symbol).map(|_| Reason::Silenced),
    };
    let (decision, known) = decide(entry, &plan, &assigned, silenced, thresholds);
    let opinion = |version: &VersionId| {
        let score = entry.opinion(version).and_then(|opinion| opinion.score);
        let size = size(entry, version, thresholds).unwrap_or(1.0);
        Opinion { version: version.clone(), split: assigned.by(version), score, size }
    };
    let versions = plan.production.iter().chain(&plan.test).chain(&plan.shadows);
    let opinions = versions.map(opinion).collect();
    Counterfactual { entry: AnsweredSignal { decision, opinions, ..entry.clone() }, known }
}

/// The recorded splits that hold when the versions stand as in `roster`. What a version was to the signal it must be
/// still; where it speaks to another part of its trades than it did, the salt says which.
fn still_split(entry: &AnsweredSignal, plan: &Plan, roster: &Roster, then: &Roster, splits: &Splits) -> Vec<Opinion> {
    let recorded = entry.symbol.as_ref().and_then(|symbol| then.plan().remove(symbol)).unwrap_or_default();
    let still = |opinion: &Opinion| {
        let Opinion { version, split, .. } = opinion;
        let is = |other: &Option<VersionId>| other.as_ref() == Some(version);
        if is(&plan.test) != is(&recorded.test) || is(&plan.production) != is(&recorded.production) {
            return None;
        }
        let (part, before) = (roster.share(version), then.share(version));
        if part == before {
            return Some(opinion.clone());
        }
        // of all its trades it spoke to this share, whatever the configuration was; of a part of 0 that is not known
        let all = split.map(|split| split.share / before).filter(|share| share.is_finite())?;
        let split = splits.at_share(version, &entry.trade_id, all.min(1.0) * part)?;
        Some(Opinion { split: Some(split), ..opinion.clone() })
    };
    entry.opinions.iter().filter_map(still).collect()
}

/// The answer, and whether it is known. `silenced` is why no model may speak, if so.
fn decide(
    entry: &AnsweredSignal,
    plan: &Plan,
    assigned: &Assigned,
    silenced: Option<Reason>,
    thresholds: &Thresholds,
) -> (Decision, bool) {
    let listen = |version: Option<&VersionId>, reason| {
        Decision::baseline(entry.trade_id.clone(), entry.confidence, version.cloned(), reason)
    };
    let in_ml = |split: &Option<(VersionId, crate::domain::Split)>| {
        split.as_ref().is_some_and(|(_, split)| split.arm == Arm::Ml)
    };
    let (speaker, reason) = match (&plan.test, &plan.production) {
        (Some(test), _) if in_ml(&assigned.test) => (test, Reason::AbTest),
        (_, Some(model)) if in_ml(&assigned.production) => (model, Reason::Production),
        (test, production) => {
            let (version, reason) = match (production, test) {
                (Some(version), _) => (Some(version), Reason::Holdback),
                (None, Some(version)) => (Some(version), Reason::AbTest),
                (None, None) if plan.shadows.is_empty() && silenced.is_none() => (None, Reason::NoModel),
                (None, None) => (None, Reason::Shadow),
            };
            let reason = silenced.unwrap_or(reason);
            return (listen(version, fault(entry).unwrap_or(reason)), true);
        }
    };
    if let Some(silenced) = silenced {
        return (listen(Some(speaker), silenced), true);
    }
    if let Some(fault) = fault(entry) {
        return (listen(Some(speaker), fault), true);
    }
    if entry.speaker() == Some(speaker) && !thresholds.by_policy {
        return (entry.decision.clone(), true);
    }
    let score = entry.opinion(speaker).and_then(|opinion| opinion.score);
    match (score, entry.confidence) {
        (None, _) => (listen(Some(speaker), reason), false),
        (_, None) => (listen(Some(speaker), Reason::NoConfidence), true),
        (Some(score), Some(own)) => {
            let policy = &thresholds.policy;
            let answer = policy.ml_answer(entry.trade_id.clone(), own, score, speaker.clone(), reason);
            let size = size(entry, speaker, thresholds).unwrap_or(answer.size);
            (Decision { size, ..answer }, true)
        }
    }
}

/// What kept every model from having a word in this signal, whichever it was.
fn fault(entry: &AnsweredSignal) -> Option<Reason> {
    let reason = entry.decision.reason;
    let of_versions = matches!(
        reason,
        Reason::Production
            | Reason::AbTest
            | Reason::Holdback
            | Reason::Shadow
            | Reason::NoModel
            | Reason::Locked
            | Reason::Silenced
            | Reason::MissingFeature
            | Reason::InvalidScore
    );
    (!of_versions).then_some(reason)
}

/// The multiple of the strategy's size that the policy of `version` gives the signal.
fn size(entry: &AnsweredSignal, version: &VersionId, thresholds: &Thresholds) -> Option<f64> {
    let opinion = entry.opinion(version)?;
    if !thresholds.by_policy {
        return Some(opinion.size);
    }
    let (score, own): (Probability, Probability) = (opinion.score?, entry.confidence?);
    let policy = &thresholds.policy;
    Some(policy.size(policy.blend(own, score), score))
}

/// What would have become of a trade that was answered as in `recorded` and closed with `outcome`, had it been answered
/// as in `retold`.
pub(super) fn became(recorded: &AnsweredSignal, counterfactual: &AnsweredSignal, outcome: &Outcome) -> (Became, Fate) {
    let (was, is) = (recorded.decision.size, counterfactual.decision.size);
    let pnl = outcome.pnl.map(|pnl| pnl.get());
    if was == is {
        let fate = if is == 0.0 { Fate::Earned(pnl.unwrap_or(0.0)) } else { pnl.map_or(Fate::Unknown, Fate::Earned) };
        return (Became::Closed(outcome.clone()), fate);
    }
    if is == 0.0 {
        return (Became::LetGo, Fate::Earned(0.0));
    }
    let earned = pnl.and_then(|pnl| recorded.at_own_size(pnl)).map(|own| own * is);
    match earned.map(Money::new) {
        Some(Ok(money)) => (Became::Closed(Outcome { pnl: Some(money), ..outcome.clone() }), Fate::Earned(money.get())),
        // closed without a pnl: it would have been closed without one as well
        _ if was > 0.0 => (Became::Closed(outcome.clone()), Fate::Unknown),
        _ => (Became::LetGo, Fate::Unknown),
    }
}

/// What a signal earned that was let go.
pub(super) fn let_go(recorded: &AnsweredSignal, counterfactual: &AnsweredSignal) -> Fate {
    let would_have_traded = recorded.decision.size == 0.0 && counterfactual.decision.size > 0.0;
    if would_have_traded { Fate::Unknown } else { Fate::Earned(0.0) }
}
