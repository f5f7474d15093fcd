//! How far the journal had come, in a file of one line beside it.
//!
//! A flipped bit can put the commit before the last in force, and a restored journal ends wherever it was copied. Both are good
//! journals that lack what was acknowledged. The number here is written behind each commit and not synced: it is never ahead
//! of the disk, outlives a kill, and costs no commit anything. What cannot be read says nothing.
#![deny(clippy::indexing_slicing)]

use std::{
    fs::{self, File},
    io::Read as _,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::Path,
};

use super::record::{Applied, Write};
use crate::domain::EventKind;

/// Number, space and checksum, and the end of the line.
const BYTES: usize = 20 + 1 + 8 + 1;

/// The number of the last record that was committed.
#[derive(Debug)]
pub struct Reached {
    /// `None` where no file can be made: then nothing is noted.
    file: Option<File>,
    number: u64,
}

impl Reached {
    /// Reads the file at `path`, made when there is none.
    pub fn open(path: &Path) -> Self {
        let flags = nix::fcntl::OFlag::O_NOFOLLOW | nix::fcntl::OFlag::O_NONBLOCK;
        let mut options = fs::OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(flags.bits());
        let mut file = options.open(path).ok();
        let mut text = String::new();
        let read = file.as_mut().and_then(|file| file.take(BYTES as u64).read_to_string(&mut text).ok());
        let number = text.split_once(' ').and_then(|(number, _)| number.parse().ok());
        let number = number.filter(|number| read.is_some() && line(*number) == text);
        Self { file, number: number.unwrap_or(0) }
    }

    /// The number; 0 when nothing is known.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Notes what was committed. The number goes back only with a lock: who finds a journal that is behind it locks.
    pub fn note(&mut self, writes: &[Write], applied: &[Applied]) {
        let seq = |applied: &Applied| if let Applied::Stored { seq, .. } = applied { Some(*seq) } else { None };
        let Some(last) = applied.iter().filter_map(seq).max() else { return };
        let locks =
            |write: &Write| matches!(write, Write::Event(event) if matches!(event.kind, EventKind::Locked { .. }));
        if last < self.number && !writes.iter().any(locks) {
            return;
        }
        if let Some(file) = &self.file {
            let _a_full_disk_notes_nothing = file.write_all_at(line(last).as_bytes(), 0);
        }
        self.number = last;
    }
}

fn line(number: u64) -> String {
    let text = format!("{number:020}");
    let mut crc = flate2::Crc::new();
    crc.update(text.as_bytes());
    format!("{text} {:08x}\n", crc.sum())
}
