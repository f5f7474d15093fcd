//! Takes a journal of schema 1 or 2 over. These had a table for each kind of record, by trade id; now there is one log.
//!
//! A new file is made beside the old one, `<name>.taken-over`, and takes its name when it says the same, record by record. The
//! old file is not changed until then, so that the older program still reads it, and the new one has no holes. It needs as
//! much room as the old one for that long. A kill at any moment is survived: each batch is one transaction and says how
//! far it is, and the next start goes on from there.
//!
//! Memory is bounded: first the numbers of all records are sorted, in a table of the new file; then the records are copied in
//! that order, batch by batch.
#![deny(clippy::indexing_slicing)]

use std::path::{Path, PathBuf};

use redb::{
    Builder, Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition, backends::FileBackend,
};

use super::{
    archive::Archive,
    batch::Batch,
    codec::Kind,
    dictionaries::Dictionaries,
    error::{OpenError, catch_damage},
    file,
    reader::Reader,
    schema,
    source::{OlderRecord, Source},
    store::flatten,
    tables::{CHECKPOINTS, META, META_LAST_SEQ, VERSIONS},
};

/// The records to be copied, in their order. Key: the sequence number in the log. Value: see [`OlderRecord::to_bytes`].
const ORDER: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("takeover_order");
/// How far it is. Key: one of the names below.
const MARKS: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("takeover_marks");
/// In `MARKS`: which journal is taken over.
const OF: &str = "of";
/// In `MARKS`: the entry that was sorted last.
const SORTED: &str = "sorted";

/// Records in the first transaction; each has twice as many as the one before, up to [`MOST`].
const FIRST: usize = 16;
const MOST: usize = 8192;
/// Bytes of versions and checkpoints in one transaction.
const MOST_BYTES: usize = 4 << 20;

/// How far a takeover is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is done: records are `sorted`, `copied` or `compared`.
    pub step: &'static str,
    /// How many are done.
    pub done: u64,
    /// Of how many.
    pub of: u64,
}

/// Tells the log of each tenth.
pub(super) fn log() -> impl FnMut(Progress) {
    let mut told = ("", 0);
    move |Progress { step, done, of }| {
        let tenth = (10 * done).checked_div(of).unwrap_or(10);
        if told != (step, tenth) {
            tracing::info!("taking the journal over: {done} of {of} records {step}");
            told = (step, tenth);
        }
    }
}

/// Takes over the journal at `path`, which is open as `older` with the schema `found`.
pub(super) fn run(
    path: &Path,
    older: &Database,
    found: u64,
    builder: &Builder,
    tell: &mut dyn FnMut(Progress),
) -> Result<(), OpenError> {
    let beside = beside(path);
    let resumed = beside.exists();
    announce(path, &beside, found)?;
    match attempt(path, &beside, older, builder, tell) {
        // what an earlier start left may be what is damaged
        Err(error) if resumed && error.is_corrupt() => {
            file::remove(&beside)?;
            attempt(path, &beside, older, builder, tell)?;
        }
        other => other?,
    }
    file::replace(path, &beside)?;
    tracing::info!("the journal {} was taken over", path.display());
    Ok(())
}

/// Removes what a takeover left that is of no use any more.
pub(super) fn clear(path: &Path) -> Result<(), OpenError> {
    file::remove(&beside(path))
}

fn beside(path: &Path) -> PathBuf {
    file::with_suffix(path, ".taken-over")
}

/// Says what is going to happen and what it needs, and refuses when there is not enough room.
fn announce(path: &Path, beside: &Path, found: u64) -> Result<(), OpenError> {
    let length = |path: &Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    let needed = length(path).saturating_sub(length(beside));
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let free = nix::sys::statvfs::statvfs(folder)
        .map_or(u64::MAX, |disk| disk.blocks_available().saturating_mul(disk.fragment_size()));
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    tracing::info!(
        "the journal {} has schema {found} and is taken over into {}: up to {} MiB are needed, {} MiB are free; it goes on \
         where it was when it is interrupted",
        path.display(),
        beside.display(),
        mib(needed),
        mib(free)
    );
    if free < needed {
        let reason = format!(
            "it has schema {found} and must be taken over into a new file beside it: that needs up to {} MiB, and {} MiB are \
             free; make room, then start again",
            mib(needed),
            mib(free)
        );
        return Err(OpenError::refused(path, reason));
    }
    Ok(())
}

