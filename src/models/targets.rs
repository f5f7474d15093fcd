//! What a model may predict, and what a closed trade says about it.
//!
//! A trade that lacks an input of a target has no value for it: the row is left out, never filled.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    domain::{Inputs, Outcome, Signal},
    features::Instrument,
    stats::{describe::quantile, logit::sigmoid},
};

/// Share of what a trade risks that it must make to count as a good signal.
const GOOD_SHARE: f64 = 0.5;
/// The `exit_reason` of a trade that reached its target.
const REACHED_TARGET: &str = "take_profit";

/// What a model predicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Yes: the trade reached its target, or made half of what it risked, after costs. A trade of which the risk or the pnl is
    /// not known has no label, however it ended: else the outcome would select which trades are learnt from.
    SignalQuality,
    /// Yes: the trade made money after costs.
    Profitability,
    /// Yes: the pnl is at or above the upper tercile of the training part.
    SignalStrengthClass,
    /// sigmoid(pnl / R), 0 to 1; judged by its correlation with the pnl.
    SignalStrength,
    /// The pnl after costs, in account currency.
    Pnl,
    /// The calibrated probability that the trade makes money: learnt from the labels of `Profitability`.
    ConfidenceScore,
    /// Bars from the entry to the best price, at least 0.
    ExitTiming,
}

/// What a target's values look like, and so which models can learn them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetKind {
    /// Yes or no.
    Class,
    /// Yes or no, and the model must end in a [`super::Calibration`].
    CalibratedClass,
    /// A real number.
    Real,
}

/// The value of one trade.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TargetValue {
    /// Yes or no.
    Class(bool),
    /// A finite number.
    Real(f64),
}

/// A target with what it needs to know of the training part.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Labeller {
    target: Target,
    /// Upper tercile of the training part's pnl, for `SignalStrengthClass`.
    #[serde(default)]
    tercile: Option<f64>,
}

/// What labels are made of: what is known of a closed trade and of its signal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Profit or loss after costs, at the strategy's own size, in account currency.
    pub pnl: Option<f64>,
    /// R: what the trade risked, see [`risk`].
    pub risk: Option<f64>,
    /// Whether it was closed at its target.
    pub reached_target: bool,
    /// Bars from the entry to the best price.
    pub bars: Option<f64>,
}

impl Target {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::SignalQuality,
        Self::Profitability,
        Self::SignalStrengthClass,
        Self::SignalStrength,
        Self::Pnl,
        Self::ConfidenceScore,
        Self::ExitTiming,
    ];

    /// The target of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|target| target.name() == name)
    }

    /// What its values look like.
    pub fn kind(self) -> TargetKind {
        match self {
            Self::SignalQuality | Self::Profitability | Self::SignalStrengthClass => TargetKind::Class,
            Self::ConfidenceScore => TargetKind::CalibratedClass,
            Self::SignalStrength | Self::Pnl | Self::ExitTiming => TargetKind::Real,
        }
    }

    /// Whether its values are yes and no, or shares of 0 to 1: scores of others cannot be blended with a confidence, so a version of
    /// them never speaks.
    pub fn can_speak(self) -> bool {
        !matches!(self, Self::Pnl | Self::ExitTiming)
    }

    /// Its name, as it is configured and stored.
    pub fn name(self) -> &'static str {
        match self {
            Self::SignalQuality => "signal_quality",
            Self::Profitability => "profitability",
            Self::SignalStrengthClass => "signal_strength_class",
            Self::SignalStrength => "signal_strength",
            Self::Pnl => "pnl",
            Self::ConfidenceScore => "confidence_score",
            Self::ExitTiming => "exit_timing",
        }
    }
}

impl Labeller {
    /// Learns from the pnl (account currency) of the training part, and of nothing else, what the target needs to know.
    /// A signal of strength has no value where the training part is empty.
    pub fn fit(target: Target, training_pnl: &[f64]) -> Self {
        let tercile = (target == Target::SignalStrengthClass).then(|| quantile(training_pnl, 2.0 / 3.0)).flatten();
        Self { target, tercile }
    }

