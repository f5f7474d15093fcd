//! Names of trades, symbols and model versions.

use std::{fmt, marker::PhantomData, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A name that cannot be used, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {text:?} is not valid: {rule}")]
pub struct InvalidId {
    /// What kind of name it was meant to be.
    pub what: &'static str,
    /// The text as given, cut at 80 characters.
    pub text: String,
    /// The rule it breaks.
    pub rule: &'static str,
}

fn invalid(what: &'static str, text: &str, rule: &'static str) -> InvalidId {
    InvalidId { what, text: text.chars().take(80).collect(), rule }
}

/// The trader's own name of one signal and the trade it may become: `[A-Za-z0-9._:/-]{1,64}`, unique for ever.
///
/// A signal's record, its answer and what is remembered of it all name it, so copies share the text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TradeId(Arc<str>);

/// A traded instrument, such as `ES`: `[A-Z0-9._]{1,16}`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Symbol {
    /// Filled up with zeros, which stand before every character that is allowed.
    text: [u8; MAX_SYMBOL],
    length: u8,
}

const MAX_SYMBOL: usize = 16;

/// One trained model: the symbol it serves and a number that only grows, written `ES/14`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VersionId {
    /// The symbol whose signals this version scores.
    pub symbol: Symbol,
    /// Its number among the versions of that symbol, from 1.
    pub number: u32,
}

const TRADE_ID_RULE: &str = "1 to 64 characters of A-Z a-z 0-9 . _ : / -";
const SYMBOL_RULE: &str = "1 to 16 characters of A-Z 0-9 . _";
const VERSION_RULE: &str = "a symbol, a slash and a number from 1, such as ES/14";

impl TradeId {
    /// Checks `text` against the rule of trade ids.
    ///
    /// # Errors
    /// [`InvalidId`] when it is empty, longer than 64 bytes or has another character.
    pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidId> {
        let text = text.as_ref();
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'/' | b'-');
        if (1..=64).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.into()))
        } else {
            Err(invalid("trade_id", text, TRADE_ID_RULE))
        }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Symbol {
    /// Checks `text` against the rule of symbols.
    ///
    /// # Errors
    /// [`InvalidId`] when it is empty, longer than 16 bytes or has another character.
    pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidId> {
        let given = text.as_ref();
        let allowed = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_');
        let mut text = [0; MAX_SYMBOL];
        match (text.get_mut(..given.len()), u8::try_from(given.len())) {
            (Some(place), Ok(length @ 1..)) if given.bytes().all(allowed) => {
                place.copy_from_slice(given.as_bytes());
                Ok(Self { text, length })
            }
            _ => Err(invalid("symbol", given, SYMBOL_RULE)),
        }
    }

    /// The symbol as text.
    pub fn as_str(&self) -> &str {
        let text = self.text.get(..usize::from(self.length)).unwrap_or_default();
        str::from_utf8(text).unwrap_or_default()
    }
}

impl FromStr for VersionId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let refuse = || invalid("version", text, VERSION_RULE);
        let (symbol, number) = text.rsplit_once('/').ok_or_else(refuse)?;
        let symbol = Symbol::new(symbol).map_err(|_| refuse())?;
        let canonical = !number.starts_with('0') && number.bytes().all(|b| b.is_ascii_digit());
        match number.parse() {
            Ok(number) if canonical => Ok(Self { symbol, number }),
            _ => Err(refuse()),
        }
    }
}

impl fmt::Display for TradeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Symbol").field(&self.as_str()).finish()
    }
}

impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.symbol, self.number)
    }
}

impl FromStr for TradeId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Self::new(text)
    }
}

impl FromStr for Symbol {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Self::new(text)
    }
}

/// Reads text where it stands, without a copy of it first.
pub(super) fn from_text<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: FromStr<Err: fmt::Display>,
    D: Deserializer<'de>,
{
    struct Text<T>(PhantomData<T>);

    impl<T: FromStr<Err: fmt::Display>> de::Visitor<'_> for Text<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
            text.parse().map_err(E::custom)
        }
    }

    deserializer.deserialize_str(Text(PhantomData))
}

impl<'de> Deserialize<'de> for TradeId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer)
    }
}

impl<'de> Deserialize<'de> for Symbol {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer)
    }
}

impl<'de> Deserialize<'de> for VersionId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer)
    }
}

impl Serialize for TradeId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Serialize for Symbol {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Serialize for VersionId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trade_ids_are_restricted_to_a_safe_alphabet() {
        for good in ["ES-20150105-001", "a", "A.b_c:d/e-f", &"x".repeat(64)] {
            assert!(TradeId::new(good).is_ok(), "{good}");
        }
        for bad in ["", "a b", "é", "a\n", "\"", &"x".repeat(65)] {
            assert!(TradeId::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn symbols_keep_their_text_and_its_order() {
        let texts = ["0", "A", "A.B_9", "AB", "ES", "ES0", "X".repeat(16).as_str()].map(str::to_owned);
        let symbols = texts.clone().map(|text| Symbol::new(text).unwrap());
        assert_eq!(symbols.each_ref().map(Symbol::as_str), texts.each_ref().map(String::as_str));
        assert!(symbols.is_sorted() && texts.is_sorted());
        assert_eq!(format!("{:?} {}", symbols[3], symbols[3]), r#"Symbol("AB") AB"#);
        for bad in ["", "es", "E S", "E\0", &"X".repeat(17), &"X".repeat(300)] {
            assert!(Symbol::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn versions_are_written_as_they_are_read() {
        let id: VersionId = "ES/14".parse().unwrap();
        assert_eq!((id.symbol.as_str(), id.number, id.to_string().as_str()), ("ES", 14, "ES/14"));
        for bad in ["ES", "ES/", "/1", "ES/0", "ES/01", "ES/-1", "ES/+1", "es/1", "ES/4294967296"] {
            assert!(bad.parse::<VersionId>().is_err(), "{bad}");
        }
    }
}
