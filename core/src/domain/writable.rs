//! Lines that every reader of JSON takes, and what earlier versions took that is none.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::invalid::{InvalidLine, field_error};

/// The line of an earlier version in the form that is taken today. `None` where that is not known.
pub fn readable(line: &[u8]) -> Option<Vec<u8>> {
    /// What is needed of the line to take its `id` out.
    #[derive(Deserialize)]
    struct WithId<'a> {
        #[serde(default, borrow)]
        id: Option<&'a RawValue>,
    }
    let text = std::str::from_utf8(line).ok()?;
    let mut text = text.to_owned();
    let id = serde_json::from_str::<WithId<'_>>(&text).ok()?.id.map(|id| id.get().to_owned());
    if let Some(id) = id.filter(|id| !is_writable(id)) {
        text = text.replacen(&id, "null", 1);
    }
    // of a key that comes twice the last one stays
    let value: serde_json::Value = serde_json::from_str(&text).ok()?;
    serde_json::to_vec(&value).ok()
}

/// Whether a value can be read as JSON everywhere: no text with half a surrogate pair, no number beyond all numbers.
fn is_writable(json: &str) -> bool {
    let simple_number = json.len() <= 18 && json.bytes().all(|b| b.is_ascii_digit());
    let simple_text = json.starts_with('"') && !json.contains('\\');
    simple_text || simple_number || serde_json::from_str::<serde_json::Value>(json).is_ok()
}

/// Whether an `id` can be written wherever it may go.
///
/// # Errors
/// [`InvalidLine`] about the field `id`.
pub fn check_id(id: &RawValue) -> Result<(), InvalidLine> {
    let why = "it is no text and no number that can be written: half a surrogate pair, or a number beyond all numbers";
    if is_writable(id.get()) { Ok(()) } else { Err(field_error("out_of_range", "id", why)) }
}
