//! A JSON Schema of what a reader takes, found by asking it: which fields there are, it says of one that is not; what a value may
//! be, it says by taking or refusing it.

use serde_json::{Map, Value, json};
use vigie::domain::visible::is_hidden;

/// Free text, and texts that are of one form only.
const TEXTS: [&str; 7] = ["x \u{e9}", "T-1", "ES", "ES/1", "2025-01-06T15:00:00Z", "2025-01-06", "logistic"];
/// Values that a field may have which the sample lacks.
const CANDIDATES: [fn() -> Value; 11] = [
    || json!(1),
    || json!(0.5),
    || json!(true),
    || json!("x \u{e9}"),
    || json!("T-1"),
    || json!("ES"),
    || json!("ES/1"),
    || json!("2025-01-06T15:00:00Z"),
    || json!({ "x": 0.5 }),
    || json!([]),
    || json!({}),
];
/// A name that nothing has.
const NOBODY: &str = "zz_unknown";
/// Longer than any text may be in a line.
const LONG: usize = 60_000;
/// The largest whole number that every reader of JSON has exactly.
const LARGEST: u64 = 1 << 53;

/// What a reader says of a value: nothing when it takes it.
pub struct Reader<'r>(pub &'r dyn Fn(&Value) -> Option<String>);

impl Reader<'_> {
    /// The schema of the values that are like `sample`, which it takes.
    pub fn schema(&self, sample: &Value) -> Value {
        assert_eq!((self.0)(sample), None, "{sample}");
        self.node(sample, "")
    }

    fn takes(&self, root: &Value, at: &str, value: Value) -> bool {
        (self.0)(&set(root, at, value)).is_none()
    }

    fn node(&self, root: &Value, at: &str) -> Value {
        let mut schema = match root.pointer(at).unwrap() {
            Value::Object(_) => self.object(root, at),
            Value::Array(items) if !items.is_empty() => self.list(root, at, items),
            _ => return self.leaf(root, at),
        };
        if self.takes(root, at, Value::Null) {
            schema["type"] = json!([schema["type"], "null"]);
        }
        schema
    }

    fn list(&self, root: &Value, at: &str, items: &[Value]) -> Value {
        let mut schema = json!({ "type": "array", "items": self.node(root, &format!("{at}/0")) });
        let longer: Vec<Value> = items.iter().chain(items.last()).cloned().collect();
        if !self.takes(root, at, longer.into()) && !self.takes(root, at, items[1..].to_vec().into()) {
            (schema["minItems"], schema["maxItems"]) = (items.len().into(), items.len().into());
        }
        schema
    }

    fn object(&self, root: &Value, at: &str) -> Value {
        let fields = root.pointer(at).unwrap().as_object().unwrap();
        let mut other = fields.clone();
        other.insert(NOBODY.to_owned(), json!(0));
        let said = (self.0)(&set(root, at, other.into())).unwrap_or_default();
        if !said.contains("unknown field") {
            // any names
            let first = fields.keys().next().unwrap_or_else(|| panic!("{at} is empty in the sample"));
            let values = self.node(root, &format!("{at}/{first}"));
            return json!({ "type": "object", "additionalProperties": values });
        }
        let names: Vec<&str> = said.split('`').skip(3).step_by(2).collect();
        let (mut properties, mut required) = (Map::new(), Vec::new());
        // what the reader takes off before it reads the rest is in the sample
        for name in names.into_iter().chain(fields.keys().map(String::as_str)).filter(|name| *name != NOBODY) {
            let place = format!("{at}/{name}");
            if properties.contains_key(name) {
                continue;
            }
            let mut full = root.clone();
            if !fields.contains_key(name) {
                let with = |value: Value| insert(root, at, name, value);
                let Some(value) = CANDIDATES.iter().map(|value| value()).find(|v| (self.0)(&with(v.clone())).is_none())
                else {
                    continue;
                };
                full = with(value);
            } else if (self.0)(&without(root, at, name)).is_some() {
                required.push(name);
            }
            properties.insert(name.to_owned(), self.node(&full, &place));
        }
        required.sort_unstable();
        json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
    }

    fn leaf(&self, root: &Value, at: &str) -> Value {
        if at == "/type" {
            return json!({ "const": root.pointer(at) });
        }
        let takes = |value: Value| self.takes(root, at, value);
        let mut schema = Map::new();
        let mut kinds = Vec::new();
        if takes(json!(0)) || takes(json!(1)) || takes(json!(0.5)) {
            let whole = !takes(json!(0.5));
            kinds.push(if whole { "integer" } else { "number" });
            for low in [1.0, 0.0, -1.0].into_iter().filter(|_| !takes(json!(-2))) {
                if !takes(json!(low - if whole { 1.0 } else { 0.25 })) && takes(number(low, whole)) {
                    schema.insert("minimum".to_owned(), json!(low));
                }
            }
            let high = [1, 10, 100, 1_000, 10_000, 1_000_000, 1_000_000_000]
                .into_iter()
                .find(|high| !whole && takes(json!(f64::from(*high))) && !takes(json!(f64::from(*high) + 0.25)));
            if let Some(high) = high {
                schema.insert("maximum".to_owned(), json!(high));
            }
            if whole && !takes(json!(LARGEST)) {
                schema.insert("maximum".to_owned(), json!(most(1, LARGEST, |number| takes(json!(number)))));
            }
        }
        if takes(json!(true)) {
            kinds.push("boolean");
        }
        if let Some(of_text) = self.text(root, at) {
            kinds.push("string");
            schema.extend(of_text);
        }
        let nullable = takes(Value::Null);
        for (kind, value) in [("array", json!([])), ("object", json!({})), ("null", Value::Null)] {
            if takes(value) {
                kinds.push(kind);
            }
        }
        if kinds.len() >= 6 {
            return json!({});
        }
        assert!(!kinds.is_empty(), "{at}: what is it? {root}");
        if let (Some(Value::Array(words)), true) = (schema.get_mut("enum"), nullable) {
            words.push(Value::Null);
        }
        let kinds = if let [one] = kinds.as_slice() { json!(one) } else { json!(kinds) };
        schema.insert("type".to_owned(), kinds);
        schema.into()
    }

    /// What a text must be, if it may be one.
    fn text(&self, root: &Value, at: &str) -> Option<Map<String, Value>> {
        let said = (self.0)(&set(root, at, json!("zz no such word"))).unwrap_or_default();
        if said.contains("unknown variant") {
            let words: Vec<&str> = said.split('`').skip(3).step_by(2).collect();
            return Some(Map::from_iter([("enum".to_owned(), json!(words))]));
        }
        let takes = |text: &str| self.takes(root, at, json!(text));
        let taken = TEXTS.map(takes);
        let pattern = match taken {
            [true, ..] => {
                let mut of = Map::new();
                if !takes("\u{200b}") {
                    of.insert("pattern".to_owned(), json!(visible()));
                } else if !takes("") {
                    of.insert("minLength".to_owned(), json!(1));
                }
                if !takes(&"x".repeat(LONG)) {
                    let longest = most(1, LONG as u64, |count| takes(&"x".repeat(count as usize)));
                    of.insert("maxLength".to_owned(), json!(longest));
                }
                return Some(of);
            }
            [_, true, true, true, ..] | [_, true, false, false, ..] => "^[A-Za-z0-9._:/-]{1,64}$",
            [_, false, true, false, ..] => "^[A-Z0-9._]{1,16}$",
            [_, false, false, true, ..] => "^[A-Z0-9._]{1,16}/[1-9][0-9]*$",
            [_, false, false, false, true, ..] => {
                return Some(Map::from_iter([("format".to_owned(), json!("date-time"))]));
            }
            [_, false, false, false, false, true, _] => {
                return Some(Map::from_iter([("format".to_owned(), json!("date"))]));
            }
            [.., true] => return Some(Map::new()),
            // one that is too short, or one of a few
            _ => return None,
        };
        Some(Map::from_iter([("pattern".to_owned(), json!(pattern))]))
    }
}

