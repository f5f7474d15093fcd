//! What stands in the file.
//!
//! Every value but those of `meta` begins with a format byte, so that one table can hold old and new records side by
//! side. "Sealed" means `[format u8 = 1][CRC-32 u32 LE of key and body][body]`: redb trusts its pages after a quick
//! repair, so a damaged disk would otherwise hand over a wrong digit without a word.
//!
//! One counter numbers everything that is stored, over all tables and restarts; it never goes back.

use redb::TableDefinition;

/// A table from a key to sealed bytes.
pub(super) type Table<K> = TableDefinition<'static, K, &'static [u8]>;

/// Signals that were scored or imported. Key: trade id, sequence number; a signal scored twice has two records.
/// Value: sealed `[header, see the module of that name][request line as received]`, format 2, whose checksum covers the
/// format as well; in schema 1 `[header length u32 LE][header, JSON][request line as received]`, format 1, which is still
/// read. Written by the scorer, for every answer, and by imports.
pub(super) const SIGNALS: Table<(&str, u64)> = TableDefinition::new("signals");

/// What became of trades. Key: trade id. Value: sealed JSON, format 1. Written once per trade, by the guardian or an
/// import.
pub(super) const OUTCOMES: Table<&str> = TableDefinition::new("outcomes");

/// Signals that were not taken. Key: trade id. Value: sealed JSON, format 1. Written once per trade, for the trader.
pub(super) const SKIPS: Table<&str> = TableDefinition::new("skips");

/// Everything else that happened. Key: sequence number. Value: sealed JSON of an `Event`, format 1. Written by the
/// guardian, and by the daemon for its own life.
pub(super) const EVENTS: Table<u64> = TableDefinition::new("events");

/// Models. Key: version id, such as `ES/14`. Value: `[format u8 = 1][BLAKE2b-32 of the body][body]`; the body belongs
/// to the models module. Written once per version, after training.
pub(super) const VERSIONS: Table<&str> = TableDefinition::new("versions");

/// State that a fold over the journal may start from. Key: name. Value: sealed bytes, format 1, of the writer's own
/// layout. Replaced by whoever owns the name.
pub(super) const CHECKPOINTS: Table<&str> = TableDefinition::new("checkpoints");

/// Numbers about the file. Key: one of the names below. Value: the number, and the CRC-32 of key and number. Written
/// with every batch. This table stays as it is in every schema, so that an older program can tell a newer file.
pub(super) const META: TableDefinition<'static, &str, (u64, u32)> = TableDefinition::new("meta");

/// In `meta`: the layout of the file, from 1.
pub(super) const META_SCHEMA: &str = "schema";
/// In `meta`: when the file was made, microseconds since 1970 UTC.
pub(super) const META_CREATED_AT: &str = "created_at_us";
/// In `meta`: the last sequence number given out; 0 in a new file.
pub(super) const META_LAST_SEQ: &str = "last_seq";
/// In `meta`: how many signals carry a decision.
pub(super) const META_DECISIONS: &str = "decisions";
