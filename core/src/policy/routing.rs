//! Which arm a trade belongs to: a pure function of a salt and the trade's id.
//!
//! Assignment is BLAKE2b with an 8-byte digest, keyed by the salt and read as a big-endian integer over 2^64. Anyone can
//! recompute it, for example with `hashlib.blake2b(id, digest_size=8, key=salt)` in Python.

use std::fmt;

use blake2::{
    Blake2bVarCore,
    digest::{
        Output,
        block_api::{Block, Buffer, UpdateCore, VariableOutputCore},
    },
};

use super::answer::Policy;
use crate::domain::{Arm, Opinion, Split, TradeId, VersionId};

/// Bytes of a hash, of which a position is made.
const DIGEST_BYTES: usize = 8;

/// Key of an assignment, at most 64 bytes: experiments with different salts split the same trades independently.
#[derive(Clone)]
pub struct Salt {
    key: Box<[u8]>,
    /// The hash once it has taken in its key, which costs as much as a trade's id.
    keyed: Blake2bVarCore,
}

/// The versions that split the trades of a symbol. It holds no model, so that trades are given out also while none may
/// speak: an outage counts in the arm that the salt gave the trade.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Splits {
    test: Option<Splitter>,
    production: Option<Splitter>,
}

/// A version that splits trades.
#[derive(Debug, Clone, PartialEq)]
struct Splitter {
    version: VersionId,
    salt: Salt,
    /// Part of the share that it would have, 0 to 1.
    part: f64,
}

/// What [`Splits`] made of a trade.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Assigned {
    /// By the test of a version.
    pub test: Option<(VersionId, Split)>,
    /// By the holdback of the version in production, of trades that the version under test does not get.
    pub production: Option<(VersionId, Split)>,
    /// Whether the version under test has a share at all now: without one it is not heard, also by a trade that it got
    /// when it had one.
    pub test_speaks: bool,
    /// The same of the version in production.
    pub production_speaks: bool,
}

impl Splits {
    /// Between `test` and the rest, and of the rest between `production` and its holdback. With each goes the part of the
    /// share it would have that it speaks to, 0 to 1.
    pub fn new(test: Option<(VersionId, f64)>, production: Option<(VersionId, f64)>) -> Self {
        let splitter = |name: &str, version: VersionId, part| Splitter {
            salt: Salt::new(&format!("{name}:{version}")),
            version,
            part,
        };
        Self {
            test: test.map(|(version, part)| splitter("test", version, part)),
            production: production.map(|(version, part)| splitter("holdback", version, part)),
        }
    }

    /// Where `trade_id` belongs. What a version once gave it, found in `first`, stays, whatever the shares are now.
    pub fn assign(&self, policy: &Policy, trade_id: &TradeId, first: &[Opinion]) -> Assigned {
        let before = |version: &VersionId| {
            first.iter().find(|opinion| opinion.version == *version).and_then(|opinion| opinion.split)
        };
        let test = self.test.as_ref().map(|Splitter { version, salt, part }| {
            let share = policy.ab_share * part;
            let by_salt = || Split::new(salt.position(trade_id) < share, share);
            (version.clone(), before(version).unwrap_or_else(by_salt))
        });
        let taken = test.as_ref().is_some_and(|(_, split)| split.arm == Arm::Ml);
        let production = self.production.as_ref().filter(|_| !taken).map(|Splitter { version, salt, part }| {
            let share = (1.0 - policy.holdback) * part;
            // the holdback at the low end grows as the part shrinks, so that no trade changes sides but those it takes
            let held = policy.holdback + (1.0 - policy.holdback) * (1.0 - part);
            let by_salt = || Split::new(salt.position(trade_id) >= held, share);
            (version.clone(), before(version).unwrap_or_else(by_salt))
        });
        let speaks = |splitter: &Option<Splitter>, whole: f64| {
            splitter.as_ref().is_some_and(|splitter| whole * splitter.part > 0.0)
        };
        Assigned {
            test,
            production,
            test_speaks: speaks(&self.test, policy.ab_share),
            production_speaks: speaks(&self.production, 1.0 - policy.holdback),
        }
    }

    /// Where `trade_id` belongs when `version` speaks to `share` of its trades: as its test, or in production as its holdback,
    /// gives it by the salt. `None` of a version that splits nothing.
    pub fn at_share(&self, version: &VersionId, trade_id: &TradeId, share: f64) -> Option<Split> {
        let is = |splitter: &&Splitter| splitter.version == *version;
        let test = self.test.as_ref().filter(is).map(|splitter| splitter.salt.position(trade_id) < share);
        // the share left to the holdback lies at the low end
        let production =
            || self.production.as_ref().filter(is).map(|splitter| splitter.salt.position(trade_id) >= 1.0 - share);
        Some(Split::new(test.or_else(production)?, share))
    }
}

impl Assigned {
    /// How `version` split the trade, if it did.
    pub fn by(&self, version: &VersionId) -> Option<Split> {
        self.all().find(|(splitter, _)| splitter == version).map(|(_, split)| *split)
    }

    /// The opinions of versions that could not be asked.
    pub fn unheard(self) -> Vec<Opinion> {
        let opinion = |(version, split)| Opinion { version, split: Some(split), score: None, size: 1.0 };
        self.test.into_iter().chain(self.production).map(opinion).collect()
    }

