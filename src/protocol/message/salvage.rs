//! What can still be read of a line at fault.
#![deny(clippy::indexing_slicing)]

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{UnreadOutcome, echo::EchoWire, fields::Fields};
use crate::domain::{Money, Timestamp, TradeId};

/// What could be read of a faulty line before its fault. A field that came twice says nothing.
#[derive(Debug, Default)]
pub(super) struct Salvage<'a> {
    pub(super) kind: Field<'a>,
    pub(super) id: Field<'a>,
    pub(super) trade_id: Field<'a>,
    pub(super) confidence: Field<'a>,
    outcome_metrics: Field<'a>,
    decision: Field<'a>,
}

/// The value of a field, as often as it came.
pub(super) type Field<'a> = Vec<&'a RawValue>;

impl<'a> Salvage<'a> {
    pub(super) fn of(line: &'a [u8]) -> Self {
        let mut salvage = Self::default();
        // it ends in an error in most cases; what was read by then stays
        let _faulty = serde_json::Deserializer::from_slice(line).deserialize_map(&mut salvage);
        salvage
    }

    /// The one value of `field`, if it is one that can be taken.
    pub(super) fn read<T: Deserialize<'a>>(field: &Field<'a>) -> Option<T> {
        match field.as_slice() {
            [raw] => serde_json::from_str(raw.get()).ok(),
            _ => None,
        }
    }
}

impl<'a> Visitor<'a> for &mut Salvage<'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<(), M::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "type" => self.kind.push(map.next_value()?),
                "id" => self.id.push(map.next_value()?),
                "trade_id" => self.trade_id.push(map.next_value()?),
                "confidence" => self.confidence.push(map.next_value()?),
                "outcome_metrics" => self.outcome_metrics.push(map.next_value()?),
                "decision" => self.decision.push(map.next_value()?),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// What can be read of a line that tells of a closed trade and cannot be taken; `None` of any other line. `kind` is its type, as
/// far as that is known.
pub fn unread_outcome(kind: Option<&str>, line: &[u8]) -> Option<UnreadOutcome> {
    if kind.is_some_and(|kind| !matches!(kind, "outcome" | "import")) {
        return None;
    }
    let mended = without_bare_words(&String::from_utf8_lossy(line));
    let salvage = Salvage::of(mended.as_bytes());
    let found: Option<String> = Salvage::read(&salvage.kind);
    let is_import = match kind.or(found.as_deref()) {
        Some("outcome") => false,
        Some("import") if !salvage.outcome_metrics.is_empty() => true,
        _ => return None,
    };
    let trade_id: Option<TradeId> = Salvage::read(&salvage.trade_id);
    let metrics = Salvage::read::<Fields>(&salvage.outcome_metrics).map(|Fields(fields)| fields).unwrap_or_default();
    let exit_at = metrics.get("exit_at").and_then(|value| value.as_str()?.parse::<Timestamp>().ok());
    let pnl = metrics.get("pnl").and_then(|value| Money::new(value.as_f64()?).ok());
    let echo = Salvage::read::<EchoWire>(&salvage.decision);
    let decision = trade_id.as_ref().zip(echo).and_then(|(trade_id, echo)| echo.of(trade_id).ok());
    Some(UnreadOutcome { is_import, trade_id, closed: exit_at.zip(pnl), decision })
}

/// The same line with `null` for every bare word and number that JSON does not have or no double holds: `NaN`, `Infinity`,
/// `1e999`. What stands behind such a word can then be read.
fn without_bare_words(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let is_of_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.' | '_');
        let length = match first {
            '"' => text_length(rest),
            first if is_of_word(first) => rest.find(|c| !is_of_word(c)).unwrap_or(rest.len()),
            first => first.len_utf8(),
        };
        let (token, behind) = rest.split_at(length);
        let is_json = !is_of_word(first) || serde_json::from_str::<serde_json::Value>(token).is_ok();
        out.push_str(if is_json { token } else { "null" });
        rest = behind;
    }
    out
}

/// Length in bytes of the text in quotes with which `rest` begins; all of it when it does not end.
fn text_length(rest: &str) -> usize {
    let mut is_escaped = false;
    for (place, c) in rest.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return place + 1,
            _ => {}
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Option<(Option<String>, Option<f64>)> {
        let unread = unread_outcome(None, line.as_bytes())?;
        Some((unread.trade_id.map(|id| id.to_string()), unread.closed.map(|(_, pnl)| pnl.get())))
    }

    #[test]
    fn a_closed_trade_is_named_wherever_the_fault_stands_and_its_result_is_never_guessed() {
        let with = |metrics: &str| {
            let line =
                format!(r#"{{"outcome_metrics":{{{metrics}}},"id":"a,}}\"NaN","trade_id":"T-1","type":"outcome"}}"#);
            read(&line).unwrap()
        };
        let exit = r#""exit_at":"2015-01-05T16:00:00Z""#;
        let named = |pnl: Option<f64>| (Some("T-1".to_owned()), pnl);
        assert_eq!(with(&format!(r#"{exit},"pnl":-5,"profit":NaN"#)), named(Some(-5.0)));
        for pnl in ["NaN", "-Infinity", "1e999", "-1e309", "null", "\"-500\"", "5,\"pnl\":-5", "--5", "0x10"] {
            assert_eq!(with(&format!(r#"{exit},"pnl":{pnl}"#)), named(None), "{pnl}");
        }
        for exit in ["", r#""exit_at":"2015-01-05T16:00:00","#, r#""exit_at":1420473600,"#] {
            assert_eq!(with(&format!(r#"{exit}"pnl":-5"#)), named(None), "{exit}");
        }
    }

    #[test]
    fn what_is_no_outcome_or_names_no_trade_says_nothing_of_one() {
        for line in
            ["", "nonsense", "NaN", "[1]", r#"{"type":"score","trade_id":"T-1","x":NaN}"#, r#"{"trade_id":"T"}"#]
        {
            assert_eq!(read(line), None, "{line}");
        }
        // a trade that was imported without its outcome was not closed
        assert_eq!(read(r#"{"type":"import","trade_id":"T-1","at":NaN}"#), None);
        for line in [
            r#"{"type":"outcome","trade_id":"T 1","outcome_metrics":{}}"#,
            r#"{"type":"outcome","trade_id":"T-1","trade_id":"T-2","outcome_metrics":{}}"#,
            r#"{"type":"outcome","trade_id":"T-"#,
        ] {
            assert_eq!(read(line), Some((None, None)), "{line}");
        }
        for cut in [r#""outcome_metr"#, r#""outcome_metrics":{"pnl":1,5}}"#, "}}"] {
            let line = format!(r#"{{"type":"outcome","trade_id":"T-1",{cut}"#);
            assert_eq!(read(&line), Some((Some("T-1".to_owned()), None)), "{line}");
        }
    }
}
