//! A part of a stored state as JSON, which names its fields: for types whose records leave out what they do not have, and would
//! be read wrongly from bytes without names. For `#[serde(with)]`.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned, de::Error as _, ser::Error as _};

/// Writes `value` as a text.
///
/// # Errors
/// When it has no JSON.
pub(crate) fn serialize<T: Serialize, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serde_json::to_string(value).map_err(S::Error::custom)?.serialize(serializer)
}

/// Reads it.
///
/// # Errors
/// When the text is none of it.
pub(crate) fn deserialize<'de, T: DeserializeOwned, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    serde_json::from_str(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}
