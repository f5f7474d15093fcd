//! Events of the journal, searched and exported.

use axum::http::Uri;
use percent_encoding::percent_decode_str;
use serde_json::Value;

use crate::hub::{Known, Seen};

/// Events of one answer unless it says otherwise, and at most.
const USUAL: usize = 200;
const MOST: usize = 20_000;

/// Which events.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Of these kinds; of all when there is none.
    kinds: Vec<String>,
    /// With this text in their line, in any case of its letters.
    text: String,
    /// Of this level; of all without one.
    level: Option<String>,
    /// From this second on, and before that one, in UTC.
    since: Option<String>,
    until: Option<String>,
    /// Before this number.
    before: u64,
    /// So many, the latest ones.
    limit: usize,
}

/// The fields of a query, decoded.
pub fn query(uri: &Uri) -> Vec<(String, String)> {
    let fields = uri.query().unwrap_or_default().split('&').filter(|field| !field.is_empty());
    let decoded = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    fields
        .map(|field| field.split_once('=').unwrap_or((field, "")))
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect()
}

impl Wanted {
    /// What a query asks for: `kind` (several with commas), `text`, `level`, `since`, `until`, `before`, `limit`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn of(uri: &Uri) -> Result<Self, &'static str> {
        let mut wanted = Self { before: u64::MAX, limit: USUAL, ..Self::default() };
        for (name, value) in query(uri) {
            match &*name {
                "kind" => wanted.kinds = value.split(',').filter(|kind| !kind.is_empty()).map(str::to_owned).collect(),
                "text" => wanted.text = value.to_lowercase(),
                "level" if ["info", "warning", "critical"].contains(&&*value) => wanted.level = Some(value),
                "level" => return Err("level: `info`, `warning` or `critical` is expected"),
                "since" => wanted.since = Some(second(&value)?),
                "until" => wanted.until = Some(second(&value)?),
                "before" => wanted.before = value.parse().map_err(|_| "before: a number of the journal is expected")?,
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (1..=MOST).contains(limit));
                    wanted.limit = limit.ok_or("limit: 1 to 20000 is expected")?;
                }
                _ => return Err("only `kind`, `text`, `level`, `since`, `until`, `before` and `limit` are understood"),
            }
        }
        Ok(wanted)
    }

    fn takes(&self, event: &Known) -> bool {
        (self.kinds.is_empty() || self.kinds.contains(&event.kind))
            && self.level.as_ref().is_none_or(|level| *level == event.level)
            && self.since.as_ref().is_none_or(|since| event.second() >= since.as_str())
            && self.until.as_ref().is_none_or(|until| event.second() < until.as_str())
            && (self.text.is_empty() || event.text.to_lowercase().contains(&self.text))
    }
}

/// A time in UTC to the second, as events have it: `2026-11-02T15:00:00`, whatever stands behind.
fn second(text: &str) -> Result<String, &'static str> {
    let form = "dddd-dd-ddTdd:dd:dd";
    let fits = |(at, letter): (u8, u8)| if letter == b'd' { at.is_ascii_digit() } else { at == letter };
    let rest = text.get(form.len()..).unwrap_or_default();
    let is_utc = rest.trim_end_matches('Z').bytes().all(|letter| letter == b'.' || letter.is_ascii_digit());
    let is_time = text.len() >= form.len() && text.bytes().zip(form.bytes()).all(fits) && is_utc;
    let shown = text.get(..form.len()).filter(|_| is_time);
    shown.map(str::to_owned).ok_or("since, until: a time in UTC is expected, such as 2026-11-02T15:00:00Z")
}

/// All that match, the newest last.
pub fn matching(seen: &Seen, wanted: &Wanted) -> Vec<Known> {
    let matching = seen.events.iter().filter(|event| event.seq < wanted.before && wanted.takes(event));
    matching.cloned().collect()
}

