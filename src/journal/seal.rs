//! Checksums around what is stored: redb trusts its pages after a quick repair, so a damaged disk would otherwise hand over
//! a wrong digit without a word.
#![deny(clippy::indexing_slicing)]

use blake2::{Blake2b256, Digest};
use serde::{Serialize, de::DeserializeOwned};

use super::error::BadRecord;

/// The format of everything outside the log, and of the log of schemas 1 and 2 but for signals.
pub(super) const FORMAT: u8 = 1;

/// BLAKE2b with a digest of 32 bytes.
pub(super) fn checksum(body: &[u8]) -> [u8; 32] {
    Blake2b256::digest(body).into()
}

/// Fills `out` with `[format u8 = 1][CRC-32 of key and body][body]`.
pub(super) fn seal(
    out: &mut Vec<u8>,
    key: &[&[u8]],
    body: impl FnOnce(&mut Vec<u8>) -> Result<(), String>,
) -> Result<(), String> {
    out.clear();
    out.extend_from_slice(&[FORMAT, 0, 0, 0, 0]);
    body(out)?;
    let sum = crc(key, out.get(5..).unwrap_or_default()).to_le_bytes();
    if let Some(place) = out.get_mut(1..5) {
        place.copy_from_slice(&sum);
    }
    Ok(())
}

/// The body of what [`seal`] made.
pub(super) fn unseal<'a>(key: &[&[u8]], value: &'a [u8]) -> Result<&'a [u8], String> {
    check_seal(key, after_format(value)?)
}

/// What follows the checksum at the start of `sealed`, if that is right.
pub(super) fn check_seal<'a>(key: &[&[u8]], sealed: &'a [u8]) -> Result<&'a [u8], String> {
    let (sum, body) = sealed.split_first_chunk::<4>().ok_or("it ends before its checksum")?;
    if crc(key, body) == u32::from_le_bytes(*sum) { Ok(body) } else { Err("it does not match its checksum".to_owned()) }
}

/// What follows the format byte.
pub(super) fn after_format(value: &[u8]) -> Result<&[u8], String> {
    match value.split_first() {
        Some((&FORMAT, rest)) => Ok(rest),
        Some((other, _)) => Err(unknown_format(*other)),
        None => Err("it is empty".to_owned()),
    }
}

pub(super) fn unknown_format(format: u8) -> String {
    format!("format {format} is unknown, only {FORMAT} is known")
}

pub(super) fn crc(key: &[&[u8]], body: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    key.iter().for_each(|part| crc.update(part));
    crc.update(body);
    crc.sum()
}

pub(super) fn to_json(out: &mut Vec<u8>, body: &impl Serialize) -> Result<(), String> {
    serde_json::to_writer(out, body).map_err(|error| error.to_string())
}

pub(super) fn parse<T: DeserializeOwned>(json: &[u8]) -> Result<T, String> {
    serde_json::from_slice(json).map_err(|error| error.to_string())
}

pub(super) fn bad(table: &'static str, key: String, what: String) -> BadRecord {
    BadRecord { table, key, what }
}
