//! What a test keeps from its beginning, so that nobody who has looked at it can loosen what it must show.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::options::{EvidenceMetric, ExperimentOptions, View};

/// All that decides a test. What is not here, how long outcomes are waited for and what the report needs, may change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Terms {
    /// Sessions after which it ends.
    pub planned_sessions: usize,
    /// Sessions before which nothing is concluded.
    pub first_look: usize,
    /// Error rate of the claim.
    pub level: f64,
    /// Error rate of stopping a harmless version.
    pub harm_level: f64,
    /// What it must show to be shipped. `None` of a test that began when this was not recorded: the options in force say.
    pub conditions: Option<Conditions>,
}

/// What a test must show, and by what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are those of the options")]
pub struct Conditions {
    pub evidence: View,
    pub metrics: Vec<EvidenceMetric>,
    pub min_days: f64,
    pub min_trades: usize,
    pub min_win_rate_gain: f64,
    pub min_sharpe_gain: f64,
    pub max_drawdown_ratio: f64,
    pub sample_ratio_level: f64,
}

impl ExperimentOptions {
    /// The terms that a test that begins now keeps.
    pub fn terms(&self) -> Terms {
        let Self { planned_sessions, first_look, level, harm_level, .. } = *self;
        let Self { evidence, min_days, min_trades, min_win_rate_gain, min_sharpe_gain, .. } = *self;
        let Self { max_drawdown_ratio, sample_ratio_level, .. } = *self;
        let conditions = Some(Conditions {
            evidence,
            metrics: self.metrics.clone(),
            min_days,
            min_trades,
            min_win_rate_gain,
            min_sharpe_gain,
            max_drawdown_ratio,
            sample_ratio_level,
        });
        Terms { planned_sessions, first_look, level, harm_level, conditions }
    }

    /// These options for a test that began under `terms`.
    #[must_use]
    pub fn under(self, terms: Terms) -> Self {
        let Terms { planned_sessions, first_look, level, harm_level, conditions } = terms;
        let options = Self { planned_sessions, first_look, level, harm_level, ..self };
        let Some(conditions) = conditions else { return options };
        let Conditions { evidence, metrics, min_days, min_trades, min_win_rate_gain, min_sharpe_gain, .. } = conditions;
        let Conditions { max_drawdown_ratio, sample_ratio_level, .. } = conditions;
        let options = Self { evidence, metrics, min_days, min_trades, min_win_rate_gain, ..options };
        Self { min_sharpe_gain, max_drawdown_ratio, sample_ratio_level, ..options }
    }
}

impl Terms {
    /// As numbers of an event's evidence. A metric has its place among the metrics, from 1 on.
    pub fn numbers(&self) -> BTreeMap<Box<str>, f64> {
        let mut numbers = BTreeMap::new();
        let mut put = |name: &str, number: f64| {
            numbers.insert(name.into(), number);
        };
        put("planned_sessions", self.planned_sessions as f64);
        put("first_look", self.first_look as f64);
        put("level", self.level);
        put("harm_level", self.harm_level);
        if let Some(conditions) = &self.conditions {
            put(RANDOMISED, f64::from(u8::from(conditions.evidence == View::Randomised)));
            for (place, metric) in conditions.metrics.iter().enumerate() {
                put(&place_of(*metric), (place + 1) as f64);
            }
            put("min_days", conditions.min_days);
            put("min_trades", conditions.min_trades as f64);
            put("min_win_rate_gain", conditions.min_win_rate_gain);
            put("min_sharpe_gain", conditions.min_sharpe_gain);
            put("max_drawdown_ratio", conditions.max_drawdown_ratio);
            put("sample_ratio_level", conditions.sample_ratio_level);
        }
        numbers
    }

    /// From the numbers of an event's evidence. `None` when the length or a level is missing.
    pub fn of(numbers: &BTreeMap<Box<str>, f64>) -> Option<Self> {
        let number = |name: &str| numbers.get(name).copied();
        Some(Self {
            planned_sessions: number("planned_sessions")? as usize,
            first_look: number("first_look")? as usize,
            level: number("level")?,
            harm_level: number("harm_level")?,
            conditions: Conditions::of(numbers),
        })
    }
}

/// 1 where the randomised view decides, 0 where the paired one does.
const RANDOMISED: &str = "evidence_randomised";

fn place_of(metric: EvidenceMetric) -> String {
    format!("metric_{}", metric.name())
}

impl Conditions {
    fn of(numbers: &BTreeMap<Box<str>, f64>) -> Option<Self> {
        let number = |name: &str| numbers.get(name).copied();
        let place = |metric| Some((number(&place_of(metric))? as usize, metric));
        let all = [EvidenceMetric::MeanPnl, EvidenceMetric::WinRate];
        let mut metrics: Vec<(usize, EvidenceMetric)> = all.into_iter().filter_map(place).collect();
        metrics.sort_by_key(|(place, _)| *place);
        let conditions = Self {
            evidence: if number(RANDOMISED)? > 0.5 { View::Randomised } else { View::Paired },
            metrics: metrics.into_iter().map(|(_, metric)| metric).collect(),
            min_days: number("min_days")?,
            min_trades: number("min_trades")? as usize,
            min_win_rate_gain: number("min_win_rate_gain")?,
            min_sharpe_gain: number("min_sharpe_gain")?,
            max_drawdown_ratio: number("max_drawdown_ratio")?,
            sample_ratio_level: number("sample_ratio_level")?,
        };
        (!conditions.metrics.is_empty()).then_some(conditions)
    }
}
