//! Archived files become known, and what they hold goes from the log.
#![deny(clippy::indexing_slicing)]

use redb::ReadableTableMetadata as _;

use super::{
    super::{
        archived_file::ArchivedFile,
        codec,
        record::Applied,
        schema,
        seal::{seal, to_json},
        tables::{ARCHIVES, META_ARCHIVED, META_GONE_TO, META_SCHEMA},
    },
    Batch,
};

impl Batch<'_> {
    pub(super) fn archived(&mut self, file: &ArchivedFile) -> Result<Applied, redb::Error> {
        let gone_to = schema::number_or(&self.meta, META_GONE_TO, 0)?;
        let key = file.first.to_be_bytes();
        if file.first <= gone_to || file.first > file.last || file.last > self.counters.seq {
            let ArchivedFile { first, last, .. } = file;
            let why =
                format!("the records {first} to {last} are not those that can be archived after number {gone_to}");
            return Ok(Applied::Unwritable { why });
        }
        let mut value = Vec::new();
        seal(&mut value, &[&key], |out| to_json(out, file)).map_err(redb::Error::Corrupted)?;
        {
            let mut archives = self.transaction.open_table(ARCHIVES)?;
            // files of which nothing has gone: this one was made in their place
            archives.retain_in(file.first.., |_, _| false)?;
            archives.insert(file.first, value.as_slice())?;
        }
        // an older program would take what is archived for lost
        self.meta.insert(META_SCHEMA, codec::encode_number(META_SCHEMA, schema::SCHEMA))?;
        Ok(self.stored(self.counters.seq + 1))
    }

    /// Nothing goes whose file is not there at this moment, as it was when it was compared with the log.
    pub(super) fn gone(&mut self, to: u64) -> Result<Applied, redb::Error> {
        let gone_to = schema::number_or(&self.meta, META_GONE_TO, 0)?;
        if to <= gone_to {
            return Ok(Applied::Duplicate);
        }
        let why = match self.archive.holder(gone_to, to) {
            None => format!("no archived file holds the records from {gone_to} to {to}"),
            Some((from, place)) => match self.archive.is_there(place) {
                Ok(()) => {
                    let before = self.log.len()?;
                    self.log.retain_in(from.max(gone_to + 1)..=to, |seq, value| !codec::can_be_archived(seq, value))?;
                    let archived = schema::number_or(&self.meta, META_ARCHIVED, 0)? + before - self.log.len()?;
                    self.meta.insert(META_ARCHIVED, codec::encode_number(META_ARCHIVED, archived))?;
                    self.meta.insert(META_GONE_TO, codec::encode_number(META_GONE_TO, to))?;
                    return Ok(self.stored(self.counters.seq + 1));
                }
                Err(fault) => fault.to_string(),
            },
        };
        Ok(Applied::Unwritable { why })
    }
}
