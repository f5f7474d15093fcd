//! Names that do not change any more, in the form in which they are stored: 16 bytes each, shared by all copies. A million of them
//! take 16 MB once, and a start reads them without looking at one.
#![deny(clippy::indexing_slicing)]

use std::{fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Bytes of a name and its signal.
const PAIR: usize = 16;

/// Hashes of a name and of its signal, 8 bytes each, little-endian, the names rising.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Sealed(Arc<[u8]>);

impl Sealed {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len() / PAIR
    }

    /// The signal of a name. The names are hashes, so where one would stand is known closely; from there it is a search by steps that
    /// double, and then halve.
    pub fn get(&self, name: u64) -> Option<u64> {
        let len = self.len();
        let begin = usize::try_from((u128::from(name) * len as u128) >> 64).ok()?;
        // the name is at `low` or behind it, and before `high`
        let (mut low, mut high, mut step) = (begin, begin, 1);
        while low > 0 && self.pair(low)?.0 > name {
            high = low;
            low = low.saturating_sub(step);
            step *= 2;
        }
        step = 1;
        while high < len && self.pair(high)?.0 <= name {
            low = high;
            high = (high + step).min(len);
            step *= 2;
        }
        while low < high {
            let middle = low + (high - low) / 2;
            match self.pair(middle)? {
                (found, signal) if found == name => return Some(signal),
                (found, _) if found < name => low = middle + 1,
                _ => high = middle,
            }
        }
        None
    }

    fn pair(&self, place: usize) -> Option<(u64, u64)> {
        let bytes = self.0.get(place * PAIR..(place + 1) * PAIR)?;
        let (name, signal) = bytes.split_first_chunk::<8>()?;
        Some((u64::from_le_bytes(*name), u64::from_le_bytes(*signal.first_chunk()?)))
    }

    fn pairs(&self) -> impl Iterator<Item = (u64, u64)> {
        (0..self.len()).filter_map(|place| self.pair(place))
    }

    /// These with `others`, which go first where a name is in both.
    pub fn with(&self, mut others: Vec<(u64, u64)>) -> Self {
        if others.is_empty() {
            return self.clone();
        }
        others.sort_unstable();
        let (mut own, mut others) = (self.pairs().peekable(), others.into_iter().peekable());
        let mut bytes = Vec::with_capacity((self.len() + others.len()) * PAIR);
        loop {
            let next = match (own.peek(), others.peek()) {
                (Some((name, _)), Some((other, _))) if name < other => own.next(),
                (Some((name, _)), Some((other, _))) => {
                    if name == other {
                        own.next();
                    }
                    others.next()
                }
                (Some(_), None) => own.next(),
                (None, _) => others.next(),
            };
            let Some((name, signal)) = next else { return Self(bytes.into()) };
            bytes.extend(name.to_le_bytes());
            bytes.extend(signal.to_le_bytes());
        }
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} names", self.len())
    }
}

impl Serialize for Sealed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Sealed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;

        impl de::Visitor<'_> for Bytes {
            type Value = Sealed;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("names of 16 bytes each")
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Sealed, E> {
                if bytes.len().is_multiple_of(PAIR) {
                    Ok(Sealed(bytes.into()))
                } else {
                    Err(E::invalid_length(bytes.len(), &self))
                }
            }
        }

        deserializer.deserialize_bytes(Bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_found_wherever_it_stands_and_no_other() {
        for len in [0, 1, 2, 3, 100, 5000] {
            // as hashes are, all over; and all close together, at either end
            let spread: Vec<(u64, u64)> = (1..=len).map(|n: u64| (n.wrapping_mul(0x9E37_79B9_7F4A_7C15), n)).collect();
            let low: Vec<(u64, u64)> = (1..=len).map(|n| (2 * n, n)).collect();
            let high: Vec<(u64, u64)> = (1..=len).map(|n| (u64::MAX - 2 * n, n)).collect();
            for pairs in [spread, low, high] {
                let sealed = Sealed::default().with(pairs.clone());
                assert_eq!(sealed.len() as u64, len);
                for (name, signal) in pairs {
                    assert_eq!(sealed.get(name), Some(signal));
                    assert_eq!(sealed.get(name ^ 1), None);
                }
                assert_eq!((sealed.get(0), sealed.get(u64::MAX)), (None, None));
            }
        }
    }

    #[test]
    fn what_is_put_into_it_takes_the_place_of_what_was_there() {
        let first = Sealed::default().with(vec![(3, 1), (1, 1), (7, 1)]);
        let then = first.with(vec![(7, 2), (2, 2), (9, 2)]);
        assert_eq!(then.pairs().collect::<Vec<_>>(), [(1, 1), (2, 2), (3, 1), (7, 2), (9, 2)]);
        assert_eq!(first.len(), 3);
        assert_eq!(then.with(Vec::new()), then);
    }

    #[test]
    fn they_are_stored_as_their_bytes_and_a_piece_of_a_name_is_refused() {
        let sealed = Sealed::default().with(vec![(3, 1), (1, 9)]);
        let stored = postcard::to_allocvec(&sealed).unwrap();
        assert_eq!(stored.len(), 1 + 2 * PAIR);
        assert_eq!(postcard::from_bytes::<Sealed>(&stored).unwrap(), sealed);
        let piece = postcard::to_allocvec(&[7_u8; 15][..]).unwrap();
        assert!(postcard::from_bytes::<Sealed>(&piece).is_err());
    }
}
