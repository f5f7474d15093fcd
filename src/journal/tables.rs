//! What stands in the file.
//!
//! Everything that happened is a record of the log, in the order of its sequence number. The other tables named here find
//! records by something else and hold sequence numbers only. One counter numbers everything that is stored, versions and
//! checkpoints too, over all restarts; it never goes back, so the log has gaps.
//!
//! Every value of the log, of `versions` and of `checkpoints` begins with a format, so that one table can hold old and new
//! records side by side, and carries a checksum: redb trusts its pages after a quick repair, so a damaged disk would otherwise
//! hand over a wrong digit without a word.

use redb::TableDefinition;

/// A table from a key to bytes.
pub(super) type Table<K> = TableDefinition<'static, K, &'static [u8]>;
/// A table that holds keys only.
pub(super) type Index<K> = TableDefinition<'static, K, ()>;

/// Everything that happened. Key: sequence number. Value: a record, see `codec`: a signal with its decision, an outcome, a
/// skip or an event. Only ever appended to.
pub(super) const LOG: Table<u64> = TableDefinition::new("log");

/// The records of a trade. Key: see `index`; it ends with the sequence number and the kind of the record.
pub(super) const BY_TRADE: Index<u128> = TableDefinition::new("by_trade");

/// The records of a time. Key: when it came, or of an event when it happened, in microseconds since 1970 plus 2^63, and then
/// the sequence number, 64 bits each.
pub(super) const BY_TIME: Index<u128> = TableDefinition::new("by_time");

/// The events, which are few among the signals. Key: sequence number.
pub(super) const EVENT_NUMBERS: Index<u64> = TableDefinition::new("event_numbers");

/// Outcomes in whose place a later one counts: it told more, or the first is damaged. Key: sequence number of the first.
/// Value: that of the later one.
pub(super) const REPLACED: TableDefinition<'static, u64, u64> = TableDefinition::new("replaced");

/// Lines that others are compressed against, see `dictionaries`. Key: CRC-32 of the line. Value: the line, sealed, format 1. Many
/// records are lost with one of these, so each stands in two tables. A journal that never had any has no such tables.
pub(super) const DICTIONARIES: Table<u32> = TableDefinition::new("dictionaries");
pub(super) const DICTIONARIES_AGAIN: Table<u32> = TableDefinition::new("dictionaries_again");

/// How much was stored on each day in UTC, by when it came. Key: days since 1970. Value: records, and their bytes with their entries
/// in the indexes. Nothing is decided by it. A journal that was made before it was counted has no such table.
pub(super) const DAYS: TableDefinition<'static, u64, (u64, u64)> = TableDefinition::new("days");

/// Models. Key: version id, such as `ES/14`. Value: `[format u8 = 1][BLAKE2b-32 of the body][body]`; the body belongs
/// to the models module. Written once per version, after training.
pub(super) const VERSIONS: Table<&str> = TableDefinition::new("versions");

/// State that a fold over the journal may start from. Key: name. Value: `[format u8 = 1][CRC-32 u32 LE of name and
/// body][body]`, the body of the writer's own layout. Replaced by whoever owns the name.
pub(super) const CHECKPOINTS: Table<&str> = TableDefinition::new("checkpoints");

/// Files of old records beside the journal, see `archive`. Key: the number of the first. Value: an `ArchivedFile` as JSON, sealed, format
/// 1. A journal without any has no such table.
pub(super) const ARCHIVES: Table<u64> = TableDefinition::new("archives");

/// Numbers about the file. Key: one of the names below. Value: the number, and the CRC-32 of key and number. Written
/// with every batch. This table stays as it is in every schema, so that an older program can tell a newer file.
pub(super) const META: TableDefinition<'static, &str, (u64, u32)> = TableDefinition::new("meta");

/// In `meta`: the layout of the file, from 1.
pub(super) const META_SCHEMA: &str = "schema";
/// In `meta`: when the file was made, microseconds since 1970 UTC.
pub(super) const META_CREATED_AT: &str = "created_at_us";
/// In `meta`: the last sequence number given out; 0 in a new file.
pub(super) const META_LAST_SEQ: &str = "last_seq";
/// In `meta`: how many signals there are, a signal scored twice being two.
pub(super) const META_SIGNALS: &str = "signals";
/// In `meta`: how many signals carry a decision.
pub(super) const META_DECISIONS: &str = "decisions";
/// In `meta`: how many trades have an outcome.
pub(super) const META_OUTCOMES: &str = "outcomes";
/// In `meta`: how many trades have a skip.
pub(super) const META_SKIPS: &str = "skips";

/// In `meta`: how many records of the log stand in archived files only; missing where there are none.
pub(super) const META_ARCHIVED: &str = "archived";

/// In `meta`: the number up to which what is archived has gone from the log; missing where nothing has. What an archived file holds
/// behind it still stands in the log, so that file is not needed yet.
pub(super) const META_GONE_TO: &str = "gone_to";

/// The tables of schemas 1 and 2, with sealed values; `older` reads them.
pub(super) mod older {
    use super::{Table, TableDefinition};

    /// Key: trade id, sequence number; a signal scored twice has two records. Value: in schema 1 `[header length u32
    /// LE][header, JSON][request line as received]`, format 1; in schema 2 `[header][request line as received]`, format 2.
    pub(in super::super) const SIGNALS: Table<(&str, u64)> = TableDefinition::new("signals");
    /// Key: trade id. Value: JSON, format 1.
    pub(in super::super) const OUTCOMES: Table<&str> = TableDefinition::new("outcomes");
    /// Key: trade id. Value: JSON, format 1.
    pub(in super::super) const SKIPS: Table<&str> = TableDefinition::new("skips");
    /// Key: sequence number. Value: JSON, format 1.
    pub(in super::super) const EVENTS: Table<u64> = TableDefinition::new("events");
}
