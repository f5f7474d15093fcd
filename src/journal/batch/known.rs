//! What is in the journal already under the name of what is to be written, in the log or archived.
#![deny(clippy::indexing_slicing)]

use super::{
    super::{
        archive,
        codec::{self, Kind},
        lookup::{Held, MISSING, bad_of_trade},
        record::{Existing, OutcomeRecord, StoredOutcome},
    },
    Batch,
};
use crate::domain::{Signal, TradeId};

/// How a write stands to what is in the journal under its name.
pub(super) enum Known {
    No,
    Same,
    Other(Box<Existing>),
}

impl Batch<'_> {
    /// A live signal may have come more than once and differ in a digit; an imported one is a repeat of any of them.
    pub(super) fn known_signal(&self, held: &Held, signal: &Signal) -> Result<Known, redb::Error> {
        let mut latest = None;
        for seq in held.signals.iter().rev().copied() {
            let decode = |value: &[u8]| codec::decode_signal(seq, value, self.dictionaries);
            let found = archive::get(&self.log, self.archive, seq)?;
            let stored = found.map_or(Err(MISSING.to_owned()), |value| decode(value.value()));
            let existing = match stored {
                // a signal that only took the trade's name
                Ok(stored) if stored.record.took_a_name() => continue,
                Ok(stored) if stored.signal == *signal => return Ok(Known::Same),
                Ok(stored) => Existing::Signal(stored),
                Err(what) => Existing::Unreadable(bad_of_trade(Kind::Signal, seq, signal.trade_id.as_str(), what)),
            };
            latest.get_or_insert(existing);
        }
        Ok(latest.map_or(Known::No, |existing| Known::Other(Box::new(existing))))
    }

    pub(super) fn known_outcome(&self, held: &Held, record: &OutcomeRecord) -> Result<Known, redb::Error> {
        Ok(match self.outcome_of(held, &record.trade_id)? {
            // what is damaged may be told again
            None | Some(Existing::Unreadable(_)) => Known::No,
            Some(Existing::Outcome(StoredOutcome { record: stored, .. })) if stored.outcome == record.outcome => {
                Known::Same
            }
            Some(existing) => Known::Other(Box::new(existing)),
        })
    }

    pub(super) fn outcome_of(&self, held: &Held, trade_id: &TradeId) -> Result<Option<Existing>, redb::Error> {
        let Some(seq) = held.outcome else { return Ok(None) };
        let found = archive::get(&self.log, self.archive, seq)?;
        let stored = found.map_or(Err(MISSING.to_owned()), |value| codec::decode_outcome(seq, value.value()));
        let bad = |what| Existing::Unreadable(bad_of_trade(Kind::Outcome, seq, trade_id.as_str(), what));
        Ok(Some(stored.map_or_else(bad, Existing::Outcome)))
    }
}
