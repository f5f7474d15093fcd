//! Answers: JSON, and errors in it.

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::wire::WireError;

/// A JSON text.
pub fn json_text(text: impl Into<String>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text.into()).into_response()
}

/// An error: a stable code, and words.
pub fn refusal(status: StatusCode, code: &str, message: &str) -> Response {
    let text = json!({ "error": { "code": code, "message": message } }).to_string();
    (status, [(header::CONTENT_TYPE, "application/json")], text).into_response()
}

impl IntoResponse for WireError {
    fn into_response(self) -> Response {
        match self {
            Self::Gone { .. } => refusal(StatusCode::BAD_GATEWAY, "no_daemon", &self.to_string()),
            Self::Refused { code, message } if code == "retry" || code == "busy" => {
                refusal(StatusCode::SERVICE_UNAVAILABLE, &code, &message)
            }
            Self::Refused { code, message } => refusal(StatusCode::CONFLICT, &code, &message),
        }
    }
}
