//! Bytes in, lines out.
#![deny(clippy::indexing_slicing)]

/// What the buffer holds next.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame {
    /// A whole line, without its end; read it with [`LineBuffer::line`].
    Line(std::ops::Range<usize>),
    /// Not yet a whole line.
    Partial,
    /// More bytes than a line may have, and no end of line among them.
    TooLong,
}

/// Collects bytes and gives them back line by line. It never holds more than one line over the limit.
#[derive(Debug)]
pub struct LineBuffer {
    bytes: Vec<u8>,
    /// Start of what has not been given out.
    start: usize,
    /// Up to here there is no line end after `start`.
    searched: usize,
    max_line: usize,
}

impl LineBuffer {
    /// A buffer for lines of at most `max_line` bytes, without their end.
    pub fn new(max_line: usize) -> Self {
        Self { bytes: Vec::with_capacity(4096), start: 0, searched: 0, max_line }
    }

    /// Where to append what was read, with room for at least `room` more bytes. Everything given out before is forgotten,
    /// so ranges from [`Self::next_frame`] are void after this.
    pub fn room(&mut self, room: usize) -> &mut Vec<u8> {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.searched -= self.start;
            self.start = 0;
        }
        self.bytes.reserve(room);
        &mut self.bytes
    }

    /// The next line, if it is complete.
    pub fn next_frame(&mut self) -> Frame {
        let unsearched = self.bytes.get(self.searched..).unwrap_or_default();
        match memchr::memchr(b'\n', unsearched) {
            Some(offset) => {
                let (start, end) = (self.start, self.searched + offset);
                self.start = end + 1;
                self.searched = end + 1;
                let carriage_return = end > start && self.bytes.get(end - 1) == Some(&b'\r');
                let end = if carriage_return { end - 1 } else { end };
                if end - start > self.max_line { Frame::TooLong } else { Frame::Line(start..end) }
            }
            None => {
                self.searched = self.bytes.len();
                // one byte more than the limit may still be the carriage return of a line that fits
                if self.searched - self.start > self.max_line + 1 { Frame::TooLong } else { Frame::Partial }
            }
        }
    }

    /// The bytes of a range that [`Self::next_frame`] gave.
    pub fn line(&self, range: std::ops::Range<usize>) -> &[u8] {
        self.bytes.get(range).unwrap_or_default()
    }

    /// Whether anything was not given out yet: when there is no whole line, a part of one that waits for its end.
    pub fn has_partial(&self) -> bool {
        self.bytes.len() > self.start
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(max_line: usize, chunks: &[&[u8]]) -> Vec<Option<Vec<u8>>> {
        let mut buffer = LineBuffer::new(max_line);
        let mut found = Vec::new();
        for chunk in chunks {
            buffer.room(chunk.len()).extend_from_slice(chunk);
            loop {
                match buffer.next_frame() {
                    Frame::Line(range) => found.push(Some(buffer.line(range).to_vec())),
                    Frame::Partial => break,
                    Frame::TooLong => {
                        found.push(None);
                        return found;
                    }
                }
            }
        }
        found
    }

    #[test]
    fn a_line_at_the_limit_passes_and_one_byte_more_does_not() {
        assert_eq!(lines(3, &[b"abc\r\n"]), [Some(b"abc".to_vec())]);
        assert_eq!(lines(3, &[b"abcd\n"]), [None]);
        assert_eq!(lines(3, &[b"abcde"]), [None]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { rng_seed: proptest::test_runner::RngSeed::Fixed(7), failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn lines_do_not_depend_on_how_the_bytes_arrive(text in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), any::<u8>()], 0..200), cut in 1usize..20) {
            let whole = lines(1000, &[&text]);
            let pieces: Vec<&[u8]> = text.chunks(cut).collect();
            prop_assert_eq!(&whole, &lines(1000, &pieces));
            prop_assert_eq!(whole.len(), text.iter().filter(|b| **b == b'\n').count());
        }
    }
}
