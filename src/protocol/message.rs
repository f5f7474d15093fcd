//! The wire's own types: what may be asked, and how it is answered.
#![deny(clippy::indexing_slicing)]

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::domain::{
    Arm, Decision, InvalidLine, Outcome, Probability, Reason, SignalLine, Skip, TradeId, VersionId, lifecycle::State,
    signal::parse_json,
};

/// Longest `id` that is echoed, in bytes as written.
const MAX_ID_BYTES: usize = 128;

/// A request, decoded, with what is needed to answer it.
#[derive(Debug)]
pub struct Envelope<'a> {
    /// Echoed in the answer: a JSON string or number as written.
    pub id: Option<&'a RawValue>,
    /// The request, or what was wrong with it.
    pub body: Result<Request, Rejected>,
}

/// What may be asked.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// A signal to be scored.
    Score(Box<SignalLine>),
    /// A closed trade.
    Outcome(Box<OutcomeRequest>),
    /// A signal that was not taken.
    Skip(Skip),
    /// Anything that reads.
    Read(Read),
    /// Anything that changes what is served.
    Change(Change),
}

/// Requests that read and change nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// Are you there?
    Ping,
    /// The daemon's state and counters.
    Status,
    /// The registered versions.
    Models,
}

/// Requests that change what is served; each is journalled with the uid and the reason.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Change {
    /// Move a version one step forward in its life.
    Promote {
        /// Which.
        version: VersionId,
        /// Why, in the operator's words.
        reason: String,
        /// How far; one step without it.
        #[serde(default)]
        to: Option<State>,
        /// Whether to pass over a gate that failed or was not run.
        #[serde(default, rename = "override")]
        overridden: bool,
    },
    /// Take a version out of service.
    Rollback {
        /// Which.
        version: VersionId,
        /// Why.
        reason: String,
    },
    /// Serve the baseline only.
    Lock {
        /// Why.
        reason: String,
    },
    /// Lift a lock.
    Resume {
        /// Why.
        reason: String,
    },
    /// Read the configuration again.
    Reload,
}

/// A closed trade as it is sent.
#[derive(Debug, Clone, PartialEq)]
pub struct OutcomeRequest {
    /// The trade.
    pub trade_id: TradeId,
    /// What became of it.
    pub outcome: Outcome,
    /// The decision it answers, echoed by the trader, so that a crash between the two loses nothing.
    pub decision: Option<Decision>,
}

/// A request at fault, with what could still be read of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Rejected {
    /// What was wrong.
    pub error: InvalidLine,
    /// Set when it was meant to be a `score`: it gets an answer the trader can use.
    pub score: Option<RejectedScore>,
}

/// What could be read of a faulty `score`.
#[derive(Debug, Clone, PartialEq)]
pub struct RejectedScore {
    /// Its trade, when the id was valid.
    pub trade_id: Option<TradeId>,
    /// Its confidence, when that was valid.
    pub confidence: Option<Probability>,
}

/// The answer to a `score`.
#[derive(Debug, Clone, Serialize)]
pub struct DecisionReply<'a> {
    /// False when the request was at fault.
    pub ok: bool,
    /// Echoed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<&'a RawValue>,
    /// The signal; absent only when the request had no valid one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trade_id: Option<&'a TradeId>,
    /// See [`Decision`].
    pub arm: Arm,
    /// See [`Decision`].
    pub confidence: Option<Probability>,
    /// See [`Decision`].
    pub score: Probability,
    /// See [`Decision`].
    pub size: f64,
    /// See [`Decision`].
    pub model: Option<&'a VersionId>,
    /// See [`Decision`].
    pub reason: Reason,
    /// What was wrong with the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'a InvalidLine>,
}

/// The answer to an `outcome` or a `skip` once it is on disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ack {
    /// The trade.
    pub trade_id: TradeId,
    /// Always true: what is not durable is not acknowledged.
    pub durable: bool,
    /// Of a new outcome: whether the trade was scored here or echoed its decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matched: Option<bool>,
    /// Whether the same had been stored before.
    pub duplicate: bool,
}

/// An error in an answer: a stable code, a sentence, the field at fault when there is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {message}")]
pub struct WireError {
    /// A stable word, such as `conflict` or `retry`.
    pub code: Cow<'static, str>,
    /// What was wrong and what to do.
    pub message: String,
    /// Dotted path of the field.
    pub field: Option<String>,
}

impl WireError {
    /// An error about no single field.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code: Cow::Borrowed(code), message: message.into(), field: None }
    }
}

impl From<InvalidLine> for WireError {
    fn from(error: InvalidLine) -> Self {
        Self { code: Cow::Borrowed(error.code), message: error.message, field: error.field }
    }
}

