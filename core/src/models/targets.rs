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
/// Share of closed trades that may lack a label. Which ones do may hang on how they ended.
pub const MOST_UNLABELLED: f64 = 0.05;
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
    /// What a tick was worth and how far the instrument's stop was when the version was trained, where the label needs that. Records
    /// of older formats have none, and go by the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pricing: Option<Pricing>,
}

/// What ticks are turned into money by.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pricing {
    /// What one tick of one contract is worth, above 0, in account currency.
    pub tick_value: f64,
    /// How far the stop of a trade is whose signal does not say it, in ticks.
    pub stop_ticks: Option<f64>,
}

/// What a trade stakes: what its signal says, and what the configuration adds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Stake {
    /// How far the stop is, in ticks, as the signal says.
    pub stop_ticks: Option<f64>,
    /// Contracts, as the signal says.
    pub contracts: Option<f64>,
    /// By the configuration of now. `None` where the symbol has no table.
    pub pricing: Option<Pricing>,
}

/// Why a closed trade has no label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// What the trade made.
    Pnl,
    /// How far its stop was.
    StopTicks,
    /// How many contracts it was for.
    Contracts,
    /// Bars to the best price.
    MfeBars,
    /// The tercile of the training part, which a record of an older format does not hold.
    Tercile,
}

/// What labels are made of: what is known of a closed trade and of its signal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Profit or loss after costs, at the strategy's own size, in account currency.
    pub pnl: Option<f64>,
    /// What R follows from.
    #[serde(default)]
    pub stake: Stake,
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

    /// Whether its label hangs on what the trade risked.
    fn needs_risk(self) -> bool {
        matches!(self, Self::SignalQuality | Self::SignalStrength)
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
        Self { target, tercile, pricing: None }
    }

    /// The same, which turns ticks into money as `instrument` does, whatever is configured later.
    #[must_use]
    pub fn priced(self, instrument: Instrument) -> Self {
        Self { pricing: self.target.needs_risk().then(|| Pricing::of(instrument)), ..self }
    }

    /// What its labels turn ticks into money by. `None` where they do not need it, or go by the configuration.
    pub fn pricing(&self) -> Option<Pricing> {
        self.pricing
    }

    /// Of a target that needs to know nothing of the training part; a class of strength has no value then.
    pub fn bare(target: Target) -> Self {
        Self { target, tercile: None, pricing: None }
    }

    /// The target.
    pub fn target(&self) -> Target {
        self.target
    }

    /// The value of one closed trade, of which `outcome` tells the pnl at the strategy's own size. `None` where an input is
    /// missing or cannot be: the row is not usable.
    pub fn value(&self, signal: &Signal, outcome: &Outcome, instrument: Instrument) -> Option<TargetValue> {
        self.of(&Facts::of_trade(signal, outcome, instrument))
    }

    /// The same from what is known of the trade.
    pub fn of(&self, facts: &Facts) -> Option<TargetValue> {
        let Facts { pnl, stake, reached_target, bars } = *facts;
        let risk = stake.risk(self.pricing);
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
        self.missing(&Facts::of_trade(signal, outcome, instrument)).map(Missing::field)
    }

    /// What is missing, or cannot be, where a closed trade has no value.
    pub fn missing(&self, facts: &Facts) -> Option<Missing> {
        if self.of(facts).is_some() {
            return None;
        }
        Some(match self.target {
            Target::ExitTiming => Missing::MfeBars,
            _ if facts.pnl.is_none() => Missing::Pnl,
            target if target.needs_risk() => facts.stake.lacks(),
            Target::SignalStrengthClass if self.tercile.is_none() => Missing::Tercile,
            _ => Missing::Pnl,
        })
    }
}

impl Missing {
    /// The field of the trader's messages, or what else is missing.
    pub fn field(self) -> &'static str {
        match self {
            Self::Pnl => "outcome_metrics.pnl",
            Self::StopTicks => "execution_context.risk_parameters.stop_ticks",
            Self::Contracts => "execution_context.risk_parameters.contracts",
            Self::MfeBars => "outcome_metrics.mfe_bars",
            Self::Tercile => "the tercile of its training part, which its record does not hold",
        }
    }
}

impl Pricing {
    /// Of an instrument as it is configured.
    pub fn of(instrument: Instrument) -> Self {
        Self { tick_value: instrument.tick_value, stop_ticks: instrument.stop_ticks }
    }
}

impl Stake {
    /// Of a signal, where `instrument` is what it trades.
    pub fn of(signal: &Signal, instrument: Option<Instrument>) -> Self {
        let pricing = instrument.map(Pricing::of);
        match &signal.inputs {
            Inputs::Snapshot(snapshot) => {
                let parameters = &snapshot.execution_context.risk_parameters;
                Self { stop_ticks: parameters.stop_ticks, contracts: parameters.contracts, pricing }
            }
            Inputs::Features(_) => Self { stop_ticks: None, contracts: None, pricing },
        }
    }

    /// R: what the trade loses where its stop is hit, in account currency, above 0, by `pricing` or else by that of the
    /// configuration. Where the signal does not say how far its stop is, it is the instrument's, of one contract if the signal does
    /// not say how many. `None` where neither says, and for a stop or a number of contracts that cannot be.
    pub fn risk(&self, pricing: Option<Pricing>) -> Option<f64> {
        let Pricing { tick_value, stop_ticks } = pricing.or(self.pricing)?;
        let one = stop_ticks.map(|_| 1.0);
        let (stop, contracts) = (self.stop_ticks.or(stop_ticks)?, self.contracts.or(one)?);
        let risk = stop * tick_value * contracts;
        (stop > 0.0 && risk > 0.0 && risk.is_finite()).then_some(risk)
    }

    /// What a signal whose risk is not known would have to say.
    fn lacks(&self) -> Missing {
        if self.stop_ticks.is_some_and(|stop| stop > 0.0) { Missing::Contracts } else { Missing::StopTicks }
    }
}

impl Facts {
    /// Of a closed trade that made `pnl` at the strategy's own size, and staked `stake`.
    pub fn of(outcome: &Outcome, pnl: Option<f64>, stake: Stake) -> Self {
        Self { pnl, stake, reached_target: &*outcome.exit_reason == REACHED_TARGET, bars: outcome.mfe_bars }
    }

    /// Of a closed trade of `instrument`, of which `outcome` tells the pnl at the strategy's own size.
    fn of_trade(signal: &Signal, outcome: &Outcome, instrument: Instrument) -> Self {
        Self::of(outcome, outcome.pnl.map(|pnl| pnl.get()), Stake::of(signal, Some(instrument)))
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
