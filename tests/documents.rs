//! The tables of docs/ against the program: what can be said is documented, and nothing else is.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what the tests share may fail loudly")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use vigie::guard::emergency::RULES;

type Words = BTreeSet<String>;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The code of a source without its comments and unit tests, with single spaces.
fn code(path: &str) -> String {
    let text = read(path);
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    let lines = text.lines().map(|line| line.split("//").next().unwrap());
    lines.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ").replace("( ", "(")
}

/// The code of each file of the program and its crates that `wanted` takes, by its path.
fn sources(wanted: fn(&str) -> bool) -> BTreeMap<String, String> {
    fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { collect(&path, found) } else { found.push(path) }
        }
    }
    let mut paths = Vec::new();
    ["src", "core/src", "demo/src"].iter().for_each(|folder| collect(&root().join(folder), &mut paths));
    let names = paths.iter().map(|path| path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned());
    let found: BTreeMap<String, String> =
        names.filter(|name| wanted(name)).map(|name| (name.clone(), code(&name))).collect();
    assert!(!found.is_empty());
    found
}

/// What stands between the quotes behind each `before`, as far as it is a word of a-z and _.
fn quoted(code: &str, before: &str) -> Words {
    let word = |(at, _): (usize, &str)| {
        let rest = code[at + before.len()..].strip_prefix('"')?;
        let (word, _) = rest.split_once('"')?;
        is_word(word).then(|| word.to_owned())
    };
    code.match_indices(before).filter_map(word).collect()
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c == '_')
}

/// All such words in quotes.
fn literals(code: &str) -> Words {
    code.split('"').skip(1).step_by(2).filter(|word| is_word(word)).map(str::to_owned).collect()
}

/// What stands between `from` and the next `to` behind it.
fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let (_, rest) = text.split_once(from).unwrap_or_else(|| panic!("{from:?} is gone"));
    rest.split_once(to).unwrap_or_else(|| panic!("no {to:?} behind {from:?}")).0
}

/// The cells of the table of a document whose head begins with `head`, row by row.
fn table(document: &str, head: &str) -> Vec<Vec<String>> {
    let text = read(document);
    let (_, rest) = text.split_once(&format!("\n{head}")).unwrap_or_else(|| panic!("{document} has no table {head:?}"));
    let rows = rest.lines().skip(2).take_while(|line| line.starts_with('|'));
    let cells = |line: &str| line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect();
    rows.map(cells).collect()
}