    fn all(&self) -> impl Iterator<Item = &(VersionId, Split)> {
        self.test.iter().chain(&self.production)
    }
}

impl PartialEq for Salt {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Salt").field(&self.key.escape_ascii().to_string()).finish()
    }
}

impl Salt {
    /// A salt from text, cut at the 64 bytes that BLAKE2b takes as key. Empty text gives the unkeyed hash.
    pub fn new(text: &str) -> Self {
        let key: Box<[u8]> = text.bytes().take(64).collect();
        let mut keyed = Blake2bVarCore::new_with_params(&[], &[], key.len(), DIGEST_BYTES);
        if !key.is_empty() {
            let mut block = Block::<Blake2bVarCore>::default();
            block.iter_mut().zip(&*key).for_each(|(to, from)| *to = *from);
            keyed.update_blocks(&[block]);
        }
        Self { key, keyed }
    }

    /// Where `trade_id` falls in [0, 1): uniform over ids, the same for ever.
    pub fn position(&self, trade_id: &TradeId) -> f64 {
        let (mut hash, mut last) = (self.keyed.clone(), Buffer::<Blake2bVarCore>::default());
        last.digest_blocks(trade_id.as_str().as_bytes(), |blocks| hash.update_blocks(blocks));
        let mut output = Output::<Blake2bVarCore>::default();
        hash.finalize_variable_core(&mut last, &mut output);
        let digest = output.first_chunk::<DIGEST_BYTES>().copied().unwrap_or_default();
        // the top 53 bits, so that the division is exact and the result stays below 1
        (u64::from_be_bytes(digest) >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::sizing::{Sizing, SizingRule};

    fn policy(ab_share: f64, holdback: f64) -> Policy {
        let sizing = Sizing { rule: SizingRule::Unit, min: 0.0, max: 1.0, kelly_fraction: 0.5 };
        Policy { blend_weight: 0.5, trade_threshold: 0.5, ab_share, holdback, sizing }
    }

    #[test]
    fn a_trade_stays_where_it_was_put_when_the_shares_change() {
        let (test, production): (VersionId, VersionId) = ("ES/2".parse().unwrap(), "ES/1".parse().unwrap());
        let splits = Splits::new(Some((test.clone(), 1.0)), Some((production.clone(), 1.0)));
        let mut moved = 0;
        for n in 0..400 {
            let trade = TradeId::new(format!("T-{n}")).unwrap();
            let first = splits.assign(&policy(0.5, 0.1), &trade, &[]);
            let arm = |assigned: &Assigned| assigned.test.as_ref().unwrap().1.arm;
            assert_eq!(arm(&first) == Arm::Ml, Salt::new("test:ES/2").position(&trade) < 0.5);
            assert_eq!(first.production.is_some(), arm(&first) == Arm::Baseline);
            for version in [&test, &production] {
                let Some(split) = first.by(version) else { continue };
                assert_eq!(splits.at_share(version, &trade, split.share), Some(split), "the same by its share alone");
            }
            moved += usize::from(arm(&splits.assign(&policy(0.2, 0.1), &trade, &[])) != arm(&first));
            let again = splits.assign(&policy(0.2, 0.6), &trade, &first.clone().unheard());
            assert_eq!(again, first, "{trade}");
        }
        assert!((80..160).contains(&moved), "a share of 0.2 would have moved {moved} of 400");
    }

    #[test]
    fn who_has_no_share_any_more_is_not_heard_by_the_trades_it_once_got() {
        let (test, production): (VersionId, VersionId) = ("ES/2".parse().unwrap(), "ES/1".parse().unwrap());
        let trade = TradeId::new("T-1").unwrap();
        let speak = |parts: (f64, f64), policy: &Policy| {
            let splits = Splits::new(Some((test.clone(), parts.0)), Some((production.clone(), parts.1)));
            let first = Splits::new(Some((test.clone(), 1.0)), Some((production.clone(), 1.0)));
            let first = first.assign(&self::policy(0.5, 0.1), &trade, &[]);
            let now = splits.assign(policy, &trade, &first.clone().unheard());
            assert_eq!((&now.test, &now.production), (&first.test, &first.production), "it counts where it did");
            (now.test_speaks, now.production_speaks)
        };
        assert_eq!(speak((1.0, 1.0), &policy(0.5, 0.1)), (true, true));
        assert_eq!(speak((0.25, 0.25), &policy(0.5, 0.1)), (true, true));
        assert_eq!(speak((1.0, 0.0), &policy(0.5, 0.1)), (true, false));
        assert_eq!(speak((0.0, 1.0), &policy(0.5, 0.1)), (false, true));
        assert_eq!(speak((1.0, 1.0), &policy(0.0, 1.0)), (false, false));
    }

    #[test]
    fn positions_are_those_that_hashlib_gives() {
        let golden: serde_json::Value =
            serde_json::from_str(include_str!("../../../tests/fixtures/golden/assignment.json")).unwrap();
        let cases = golden["cases"].as_array().unwrap();
        assert!(cases.len() >= 40);
        for case in cases {
            let text = |key: &str| case[key].as_str().unwrap();
            let position = Salt::new(text("salt")).position(&TradeId::new(text("trade_id")).unwrap());
            assert_eq!(position, case["position"].as_f64().unwrap(), "{case}");
        }
    }
}
