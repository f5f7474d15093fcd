//! From what became of a write to what is answered about it: the same for live trades and for past ones.

use super::journal::{Unavailable, Written};
use crate::{
    domain::{TradeId, VersionId},
    journal::Applied,
    protocol::message::{Ack, WireError},
};

/// The code of an answer that something else is recorded.
pub const CONFLICT: &str = "conflict";

/// The answer to a request that wrote one thing about a trade. `echoed`: the request brought its decision along, so that
/// an outcome is matched although its signal is not there.
///
/// # Errors
/// `retry` when it is not on disk, [`CONFLICT`] when something else is, `out_of_range` when it cannot be written.
pub fn acknowledgement(written: Written, trade_id: TradeId, echoed: bool) -> Result<Ack, WireError> {
    let ack = |matched, duplicate| Ack {
        trade_id: trade_id.clone(),
        durable: true,
        matched,
        duplicate,
        completed: false,
        silenced: Vec::new(),
        unknown_symbol: false,
    };
    match written.map_err(|error| retry(&error))?.pop() {
        Some(Applied::Stored { matched, .. }) => Ok(ack(matched.map(|matched| matched || echoed), false)),
        Some(Applied::Duplicate) => Ok(ack(None, true)),
        Some(Applied::Conflict { .. }) => Err(conflict(&trade_id, &[])),
        Some(Applied::Unwritable { why }) => Err(WireError::new("out_of_range", why)),
        None => Err(retry(&Unavailable::in_doubt("the answer of the journal was incomplete"))),
    }
}

/// What became of writes of which all are to be there.
///
/// # Errors
/// `retry` when they are not on disk, `out_of_range` when one cannot be written, [`CONFLICT`] when something else is there in its
/// place.
pub fn all_stored(written: Written) -> Result<Vec<Applied>, WireError> {
    let applied = written.map_err(|error| retry(&error))?;
    for one in &applied {
        match one {
            Applied::Stored { .. } | Applied::Duplicate => {}
            Applied::Unwritable { why } => return Err(WireError::new("out_of_range", why.clone())),
            Applied::Conflict { existing } => {
                let message = format!("something else is recorded in its place: {existing:?}");
                return Err(WireError::new(CONFLICT, message));
            }
        }
    }
    Ok(applied)
}

/// The answer to an outcome or a skip that contradicts what is recorded, and that took `silenced` out of service.
pub fn conflict(trade_id: &TradeId, silenced: &[VersionId]) -> WireError {
    let gone = words(silenced);
    let message = format!(
        "{trade_id}: something else is recorded for this trade, and stays; compare with the broker and correct the trader{gone}"
    );
    WireError { field: Some("trade_id".to_owned()), ..WireError::new(CONFLICT, message) }
}

/// What the end of a sentence says of versions that were taken out of service.
pub fn words(silenced: &[VersionId]) -> String {
    let names: Vec<String> = silenced.iter().map(ToString::to_string).collect();
    if names.is_empty() { String::new() } else { format!("; it took {} out of service", names.join(", ")) }
}

/// What is answered when the journal cannot be written now.
pub fn retry(error: &Unavailable) -> WireError {
    let recorded = if error.in_doubt { "whether it is recorded is not known" } else { "it is not recorded" };
    WireError::new("retry", format!("{error}; {recorded}, send it again"))
}
