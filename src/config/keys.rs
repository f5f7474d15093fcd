//! The list of keys: for each its place in the configuration and what it may be.
//!
//! A new key is one line here, one field of its section, and its lines in `config.toml`, which hold its default.

#![deny(clippy::indexing_slicing)]

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use toml::de::DeValue;

use super::{
    Access, Account, Journal, LogLevel, Sections, Server, Supervision, learning,
    nearest::suggest,
    reader::{
        Effect::{AtReload, AtRestart},
        Reader,
        section::{ListForm, Refusal, Section, above, quoted, refuse_repeat},
    },
    schedule, trials, watch,
};
use crate::{
    domain::{Feature, InvalidId, Symbol, TradingCalendar},
    features::{
        Carry, DesignOptions, Instrument, MOST_DERIVED, Scaling,
        derived::{DerivedInput, Expression},
        measured::StaleOptions,
    },
    guard::emergency::{Allowed, EmergencyOptions, Key, RULES, accuracy, loss_streak},
    models::sizing::{Sizing, SizingRule},
    policy::answer::Policy,
};

/// A week: the longest that any value stands in for a missing one.
const MOST_MINUTES: f64 = 10_080.0;

/// Reads every key, in the order of `config.toml`.
pub(super) fn read(reader: &mut Reader<'_, '_>) -> Sections {
    let mut symbols = symbols(reader);
    let stop_ticks = stop_ticks(reader);
    symbols.values_mut().for_each(|instrument| instrument.stop_ticks = stop_ticks);
    let (calendar, server, access) = (trading_day(reader), server(reader), access(reader));
    let account = account(reader);
    let (policy, mut features) = (policy(reader), features(reader, &symbols));
    let named: Vec<String> =
        features.extra.iter().cloned().chain(features.derived.iter().map(|input| input.name.clone())).collect();
    let (carry, stale) = carry(reader, &named);
    features.carry = carry;
    let training = learning::training(reader);
    Sections {
        validation: learning::validation(reader, &training, &policy),
        levels: learning::levels(reader),
        trainer: learning::trainer(reader),
        symbols,
        calendar,
        server,
        access,
        account,
        policy,
        features,
        stale,
        training,
        lifecycle: trials::lifecycle(reader, policy.ab_share),
        staging: trials::staging(reader),
        experiment: trials::experiment(reader),
        journal: journal(reader),
        supervision: supervision(reader),
        guardian: guardian(reader),
        monitoring: watch::monitoring(reader),
        gradual: watch::gradual(reader),
        schedule: schedule::schedule(reader),
        log_level: log_level(reader),
    }
}

/// The stop of signals that do not say; 0 is none.
fn stop_ticks(reader: &mut Reader<'_, '_>) -> Option<f64> {
    let ticks = reader.section("targets", AtReload).number("stop_ticks", 0.0..=1e6);
    Some(ticks).filter(|ticks| *ticks > 0.0)
}

fn symbols(reader: &mut Reader<'_, '_>) -> BTreeMap<Symbol, Instrument> {
    let mut symbols = BTreeMap::new();
    reader.tables("symbols", AtReload, |name, mut at| {
        let symbol = Symbol::new(name)?;
        let instrument = Instrument {
            tick: at.number("tick", above(0.0, 1e6)),
            tick_value: at.number("tick_value", above(0.0, 1e6)),
            stop_ticks: None,
        };
        symbols.insert(symbol, instrument);
        Ok::<_, InvalidId>(())
    });
    symbols
}

fn trading_day(reader: &mut Reader<'_, '_>) -> TradingCalendar {
    let mut at = reader.section("trading_day", AtRestart);
    let zone = at.text("zone", "the name of a time zone, such as \"America/Chicago\"", |text| {
        let zone = TimeZone::get(text).ok().filter(|zone| !zone.is_unknown()).ok_or(Refusal::Range(None))?;
        let name = zone.iana_name().ok_or(Refusal::Range(None))?.to_owned();
        Ok((zone, name))
    });
    TradingCalendar::new(zone.unwrap_or(TimeZone::UTC), at.time("start"))
}

fn server(reader: &mut Reader<'_, '_>) -> Server {
    let mut at = reader.section("server", AtRestart);
    let server = Server {
        max_connections: at.count("max_connections", 1..=10_000),
        reserved_connections: at.count("reserved_connections", 0..=100),
        max_in_flight: at.count("max_in_flight", 1..=65_536),
        max_line_bytes: at.count("max_line_bytes", 1_024..=1_048_576),
        half_line_timeout: at.millis("half_line_timeout_ms", 10..=600_000),
        write_timeout: at.millis("write_timeout_ms", 10..=600_000),
        deadline: at.micros("deadline_us", 100..=1_000_000),
        max_ahead: at.millis("max_ahead_ms", 0..=86_400_000),
        drain: at.millis("drain_ms", 0..=60_000),
    };
    let below = server.reserved_connections < server.max_connections;
    reader.demand(below, ("server.reserved_connections", "must be below", "server.max_connections"));
    server
}

