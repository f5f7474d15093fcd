//! A JSON object as its fields were written: with what came twice, and every number digit by digit.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// The fields in their order.
#[derive(Debug)]
pub struct Fields<'a>(pub Vec<(String, &'a RawValue)>);

impl<'a> Fields<'a> {
    /// The object that is the whole of `text`.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn of(text: &'a str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| format!("not a JSON object: {error}"))
    }

    /// Every value of the field `name`.
    pub fn all(&self, name: &str) -> Vec<&'a RawValue> {
        self.0.iter().filter(|(own, _)| own == name).map(|(_, value)| *value).collect()
    }

    /// The field that comes once, as a `T`.
    pub fn get<T: Deserialize<'a>>(&self, name: &str) -> Option<T> {
        match self.all(name).as_slice() {
            [value] => serde_json::from_str(value.get()).ok(),
            _ => None,
        }
    }

    /// Whether the field is there and not null.
    pub fn has(&self, name: &str) -> bool {
        self.all(name).iter().any(|value| value.get() != "null")
    }

    /// The first name that comes a second time.
    pub fn twice(&self) -> Option<&str> {
        let mut names: Vec<&str> = self.0.iter().map(|(name, _)| &**name).collect();
        names.sort_unstable();
        names.windows(2).find(|pair| pair.first() == pair.last()).and_then(|pair| pair.first().copied())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(Reader).map(Fields)
    }
}