/// Those, the newest last, and how many more match that are older.
pub fn page(seen: &Seen, wanted: &Wanted) -> String {
    let (events, more) = found(seen, wanted);
    let lines: Vec<&str> = events.iter().map(|event| &*event.text).collect();
    // 0 when all are here
    format!(r#"{{"events":[{}],"more":{more},"kept_from":{}}}"#, lines.join(","), seen.kept_from.unwrap_or_default())
}

/// Events as JSON, one object a line.
pub fn lines(events: &[Known]) -> String {
    events.iter().map(|event| format!("{}\n", event.text)).collect()
}

/// Events as a table: number, time, kind, and what many of them have; the whole of each stands in the last column.
pub fn sheet(events: &[Known]) -> String {
    let mut sheet = "seq,at,event,level,code,version,text,line\r\n".to_owned();
    for event in events {
        let line: Value = serde_json::from_str(&event.text).unwrap_or_default();
        let of = |name: &str| line.get(name).and_then(Value::as_str).unwrap_or_default();
        let text = [of("message"), of("reason")].into_iter().find(|text| !text.is_empty()).unwrap_or_default();
        let number = event.seq.to_string();
        let cells = [&number, of("at"), &event.kind, &event.level, of("code"), of("version"), text, &event.text];
        let cells: Vec<String> = cells.into_iter().map(cell).collect();
        sheet += &format!("{}\r\n", cells.join(","));
    }
    sheet
}

/// A cell, so that no spreadsheet takes a word of the journal for a formula.
fn cell(text: &str) -> String {
    let text = if text.starts_with(['=', '+', '-', '@', '\t']) { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

fn found<'a>(seen: &'a Seen, wanted: &Wanted) -> (Vec<&'a Known>, usize) {
    let matching = seen.events.iter().filter(|event| event.seq < wanted.before && wanted.takes(event));
    let all: Vec<&Known> = matching.collect();
    let more = all.len().saturating_sub(wanted.limit);
    (all.into_iter().skip(more).collect(), more)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_taken_as_it_is_meant_or_refused() {
        let of = |text: &str| Wanted::of(&text.parse().unwrap());
        let wanted = of("/api/events?kind=alert,moved&text=Sl%C3%A4t+x&before=9&limit=3").unwrap();
        let kinds = vec!["alert".to_owned(), "moved".to_owned()];
        assert_eq!(wanted, Wanted { kinds, text: "slät x".to_owned(), before: 9, limit: 3, ..Wanted::default() });
        let timed = of("/?since=2026-11-02T15:00:00.25Z&until=2026-11-03T00:00:00&level=warning").unwrap();
        assert_eq!(timed.since.as_deref(), Some("2026-11-02T15:00:00"));
        assert_eq!((timed.until.as_deref(), timed.level.as_deref()), (Some("2026-11-03T00:00:00"), Some("warning")));
        for refused in ["/?limit=0", "/?limit=20001", "/?limit=x", "/?before=-1", "/?other=1", "/?kind=a&x"] {
            assert!(of(refused).is_err(), "{refused}");
        }
        for refused in [
            "level=loud",
            "since=monday",
            "since=2026-11-02",
            "until=2026-11-02T15:00:00%2B01:00",
            "since=2026-11-02T15:00:00-05:00",
        ] {
            assert!(of(&format!("/?{refused}")).is_err(), "{refused}");
        }
        assert!(of("/").is_ok() && of("/?&&").is_ok() && of("/?text=%FF%00").is_ok());
    }

    #[test]
    fn the_latest_that_match_come_newest_last_with_the_number_of_older_ones() {
        let mut seen = Seen::default();
        for seq in 1..=5 {
            let kind = if seq == 3 { "moved" } else { "alert" };
            seen.events.push_back(known(seq, kind, "", "2026-11-02T15:00:00Z", &format!(r#"{{"seq":{seq}}}"#)));
        }
        let of = |text: &str| page(&seen, &Wanted::of(&text.parse().unwrap()).unwrap());
        assert_eq!(of("/?kind=alert&limit=2"), r#"{"events":[{"seq":4},{"seq":5}],"more":2,"kept_from":0}"#);
        assert_eq!(of("/?kind=alert&limit=2&before=4"), r#"{"events":[{"seq":1},{"seq":2}],"more":0,"kept_from":0}"#);
        assert_eq!(of("/?text=SEQ%22:3"), r#"{"events":[{"seq":3}],"more":0,"kept_from":0}"#);
        let wanted = Wanted::of(&"/?kind=moved,alert&limit=1".parse().unwrap()).unwrap();
        assert_eq!(lines(&matching(&seen, &wanted)).lines().count(), 5);
    }

    fn known(seq: u64, kind: &str, level: &str, at: &str, text: &str) -> Known {
        Known { seq, kind: kind.to_owned(), level: level.to_owned(), at: at.to_owned(), text: text.into() }
    }

    #[test]
    fn events_are_found_by_level_and_by_time_to_the_second() {
        let mut seen = Seen::default();
        for (seq, level, at) in [
            (1, "info", "2026-11-02T14:59:59.9Z"),
            (2, "critical", "2026-11-02T15:00:00Z"),
            (3, "info", "2026-11-02T15:00:01.5Z"),
        ] {
            seen.events.push_back(known(seq, "alert", level, at, "{}"));
        }
        let of = |text: &str| -> Vec<u64> {
            matching(&seen, &Wanted::of(&text.parse().unwrap()).unwrap()).iter().map(|event| event.seq).collect()
        };
        assert_eq!(of("/?level=info"), [1, 3]);
        assert_eq!(of("/?since=2026-11-02T15:00:00Z"), [2, 3]);
        assert_eq!(of("/?until=2026-11-02T15:00:00Z"), [1]);
        assert_eq!(of("/?since=2026-11-02T15:00:00Z&until=2026-11-02T15:00:01Z&level=critical"), [2]);
    }

    #[test]
    fn a_sheet_has_a_row_an_event_and_no_formula() {
        let line = r#"{"seq":7,"at":"2026-11-02T15:00:00Z","event":"locked","reason":"=1+1, \"so\""}"#;
        let sheet = sheet(&[known(7, "locked", "", "2026-11-02T15:00:00Z", line)]);
        let rows: Vec<&str> = sheet.split("\r\n").collect();
        assert!(rows.len() == 3 && rows[2].is_empty(), "{sheet}");
        assert!(rows[1].starts_with("7,2026-11-02T15:00:00Z,locked,,,,\"'=1+1, \"\"so\"\"\",\"{"), "{sheet}");
    }
}
