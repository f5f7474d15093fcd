//! What the log came to up to some number, kept in the journal beside it, so that a start need not read what stands before.
//!
//! A checkpoint is a cache: what it says can be found again from the log, and without it everything is as it was, but slower.
//! One that was made by other values of what the fold reads or by another version of the fold is passed over, and so is one that
//! is damaged; the one before it is kept until the next is whole.
#![deny(clippy::indexing_slicing)]

use std::io;

use blake2::{Blake2b, Digest, digest::consts::U32};
use serde::{Deserialize, Serialize};

use super::fold::{Begun, Folded, READS, Slot};
use crate::{
    config::Config,
    journal::{Reader, StoreError, Write},
    state::step::{BadImage, State},
};

/// The number of the fold. Whoever changes what happenings come to, [`State::step`](crate::state::step::State::step) or
/// anything behind it, raises it: then no checkpoint of before is gone on from.
pub const FOLD: u32 = 7;
/// Bytes of a part: a commit of one holds nobody up for long.
const PART: usize = 1 << 20;

/// What stands under the name of a slot; the parts of the state stand under the names behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    fold: u32,
    /// [`Config::hash_of`] what the fold reads.
    config: String,
    seq: u64,
    bytes: u64,
    /// BLAKE2b-32 of the state.
    digest: [u8; 32],
}

/// BLAKE2b-32 of the state as it is stored.
///
/// # Errors
/// In words, when it cannot be written.
pub fn digest_of(state: &State) -> Result<[u8; 32], String> {
    let Hashed(hash) = state.write(Hashed(Blake2b::new())).map_err(|error| error.to_string())?;
    Ok(hash.finalize().into())
}

struct Hashed(Blake2b<U32>);

impl io::Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// BLAKE2b-32.
pub fn digest(bytes: &[u8]) -> [u8; 32] {
    Blake2b::<U32>::digest(bytes).into()
}

/// What everything that happened comes to: from the newest checkpoint that fits, or else from the beginning.
///
/// # Errors
/// When the storage cannot be read.
pub fn state(reader: &Reader, config: &Config) -> Result<Folded, String> {
    let last = reader.last_seq().map_err(|error| error.to_string())?;
    let mut folded = begin(reader, config)?;
    folded.go_on(reader, config, last)?;
    Ok(folded)
}

/// What can be gone on from: the newest checkpoint that fits, or nothing yet.
///
/// # Errors
/// When the storage cannot be read.
pub fn begin(reader: &Reader, config: &Config) -> Result<Folded, String> {
    newest(reader, config)?.map_or_else(|| Folded::empty(config), Ok)
}

/// The newest checkpoint that fits.
///
/// # Errors
/// When the storage cannot be read.
pub fn newest(reader: &Reader, config: &Config) -> Result<Option<Folded>, String> {
    newest_to(reader, config, reader.last_seq().map_err(|error| error.to_string())?)
}

/// The newest checkpoint that fits and goes no further than number `last`.
///
/// # Errors
/// When the storage cannot be read.
pub fn newest_to(reader: &Reader, config: &Config, last: u64) -> Result<Option<Folded>, String> {
    let (mut heads, by) = (Vec::new(), config.hash_of(&READS));
    for slot in Slot::ALL {
        let Some(head) = head(reader, slot)? else { continue };
        if head.fold == FOLD && head.config == by && head.seq <= last {
            heads.push((slot, head));
        }
    }
    heads.sort_by_key(|(_, head)| std::cmp::Reverse(head.seq));
    for (slot, head) in heads {
        match read(reader, config, slot, &head)? {
            Ok(folded) => return Ok(Some(folded)),
            Err(why) => {
                let number = head.seq;
                tracing::warn!(number, why, "a checkpoint cannot be used; its content is read from the log");
            }
        }
    }
    Ok(None)
}

/// What is to be written, batch by batch, so that `slot` holds `folded`. The last batch makes it whole. Each batch is made when it
/// is asked for.
///
/// # Errors
/// In words, when the state cannot be written, or not so that it is read back the same.
pub fn writes(folded: &Folded, config: &Config, slot: Slot) -> Result<Batches, String> {
    let text = |error: BadImage| error.to_string();
    let bytes = folded.state.to_bytes().map_err(text)?;
    let read_back = Folded::empty(config)?.state.restored(&bytes).map_err(text)?;
    if !read_back.write(Same(&bytes)).is_ok_and(|Same(rest)| rest.is_empty()) {
        return Err("the state would be read back different".to_owned());
    }
    let (by, length) = (config.hash_of(&READS), bytes.len() as u64);
    let head = Head { fold: FOLD, config: by, seq: folded.seq, bytes: length, digest: digest(&bytes) };
    let head = postcard::to_stdvec(&head).map_err(|error| error.to_string())?;
    Ok(Batches { slot, bytes, head: Some(head), next: 0 })
}

/// What is to be written of a checkpoint.
#[derive(Debug)]
pub struct Batches {
    slot: Slot,
    /// The state.
    bytes: Vec<u8>,
    /// `None` when it has been given out.
    head: Option<Vec<u8>>,
    next: usize,
}

impl Iterator for Batches {
    type Item = Vec<Write>;

    fn next(&mut self) -> Option<Vec<Write>> {
        let number = self.next;
        self.next += 1;
        if number == 0 {
            return Some(forget(self.slot));
        }
        match self.bytes.chunks(PART).nth(number - 1) {
            Some(part) => Some(vec![Write::Checkpoint { name: self.slot.part(number - 1), bytes: part.to_vec() }]),
            None => Some(vec![named(self.slot, self.head.take()?)]),
        }
    }
}

/// Takes what these bytes hold next, and nothing else.
struct Same<'a>(&'a [u8]);

impl io::Write for Same<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.strip_prefix(bytes).ok_or(io::ErrorKind::InvalidData)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is to be written so that nobody goes on from `slot`.
pub fn forget(slot: Slot) -> Vec<Write> {
    vec![named(slot, Vec::new())]
}

fn named(slot: Slot, bytes: Vec<u8>) -> Write {
    Write::Checkpoint { name: slot.name().to_owned(), bytes }
}

fn head(reader: &Reader, slot: Slot) -> Result<Option<Head>, String> {
    match reader.checkpoint(slot.name()) {
        Ok(bytes) => Ok(bytes.and_then(|bytes| postcard::from_bytes(&bytes).ok())),
        Err(StoreError::BadRecord(_)) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// Reads a checkpoint; the inner error says in words why it cannot be gone on from.
fn read(reader: &Reader, config: &Config, slot: Slot, head: &Head) -> Result<Result<Folded, String>, String> {
    let length = usize::try_from(head.bytes).unwrap_or(usize::MAX);
    let mut bytes = Vec::new();
    for number in 0..length.div_ceil(PART) {
        match reader.checkpoint(&slot.part(number)) {
            Ok(Some(part)) => bytes.extend_from_slice(&part),
            Ok(None) => return Ok(Err(format!("its part {number} is not there"))),
            Err(StoreError::BadRecord(bad)) => return Ok(Err(bad.to_string())),
            Err(error) => return Err(error.to_string()),
        }
    }
    if digest(&bytes) != head.digest {
        return Ok(Err("its digest is not that of its state".to_owned()));
    }
    let mut folded = Folded::empty(config)?;
    match folded.state.restored(&bytes) {
        Ok(state) => {
            (folded.state, folded.seq) = (state, head.seq);
            folded.begun = Some(Begun { seq: head.seq, digest: head.digest, slot });
            Ok(Ok(folded))
        }
        Err(error) => Ok(Err(error.to_string())),
    }
}