/// Only what tells a request's kind; all else is passed over.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(default, rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    id: Option<&'a RawValue>,
}

/// What could be read of a faulty line before its fault. A field that came twice says nothing.
#[derive(Debug, Default)]
struct Salvage<'a> {
    kind: Field<'a>,
    id: Field<'a>,
    trade_id: Field<'a>,
    confidence: Field<'a>,
}

/// The value of a field, as often as it came.
type Field<'a> = Vec<&'a RawValue>;

impl<'a> Salvage<'a> {
    fn of(line: &'a [u8]) -> Self {
        let mut salvage = Self::default();
        // it ends in an error in most cases; what was read by then stays
        let _faulty = serde_json::Deserializer::from_slice(line).deserialize_map(&mut salvage);
        salvage
    }

    /// The one value of `field`, if it is one that can be taken.
    fn read<T: Deserialize<'a>>(field: &Field<'a>) -> Option<T> {
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
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OutcomeWire<'a> {
    #[serde(rename = "type", borrow)]
    _kind: Cow<'a, str>,
    #[serde(default, rename = "id", borrow)]
    _id: Option<&'a RawValue>,
    trade_id: TradeId,
    outcome_metrics: Outcome,
    #[serde(default)]
    decision: Option<EchoWire>,
}

/// A decision as the trader received it; the envelope's fields may stay.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EchoWire {
    #[serde(default, rename = "ok")]
    _ok: bool,
    #[serde(default, rename = "id")]
    _id: IgnoredAny,
    #[serde(default)]
    trade_id: Option<TradeId>,
    arm: Arm,
    confidence: Option<Probability>,
    score: Probability,
    size: f64,
    model: Option<VersionId>,
    reason: Reason,
    #[serde(default, rename = "error")]
    _error: IgnoredAny,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SkipWire<'a> {
    #[serde(rename = "type", borrow)]
    _kind: Cow<'a, str>,
    #[serde(default, rename = "id", borrow)]
    _id: Option<&'a RawValue>,
    trade_id: TradeId,
    reason: Box<str>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BareWire<'a> {
    #[serde(rename = "type", borrow)]
    _kind: Cow<'a, str>,
    #[serde(default, rename = "id", borrow)]
    _id: Option<&'a RawValue>,
}

/// Reads one request line.
pub fn decode(line: &[u8]) -> Envelope<'_> {
    let head: Head<'_> = match parse_json(line) {
        Ok(head) => head,
        Err(error) => {
            let salvage = Salvage::of(line);
            let id = match salvage.id.as_slice() {
                [id] if refuse_id(Some(id)).is_none() => Some(*id),
                _ => None,
            };
            let kind: Option<String> = Salvage::read(&salvage.kind);
            return Envelope { id, body: Err(reject(kind.as_deref(), error, line)) };
        }
    };
    if let Some(error) = refuse_id(head.id) {
        return Envelope { id: None, body: Err(reject(head.kind.as_deref(), error, line)) };
    }
    let body = decode_body(head.kind.as_deref(), line).map_err(|error| reject(head.kind.as_deref(), error, line));
    Envelope { id: head.id, body }
}

fn decode_body(kind: Option<&str>, line: &[u8]) -> Result<Request, InvalidLine> {
    match kind {
        Some("score") => decode_score(line),
        Some("outcome") => decode_outcome(line),
        Some("skip") => {
            parse_json::<SkipWire<'_>>(line).map(|w| Request::Skip(Skip { trade_id: w.trade_id, reason: w.reason }))
        }
        Some("ping") => bare(line, Request::Read(Read::Ping)),
        Some("status") => bare(line, Request::Read(Read::Status)),
        Some("models") => bare(line, Request::Read(Read::Models)),
        Some("reload") => bare(line, Request::Change(Change::Reload)),
        Some("promote" | "rollback" | "lock" | "resume") => decode_change(line),
        Some(other) => Err(invalid(
            "unknown_type",
            "type",
            &format!("{other:?} is not a request; see the list in docs/protocol.md"),
        )),
        None => Err(invalid("missing_field", "type", "a request says its type, such as \"score\"")),
    }
}

fn decode_score(line: &[u8]) -> Result<Request, InvalidLine> {
    let parsed = SignalLine::parse(line)?;
    if parsed.outcome.is_some() {
        let why = "a signal to be scored cannot know its outcome; send it later as an `outcome`";
        return Err(invalid("unexpected_field", "outcome_metrics", why));
    }
    Ok(Request::Score(Box::new(parsed)))
}

