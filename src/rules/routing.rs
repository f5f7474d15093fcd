//! Which arm a trade belongs to: a pure function of a salt and the trade's id.
//!
//! Assignment is BLAKE2b with an 8-byte digest, keyed by the salt and read as a big-endian integer over 2^64. Anyone can
//! recompute it, for example with `hashlib.blake2b(id, digest_size=8, key=salt)` in Python.

use blake2::{
    Blake2bMac,
    digest::{Mac, consts::U8},
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
        // `new_from_slice` would hash a block of zeros for an empty key, which is not the unkeyed hash
        let key = (!self.0.is_empty()).then_some(&*self.0);
        let Ok(mut mac) = Blake2bMac::<U8>::new_with_salt_and_personal(key, &[], &[]) else {
            return 0.0; // cannot happen: the key is cut to the size that is allowed
        };
        mac.update(trade_id.as_str().as_bytes());
        let digest: [u8; 8] = mac.finalize().into_bytes().into();
        // the top 53 bits, so that the division is exact and the result stays below 1
        (u64::from_be_bytes(digest) >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_those_that_hashlib_gives() {
        let golden: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/fixtures/golden/assignment.json")).unwrap();
        let cases = golden["cases"].as_array().unwrap();
        assert!(cases.len() >= 40);
        for case in cases {
            let text = |key: &str| case[key].as_str().unwrap();
            let position = Salt::new(text("salt")).position(&TradeId::new(text("trade_id")).unwrap());
            assert_eq!(position, case["position"].as_f64().unwrap(), "{case}");
        }
    }
}
