//! What was taken in, on disk before anybody is sent it: `spool.jsonl`, one entry a line, only ever appended to. A journal that
//! is lost afterwards takes no alert with it.

use std::{
    collections::{BTreeMap, VecDeque},
    fs::File,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use jiff::Timestamp;

use crate::{
    alert::{Alert, Level},
    disk,
    message::{Entry, Mark},
};

/// Entries that are done with before the file is written anew without them.
const MOST_DONE: usize = 1000;

/// The spool.
#[derive(Debug)]
pub struct Spool {
    path: PathBuf,
    file: File,
    /// Bytes of the file that are whole lines.
    length: u64,
    /// What the disk has not taken yet.
    unwritten: String,
    entries: VecDeque<Entry>,
    last: u64,
    mark: Mark,
    /// How far each receiver is.
    passed: BTreeMap<String, u64>,
}

impl Spool {
    /// Opens the one in `folder`, or makes it. No number up to `floor` is used again. A last line that was not written whole is
    /// cut off; it was told to nobody. One that is damaged is left out, and there is an alert of it.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn open(folder: &Path, floor: u64, now: Timestamp) -> io::Result<Self> {
        let path = folder.join("spool.jsonl");
        let bytes = disk::read(&path)?.unwrap_or_default();
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let lines = bytes.get(..whole).unwrap_or_default().split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let (mut entries, mut damaged) = (VecDeque::new(), 0);
        for line in lines {
            match serde_json::from_slice::<Entry>(line) {
                Ok(entry) => entries.push_back(entry),
                Err(_) => damaged += 1,
            }
        }
        let file = File::options().create(true).append(true).mode(0o600).open(&path)?;
        file.set_len(whole as u64)?;
        file.sync_all()?;
        disk::sync_folder(&path)?;
        let last = entries.iter().map(|entry| entry.n).max().unwrap_or_default().max(floor);
        let mark = entries.back().map(|entry| entry.mark.clone()).unwrap_or_default();
        let (unwritten, passed) = (String::new(), BTreeMap::new());
        let mut spool = Self { path, file, length: whole as u64, unwritten, entries, last, mark, passed };
        if damaged > 0 {
            let message = format!("{damaged} lines of {} were damaged and are left out", spool.path.display());
            spool.push(now, Some(Alert::own(now, Level::Critical, "spool_damaged", message)));
            spool.write()?;
        }
        Ok(spool)
    }

    /// The entries in `folder`, for who only looks. What is damaged or being written is left out.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn peek(folder: &Path) -> io::Result<Vec<Entry>> {
        let bytes = disk::read(&folder.join("spool.jsonl"))?.unwrap_or_default();
        Ok(bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect())
    }

    /// How far the daemon is followed.
    pub fn mark(&self) -> &Mark {
        &self.mark
    }

    /// Moves the mark on; it is brought to the disk with the next entry.
    pub fn set_mark(&mut self, mark: Mark) {
        self.mark = mark;
    }

    /// Adds an alert, or none where the mark alone is to be kept.
    pub fn push(&mut self, now: Timestamp, alert: Option<Alert>) {
        self.last += 1;
        let entry = Entry { n: self.last, taken: now, alert, mark: self.mark.clone() };
        // a struct of strings and numbers has a text
        if let Ok(line) = serde_json::to_string(&entry) {
            self.unwritten += &line;
            self.unwritten.push('\n');
        }
        self.entries.push_back(entry);
    }

    /// Brings what was added to the disk.
    ///
    /// # Errors
    /// When the disk does not take it. It stays here and is written with the next call; after an end before that it is read from the
    /// daemon again.
    pub fn write(&mut self) -> io::Result<()> {
        if self.unwritten.is_empty() {
            return Ok(());
        }
        // what an earlier try left behind may be half a line
        self.file.set_len(self.length)?;
        self.file.write_all(self.unwritten.as_bytes())?;
        self.file.sync_data()?;
        self.length += self.unwritten.len() as u64;
        self.unwritten.clear();
        Ok(())
    }

    /// The entries from number `from` on.
    pub fn since(&self, from: u64) -> impl Iterator<Item = &Entry> {
        let skipped = self.entries.partition_point(|entry| entry.n < from);
        self.entries.iter().skip(skipped)
    }

    /// The number of the last entry.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Who reads it, and how far each is: nothing leaves the file before all are done with it.
    pub fn read_by(&mut self, passed: BTreeMap<String, u64>) {
        self.passed = passed;
    }

    /// Whether something is not on the disk yet.
    pub fn is_behind(&self) -> bool {
        !self.unwritten.is_empty()
    }

    /// Notes that `receiver` is done with all up to `number`.
    ///
    /// # Errors
    /// When the file should be written anew without what all are done with, and cannot be.
    pub fn pass(&mut self, receiver: &str, number: u64) -> io::Result<()> {
        self.passed.insert(receiver.to_owned(), number);
        let all = self.passed.values().min().copied().unwrap_or_default();
        let done = self.entries.partition_point(|entry| entry.n <= all);
        // the last entry stays: it has the mark
        if done < MOST_DONE.max(self.entries.len() / 2) || done >= self.entries.len() || !self.unwritten.is_empty() {
            return Ok(());
        }
        let kept = self.entries.iter().skip(done);
        let mut text = String::new();
        for entry in kept {
            text += &serde_json::to_string(entry)?;
            text.push('\n');
        }
        disk::replace(&self.path, text.as_bytes())?;
        self.file = File::options().append(true).open(&self.path)?;
        self.length = text.len() as u64;
        self.entries.drain(..done);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn alert(number: u64) -> Option<Alert> {
        let own = Alert::own(Timestamp::UNIX_EPOCH, Level::Info, "drift", number.to_string());
        Some(Alert { seq: Some(number), ..own })
    }

    fn open(folder: &Path, floor: u64) -> Spool {
        Spool::open(folder, floor, Timestamp::UNIX_EPOCH).unwrap()
    }

    fn numbers(spool: &Spool) -> Vec<u64> {
        spool.since(0).map(|entry| entry.n).collect()
    }

    #[test]
    fn what_was_written_is_there_again_and_half_a_line_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = open(folder.path(), 0);
        spool.set_mark(Mark { next: Some(9), ..Mark::default() });
        (1..=3).for_each(|n| spool.push(Timestamp::UNIX_EPOCH, alert(n)));
        spool.write().unwrap();
        let path = folder.path().join("spool.jsonl");
        let whole = fs::read(&path).unwrap();
        // cut at every byte: what is whole is there, and new numbers are above all that a receiver may have noted
        for cut in 0..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let mut spool = open(folder.path(), 3);
            let lines = whole[..cut].iter().filter(|byte| **byte == b'\n').count();
            assert_eq!(numbers(&spool), (1..=lines as u64).collect::<Vec<_>>(), "cut at {cut}");
            spool.push(Timestamp::UNIX_EPOCH, alert(7));
            spool.write().unwrap();
            assert_eq!(numbers(&open(folder.path(), 0)).last(), Some(&4));
        }
        fs::write(&path, [&b"nonsense\n"[..], &whole].concat()).unwrap();
        let spool = open(folder.path(), 0);
        let codes: Vec<_> = spool.since(0).map(|entry| entry.alert.clone().unwrap().code).collect();
        assert_eq!(codes, ["drift", "drift", "drift", "spool_damaged"]);
        assert_eq!(spool.mark().next, Some(9));
    }

    #[test]
    fn what_all_receivers_are_done_with_leaves_the_file_and_the_mark_stays() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = open(folder.path(), 0);
        spool.set_mark(Mark { next: Some(77), ..Mark::default() });
        (1..=3000).for_each(|n| spool.push(Timestamp::UNIX_EPOCH, alert(n)));
        spool.write().unwrap();
        spool.read_by([("a".to_owned(), 0), ("b".to_owned(), 0)].into());
        spool.pass("b", 3000).unwrap();
        assert_eq!(numbers(&spool).len(), 3000);
        spool.pass("a", 2900).unwrap();
        assert_eq!(numbers(&spool), (2901..=3000).collect::<Vec<_>>());
        spool.push(Timestamp::UNIX_EPOCH, alert(3001));
        spool.write().unwrap();
        spool.pass("a", 3001).unwrap();
        let again = open(folder.path(), 0);
        assert_eq!((numbers(&again).len(), again.last(), again.mark().next), (101, 3001, Some(77)));
    }
}
