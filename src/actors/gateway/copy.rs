//! The journal as a stream, for who may ask and may not open its file.
#![deny(clippy::indexing_slicing)]

use std::{sync::Arc, time::Duration};

use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use super::Gateway;
use crate::{
    actors::{acknowledge::retry, supervision::Place},
    clock::Stopwatch,
    domain::Timestamp,
    journal::{self, Reader, SCHEMA, StoreError},
    protocol::message::{self, WireError},
};

/// Pieces that wait for the connection.
const PIECES: usize = 2;
/// Slowest a client may take a copy, in bytes a second, and how long it may be slower than that: pages of the moment that is copied
/// are kept as long.
const SLOWEST: f64 = 262_144.0;
const GRACE: Duration = Duration::from_secs(30);

/// What a copy begins with.
#[derive(Debug, Serialize)]
struct Head {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    drill: bool,
    version: &'static str,
    schema: u64,
    created_at: Timestamp,
    last_seq: u64,
    /// In its large tables, to tell how far it is.
    entries: u64,
    /// The configuration in force.
    config: String,
}

impl Gateway {
    /// Begins a copy of the journal as it stands when it is its turn: few are made at once, and the others wait.
    pub(super) async fn copy(&self, id: Option<&RawValue>, out: &mut Vec<u8>) -> Option<mpsc::Receiver<Vec<u8>>> {
        match self.begin_copy().await {
            Ok((head, pieces)) => {
                message::write_ok(out, id, &head);
                Some(pieces)
            }
            Err(error) => {
                message::write_error(out, id, &error);
                None
            }
        }
    }

    async fn begin_copy(&self) -> Result<(Head, mpsc::Receiver<Vec<u8>>), WireError> {
        let turn = Arc::clone(&self.0.copies).acquire_owned().await;
        let turn = turn.map_err(|_| WireError::new("internal_error", "the daemon is stopping"))?;
        let reader = self.0.journal.read().await.map_err(|error| retry(&error))?;
        let (drill, config) = (self.0.drill, self.0.config.load_full());
        let begun = self.scan(move || Ok((head(&reader, drill, config.to_toml())?, reader))).await?;
        let (head, reader) = begun.map_err(|error: StoreError| WireError::new("retry", error.to_string()))?;
        let (sender, pieces) = mpsc::channel(PIECES);
        let failures = self.0.failures.clone();
        self.0.failures.spawn(Place::GatewayCopy, async move {
            let send = move || send(&reader, &sender);
            let _counted = failures.copy(Place::GatewayCopy, send).await;
            drop(turn);
        });
        Ok((head, pieces))
    }
}

fn head(reader: &Reader, drill: bool, config: String) -> Result<Head, StoreError> {
    Ok(Head {
        drill,
        version: env!("CARGO_PKG_VERSION"),
        schema: SCHEMA,
        created_at: reader.created_at()?,
        last_seq: reader.last_seq()?,
        entries: journal::transfer_entries(reader)?,
        config,
    })
}

/// Sends until all is sent, nobody takes it any more, or it is taken too slowly.
fn send(reader: &Reader, to: &mpsc::Sender<Vec<u8>>) {
    let (watch, mut bytes) = (Stopwatch::start(), 0);
    journal::send(reader, &mut |piece| {
        bytes += piece.len();
        let took = watch.elapsed();
        if is_too_slow(bytes, took) {
            tracing::warn!(bytes, ?took, "a copy of the journal was broken off: it was taken too slowly");
            return false;
        }
        to.blocking_send(piece).is_ok()
    });
}

fn is_too_slow(bytes: usize, took: Duration) -> bool {
    took > GRACE + Duration::from_secs_f64(bytes as f64 / SLOWEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_trickles_does_not_keep_a_moment_of_the_journal() {
        let took = Duration::from_secs;
        assert!(!is_too_slow(0, took(30)) && is_too_slow(0, took(31)));
        let hundred_mib = 100 << 20;
        assert!(!is_too_slow(hundred_mib, took(400)) && is_too_slow(hundred_mib, took(500)));
    }
}
