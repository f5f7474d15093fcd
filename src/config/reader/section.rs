//! One section of a configuration, and the kinds of value that its keys may have.

#![deny(clippy::indexing_slicing)]

use std::{
    ops::{Bound, RangeBounds, RangeInclusive},
    time::Duration,
};

use jiff::civil;
use toml::{
    Spanned,
    de::{DeArray, DeValue},
};

use super::{Effect, Reader, dotted, type_of};
use crate::config::{Setting, document::Document, error::ConfigFault, nearest};

/// A section that is being read.
pub(in crate::config) struct Section<'r, 'd, 't> {
    pub(in crate::config) reader: &'r mut Reader<'d, 't>,
    /// In the order in which they are looked at.
    pub(in crate::config) documents: Vec<&'d Document<'t>>,
    pub(in crate::config) path: Vec<String>,
    pub(in crate::config) effect: Effect,
}

/// Why a value is not taken.
pub(in crate::config) enum Refusal {
    /// It has another type.
    Type,
    /// It is not among what is allowed; perhaps this was meant.
    Range(Option<String>),
    /// It does not go with the rest of its list.
    Because(String),
}

/// What a value must be.
struct Form {
    kind: &'static str,
    allowed: String,
}

/// What a list must be: how long at most, and what each of its items.
pub(in crate::config) struct ListForm<'a> {
    pub(in crate::config) most: usize,
    pub(in crate::config) item_kind: &'static str,
    pub(in crate::config) item_allowed: &'a str,
}

