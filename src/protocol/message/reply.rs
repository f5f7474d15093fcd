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
