//! The times in which no model might speak, and why.

use vigie_core::domain::EventKind;

/// A time in which no model might speak.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Silence {
    /// The number in the journal of what began it.
    pub(super) from: u64,
    /// And of what ended it.
    pub(super) until: Option<u64>,
    /// Whether an emergency was among its causes.
    pub(super) emergency: bool,
    /// Whether a lock was.
    pub(super) lock: bool,
}

/// Takes in the event with the number `seq`, before and after which all was silent or not.
pub(super) fn follow(silences: &mut Vec<Silence>, seq: u64, event: &EventKind, before: bool, after: bool) {
    if after && !before {
        silences.push(Silence { from: seq, until: None, emergency: false, lock: false });
    }
    let Some(silence) = silences.last_mut() else { return };
    if before && !after {
        silence.until = Some(seq);
    }
    silence.emergency |= matches!(event, EventKind::Latched { .. });
    silence.lock |= matches!(event, EventKind::Locked { .. });
}
