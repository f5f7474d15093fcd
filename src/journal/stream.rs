//! Records read one after another, up to the first failure of the storage.
#![deny(clippy::indexing_slicing)]

use redb::{AccessGuard, Key, Range, ReadOnlyTable, ReadableTable, Value};

use super::{
    error::{BadRecord, StoreError},
    index,
    reader::Reader,
};
use crate::domain::Timestamp;

type Bytes = &'static [u8];

pub(super) const READING: &str = "reading";

/// A record that was looked at: none that is wanted, one that is read, or one that is damaged.
pub(super) type Found<T> = Result<Option<Result<T, BadRecord>>, redb::Error>;

type Entry<'a, K, V> = (AccessGuard<'a, K>, AccessGuard<'a, V>);

type Next<'a, K, V> = Option<redb::Result<Entry<'a, K, V>>>;

/// The records that the entries of a range lead to.
pub(super) struct Records<'a, K: Key + 'static, V: Value + 'static, F> {
    reader: &'a Reader,
    range: Option<Range<'a, K, V>>,
    read: F,
}

/// The log from number `from` on, each record as `read` has it.
pub(super) fn since<'a, T: 'a>(
    reader: &'a Reader,
    from: u64,
    read: fn(&Reader, u64, &[u8]) -> Found<T>,
) -> Result<impl Iterator<Item = Result<T, StoreError>> + 'a, StoreError> {
    let range = || reader.log.range(from..);
    of(reader, range, move |(seq, value): Entry<'_, u64, Bytes>| read(reader, seq.value(), value.value()))
}

/// The records of the index by time.
pub(super) fn between<'a, T: 'a>(
    reader: &'a Reader,
    from: Timestamp,
    to: Timestamp,
    read: fn(&Reader, u64, &[u8]) -> Found<T>,
) -> Result<impl Iterator<Item = Result<T, StoreError>> + 'a, StoreError> {
    let range = || reader.by_time.range(index::between(from, to));
    of(reader, range, move |(entry, _): Entry<'_, u128, ()>| at(reader, index::number_in(entry.value()), read))
}

/// The events from number `from` on; one that is not in the log is read as nothing.
pub(super) fn events<'a, T: 'a>(
    reader: &'a Reader,
    from: u64,
    read: fn(&Reader, u64, &[u8]) -> Found<T>,
) -> Result<impl DoubleEndedIterator<Item = Result<T, StoreError>> + 'a, StoreError> {
    let range = || reader.event_numbers.range(from..);
    of(reader, range, move |(seq, _): Entry<'_, u64, ()>| at(reader, seq.value(), read))
}

/// A table of names.
pub(super) fn named<'a, T: 'a>(
    reader: &'a Reader,
    table: &'a ReadOnlyTable<&'static str, Bytes>,
    read: fn(&str, &[u8]) -> Result<T, BadRecord>,
) -> Result<impl Iterator<Item = Result<T, StoreError>> + 'a, StoreError> {
    let range = || table.iter();
    of(reader, range, move |(key, value): Entry<'_, &'static str, Bytes>| Ok(Some(read(key.value(), value.value()))))
}

fn at<T>(reader: &Reader, seq: u64, read: fn(&Reader, u64, &[u8]) -> Found<T>) -> Found<T> {
    match reader.log.get(seq)? {
        Some(value) => read(reader, seq, value.value()),
        None => read(reader, seq, &[]),
    }
}

fn of<'a, K: Key + 'static, V: Value + 'static, T, F: Fn(Entry<'_, K, V>) -> Found<T>>(
    reader: &'a Reader,
    range: impl FnOnce() -> redb::Result<Range<'a, K, V>>,
    read: F,
) -> Result<Records<'a, K, V, F>, StoreError> {
    Ok(Records { reader, range: Some(reader.guarded(READING, || Ok(range()?))?), read })
}

impl<'a, K: Key + 'static, V: Value + 'static, T, F: Fn(Entry<'a, K, V>) -> Found<T>> Records<'a, K, V, F> {
    /// The next record that is wanted, from the end where `take` takes it.
    fn step(&mut self, take: impl Fn(&mut Range<'a, K, V>) -> Next<'a, K, V>) -> Option<Result<T, StoreError>> {
        let (range, read) = (self.range.as_mut()?, &self.read);
        // a key is decoded inside as well: redb panics on one that is not what its type says
        let found = self.reader.guarded(READING, || {
            while let Some(entry) = take(range).transpose()? {
                if let Some(record) = read(entry)? {
                    return Ok(Some(record));
                }
            }
            Ok(None)
        });
        match found {
            Ok(record) => record.map(|record| Ok(record?)),
            Err(failure) => {
                self.range = None;
                Some(Err(failure.into()))
            }
        }
    }
}

impl<'a, K: Key + 'static, V: Value + 'static, T, F: Fn(Entry<'a, K, V>) -> Found<T>> Iterator
    for Records<'a, K, V, F>
{
    type Item = Result<T, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step(Iterator::next)
    }
}

impl<'a, K: Key + 'static, V: Value + 'static, T, F: Fn(Entry<'a, K, V>) -> Found<T>> DoubleEndedIterator
    for Records<'a, K, V, F>
{
    fn next_back(&mut self) -> Option<Self::Item> {
        self.step(DoubleEndedIterator::next_back)
    }
}