fn attempt(
    path: &Path,
    beside: &Path,
    older: &Database,
    builder: &Builder,
    tell: &mut dyn FnMut(Progress),
) -> Result<(), OpenError> {
    let source = flatten(path, catch_damage(|| Source::new(older)))?;
    let newer = begin(beside, builder, &source)?;
    let done = flatten(
        path,
        catch_damage(|| {
            sort(&source, &newer, tell)?;
            copy(&source, &newer, tell)?;
            copy_named(&source, &newer)?;
            if let Some(difference) = compare(&source, &newer, tell)? {
                return Ok(Some(difference));
            }
            finish(&newer)?;
            newer.close()?;
            Ok(None)
        }),
    )?;
    let Some(difference) = done else { return Ok(()) };
    file::remove(beside)?;
    let reason = format!(
        "it could not be taken over: {difference}; it was left as it is, go on with the older vigie and report this"
    );
    Err(OpenError::refused(path, reason))
}

/// Opens the new file, created unless it is a beginning of the same journal.
fn begin(beside: &Path, builder: &Builder, source: &Source) -> Result<Database, OpenError> {
    let open = || {
        let file =
            file::open_beside(beside).map_err(|error| OpenError::io(beside, "beginning a new journal", &error))?;
        let opened = catch_damage(|| {
            let database = builder.create_with_backend(FileBackend::new(file)?)?;
            let begun = is_begun(&database, source)?;
            Ok((database, begun))
        });
        flatten(beside, opened)
    };
    if let Ok((database, true)) = open() {
        return Ok(database);
    }
    file::remove(beside)?;
    let (database, _) = open()?;
    let laid_out = catch_damage(|| {
        let transaction = schema::durable(&database)?;
        schema::lay_out(&transaction, source.created_at)?;
        transaction.open_table(ORDER)?;
        transaction.open_table(MARKS)?.insert(OF, source.identity().as_slice())?;
        Ok(transaction.commit()?)
    });
    flatten(beside, laid_out)?;
    Ok(database)
}

fn is_begun(database: &Database, source: &Source) -> Result<bool, redb::Error> {
    let reading = database.begin_read()?;
    Ok(match reading.open_table(MARKS) {
        Ok(marks) => marks.get(OF)?.is_some_and(|of| of.value() == source.identity()),
        Err(_) => false,
    })
}

/// Sorts the records by their numbers. One that cannot say its number, because it is damaged, goes to the end.
fn sort(source: &Source, newer: &Database, tell: &mut dyn FnMut(Progress)) -> Result<(), redb::Error> {
    let marks = newer.begin_read()?.open_table(MARKS)?;
    let mut last = marks.get(SORTED)?.and_then(|mark| OlderRecord::from_bytes(mark.value()));
    drop(marks);
    let mut size = FIRST;
    for kind in Kind::ALL {
        // the kinds are taken in their order
        if last.as_ref().is_some_and(|last| last.kind as u8 > kind as u8) {
            continue;
        }
        loop {
            let mut entries = source.entries(last.as_ref().filter(|last| last.kind == kind), kind, size)?;
            let Some(next) = entries.last().map(|(_, entry)| entry.clone()) else { break };
            let transaction = schema::durable(newer)?;
            let done = {
                let mut order = transaction.open_table(ORDER)?;
                entries.sort_by_key(|(seq, _)| *seq);
                for (seq, entry) in entries {
                    let is_free = |seq: &u64| (1..=source.last_seq).contains(seq);
                    let seq = match seq.filter(is_free) {
                        Some(seq) if order.get(seq)?.is_none() => seq,
                        _ => order.last()?.map_or(0, |(seq, _)| seq.value()).max(source.last_seq) + 1,
                    };
                    order.insert(seq, entry.to_bytes().as_slice())?;
                }
                transaction.open_table(MARKS)?.insert(SORTED, next.to_bytes().as_slice())?;
                order.len()?
            };
            transaction.commit()?;
            tell(Progress { step: "sorted", done, of: source.records()? });
            (last, size) = (Some(next), (2 * size).min(MOST));
        }
    }
    Ok(())
}

