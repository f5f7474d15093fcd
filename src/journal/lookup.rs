//! The records of one trade, and which one counts.
#![deny(clippy::indexing_slicing)]

use redb::ReadableTable;

use super::{
    archive::{self, Archive},
    codec::{self, Kind},
    error::BadRecord,
    index::{self, Span},
    seal::bad,
};
use crate::domain::TradeId;

type Bytes = &'static [u8];

/// What the log holds of one trade.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// The numbers of its signals, oldest first.
    pub(super) signals: Vec<u64>,
    /// The number of its outcome, the one that counts.
    pub(super) outcome: Option<u64>,
    /// The number of its skip.
    pub(super) skip: Option<u64>,
}

/// Finds the records of a trade. One that is damaged counts as its own: the index says so.
pub(super) fn held(
    log: &impl ReadableTable<u64, Bytes>,
    archive: &Archive,
    by_trade: &impl ReadableTable<u128, ()>,
    span: Span,
    trade_id: &TradeId,
) -> Result<Held, redb::Error> {
    let mut held = Held::default();
    for (seq, kind) in index::find(by_trade, span, trade_id)? {
        if archive::get(log, archive, seq)?.is_some_and(|value| !codec::may_be_of(seq, value.value(), trade_id)) {
            continue;
        }
        match kind {
            Kind::Signal => held.signals.push(seq),
            Kind::Outcome => held.outcome = Some(seq),
            Kind::Skip => held.skip = Some(seq),
            Kind::Event => {}
        }
    }
    Ok(held)
}

/// A record of a trade that cannot be read.
pub(super) fn bad_of_trade(kind: Kind, seq: u64, trade_id: &str, what: String) -> BadRecord {
    // a trade may have many signals
    let key = if kind == Kind::Signal { format!("{trade_id} #{seq}") } else { trade_id.to_owned() };
    bad(kind.name(), key, what)
}

/// What is said of an entry of an index without its record.
pub(super) const MISSING: &str = "it is not in the log";
