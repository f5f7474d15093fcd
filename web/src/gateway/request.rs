//! The body of a request to the line that the daemon is sent, and what the answer must fit.

use serde_json::{Value, json};

use super::{fields::Fields, traders::Trader};

/// Longest id, in bytes as it is written.
const LONGEST_ID: usize = 128;
/// Longest deadline of a signal, in microseconds.
const LONGEST_DEADLINE_US: u64 = 60_000_000;

/// What a trader may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A signal.
    Score,
    /// A closed trade.
    Outcome,
    /// A signal that was not traded.
    Skip,
    /// Is the daemon there.
    Ping,
    /// What is served.
    Status,
}

impl Kind {
    /// That of a path, such as `/v1/score`.
    pub fn of(path: &str) -> Option<Self> {
        let kinds = [Self::Score, Self::Outcome, Self::Skip, Self::Ping, Self::Status];
        let name = path.strip_prefix("/v1/")?;
        kinds.into_iter().find(|kind| kind.name() == name)
    }

    /// The daemon's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Score => "score",
            Self::Outcome => "outcome",
            Self::Skip => "skip",
            Self::Ping => "ping",
            Self::Status => "status",
        }
    }

    /// Whether it names a trade, and is written down.
    pub fn is_of_trade(self) -> bool {
        matches!(self, Self::Score | Self::Outcome | Self::Skip)
    }
}

/// A request as far as it could be read: enough for the neutral answer.
#[derive(Debug, Default)]
pub struct Asked {
    /// The client's own id, as it was written.
    pub id: Option<String>,
    /// The trade, if it was named rightly.
    pub trade_id: Option<String>,
    /// The strategy's own confidence, as it was written.
    pub confidence: Option<String>,
    /// How long the answer may take, in microseconds; of signals only.
    pub deadline_us: Option<u64>,
    /// Whether its deadline is one that the daemon is to refuse.
    has_odd_deadline: bool,
    /// Whether the daemon can read no id in it.
    pub is_broken: bool,
    /// Everything else, to be sent on as it is, without its braces.
    rest: String,
}

/// Why a request is not sent on: code, field and words, as the daemon would give them.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    /// A stable code.
    pub code: &'static str,
    /// Of this field.
    pub field: Option<&'static str>,
    /// Why.
    pub message: String,
}

impl Fault {
    /// A fault of the whole.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, field: None, message: message.into() }
    }

    fn of(field: &'static str, code: &'static str, message: impl Into<String>) -> Self {
        Self { code, field: Some(field), message: format!("{field}: {}", message.into()) }
    }
}

impl Asked {
    /// Reads `body`, which `trader` sent as a `kind`. What could be read is returned beside a fault.
    ///
    /// The daemon looks for a closed trade even in a line that is no JSON. So one that names nobody else's trade is sent on.
    pub fn read(kind: Kind, body: &[u8], trader: &Trader) -> (Self, Result<(), Fault>) {
        let mut asked = Self::default();
        let body = if body.is_empty() && !kind.is_of_trade() { b"{}" } else { body };
        let Ok(text) = std::str::from_utf8(body) else {
            return (Self::before_fault(body), Err(Fault::new("invalid_json", "not a JSON object: it is not UTF-8")));
        };
        // line ends between fields are blanks; within a text they are no JSON
        let text = text.trim().replace(['\n', '\r'], " ");
        let read = match Fields::of(&text) {
            Ok(fields) => asked.take(kind, &fields, trader),
            Err(why) => match asked.salvage(&text, trader) {
                Some(()) => Ok(()),
                None => {
                    asked.say(&Fields::before_fault(&text));
                    Err(Fault::new("invalid_json", why))
                }
            },
        };
        (asked, read)
    }

    /// What `body` says before whatever is at fault in it: enough for the neutral answer, and nothing is sent on.
    pub fn before_fault(body: &[u8]) -> Self {
        let end = std::str::from_utf8(body).map_or_else(|error| error.valid_up_to(), str::len);
        let text = String::from_utf8_lossy(body.get(..end).unwrap_or_default());
        let mut asked = Self::default();
        asked.say(&Fields::before_fault(&text));
        asked
    }

    fn say(&mut self, fields: &Fields<'_>) {
        let raw = |name: &str| fields.all(name).first().map(|value| value.get().to_owned());
        let is_written = |text: &String| text.len() <= LONGEST_ID && text.starts_with(|c| c != '[' && c != '{');
        self.id = raw("id").filter(|id| id != "null").filter(is_written);
        self.trade_id = fields.get::<String>("trade_id").filter(|text| is_trade_id(text));
        self.confidence =
            fields.get::<f64>("confidence").filter(|own| (0.0..=1.0).contains(own)).and_then(|_| raw("confidence"));
    }

