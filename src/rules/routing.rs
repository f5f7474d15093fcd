//! Which arm a trade belongs to: a pure function of a salt and the trade's id.
//!
//! Assignment is BLAKE2b with an 8-byte digest, keyed by the salt and read as a big-endian integer over 2^64. Anyone can
//! recompute it, for example with `hashlib.blake2b(id, digest_size=8, key=salt)` in Python.

use blake2::{
    Blake2bMac,
    digest::{KeyInit, Mac, consts::U8},
};

use crate::domain::TradeId;

/// Key of an assignment, at most 64 bytes: experiments with different salts split the same trades independently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Salt(Box<[u8]>);

impl Salt {
    /// A salt from text, cut at the 64 bytes that BLAKE2b takes as key. Empty text gives the unkeyed hash.
    pub fn new(text: &str) -> Self {
        Self(text.bytes().take(64).collect())
    }

    /// Where `trade_id` falls in [0, 1): uniform over ids, the same for ever.
    pub fn position(&self, trade_id: &TradeId) -> f64 {
        let Ok(mut mac) = Blake2bMac::<U8>::new_from_slice(&self.0) else {
            return 0.0; // cannot happen: the key is cut to the size that is allowed
        };
        mac.update(trade_id.as_str().as_bytes());
        let digest: [u8; 8] = mac.finalize().into_bytes().into();
        // the top 53 bits, so that the division is exact and the result stays below 1
        (u64::from_be_bytes(digest) >> 11) as f64 / (1u64 << 53) as f64
    }
}
