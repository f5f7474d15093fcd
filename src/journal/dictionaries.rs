//! Lines of signals, compressed against a line that came before.
//!
//! The lines of one trader share their keys and differ in their values, so LZ4 finds most of a line in any other of the same
//! keys. The first line of each shape becomes a dictionary. It is named by its CRC-32, so that a record can never be read with
//! another one than it was written with. Many records are lost with a dictionary, so each stands in two tables.
//!
//! Which dictionary is taken decides on the size alone: what comes back is the same to the byte, whatever it was.
#![deny(clippy::indexing_slicing)]

use lz4_flex::block::{compress_into_with_dict, decompress_into_with_dict, get_maximum_output_size};
use redb::{ReadOnlyTable, ReadTransaction, ReadableTable, TableError, WriteTransaction};

use super::{
    codec,
    seal::crc,
    tables::{DICTIONARIES, DICTIONARIES_AGAIN},
};

/// Dictionaries of one journal, at most. Traders have a few shapes of lines; one that sends other keys every time gets no more
/// than this.
const MOST: usize = 64;
/// Longest line that becomes a dictionary, in bytes.
const LONGEST: usize = 16 << 10;
/// Shorter lines are left as they are, in bytes.
const SHORTEST: usize = 64;
/// A line of an unknown shape becomes a dictionary unless the latest one leaves at most this part of it.
const GOOD: (usize, usize) = (3, 5);

/// The dictionaries of a journal.
#[derive(Debug, Default)]
pub(super) struct Dictionaries {
    known: Vec<Dictionary>,
    /// Place of the one that was used last.
    latest: usize,
}

#[derive(Debug)]
struct Dictionary {
    name: u32,
    shape: u64,
    line: Vec<u8>,
}

/// How a line was put down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Packed {
    /// Name of the dictionary.
    pub(super) dictionary: u32,
    /// Bytes of the line.
    pub(super) length: u16,
    /// Whether the line is the dictionary itself, and has to be stored.
    pub(super) is_new: bool,
}

impl Dictionaries {
    /// Those of a journal; what is damaged in one table is taken from the other.
    pub(super) fn load(moment: &ReadTransaction) -> Result<Self, redb::Error> {
        let mut this = Self::default();
        for table in tables(moment)? {
            for entry in table.iter()? {
                let (name, value) = entry?;
                match codec::decode_dictionary(name.value(), value.value()) {
                    Some(line) if this.find(name.value()).is_none() => this.push(line),
                    _ => {}
                }
            }
        }
        Ok(this)
    }

    /// Appends `line` to `out`, compressed. `None` when that saves nothing; then nothing is appended.
    pub(super) fn pack(&mut self, line: &[u8], out: &mut Vec<u8>) -> Option<Packed> {
        let length = u16::try_from(line.len()).ok().filter(|_| line.len() >= SHORTEST)?;
        let shape = shape_of(line);
        let is_its = |known: &Dictionary| known.shape == shape;
        if !self.known.get(self.latest).is_some_and(is_its) {
            match self.known.iter().position(is_its) {
                Some(place) => self.latest = place,
                None => {
                    let is_good = |bytes: usize| bytes * GOOD.1 <= line.len() * GOOD.0;
                    if let Some(packed) = self.pack_by_latest(line, length, out, is_good) {
                        return Some(packed);
                    }
                    let is_new = self.learn(line);
                    return Some(Packed { is_new, ..self.pack_by_latest(line, length, out, |_| true)? });
                }
            }
        }
        self.pack_by_latest(line, length, out, |_| true)
    }

    fn pack_by_latest(
        &self,
        line: &[u8],
        length: u16,
        out: &mut Vec<u8>,
        is_good: impl Fn(usize) -> bool,
    ) -> Option<Packed> {
        let dictionary = self.known.get(self.latest)?;
        let start = out.len();
        out.resize(start + get_maximum_output_size(line.len()), 0);
        let place = out.get_mut(start..).unwrap_or_default();
        let bytes = compress_into_with_dict(line, place, &dictionary.line).ok();
        match bytes.filter(|bytes| *bytes < line.len() && is_good(*bytes)) {
            Some(bytes) => {
                out.truncate(start + bytes);
                Some(Packed { dictionary: dictionary.name, length, is_new: false })
            }
            None => {
                out.truncate(start);
                None
            }
        }
    }

    /// The line of `length` bytes that [`Dictionaries::pack`] put down.
    pub(super) fn unpack(&self, dictionary: u32, length: u16, bytes: &[u8]) -> Result<Vec<u8>, String> {
        let known = self.find(dictionary);
        let known = known.ok_or_else(|| format!("the dictionary {dictionary:08x} of its line is lost"))?;
        let mut line = vec![0; usize::from(length)];
        match decompress_into_with_dict(bytes, &mut line, &known.line) {
            Ok(bytes) if bytes == line.len() => Ok(line),
            Ok(bytes) => Err(format!("its line has {bytes} bytes and should have {length}")),
            Err(error) => Err(format!("its line cannot be read: {error}")),
        }
    }

    /// Makes `line` the latest dictionary. False where it cannot be one.
    fn learn(&mut self, line: &[u8]) -> bool {
        // of two lines with one checksum only the first can be named
        let may_be = self.known.len() < MOST && line.len() <= LONGEST && self.find(name_of(line)).is_none();
        if may_be {
            self.push(line);
            self.latest = self.known.len() - 1;
        }
        may_be
    }

    fn push(&mut self, line: &[u8]) {
        self.known.push(Dictionary { name: name_of(line), shape: shape_of(line), line: line.to_vec() });
    }

    fn find(&self, name: u32) -> Option<&Dictionary> {
        self.known.iter().find(|known| known.name == name)
    }
}

