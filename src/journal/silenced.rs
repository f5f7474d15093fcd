//! The file of silencing events, beside the journal: what took a model's word away is also written here, on disk before
//! the journal commits it.
//!
//! A journal that was restored from an older copy, or that lost its last commits to a flipped bit, is a good journal that
//! does not know of a rollback. This file does, and a start compares the two. It only ever adds silence: an event that
//! stands here and not in the journal locks serving until a person has looked.
//!
//! It is text, a line for each event, oldest first: `<number> <digest> <time> <words> crc=<CRC-32 of what stands before>`.
//! The first line is `checkpoint <number> crc=<CRC-32>`: events up to that number were in a journal, or a resume cleared
//! them, and may have been left out since. The latest event about each version is never left out, however many came after it: a
//! journal from before it would let that version speak. A last line that was cut off was never acknowledged and counts for nothing; any
//! other line that cannot be read is damage.
#![deny(clippy::indexing_slicing)]

mod words;

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use self::words::{DIGEST, digest, digest_of, one_line, subject, version, words};
use super::{
    error::{OpenError, StoreError},
    file,
    reader::Reader,
    record::Write,
};
use crate::domain::{EventKind, Timestamp, VersionId};

/// The latest events of a journal that a new file learns, beside the latest about each version.
const LEARNT: usize = 256;
/// Lines from which on it is rewritten, without those that a later one makes superfluous.
const MOST: usize = 512;
/// More than a whole file ever has, in bytes.
const MOST_BYTES: u64 = 64 << 20;
/// Events that a disagreement names.
const NAMED: usize = 5;

/// The file, and what stands in it.
#[derive(Debug)]
pub struct SilenceFile {
    path: PathBuf,
    lines: Vec<Line>,
    /// Number of the latest event, and of the latest that was left out.
    last: u64,
    checkpoint: u64,
    /// Lines that were left when it was rewritten last, none of them superfluous.
    needed: usize,
    /// `None` when what is on disk is not what stands in `lines`: then it is rewritten before anything else.
    file: Option<File>,
    /// Whether there was none.
    is_new: bool,
}

#[derive(Debug)]
struct Line {
    /// As it stands in the file, without its end.
    text: String,
    /// `None` of a damaged line.
    event: Option<(u64, [u8; DIGEST])>,
    standing: LineState,
}

/// How an event stands to the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LineState {
    /// It was recorded here and is about to be there.
    Pending,
    /// It is there.
    Committed,
    /// The journal that the daemon was started with lacks it, or the line cannot be read.
    Missing,
}

