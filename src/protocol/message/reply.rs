//! How requests are answered: each answer one object, one line.
#![deny(clippy::indexing_slicing)]

use serde::Serialize;
use serde_json::value::RawValue;

use super::{Rejected, WireError};
use crate::domain::{Arm, Decision, InvalidLine, Probability, Reason, TradeId, VersionId};

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

/// Appends the answer to a `score` and a line end.
///
/// It is the most frequent answer, and is put together by hand: word for word what [`DecisionReply`] would give.
pub fn write_decision(out: &mut Vec<u8>, id: Option<&RawValue>, decision: &Decision) {
    write_answer(out, id, decision, &[]);
}

/// The same, with the names of the inputs that were not measured, if any.
pub fn write_answer(out: &mut Vec<u8>, id: Option<&RawValue>, decision: &Decision, missing: &[Box<str>]) {
    out.extend_from_slice(b"{\"ok\":true");
    if let Some(id) = id {
        out.extend_from_slice(b",\"id\":");
        out.extend_from_slice(id.get().as_bytes());
    }
    // neither a trade's id, nor a version's, nor a name of ours has a character that JSON would have escaped
    out.extend_from_slice(b",\"trade_id\":\"");
    out.extend_from_slice(decision.trade_id.as_str().as_bytes());
    out.extend_from_slice(b"\",\"arm\":\"");
    out.extend_from_slice(decision.arm.name().as_bytes());
    out.extend_from_slice(b"\",\"confidence\":");
    write_number(out, decision.confidence.map(Probability::get));
    out.extend_from_slice(b",\"score\":");
    write_number(out, Some(decision.score.get()));
    out.extend_from_slice(b",\"size\":");
    write_number(out, Some(decision.size));
    out.extend_from_slice(b",\"model\":");
    match &decision.model {
        None => out.extend_from_slice(b"null"),
        Some(VersionId { symbol, number }) => {
            out.push(b'"');
            out.extend_from_slice(symbol.as_str().as_bytes());
            out.push(b'/');
            write_json(out, number);
            out.push(b'"');
        }
    }
    out.extend_from_slice(b",\"reason\":\"");
    out.extend_from_slice(decision.reason.name().as_bytes());
    out.push(b'"');
    if !missing.is_empty() {
        out.extend_from_slice(b",\"missing\":");
        write_json(out, &missing);
    }
    out.extend_from_slice(b"}\n");
}

/// A number as JSON has it: `null` when there is none or it is not finite.
fn write_number(out: &mut Vec<u8>, number: Option<f64>) {
    match number {
        Some(number) => write_json(out, &number),
        None => out.extend_from_slice(b"null"),
    }
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

/// As [`write_ok`], with the fields of every object in the order of their names.
pub fn write_sorted<T: Serialize>(out: &mut Vec<u8>, id: Option<&RawValue>, body: &T) {
    match serde_json::to_value(body) {
        Ok(body) => write_ok(out, id, &body),
        Err(error) => write_error(out, id, &WireError::new("internal_error", error.to_string())),
    }
}

fn write_line<T: Serialize>(out: &mut Vec<u8>, reply: &T) {
    write_json(out, reply);
    out.push(b'\n');
}

fn write_json<T: Serialize>(out: &mut Vec<u8>, reply: &T) {
    let before = out.len();
    if let Err(error) = serde_json::to_writer(&mut *out, reply) {
        // replies are plain structs; should one ever fail to serialise, its request still gets an answer
        out.truncate(before);
        out.extend_from_slice(br#"{"ok":false,"error":{"code":"internal_error","message":"the answer could not be written","field":null}}"#);
        tracing::error!(%error, "a reply could not be serialised");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number() -> impl Strategy<Value = f64> {
        prop_oneof![Just(0.0), Just(-0.0), Just(1.0), Just(0.5), Just(1e-9), 0.0..=1.0_f64]
    }

    proptest! {
        #![proptest_config(ProptestConfig { rng_seed: proptest::test_runner::RngSeed::Fixed(7), failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_decision_is_written_as_its_fields_would_be(
            (trade_id, id, model) in ("[A-Za-z0-9._:/-]{1,64}", "7|\"a\"|null|[1,\"\\\\\\\\n\"]| 3 ", "ES/1|NQ/4294967295|M.2_/7|"),
            (confidence, score, size) in (proptest::option::of(number()), number(), prop_oneof![number(), Just(f64::NAN)]),
            (arm, reason) in (0..2_usize, 0..Reason::ALL.len()),
        ) {
            let decision = Decision {
                trade_id: TradeId::new(trade_id).unwrap(),
                arm: [Arm::Ml, Arm::Baseline][arm],
                confidence: confidence.map(|confidence| Probability::new(confidence.abs()).unwrap()),
                score: Probability::new(score.abs()).unwrap(),
                size,
                model: model.parse().ok(),
                reason: Reason::ALL[reason],
            };
            let raw: Option<&RawValue> = serde_json::from_str(id.trim()).ok();
            let (mut out, mut expected) = (b"before\n".to_vec(), b"before\n".to_vec());
            write_decision(&mut out, raw, &decision);
            write_line(&mut expected, &DecisionReply {
                ok: true,
                id: raw,
                trade_id: Some(&decision.trade_id),
                arm: decision.arm,
                confidence: decision.confidence,
                score: decision.score,
                size: decision.size,
                model: decision.model.as_ref(),
                reason: decision.reason,
                error: None,
            });
            prop_assert_eq!(String::from_utf8(out).unwrap(), String::from_utf8(expected).unwrap());
        }
    }
}
