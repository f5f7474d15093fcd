//! Trades that are known already: what an import of them says more, or says otherwise.

use super::doubt::Doubt;
use crate::{
    domain::{Timestamp, trip::Unevaluable},
    guard::plausibility::{Bounds, check},
    journal::{Applied, Existing, Write},
};

/// What a past trade is whose outcome is told already.
pub(super) enum Again {
    /// None of these, or the same as is stored.
    No,
    /// It says what was missing: to be written are the whole outcome, and the signal, if that is not there.
    Completes(Vec<Write>),
    /// The outcome of this trade cannot be known any more.
    Contradicts(Doubt),
}

impl Again {
    pub(super) fn writes(&self) -> &[Write] {
        if let Self::Completes(writes) = self { writes } else { &[] }
    }
}

/// By the rules of a daemon.
pub(super) fn again(write: &Write, applied: &Applied, fired: Timestamp, now: Timestamp, bounds: &Bounds) -> Again {
    let (Write::Trade(trade), Applied::Conflict { existing }) = (write, applied) else { return Again::No };
    let (signal, told) = (&trade.0, &trade.1.outcome);
    let contradicts = |blank| Again::Contradicts(Doubt { trade_id: signal.trade_id.clone(), blank, closed: None });
    let stored = match &**existing {
        Existing::Outcome(stored) => stored,
        // under another signal
        Existing::Trade(Some(stored)) if stored.record.outcome.says_all_of(told) => return Again::No,
        Existing::Trade(_) => return contradicts(Unevaluable::Contradicted),
        _ => return Again::No,
    };
    let Some(whole) = stored.record.completed_by(told, None, now) else {
        return contradicts(Unevaluable::Contradicted);
    };
    match check(&whole.outcome, Some(fired), now, bounds) {
        Ok(()) => Again::Completes(vec![Write::Completion(Box::new(whole)), Write::Signal(signal.clone())]),
        Err(incredible) => contradicts(incredible.blank()),
    }
}