impl SilenceFile {
    /// Reads the file at `path`. When there is none it is made with the first event that is recorded. A folder in its place is put
    /// aside, as `<name>.aside-<n>`, and there is none then.
    ///
    /// # Errors
    /// [`OpenError::Refused`] when somebody else can have put it there, [`OpenError::Storage`] when it cannot be read.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let none = Self {
            path: path.to_owned(),
            lines: Vec::new(),
            last: 0,
            checkpoint: 0,
            needed: 0,
            file: None,
            is_new: false,
        };
        match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self { is_new: true, ..none }),
            Err(error) => return Err(OpenError::io(path, READING, &error)),
            Ok(found) if found.is_dir() => {
                put_aside(path).map_err(|error| OpenError::io(path, "putting a folder aside", &error))?;
                return Ok(Self { is_new: true, ..none });
            }
            Ok(_) => {}
        }
        let mut text = Vec::new();
        match file::open_own(path) {
            Ok(file) => {
                let read = file.take(MOST_BYTES).read_to_end(&mut text);
                read.map_err(|error| OpenError::io(path, READING, &error))?;
            }
            Err(error) if error.is_corrupt() => {}
            Err(error) => return Err(error),
        }
        let mut this = none;
        this.parse(&text);
        // the end may be torn, and is not to be written behind
        this.file = append(path).ok().filter(|_| text.ends_with(b"\n"));
        Ok(this)
    }

    /// Whether there was no file when it was opened.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// Says that the file is gone although there was one: a line that no journal knows.
    pub fn was_gone(&mut self, at: Timestamp) {
        let words = "this file was gone when the daemon started, and what it held is not known";
        self.push(digest_of(at, words), at, words, LineState::Missing);
    }

    /// Compares with the events of a journal, latest first, and no further back than it takes. What the file does not know
    /// of the journal's latest it learns when it is new or does not agree.
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    pub fn compare(&mut self, reader: &Reader) -> Result<(), StoreError> {
        let mut missing = self.lines.iter().filter(|line| line.event.is_some()).count();
        let (mut subjects, mut unknown) = (BTreeSet::new(), Vec::new());
        for stored in reader.events(0)?.rev() {
            if missing == 0 && !self.is_new {
                break;
            }
            let event = match stored {
                Ok(stored) => stored.event,
                // who folds the events locks over it
                Err(StoreError::BadRecord(_)) => continue,
                Err(error) => return Err(error),
            };
            let Some(words) = words(&event) else { continue };
            let is_latest = subjects.insert(subject(&words));
            let digest = digest(&event);
            let mut is_here = false;
            for line in self.lines.iter_mut().filter(|line| line.is(&digest)) {
                missing -= usize::from(line.standing != LineState::Committed);
                (line.standing, is_here) = (LineState::Committed, true);
            }
            if !is_here && (is_latest || unknown.len() < LEARNT) {
                unknown.push((digest, event.at, words));
            }
        }
        for line in self.lines.iter_mut().filter(|line| line.standing == LineState::Pending) {
            line.standing = LineState::Missing;
        }
        if !unknown.is_empty() {
            self.file = None;
        }
        for (digest, at, words) in unknown.into_iter().rev() {
            self.push(digest, at, &words, LineState::Committed);
        }
        Ok(())
    }

    /// How the file and the journal do not agree, in words; `None` when they do.
    pub fn disagreement(&self) -> Option<String> {
        let missing = || self.lines.iter().filter(|line| line.standing == LineState::Missing);
        let lacks = missing().filter(|line| line.event.is_some()).count();
        let damaged = missing().count() - lacks;
        let mut said = Vec::new();
        if lacks > 0 {
            // the latest first; what was told of a version goes before locks
            let mut lines: Vec<&Line> = missing().filter(|line| line.event.is_some()).rev().collect();
            lines.sort_by_key(|line| line.version().is_none());
            let mut named: Vec<&Line> = lines.iter().take(NAMED).copied().collect();
            let names = |lines: &[&Line]| lines.iter().filter_map(|line| line.version()).collect::<BTreeSet<_>>();
            let others: Vec<String> = names(&lines).difference(&names(&named)).map(VersionId::to_string).collect();
            named.sort_by_key(|line| line.number());
            let named: Vec<String> = named.into_iter().filter_map(Line::named).collect();
            let more = if lacks > NAMED { format!("{} and ", lacks - NAMED) } else { String::new() };
            let others = if others.is_empty() { String::new() } else { format!(", and of {}", others.join(", ")) };
            said.push(format!("the journal lacks what silenced models: {more}{}{others}", named.join(", ")));
        }
        if damaged > 0 {
            said.push(format!("the file of silencing events is damaged: lines that cannot be read: {damaged}"));
        }
        (!said.is_empty()).then(|| format!("{} (see {})", said.join("; "), self.path.display()))
    }

    /// Puts the silencing events among `writes` on disk, each once. What a failure left half written is rewritten first.
    ///
    /// # Errors
    /// What the system said; the next call tries again.
    pub fn record<'a>(&mut self, writes: impl IntoIterator<Item = &'a Write>) -> io::Result<()> {
        let whole = self.lines.len();
        for write in writes {
            if let Write::Event(event) = write
                && let Some(words) = words(event)
            {
                let digest = digest(event);
                if !self.lines.iter().any(|line| line.is(&digest)) {
                    self.push(digest, event.at, &words, LineState::Pending);
                }
            }
        }
        if self.file.is_some() && self.lines.len() == whole {
            return Ok(());
        }
        // what follows may fail half-way: until it is done the file is not what it should be
        let Some(mut file) = self.file.take().filter(|file| is_at(&self.path, file)) else { return self.rewrite() };
        let new: String = self.lines.iter().skip(whole).map(|line| format!("{}\n", line.text)).collect();
        file.write_all(new.as_bytes())?;
        file.sync_data()?;
        self.file = Some(file);
        Ok(())
    }

    /// Takes in that the journal has `writes`. A resume clears what the file and the journal did not agree on; a file that
    /// has grown is rewritten without the events that a later one about the same makes superfluous. The latest about each
    /// version stays for good.
    ///
    /// # Errors
    /// What the system said; the file is whole and says too much until the next call of [`SilenceFile::record`].
    pub fn committed(&mut self, writes: &[Write]) -> io::Result<()> {
        let mut must_rewrite = false;
        for write in writes {
            let Write::Event(event) = write else { continue };
            if matches!(event.kind, EventKind::Resumed { .. }) {
                must_rewrite |= self.drop_lines(|line| line.standing == LineState::Missing);
            } else if words(event).is_some() {
                let digest = digest(event);
                let mine = self.lines.iter_mut().filter(|line| line.is(&digest));
                mine.for_each(|line| line.standing = LineState::Committed);
            }
        }
        if self.lines.len() >= MOST.max(2 * self.needed) {
            let mut subjects = BTreeSet::new();
            let committed = self.lines.iter().rev().filter(|line| line.standing == LineState::Committed);
            let superfluous =
                committed.filter(|line| line.words().is_some_and(|words| !subjects.insert(subject(words))));
            let superfluous: BTreeSet<u64> = superfluous.filter_map(Line::number).collect();
            must_rewrite |= self.drop_lines(|line| line.number().is_some_and(|number| superfluous.contains(&number)));
            self.needed = self.lines.len();
        }
        if must_rewrite { self.rewrite() } else { Ok(()) }
    }

    fn drop_lines(&mut self, dropped: impl Fn(&Line) -> bool) -> bool {
        let before = self.lines.len();
        let mut highest = self.checkpoint;
        self.lines.retain(|line| {
            let is_dropped = dropped(line);
            if is_dropped {
                highest = highest.max(line.number().unwrap_or(0));
            }
            !is_dropped
        });
        self.checkpoint = highest;
        self.lines.len() < before
    }

    fn push(&mut self, digest: [u8; DIGEST], at: Timestamp, words: &str, standing: LineState) {
        self.last += 1;
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let text = sealed(&format!("{} {hex} {at} {}", self.last, one_line(words)));
        self.lines.push(Line { text, event: Some((self.last, digest)), standing });
    }

    /// Beside the old file, which is replaced when the new one is whole and on disk.
    fn rewrite(&mut self) -> io::Result<()> {
        self.file = None;
        let mut name = self.path.clone().into_os_string();
        name.push(".new");
        let draft = PathBuf::from(name);
        match fs::remove_file(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        let mut text = sealed(&format!("checkpoint {}", self.checkpoint)) + "\n";
        self.lines.iter().for_each(|line| text.extend([&*line.text, "\n"]));
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, &self.path)?;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()?;
        self.file = Some(append(&self.path)?);
        Ok(())
    }

    fn parse(&mut self, text: &[u8]) {
        let is_whole = text.ends_with(b"\n");
        let mut lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
        // behind the last line break stands nothing, or what was cut off
        let rest = lines.pop().unwrap_or_default();
        if !is_whole && Line::read(rest).is_some_and(|line| line.event.is_some()) {
            lines.push(rest);
        }
        let first = lines.first().copied().unwrap_or_default();
        if let Some(number) = checkpoint(first) {
            self.checkpoint = number;
            lines.remove(0);
        } else if lines.is_empty() || Line::read(first).is_some() {
            // a line that should be there and is not
            lines.insert(0, b"");
        }
        for line in lines {
            let damaged = || Line::damaged(&String::from_utf8_lossy(line));
            self.lines.push(Line::read(line).unwrap_or_else(damaged));
        }
        let numbers = self.lines.iter().filter_map(Line::number);
        self.last = numbers.max().unwrap_or(0).max(self.checkpoint);
    }
}

