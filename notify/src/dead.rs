//! The list of dead letters: `dead.jsonl`, one a line. Two processes write to it, the one that serves and the one that somebody
//! calls, so each holds `dead.lock` while it does.

use std::{
    fs::File,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

use crate::{disk, ledger::Letter};

/// A line that is no letter, with its number from 1.
type Damaged = (usize, Vec<u8>);

/// The list.
#[derive(Debug, Clone)]
pub struct DeadLetters {
    path: PathBuf,
    lock: PathBuf,
}

impl DeadLetters {
    /// Of a state folder.
    pub fn new(folder: &Path) -> Self {
        Self { path: folder.join("dead.jsonl"), lock: folder.join("dead.lock") }
    }

    /// Adds one.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn add(&self, letter: &Letter) -> io::Result<()> {
        self.locked(|| {
            let mut line = serde_json::to_vec(letter)?;
            // a line that an earlier try left half-written is ended first
            let is_torn = disk::read(&self.path)?.is_some_and(|bytes| bytes.last().is_some_and(|last| *last != b'\n'));
            if is_torn {
                line.insert(0, b'\n');
            }
            line.push(b'\n');
            let mut file = File::options().create(true).append(true).mode(0o600).open(&self.path)?;
            file.write_all(&line)?;
            file.sync_all()?;
            disk::sync_folder(&self.path)
        })
    }

    /// All that can be read, oldest first, each once.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(&self) -> io::Result<Vec<Letter>> {
        Ok(self.whole()?.0)
    }

    /// The letters, and what is none, each with the number of its line from 1.
    fn whole(&self) -> io::Result<(Vec<Letter>, Vec<Damaged>)> {
        let bytes = disk::read(&self.path)?.unwrap_or_default();
        let (mut letters, mut damaged): (Vec<Letter>, _) = (Vec::new(), Vec::new());
        for (number, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')).filter(|(_, line)| !line.is_empty()) {
            let Ok(letter) = serde_json::from_slice::<Letter>(line) else {
                damaged.push((number, line.to_vec()));
                continue;
            };
            letters.retain(|known| known.receiver != letter.receiver || known.message.id != letter.message.id);
            letters.push(letter);
        }
        Ok((letters, damaged))
    }

    /// Puts what cannot be read aside, in `dead.damaged`, and gives back how many lines that were.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn mend(&self) -> io::Result<usize> {
        if self.whole()?.1.is_empty() {
            return Ok(0);
        }
        self.locked(|| {
            let (letters, damaged) = self.whole()?;
            self.write(&letters, &damaged)?;
            Ok(damaged.len())
        })
    }

    /// What of the list cannot be read, in words.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn damaged(&self) -> io::Result<Vec<String>> {
        let (path, aside) = (self.path.display(), self.aside());
        let mut words: Vec<String> =
            self.whole()?.1.iter().map(|(number, _)| format!("{path}:{number}: this line cannot be read")).collect();
        let kept = disk::read(&aside)?
            .unwrap_or_default()
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .count();
        if kept > 0 {
            words.push(format!("{}: {kept} lines that could not be read are kept here", aside.display()));
        }
        Ok(words)
    }

    fn aside(&self) -> PathBuf {
        self.path.with_extension("damaged")
    }

    /// Marks those that `chosen` takes to be sent once more, and gives back how many were not marked before.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn resend(&self, chosen: impl Fn(&Letter) -> bool) -> io::Result<usize> {
        let mut marked = 0;
        self.change(|letters| {
            for letter in letters.iter_mut().filter(|letter| chosen(letter) && !letter.again) {
                letter.again = true;
                marked += 1;
            }
        })?;
        Ok(marked)
    }

    /// Removes those that `chosen` takes.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn remove(&self, chosen: impl Fn(&Letter) -> bool) -> io::Result<()> {
        self.change(|letters| letters.retain(|letter| !chosen(letter)))
    }

    /// When it was changed last; none if there is none.
    pub fn changed(&self) -> Option<SystemTime> {
        std::fs::metadata(&self.path).and_then(|file| file.modified()).ok()
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Letter>)) -> io::Result<()> {
        self.locked(|| {
            let (mut letters, damaged) = self.whole()?;
            let before = letters.clone();
            change(&mut letters);
            if letters == before { Ok(()) } else { self.write(&letters, &damaged) }
        })
    }

    /// Writes the list. What cannot be read is kept beside first.
    fn write(&self, letters: &[Letter], damaged: &[Damaged]) -> io::Result<()> {
        if !damaged.is_empty() {
            let mut kept = disk::read(&self.aside())?.unwrap_or_default();
            for (_, line) in damaged {
                kept.extend(line);
                kept.push(b'\n');
            }
            disk::replace(&self.aside(), &kept)?;
        }
        let mut text = Vec::new();
        for letter in letters {
            serde_json::to_writer(&mut text, letter)?;
            text.push(b'\n');
        }
        disk::replace(&self.path, &text)
    }

    fn locked<T>(&self, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let lock = File::options().create(true).truncate(false).write(true).mode(0o600).open(&self.lock)?;
        lock.lock()?;
        // it is let go of when the file is closed
        act()
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::{
        alert::{Alert, Level},
        message::{Kind, Message},
    };

    fn letter(receiver: &str, number: u64) -> Letter {
        let alert = Alert::own(Timestamp::UNIX_EPOCH, Level::Info, "drift", String::new());
        let message = Message::new(receiver, Kind::Alert, [(number, &alert)]);
        Letter {
            receiver: receiver.to_owned(),
            message,
            tries: 1,
            at: Timestamp::UNIX_EPOCH,
            why: "x".to_owned(),
            again: false,
        }
    }

    #[test]
    fn letters_are_added_marked_and_removed_and_half_a_line_harms_none() {
        let folder = tempfile::tempdir().unwrap();
        let dead = DeadLetters::new(folder.path());
        assert!(dead.read().unwrap().is_empty() && dead.resend(|_| true).unwrap() == 0);
        dead.add(&letter("a", 1)).unwrap();
        std::fs::OpenOptions::new().append(true).open(&dead.path).unwrap().write_all(b"{\"half").unwrap();
        dead.add(&letter("b", 2)).unwrap();
        dead.add(&letter("a", 3)).unwrap();
        // one that is added twice, as after a kill between two files, is there once
        dead.add(&letter("a", 3)).unwrap();
        assert_eq!(dead.read().unwrap(), [letter("a", 1), letter("b", 2), letter("a", 3)]);
        assert!(dead.damaged().unwrap()[0].ends_with("dead.jsonl:2: this line cannot be read"), "{:?}", dead.damaged());
        assert_eq!(dead.resend(|letter| letter.receiver == "a").unwrap(), 2);
        assert_eq!(dead.resend(|letter| letter.receiver == "a").unwrap(), 0, "they are marked already");
        // the list was rewritten, and what could not be read is kept beside
        let kept = std::fs::read(dead.aside()).unwrap();
        assert_eq!((&*kept, dead.damaged().unwrap().len(), dead.mend().unwrap()), (&b"{\"half\n"[..], 1, 0));
        let again: Vec<bool> = dead.read().unwrap().iter().map(|letter| letter.again).collect();
        assert_eq!(again, [true, false, true]);
        dead.remove(|letter| letter.again).unwrap();
        assert_eq!(dead.read().unwrap(), [letter("b", 2)]);
    }
}
