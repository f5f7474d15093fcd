//! The bodies of messages in the shape that each receiver wants, with what it would interpret taken out of its reach.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use ring::hmac;
use serde_json::{Value, json};

use crate::{
    advice,
    ledger::Attempt,
    message::digits,
    text::{fitted, lines},
};

/// Limits of a text, in UTF-16 units.
const TELEGRAM: usize = 4096;
const DISCORD: usize = 2000;
const SLACK: usize = 3900;

/// The generic one: everything that is known.
pub fn webhook(label: &str, attempt: &Attempt) -> Value {
    let message = &attempt.message;
    let alerts: Vec<Value> = message
        .alerts
        .iter()
        .map(|alert| {
            let advice = advice::of(&alert.code);
            json!({
                "seq": alert.seq, "at": alert.at, "level": alert.level, "code": alert.code, "message": alert.message,
                "meaning": advice.meaning, "to_do": advice.remedy, "drill": alert.drill,
            })
        })
        .collect();
    json!({
        "id": message.id, "kind": message.kind, "level": message.level(), "label": label, "count": alerts.len(),
        "text": lines(label, message, false, usize::MAX).join("\n"), "alerts": alerts,
    })
}

/// HMAC-SHA256 over the time in seconds, a full stop and the body, in hexadecimal digits.
pub fn signature(key: &str, time: Timestamp, body: &[u8]) -> String {
    authenticator(key.as_bytes(), &[time.as_second().to_string().as_bytes(), b".", body].concat())
}

/// HMAC-SHA256 (RFC 2104) in hexadecimal digits.
fn authenticator(key: &[u8], data: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    digits(hmac::sign(&key, data).as_ref(), usize::MAX)
}

/// All of it, for what has no limit.
fn words(label: &str, attempt: &Attempt) -> String {
    lines(label, &attempt.message, attempt.in_doubt, usize::MAX).join("\n")
}

