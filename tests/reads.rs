//! What is made of the configuration lists the keys that it reads, and is made again when one of them changes: the lists are
//! complete. A list that lacks a key would leave a part, or a checkpoint, as an older configuration had it.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use std::{collections::BTreeMap, fs};

use common::{life, place::CONFIG};
use vigie::{
    actors::{monitor, scorer},
    config::Config,
    journal::Reader,
    recall::fold::{self, Folded},
    trials::running::Keep,
};

/// Keys whose values are not numbers and have no other value here.
const AS_THEY_ARE: usize = 12;

fn config() -> Config {
    Config::parse("test", CONFIG).unwrap()
}

/// The configuration with every key in turn at another value that is allowed, by key.
fn others(config: &Config) -> BTreeMap<String, Config> {
    let text = config.to_toml();
    let lines: Vec<(&str, &str)> = text.lines().map(|line| line.split_once(" = ").unwrap()).collect();
    let other = |key: &str, value: &str| {
        let changed = |(name, old): &(&str, &str)| format!("{name} = {}\n", if *name == key { value } else { old });
        Config::parse("test", &lines.iter().map(changed).collect::<String>()).ok()
    };
    let mut found = BTreeMap::new();
    let mut kept = Vec::new();
    for (key, value) in &lines {
        let values = values(value);
        match values.iter().filter(|new| new != value).find_map(|new| other(key, new)) {
            Some(config) => drop(found.insert((*key).to_owned(), config)),
            None => kept.push(format!("{key} = {value}")),
        }
    }
    assert!(kept.len() <= AS_THEY_ARE, "{} keys of {}: {kept:#?}", kept.len(), lines.len());
    found
}

/// Values to try in the place of `value`.
fn values(value: &str) -> Vec<String> {
    if let Ok(number) = value.parse::<f64>() {
        let whole = !value.contains('.') && !value.contains('e');
        let tried = [number + 1.0, number * 2.0, number * 0.5, number * 0.99, number * 1.01, number - 1.0, 0.0, 1.0];
        return tried.map(|x| if whole { format!("{x:.0}") } else { format!("{x:?}") }).into();
    }
    let words =
        ["true", "false", "\"21:00\"", "\"UTC\"", "\"warn\"", "\"mean\"", "[]", "[\"level_proximity\"]", "[1.0]"];
    let known = ["\"linear\"", "\"fixed\"", "\"kelly\"", "\"signal_quality\"", "\"profitability\"", "\"logistic\""];
    words.iter().chain(&known).map(|word| (*word).to_owned()).collect()
}

/// What the log of a life comes to, and the inputs that are made of it.
fn comes_to(reader: &Reader, config: &Config) -> (Vec<u8>, String) {
    let mut folded = Folded::empty(config).unwrap();
    folded.go_on(reader, config, reader.last_seq().unwrap()).unwrap();
    (folded.state.to_bytes().unwrap(), format!("{:?}", folded.state.pipeline))
}

#[test]
fn no_key_outside_its_list_changes_what_the_log_comes_to_or_what_a_scorer_is_made_of() {
    let (config, place) = (config(), life::place(3));
    let reader = place.reader();
    let (state, pipeline) = comes_to(&reader, &config);
    let (mut changed, mut remade) = (Vec::new(), Vec::new());
    for (key, other) in others(&config) {
        let (other_state, other_pipeline) = comes_to(&reader, &other);
        if other_state != state {
            assert_ne!(
                other.hash_of(&fold::READS),
                config.hash_of(&fold::READS),
                "a fold reads {key}: it lacks in READS"
            );
            changed.push(key.clone());
        }
        if other_pipeline != pipeline {
            assert_ne!(other.hash_of(&scorer::READS), config.hash_of(&scorer::READS), "a scorer reads {key}");
            remade.push(key);
        }
    }
    // the life was a life
    assert!(changed.len() >= 5 && remade.len() >= 3, "{changed:?}, {remade:?}");
}

type Field = fn(&Config) -> String;

/// What the code names of the configuration, and what stands there.
const FIELDS: [(&str, Field); 11] = [
    ("symbols", |config| format!("{:?}", config.symbols)),
    ("calendar", |config| format!("{:?}", config.calendar)),
    ("features", |config| format!("{:?}", config.features)),
    ("policy", |config| format!("{:?}", config.policy)),
    ("rules", |config| format!("{:?}", config.rules())),
    ("experiment", |config| format!("{:?}", Keep::of(&config.experiment))),
    ("experiment.outcome_wait_days", |config| config.experiment.outcome_wait_days.to_string()),
    ("journal.known_ids", |config| config.journal.known_ids.to_string()),
    ("monitoring.watch", |config| format!("{:?}", config.monitoring.watch)),
    ("monitoring.max_open", |config| config.monitoring.max_open.to_string()),
    ("training.seed", |config| config.training.seed.to_string()),
];

/// What a file names of the configuration, without its unit tests.
fn named(file: &str) -> Vec<String> {
    let text = fs::read_to_string(format!("{}/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    let code: String = code.lines().map(|line| line.split("//").next().unwrap().trim()).collect();
    let is_path = |c: char| !(c.is_alphanumeric() || c == '_' || c == '.');
    let paths = code.split("config.").skip(1).map(|rest| rest.split(is_path).next().unwrap());
    let known = |path: &str| {
        let is_it = |(name, _): &&(&str, Field)| path == *name || path.starts_with(&format!("{name}."));
        FIELDS.iter().filter(is_it).map(|(name, _)| *name).max_by_key(|name| name.len())
    };
    // methods that look at nothing but which configuration it is, and how it is shared
    let paths = paths.filter(|path| !["hash_of", "load", "load_full", "store", "clone"].contains(path));
    paths
        .map(|path| known(path).unwrap_or_else(|| panic!("{file} reads config.{path}: add it to FIELDS")).to_owned())
        .collect()
}

#[test]
fn each_list_holds_the_keys_behind_all_that_the_making_names() {
    let config = config();
    let others = others(&config);
    for (part, reads, files, at_a_start) in [
        (
            "fold",
            &fold::READS[..],
            &["src/recall/fold.rs", "src/recall/checkpoint.rs", "src/recall/history.rs"][..],
            true,
        ),
        (
            "monitor",
            &monitor::READS[..],
            &["src/actors/monitor/make.rs", "src/recall/watched.rs", "src/recall/scored.rs", "src/recall/rebuilt.rs"],
            false,
        ),
    ] {
        let names: Vec<String> = files.iter().flat_map(|file| named(file)).collect();
        assert!(names.len() > 3, "{part}: {names:?}");
        for (key, other) in &others {
            // what waits for a restart cannot change under a part
            let is_frozen = !config.frozen_changes(other).is_empty();
            if other.hash_of(reads) != config.hash_of(reads) || (is_frozen && !at_a_start) {
                continue;
            }
            for (name, field) in FIELDS.iter().filter(|(name, _)| names.iter().any(|named| named == name)) {
                assert_eq!(field(other), field(&config), "the {part} reads {name}, and {key} lacks in READS");
            }
        }
    }
}
