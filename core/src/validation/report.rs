//! What a validation found, as it is kept with the model.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    check::{Outcome, ValidationCheck},
    example::Goal,
    options::ValidationOptions,
    verdict::{checks, overall, verdict},
};
pub use super::{
    evidence::{Deflated, Gain, MoneyGain, Parts, ValidationEvidence},
    verdict::ValidationVerdict,
};

/// Everything a validation found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ValidationReport {
    /// What the model is meant to foretell.
    pub goal: Goal,
    /// Whether it may be deployed.
    pub verdict: ValidationVerdict,
    /// The overall score, 0 to 1.
    pub overall: f64,
    /// What the overall score must exceed.
    pub min_overall: f64,
    /// Every part with its value, its limit and whether it passed.
    pub checks: Vec<ValidationCheck>,
    /// What the parts rest on.
    pub evidence: ValidationEvidence,
}

impl ValidationReport {
    /// What follows from `evidence`.
    pub(super) fn of(evidence: ValidationEvidence, options: &ValidationOptions, goal: Goal) -> Self {
        let checks = checks(&evidence, options, goal);
        let overall = overall(&checks, &options.overall);
        let min_overall = options.overall.min_score;
        let verdict = verdict(&checks, overall, min_overall);
        Self { goal, verdict, overall, min_overall, checks, evidence }
    }

    /// The report as it is stored, which was read back once.
    ///
    /// # Errors
    /// In words, for a figure that is infinite or not a number: what is stored could not be read.
    pub fn stored(&self) -> Result<serde_json::Value, String> {
        let text = serde_json::to_string(self).map_err(|error| error.to_string())?;
        serde_json::from_str::<Self>(&text).map_err(|error| error.to_string())?;
        serde_json::from_str(&text).map_err(|error| error.to_string())
    }

    /// Whether the model may be deployed to staging.
    pub fn is_deployable(&self) -> bool {
        self.verdict == ValidationVerdict::Deployable
    }

    /// The figures by name, as they are stored with a version; what is not defined is left out.
    pub fn metrics(&self) -> BTreeMap<Box<str>, f64> {
        let evidence = &self.evidence;
        let parts = [("test", &evidence.test), ("train", &evidence.train), ("majority", &evidence.majority)];
        let mut metrics: BTreeMap<Box<str>, f64> = BTreeMap::new();
        for (part, figures) in parts {
            let named = figures.named().into_iter();
            metrics.extend(named.filter_map(|(name, value)| Some((format!("{part}_{name}").into(), value?))));
        }
        let policy = evidence.policy;
        let whole = [
            ("test_taken", policy.map(|policy| policy.taken as f64)),
            ("test_expectancy", policy.and_then(|policy| policy.expectancy)),
            ("test_sharpe", policy.and_then(|policy| policy.sharpe)),
            ("test_max_drawdown", policy.and_then(|policy| policy.max_drawdown)),
            ("baseline_expectancy", evidence.every_trade.and_then(|every| every.expectancy)),
            ("baseline_sharpe", evidence.every_trade.and_then(|every| every.sharpe)),
            ("gain_probability", evidence.gain.map(|gain| gain.deflated)),
            ("money_gain", evidence.money.map(|money| money.per_signal)),
            ("decision_point", self.goal.is_class().then_some(evidence.point)),
            ("lift_lower", evidence.lift.map(|lift| lift.lower)),
            ("overall", Some(self.overall)),
        ];
        metrics.extend(whole.into_iter().filter_map(|(name, value)| Some((name.into(), value?))));
        metrics
    }

    /// Every part that was decided on by name, its value and, under `NAME_limit`, what was asked of it; and the overall
    /// score. What is not defined is left out.
    pub fn decided_on(&self) -> BTreeMap<Box<str>, f64> {
        let mut decided = BTreeMap::from([
            ("overall".into(), self.overall),
            ("overall_limit".into(), self.min_overall),
            ("gates_failed".into(), self.failed_gates().count() as f64),
        ]);
        for check in &self.checks {
            let name = serde_json::to_value(check.part).unwrap_or_default();
            let Some(name) = name.as_str() else { continue };
            decided.insert(format!("{name}_limit").into(), check.limit.number());
            decided.extend(check.value.map(|value| (name.into(), value)));
        }
        decided
    }

    /// The verdict in one line.
    pub fn summary(&self) -> String {
        let failed: Vec<String> = self.failed_gates().map(|check| check.part.to_string()).collect();
        let word = match self.verdict {
            ValidationVerdict::Deployable => "validation passed",
            ValidationVerdict::NotDeployable => "validation failed",
            ValidationVerdict::Insufficient => "validation failed, too few test trades",
        };
        let gates = if failed.is_empty() { String::new() } else { format!("; not passed: {}", failed.join(", ")) };
        format!("{word}: overall {:.2}, must exceed {:.2}{gates}", self.overall, self.min_overall)
    }

    /// The hard parts that were not passed.
    pub fn failed_gates(&self) -> impl Iterator<Item = &ValidationCheck> {
        self.checks.iter().filter(|check| check.hard && check.outcome != Outcome::Pass)
    }
}