impl Line {
    fn read(line: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(line).ok()?;
        let mut parts = unsealed(text)?.splitn(4, ' ');
        let (number, hex) = (parts.next()?.parse().ok()?, parts.next()?);
        let _time: Timestamp = parts.next()?.parse().ok()?;
        let mut digest = [0; DIGEST];
        for (place, byte) in digest.iter_mut().enumerate() {
            *byte = u8::from_str_radix(hex.get(2 * place..2 * place + 2)?, 16).ok()?;
        }
        Some(Self { text: text.to_owned(), event: Some((number, digest)), standing: LineState::Pending })
    }

    fn is(&self, digest: &[u8; DIGEST]) -> bool {
        self.event.is_some_and(|(_, own)| own == *digest)
    }

    fn damaged(text: &str) -> Self {
        Self { text: one_line(text), event: None, standing: LineState::Missing }
    }

    fn number(&self) -> Option<u64> {
        self.event.map(|(number, _)| number)
    }

    /// What it took away; `None` of a damaged line.
    fn words(&self) -> Option<&str> {
        self.event?;
        unsealed(&self.text)?.splitn(4, ' ').nth(3)
    }

    fn version(&self) -> Option<VersionId> {
        version(self.words()?)
    }

    /// `7 (2026-11-28T09:00:00Z ES/1 left production: ...)`.
    fn named(&self) -> Option<String> {
        let (number, _) = self.event?;
        let words = unsealed(&self.text)?.splitn(3, ' ').nth(2)?.to_owned();
        Some(format!("{number} ({words})"))
    }
}

