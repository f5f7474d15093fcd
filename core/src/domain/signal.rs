//! One line of JSON that carries a signal: a snapshot, or the twelve features themselves.
//!
//! The same parser reads a `score` request, a line of an import file and the request stored in the journal, so what was
//! accepted once is read back the same for ever.

use std::{collections::BTreeMap, convert::Infallible, str::FromStr};

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::{
    feature::FeatureVector,
    id::{Symbol, TradeId, from_text},
    invalid::{InvalidLine, field_error},
    number::Probability,
    outcome::Outcome,
    snapshot::{Analysis, Execution, MarketSnapshot, MarketState, Number, Side, Structure, TrendRegime},
    time::Timestamp,
    unique,
    writable::{check_id, readable},
};

/// A signal of the primary strategy, as it stood when it fired.
#[derive(Debug, Clone, PartialEq)]
pub struct Signal {
    /// The trader's name for it.
    pub trade_id: TradeId,
    /// When it fired.
    pub at: Timestamp,
    /// What it would trade.
    pub symbol: Symbol,
    /// Long or short.
    pub side: Side,
    /// The primary strategy's own confidence.
    pub confidence: Option<Probability>,
    /// What a model may look at.
    pub inputs: Inputs,
    /// Further named features, declared in the configuration.
    pub extra: BTreeMap<Box<str>, Number>,
}

/// The raw market around a signal, or the features that the trader computed from it.
#[derive(Debug, Clone, PartialEq)]
pub enum Inputs {
    /// Everything; the features are computed here.
    Snapshot(Box<MarketSnapshot>),
    /// The twelve features only.
    Features(FeatureVector),
}

/// What stands in one line: the signal, and what the line says beside it.
#[derive(Debug, Clone, PartialEq)]
pub struct SignalLine {
    /// The signal itself.
    pub signal: Signal,
    /// What became of it, in files of closed trades.
    pub outcome: Option<Outcome>,
    /// In a request: how long the answer may take, in microseconds.
    pub deadline_us: Option<u64>,
}

/// The `type` of a line: any text is taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Score,
    Other,
}

impl FromStr for Kind {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(if text == "score" { Self::Score } else { Self::Other })
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer)
    }
}

/// The line as written, what is large in boxes, since it is moved about. All four sections or `features`, not both.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireLine<'a> {
    #[serde(default, rename = "type")]
    kind: Option<Kind>,
    #[serde(default, borrow)]
    id: Option<&'a RawValue>,
    #[serde(default)]
    deadline_us: Option<u64>,
    trade_id: TradeId,
    at: Timestamp,
    symbol: Symbol,
    side: Side,
    #[serde(default)]
    confidence: Option<Probability>,
    #[serde(default)]
    market_state: Option<Box<MarketState>>,
    #[serde(default)]
    battle_navale_analysis: Option<Box<Analysis>>,
    #[serde(default)]
    market_structure: Option<Box<Structure>>,
    #[serde(default)]
    execution_context: Option<Box<Execution>>,
    #[serde(default)]
    outcome_metrics: Option<Box<Outcome>>,
    #[serde(default)]
    features: Option<FeatureVector>,
    #[serde(default, deserialize_with = "unique::map")]
    extra: BTreeMap<Box<str>, Number>,
}

impl SignalLine {
    /// Reads one line of JSON, at most one object, without its line end.
    ///
    /// # Errors
    /// [`InvalidLine`], which names the field: not JSON, an unknown, duplicate or missing field, a wrong type, a number
    /// out of its range, both or neither of snapshot and features.
    pub fn parse(line: &[u8]) -> Result<Self, InvalidLine> {
        Self::of_wire(parse_json(line)?).map(|(_, parsed)| parsed)
    }

    /// Reads a line whose `type` is `score`, wherever in it that stands, with the `id` that it may carry, as written. None: it
    /// is no such line, or something in it is at fault.
    pub fn parse_score(line: &[u8]) -> Option<(Option<&RawValue>, Self)> {
        let wire: WireLine<'_> = serde_json::from_str(std::str::from_utf8(line).ok()?).ok()?;
        let is_score = wire.kind == Some(Kind::Score) && line.trim_ascii_start().starts_with(b"{");
        is_score.then(|| Self::of_wire(wire).ok()).flatten()
    }

    /// Reads a line that was taken once. Earlier versions took the key of a map twice, of which the last counted, and an `id`
    /// that cannot be written as text.
    ///
    /// # Errors
    /// As for [`SignalLine::parse`].
    pub fn parse_stored(line: &[u8]) -> Result<Self, InvalidLine> {
        Self::parse(line).or_else(|error| Self::parse(&readable(line).ok_or(error)?))
    }

    fn of_wire(wire: WireLine<'_>) -> Result<(Option<&RawValue>, Self), InvalidLine> {
        if let Some(id) = wire.id {
            check_id(id)?;
        }
        let inputs = Inputs::from_wire(
            wire.market_state,
            wire.battle_navale_analysis,
            wire.market_structure,
            wire.execution_context,
            wire.features,
        )?;
        let parsed = Self {
            signal: Signal {
                trade_id: wire.trade_id,
                at: wire.at,
                symbol: wire.symbol,
                side: wire.side,
                confidence: wire.confidence,
                inputs,
                extra: wire.extra,
            },
            outcome: wire.outcome_metrics.map(|outcome| *outcome),
            deadline_us: wire.deadline_us,
        };
        Ok((wire.id, parsed))
    }
}