/// Copies the records behind the last that was copied.
fn copy(source: &Source, newer: &Database, tell: &mut dyn FnMut(Progress)) -> Result<(), redb::Error> {
    let (mut size, mut dictionaries) = (FIRST, Dictionaries::load(&newer.begin_read()?)?);
    loop {
        let entries = batch_of(newer, schema::number(&newer.begin_read()?.open_table(META)?, META_LAST_SEQ)?, size)?;
        let transaction = schema::durable(newer)?;
        let archive = Archive::default();
        let mut batch = Batch::open(&transaction, &mut dictionaries, &archive)?;
        let Some((last, _)) = entries.last() else {
            batch.close_takeover(source.last_seq, source.decisions);
            batch.finish()?;
            return Ok(transaction.commit()?);
        };
        let last = *last;
        for (seq, entry) in &entries {
            batch.take_over(*seq, entry, &source.value(entry)?)?;
        }
        batch.finish()?;
        transaction.commit()?;
        // numbers have gaps, and are near enough for this
        tell(Progress { step: "copied", done: last.min(source.last_seq), of: source.last_seq });
        size = (2 * size).min(MOST);
    }
}

fn batch_of(newer: &Database, after: u64, size: usize) -> Result<Vec<(u64, OlderRecord)>, redb::Error> {
    let order = newer.begin_read()?.open_table(ORDER)?;
    let mut entries = Vec::new();
    for found in order.range(after + 1..)?.take(size) {
        let (seq, value) = found?;
        let entry = OlderRecord::from_bytes(value.value());
        entries.push((seq.value(), entry.ok_or_else(|| redb::Error::Corrupted("the order of a takeover".to_owned()))?));
    }
    Ok(entries)
}

/// Copies versions and checkpoints, whose layout is as it was.
fn copy_named(source: &Source, newer: &Database) -> Result<(), redb::Error> {
    for (table, from) in [(VERSIONS, &source.versions), (CHECKPOINTS, &source.checkpoints)] {
        let mut rest = from.iter()?.peekable();
        while rest.peek().is_some() {
            let transaction = schema::durable(newer)?;
            let mut into = transaction.open_table(table)?;
            let mut bytes = 0;
            while bytes < MOST_BYTES
                && let Some(entry) = rest.next()
            {
                let (key, value) = entry?;
                bytes += value.value().len();
                into.insert(key.value(), value.value())?;
            }
            drop(into);
            transaction.commit()?;
        }
    }
    Ok(())
}

/// Compares all that the new file says with what the old one says; gives the first difference in words.
fn compare(source: &Source, newer: &Database, tell: &mut dyn FnMut(Progress)) -> Result<Option<String>, redb::Error> {
    let reader = Reader::new(newer.begin_read()?, None, None)?;
    let (of, mut done, mut after) = (source.records()?, 0, 0);
    let differs = |what: String| Ok(Some(what));
    loop {
        let entries = batch_of(newer, after, MOST)?;
        let Some((last, _)) = entries.last() else { break };
        after = *last;
        done += entries.len() as u64;
        for (seq, entry) in entries {
            let Some(value) = reader.log.get(seq)? else { return differs(format!("the record #{seq} is missing")) };
            if !entry.is_same(seq, &source.value(&entry)?, value.value(), reader.dictionaries()?) {
                return differs(format!("the record #{seq} came out different"));
            }
        }
        tell(Progress { step: "compared", done, of });
    }
    let counts = reader.counts().map_err(|error| redb::Error::Corrupted(error.to_string()))?;
    if counts != source.counts()? {
        return differs(format!("there were {:?} and now are {counts:?}", source.counts()?));
    }
    if done != of || !reader.indexes_hold(of)? {
        return differs(format!("of {of} records the indexes hold others"));
    }
    for (table, from) in [(VERSIONS, &source.versions), (CHECKPOINTS, &source.checkpoints)] {
        let into = newer.begin_read()?.open_table(table)?;
        for entry in from.iter()? {
            let (key, value) = entry?;
            if into.get(key.value())?.is_none_or(|copied| copied.value() != value.value()) {
                return differs(format!("{} came out different", key.value()));
            }
        }
    }
    Ok(None)
}

/// Makes the new file a journal.
fn finish(newer: &Database) -> Result<(), redb::Error> {
    let transaction = schema::durable(newer)?;
    transaction.delete_table(ORDER)?;
    transaction.delete_table(MARKS)?;
    schema::seal(&transaction)?;
    Ok(transaction.commit()?)
}
