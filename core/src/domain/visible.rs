//! What people can see of a text.

use std::fmt::Write as _;

use super::invalid::{InvalidLine, field_error};

/// First and last of the characters that show nothing of their own: general category Format or property
/// Default_Ignorable_Code_Point of the Unicode Character Database, and the blank of braille. In order.
const UNSEEN: [(char, char); 26] = [
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{600}', '\u{605}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{6dd}', '\u{6dd}'),
    ('\u{70f}', '\u{70f}'),
    ('\u{890}', '\u{891}'),
    ('\u{8e2}', '\u{8e2}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{202a}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{2800}', '\u{2800}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fffb}'),
    ('\u{110bd}', '\u{110bd}'),
    ('\u{110cd}', '\u{110cd}'),
    ('\u{13430}', '\u{1343f}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
];

/// Whether `character` hides in a text: it shows nothing, takes no place, or turns the direction of what is around it. Spaces
/// do not hide, and control characters are told by [`char::is_control`].
pub fn is_hidden(character: char) -> bool {
    let separates_lines = matches!(character, '\u{2028}' | '\u{2029}');
    let place = UNSEEN.partition_point(|(_, last)| *last < character);
    separates_lines || UNSEEN.get(place).is_some_and(|(first, _)| *first <= character)
}

/// Appends `character` spelled as JSON spells it, such as `\u001b`: for one that is not to be shown as it is.
pub fn spell(character: char, out: &mut String) {
    for unit in character.encode_utf16(&mut [0; 2]) {
        let _a_string_takes_it = write!(out, "\\u{unit:04x}");
    }
}

/// Whether there is something to see in `text`: more than separators, control characters and what [hides](is_hidden).
fn is_visible(text: &str) -> bool {
    text.chars().any(|character| !(character.is_whitespace() || character.is_control() || is_hidden(character)))
}

/// Checks the reason of an order, which people read later.
///
/// # Errors
/// [`InvalidLine`] about the field `reason` when there is nothing to see in it.
pub fn check_reason(reason: &str) -> Result<(), InvalidLine> {
    let what = if reason.trim().is_empty() { "it is empty" } else { "nothing in it can be seen" };
    let why = format!("{what}; say why in your own words, it is kept for ever");
    if is_visible(reason) { Ok(()) } else { Err(field_error("out_of_range", "reason", &why)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_that_nobody_can_see_is_none() {
        let unseen = [
            "",
            " ",
            "\t\r\n",
            "\0",
            "\u{7f}",
            "\u{85}",
            "\u{a0}",
            "\u{ad}",
            "\u{200b}",
            "\u{200d}\u{200c}",
            "\u{202e}",
            "\u{2028}",
            "\u{2029}",
            "\u{2060}",
            "\u{2062}",
            "\u{2800}",
            "\u{3000}",
            "\u{3164}",
            "\u{115f}\u{1160}",
            "\u{ffa0}",
            "\u{fe0f}",
            "\u{feff}",
            "\u{1d173}",
            "\u{e0001}",
            "\u{e0020}\u{e007f}",
            " \u{200b}\u{feff} \u{3000}",
        ];
        for reason in unseen {
            assert!(check_reason(reason).is_err(), "{reason:?}");
        }
        for reason in ["x", ".", "0", "é", "新", "신", "\u{200b}x", "⚠\u{fe0f}", "\u{1f6d1}", "\u{202e}why", "e\u{301}"]
        {
            assert!(check_reason(reason).is_ok(), "{reason:?}");
        }
    }

    #[test]
    fn the_characters_that_hide_stand_in_order() {
        assert!(UNSEEN.iter().all(|(first, last)| first <= last));
        assert!(UNSEEN.windows(2).all(|pair| matches!(pair, [(_, last), (first, _)] if last < first)));
    }
}
