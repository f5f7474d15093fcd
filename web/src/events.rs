//! Events of the journal, searched and exported.

use axum::http::Uri;
use percent_encoding::percent_decode_str;

use crate::hub::{Known, Seen};

/// Events of one answer unless it says otherwise, and at most.
const USUAL: usize = 200;
const MOST: usize = 20_000;

/// Which events.
#[derive(Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Of these kinds; of all when there is none.
    kinds: Vec<String>,
    /// With this text in their line, in any case of its letters.
    text: String,
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
    /// What a query asks for: `kind` (several with commas), `text`, `before`, `limit`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn of(uri: &Uri) -> Result<Self, &'static str> {
        let mut wanted = Self { kinds: Vec::new(), text: String::new(), before: u64::MAX, limit: USUAL };
        for (name, value) in query(uri) {
            match &*name {
                "kind" => wanted.kinds = value.split(',').filter(|kind| !kind.is_empty()).map(str::to_owned).collect(),
                "text" => wanted.text = value.to_lowercase(),
                "before" => wanted.before = value.parse().map_err(|_| "before: a number of the journal is expected")?,
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (1..=MOST).contains(limit));
                    wanted.limit = limit.ok_or("limit: 1 to 20000 is expected")?;
                }
                _ => return Err("only `kind`, `text`, `before` and `limit` are understood"),
            }
        }
        Ok(wanted)
    }

    fn takes(&self, event: &Known) -> bool {
        (self.kinds.is_empty() || self.kinds.contains(&event.kind))
            && (self.text.is_empty() || event.text.to_lowercase().contains(&self.text))
    }
}

/// Those, the newest last, and how many more match that are older.
pub fn page(seen: &Seen, wanted: &Wanted) -> String {
    let (events, more) = found(seen, wanted);
    let lines: Vec<&str> = events.iter().map(|event| &*event.text).collect();
    // 0 when all are here
    format!(r#"{{"events":[{}],"more":{more},"kept_from":{}}}"#, lines.join(","), seen.kept_from.unwrap_or_default())
}

/// All that match, one JSON object a line, the newest last.
pub fn lines(seen: &Seen, wanted: &Wanted) -> String {
    let matching = seen.events.iter().filter(|event| event.seq < wanted.before && wanted.takes(event));
    matching.map(|event| format!("{}\n", event.text)).collect()
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
        assert_eq!(wanted, Wanted { kinds, text: "slät x".to_owned(), before: 9, limit: 3 });
        for refused in ["/?limit=0", "/?limit=20001", "/?limit=x", "/?before=-1", "/?other=1", "/?kind=a&x"] {
            assert!(of(refused).is_err(), "{refused}");
        }
        assert!(of("/").is_ok() && of("/?&&").is_ok() && of("/?text=%FF%00").is_ok());
    }

    #[test]
    fn the_latest_that_match_come_newest_last_with_the_number_of_older_ones() {
        let mut seen = Seen::default();
        for seq in 1..=5 {
            let kind = if seq == 3 { "moved" } else { "alert" };
            seen.events.push_back(Known { seq, kind: kind.to_owned(), text: format!(r#"{{"seq":{seq}}}"#).into() });
        }
        let of = |text: &str| page(&seen, &Wanted::of(&text.parse().unwrap()).unwrap());
        assert_eq!(of("/?kind=alert&limit=2"), r#"{"events":[{"seq":4},{"seq":5}],"more":2,"kept_from":0}"#);
        assert_eq!(of("/?kind=alert&limit=2&before=4"), r#"{"events":[{"seq":1},{"seq":2}],"more":0,"kept_from":0}"#);
        assert_eq!(of("/?text=SEQ%22:3"), r#"{"events":[{"seq":3}],"more":0,"kept_from":0}"#);
        let wanted = Wanted::of(&"/?kind=moved,alert&limit=1".parse().unwrap()).unwrap();
        assert_eq!(lines(&seen, &wanted).lines().count(), 5);
    }
}
