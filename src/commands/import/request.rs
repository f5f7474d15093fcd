//! A line of a file as a request to the daemon.

use serde_json::{Map, Value};

/// What a request has beside the trade's own fields, at most.
pub(super) const REQUEST_BYTES: usize = 32;

/// A line of a file as a request.
pub(super) fn request(line: &[u8]) -> anyhow::Result<String> {
    let mut fields: Map<String, Value> = serde_json::from_slice(line)?;
    fields.remove("id");
    fields.remove("deadline_us");
    fields.insert("type".to_owned(), "import".into());
    Ok(format!("{}\n", Value::Object(fields)))
}

/// A line of a file with a fault as a request with the same fault.
pub(super) fn faulty_request(line: &[u8]) -> Option<String> {
    let line = String::from_utf8_lossy(line);
    let fields = line.trim().strip_prefix('{')?;
    Some(format!("{{\"type\":\"import\",{fields}\n"))
}
