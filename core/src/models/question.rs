//! The question that a version answers, and whether a closed trade proved it right.
//!
//! A version is judged by its own question and by nothing else: the label of its target, against what its score says at
//! its decision point. Validation, the emergency rules and the monitor all ask here, so a figure in service is the same
//! function as the one of the validation it is held against. Money is another measure and is not in here.

use serde::{Deserialize, Serialize};

use super::targets::{Facts, Labeller, Missing, Target, TargetKind, TargetValue};

/// The decision point while nothing better is known.
const HALF: f64 = 0.5;

/// What a version is asked of every trade it scores: is the label yes, or the value at least the decision point?
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// The target, with what its label needs.
    pub labeller: Labeller,
    /// A score of at least this much says yes. For a target of real values it also cuts the values into yes and no.
    pub decision_point: f64,
}

/// A score and the label that it is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Whether the score said yes.
    pub yes: bool,
    /// Whether it was yes. `None` while the trade does not tell.
    pub label: Option<bool>,
}

impl Default for Question {
    /// Does the trade make money? At one half.
    fn default() -> Self {
        Self::new(Labeller::bare(Target::Profitability), HALF)
    }
}

impl Question {
    /// At `decision_point`, or one half when that is not finite.
    pub fn new(labeller: Labeller, decision_point: f64) -> Self {
        Self { labeller, decision_point: if decision_point.is_finite() { decision_point } else { HALF } }
    }

    /// At the base rate: the mean of the labels of the training part, where yes is 1.
    pub fn at_base_rate(labeller: Labeller, labels: &[f64]) -> Self {
        Self::new(labeller, labels.iter().sum::<f64>() / labels.len() as f64)
    }

    /// What it asks about.
    pub fn target(&self) -> Target {
        self.labeller.target()
    }

    /// Whether `score` says yes.
    pub fn says_yes(&self, score: f64) -> bool {
        score >= self.decision_point
    }

    /// What a closed trade was: `None` where it does not tell.
    pub fn label(&self, facts: &Facts) -> Option<bool> {
        self.labeller.of(facts).map(|value| match value {
            TargetValue::Class(yes) => yes,
            TargetValue::Real(value) => value >= self.decision_point,
        })
    }

    /// What is missing where a closed trade does not tell.
    pub fn missing(&self, facts: &Facts) -> Option<Missing> {
        self.labeller.missing(facts)
    }

    /// The score of a trade and its label.
    pub fn answer(&self, score: f64, facts: &Facts) -> Answer {
        Answer { yes: self.says_yes(score), label: self.label(facts) }
    }

    /// Whether the score is the probability of the label.
    pub fn is_probability(&self) -> bool {
        self.target().kind() != TargetKind::Real
    }
}

impl Answer {
    /// Whether the score was right. `None` while the label is not known.
    pub fn hit(&self) -> Option<bool> {
        self.label.map(|label| label == self.yes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        features::Instrument,
        models::targets::{Pricing, Stake},
    };

    fn facts(pnl: f64) -> Facts {
        let pricing = Some(Pricing { tick_value: 12.5, stop_ticks: None });
        let stake = Stake { stop_ticks: Some(8.0), contracts: Some(1.0), pricing };
        Facts { pnl: Some(pnl), stake, reached_target: false, bars: Some(5.0) }
    }

    #[test]
    fn each_target_is_asked_for_its_own_label_at_its_own_base_rate() {
        let quality = Question::at_base_rate(Labeller::bare(Target::SignalQuality), &[1.0, 0.0, 0.0, 0.0]);
        assert_eq!(quality.decision_point, 0.25);
        // a small gain is money and no good signal
        assert_eq!(quality.answer(0.3, &facts(20.0)), Answer { yes: true, label: Some(false) });
        assert_eq!(quality.answer(0.2, &facts(20.0)).hit(), Some(true));
        assert_eq!(quality.answer(0.3, &facts(60.0)).hit(), Some(true));
        assert!(quality.is_probability());
        let profit = Question::default();
        assert_eq!(profit.answer(0.5, &facts(20.0)).hit(), Some(true));
    }

    #[test]
    fn a_label_is_priced_as_it_was_when_its_version_was_trained_whatever_is_configured_later() {
        let es = Instrument { tick: 0.25, tick_value: 12.5, stop_ticks: Some(8.0) };
        let asked = |labeller: Labeller| Question::new(labeller, 0.4);
        let (stored, older) = (Labeller::bare(Target::SignalQuality).priced(es), Labeller::bare(Target::SignalQuality));
        let now = |pricing| Facts { stake: Stake { pricing, ..Stake::default() }, ..facts(60.0) };
        // R is 100 by what was configured then; 300 later; then no stop at all
        let other = Some(Pricing { tick_value: 12.5, stop_ticks: Some(24.0) });
        let gone = Some(Pricing { tick_value: 12.5, stop_ticks: None });
        for pricing in [Some(Pricing::of(es)), other, gone, None] {
            assert_eq!(asked(stored).label(&now(pricing)), Some(true), "{pricing:?}");
        }
        assert_eq!(asked(older).label(&now(Some(Pricing::of(es)))), Some(true));
        assert_eq!((asked(older).label(&now(other)), asked(older).label(&now(gone))), (Some(false), None));
        assert_eq!(asked(older).missing(&now(gone)), Some(Missing::StopTicks));
        // what needs no stop stores no price
        assert_eq!(Labeller::bare(Target::Profitability).priced(es), Labeller::bare(Target::Profitability));
    }

    #[test]
    fn a_real_share_is_cut_where_its_scores_are() {
        // sigmoid(0.2) is .55, above the mean of the training part; sigmoid(-0.2) is .45
        let strength = Question::at_base_rate(Labeller::bare(Target::SignalStrength), &[0.4, 0.56]);
        assert!((strength.decision_point - 0.48).abs() < 1e-12);
        assert_eq!(strength.answer(0.49, &facts(20.0)).hit(), Some(true));
        assert_eq!(strength.answer(0.49, &facts(-20.0)).hit(), Some(false));
        assert!(!strength.is_probability());
    }

    #[test]
    fn what_a_trade_does_not_tell_is_neither_right_nor_wrong() {
        let no_risk = Facts { stake: Stake::default(), ..facts(20.0) };
        let quality = Question::new(Labeller::bare(Target::SignalQuality), 0.4);
        assert_eq!(quality.answer(0.3, &no_risk).hit(), None);
        assert_eq!(Question::default().answer(0.3, &no_risk).hit(), Some(false));
        assert_eq!(Question::default().answer(0.3, &Facts { pnl: None, ..no_risk }).hit(), None);
        // a class of strength without its tercile
        assert_eq!(Question::new(Labeller::bare(Target::SignalStrengthClass), 0.4).label(&facts(1.0)), None);
        assert_eq!(Question::at_base_rate(Labeller::bare(Target::Pnl), &[]).decision_point, 0.5);
    }
}
