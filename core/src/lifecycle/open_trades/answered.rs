//! A signal as it was answered, and what a closed trade of it tells.
#![deny(clippy::indexing_slicing)]

use serde::{Deserialize, Serialize};

use crate::{
    domain::{
        Arm, Decision, Inputs, Opinion, Outcome, Probability, Reason, Side, Signal, Split, Symbol, Timestamp, TradeId,
        TradingCalendar, TradingDay, VersionId, decision::at_own_size,
    },
    features::Instrument,
    models::{Facts, Stake},
    policy::answer::Policy,
};

/// A signal as it was answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AnsweredSignal {
    /// The trader's name for it.
    pub trade_id: TradeId,
    /// When it fired. Of one that is known by its echo only, when it was closed.
    pub at: Timestamp,
    /// The trading day of that.
    pub day: TradingDay,
    /// What it would trade; `None` of an echo that names no version.
    pub symbol: Option<Symbol>,
    /// Which way; `None` of an echo.
    pub side: Option<Side>,
    /// The strategy's own confidence; `None` also of an echo.
    pub confidence: Option<Probability>,
    /// What the trader was told.
    pub decision: Decision,
    /// The size that was traded, where it is that of another answer to the same signal.
    pub traded: Option<f64>,
    /// What every version in service was to it and made of it.
    pub opinions: Vec<Opinion>,
    /// Largest loss of the trading day that the trader wants, account currency, where the signal says so.
    pub daily_loss_limit: Option<f64>,
    /// What the trade stakes at the strategy's own size; nothing is known of it by an echo.
    pub stake: Stake,
    /// Whether only the echo of its outcome is known, and not the signal.
    pub by_echo: bool,
}

impl AnsweredSignal {
    /// Of a signal that was scored. `instrument` is what it trades; without it the risk is not known.
    pub fn of_signal(
        signal: &Signal,
        calendar: &TradingCalendar,
        instrument: Option<&Instrument>,
        decision: Decision,
        opinions: Vec<Opinion>,
    ) -> Self {
        let daily_loss_limit = match &signal.inputs {
            Inputs::Snapshot(snapshot) => snapshot.execution_context.risk_parameters.daily_loss_limit,
            Inputs::Features(_) => None,
        };
        Self {
            trade_id: signal.trade_id.clone(),
            at: signal.at,
            day: calendar.day_of(signal.at),
            symbol: Some(signal.symbol.clone()),
            side: Some(signal.side),
            confidence: signal.confidence,
            decision,
            traded: None,
            opinions,
            daily_loss_limit,
            stake: Stake::of(signal, instrument.copied()),
            by_echo: false,
        }
    }

    /// Of a trade that is known by the decision that its outcome echoes. What was not part of that decision, such as the
    /// scores of versions that watched, is lost; the chances of its arms are those of now.
    pub fn of_echo(decision: &Decision, exit_at: Timestamp, calendar: &TradingCalendar, policy: &Policy) -> Self {
        let share = match decision.reason {
            Reason::AbTest => Some(policy.ab_share),
            Reason::Production | Reason::Holdback => Some(1.0 - policy.holdback),
            _ => None,
        };
        let heard = decision.arm == Arm::Ml;
        let opinion = |(version, share): (&VersionId, f64)| Opinion {
            version: version.clone(),
            split: Some(Split { arm: decision.arm, share }),
            score: heard.then_some(decision.score),
            size: decision.size,
        };
        Self {
            trade_id: decision.trade_id.clone(),
            at: exit_at,
            day: calendar.day_of(exit_at),
            symbol: decision.model.as_ref().map(|version| version.symbol.clone()),
            side: None,
            confidence: None,
            decision: decision.clone(),
            traded: None,
            opinions: decision.model.as_ref().zip(share).map(opinion).into_iter().collect(),
            daily_loss_limit: None,
            stake: Stake::default(),
            by_echo: true,
        }
    }

    /// The version whose word the trader was given, if one had it.
    pub fn speaker(&self) -> Option<&VersionId> {
        self.decision.model.as_ref().filter(|_| self.decision.arm == Arm::Ml)
    }

    /// What `version` made of it.
    pub fn opinion(&self, version: &VersionId) -> Option<&Opinion> {
        self.opinions.iter().find(|opinion| opinion.version == *version)
    }

    /// What `outcome` and the signal tell of the trade, at the strategy's own size.
    pub fn facts(&self, outcome: &Outcome) -> Facts {
        let pnl = outcome.pnl.and_then(|pnl| self.at_own_size(pnl.get()));
        Facts::of(outcome, pnl, self.stake)
    }

    /// The multiple of the strategy's own size that was traded, as far as is known.
    pub fn size(&self) -> f64 {
        self.traded.unwrap_or(self.decision.size)
    }

    /// [`at_own_size`], at the size that was traded.
    pub fn at_own_size(&self, pnl: f64) -> Option<f64> {
        at_own_size(pnl, self.size())
    }

    /// The trade was made on `answer`, whichever this one is; see [`traded_on`](crate::domain::decision::traded_on).
    pub fn trade_on(&mut self, answer: &Decision) {
        self.traded = (answer.size != self.decision.size).then_some(answer.size);
    }
}
