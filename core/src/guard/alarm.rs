//! Conditions that a person should know of: raised once, kept while they hold, cleared when they have recovered half-way.
//!
//! Pure, and of bounded size: there is one entry for each code and subject. What is done about a condition is not decided
//! here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::{Timestamp, event::Level};

/// A measured condition. Larger is worse.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Condition {
    /// A stable word, such as `composite`.
    pub code: Box<str>,
    /// What it is about: a version, a feature.
    pub subject: Box<str>,
    /// How urgent it is.
    pub level: Level,
    /// What was measured; `None` when it could not be, which changes nothing.
    pub value: Option<f64>,
    /// What it is held against, above 0.
    pub threshold: f64,
    /// Whether a value beyond the threshold is more than chance. It raises a condition only then; it clears whether or
    /// not.
    pub sure: bool,
    /// Before and after, as a person reads it; empty where value and threshold say it.
    #[serde(default)]
    pub told: Box<str>,
    /// What is done about it.
    pub done: Box<str>,
    /// What a person should do.
    pub advice: Box<str>,
}

/// A condition that holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alarm {
    /// As it was measured last.
    pub condition: Condition,
    /// Since when it holds.
    pub since: Timestamp,
}

/// What became of a condition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Turn {
    /// It holds from now on.
    Raised(Alarm),
    /// It held and holds no more.
    Cleared(Alarm),
}

/// All conditions that hold.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Alarms {
    held: Vec<Alarm>,
}

impl Alarms {
    /// Takes in a measurement, and says whether that turns anything. A value at its threshold is beyond it; one that holds
    /// is cleared at half the threshold or less.
    pub fn observe(&mut self, at: Timestamp, condition: Condition) -> Option<Turn> {
        let value = condition.value.filter(|value| value.is_finite())?;
        let same =
            |alarm: &Alarm| alarm.condition.code == condition.code && alarm.condition.subject == condition.subject;
        let Some(place) = self.held.iter().position(same) else {
            (condition.sure && value >= condition.threshold).then_some(())?;
            let alarm = Alarm { condition, since: at };
            self.held.push(alarm.clone());
            return Some(Turn::Raised(alarm));
        };
        let alarm = self.held.get_mut(place)?;
        let recovered = value <= condition.threshold / 2.0;
        alarm.condition = condition;
        recovered.then(|| Turn::Cleared(self.held.remove(place)))
    }

    /// What holds, oldest first.
    pub fn held(&self) -> &[Alarm] {
        &self.held
    }

    /// Whether a condition holds.
    pub fn holds(&self, code: &str, subject: &str) -> bool {
        self.held.iter().any(|alarm| *alarm.condition.code == *code && *alarm.condition.subject == *subject)
    }

    /// Forgets all conditions of a subject, and of its parts, which are named behind it and a space, without a word: it is
    /// out of service.
    pub fn forget(&mut self, subject: &str) {
        let part =
            |other: &str| other.strip_prefix(subject).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '));
        self.held.retain(|alarm| !part(&alarm.condition.subject));
    }

    /// How many hold at each level.
    pub fn count(&self) -> BTreeMap<Level, usize> {
        let mut counts = BTreeMap::new();
        for alarm in &self.held {
            *counts.entry(alarm.condition.level).or_insert(0) += 1;
        }
        counts
    }
}

impl Turn {
    /// In words: what, since when, value against threshold, what was done and what to do.
    pub fn message(&self) -> String {
        let (Self::Raised(alarm) | Self::Cleared(alarm)) = self;
        let Condition { code, subject, value, threshold, told, done, advice, .. } = &alarm.condition;
        let value = value.map_or("unknown".to_owned(), |value| format!("{value:.4}"));
        match self {
            Self::Raised(_) if !told.is_empty() => {
                format!("{subject}: {code} since {}: {told}; {done}; {advice}", alarm.since)
            }
            Self::Raised(_) => {
                format!("{subject}: {code} {value} against {threshold:.4} since {}: {done}; {advice}", alarm.since)
            }
            Self::Cleared(_) => {
                format!(
                    "{subject}: {code} has recovered to {value} (threshold {threshold:.4}), held since {}",
                    alarm.since
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observe(alarms: &mut Alarms, second: i64, value: f64, sure: bool) -> Option<bool> {
        let condition = Condition {
            code: "composite".into(),
            subject: "ES/1".into(),
            level: Level::Warning,
            value: Some(value),
            threshold: 0.1,
            sure,
            told: "".into(),
            done: "a training was asked for".into(),
            advice: "look at `vigie status`".into(),
        };
        let turn = alarms.observe(Timestamp::from_second(second).unwrap(), condition);
        turn.map(|turn| matches!(turn, Turn::Raised(_)))
    }

    #[test]
    fn a_condition_is_raised_once_and_cleared_half_way_and_chance_raises_none() {
        let mut alarms = Alarms::default();
        assert_eq!(observe(&mut alarms, 0, 0.3, false), None);
        assert_eq!(observe(&mut alarms, 1, 0.09, true), None);
        assert_eq!(observe(&mut alarms, 2, 0.1, true), Some(true));
        assert_eq!(observe(&mut alarms, 3, 0.2, true), None);
        assert_eq!(observe(&mut alarms, 4, 0.051, false), None);
        assert_eq!(observe(&mut alarms, 5, f64::NAN, true), None);
        assert!(alarms.holds("composite", "ES/1") && alarms.held()[0].since == Timestamp::from_second(2).unwrap());
        assert_eq!(observe(&mut alarms, 6, 0.05, true), Some(false));
        assert_eq!((alarms.held().len(), observe(&mut alarms, 7, 0.1, true)), (0, Some(true)));
        assert_eq!(alarms.count().get(&Level::Warning), Some(&1));
        alarms.forget("ES/1");
        assert_eq!(alarms, Alarms::default());
    }

    #[test]
    fn it_says_what_since_when_against_what_and_what_to_do() {
        let condition = Condition {
            code: "psi".into(),
            subject: "session_time".into(),
            level: Level::Warning,
            value: Some(0.31),
            threshold: 0.25,
            sure: true,
            told: "".into(),
            done: "recorded".into(),
            advice: "compare the feed with the training data".into(),
        };
        let turn = Alarms::default().observe(Timestamp::from_second(0).unwrap(), condition).unwrap();
        assert_eq!(
            turn.message(),
            "session_time: psi 0.3100 against 0.2500 since 1970-01-01T00:00:00Z: recorded; compare the feed with the training data"
        );
    }
}