    /// Of a target that needs to know nothing of the training part; a class of strength has no value then.
    pub fn bare(target: Target) -> Self {
        Self { target, tercile: None }
    }

    /// The target.
    pub fn target(&self) -> Target {
        self.target
    }

    /// The value of one closed trade, of which `outcome` tells the pnl at the strategy's own size. `None` where an input is
    /// missing or cannot be: the row is not usable.
    pub fn value(&self, signal: &Signal, outcome: &Outcome, instrument: Instrument) -> Option<TargetValue> {
        let pnl = outcome.pnl.map(|pnl| pnl.get());
        self.of(&Facts::of(outcome, pnl, risk(signal, instrument)))
    }

    /// The same from what is known of the trade.
    pub fn of(&self, facts: &Facts) -> Option<TargetValue> {
        let Facts { pnl, risk, reached_target, bars } = *facts;
        let class = |yes| Some(TargetValue::Class(yes));
        match self.target {
            Target::SignalQuality => {
                let (pnl, risk) = pnl.zip(risk)?;
                class(reached_target || pnl >= GOOD_SHARE * risk)
            }
            Target::Profitability | Target::ConfidenceScore => class(pnl? > 0.0),
            Target::SignalStrengthClass => class(pnl? >= self.tercile?),
            Target::SignalStrength => real(sigmoid(pnl? / risk?)),
            Target::Pnl => real(pnl?),
            Target::ExitTiming => real(bars.filter(|bars| *bars >= 0.0)?),
        }
    }

    /// The field whose value is missing, or cannot be, where a closed trade has no value.
    pub fn lacks(&self, signal: &Signal, outcome: &Outcome, instrument: Instrument) -> Option<&'static str> {
        if self.value(signal, outcome, instrument).is_some() {
            return None;
        }
        Some(match self.target {
            Target::ExitTiming => "outcome_metrics.mfe_bars",
            Target::SignalQuality | Target::SignalStrength if outcome.pnl.is_some() => risk_lacks(signal),
            _ => "outcome_metrics.pnl",
        })
    }
}

impl Facts {
    /// Of a closed trade that made `pnl` at the strategy's own size, and that risked `risk`.
    pub fn of(outcome: &Outcome, pnl: Option<f64>, risk: Option<f64>) -> Self {
        Self { pnl, risk, reached_target: &*outcome.exit_reason == REACHED_TARGET, bars: outcome.mfe_bars }
    }
}

/// R: what the trade loses where its stop is hit, in account currency, above 0. Where the signal does not say how far its
/// stop is, it is the instrument's, of one contract if the signal does not say how many. `None` where neither says, and for a
/// stop or a number of contracts that cannot be.
pub fn risk(signal: &Signal, instrument: Instrument) -> Option<f64> {
    let (stop, contracts) = match &signal.inputs {
        Inputs::Snapshot(snapshot) => {
            let parameters = &snapshot.execution_context.risk_parameters;
            (parameters.stop_ticks, parameters.contracts)
        }
        Inputs::Features(_) => (None, None),
    };
    let one = instrument.stop_ticks.map(|_| 1.0);
    let (stop, contracts) = (stop.or(instrument.stop_ticks)?, contracts.or(one)?);
    let risk = stop * instrument.tick_value * contracts;
    (stop > 0.0 && risk > 0.0 && risk.is_finite()).then_some(risk)
}

/// What a signal whose risk is not known would have to say.
fn risk_lacks(signal: &Signal) -> &'static str {
    match &signal.inputs {
        Inputs::Snapshot(snapshot)
            if snapshot.execution_context.risk_parameters.stop_ticks.is_some_and(|stop| stop > 0.0) =>
        {
            "execution_context.risk_parameters.contracts"
        }
        _ => "execution_context.risk_parameters.stop_ticks",
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn real(value: f64) -> Option<TargetValue> {
    value.is_finite().then_some(TargetValue::Real(value))
}