impl Signal {
    /// The trend when it fired, where it says so.
    pub fn trend(&self) -> Option<TrendRegime> {
        match &self.inputs {
            Inputs::Snapshot(snapshot) => Some(snapshot.battle_navale_analysis.trend_regime),
            Inputs::Features(_) => None,
        }
    }
}

impl Inputs {
    fn from_wire(
        market_state: Option<Box<MarketState>>,
        analysis: Option<Box<Analysis>>,
        structure: Option<Box<Structure>>,
        execution: Option<Box<Execution>>,
        features: Option<FeatureVector>,
    ) -> Result<Self, InvalidLine> {
        let any_section = market_state.is_some() || analysis.is_some() || structure.is_some() || execution.is_some();
        if let Some(features) = features {
            if any_section {
                return Err(field_error(
                    "unexpected_field",
                    "features",
                    "give either a snapshot or `features`, not both",
                ));
            }
            return match features.out_of_range() {
                None => Ok(Self::Features(features)),
                Some((feature, value)) => {
                    let path = format!("features.{}", feature.name());
                    let message = format!("{value} is outside {} to 1", feature.lowest());
                    Err(field_error("out_of_range", &path, &message))
                }
            };
        }
        let missing =
            |name: &str| field_error("missing_field", name, "a snapshot needs all four sections (or give `features`)");
        Ok(Self::Snapshot(Box::new(MarketSnapshot {
            market_state: *market_state.ok_or_else(|| missing("market_state"))?,
            battle_navale_analysis: *analysis.ok_or_else(|| missing("battle_navale_analysis"))?,
            market_structure: *structure.ok_or_else(|| missing("market_structure"))?,
            execution_context: *execution.ok_or_else(|| missing("execution_context"))?,
        })))
    }
}

/// Reads exactly one JSON object of type `T` and says which field is at fault when it cannot.
///
/// # Errors
/// [`InvalidLine`]; the field's path is worked out only then, by a second, slower read.
pub fn parse_json<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Result<T, InvalidLine> {
    // serde would take a list for a struct, its fields by position
    match line.trim_ascii_start().first() {
        // text that is known to be UTF-8 is not checked again, string by string
        Some(b'{') => match std::str::from_utf8(line) {
            Ok(text) => serde_json::from_str(text).map_err(|_| explain::<T>(line)),
            Err(error) => {
                let message =
                    format!("not a JSON object: invalid unicode code point at byte {}", error.valid_up_to() + 1);
                Err(InvalidLine { code: "invalid_json", message, field: None })
            }
        },
        first => {
            let message = if first.is_none() { "not a JSON object: the line is empty" } else { "not a JSON object" };
            Err(InvalidLine { code: "invalid_json", message: message.to_owned(), field: None })
        }
    }
}

fn explain<'a, T: Deserialize<'a>>(line: &'a [u8]) -> InvalidLine {
    let mut input = serde_json::Deserializer::from_slice(line);
    let result: Result<T, _> = serde_path_to_error::deserialize(&mut input);
    match result {
        Err(error) => {
            let path = error.path().to_string();
            let inner = error.into_inner();
            let text = strip_position(&inner.to_string());
            if inner.classify() != serde_json::error::Category::Data {
                let message = format!("not a JSON object: {text} at byte {}", inner.column());
                return InvalidLine { code: "invalid_json", message, field: None };
            }
            let code = code_of(&text);
            let field = match quoted_name(code, &text) {
                Some(name) if path == "." => Some(name),
                Some(name) if path.rsplit('.').next() != Some(name.as_str()) => Some(format!("{path}.{name}")),
                _ if path == "." => None,
                _ => Some(path),
            };
            let message = field.as_ref().map_or(text.clone(), |field| format!("{field}: {text}"));
            InvalidLine { code, message, field }
        }
        Ok(_) => {
            let message = "not a single JSON object: characters follow the end of it".to_owned();
            InvalidLine { code: "invalid_json", message, field: None }
        }
    }
}

fn code_of(text: &str) -> &'static str {
    let starts = [
        ("unknown field", "unknown_field"),
        ("missing field", "missing_field"),
        ("duplicate field", "duplicate_field"),
        ("invalid type", "wrong_type"),
        ("unknown variant", "out_of_range"),
        ("invalid length", "wrong_type"),
    ];
    starts.iter().find(|(start, _)| text.starts_with(start)).map_or("out_of_range", |(_, code)| code)
}

/// The name that serde puts between backquotes, for the errors that are about a name and not about a value.
fn quoted_name(code: &str, text: &str) -> Option<String> {
    let about_a_name = matches!(code, "unknown_field" | "missing_field" | "duplicate_field");
    about_a_name.then(|| text.split('`').nth(1).map(str::to_owned)).flatten()
}