fn access(reader: &mut Reader<'_, '_>) -> Access {
    let mut at = reader.section("access", AtReload);
    Access {
        trader_users: accounts(&mut at, "trader_users"),
        trader_groups: accounts(&mut at, "trader_groups"),
        operator_users: accounts(&mut at, "operator_users"),
    }
}

fn account(reader: &mut Reader<'_, '_>) -> Account {
    let mut at = reader.section("account", AtRestart);
    Account { paper: at.flag("paper") }
}

fn policy(reader: &mut Reader<'_, '_>) -> Policy {
    let mut at = reader.section("scoring", AtReload);
    let blend_weight = at.number("blend_weight", 0.0..=1.0);
    let trade_threshold = at.number("trade_threshold", 0.0..=1.0);
    let ab_share = at.number("ab_share", 0.0..=1.0);
    let holdback = at.number("holdback", 0.0..=1.0);
    Policy { blend_weight, trade_threshold, ab_share, holdback, sizing: sizing(reader) }
}

fn sizing(reader: &mut Reader<'_, '_>) -> Sizing {
    let rules = [("unit", SizingRule::Unit), ("bet", SizingRule::Bet), ("kelly", SizingRule::Kelly)];
    let mut at = reader.section("sizing", AtReload);
    let sizing = Sizing {
        rule: at.choice("rule", SizingRule::Unit, &rules),
        min: at.number("min", 0.0..=10.0),
        max: at.number("max", 0.0..=10.0),
        kelly_fraction: at.number("kelly_fraction", above(0.0, 1.0)),
    };
    reader.demand(sizing.min <= sizing.max, ("sizing.min", "must not be above", "sizing.max"));
    sizing
}

fn features(reader: &mut Reader<'_, '_>, symbols: &BTreeMap<Symbol, Instrument>) -> DesignOptions {
    let scalings = [("standardise", Scaling::Standardise), ("min_max", Scaling::MinMax)];
    let mut at = reader.section("features", AtRestart);
    let extra = extra_features(&mut at);
    let derived = derived_inputs(&mut at, &extra, symbols);
    let named: Vec<String> = extra.iter().cloned().chain(derived.iter().map(|input| input.name.clone())).collect();
    let options = DesignOptions {
        scaling: at.choice("scaling", Scaling::Standardise, &scalings),
        clip_quantile: at.number("clip_quantile", 0.0..0.5),
        indicator_min_missing: at.number("indicator_min_missing", 0.0..=1.0),
        max_missing: at.number("max_missing", 0.0..=1.0),
        fill_max_age_hours: at.number("fill_max_age_hours", above(0.0, 168.0)),
        carry: Carry::default(),
        interactions: interactions(&mut at, &named),
        extra,
        derived,
    };
    let ordered = options.indicator_min_missing <= options.max_missing;
    reader.demand(ordered, ("features.indicator_min_missing", "must not be above", "features.max_missing"));
    options
}

fn carry(reader: &mut Reader<'_, '_>, extra: &[String]) -> (Carry, StaleOptions) {
    let extra_is_known = reader.settings.iter().any(|setting| setting.key == "features.extra");
    let mut at = reader.section("carry", AtRestart);
    let max_filled_share = at.number("max_filled_share", 0.0..=1.0);
    let required = required(&mut at, extra, extra_is_known);
    let minutes = Feature::ALL.map(|feature| at.number(feature.name(), 0.0..=MOST_MINUTES));
    let extra_minutes = at.number("extra", 0.0..=MOST_MINUTES);
    (Carry { minutes, extra_minutes }, StaleOptions { max_filled_share, required })
}

fn journal(reader: &mut Reader<'_, '_>) -> Journal {
    let mut at = reader.section("journal", AtRestart);
    let journal = Journal {
        queue: at.count("queue", 1..=1_048_576),
        batch: at.count("batch", 1..=65_536),
        linger: at.millis("linger_ms", 0..=1_000),
        cache_bytes: at.count("cache_mib", 1..=2_048).saturating_mul(1 << 20),
        retry: at.millis("retry_ms", 10..=60_000),
        known_ids: at.count("known_ids", 1_000..=100_000_000),
    };
    reader.demand(journal.batch <= journal.queue, ("journal.batch", "must not be above", "journal.queue"));
    journal
}

