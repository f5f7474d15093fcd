//! A JSON object as its fields were written: with what came twice, and every number digit by digit.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, MapAccess, Visitor},
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

    /// The fields of an object that stand before whatever is at fault in `text`, a byte-order mark aside.
    pub fn before_fault(text: &'a str) -> Self {
        let mut fields = Vec::new();
        let mut input = serde_json::Deserializer::from_str(text.trim_start_matches('\u{feff}'));
        let _at_fault = Into(&mut fields).deserialize(&mut input);
        Self(fields)
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
        let mut fields = Vec::new();
        Into(&mut fields).deserialize(deserializer)?;
        Ok(Self(fields))
    }
}

/// Puts fields one by one into a list, so that those before a fault are known.
struct Into<'l, 'a>(&'l mut Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> DeserializeSeed<'de> for Into<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de: 'a, 'a> Visitor<'de> for Into<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        while let Some(field) = map.next_entry::<String, &'de RawValue>()? {
            self.0.push(field);
        }
        Ok(())
    }
}
