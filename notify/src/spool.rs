//! What was taken in, on disk before anybody is sent it: `spool.jsonl`, one entry a line, only ever appended to. A journal that
//! is lost afterwards takes no alert with it.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    fs::File,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use jiff::Timestamp;

use crate::{
    alert::{Alert, Level},
    disk,
    log::say,
    message::{Entry, Mark, Seen},
};

/// Entries that are done with before the file is rewritten without them.
const MOST_DONE: usize = 1000;
/// Entries that stay when they are done with: by them the alerts of a journal that was restored are known to have been told.
const KEPT: usize = 1000;

/// What the receivers have, by their own files.
#[derive(Debug, Clone, Default)]
pub struct Past {
    /// The highest number that one of them knows: no number up to it is used again.
    pub highest: u64,
    /// Up to this number all have what they want.
    pub lowest: u64,
    /// How far the daemon was followed with that.
    pub mark: Mark,
    /// Whether there was something before.
    pub has_begun: bool,
}

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
    done: BTreeMap<String, u64>,
    /// Events behind a hole of the file, which is read from the daemon once more: these are here.
    behind: HashSet<Seen>,
}

impl Spool {
    /// Opens the one in `folder`, or makes it. A last line that was not written whole is cut off; it was told to nobody. Where lines are
    /// damaged, or all are gone, there is an alert of it, and the daemon is followed from the first event on that a receiver may not have;
    /// the damaged file is kept beside.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn open(folder: &Path, past: &Past, now: Timestamp) -> io::Result<Self> {
        let path = folder.join("spool.jsonl");
        let bytes = disk::read(&path)?.unwrap_or_default();
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let lines = bytes.get(..whole).unwrap_or_default().split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let (mut entries, mut damaged): (VecDeque<Entry>, usize) = Default::default();
        // the number before the first damaged line that a receiver may not have
        let mut hole = None;
        for line in lines {
            match serde_json::from_slice::<Entry>(line) {
                Ok(entry) => {
                    hole = hole.filter(|_| entry.n > past.lowest + 1);
                    entries.push_back(entry);
                }
                Err(_) => {
                    damaged += 1;
                    hole = hole.or(Some(entries.back().map_or(0, |entry| entry.n)));
                }
            }
        }
        let is_gone = entries.is_empty() && past.has_begun;
        if damaged > 0 {
            disk::replace(&path.with_extension("damaged"), &bytes)?;
            disk::replace(&path, text_of(&entries)?.as_bytes())?;
        }
        let file = File::options().create(true).append(true).mode(0o600).open(&path)?;
        let length = if damaged > 0 { file.metadata()?.len() } else { whole as u64 };
        file.set_len(length)?;
        file.sync_all()?;
        disk::sync_folder(&path)?;
        let last = entries.iter().map(|entry| entry.n).max().unwrap_or_default().max(past.highest);
        let mark = entries.back().map(|entry| entry.mark.clone()).unwrap_or_default();
        let (unwritten, done, behind) = (String::new(), BTreeMap::new(), HashSet::new());
        let mut spool = Self { path, file, length, unwritten, entries, last, mark, done, behind };
        if damaged > 0 || is_gone {
            let what = if is_gone { "all".to_owned() } else { format!("{damaged} lines") };
            let again = match hole.or(is_gone.then_some(0)) {
                Some(before) => spool.fall_back(before, past),
                None => "no alert was lost by it".to_owned(),
            };
            let message = format!("{what} of {} cannot be read; {again}", spool.path.display());
            say(Level::Critical, &message);
            spool.push(now, Some(Alert::own(now, Level::Critical, "spool_damaged", message)));
            spool.write()?;
        }
        Ok(spool)
    }

    /// Follows the daemon once more from what came after entry `before`, or after what all receivers have.
    fn fall_back(&mut self, before: u64, past: &Past) -> String {
        let known = self.entries.iter().find(|entry| entry.n == before && before > past.lowest);
        let mark = known.map_or(&past.mark, |entry| &entry.mark).clone();
        let (silent, told) = (self.mark.silent, self.mark.told.max(mark.told));
        let mark = if mark.next.is_some() { mark } else { Mark::replay() };
        let behind = self.entries.iter().filter(|entry| entry.n > before);
        let of_daemon = behind.filter(|entry| entry.alert.as_ref().is_some_and(|alert| alert.seq.is_some()));
        self.behind = of_daemon.filter_map(|entry| entry.mark.seen.back().cloned()).collect();
        self.mark = Mark { silent, told, ..mark };
        let from = self.mark.next.unwrap_or_default();
        format!("the daemon's alerts from event {from} on are taken in again, and some may come twice")
    }

    /// Events that are known to have been passed, by the entries that are here.
    pub fn passed(&self) -> HashSet<Seen> {
        // behind a hole, those before an event may not have been
        let whole = self.entries.iter().filter(|_| self.behind.is_empty());
        whole.flat_map(|entry| &entry.mark.seen).filter(|seen| seen.hash.is_some()).cloned().collect()
    }

    /// Whether an event was taken in behind a hole that is read once more.
    pub fn has(&self, seen: &Seen) -> bool {
        self.behind.contains(seen)
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

    /// Whether the file is still there.
    pub fn is_in_place(&self) -> bool {
        disk::is_at(&self.file, &self.path)
    }

    /// Makes the file again from what is known.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn restore(&mut self) -> io::Result<()> {
        let text = text_of(&self.entries)?;
        disk::replace(&self.path, text.as_bytes())?;
        self.file = File::options().append(true).open(&self.path)?;
        self.length = text.len() as u64;
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
    pub fn read_by(&mut self, done: BTreeMap<String, u64>) {
        self.done = done;
    }

    /// Whether something is not on the disk yet.
    pub fn is_behind(&self) -> bool {
        !self.unwritten.is_empty()
    }

    /// Notes that `receiver` is done with all up to `number`.
    ///
    /// # Errors
    /// When the file should be rewritten without what all are done with, and cannot be.
    pub fn pass(&mut self, receiver: &str, number: u64) -> io::Result<()> {
        self.done.insert(receiver.to_owned(), number);
        let all = self.done.values().min().copied().unwrap_or_default();
        let done = self.entries.partition_point(|entry| entry.n <= all).saturating_sub(KEPT);
        if done < MOST_DONE.max(self.entries.len() / 2) || !self.unwritten.is_empty() {
            return Ok(());
        }
        let text = text_of(self.entries.iter().skip(done))?;
        disk::replace(&self.path, text.as_bytes())?;
        self.file = File::options().append(true).open(&self.path)?;
        self.length = text.len() as u64;
        self.entries.drain(..done);
        Ok(())
    }
}