fn supervision(reader: &mut Reader<'_, '_>) -> Supervision {
    let mut at = reader.section("supervision", AtRestart);
    Supervision { max_restarts: at.count("max_restarts", 0..=100), window: at.seconds("window_s", 1..=86_400) }
}

fn guardian(reader: &mut Reader<'_, '_>) -> EmergencyOptions {
    let mut at = reader.section("guardian", AtReload);
    let mut options = EmergencyOptions::default();
    for key in RULES.iter().flat_map(|rule| rule.keys) {
        options = options.with(key, threshold(&mut at, key));
    }
    let options = EmergencyOptions {
        longest_window: at.count("longest_window", 50..=2_000),
        false_alarms_per_year: at.number("false_alarms_per_year", above(0.0, 100.0)),
        literal: at.flag("literal"),
        max_trade_pnl: at.number("max_trade_pnl", above(0.0, 1e9)),
        ..options
    };
    let window = "guardian.accuracy_window";
    let enough = options.count(&accuracy::MIN_TRADES) <= options.count(&accuracy::WINDOW);
    reader.demand(enough, ("guardian.accuracy_min_trades", "must not be above", window));
    let seen = options.count(&loss_streak::MAX) < options.count(&accuracy::WINDOW);
    reader.demand(seen, ("guardian.max_loss_streak", "must be below", window));
    options
}

/// A threshold of an emergency rule.
fn threshold(at: &mut Section<'_, '_, '_>, key: &Key) -> f64 {
    match key.allowed {
        Allowed::Count(least, most) => at.count(key.name, least.into()..=most.into()) as f64,
        Allowed::Number(least, most) => at.number(key.name, least..=most),
        Allowed::Above(limit, most) => at.number(key.name, above(limit, most)),
    }
}

fn log_level(reader: &mut Reader<'_, '_>) -> LogLevel {
    let levels = [
        ("error", LogLevel::Error),
        ("warn", LogLevel::Warn),
        ("info", LogLevel::Info),
        ("debug", LogLevel::Debug),
        ("trace", LogLevel::Trace),
    ];
    reader.section("log", AtReload).choice("level", LogLevel::Info, &levels)
}

/// Names or numbers of users or groups. The one that stands for all that cannot be known is refused.
fn accounts(at: &mut Section<'_, '_, '_>, key: &str) -> Vec<String> {
    let form = ListForm {
        most: 64,
        item_kind: "text in quotes",
        item_allowed: "a name of A-Z a-z 0-9 . _ @ - that does not begin with -, or a decimal id below 4294967295",
    };
    let take = |value: &DeValue<'_>, before: &[String]| {
        let name = value.as_str().ok_or(Refusal::Type)?;
        let id = name.parse::<u32>().ok();
        let is_number = name.bytes().all(|b| b.is_ascii_digit());
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'@' | b'-');
        let is_name = (1..=64).contains(&name.len()) && !name.starts_with('-') && name.bytes().all(allowed);
        if !is_name || (is_number && id.is_none_or(|id| id == u32::MAX)) {
            return Err(Refusal::Range(None));
        }
        if id == Some(65_534) || name == "nobody" || name == "nogroup" {
            return Err(Refusal::Because("stands for all unknown accounts and may not be let in".to_owned()));
        }
        refuse_repeat(name, before)?;
        Ok(name.to_owned())
    };
    at.list(key, &form, take, |name| quoted(name))
}

/// Whether an input of one's own may be called this.
pub fn may_name_an_input(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    name.len() <= 40 && name.starts_with(|c: char| c.is_ascii_lowercase()) && name.bytes().all(allowed)
}

fn extra_features(at: &mut Section<'_, '_, '_>) -> Vec<String> {
    let form = ListForm {
        most: 64,
        item_kind: "text in quotes",
        item_allowed: "a name of a-z 0-9 _ that begins with a letter, at most 40 long",
    };
    let take = |value: &DeValue<'_>, before: &[String]| {
        let name = value.as_str().ok_or(Refusal::Type)?;
        if !may_name_an_input(name) {
            return Err(Refusal::Range(None));
        }
        if own_inputs().any(|own| own == name) {
            return Err(Refusal::Because("is an input that every model has already".to_owned()));
        }
        refuse_repeat(name, before)?;
        Ok(name.to_owned())
    };
    at.list("extra", &form, take, |name| quoted(name))
}

