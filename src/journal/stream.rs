//! Records read one after another, up to the first failure of the storage.
#![deny(clippy::indexing_slicing)]

use redb::{AccessGuard, ReadOnlyTable, ReadableTable};

use super::{
    archive,
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

/// The records that the entries of a range lead to.
pub(super) struct Records<'a, R, F> {
    reader: &'a Reader,
    range: Option<R>,
    read: F,
}

/// The log from number `from` on, each record as `read` has it.
pub(super) fn since<'a, T: 'a>(
    reader: &'a Reader,
    from: u64,
    read: fn(&Reader, u64, &[u8]) -> Found<T>,
) -> Result<impl Iterator<Item = Result<T, StoreError>> + 'a, StoreError> {
    let range = || reader.log_from(from);
    of(reader, range, move |(seq, value): (u64, archive::Value<'_>)| read(reader, seq, value.value()))
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
    match reader.get_record(seq)? {
        Some(value) => read(reader, seq, value.value()),
        None => read(reader, seq, &[]),
    }
}

fn of<'a, R: Iterator<Item = Result<E, X>>, E, X: Into<redb::Error>, T, F: Fn(E) -> Found<T>>(
    reader: &'a Reader,
    range: impl FnOnce() -> redb::Result<R>,
    read: F,
) -> Result<Records<'a, R, F>, StoreError> {
    Ok(Records { reader, range: Some(reader.guarded(READING, || Ok(range()?))?), read })
}

impl<R, F> Records<'_, R, F> {
    /// The next record that is wanted, from the end where `take` takes it.
    fn step<E, X: Into<redb::Error>, T>(
        &mut self,
        take: impl Fn(&mut R) -> Option<Result<E, X>>,
    ) -> Option<Result<T, StoreError>>
    where
        F: Fn(E) -> Found<T>,
    {
        let (range, read) = (self.range.as_mut()?, &self.read);
        // a key is decoded inside as well: redb panics on one that is not what its type says
        let found = self.reader.guarded(READING, || {
            while let Some(entry) = take(range).transpose().map_err(Into::into)? {
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

impl<R: Iterator<Item = Result<E, X>>, E, X: Into<redb::Error>, T, F: Fn(E) -> Found<T>> Iterator
    for Records<'_, R, F>
{
    type Item = Result<T, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step(Iterator::next)
    }
}

impl<R: DoubleEndedIterator<Item = Result<E, X>>, E, X: Into<redb::Error>, T, F: Fn(E) -> Found<T>> DoubleEndedIterator
    for Records<'_, R, F>
{
    fn next_back(&mut self) -> Option<Self::Item> {
        self.step(DoubleEndedIterator::next_back)
    }
}