fn text_of<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> serde_json::Result<String> {
    let mut text = String::new();
    for entry in entries {
        text += &serde_json::to_string(entry)?;
        text.push('\n');
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn alert(number: u64) -> Option<Alert> {
        let own = Alert::own(Timestamp::UNIX_EPOCH, Level::Info, "drift", number.to_string());
        Some(Alert { seq: Some(number), ..own })
    }

    fn open(folder: &Path, highest: u64) -> Spool {
        Spool::open(folder, &Past { highest, ..Past::default() }, Timestamp::UNIX_EPOCH).unwrap()
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
        assert_eq!(spool.mark().next, Some(9), "all have what was damaged");
        // it is told once, and what was damaged is kept
        assert!(numbers(&open(folder.path(), 0)) == [1, 2, 3, 4]);
        assert!(fs::read(folder.path().join("spool.damaged")).unwrap().starts_with(b"nonsense\n"));
    }

    fn seen(seq: u64) -> Seen {
        Seen { seq, hash: Some(format!("hash {seq}")) }
    }

    /// Five alerts of the events 11 to 15; a receiver has the first two.
    fn five(folder: &Path) -> (Vec<u8>, Past) {
        let mut spool = open(folder, 0);
        for seq in 11..=15 {
            spool.set_mark(Mark { next: Some(seq + 1), seen: [seen(seq)].into(), ..Mark::default() });
            spool.push(Timestamp::UNIX_EPOCH, alert(seq));
        }
        spool.write().unwrap();
        let mark = Mark { next: Some(13), seen: [seen(12)].into(), ..Mark::default() };
        (fs::read(folder.join("spool.jsonl")).unwrap(), Past { highest: 5, lowest: 2, mark, has_begun: true })
    }

    #[test]
    fn a_spool_that_is_lost_is_no_first_start_and_the_daemon_is_read_from_what_a_receiver_has_not_got() {
        let folder = tempfile::tempdir().unwrap();
        let (whole, past) = five(folder.path());
        let path = folder.path().join("spool.jsonl");
        let garbage = [b"x".repeat(whole.len() - 1), b"\n".to_vec()].concat();
        for lost in [None, Some(Vec::new()), Some(vec![0; whole.len()]), Some(garbage), Some(whole[..30].to_vec())] {
            match &lost {
                Some(bytes) => fs::write(&path, bytes).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            let spool = Spool::open(folder.path(), &past, Timestamp::UNIX_EPOCH).unwrap();
            let all: Vec<&Entry> = spool.since(0).collect();
            assert_eq!(
                (all.len(), all[0].n, &*all[0].alert.as_ref().unwrap().code),
                (1, 6, "spool_damaged"),
                "{lost:?}"
            );
            assert_eq!((spool.mark().next, &spool.mark().seen), (Some(13), &[seen(12)].into()), "{lost:?}");
            // the next start goes on from there
            let again = Spool::open(folder.path(), &past, Timestamp::UNIX_EPOCH).unwrap();
            assert_eq!((again.since(0).count(), again.mark().next), (1, Some(13)));
        }
        fs::remove_file(&path).unwrap();
        let first = Spool::open(folder.path(), &Past::default(), Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!((first.since(0).count(), first.mark().next), (0, None));
        // a receiver that does not say how far it is
        fs::remove_file(&path).unwrap();
        let past = Past { mark: Mark::default(), ..past };
        let unknown = Spool::open(folder.path(), &past, Timestamp::UNIX_EPOCH).unwrap();
        assert!(unknown.mark().next == Some(1) && unknown.mark().is_replay);
    }

    #[test]
    fn behind_a_damaged_line_only_what_is_missing_is_taken_in_again() {
        let folder = tempfile::tempdir().unwrap();
        let (whole, past) = five(folder.path());
        let path = folder.path().join("spool.jsonl");
        for (line, next) in [(0, 16), (1, 16), (2, 13), (3, 14), (4, 15)] {
            let mut lines: Vec<&[u8]> = whole.split(|byte| *byte == b'\n').collect();
            lines[line] = b"{\"n\":";
            fs::write(&path, lines.join(&b'\n')).unwrap();
            let spool = Spool::open(folder.path(), &past, Timestamp::UNIX_EPOCH).unwrap();
            assert_eq!(spool.mark().next, Some(next), "line {line}");
            let behind: Vec<u64> = (11..=15).filter(|seq| spool.has(&seen(*seq))).collect();
            let expected: Vec<u64> = if next == 16 { Vec::new() } else { (next + 1..=15).collect() };
            assert_eq!(behind, expected, "line {line}");
        }
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
        // the last thousand that are done with stay
        assert_eq!(numbers(&spool), (1901..=3000).collect::<Vec<_>>());
        spool.push(Timestamp::UNIX_EPOCH, alert(3001));
        spool.write().unwrap();
        spool.pass("a", 3001).unwrap();
        let again = open(folder.path(), 0);
        assert_eq!((numbers(&again).len(), again.last(), again.mark().next), (1101, 3001, Some(77)));
    }
}