/// Both tables that hold them; none in a journal that was made before there were any.
pub(super) fn tables(moment: &ReadTransaction) -> Result<Vec<ReadOnlyTable<u32, &'static [u8]>>, redb::Error> {
    let mut tables = Vec::new();
    for definition in [DICTIONARIES, DICTIONARIES_AGAIN] {
        match moment.open_table(definition) {
            Ok(table) => tables.push(table),
            Err(TableError::TableDoesNotExist(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(tables)
}

/// Stores the dictionary `name`, which is `line`.
pub(super) fn store(transaction: &WriteTransaction, name: u32, line: &[u8]) -> Result<(), redb::Error> {
    let value = codec::encode_dictionary(name, line);
    for definition in [DICTIONARIES, DICTIONARIES_AGAIN] {
        transaction.open_table(definition)?.insert(name, value.as_slice())?;
    }
    Ok(())
}

pub(super) fn name_of(line: &[u8]) -> u32 {
    crc(&[], line)
}

/// A hash of the keys of a line: of what stands in quotes before a colon, length and beginning. It is never stored.
fn shape_of(line: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let (mut shape, mut opened) = (0_u64, None);
    for quote in memchr::memchr_iter(b'"', line) {
        let Some(start) = opened.take() else {
            opened = Some(quote + 1);
            continue;
        };
        if line.get(quote + 1) == Some(&b':') {
            let key = line.get(start..quote).unwrap_or_default();
            let head = key.iter().take(8).fold(key.len() as u64, |head, byte| head << 8 ^ u64::from(*byte));
            shape = (shape ^ head).wrapping_mul(FACTOR).rotate_left(29);
        }
    }
    shape
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, test_runner::RngSeed};

    use super::*;

    fn snapshot(n: usize) -> String {
        format!(
            r#"{{"type":"score","id":{n},"trade_id":"ES-{n:05}","at":"2025-11-04T15:02:11.{n:03}Z","symbol":"ES","side":"long","confidence":0.{n},"features":{{"vwap_trend_signal":0.{n}71,"level_proximity":{n},"session_time":0.5}}}}"#
        )
    }

    fn round_trip(dictionaries: &mut Dictionaries, line: &[u8]) -> Option<(Packed, usize)> {
        let mut out = b"before".to_vec();
        let packed = dictionaries.pack(line, &mut out);
        let bytes = out.strip_prefix(b"before").unwrap();
        match packed {
            None => assert!(bytes.is_empty()),
            Some(packed) => {
                assert_eq!(dictionaries.unpack(packed.dictionary, packed.length, bytes).unwrap(), line);
                for cut in 0..bytes.len() {
                    let read = dictionaries.unpack(packed.dictionary, packed.length, &bytes[..cut]);
                    assert_ne!(read.as_deref(), Ok(line), "{cut}");
                }
            }
        }
        packed.map(|packed| (packed, bytes.len()))
    }

    #[test]
    fn a_line_of_a_known_shape_takes_a_third_and_shapes_come_by_turns() {
        let mut dictionaries = Dictionaries::default();
        let other =
            |n: usize| snapshot(n).replace("features", "ml_features").replace("_proximity", "s_from_here_to_there_");
        let (first, _) = round_trip(&mut dictionaries, snapshot(1).as_bytes()).unwrap();
        assert!(first.is_new && first.dictionary == name_of(snapshot(1).as_bytes()));
        for n in 2..50 {
            let line = snapshot(n);
            let (packed, bytes) = round_trip(&mut dictionaries, line.as_bytes()).unwrap();
            assert_eq!((packed.dictionary, packed.is_new), (first.dictionary, false));
            assert!(3 * bytes < line.len(), "{bytes} of {}", line.len());
            let (_, bytes) = round_trip(&mut dictionaries, other(n).as_bytes()).unwrap();
            assert!(5 * bytes < 3 * other(n).len(), "{bytes}");
        }
        assert!(dictionaries.unpack(7, 9, b"").unwrap_err().contains("00000007 of its line is lost"));
    }

    #[test]
    fn a_journal_learns_a_bounded_number_of_lines_and_none_that_is_short_or_long() {
        let mut dictionaries = Dictionaries::default();
        assert_eq!(round_trip(&mut dictionaries, br#"{"a":1}"#), None);
        let long = format!("{:>1$}", snapshot(1), LONGEST + 1);
        round_trip(&mut dictionaries, long.as_bytes());
        assert_eq!(round_trip(&mut dictionaries, &[b' '; 1 << 16]), None);
        assert_eq!(dictionaries.known.len(), 0);
        let odd = |n: u64| {
            let word = |m: u64| format!("{:016x}", (n * 64 + m + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            (0..12).map(|m| format!(r#""{}":"{}","#, word(m), word(m + 20))).collect::<String>()
        };
        for n in 0..3 * MOST as u64 {
            round_trip(&mut dictionaries, odd(n).as_bytes());
        }
        assert_eq!(dictionaries.known.len(), MOST);
        assert!(!round_trip(&mut dictionaries, odd(2).as_bytes()).unwrap().0.is_new);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, rng_seed: RngSeed::Fixed(7), failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn any_bytes_come_back_as_they_were(
            lines in proptest::collection::vec(proptest::collection::vec(prop_oneof![Just(b'"'), Just(b':'), Just(b'a'), any::<u8>()], 0..600), 1..8),
        ) {
            let mut dictionaries = Dictionaries::default();
            for line in lines {
                round_trip(&mut dictionaries, &line);
                let mut changed = line.clone();
                changed.rotate_left(line.len() / 3);
                round_trip(&mut dictionaries, &changed);
            }
        }
    }
}
