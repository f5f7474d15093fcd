//! Markup, written so that nothing gets into a page unescaped.

use std::fmt::{self, Display, Write as _};

use crate::domain::visible::is_hidden;

/// A page, or a part of one, as it is being written.
#[derive(Debug, Default)]
pub(super) struct Page(String);

/// What an element carries: names and values.
pub(super) type Attributes<'a> = &'a [(&'a str, &'a dyn Display)];

impl Page {
    /// An element with what `inside` writes.
    pub(super) fn node(&mut self, tag: &str, attributes: Attributes<'_>, inside: impl FnOnce(&mut Self)) {
        self.begin(tag, attributes);
        inside(self);
        self.end(tag);
    }

    fn begin(&mut self, tag: &str, attributes: Attributes<'_>) {
        let _a_string_takes_it = write!(self.0, "<{tag}");
        for (name, value) in attributes {
            let _a_string_takes_it = write!(self.0, " {name}=\"");
            self.text(value);
            self.0.push('"');
        }
        self.0.push('>');
    }

    fn end(&mut self, tag: &str) {
        let _a_string_takes_it = write!(self.0, "</{tag}>");
    }

    /// An element with a text.
    pub(super) fn leaf(&mut self, tag: &str, attributes: Attributes<'_>, text: impl Display) {
        self.node(tag, attributes, |page| page.text(&text));
    }

    /// A text.
    pub(super) fn text(&mut self, text: &dyn Display) {
        let _a_string_takes_it = write!(Escaped(&mut self.0), "{text}");
    }

    /// Markup of our own: a constant, so that nothing from outside can be in it.
    pub(super) fn markup(&mut self, markup: &'static str) {
        self.0.push_str(markup);
    }

    /// The line ends here.
    pub(super) fn line_end(&mut self) {
        self.0.push('\n');
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }
}

/// Escapes what is written through it, for texts and attributes alike.
struct Escaped<'a>(&'a mut String);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                // no control character belongs into a page
                c if c.is_control() && c != '\n' && c != '\t' => self.0.push('\u{fffd}'),
                // what nobody sees, or what turns the direction of the text around it, is named
                c if is_hidden(c) => write!(self.0, "U+{:04X}", u32::from(c))?,
                c => self.0.push(c),
            }
        }
        Ok(())
    }
}

/// A coordinate, to a tenth of a pixel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Px(pub(super) f64);

impl Display for Px {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = (self.0 * 10.0).round() as i64;
        if tenths % 10 == 0 { write!(f, "{}", tenths / 10) } else { write!(f, "{}", tenths as f64 / 10.0) }
    }
}

/// An amount with its thousands apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Amount(pub(super) f64);

impl Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.0.abs().round();
        if self.0 < 0.0 && whole > 0.0 {
            f.write_char('\u{2212}')?;
        }
        let digits = format!("{whole:.0}");
        for (n, digit) in digits.chars().enumerate() {
            if n > 0 && (digits.len() - n) % 3 == 0 {
                f.write_char('\u{202f}')?;
            }
            f.write_char(digit)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_written_is_escaped_in_texts_and_attributes() {
        let mut page = Page::default();
        page.leaf("p", &[("title", &"\"><script>")], "a & b <script>'\u{1b}[0m");
        assert_eq!(
            page.into_text(),
            "<p title=\"&quot;&gt;&lt;script&gt;\">a &amp; b &lt;script&gt;&#39;\u{fffd}[0m</p>"
        );
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!([Px(1.0), Px(2.25), Px(-0.04)].map(|px| px.to_string()), ["1", "2.3", "0"]);
        assert_eq!(Amount(-1_234_567.4).to_string(), "\u{2212}1\u{202f}234\u{202f}567");
        assert_eq!([Amount(999.6), Amount(-0.2)].map(|amount| amount.to_string()), ["1\u{202f}000", "0"]);
    }
}