fn decode_outcome(line: &[u8]) -> Result<Request, InvalidLine> {
    let wire: OutcomeWire<'_> = parse_json(line)?;
    let decision = match wire.decision {
        None => None,
        Some(echo) => {
            if echo.trade_id.as_ref().is_some_and(|id| *id != wire.trade_id) {
                return Err(invalid("out_of_range", "decision.trade_id", "it names another trade than the outcome"));
            }
            Some(Decision {
                trade_id: wire.trade_id.clone(),
                arm: echo.arm,
                confidence: echo.confidence,
                score: echo.score,
                size: echo.size,
                model: echo.model,
                reason: echo.reason,
            })
        }
    };
    Ok(Request::Outcome(Box::new(OutcomeRequest { trade_id: wire.trade_id, outcome: wire.outcome_metrics, decision })))
}

/// Changes are rare: they go through a map, so that `id` may stand beside the fields of the change.
fn decode_change(line: &[u8]) -> Result<Request, InvalidLine> {
    let mut fields: serde_json::Map<String, serde_json::Value> = parse_json(line)?;
    fields.remove("id");
    let change: Change = serde_json::from_value(serde_json::Value::Object(fields)).map_err(|error| {
        let message = error.to_string();
        let code = if message.starts_with("missing field") {
            "missing_field"
        } else if message.starts_with("unknown field") {
            "unknown_field"
        } else {
            "wrong_type"
        };
        // about a value, what stands between backquotes is no field
        let field = message.split('`').nth(1).filter(|_| code != "wrong_type").map(str::to_owned);
        InvalidLine { code, message, field }
    })?;
    Ok(Request::Change(change))
}

fn bare(line: &[u8], request: Request) -> Result<Request, InvalidLine> {
    parse_json::<BareWire<'_>>(line).map(|_| request)
}

fn invalid(code: &'static str, field: &str, why: &str) -> InvalidLine {
    InvalidLine { code, message: format!("{field}: {why}"), field: Some(field.to_owned()) }
}

fn refuse_id(id: Option<&RawValue>) -> Option<InvalidLine> {
    let text = id?.get();
    let scalar = text.starts_with(['"', '-']) || text.starts_with(|c: char| c.is_ascii_digit());
    let fits = text.len() <= MAX_ID_BYTES;
    (!scalar || !fits).then(|| invalid("out_of_range", "id", "a string or a number of at most 128 bytes is echoed"))
}

fn reject(kind: Option<&str>, error: InvalidLine, line: &[u8]) -> Rejected {
    let score = (kind == Some("score")).then(|| {
        let salvage = Salvage::of(line);
        RejectedScore { trade_id: Salvage::read(&salvage.trade_id), confidence: Salvage::read(&salvage.confidence) }
    });
    Rejected { error, score }
}

/// Appends the answer to a `score` and a line end.
pub fn write_decision(out: &mut Vec<u8>, id: Option<&RawValue>, decision: &Decision) {
    let reply = DecisionReply {
        ok: true,
        id,
        trade_id: Some(&decision.trade_id),
        arm: decision.arm,
        confidence: decision.confidence,
        score: decision.score,
        size: decision.size,
        model: decision.model.as_ref(),
        reason: decision.reason,
        error: None,
    };
    write_line(out, &reply);
}

/// Appends the answer to a request at fault and a line end: for a `score`, one that the trader can act on.
pub fn write_rejected(out: &mut Vec<u8>, id: Option<&RawValue>, rejected: &Rejected) {
    match &rejected.score {
        None => write_error(out, id, &WireError::from(rejected.error.clone())),
        Some(score) => write_line(
            out,
            &DecisionReply {
                ok: false,
                id,
                trade_id: score.trade_id.as_ref(),
                arm: Arm::Baseline,
                confidence: score.confidence,
                score: Probability::NEUTRAL,
                size: 1.0,
                model: None,
                reason: Reason::InvalidRequest,
                error: Some(&rejected.error),
            },
        ),
    }
}

/// Appends `{"ok":false, "error": ...}` and a line end.
pub fn write_error(out: &mut Vec<u8>, id: Option<&RawValue>, error: &WireError) {
    #[derive(Serialize)]
    struct Reply<'a> {
        ok: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a RawValue>,
        error: &'a WireError,
    }
    write_line(out, &Reply { ok: false, id, error });
}

/// Appends `{"ok":true, ...body}` and a line end; `body` must be an object.
pub fn write_ok<T: Serialize>(out: &mut Vec<u8>, id: Option<&RawValue>, body: &T) {
    #[derive(Serialize)]
    struct Reply<'a, T> {
        ok: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a RawValue>,
        #[serde(flatten)]
        body: &'a T,
    }
    write_line(out, &Reply { ok: true, id, body });
}

