//! From a line to a request, or to what was wrong with it.
#![deny(clippy::indexing_slicing)]

use std::borrow::Cow;

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use super::{
    Alerts, Envelope, ImportRequest, MOST_ALERTS, MOST_SIGNALS, OutcomeRequest, Read, Rejected, RejectedScore, Request,
    Signals, Stream, Task,
    echo::{EchoWire, invalid},
    fields::Fields,
    salvage::{Salvage, unread_outcome},
};
use crate::domain::{
    InvalidLine, Outcome, SignalLine, Skip, TradeId, signal::parse_json, visible::check_reason, writable::check_id,
};

/// Longest `id` that is echoed, in bytes as written.
const MAX_ID_BYTES: usize = 128;

/// Only what tells a request's kind; all else is passed over.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(default, rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    id: Option<&'a RawValue>,
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
    if let Some(envelope) = decode_plain_score(line) {
        return envelope;
    }
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

/// A `score` in which nothing is at fault is read once only. Lines in which the word does not stand are not tried.
fn decode_plain_score(line: &[u8]) -> Option<Envelope<'_>> {
    memchr::memmem::find(line, b"\"score\"")?;
    let (id, parsed) = SignalLine::parse_score(line)?;
    let plain = parsed.outcome.is_none() && refuse_id(id).is_none();
    plain.then(|| Envelope { id, body: Ok(Request::Score(Box::new(parsed))) })
}

fn decode_body(kind: Option<&str>, line: &[u8]) -> Result<Request, InvalidLine> {
    match kind {
        Some("score") => decode_score(line),
        Some("outcome") => decode_outcome(line),
        Some("import") => {
            let parsed = SignalLine::parse(line)?;
            parsed.outcome.as_ref().map_or(Ok(()), Outcome::check)?;
            Ok(Request::Import(Box::new(ImportRequest { parsed, line: line.to_vec() })))
        }
        Some("skip") => {
            parse_json::<SkipWire<'_>>(line).map(|w| Request::Skip(Skip { trade_id: w.trade_id, reason: w.reason }))
        }
        Some("ping") => bare(line, Request::Read(Read::Ping)),
        Some("status") => bare(line, Request::Read(Read::Status)),
        Some("models") => bare(line, Request::Read(Read::Models)),
        Some("training") => bare(line, Request::Read(Read::Training)),
        Some("drift") => bare(line, Request::Read(Read::Drift)),
        Some("alerts") => decode_alerts(line),
        Some("signals") => decode_signals(line),
        Some("subscribe") => decode_fields(line).map(|wanted| Request::Stream(Stream::Subscribe(wanted))),
        Some("copy") => bare(line, Request::Stream(Stream::Copy)),
        Some("reload") => bare(line, Request::Task(Task::Reload)),
        Some("experiment") => decode_fields(line).map(|wanted| Request::Read(Read::Experiment(wanted))),
        Some("model") => decode_fields(line).map(|wanted| Request::Read(Read::Model(wanted))),
        Some("phases") => decode_fields(line).map(|wanted| Request::Read(Read::Phases(wanted))),
        Some("promote" | "rollback" | "reinstate" | "lock" | "resume" | "kill") => {
            decode_order(line).map(Request::Change)
        }
        Some("archive" | "backed_up" | "imported" | "schedule_run" | "train" | "validate") => {
            decode_order(line).map(Request::Task)
        }
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
        Some(echo) => Some(echo.of(&wire.trade_id)?),
    };
    wire.outcome_metrics.check()?;
    Ok(Request::Outcome(Box::new(OutcomeRequest { trade_id: wire.trade_id, outcome: wire.outcome_metrics, decision })))
}

fn decode_alerts(line: &[u8]) -> Result<Request, InvalidLine> {
    let alerts: Alerts = decode_fields(line)?;
    if !(1..=MOST_ALERTS).contains(&alerts.limit) {
        return Err(invalid("out_of_range", "limit", &format!("{} is outside 1 to {MOST_ALERTS}", alerts.limit)));
    }
    Ok(Request::Read(Read::Alerts(alerts)))
}