/// For an incoming webhook of Slack: no markup, `&`, `<` and `>` escaped, so that no mention and no link is left.
pub fn slack(label: &str, attempt: &Attempt) -> Value {
    let text = fitted(label, &attempt.message, attempt.in_doubt, SLACK, |c, out| match c {
        '&' => out.push_str("&amp;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        '@' => out.push_str("@\u{200b}"),
        c => out.push(c),
    });
    json!({ "text": text, "mrkdwn": false, "unfurl_links": false, "unfurl_media": false })
}

/// For a webhook of Discord: markdown escaped, no mention allowed, no preview.
pub fn discord(label: &str, attempt: &Attempt) -> Value {
    let text = fitted(label, &attempt.message, attempt.in_doubt, DISCORD, |c, out| {
        if "\\*_~`|>#[]()<".contains(c) {
            out.push('\\');
        }
        out.push(c);
        if c == '@' {
            out.push('\u{200b}');
        }
    });
    json!({ "content": text, "allowed_mentions": { "parse": [] }, "flags": 4 })
}

/// For the bot API of Telegram: plain text, so that nothing in it is markup.
pub fn telegram(label: &str, attempt: &Attempt, chat: &str) -> Value {
    let text = fitted(label, &attempt.message, attempt.in_doubt, TELEGRAM, |c, out| {
        out.push(c);
        if c == '@' {
            out.push('\u{200b}');
        }
    });
    json!({ "chat_id": chat, "text": text, "link_preview_options": { "is_disabled": true } })
}

/// A mail for a sendmail program: the body is base64, so that no line is too long and none is an end.
pub fn mail(label: &str, attempt: &Attempt, from: &str, to: &[String], now: Timestamp) -> String {
    let message = &attempt.message;
    let code = message.alerts.last().map_or("", |alert| &*alert.code);
    let about = if message.alerts.len() > 1 { format!(" x{}", message.alerts.len()) } else { String::new() };
    let subject: String = format!("[vigie {label}] {} {code}{about}", message.level().name())
        .chars()
        .filter(|c| c.is_ascii_graphic() || *c == ' ')
        .collect();
    let date = jiff::fmt::rfc2822::to_string(&now.to_zoned(jiff::tz::TimeZone::UTC)).unwrap_or_default();
    let host = from.split_once('@').map_or("localhost", |(_, host)| host);
    let mut text = format!(
        "From: {from}\nTo: {}\nSubject: {subject}\nDate: {date}\nMessage-ID: <{}@{host}>\nAuto-Submitted: auto-generated\n\
         MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\n",
        to.join(", "),
        message.id
    );
    for line in BASE64_STANDARD.encode(format!("{}\n", words(label, attempt))).as_bytes().chunks(76) {
        text += &String::from_utf8_lossy(line);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        alert::{Alert, Level},
        message::{Kind, Message},
    };

    fn attempt(text: &str) -> Attempt {
        let alert = Alert::own(Timestamp::UNIX_EPOCH, Level::Warning, "drift", text.to_owned());
        Attempt { message: Message::new("r", Kind::Alert, [(1, &alert)]), number: 1, in_doubt: false }
    }

    #[test]
    fn nothing_in_a_text_is_a_mention_or_markup_where_it_arrives() {
        let attempt = attempt("@everyone <!channel> <@U1> *b* _i_ `c` [a](http://b) & ||s|| <b>");
        let slack = slack("", &attempt);
        let text = slack["text"].as_str().unwrap();
        assert!(text.contains("@\u{200b}everyone &lt;!channel&gt; &lt;@\u{200b}U1&gt;") && text.contains(" &amp; "));
        assert_eq!(slack["mrkdwn"], false);
        let discord = discord("", &attempt);
        let text = discord["content"].as_str().unwrap();
        assert!(text.contains(r"\*b\* \_i\_ \`c\` \[a\]\(http://b\)") && text.contains(r"\|\|s\|\|"), "{text}");
        assert!(!text.contains("@everyone") && discord["allowed_mentions"] == json!({ "parse": [] }));
        let telegram = telegram("", &attempt, "-100");
        assert!(telegram.get("parse_mode").is_none() && telegram["text"].as_str().unwrap().contains("<b>"));
        assert!(!telegram["text"].as_str().unwrap().contains("@everyone"));
    }

    #[test]
    fn no_text_is_longer_than_its_receiver_takes() {
        for c in ["x", "*", "@", "😀", "&", "\n"] {
            let attempt = attempt(&c.repeat(9000));
            let length = |body: Value, field: &str| body[field].as_str().unwrap().encode_utf16().count();
            assert!((1990..=2000).contains(&length(discord("", &attempt), "content")), "{c:?}");
            assert!((4090..=4096).contains(&length(telegram("", &attempt, "1"), "text")), "{c:?}");
            assert!((3890..=3900).contains(&length(slack("", &attempt), "text")), "{c:?}");
        }
    }

    #[test]
    fn a_signature_is_that_of_rfc_4231() {
        // its test cases 1, 2, 3, 4, 6 and 7; 5 is of a digest that is cut short
        let cases: [(&[u8], &[u8], &str); 6] = [
            (&[0x0b; 20], b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (&[0xaa; 20], &[0xdd; 50], "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
            (
                &(1..=25).collect::<Vec<u8>>(),
                &[0xcd; 50],
                "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
            ),
            (
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
            (
                &[0xaa; 131],
                b"This is a test using a larger than block-size key and a larger than block-size data. The key needs to be \
                  hashed before being used by the HMAC algorithm.",
                "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
            ),
        ];
        for (key, data, expected) in cases {
            assert_eq!(authenticator(key, data), expected);
        }
        assert_eq!(signature("Jefe", Timestamp::UNIX_EPOCH, b"x"), authenticator(b"Jefe", b"0.x"));
    }

    #[test]
    fn a_mail_has_a_head_that_no_alert_can_add_to() {
        let text = mail(
            "de\nsk",
            &attempt("a\n.\nBcc: x@y"),
            "vigie@a.example",
            &["b@c.example".to_owned()],
            Timestamp::UNIX_EPOCH,
        );
        let (head, body) = text.split_once("\n\n").unwrap();
        assert!(head.contains("Subject: [vigie desk] WARNING drift\n") && !head.contains("Bcc"));
        assert!(body.lines().all(|line| line.len() <= 76 && !line.starts_with('.')));
        let words = String::from_utf8(BASE64_STANDARD.decode(body.replace('\n', "")).unwrap()).unwrap();
        assert!(words.starts_with("WARNING drift at ") && words.contains("on de sk: a . Bcc: x@y. To do: "), "{words}");
    }
}