const READING: &str = "reading the silencing events";

fn sealed(text: &str) -> String {
    let mut crc = flate2::Crc::new();
    crc.update(text.as_bytes());
    format!("{text} crc={:08x}", crc.sum())
}

fn unsealed(line: &str) -> Option<&str> {
    let (text, _) = line.rsplit_once(" crc=")?;
    (sealed(text) == line).then_some(text)
}

fn checkpoint(line: &[u8]) -> Option<u64> {
    unsealed(std::str::from_utf8(line).ok()?)?.strip_prefix("checkpoint ")?.parse().ok()
}

fn append(path: &Path) -> io::Result<File> {
    let flags = nix::fcntl::OFlag::O_NOFOLLOW | nix::fcntl::OFlag::O_NONBLOCK;
    fs::OpenOptions::new().append(true).custom_flags(flags.bits()).open(path)
}

/// Renames what stands at `path` to the first name that is free.
fn put_aside(path: &Path) -> io::Result<()> {
    let name = |n: u64| {
        let mut name = path.to_owned().into_os_string();
        name.push(format!(".aside-{n}"));
        PathBuf::from(name)
    };
    let free = (1..).map(name).find(|aside| aside.symlink_metadata().is_err());
    free.map_or(Err(io::ErrorKind::AlreadyExists.into()), |aside| fs::rename(path, aside))
}

/// Whether the file still stands at `path`.
fn is_at(path: &Path, file: &File) -> bool {
    let found = fs::symlink_metadata(path).ok().map(|found| (found.dev(), found.ino()));
    found.is_some() && found == file.metadata().ok().map(|held| (held.dev(), held.ino()))
}