fn decode_signals(line: &[u8]) -> Result<Request, InvalidLine> {
    let signals: Signals = decode_fields(line)?;
    if !(1..=MOST_SIGNALS).contains(&signals.limit) {
        return Err(invalid("out_of_range", "limit", &format!("{} is outside 1 to {MOST_SIGNALS}", signals.limit)));
    }
    Ok(Request::Read(Read::Signals(signals)))
}

/// Orders are rare: they go through a map, so that `id` may stand beside their fields. Each says why.
fn decode_order<T: DeserializeOwned>(line: &[u8]) -> Result<T, InvalidLine> {
    let Fields(mut fields) = parse_json(line)?;
    fields.remove("id");
    fields.get("reason").and_then(serde_json::Value::as_str).map_or(Ok(()), check_reason)?;
    of_fields(fields)
}

/// The same of what is told apart by its `type` already.
fn decode_fields<T: DeserializeOwned>(line: &[u8]) -> Result<T, InvalidLine> {
    let Fields(mut fields) = parse_json(line)?;
    fields.retain(|name, _| name != "id" && name != "type");
    of_fields(fields)
}

fn of_fields<T: DeserializeOwned>(fields: serde_json::Map<String, serde_json::Value>) -> Result<T, InvalidLine> {
    serde_json::from_value(serde_json::Value::Object(fields)).map_err(|error| {
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
    })
}

fn bare(line: &[u8], request: Request) -> Result<Request, InvalidLine> {
    parse_json::<BareWire<'_>>(line).map(|_| request)
}

fn refuse_id(id: Option<&RawValue>) -> Option<InvalidLine> {
    let text = id?.get();
    let scalar = text.starts_with(['"', '-']) || text.starts_with(|c: char| c.is_ascii_digit());
    let fits = text.len() <= MAX_ID_BYTES;
    if let (true, Err(error)) = (fits, check_id(id?)) {
        return Some(error);
    }
    (!scalar || !fits).then(|| invalid("out_of_range", "id", "a string or a number of at most 128 bytes is echoed"))
}