fn strip_position(text: &str) -> String {
    text.rsplit_once(" at line ").map_or(text, |(before, _)| before).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: &str = r#"{"trade_id":"T-1","at":"2015-01-05T15:02:11Z","symbol":"ES","side":"long","confidence":0.62,"features":{"vwap_trend_signal":0.71}}"#;

    fn error_of(line: &str) -> (&'static str, Option<String>) {
        let error = SignalLine::parse(line.as_bytes()).unwrap_err();
        (error.code, error.field)
    }

    #[test]
    fn a_request_and_the_same_line_without_its_envelope_are_the_same_signal() {
        let request = SHORT.replacen('{', r#"{"type":"score","id":7,"deadline_us":900,"#, 1);
        let plain = SignalLine::parse(SHORT.as_bytes()).unwrap();
        let request = SignalLine::parse(request.as_bytes()).unwrap();
        assert_eq!(plain.signal, request.signal);
        assert_eq!(request.deadline_us, Some(900));
    }

    #[test]
    fn every_fault_names_its_field() {
        let with = |from: &str, to: &str| error_of(&SHORT.replacen(from, to, 1));
        let field = |name: &str| Some(name.to_owned());
        assert_eq!(with("\"side\"", "\"sied\""), ("unknown_field", field("sied")));
        assert_eq!(with("vwap_trend_signal", "vwap"), ("unknown_field", field("features.vwap")));
        assert_eq!(with("\"side\":\"long\",", ""), ("missing_field", field("side")));
        assert_eq!(with("0.62", "\"0.62\""), ("wrong_type", field("confidence")));
        assert_eq!(with("0.62", "1.62"), ("out_of_range", field("confidence")));
        assert_eq!(with("0.71", "-0.5"), ("out_of_range", field("features.vwap_trend_signal")));
        assert_eq!(with("\"long\"", "\"up\""), ("out_of_range", field("side")));
        assert_eq!(with("T-1", "T 1"), ("out_of_range", field("trade_id")));
        assert_eq!(with("2015-01-05T", "2015-13-05T"), ("out_of_range", field("at")));
        assert_eq!(
            with("\"side\":\"long\"", "\"side\":\"long\",\"side\":\"short\""),
            ("duplicate_field", field("side"))
        );
        assert_eq!(
            with("\"features\":{\"vwap_trend_signal\":0.71}", "\"extra\":{}"),
            ("missing_field", field("market_state"))
        );
    }

    #[test]
    fn a_key_that_comes_twice_in_a_map_is_refused_by_name_and_an_old_line_with_one_is_still_read() {
        let twice = SHORT.replacen('{', r#"{"extra":{"x":1,"x":2,"y":3},"#, 1);
        assert_eq!(error_of(&twice), ("duplicate_field", Some("extra.x".to_owned())));
        let old = SignalLine::parse_stored(twice.as_bytes()).unwrap().signal.extra;
        assert_eq!(old, BTreeMap::from([("x".into(), Some(2.0)), ("y".into(), Some(3.0))]));
        let snapshot = include_str!("../../../examples/signal.json");
        let patterns = snapshot.replacen("\"patterns\": {", "\"patterns\": {\"p\":0.1,\"p\":0.2,", 1);
        assert_ne!(patterns, snapshot);
        let field = "battle_navale_analysis.patterns.p".to_owned();
        assert_eq!(error_of(&patterns), ("duplicate_field", Some(field)));
    }

    #[test]
    fn an_id_that_can_be_written_nowhere_is_refused_and_an_old_line_with_one_is_still_read() {
        for id in [r#""\ud800""#, r#""a\udc00b""#, "1e999", r#"["\ud800"]"#] {
            let line = SHORT.replacen('{', &format!("{{\"id\":{id},"), 1);
            assert_eq!(error_of(&line), ("out_of_range", Some("id".to_owned())), "{id}");
            let old = SignalLine::parse_stored(line.as_bytes()).unwrap().signal;
            assert_eq!(old, SignalLine::parse(SHORT.as_bytes()).unwrap().signal);
            let readable = readable(line.as_bytes()).unwrap();
            assert!(serde_json::from_slice::<serde_json::Value>(&readable).is_ok());
        }
        for id in [r#""\ud83d\ude00""#, r#""a\n""#, "-1.5e3", "12345678901234567890123", "null"] {
            assert!(SignalLine::parse(SHORT.replacen('{', &format!("{{\"id\":{id},"), 1).as_bytes()).is_ok(), "{id}");
        }
    }

    #[test]
    fn what_is_not_one_finite_json_object_is_refused() {
        for bad in [
            "",
            "{",
            "nonsense",
            "[]",
            r#"["score",7,null,"T-1"]"#,
            "1",
            &SHORT.replace("0.62", "NaN"),
            &SHORT.replace("0.62", "1e999"),
            &format!("{SHORT}{SHORT}"),
        ] {
            let code = error_of(bad).0;
            assert_eq!(code, "invalid_json", "{bad}");
        }
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(error_of(&SHORT.replace("0.62", &deep)).0, "wrong_type");
    }
}
