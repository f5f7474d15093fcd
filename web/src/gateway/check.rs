//! Whether an answer of the daemon is one: every field is looked at, so that nothing broken reaches an order.

use serde_json::{Value, json};

use super::{
    fields::Fields,
    request::{Asked, Kind},
    traders::Trader,
};

/// Largest size that is believed: the daemon's configuration allows no larger one.
const MOST_SIZE: f64 = 10.0;

/// What the daemon said.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    /// What was asked, in its own words.
    Answer(String),
    /// That the request is at fault, or cannot be carried out: its error.
    Refused {
        /// A stable code.
        code: String,
        /// In words.
        message: String,
        /// The field at fault.
        field: Option<String>,
        /// The reason of a decision.
        reason: Option<String>,
    },
    /// That it takes no request of this gateway: the code.
    TurnedAway(String),
}

/// What `line` says to the request `id`, which `asked` for a `kind` on behalf of `trader`.
///
/// # Errors
/// Why it is no answer to that.
pub fn check(line: &[u8], kind: Kind, id: u64, asked: &Asked, trader: &Trader) -> Result<Said, &'static str> {
    let text = std::str::from_utf8(line).map_err(|_| "it is not UTF-8")?;
    let fields = Fields::of(text).map_err(|_| "it is no JSON object")?;
    if fields.twice().is_some() {
        return Err("a field comes twice");
    }
    // every text in it is looked at: half a surrogate pair is no text
    let _whole: Value = serde_json::from_str(text).map_err(|_| "it cannot be read")?;
    let is_own = fields.get::<u64>("id") == Some(id);
    let about = fields.get::<String>("trade_id");
    if fields.get::<bool>("ok") == Some(true) {
        if !is_own {
            return Err("it belongs to another request");
        }
        if kind.is_of_trade() && (about.is_none() || about != asked.trade_id) {
            return Err("it is about another trade");
        }
        match kind {
            Kind::Score => decision(&fields)?,
            Kind::Outcome | Kind::Skip => acknowledgement(&fields)?,
            Kind::Ping => {}
            Kind::Status => return status(text, asked, trader).map(Said::Answer),
        }
        return Ok(Said::Answer(with_id(&fields, asked)));
    }
    if !is_own && fields.has("id") {
        return Err("it belongs to another request");
    }
    if about.is_some() && about != asked.trade_id && !asked.is_broken {
        return Err("it is about another trade");
    }
    let error = fields.get::<Fields<'_>>("error").ok_or("it is a refusal without an error")?;
    let code: String = error.get("code").ok_or("it is a refusal without a code")?;
    if !is_own && !asked.is_broken {
        return Ok(Said::TurnedAway(code));
    }
    // a signal at fault is answered by the daemon as its trader needs it, with what could still be read of it
    if kind == Kind::Score && decision(&fields).is_ok() && is_neutral(&fields) {
        return Ok(Said::Answer(with_id(&fields, asked)));
    }
    let message = error.get("message").unwrap_or_default();
    Ok(Said::Refused { code, message, field: error.get("field"), reason: fields.get("reason") })
}

fn decision(fields: &Fields<'_>) -> Result<(), &'static str> {
    let number = |name: &str| fields.get::<f64>(name).filter(|number| number.is_finite());
    let is_share = |number: f64| (0.0..=1.0).contains(&number);
    let arm: String = fields.get("arm").ok_or("it has no arm")?;
    let speaks = match &*arm {
        "ml" => true,
        "baseline" => false,
        _ => return Err("its arm is none"),
    };
    match number("confidence") {
        Some(confidence) if is_share(confidence) => {}
        None if !speaks && !fields.has("confidence") => {}
        _ => return Err("its confidence is none"),
    }
    if !number("score").is_some_and(is_share) {
        return Err("its score is none");
    }
    if !number("size").is_some_and(|size| (0.0..=MOST_SIZE).contains(&size)) {
        return Err("its size is none");
    }
    if fields.has("model") && fields.get::<String>("model").is_none() {
        return Err("its model is none");
    }
    fields.get::<String>("reason").map(|_| ()).ok_or("it has no reason")
}

fn is_neutral(fields: &Fields<'_>) -> bool {
    fields.get::<String>("arm").is_some_and(|arm| arm == "baseline") && fields.get::<f64>("size") == Some(1.0)
}

fn acknowledgement(fields: &Fields<'_>) -> Result<(), &'static str> {
    let says = |name: &str| fields.get::<bool>(name) == Some(true);
    if says("durable") || says("duplicate") { Ok(()) } else { Err("it acknowledges nothing") }
}

/// The answer with the id of the client in the place of ours.
fn with_id(fields: &Fields<'_>, asked: &Asked) -> String {
    let written = fields.0.iter().filter_map(|(name, value)| {
        let value = if name == "id" { asked.id.as_deref()? } else { value.get() };
        Some(format!("{}:{value}", Value::String(name.clone())))
    });
    format!("{{{}}}", written.collect::<Vec<_>>().join(","))
}

/// Of a status what concerns this trader: no figure of the account or of others, no id of a trade, no words of a person.
fn status(text: &str, asked: &Asked, trader: &Trader) -> Result<String, &'static str> {
    let whole: Value = serde_json::from_str(text).map_err(|_| "it cannot be read")?;
    let whole = whole.get("status").ok_or("it has no status")?;
    let symbol_of = |version: &str| version.split('/').next().unwrap_or_default().to_owned();
    let guardian = whole.get("guardian").map(|guardian| {
        let list = |name: &str| guardian.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
        let silenced: Vec<Value> = list("silenced")
            .into_iter()
            .filter(|symbol| symbol.as_str().is_some_and(|symbol| trader.may_trade(symbol)))
            .collect();
        let versions: Vec<Value> = list("versions")
            .into_iter()
            .filter(|entry| entry["version"].as_str().is_some_and(|version| trader.may_trade(&symbol_of(version))))
            .map(|entry| json!({ "version": entry["version"], "state": entry["state"], "scoring": entry["scoring"] }))
            .collect();
        json!({ "locked": !guardian["lock"].is_null(), "silenced": silenced, "versions": versions })
    });
    let mut told = json!({ "trader": trader.name, "guardian": guardian });
    if let Value::Object(told) = &mut told {
        for name in ["drill", "version", "now", "started_at", "uptime_s"] {
            if let Some(value) = whole.get(name) {
                told.insert(name.to_owned(), value.clone());
            }
        }
    }
    let id = asked.id.as_ref().map(|id| format!(r#""id":{id},"#)).unwrap_or_default();
    Ok(format!(r#"{{"ok":true,{id}"status":{told}}}"#))
}