fn write_line<T: Serialize>(out: &mut Vec<u8>, reply: &T) {
    let before = out.len();
    if let Err(error) = serde_json::to_writer(&mut *out, reply) {
        // replies are plain structs; should one ever fail to serialise, its request still gets an answer
        out.truncate(before);
        out.extend_from_slice(br#"{"ok":false,"error":{"code":"internal_error","message":"the answer could not be written","field":null}}"#);
        tracing::error!(%error, "a reply could not be serialised");
    }
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    const FEATURES: &str = r#"{"type":"score","id":7,"trade_id":"T-1","at":"2015-01-05T15:02:11Z","symbol":"ES","side":"long","confidence":0.62,"features":{}}"#;
    const OUTCOME: &str = r#"{"type":"outcome","trade_id":"T-1","outcome_metrics":{"exit_at":"2015-01-05T16:00:00Z","pnl":137.5,"exit_reason":"signal"}}"#;

    fn answer(line: &str) -> String {
        let envelope = decode(line.as_bytes());
        let mut out = Vec::new();
        match &envelope.body {
            Err(rejected) => write_rejected(&mut out, envelope.id, rejected),
            Ok(request) => return format!("{request:?}"),
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_faulty_score_gets_an_answer_that_the_trader_can_use() {
        let line = FEATURES.replace("\"side\":\"long\"", "\"sied\":\"long\"");
        insta::assert_snapshot!(answer(&line), @r#"{"ok":false,"id":7,"trade_id":"T-1","arm":"baseline","confidence":0.62,"score":0.5,"size":1.0,"model":null,"reason":"invalid_request","error":{"code":"unknown_field","message":"sied: unknown field `sied`, expected one of `type`, `id`, `deadline_us`, `trade_id`, `at`, `symbol`, `side`, `confidence`, `market_state`, `battle_navale_analysis`, `market_structure`, `execution_context`, `outcome_metrics`, `features`, `extra`","field":"sied"}}"#);
    }

    #[test]
    fn a_score_that_is_no_json_still_gets_what_stood_before_its_fault() {
        let cut = &FEATURES[..FEATURES.len() - 5];
        for line in [FEATURES.replace("{}", "{\"vix\":NaN}"), format!("{FEATURES}{FEATURES}"), cut.to_owned()] {
            let answer = answer(&line);
            let start = r#"{"ok":false,"id":7,"trade_id":"T-1","arm":"baseline","confidence":0.62,"#;
            assert!(answer.starts_with(start) && answer.contains("invalid_json"), "{line}: {answer}");
        }
        // what comes after the fault or twice is not guessed at
        let late = answer(&FEATURES.replace("\"T-1\"", "NaN"));
        assert!(late.starts_with(r#"{"ok":false,"id":7,"arm":"baseline","confidence":null,"#), "{late}");
        let twice = answer(&FEATURES.replace("\"side\"", "\"confidence\":0.9,\"side\""));
        assert!(twice.contains(r#""trade_id":"T-1","arm":"baseline","confidence":null"#), "{twice}");
    }

    #[test]
    fn a_signal_that_knows_its_outcome_is_refused() {
        let line = FEATURES.replace(
            "\"features\":{}",
            "\"features\":{},\"outcome_metrics\":{\"exit_at\":\"2015-01-05T16:00:00Z\",\"exit_reason\":\"x\"}",
        );
        assert!(answer(&line).contains("\"code\":\"unexpected_field\""), "{}", answer(&line));
    }

    #[test]
    fn a_decision_may_be_echoed_as_it_was_received() {
        let decision = Decision::baseline(TradeId::new("T-1").unwrap(), None, None, Reason::NoModel);
        let mut reply = Vec::new();
        write_decision(&mut reply, None, &decision);
        let reply = String::from_utf8(reply).unwrap();
        let line = OUTCOME.replacen('{', &format!("{{\"decision\":{},", reply.trim()), 1);
        let Ok(Request::Outcome(request)) = decode(line.as_bytes()).body else { panic!("{line}") };
        assert_eq!(request.decision, Some(decision));
    }

    #[test]
    fn changes_carry_a_reason_and_only_their_own_fields() {
        let good = r#"{"type":"promote","id":"a","version":"ES/1","reason":"tried it","override":true}"#;
        assert!(matches!(decode(good.as_bytes()).body, Ok(Request::Change(Change::Promote { overridden: true, .. }))));
        assert!(answer(r#"{"type":"lock"}"#).contains("missing_field"));
        assert!(answer(r#"{"type":"lock","reason":"x","why":1}"#).contains("unknown_field"));
    }

    #[test]
    fn ids_are_echoed_as_written_or_refused() {
        assert_eq!(decode(br#"{"type":"ping","id":1.50}"#).id.unwrap().get(), "1.50");
        assert!(answer(r#"{"type":"ping","id":[1]}"#).contains("\"field\":\"id\""));
        assert!(answer(r#"{"type":"pong"}"#).contains("unknown_type"));
        assert!(answer("{}").contains("missing_field"));
    }
}
