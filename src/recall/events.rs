//! The events of a journal, and what one means that cannot be read.
//!
//! It may have been the one that silenced a model. So whoever asks where versions stand and what may speak finds a lock in its place.
//! Whoever adds up evidence, of which a piece would be missing, is told that it cannot be read. Lists for people name it and go on.
#![deny(clippy::indexing_slicing)]

use crate::{
    domain::{Event, EventKind, Timestamp, event::By},
    journal::{BadRecord, Reader, StoreError, StoredEvent},
};

/// What stands in the place of a record that cannot be read, `at` the time of what was before it: `None` of one that was no event.
pub fn in_place_of(bad: &BadRecord, at: Timestamp) -> Option<Event> {
    let by = By::Daemon("guardian".into());
    let kind = || EventKind::Locked { reason: format!("the event log is damaged: {bad}"), by, until: None };
    bad.may_be_event().then(|| Event { at, kind: kind() })
}

/// All events with their numbers, in their order, for whoever asks what is in force. In the place of one that cannot be read stands a
/// lock, with the number of what was before it.
///
/// # Errors
/// When the storage cannot be read.
pub fn in_force(reader: &Reader) -> Result<impl Iterator<Item = Result<StoredEvent, StoreError>>, StoreError> {
    let (mut seq, mut at) = (0, Timestamp::UNIX_EPOCH);
    Ok(reader.events(0)?.filter_map(move |stored| match stored {
        Ok(stored) => {
            (seq, at) = (stored.seq, stored.event.at);
            Some(Ok(stored))
        }
        Err(StoreError::BadRecord(bad)) => in_place_of(&bad, at).map(|event| Ok(StoredEvent { seq, event })),
        Err(error) => Some(Err(error)),
    }))
}

/// All events, for whoever adds up what they say.
///
/// # Errors
/// When the storage or one of them cannot be read.
pub fn whole(reader: &Reader) -> Result<impl Iterator<Item = Result<Event, StoreError>>, StoreError> {
    Ok(reader.events(0)?.map(|stored| stored.map(|stored| stored.event)))
}