    fn take(&mut self, kind: Kind, fields: &Fields<'_>, trader: &Trader) -> Result<(), Fault> {
        self.say(fields);
        let id = fields.all("id").first().map(|value| value.get()).filter(|id| *id != "null");
        for name in ["type", "id", "deadline_us"] {
            if fields.all(name).len() > 1 {
                return Err(Fault { code: "duplicate_field", field: None, message: format!("{name}: it comes twice") });
            }
        }
        if id.is_some() && (self.id.is_none() || matches!(id, Some("true" | "false"))) {
            self.id = None;
            return Err(Fault::of("id", "wrong_type", "a text or a number of at most 128 bytes is expected"));
        }
        if fields.has("type") && fields.get::<String>("type").is_none_or(|name| name != kind.name()) {
            return Err(Fault::of("type", "unknown_type", format!("under this path it is `{}`", kind.name())));
        }
        self.deadline_us = fields.get::<u64>("deadline_us").map(|deadline| deadline.min(LONGEST_DEADLINE_US));
        self.has_odd_deadline = kind != Kind::Score || (fields.has("deadline_us") && self.deadline_us.is_none());
        // every one of them: the daemon refuses a field that comes twice, but reads the line. What is no text is nobody's id
        let names = fields.all("trade_id");
        let mut named = names.iter().filter_map(|value| serde_json::from_str::<String>(value.get()).ok());
        if kind.is_of_trade() && !named.all(|id| trader.may_speak_of(&id)) {
            let prefix = trader.prefix().unwrap_or_default();
            return Err(Fault::of("trade_id", "forbidden", format!("the ids of this trader begin with {prefix}")));
        }
        let symbol = fields.get::<String>("symbol");
        if kind == Kind::Score && symbol.is_some_and(|symbol| !trader.may_trade(&symbol)) {
            return Err(Fault::of("symbol", "forbidden", "this trader may send no signal of it"));
        }
        let own = |name: &str| matches!(name, "type" | "id") || (name == "deadline_us" && !self.has_odd_deadline);
        let kept = fields.0.iter().filter(|(name, _)| !own(name));
        let kept = kept.map(|(name, value)| format!("{}:{}", Value::String(name.clone()), value.get()));
        self.rest = kept.collect::<Vec<_>>().join(",");
        Ok(())
    }

    /// Takes a line that is no JSON, if whatever id the daemon may find in it is one of this trader.
    fn salvage(&mut self, text: &str, trader: &Trader) -> Option<()> {
        let rest = text.strip_prefix('{')?;
        if trader.prefix().is_some() {
            // without a backslash each name stands there as it is
            let mut named = rest.split("\"trade_id\"").skip(1).peekable();
            named.peek()?;
            let is_own = |behind: &str| {
                let value = behind.trim_start().strip_prefix(':').map(str::trim_start);
                value.and_then(|value| value.strip_prefix('"')).is_some_and(|id| trader.may_speak_of(id))
            };
            if rest.contains('\\') || !named.all(is_own) {
                return None;
            }
        }
        self.is_broken = true;
        self.rest = rest.to_owned();
        Some(())
    }

    /// The line for the daemon, with its line feed. `deadline_us` is what is left of it.
    pub fn line(&self, kind: Kind, id: u64, deadline_us: Option<u64>) -> Vec<u8> {
        let mut line = format!(r#"{{"type":"{}","id":{id}"#, kind.name());
        if let Some(deadline) = deadline_us.filter(|_| !self.has_odd_deadline) {
            line += &format!(r#","deadline_us":{deadline}"#);
        }
        if !self.rest.is_empty() {
            line.push(',');
        }
        line += &self.rest;
        line += if self.is_broken { "\n" } else { "}\n" };
        line.into_bytes()
    }

    /// The neutral answer: the strategy as it is.
    pub fn neutral(&self, reason: &str, code: &str, field: Option<&str>, message: &str) -> String {
        let (reason, error) = (json!(reason), json!({ "code": code, "message": message, "field": field }));
        let id = self.id.as_ref().map(|id| format!(r#""id":{id},"#)).unwrap_or_default();
        let trade = self.trade_id.as_ref().map(|id| format!(r#""trade_id":"{id}","#)).unwrap_or_default();
        let confidence = self.confidence.as_deref().unwrap_or("null");
        format!(
            r#"{{"ok":false,{id}{trade}"arm":"baseline","confidence":{confidence},"score":0.5,"size":1.0,"model":null,"reason":{reason},"error":{error}}}"#
        )
    }

    /// A refusal of anything but a signal.
    pub fn refusal(&self, code: &str, field: Option<&str>, message: &str) -> String {
        let error = json!({ "code": code, "message": message, "field": field });
        let id = self.id.as_ref().map(|id| format!(r#""id":{id},"#)).unwrap_or_default();
        format!(r#"{{"ok":false,{id}"error":{error}}}"#)
    }
}

fn is_trade_id(text: &str) -> bool {
    let is_known = |c: char| c.is_ascii_alphanumeric() || "._:/-".contains(c);
    !text.is_empty() && text.len() <= 64 && text.chars().all(is_known)
}
