//! What a damaged record was, as far as others can tell.
#![deny(clippy::indexing_slicing)]

use super::{
    codec::{self, Kind},
    error::BadRecord,
    index,
    lookup::bad_of_trade,
    reader::Reader,
    seal,
};

/// What a damaged record is of that no index knows.
pub(super) const UNKNOWN: &str = "log";

impl Reader {
    /// Finds out what a damaged record was: the indexes know its kind, and other records of its trade the name.
    pub(super) fn name(&self, seq: u64, value: &[u8], what: String) -> Result<BadRecord, redb::Error> {
        let number = format!("#{seq}");
        if self.event_numbers.get(seq)?.is_some() {
            return Ok(seal::bad(Kind::Event.name(), number, what));
        }
        let Some(known) = index::known(&self.by_trade, self.span, seq)? else {
            return Ok(seal::bad(UNKNOWN, number, what));
        };
        if let Some(trade_id) = codec::trade_of(value).filter(|trade_id| known.is_of(trade_id)) {
            return Ok(bad_of_trade(known.kind, seq, trade_id, what));
        }
        for (sibling, _) in known.siblings(&self.by_trade, self.span)? {
            if let Some(value) = self.get_record(sibling)?
                && let Some(trade_id) = codec::trade_of(value.value()).filter(|trade_id| known.is_of(trade_id))
            {
                return Ok(bad_of_trade(known.kind, seq, trade_id, what));
            }
        }
        Ok(seal::bad(known.kind.name(), number, what))
    }
}