/// What one of another symbol asks for must be known, and stand before it if it is derived itself.
fn derived_inputs(
    at: &mut Section<'_, '_, '_>,
    extra: &[String],
    symbols: &BTreeMap<Symbol, Instrument>,
) -> Vec<DerivedInput> {
    let form = ListForm {
        most: MOST_DERIVED,
        item_kind: "a list",
        item_allowed: "a pair of a name of a-z 0-9 _ that begins with a letter, at most 64 long, and an expression",
    };
    let take = |value: &DeValue<'_>, before: &[DerivedInput]| {
        let pair: Vec<_> = value.as_array().ok_or(Refusal::Type)?.iter().map(|part| part.get_ref().as_str()).collect();
        let [Some(name), Some(text)] = pair.as_slice() else { return Err(Refusal::Range(None)) };
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        if !(1..=64).contains(&name.len())
            || !name.bytes().all(allowed)
            || !name.starts_with(|c: char| c.is_ascii_lowercase())
        {
            return Err(Refusal::Range(None));
        }
        if own_inputs().any(|own| own == *name) || extra.iter().any(|extra| extra == name) {
            return Err(Refusal::Because(format!("{name:?} is an input already")));
        }
        if before.iter().any(|input| input.name == **name) {
            return Err(Refusal::Because(format!("{name:?} is derived twice")));
        }
        let expression = Expression::parse(text).map_err(|error| Refusal::Because(error.to_string()))?;
        if let Expression::Other(symbol, asked) = &expression {
            let own =
                |input: &DerivedInput| input.name == **asked && !matches!(input.expression, Expression::Other(..));
            let known = Feature::ALL.iter().any(|feature| feature.name() == &**asked)
                || extra.iter().any(|extra| **extra == **asked)
                || before.iter().any(own);
            if !symbols.contains_key(symbol) || !known {
                return Err(Refusal::Because(format!(
                    "asks for {asked} of {symbol}: that must be a symbol of this file and a feature, an extra or an input derived before it"
                )));
            }
        }
        Ok(DerivedInput { name: (*name).to_owned(), expression })
    };
    at.list("derived", &form, take, |input| {
        format!("[{}, {}]", quoted(&input.name), quoted(&input.expression.to_string()))
    })
}

fn interactions(at: &mut Section<'_, '_, '_>, extra: &[String]) -> Vec<(String, String)> {
    let form = ListForm {
        most: 64,
        item_kind: "a list",
        item_allowed: "a pair of names among the twelve features, \"confidence\" and what is in extra and derived",
    };
    let extra_is_known = at.is_read("extra") && at.is_read("derived");
    let mut inputs: Vec<&str> = own_inputs().collect();
    inputs.extend(extra.iter().map(String::as_str));
    let input = |value: &DeValue<'_>| {
        let name = value.as_str().ok_or(Refusal::Type)?;
        // when `extra` is at fault itself, the name may have been meant to stand there
        if inputs.contains(&name) || !extra_is_known {
            return Ok(name.to_owned());
        }
        Err(Refusal::Range(suggest(name, inputs.iter().copied())))
    };
    let take = |value: &DeValue<'_>, before: &[(String, String)]| {
        let pair: Vec<_> = value.as_array().ok_or(Refusal::Type)?.iter().collect();
        let [first, second] = pair.as_slice() else { return Err(Refusal::Range(None)) };
        let (first, second) = (input(first.get_ref())?, input(second.get_ref())?);
        let same = |(a, b): &(String, String)| (a, b) == (&first, &second) || (a, b) == (&second, &first);
        if before.iter().any(same) {
            return Err(Refusal::Because("is given twice; their order does not matter".to_owned()));
        }
        Ok((first, second))
    };
    at.list("interactions", &form, take, |(a, b)| format!("[{}, {}]", quoted(a), quoted(b)))
}

fn required(at: &mut Section<'_, '_, '_>, extra: &[String], extra_is_known: bool) -> Vec<String> {
    let form = ListForm {
        most: 108,
        item_kind: "text in quotes",
        item_allowed: "the name of one of the twelve features or of what is in features.extra and features.derived",
    };
    let mut inputs: Vec<&str> = Feature::ALL.into_iter().map(Feature::name).collect();
    inputs.extend(extra.iter().map(String::as_str));
    let take = |value: &DeValue<'_>, before: &[String]| {
        let name = value.as_str().ok_or(Refusal::Type)?;
        // when `extra` is at fault itself, the name may have been meant to stand there
        if !inputs.contains(&name) && extra_is_known {
            return Err(Refusal::Range(suggest(name, inputs.iter().copied())));
        }
        refuse_repeat(name, before)?;
        Ok(name.to_owned())
    };
    at.list("required", &form, take, |name| quoted(name))
}

/// The inputs that every model has: the twelve features and the strategy's own confidence.
fn own_inputs() -> impl Iterator<Item = &'static str> {
    Feature::ALL.into_iter().map(Feature::name).chain(["confidence"])
}