fn number(number: f64, whole: bool) -> Value {
    if whole { json!(number as i64) } else { json!(number) }
}

/// The pattern of a text in which something can be seen. It names no character beyond the first 65,536: not every program that reads
/// patterns knows those.
pub fn visible() -> String {
    let is_unseen = |c: &char| c.is_whitespace() || c.is_control() || is_hidden(*c);
    let spelled = |c: char| format!("\\u{:04x}", u32::from(c));
    let mut pattern = "[^".to_owned();
    let mut unseen = (0..=0xffff).filter_map(char::from_u32).filter(is_unseen).peekable();
    while let Some(first) = unseen.next() {
        let mut last = first;
        while let Some(next) = unseen.next_if(|next| u32::from(*next) == u32::from(last) + 1) {
            last = next;
        }
        pattern += &spelled(first);
        if last != first {
            pattern += &format!("-{}", spelled(last));
        }
    }
    pattern + "]"
}

/// The largest number that is taken, when `taken` is and `refused` is not.
fn most(mut taken: u64, mut refused: u64, takes: impl Fn(u64) -> bool) -> u64 {
    while refused - taken > 1 {
        let middle = taken + (refused - taken) / 2;
        if takes(middle) { taken = middle } else { refused = middle }
    }
    taken
}

fn set(root: &Value, at: &str, value: Value) -> Value {
    let mut changed = root.clone();
    *changed.pointer_mut(at).unwrap() = value;
    changed
}

fn insert(root: &Value, at: &str, name: &str, value: Value) -> Value {
    let mut changed = root.clone();
    changed.pointer_mut(at).unwrap()[name] = value;
    changed
}

fn without(root: &Value, at: &str, name: &str) -> Value {
    let mut changed = root.clone();
    changed.pointer_mut(at).unwrap().as_object_mut().unwrap().remove(name);
    changed
}
