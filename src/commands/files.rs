//! Files of JSON lines, plain or gzipped, or standard input, read line by line with a bar that shows how far.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, IsTerminal, Read},
    path::Path,
};

use anyhow::Context;
use flate2::bufread::GzDecoder;
use indicatif::{ProgressBar, ProgressStyle};

use super::{Failed, Outcome, terminal::warn};

/// Longest line that is read, in bytes.
const MAX_LINE_BYTES: u64 = 1 << 20;
/// First bytes of a gzip file.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// First bytes of a text file that some programs write.
const BYTE_ORDER_MARK: [u8; 3] = [0xef, 0xbb, 0xbf];

/// What gzip files one after the other hold. Zeros behind the last of them are padding and end it.
struct Members<R> {
    /// The file, or what reads it. `None` once it has ended.
    rest: Option<Rest<R>>,
}

enum Rest<R> {
    /// Within a gzip file.
    Inside(Box<GzDecoder<R>>),
    /// Behind one.
    Behind(R),
}

impl<R: BufRead> Members<R> {
    fn new(file: R) -> Self {
        Self { rest: Some(Rest::Inside(Box::new(GzDecoder::new(file)))) }
    }

    /// What follows a gzip file.
    fn next_member(mut file: R) -> io::Result<Option<Rest<R>>> {
        loop {
            let rest = file.fill_buf()?;
            let zeros = rest.iter().take_while(|byte| **byte == 0).count();
            if rest.is_empty() {
                return Ok(None);
            }
            if zeros == 0 {
                // anything but another one is a fault of the next header
                return Ok(Some(Rest::Inside(Box::new(GzDecoder::new(file)))));
            }
            file.consume(zeros);
        }
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.rest.take() {
                None => return Ok(0),
                Some(Rest::Inside(mut member)) => match member.read(buffer)? {
                    0 if !buffer.is_empty() => self.rest = Some(Rest::Behind(member.into_inner())),
                    read => {
                        self.rest = Some(Rest::Inside(member));
                        return Ok(read);
                    }
                },
                Some(Rest::Behind(file)) => self.rest = Self::next_member(file)?,
            }
        }
    }
}

/// The lines of one file.
pub(super) struct Lines {
    reader: Box<dyn BufRead>,
    line: Vec<u8>,
    number: u64,
    name: String,
}

/// A line that could not be had.
pub(super) enum Line<'a> {
    /// Without its line end.
    Text(&'a [u8]),
    /// Longer than is read.
    TooLong,
}

/// Opens `path`, unpacked where it is gzipped; `-` is standard input.
pub(super) fn open(path: &Path, bar: &ProgressBar) -> anyhow::Result<Box<dyn BufRead>> {
    let name = path.display().to_string();
    let raw: Box<dyn Read> = if name == "-" {
        Box::new(io::stdin())
    } else {
        let file = File::open(path).with_context(|| format!("{name} cannot be opened"))?;
        if file.metadata().with_context(|| name.clone())?.is_dir() {
            anyhow::bail!("{name} is a folder");
        }
        Box::new(bar.wrap_read(file))
    };
    let mut buffered = BufReader::with_capacity(1 << 16, raw);
    let is_gzip = buffered.fill_buf().with_context(|| format!("{name} cannot be read"))?.starts_with(&GZIP);
    Ok(if is_gzip { Box::new(BufReader::with_capacity(1 << 16, Members::new(buffered))) } else { Box::new(buffered) })
}

impl Lines {
    /// Opens `path`; `-` is standard input.
    pub(super) fn open(path: &Path, bar: &ProgressBar) -> anyhow::Result<Self> {
        Ok(Self { reader: open(path, bar)?, line: Vec::new(), number: 0, name: path.display().to_string() })
    }

    /// The next line that is not blank, with its number from 1. An object that was written for people to read, from a
    /// line `{` to a line `}`, is one line.
    pub(super) fn next(&mut self) -> anyhow::Result<Option<(u64, Line<'_>)>> {
        loop {
            self.line.clear();
            self.number += 1;
            let limited = (&mut self.reader).take(MAX_LINE_BYTES + 1).read_until(b'\n', &mut self.line);
            let read = limited.with_context(|| format!("{} cannot be read at line {}", self.name, self.number))?;
            if read == 0 {
                return Ok(None);
            }
            let whole = self.line.last() == Some(&b'\n');
            if !whole && self.line.iter().all(|byte| *byte == 0) {
                // padding up to the end of the file
                self.number -= 1;
                continue;
            }
            if self.number == 1 && self.line.starts_with(&BYTE_ORDER_MARK) {
                self.line.drain(..BYTE_ORDER_MARK.len());
            }
            if !whole && read as u64 > MAX_LINE_BYTES {
                self.skip_rest()?;
                return Ok(Some((self.number, Line::TooLong)));
            }
            let end = self.line.trim_ascii_end().len();
            self.line.truncate(end);
            let first = self.number;
            if self.line == b"{" && !self.join()? {
                return Ok(Some((first, Line::TooLong)));
            }
            if !self.line.trim_ascii_start().is_empty() {
                return Ok(Some((first, Line::Text(&self.line))));
            }
        }
    }

    /// Appends the lines up to the one that closes the object. False when it is longer than is read.
    fn join(&mut self) -> anyhow::Result<bool> {
        loop {
            let start = self.line.len();
            self.number += 1;
            let limited = (&mut self.reader).take(MAX_LINE_BYTES + 1).read_until(b'\n', &mut self.line);
            limited.with_context(|| format!("{} cannot be read at line {}", self.name, self.number))?;
            let end = self.line.trim_ascii_end().len().max(start);
            let part = self.line.get(start..).unwrap_or_default();
            let last = part.is_empty() || part.trim_ascii_end() == b"}";
            let fits = self.line.len() as u64 <= MAX_LINE_BYTES;
            if last || !fits {
                self.line.truncate(end);
                return Ok(fits);
            }
            // no string of JSON has a bare line end in it
            self.line.truncate(end);
            self.line.push(b' ');
        }
    }

    fn skip_rest(&mut self) -> anyhow::Result<()> {
        loop {
            self.line.clear();
            let read = (&mut self.reader).take(MAX_LINE_BYTES).read_until(b'\n', &mut self.line)?;
            if read == 0 || self.line.last() == Some(&b'\n') {
                return Ok(());
            }
        }
    }
}

/// How a command ends that read `lines` lines and could not use `refused` of them: when that was none of all, it says so.
pub(super) fn used(lines: u64, refused: u64) -> Outcome {
    match (lines, refused) {
        (0, _) => warn("there was no line to read"),
        (lines, refused) if lines == refused => warn(format_args!("none of {lines} lines could be used")),
        (_, 0) => return Ok(()),
        _ => {}
    }
    Err(Failed::Refused)
}

/// A bar over the bytes of `paths`, on a terminal only.
pub(super) fn bytes_bar<'a>(paths: impl IntoIterator<Item = &'a Path>) -> ProgressBar {
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    let total = paths.into_iter().map(size).sum();
    bar(total, "{bar:40} {percent:>3} %  {msg}")
}

/// A bar of `total` steps, on a terminal only.
pub(super) fn bar(total: u64, template: &str) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(total).with_style(style)
}
