//! The words of a message: one line an alert, with what to do.

use std::fmt::Write as _;

use crate::{
    advice,
    alert::Alert,
    message::{Kind, Message},
};

/// A line for one alert, or for several of one code, without anything that a terminal or a reader would interpret.
fn line(label: &str, alerts: &[&Alert], most: usize) -> String {
    let (Some(first), Some(last)) = (alerts.first(), alerts.last()) else { return String::new() };
    let level = alerts.iter().map(|alert| alert.level).max().unwrap_or(last.level).name();
    let mut text = if last.drill { format!("DRILL {level} ") } else { format!("{level} ") };
    text += &last.code;
    if alerts.len() > 1 {
        let _never_fails = write!(text, " x{} from {:.0} to {:.0}, the last", alerts.len(), first.at, last.at);
    } else {
        let _never_fails = write!(text, " at {:.0}", last.at);
    }
    let place = if label.is_empty() { String::new() } else { format!(" on {label}") };
    let remedy = advice::of(&last.code).remedy;
    let mut words: String = last.message.chars().take(most).collect();
    if words.len() < last.message.len() {
        words.push('…');
    }
    flat(&format!("{text}{place}: {words}. To do: {remedy}."))
}

/// On one line: what is a control or turns the direction of the text becomes a space.
fn flat(text: &str) -> String {
    let is_odd = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if is_odd(c) { ' ' } else { c }).collect()
}

/// The lines of a message. Of what an alert says, at most so many characters stand there.
pub fn lines(label: &str, message: &Message, may_be_there: bool, most: usize) -> Vec<String> {
    let all: Vec<&Alert> = message.alerts.iter().collect();
    let mut lines = Vec::new();
    if message.kind == Kind::Summary {
        let rest =
            if message.left > 0 { format!(", and {} more in a further part", message.left) } else { String::new() };
        lines.push(format!("Quiet hours are over. Held back: {}{rest}", all.len()));
        let mut codes: Vec<&str> = Vec::new();
        for alert in &all {
            if !codes.contains(&&*alert.code) {
                codes.push(&alert.code);
            }
        }
        for code in codes {
            let of_code: Vec<&Alert> = all.iter().copied().filter(|alert| alert.code == code).collect();
            lines.push(line(label, &of_code, most));
        }
    } else {
        lines.push(line(label, &all, most));
    }
    if may_be_there {
        lines.push("(sent again: whether it arrived before is not known)".to_owned());
    }
    lines
}

/// The text of a message in at most `most` UTF-16 units, once each character went through `escape`. What alerts say is cut first, so that
/// what to do stays.
pub fn fitted(
    label: &str,
    message: &Message,
    may_be_there: bool,
    most: usize,
    escape: impl Fn(char, &mut String),
) -> String {
    let text = |cut: usize| lines(label, message, may_be_there, cut).join("\n");
    let (mut low, mut high) =
        (0, message.alerts.iter().map(|alert| alert.message.chars().count()).max().unwrap_or_default());
    while low < high {
        let middle = (low + high).div_ceil(2);
        let length: usize = text(middle).chars().map(|c| units(c, &escape)).sum();
        if length <= most { low = middle } else { high = middle - 1 }
    }
    fit(&text(low), most, escape)
}

/// As much of `text` as fits into `most` UTF-16 units once each character went through `escape`.
fn fit(text: &str, most: usize, escape: impl Fn(char, &mut String)) -> String {
    let (mut fitted, mut length) = (String::new(), 0);
    let whole: usize = text.chars().map(|c| units(c, &escape)).sum();
    let room = if whole > most { most.saturating_sub(1) } else { most };
    for c in text.chars() {
        length += units(c, &escape);
        if length > room {
            fitted.push('…');
            break;
        }
        escape(c, &mut fitted);
    }
    fitted
}

fn units(c: char, escape: &impl Fn(char, &mut String)) -> usize {
    let mut one = String::new();
    escape(c, &mut one);
    one.encode_utf16().count()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::alert::Level;

    fn message(kind: Kind, texts: &[&str]) -> Message {
        let alerts: Vec<Alert> = texts
            .iter()
            .map(|text| Alert::own(Timestamp::UNIX_EPOCH, Level::Warning, "drift", (*text).to_owned()))
            .collect();
        Message::new("r", kind, (1..).zip(&alerts))
    }

    #[test]
    fn an_alert_is_one_line_with_what_to_do_and_repeats_are_one_with_a_count() {
        let one = lines("desk", &message(Kind::Alert, &["an\ninput \u{202e}moved\u{1b}[2J"]), false, usize::MAX);
        let expected = "WARNING drift at 1970-01-01T00:00:00Z on desk: an input  moved [2J. To do: compare the feed with the training \
             data; train a new version.";
        assert_eq!(one, [expected]);
        let many = lines("", &message(Kind::Repeats, &["a", "b", "c"]), true, 1);
        assert!(
            many[0].starts_with("WARNING drift x3 from 1970-01-01T00:00:00Z to 1970") && many[0].contains("last: c.")
        );
        assert!(many[1].contains("sent again"));
        let night = message(Kind::Summary, &["a", "b"]);
        let said = lines("", &night, false, 1);
        assert_eq!((&*said[0], said.len()), ("Quiet hours are over. Held back: 2", 2));
        let said = lines("", &Message { left: 7, ..night }, false, 1);
        assert_eq!(said[0], "Quiet hours are over. Held back: 2, and 7 more in a further part");
    }

    #[test]
    fn what_is_cut_keeps_what_to_do() {
        let long = message(Kind::Alert, &[&"long ".repeat(2000)]);
        for most in [4096, 500] {
            let text = fitted("", &long, true, most, |c, out| out.push(c));
            assert!(text.encode_utf16().count() <= most && text.contains("long long") && text.contains('…'), "{text}");
            assert!(text.contains(". To do: compare the feed") && text.ends_with("is not known)"), "{text}");
        }
    }

    #[test]
    fn a_text_fits_after_its_escapes_and_no_character_is_cut() {
        let twice = |c: char, out: &mut String| out.extend([c, c]);
        assert_eq!(fit("abc", 6, twice), "aabbcc");
        assert_eq!(fit("abcd", 6, twice), "aabb…");
        assert_eq!(fit("😀😀", 4, |c, out| out.push(c)), "😀😀");
        assert_eq!(fit("😀😀", 3, |c, out| out.push(c)), "😀…");
    }
}