fn reject(kind: Option<&str>, error: InvalidLine, line: &[u8]) -> Rejected {
    let score = (kind == Some("score")).then(|| {
        let salvage = Salvage::of(line);
        RejectedScore { trade_id: Salvage::read(&salvage.trade_id), confidence: Salvage::read(&salvage.confidence) }
    });
    Rejected { error, score, outcome: unread_outcome(kind, line) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Decision, Reason};
    use crate::protocol::message::{Change, write_answer, write_decision, write_rejected};

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
    fn a_score_is_read_alike_wherever_and_however_its_type_is_written_and_no_other_line_is_one() {
        let last = FEATURES.replace("\"type\":\"score\",", "").replace("{}}", "{},\"type\":\"score\"}");
        let spelled = FEATURES.replace("\"score\"", "\"sc\\u006fre\"");
        assert_eq!((answer(&last), answer(&spelled)), (answer(FEATURES), answer(FEATURES)));
        assert!(decode(last.as_bytes()).id.is_some_and(|id| id.get() == "7"));
        let imported = FEATURES.replace("\"score\"", "\"import\"").replace("T-1", "score");
        assert!(matches!(decode(imported.as_bytes()).body, Ok(Request::Import(_))), "{}", answer(&imported));
        let outcome = OUTCOME.replace("T-1", "score");
        assert!(matches!(decode(outcome.as_bytes()).body, Ok(Request::Outcome(_))), "{}", answer(&outcome));
        let unsaid = FEATURES.replace("\"type\":\"score\"", "\"extra\":{\"score\":1.0}");
        assert!(answer(&unsaid).contains("missing_field"), "{}", answer(&unsaid));
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
        assert_eq!(request.decision, Some(decision.clone()));
        let mut told = Vec::new();
        write_answer(&mut told, None, &decision, &["recent_momentum".into(), "tape".into()]);
        let told = String::from_utf8(told).unwrap();
        assert!(told.ends_with("\"reason\":\"no_model\",\"missing\":[\"recent_momentum\",\"tape\"]}\n"), "{told}");
        let line = OUTCOME.replacen('{', &format!("{{\"decision\":{},", told.trim()), 1);
        assert!(decode(line.as_bytes()).body.is_ok(), "{line}");
    }

    #[test]
    fn changes_carry_a_reason_and_only_their_own_fields() {
        let good = r#"{"type":"promote","id":"a","version":"ES/1","reason":"tried it","override":true}"#;
        assert!(matches!(decode(good.as_bytes()).body, Ok(Request::Change(Change::Promote { overridden: true, .. }))));
        assert!(answer(r#"{"type":"lock"}"#).contains("missing_field"));
        assert!(answer(r#"{"type":"lock","reason":"x","why":1}"#).contains("unknown_field"));
        for kind in ["promote", "rollback", "reinstate", "lock", "kill", "resume", "train", "validate"] {
            let unseen = format!(r#"{{"type":"{kind}","version":"ES/1","symbol":"ES","reason":"\u200b \u2060"}}"#);
            assert!(answer(&unseen).contains("nothing in it can be seen"), "{}", answer(&unseen));
        }
        let twice = answer(r#"{"type":"lock","reason":"x","reason":"y"}"#);
        assert!(twice.contains("duplicate_field") && twice.contains("\"field\":\"reason\""), "{twice}");
    }

    #[test]
    fn an_order_to_archive_names_a_day_and_nothing_else() {
        let good = r#"{"type":"archive","id":1,"before":"2026-01-01"}"#;
        let Ok(Request::Task(Task::Archive { before })) = decode(good.as_bytes()).body else { panic!("{good}") };
        assert_eq!(before.to_string(), "2026-01-01");
        for fault in ["", r#","before":"2026-13-01""#, r#","before":7"#, r#","before":"2026-01-01","out":"x""#] {
            assert!(answer(&format!(r#"{{"type":"archive"{fault}}}"#)).contains("\"ok\":false"), "{fault}");
        }
    }

    #[test]
    fn alerts_and_subscriptions_take_their_own_fields_only() {
        let alerts = answer(r#"{"type":"alerts","id":1,"limit":5,"level":"warning","since":"2025-09-01T15:00:00Z"}"#);
        assert!(alerts.contains("limit: 5") && alerts.contains("Some(Warning)"), "{alerts}");
        for fault in [r#""limit":0"#, r#""limit":1001"#, r#""level":"loud""#, r#""since":"monday""#, r#""limits":1"#] {
            assert!(answer(&format!(r#"{{"type":"alerts",{fault}}}"#)).contains("\"ok\":false"), "{fault}");
        }
        assert!(answer(r#"{"type":"subscribe","from":7}"#).contains("from: Some(7), decisions: false"));
        assert!(answer(r#"{"type":"subscribe","form":7}"#).contains("unknown_field"));
    }

    #[test]
    fn ids_are_echoed_as_written_or_refused() {
        assert_eq!(decode(br#"{"type":"ping","id":1.50}"#).id.unwrap().get(), "1.50");
        assert!(answer(r#"{"type":"ping","id":[1]}"#).contains("\"field\":\"id\""));
        let half = answer(r#"{"type":"ping","id":"\ud800"}"#);
        assert!(half.contains("\"field\":\"id\"") && !half.contains("ud800"), "{half}");
        assert!(answer(&FEATURES.replace("\"id\":7", "\"id\":\"\\ud800\"")).contains("\"field\":\"id\""));
        assert!(answer(r#"{"type":"pong"}"#).contains("unknown_type"));
        assert!(answer("{}").contains("missing_field"));
    }
}
