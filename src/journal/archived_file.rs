//! What is known of files of old records.
#![deny(clippy::indexing_slicing)]

use serde::{Deserialize, Serialize};

/// A file of old records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchivedFile {
    /// Its name in the folder.
    pub name: String,
    /// The month in which its records came, such as `2025-03`.
    pub month: String,
    /// The number of its first record.
    pub first: u64,
    /// The number of its last record.
    pub last: u64,
    /// How many records it has.
    pub records: u64,
    /// Its size.
    pub bytes: u64,
    /// BLAKE2b-32 of it, in hexadecimal.
    pub blake2b: String,
}

/// How much is archived, for `status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ArchiveExtent {
    /// How many files there are.
    pub files: usize,
    /// How many records they hold.
    pub records: u64,
    /// How large they are together, in bytes.
    pub bytes: u64,
    /// The month in which the first of them came, such as `2025-01`.
    pub first_month: String,
    /// The month in which the last of them came.
    pub last_month: String,
    /// The number up to which signals, outcomes and skips stand in these files only.
    pub last_number: u64,
    /// The names of files that are not there, or not as large as they were. What is in them is not looked at.
    pub missing: Vec<String>,
}