impl Section<'_, '_, '_> {
    /// A whole number within `range`.
    pub(in crate::config) fn whole(&mut self, key: &str, range: RangeInclusive<u64>) -> u64 {
        let form = Form { kind: "a whole number", allowed: format!("{} to {}", range.start(), range.end()) };
        let take = |value: &DeValue<'_>| {
            let DeValue::Integer(integer) = value else { return Err(Refusal::Type) };
            let number = u64::from_str_radix(integer.as_str(), integer.radix()).ok();
            number.filter(|number| range.contains(number)).ok_or(Refusal::Range(None))
        };
        self.read(key, &form, take, u64::to_string).unwrap_or(*range.start())
    }

    /// A whole number of things within `range`.
    pub(in crate::config) fn count(&mut self, key: &str, range: RangeInclusive<u64>) -> usize {
        usize::try_from(self.whole(key, range)).unwrap_or(usize::MAX)
    }

    /// Whole milliseconds within `range`; the key ends in `_ms`.
    pub(in crate::config) fn millis(&mut self, key: &str, range: RangeInclusive<u64>) -> Duration {
        Duration::from_millis(self.whole(key, range))
    }

    /// Whole microseconds within `range`; the key ends in `_us`.
    pub(in crate::config) fn micros(&mut self, key: &str, range: RangeInclusive<u64>) -> Duration {
        Duration::from_micros(self.whole(key, range))
    }

    /// Whole seconds within `range`; the key ends in `_s`.
    pub(in crate::config) fn seconds(&mut self, key: &str, range: RangeInclusive<u64>) -> Duration {
        Duration::from_secs(self.whole(key, range))
    }

    /// A finite number within `range`.
    pub(in crate::config) fn number(&mut self, key: &str, range: impl RangeBounds<f64>) -> f64 {
        let form = Form { kind: "a number", allowed: range_text(&range) };
        let take = |value: &DeValue<'_>| {
            let text = match value {
                DeValue::Float(float) => float.as_str(),
                DeValue::Integer(integer) if integer.radix() == 10 => integer.as_str(),
                _ => return Err(Refusal::Type),
            };
            // contains() is false for NaN; + 0.0 turns a negative zero into zero
            let number = text.parse().ok().filter(|x: &f64| x.is_finite() && range.contains(x));
            number.map(|x| x + 0.0).ok_or(Refusal::Range(None))
        };
        self.read(key, &form, take, |x| format!("{x:?}")).unwrap_or_default()
    }

    /// `true` or `false`.
    pub(in crate::config) fn flag(&mut self, key: &str) -> bool {
        let form = Form { kind: "a truth value", allowed: "true or false".to_owned() };
        let take = |value: &DeValue<'_>| match value {
            DeValue::Boolean(flag) => Ok(*flag),
            _ => Err(Refusal::Type),
        };
        self.read(key, &form, take, bool::to_string).unwrap_or_default()
    }

    /// One of the words of `choices`; `stand_in` goes on after a fault.
    pub(in crate::config) fn choice<T: Copy>(&mut self, key: &str, stand_in: T, choices: &[(&'static str, T)]) -> T {
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        let allowed = names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(" or ");
        let form = Form { kind: "one of the words", allowed };
        let take = |value: &DeValue<'_>| {
            let text = value.as_str().ok_or(Refusal::Type)?;
            let choice = choices.iter().find(|(name, _)| *name == text);
            choice.copied().ok_or_else(|| Refusal::Range(nearest::suggest(text, names.iter().copied())))
        };
        self.read(key, &form, take, |(name, _)| quoted(name)).map_or(stand_in, |(_, choice)| choice)
    }

    /// A text that `take` turns into a value and its canonical form.
    pub(in crate::config) fn text<T>(
        &mut self,
        key: &str,
        allowed: &str,
        take: impl FnOnce(&str) -> Result<(T, String), Refusal>,
    ) -> Option<T> {
        let form = Form { kind: "text in quotes", allowed: allowed.to_owned() };
        let take = |value: &DeValue<'_>| take(value.as_str().ok_or(Refusal::Type)?);
        self.read(key, &form, take, |(_, canonical)| quoted(canonical)).map(|(value, _)| value)
    }

    /// A time of day written `HH:MM`.
    pub(in crate::config) fn time(&mut self, key: &str) -> civil::Time {
        let read = self.text(key, "a time of day from \"00:00\" to \"23:59\"", |text| {
            let time = time_of_day(text).ok_or(Refusal::Range(None))?;
            Ok((time, text.to_owned()))
        });
        read.unwrap_or_default()
    }

    /// A list. `take` gets each item and those before it; `show` is an item's canonical form. The result holds the items
    /// that are not at fault.
    pub(in crate::config) fn list<T>(
        &mut self,
        key: &str,
        form: &ListForm<'_>,
        take: impl FnMut(&DeValue<'_>, &[T]) -> Result<T, Refusal>,
        show: impl Fn(&T) -> String,
    ) -> Vec<T> {
        self.list_of(key, form, 0, take, show)
    }

    /// As [`list`](Self::list), with at least one item.
    pub(in crate::config) fn full_list<T>(
        &mut self,
        key: &str,
        form: &ListForm<'_>,
        take: impl FnMut(&DeValue<'_>, &[T]) -> Result<T, Refusal>,
        show: impl Fn(&T) -> String,
    ) -> Vec<T> {
        self.list_of(key, form, 1, take, show)
    }

    fn list_of<T>(
        &mut self,
        key: &str,
        form: &ListForm<'_>,
        least: usize,
        mut take: impl FnMut(&DeValue<'_>, &[T]) -> Result<T, Refusal>,
        show: impl Fn(&T) -> String,
    ) -> Vec<T> {
        let few = if least == 0 { "at most".to_owned() } else { format!("{least} to") };
        let allowed = format!("{few} {} items, each {}", form.most, form.item_allowed);
        let whole = Form { kind: "a list", allowed };
        let each = Form { kind: form.item_kind, allowed: form.item_allowed.to_owned() };
        let Some((document, found)) = self.find(key, &whole) else { return Vec::new() };
        let array = match found.get_ref().as_array() {
            Some(array) if (least..=form.most).contains(&array.len()) => array,
            long_or_other => {
                let refusal = long_or_other.map_or(Refusal::Type, |_: &DeArray<'_>| Refusal::Range(None));
                self.refuse(key, document, found, &whole, refusal);
                return Vec::new();
            }
        };
        let mut items = Vec::new();
        for (index, item) in array.iter().enumerate() {
            match take(item.get_ref(), &items) {
                Ok(value) => items.push(value),
                Err(refusal) => self.refuse(&format!("{key}[{index}]"), document, item, &each, refusal),
            }
        }
        if items.len() == array.len() {
            let shown: Vec<_> = items.iter().map(show).collect();
            self.keep(key, &whole, format!("[{}]", shown.join(", ")));
        }
        items
    }

    /// Whether `key` was read without a fault.
    pub(in crate::config) fn is_read(&self, key: &str) -> bool {
        let key = self.name_of(key);
        self.reader.settings.iter().any(|setting| setting.key == key)
    }
}

impl<'d, 't> Section<'_, 'd, 't> {
    fn read<T>(
        &mut self,
        key: &str,
        form: &Form,
        take: impl FnOnce(&DeValue<'_>) -> Result<T, Refusal>,
        show: impl FnOnce(&T) -> String,
    ) -> Option<T> {
        let (document, found) = self.find(key, form)?;
        match take(found.get_ref()) {
            Ok(value) => {
                self.keep(key, form, show(&value));
                Some(value)
            }
            Err(refusal) => {
                self.refuse(key, document, found, form, refusal);
                None
            }
        }
    }

    /// The first document with `key`, and its value there; no document having it is a fault.
    fn find(&mut self, key: &str, form: &Form) -> Option<(&'d Document<'t>, &'d Spanned<DeValue<'t>>)> {
        let path = self.path_of(key);
        let steps: Vec<_> = path.iter().map(String::as_str).collect();
        let found = self.documents.iter().find_map(|document| Some((*document, document.find(&steps)?)));
        if found.is_none()
            && let Some(document) = self.documents.last()
        {
            let parent = steps.split_last().and_then(|(_, parent)| document.find(parent));
            let span = parent.map(|found| found.span()).unwrap_or_default();
            let fault = ConfigFault::Missing { allowed: format!("{}, {}", form.kind, form.allowed) };
            self.reader.errors.push(document.error(dotted(&path), span, false, fault));
        }
        self.reader.asked.insert(path);
        found
    }

    fn refuse(
        &mut self,
        key: &str,
        document: &Document<'_>,
        value: &Spanned<DeValue<'_>>,
        form: &Form,
        refusal: Refusal,
    ) {
        let fault = match refusal {
            Refusal::Type => {
                let expected = format!("{}, {}", form.kind, form.allowed);
                ConfigFault::WrongType { expected, found: type_of(value.get_ref()) }
            }
            Refusal::Range(hint) => ConfigFault::OutOfRange { allowed: form.allowed.clone(), hint },
            Refusal::Because(why) => ConfigFault::Refused(why),
        };
        self.reader.errors.push(document.error(self.name_of(key), value.span(), true, fault));
    }

    fn keep(&mut self, key: &str, form: &Form, value: String) {
        let at_restart = self.effect == Effect::AtRestart;
        let setting = Setting { key: self.name_of(key), value, allowed: form.allowed.clone(), at_restart };
        self.reader.settings.push(setting);
    }

    fn name_of(&self, key: &str) -> String {
        // an index stands behind the last step and is no part of its name
        let (name, index) = key.split_once('[').map_or((key, String::new()), |(name, rest)| (name, format!("[{rest}")));
        dotted(&self.path_of(name)) + &index
    }

    fn path_of(&self, key: &str) -> Vec<String> {
        self.path.iter().cloned().chain([key.to_owned()]).collect()
    }
}

/// A time of day written `HH:MM`.
fn time_of_day(text: &str) -> Option<civil::Time> {
    let (hour, minute) = text.split_once(':')?;
    let two_digits = |s: &str| s.len() == 2 && s.bytes().all(|b| b.is_ascii_digit());
    if !two_digits(hour) || !two_digits(minute) {
        return None;
    }
    civil::Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()
}

/// Above `low`, and at most `high`.
pub(in crate::config) fn above(low: f64, high: f64) -> (Bound<f64>, Bound<f64>) {
    (Bound::Excluded(low), Bound::Included(high))
}

/// Refuses a name that stands among those before it.
pub(in crate::config) fn refuse_repeat(name: &str, before: &[String]) -> Result<(), Refusal> {
    let repeated = before.iter().any(|other| other == name);
    if repeated { Err(Refusal::Because("is given twice".to_owned())) } else { Ok(()) }
}

/// A text in quotes, as in TOML; for texts without quotes, backslashes and control characters.
pub(in crate::config) fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

/// `range` in words.
fn range_text(range: &impl RangeBounds<f64>) -> String {
    let low = match range.start_bound() {
        Bound::Included(low) => Some(low.to_string()),
        Bound::Excluded(low) => Some(format!("above {low}")),
        Bound::Unbounded => None,
    };
    let high = match range.end_bound() {
        Bound::Included(high) => Some(high.to_string()),
        Bound::Excluded(high) => Some(format!("below {high}")),
        Bound::Unbounded => None,
    };
    [low, high].into_iter().flatten().collect::<Vec<_>>().join(" to ")
}