/// The words between backquotes.
fn names(cell: &str) -> Words {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn column(rows: &[Vec<String>], place: usize) -> Words {
    rows.iter().flat_map(|row| names(&row[place])).collect()
}

fn missing(of: &Words, from: &Words) -> Vec<String> {
    of.difference(from).cloned().collect()
}

fn is_level(text: &str) -> bool {
    ["Info", "Warning", "Critical"].contains(&text)
}

#[test]
fn every_alert_code_stands_in_the_table_with_what_to_do() {
    let mut raised = Words::new();
    for code in sources(|name| !name.starts_with("src/commands") && !name.starts_with("core/src/report")).values() {
        for level in ["Info", "Warning", "Critical"] {
            raised.extend(quoted(code, &format!("Level::{level}, ")));
            raised.extend(quoted(code, &format!("Level::{level}, code: ")));
        }
        raised.extend(quoted(code, "level, code: "));
        raised.extend(quoted(code, "drop_of("));
        raised.extend(quoted(code, ".condition("));
    }
    // where the code of an alert is not written beside its level
    let acknowledge = code("src/actors/acknowledge.rs");
    raised.extend(quoted(&acknowledge, "CONFLICT: &str = "));
    raised.extend(quoted(&code("src/actors/alerts.rs"), "(Level::Critical, "));
    // a code that is a constant is one wherever it stands
    for code in sources(|_| true).values() {
        let constants = code.split("Level::").skip(1).filter_map(|behind| {
            let (level, rest) = behind.split_once(", code: ")?;
            let name = rest.split_once(".into()")?.0;
            let is_constant = is_level(level) && name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
            is_constant.then(|| quoted(code, &format!("{name}: &str = ")))
        });
        raised.extend(constants.flatten());
    }
    raised.extend(literals(between(&code("src/actors/guardian/load.rs"), "fn told(", "fn lock(")));
    raised.extend(literals(between(&code("core/src/guard/health.rs"), "pub fn code(", "} }")));
    let detectors = code("core/src/guard/watch/judge.rs");
    let detectors = between(&detectors, "fn detectors(", "fn evidence(");
    raised.extend(quoted(detectors, "[("));
    raised.extend(quoted(detectors, "), ("));
    let rows = table("docs/operations.md", "| code | level | meaning |");
    let documented = column(&rows, 0);
    assert!(documented.len() > 25 && documented.len() == rows.len(), "{documented:?}");
    assert_eq!(missing(&raised, &documented), Vec::<String>::new(), "raised, and not in docs/operations.md");
    assert_eq!(missing(&documented, &raised), Vec::<String>::new(), "in docs/operations.md, and never raised");
    assert!(rows.iter().all(|row| row.len() == 5 && row.iter().all(|cell| !cell.is_empty())), "an empty cell");
}

/// How each lock gives its reason: the file, the words there, and those of the table in docs/operations.md.
const LOCKS: [(&str, &str, &str); 26] = [
    ("src/actors/guardian/orders.rs", "EventKind::Locked { reason: reason.clone(), by, until }", "words of a person"),
    ("src/actors/guardian/orders.rs", "killed: {reason}", "killed: ..."),
    ("src/actors/daemon/parts.rs", "killed: {reason}", "killed: ..."),
    ("src/actors/daemon/parts.rs", "too many restarts, the last of the {}", "too many restarts, the last of the ..."),
    ("src/actors/daemon/parts.rs", "the {} is given up: {}", "the ... is given up: ..."),
    ("src/actors/daemon.rs", "nobody can connect any more: {why}", "nobody can connect any more: ..."),
    ("src/actors/daemon/start.rs", "the guardian is restarting", "the guardian is restarting"),
    ("src/actors/daemon/common.rs", "starting", "starting"),
    ("src/actors/guardian/load.rs", "does not score any more", "does not score any more"),
    ("src/actors/guardian/load.rs", "is in service and cannot be loaded", "is in service and cannot be loaded"),
    (
        "src/actors/guardian/verify.rs",
        "what is served is not what the journal says is live",
        "what is served is not what the journal says is live",
    ),
    ("src/recall/events.rs", "the event log is damaged", "the event log is damaged"),
    (
        "src/actors/guardian/save.rs",
        "what silenced a model cannot be recorded",
        "what silenced a model cannot be recorded",
    ),
    (
        "src/actors/keeper/compare.rs",
        "which the daemon began from, is not what the log",
        "which the daemon began from, is not what the log",
    ),
    (
        "src/journal/silenced.rs",
        "the journal lacks what silenced models: ",
        "the journal lacks what silenced models: ...",
    ),
    (
        "src/journal/silenced.rs",
        "the file of silencing events is damaged",
        "the file of silencing events is damaged: ...",
    ),
    (
        "src/actors/daemon/begin.rs",
        "the journal was damaged and a new one is in use",
        "the journal was damaged and a new one is in use",
    ),
    ("core/src/guard/integrity.rs", "which is no probability", "which is no probability"),
    (
        "src/actors/daemon/begin.rs",
        "the journal ends before what was acknowledged",
        "the journal ends before what was acknowledged",
    ),
    ("src/journal/store.rs", "another program wrote to the journal", "another program wrote to the journal"),
    ("core/src/guard/integrity.rs", "the clock moved by", "the clock moved by"),
    ("core/src/guard/integrity.rs", "the clock is behind the journal", "the clock is behind the journal"),
    ("core/src/trials/promotion.rs", "the test of {} is {}", "the test of ... is invalid: ..."),
    ("core/src/domain/trip.rs", "emergency of the account", "emergency of ..."),
    (
        "core/src/domain/trip.rs",
        "two reports of a trade contradict each other",
        "two reports of a trade contradict each other",
    ),
    (
        "core/src/domain/trip.rs",
        "the outcome of a trade cannot be read any more",
        "the outcome of a trade cannot be read any more",
    ),
];

#[test]
fn every_reason_of_a_lock_stands_in_the_table_with_what_to_do() {
    let rows = table("docs/operations.md", "| reason | meaning | then |");
    let reasons: Vec<&str> = rows.iter().map(|row| &*row[0]).collect();
    for (file, words, documented) in LOCKS {
        assert!(code(file).contains(words), "{file} does not say {words:?} any more; correct this test and the table");
        assert!(
            reasons.iter().any(|reason| reason.contains(documented)),
            "{documented:?} is not in docs/operations.md"
        );
    }
    for reason in reasons {
        let known = LOCKS.iter().any(|(_, _, documented)| reason.contains(documented))
            || reason.contains("cannot be evaluated");
        assert!(known, "{reason:?} is in docs/operations.md, and no lock says so");
    }
    // a new way to lock says why in the table
    let mut ways = BTreeMap::new();
    for (file, code) in sources(|name| !name.starts_with("demo/") && !name.starts_with("core/src/report")) {
        let made = [
            "EventKind::Locked { reason: ",
            "EventKind::Locked { reason, by, until: None }",
            "EventKind::Locked { reason, by: ",
            "Serving::locked(",
            "silence(&silenced,",
        ];
        let count: usize = made.iter().map(|made| code.matches(made).count()).sum();
        if count > 0 {
            ways.insert(file, count);
        }
    }
    let expected = [
        ("src/actors/daemon/common.rs", 1),
        ("src/actors/daemon/start.rs", 1),
        ("src/actors/daemon/parts.rs", 1),
        ("src/actors/guardian.rs", 1),
        ("src/actors/guardian/load.rs", 2),
        ("src/actors/guardian/orders.rs", 2),
        ("src/actors/guardian/save.rs", 1),
        ("src/recall/events.rs", 1),
        ("src/actors/journal/writer.rs", 1),
        ("core/src/trials/promotion.rs", 1),
        ("core/src/lifecycle/measures.rs", 1),
    ];
    let expected = expected.map(|(file, count)| (file.to_owned(), count)).into_iter().collect();
    assert_eq!(ways, expected, "a new lock: add its reason to LOCKS and to docs/operations.md");
}

#[test]
fn every_emergency_rule_stands_in_the_table_with_what_it_watches_and_its_keys() {
    let rows = table("docs/operations.md", "| rule | watches |");
    let documented: Vec<(String, String, Words)> =
        rows.iter().map(|row| (row[0].trim_matches('`').to_owned(), row[1].clone(), names(&row[3]))).collect();
    let known: Vec<(String, String, Words)> = RULES
        .iter()
        .map(|rule| {
            let keys = rule.keys.iter().map(|key| key.name.to_owned()).collect();
            (rule.name.to_string(), rule.watches.to_owned(), keys)
        })
        .collect();
    assert_eq!(documented, known);
}

#[test]
fn every_request_stands_in_the_table() {
    let decode = code("src/protocol/message/decode.rs");
    let understood = literals(between(&decode, "fn decode_body(", "Some(other) =>"));
    let rows = table("docs/protocol.md", "| type | who | what |");
    assert_eq!(column(&rows, 0), understood);
    let count: usize = rows.iter().map(|row| names(&row[0]).len()).sum();
    assert_eq!(count, understood.len(), "a request stands there twice");
    let text = read("docs/protocol.md");
    let heads: Vec<&str> = text.lines().filter(|line| line.starts_with('#')).collect();
    assert_eq!(heads.iter().collect::<BTreeSet<_>>().len(), heads.len(), "a section comes twice: {heads:?}");
}

#[test]
fn every_error_code_stands_in_the_table() {
    let mut said = Words::new();
    // the commands and the client read files and answers, and tell nobody over the socket
    for code in sources(|name| !name.starts_with("src/commands") && name != "src/protocol/client.rs").values() {
        for before in ["WireError::new(", "InvalidLine { code: ", "field_error(", "Refused::new("] {
            said.extend(quoted(code, before));
        }
    }
    said.extend(quoted(&code("src/protocol/message/decode.rs"), "invalid("));
    said.extend(quoted(&code("src/actors/acknowledge.rs"), "CONFLICT: &str = "));
    let kinds = code("core/src/domain/signal.rs");
    said.extend(quoted(between(&kinds, "let starts = [", "];"), ", "));
    let refused = code("core/src/validation/refused.rs");
    let (_, codes) = refused.split_once("pub fn code(&self)").unwrap();
    let trained = literals(codes);
    let documented = column(&table("docs/protocol.md", "| code | meaning | send it again? |"), 0);
    let text = read("docs/protocol.md");
    let refusals = names(between(&text, "`refused` has `code` and `message`:", "Nothing was registered"));
    let known: Words = documented.union(&refusals).cloned().collect();
    assert_eq!(missing(&said, &known), Vec::<String>::new(), "said, and not in docs/protocol.md");
    assert_eq!(
        missing(&trained, &refusals),
        Vec::<String>::new(),
        "refused by a training, and not in docs/protocol.md"
    );
    let all: Words = sources(|_| true).values().flat_map(|code| literals(code)).collect();
    assert_eq!(missing(&documented, &all), Vec::<String>::new(), "in docs/protocol.md, and never said");
}

/// The fields of each variant of an enum, or of one struct, by its name on the wire. `text` is its body.
fn fields(text: &str) -> Vec<String> {
    let field = |part: &str| part.trim().rsplit(' ').next().map(str::to_owned);
    let before_colon = text.split(": ").collect::<Vec<_>>();
    let (_, names) = before_colon.split_last().unwrap();
    names.iter().filter_map(|part| field(part)).filter(|name| is_word(name)).collect()
}

#[test]
fn every_event_stands_in_the_table_with_its_fields() {
    let events = code("core/src/domain/event.rs");
    let (_, body) = events.split_once("pub enum EventKind {").unwrap();
    let mut told: BTreeMap<String, Words> = BTreeMap::new();
    let mut rest = body.trim_end_matches('}');
    while let Some(end) = rest.find(['{', '(', ',']) {
        let name = rest[..end].trim();
        let name: String = name
            .chars()
            .flat_map(|c| [c.is_ascii_uppercase().then_some('_'), Some(c.to_ascii_lowercase())])
            .flatten()
            .collect();
        let name = name.trim_start_matches('_').to_owned();
        let (of, close) = match &rest[end..=end] {
            "{" => (&rest[end + 1..], '}'),
            "(" => (&rest[end + 1..], ')'),
            _ => {
                told.insert(name, Words::new());
                rest = &rest[end + 1..];
                continue;
            }
        };
        let length = of.find(close).unwrap();
        // an entry of the ledger has its fields among those of the event
        let its =
            if close == ')' { fields(between(&events, "pub struct Trial {", "} ")) } else { fields(&of[..length]) };
        told.insert(name, its.into_iter().collect());
        rest = of[length + 1..].trim_start().trim_start_matches(',');
    }
    assert!(told.len() > 12, "{told:?}");
    let rows = table("docs/protocol.md", "| `event` | fields | what happened |");
    let documented: BTreeMap<String, Words> =
        rows.iter().flat_map(|row| names(&row[0]).into_iter().map(|name| (name, names(&row[1])))).collect();
    assert_eq!(documented, told);
}

#[test]
fn every_field_of_status_stands_in_the_table() {
    let status = code("src/actors/gateway/read.rs");
    let body = between(&status, "pub struct Status {", "impl Gateway");
    let fields: Words = body.split("pub ").skip(1).map(|field| field.split(':').next().unwrap().to_owned()).collect();
    assert!(fields.len() > 10, "{fields:?}");
    assert_eq!(column(&table("docs/protocol.md", "| field of `status` |"), 0), fields);
}

#[test]
fn every_reason_of_an_answer_stands_in_the_table() {
    let reasons: Words = vigie::domain::Reason::ALL.into_iter().map(|reason| reason.name().to_owned()).collect();
    assert_eq!(column(&table("docs/protocol.md", "| reason | arm | meaning |"), 0), reasons);
}
