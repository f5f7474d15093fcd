//! The command line as people and scripts meet it: help, exit codes, what is printed and what is not.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use std::{
    collections::BTreeSet,
    fs,
    io::{Read, Write},
    process::{Output, Stdio},
};

use assert_cmd::assert::OutputAssertExt;
use common::{
    place::{BY_HAND, CONFIG, Place, example_confidence, examples},
    process::{Process, vigie},
    wait::until,
};
use serde_json::Value;
use vigie::domain::lifecycle::State;

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/signals.jsonl.gz");
const SIGNAL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/signal.json");
const COMMANDS: &[&str] = &[
    "archive",
    "demo",
    "alerts",
    "events",
    "run",
    "check",
    "init",
    "import",
    "features",
    "train",
    "score",
    "status",
    "top",
    "models",
    "replay",
    "promote",
    "rollback",
    "lock",
    "resume",
    "kill",
    "experiment",
    "power",
    "impact",
    "report",
    "tune",
    "reload",
    "validate",
    "reinstate",
    "compare",
    "phases",
    "schedule",
    "dataset",
    "discover",
    "regimes",
    "export",
    "simulate",
    "drill",
    "drift",
    "backup",
    "restore",
    "web",
    "notify",
];

fn run(place: &Place, arguments: &[&str]) -> Output {
    vigie(place, arguments).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The output of a command that must end with `code`.
fn ends_with(place: &Place, arguments: &[&str], code: i32) -> Output {
    let output = run(place, arguments);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
    output
}

fn json(output: &Output) -> Value {
    let text = stdout(output);
    assert_eq!(text.lines().count(), 1, "one object on one line: {text}");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn without_arguments_it_says_what_it_can_do_and_what_its_exit_codes_mean() {
    let place = Place::new();
    let output = ends_with(&place, &[], 2);
    let said = stdout(&output) + &stderr(&output);
    for part in COMMANDS.iter().chain(&["Usage: vigie", "Exit codes:", "4   no daemon answers"]) {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    let listed = said
        .lines()
        .filter(|line| line.starts_with("  ") && line.trim_start().starts_with(|c: char| c.is_ascii_lowercase()));
    let commands = listed.filter(|line| !line.starts_with("   ") && !line.trim_start().starts_with("help")).count();
    assert_eq!(commands, COMMANDS.len(), "a command is missing in this test: {said}");
}

#[test]
fn a_state_folder_that_is_named_and_holds_no_journal_is_an_error_everywhere() {
    let place = Place::new();
    let symbol = ["--symbol", "ES"];
    for (command, more) in [
        (&["power"][..], &symbol[..]),
        (&["impact"], &symbol),
        (&["drill"], &symbol),
        (&["dataset"], &[]),
        (&["discover"], &symbol),
        (&["phases"], &symbol),
        (&["report"], &symbol),
        (&["export"], &["--symbol", "ES", "--output", "matrix.csv"]),
    ] {
        let arguments = [command, &["--state", "vigie-sate"], more].concat();
        let output = ends_with(&place, &arguments, 1);
        assert!(stderr(&output).contains("vigie-sate/vigie.redb: there is no journal"), "{output:?}");
        assert_eq!(stdout(&output), "", "{arguments:?}");
    }
    // without one it answers by what it assumes, and says so
    let output = ends_with(&place, &["power"], 0);
    assert!(stdout(&output).contains("assumed, since the journal does not tell"), "{output:?}");
}

#[test]
fn every_command_shows_an_example_of_its_use() {
    let place = Place::new();
    for command in COMMANDS.iter().copied() {
        let help = stdout(&ends_with(&place, &[command, "--help"], 0));
        let (_, examples) = help.split_once("Example").unwrap_or_else(|| panic!("{command}: {help}"));
        assert!(examples.contains(&format!("vigie {command}")), "{command}: {help}");
    }
    vigie(&place, &["--version"]).assert().success();
}

#[test]
fn every_example_is_understood() {
    let place = Place::new();
    let mut checked = 0;
    for command in COMMANDS.iter().copied() {
        let help = stdout(&ends_with(&place, &[command, "--help"], 0));
        let examples = help.split_once("Example").unwrap().1;
        for line in examples.lines().filter_map(|line| line.trim().strip_prefix("vigie ")) {
            // up to a pipe, a redirection or the words that explain it
            let line = line.split(['|', '>']).next().unwrap().split("   ").next().unwrap();
            let mut words: Vec<String> = Vec::new();
            for (index, part) in line.split('\'').enumerate() {
                if index % 2 == 1 {
                    words.push(part.to_owned())
                } else {
                    words.extend(part.split_whitespace().map(str::to_owned))
                }
            }
            if ["run", "demo", "web", "notify"].contains(&command) {
                continue; // they would run
            }
            if words.contains(&"--play".to_owned()) {
                continue; // played in a test of its own
            }
            if command == "drill" && !words.contains(&"--runs".to_owned()) {
                words.extend(["--runs", "2", "--trades", "100"].map(str::to_owned)); // it would take long
            }
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let code = run(&place, &words).status.code();
            // a check that finds no daemon ends with 2 as well
            assert!(code.is_some_and(|code| code != 2) || words.contains(&"--check"), "{line}: {code:?}");
            checked += 1;
        }
    }
    assert!(checked > COMMANDS.len(), "{checked}");
}

#[test]
fn exit_codes_tell_what_happened() {
    let place = Place::new();
    place.file("good.toml", "scoring.holdback = 0.2\n");
    place.file("bad.toml", "scoring.holdback = 2\n");
    place.file("half.jsonl", &format!("{}\nnonsense\n", examples()[0]));
    ends_with(&place, &["check", "good.toml"], 0);
    let failed = ends_with(&place, &["train"], 1);
    assert!(stderr(&failed).contains("vigie import"), "it says what to do: {failed:?}");
    ends_with(&place, &["import", "no-such-file"], 1);
    ends_with(&place, &["import"], 2);
    ends_with(&place, &["promote", "ES"], 2);
    ends_with(&place, &["lock"], 2);
    ends_with(&place, &["check", "bad.toml"], 3);
    ends_with(&place, &["check", "no-such-file.toml"], 3);
    ends_with(&place, &["import", "--config", "bad.toml", EXAMPLES], 3);
    for command in ["status", "models", "reload"] {
        let absent = ends_with(&place, &[command], 4);
        assert!(stderr(&absent).contains("vigie run"), "{command}: {absent:?}");
    }
    ends_with(&place, &["lock", "--reason", "x"], 4);
    ends_with(&place, &["replay", "half.jsonl"], 4);
    let refused = ends_with(&place, &["import", "half.jsonl"], 5);
    assert!(stdout(&refused).contains("half.jsonl:2"), "{refused:?}");
    ends_with(&place, &["features", "half.jsonl"], 5);
}

#[test]
fn help_lists_every_exit_code_as_the_readme_does() {
    let source = include_str!("../src/commands/mod.rs");
    let made = source.split("ExitCode::from(").skip(1).filter_map(|rest| rest.split(')').next()?.parse().ok());
    let made: BTreeSet<u8> = made.chain([0]).collect();
    let place = Place::new();
    let help = stdout(&ends_with(&place, &["--help"], 0));
    let listed = help.split("Exit codes:").nth(1).unwrap().lines();
    let listed: BTreeSet<u8> = listed.filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect();
    let readme = include_str!("../README.md").split("## Exit codes").nth(1).unwrap().split("\n## ").next().unwrap();
    let table: BTreeSet<u8> = readme.lines().filter_map(|line| line.split('|').nth(1)?.trim().parse().ok()).collect();
    assert_eq!((&listed, &table), (&made, &made), "{help}");
}

#[test]
fn input_of_which_nothing_can_be_used_ends_with_5_and_says_how_much_and_why() {
    let place = Place::new();
    let files = [("nonsense.jsonl", "not json\n".repeat(30), 30), ("unknown.jsonl", "{\"a\":1}\n".to_owned(), 1)];
    files.iter().for_each(|(name, text, _)| drop(place.file(name, text)));
    place.file("empty.jsonl", "");
    let daemon = Process::start(&place, &[]);
    let socket = place.socket();
    let socket = socket.to_str().unwrap();
    let commands: [&[&str]; 5] = [
        &["replay", "--socket", socket],
        &["import", "--socket", socket],
        &["import", "--state", "other"],
        &["dataset"],
        &["features"],
    ];
    for command in commands {
        for (name, _, lines) in &files {
            let output = ends_with(&place, &[command, &[name]].concat(), 5);
            let said = stdout(&output) + &stderr(&output);
            assert!(said.contains(&format!("none of {lines} lines could be used")), "{command:?}: {said}");
            let why = if *lines == 1 { "unknown field `a`" } else { "not a JSON object" };
            assert!(said.contains(why), "{command:?}: {said}");
        }
        let output = ends_with(&place, &[command, &["empty.jsonl"]].concat(), 5);
        assert!(stderr(&output).contains("there was no line to read"), "{command:?}: {output:?}");
    }
    let summary = json(&ends_with(&place, &["replay", "--json", "--socket", socket, "nonsense.jsonl"], 5));
    assert_eq!((&summary["lines"], &summary["unreadable"], &summary["sent"]), (&30.into(), &30.into(), &0.into()));
    daemon.stop();
}

#[test]
fn a_score_without_a_daemon_prints_the_neutral_answer_and_ends_with_4() {
    let place = Place::new();
    let signal = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/signal.json");
    let answer = json(&ends_with(&place, &["score", "--json", signal], 4));
    assert_eq!(
        (&answer["arm"], &answer["confidence"], &answer["size"]),
        (&"baseline".into(), &example_confidence().into(), &1.0.into())
    );
    assert_eq!(answer["reason"], "unreachable");
    // one that is there and silent is not said to be away
    let silent = place.folder().join("silent.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&silent).unwrap();
    let late = ends_with(&place, &["score", "--deadline-ms", "30", "--socket", silent.to_str().unwrap(), signal], 4);
    assert!(stdout(&late).contains("deadline"), "{late:?}");
    assert!(stderr(&late).contains("gave no answer: none came within 30 ms"), "{late:?}");
    assert!(!stderr(&late).contains("vigie run"), "{late:?}");
    ends_with(&place, &["score", "no-such-file"], 1);
}

#[test]
fn importing_the_same_again_changes_nothing() {
    let place = Place::new();
    let all = Value::from(examples().len());
    let first = json(&ends_with(&place, &["import", "--json", "--state", "state", EXAMPLES], 0));
    assert_eq!((&first["lines"], &first["stored"], &first["duplicates"]), (&all, &all, &0.into()));
    let held = |place: &Place| (place.reader().counts().unwrap(), place.reader().last_seq().unwrap());
    let before = held(&place);
    let again = json(&ends_with(&place, &["import", "--json", "--state", "state", EXAMPLES], 0));
    assert_eq!((&again["stored"], &again["duplicates"]), (&0.into(), &all));
    assert_eq!(held(&place), before);
}

#[test]
fn two_symbols_of_one_seed_have_trades_of_their_own() {
    let place = Place::new();
    for symbol in ["ES", "NQ"] {
        let out = format!("{symbol}.jsonl");
        ends_with(&place, &["simulate", "--months", "1", "--symbol", symbol, "--out", &out], 0);
    }
    let summary = json(&ends_with(&place, &["import", "--json", "--state", "state", "ES.jsonl", "NQ.jsonl"], 0));
    assert_eq!(
        (&summary["rejected"], &summary["duplicates"], &summary["stored"]),
        (&0.into(), &0.into(), &summary["lines"])
    );
    let ids = fs::read_to_string(place.folder().join("ES.jsonl")).unwrap();
    assert!(ids.lines().next().unwrap().contains("\"SIM1-2025"), "those of ES are named as before");
}

#[test]
fn two_scenarios_of_one_seed_have_trades_of_their_own() {
    let place = Place::new();
    let markets: [&[&str]; 4] = [&[], &["--scenario", "crash"], &["--scenario", "no-edge"], &["--edge", "0.5"]];
    let mut files = Vec::new();
    for (n, market) in markets.iter().enumerate() {
        files.push(format!("{n}.jsonl"));
        ends_with(&place, &[&["simulate", "--months", "1", "--out", &files[n]], *market].concat(), 0);
    }
    let arguments: Vec<&str> =
        ["import", "--json", "--state", "state"].into_iter().chain(files.iter().map(String::as_str)).collect();
    let summary = json(&ends_with(&place, &arguments, 0));
    assert_eq!((&summary["duplicates"], &summary["stored"]), (&0.into(), &summary["lines"]));
}

#[test]
fn nothing_that_is_printed_commands_a_terminal() {
    let place = Place::with_model(State::Production);
    let nasty = "\u{1b}[31mx\u{7}\u{202e}";
    let (lines, config) = (format!("{nasty}.jsonl"), format!("{nasty}.toml"));
    place.file(&lines, "nonsense\n");
    place.file(&config, "nosuch = 1\n");
    place.file("plain.toml", &format!("[\"a{}\"]\nb = 1\n", nasty.replace(['\u{1b}', '\u{7}'], "")));
    for (arguments, code) in [
        (&["features", &lines][..], 5),
        (&["import", "--state", "other", &lines], 5),
        (&["check", &config], 3),
        (&["check", "plain.toml"], 3),
        (&["run", "--config", "plain.toml"], 3),
        (&["status", "--socket", nasty], 4),
        (&["score", nasty], 1),
        (&["impact", "--since", nasty], 2),
        (&["dataset", nasty], 1),
        (&["models", "--offline", "--state", nasty], 1),
    ] {
        let output = ends_with(&place, arguments, code);
        let said = stdout(&output) + &stderr(&output);
        assert!(!said.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{arguments:?}: {said:?}");
        // or as a program text spells it, in a name between quotation marks
        assert!(said.contains("\\u202e") || said.contains("\\u{202e}"), "{arguments:?}: {said:?}");
    }
    let line = examples()[0].replacen('{', "{\"extra\":{\"\u{202e}\":1},", 1);
    place.file("extra.jsonl", &line);
    ends_with(&place, &["import", "--state", "other", "extra.jsonl"], 0);
    let told = stdout(&ends_with(&place, &["export", "--what", "snapshots", "--state", "other"], 0));
    let told: (bool, Value) = (told.contains('\u{202e}'), serde_json::from_str(&told).unwrap());
    assert_eq!((told.0, &told.1["extra"]["\u{202e}"]), (false, &1.into()));
}

#[test]
fn a_file_that_may_not_grow_is_a_write_that_fails_for_every_command_and_leaves_nothing_behind() {
    let place = Place::new();
    ends_with(&place, &["import", "--state", "state", EXAMPLES], 0);
    for arguments in [
        &["import", "--state", "other", EXAMPLES][..],
        &["export", "--what", "snapshots", "--state", "state", "--output", "out.jsonl"],
        &["simulate", "--months", "24", "--out", "trades.jsonl"],
    ] {
        let program = env!("CARGO_BIN_EXE_vigie");
        let mut limited = std::process::Command::new("bash");
        limited.args(["-c", "ulimit -f 100; exec \"$0\" \"$@\"", program]).args(arguments).current_dir(place.folder());
        let output = limited.output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
        assert!(stderr(&output).contains("File too large"), "{arguments:?}: {output:?}");
    }
    let left: Vec<String> = fs::read_dir(place.folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains(".part") || name.ends_with(".jsonl"))
        .collect();
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn what_was_read_before_a_file_ends_badly_is_told_and_a_date_is_a_time() {
    let place = Place::new();
    let whole = fs::read(EXAMPLES).unwrap();
    fs::write(place.folder().join("cut.jsonl.gz"), &whole[..whole.len() / 2]).unwrap();
    let read = json(&ends_with(&place, &["dataset", "--json", "cut.jsonl.gz"], 1));
    assert!(read["accepted"].as_u64().unwrap() > 10, "{read}");
    let daemon = Process::start(&place, &[]);
    let socket = place.socket();
    let socket = socket.to_str().unwrap();
    let played = json(&ends_with(&place, &["replay", "--json", "--socket", socket, "cut.jsonl.gz"], 1));
    assert_eq!(played["scored"], read["accepted"], "{played}");
    place.file("marked.json", &format!("\u{feff}{}", fs::read_to_string(SIGNAL).unwrap()));
    ends_with(&place, &["score", "--deadline-ms", "10000", "--socket", socket, "marked.json"], 0);
    daemon.stop();
    for dates in [&["--since", "2025-11-01"][..], &["--before", "2025-11-01"]] {
        ends_with(&place, &[&["impact", "--state", "state"], dates].concat(), 0);
    }
}

#[test]
fn a_trade_that_contradicts_is_refused_and_what_is_known_stays() {
    let place = Place::new();
    let line = examples().swap_remove(0);
    let changed = line.replace("\"pnl\":570.5", "\"pnl\":-570.5");
    assert_ne!(line, changed);
    place.file("trades.jsonl", &format!("{line}\n{changed}\n{line}\n"));
    let summary = json(&ends_with(&place, &["import", "--json", "--state", "state", "trades.jsonl"], 5));
    let number = |name: &str| summary[name].as_u64().unwrap();
    assert_eq!((number("stored"), number("duplicates"), number("rejected")), (1, 1, 1));
    assert!(summary["faults"]["conflict"]["examples"][0].as_str().unwrap().starts_with("trades.jsonl:2"), "{summary}");
    let stored = place.reader().outcomes().unwrap().next().unwrap().unwrap();
    assert_eq!(stored.record.outcome.pnl.unwrap().get(), 570.5);
}

#[test]
fn an_object_written_over_several_lines_is_read_as_one_line() {
    let place = Place::new();
    let example = fs::read_to_string(SIGNAL).unwrap();
    assert!(example.lines().count() > 100);
    let features = ends_with(&place, &["features", SIGNAL], 0);
    assert!(json(&features)["session_time"].is_number(), "{features:?}");
    let other = example.replace("\"EX-", "\"OTHER-");
    assert_ne!(example, other);
    place.file("two.json", &format!("{example}{other}"));
    let summary = json(&ends_with(&place, &["import", "--json", "--state", "state", "two.json"], 0));
    assert_eq!((&summary["lines"], &summary["stored"]), (&2.into(), &2.into()));
    // and one that never closes is one line at fault
    place.file("half.json", example.trim_end().trim_end_matches('}'));
    ends_with(&place, &["features", "half.json"], 5);
}

#[test]
fn a_broken_gz_is_an_error_that_names_the_line_and_keeps_what_came_before() {
    let place = Place::new();
    let whole = fs::read(EXAMPLES).unwrap();
    fs::write(place.folder().join("cut.gz"), &whole[..whole.len() / 2]).unwrap();
    let failed = ends_with(&place, &["import", "--state", "state", "cut.gz"], 1);
    assert!(stderr(&failed).contains("cut.gz cannot be read at line"), "{failed:?}");
    let mut damaged = whole.clone();
    damaged[whole.len() / 2..][..64].fill(0xFF);
    fs::write(place.folder().join("damaged.gz"), &damaged).unwrap();
    ends_with(&place, &["import", "--state", "state", "damaged.gz"], 1);
    // the whole file completes what the broken ones began, wherever it stands among them
    fs::write(place.folder().join("begun.gz"), &whole[..12]).unwrap();
    let some = ends_with(
        &place,
        &["import", "--json", "--state", "state", "cut.gz", "begun.gz", "no.gz", EXAMPLES, "damaged.gz"],
        5,
    );
    let summary = json(&some);
    for name in ["cut.gz cannot be read at line", "begun.gz cannot be read", "no.gz cannot be opened", "damaged.gz"] {
        assert!(stderr(&some).contains(name) && summary["broken_files"].to_string().contains(name), "{name}: {some:?}");
    }
    let none = ends_with(&place, &["import", "--state", "other", "begun.gz", "no.gz"], 1);
    assert!(stderr(&none).contains("begun.gz") && stderr(&none).contains("no.gz"), "{none:?}");
    assert!(summary["stored"].as_u64().unwrap() > 0, "{summary}");
    assert_eq!(place.reader().counts().unwrap().outcomes, examples().len() as u64);
}

#[test]
fn standard_input_plain_or_gzipped_is_read_as_a_file_is() {
    let place = Place::new();
    for (input, text) in [("plain", examples().join("\n").into_bytes()), ("gzipped", fs::read(EXAMPLES).unwrap())] {
        let mut child = vigie(&place, &["import", "--json", "--state", input, "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(&text).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(json(&output)["stored"], examples().len(), "{input}");
    }
}

#[test]
fn what_works_through_much_stands_back_behind_a_daemon() {
    fn nice_of(process: &str) -> Option<i32> {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        stat.rsplit(')').next()?.split_whitespace().nth(16)?.parse().ok()
    }
    let place = Place::new();
    let mut child = vigie(&place, &["features", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let lowered = (nice_of("self").unwrap() + 10).min(19);
    until("a lower priority", || (nice_of(&child.id().to_string())? == lowered).then_some(()));
    drop(child.stdin.take());
    child.wait().unwrap();
}

#[test]
fn features_are_printed_one_object_a_line_with_null_where_missing() {
    let place = Place::new();
    let features = stdout(&ends_with(&place, &["features", EXAMPLES], 0));
    let with_id = stdout(&ends_with(&place, &["features", "--with-id", EXAMPLES], 0));
    assert_eq!((features.lines().count(), with_id.lines().count()), (examples().len(), examples().len()));
    let mut missing = 0;
    for ((line, with_id), snapshot) in features.lines().zip(with_id.lines()).zip(examples()) {
        let line: Value = serde_json::from_str(line).unwrap();
        let mut with_id: Value = serde_json::from_str(with_id).unwrap();
        let snapshot: Value = serde_json::from_str(&snapshot).unwrap();
        assert_eq!(with_id.as_object_mut().unwrap().remove("trade_id").as_ref(), Some(&snapshot["trade_id"]));
        assert_eq!(line, with_id);
        assert_eq!(line.as_object().unwrap().len(), 12);
        missing += line.as_object().unwrap().values().filter(|value| value.is_null()).count();
    }
    assert!(missing > 0, "the examples have gaps");
}

#[test]
fn check_draws_every_line_at_fault() {
    let place = Place::new();
    place.file("my.toml", "[scoring]\nblend_weight = 1.5\n\n[sizing]\nrul = \"bet\"\n");
    let output = ends_with(&place, &["check", "my.toml"], 3);
    let drawn = stderr(&output);
    for part in ["my.toml:2", "blend_weight = 1.5", "my.toml:5", "rul = \"bet\"", "did you mean"] {
        assert!(drawn.contains(part), "{part} is not in {drawn}");
    }
    place.file("my.toml", "scoring.blend_weight = 0.25\n");
    let values = json(&ends_with(&place, &["check", "--json", "my.toml"], 0));
    assert_eq!(values["values"]["scoring.blend_weight"], "0.25");
    assert!(values["hash"].as_str().unwrap().len() == 16, "{values}");
}

#[test]
fn every_json_output_is_one_object_or_array() {
    let place = Place::new();
    let config = place.file("config.toml", &format!("{CONFIG}{BY_HAND}"));
    let config = config.to_str().unwrap();
    json(&ends_with(&place, &["import", "--json", "--state", "state", EXAMPLES], 0));
    let dry = json(&ends_with(&place, &["train", "--json", "--dry-run", "--state", "state", "--config", config], 0));
    assert_eq!(dry["registered"], false);
    assert_eq!(place.reader().counts().unwrap().versions, 0, "a dry run keeps nothing");
    json(&ends_with(&place, &["train", "--json", "--keep", "--state", "state", "--config", config], 0));
    let daemon = Process::start(&place, &[]);
    let socket = place.socket();
    let socket = ["--json", "--socket", socket.to_str().unwrap()];
    let ask = |arguments: &[&str]| json(&ends_with(&place, &[arguments, &socket].concat(), 0));
    assert!(ask(&["status"])["version"].is_string());
    assert!(ask(&["models"]).is_array());
    assert_eq!(ask(&["promote", "ES/1", "--override", "--reason", "x"])["done"], "ES/1 is staging");
    assert_eq!(ask(&["rollback", "ES/1", "--reason", "x"])["done"], "ES/1 is archived");
    assert_eq!(ask(&["lock", "--reason", "x"])["durable"], true);
    assert_eq!(ask(&["resume", "--reason", "x"])["durable"], true);
    assert_eq!(ask(&["reload"])["notes"], Value::Array(Vec::new()));
    assert_eq!(ask(&["replay", EXAMPLES])["scored"], examples().len());
    daemon.stop();
}

#[test]
fn texts_for_people_say_what_scripts_read() {
    let place = Place::with_model(State::Production);
    let daemon = Process::start(&place, &[]);
    let socket = place.socket();
    let socket = ["--socket", socket.to_str().unwrap()];
    let ask = |arguments: &[&str]| stdout(&ends_with(&place, &[arguments, &socket].concat(), 0));
    assert!(ask(&["models"]).contains("ES/1"));
    ask(&["lock", "--reason", "the news"]);
    assert!(ask(&["status"]).contains("LOCKED to the baseline: the news"));
    let refused = ends_with(&place, &[&["rollback", "ES/7", "--reason", "x"][..], &socket].concat(), 1);
    assert!(stderr(&refused).contains("there is no version ES/7"), "{refused:?}");
    daemon.stop();
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let place = Place::with_model(State::Production);
    let config = place.file("config.toml", CONFIG);
    let config = config.to_str().unwrap();
    let daemon = Process::start(&place, &[]);
    let socket = place.socket();
    let socket = socket.to_str().unwrap();
    let signal = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/signal.json");
    for arguments in [
        &["--help"][..],
        &["features", EXAMPLES],
        &["check", config],
        &["check", config, "--json"],
        &["import", EXAMPLES],
        &["import", "--json", EXAMPLES],
        &["train", "--config", config],
        &["models", "--offline", "--state", "state"],
        &["models", "--socket", socket, "--json"],
        &["status", "--socket", socket],
        &["score", "--socket", socket, "--deadline-ms", "10000", signal],
        &["lock", "--reason", "x", "--socket", socket],
        &["replay", "--socket", socket, "few.jsonl"],
        &["events", "--socket", socket],
        &["alerts", "--socket", socket],
        &["experiment", "--socket", socket],
        &["drift", "--socket", socket, "--json"],
        &["export", "--socket", socket],
        &["export", "--socket", socket, "--output", "/dev/stdout"],
        &["export", "--socket", socket, "--format", "parquet"],
        &["export", "--socket", socket, "--format", "pickle"],
        &["export", "--socket", socket, "--what", "snapshots"],
        &["export", "--socket", socket, "--what", "snapshots", "--format", "csv"],
        &["export", "--socket", socket, "--what", "snapshots", "--format", "parquet"],
        &["export", "--socket", socket, "--what", "decisions"],
        &["export", "--socket", socket, "--what", "outcomes", "--format", "pickle"],
        &["export", "--socket", socket, "--what", "events", "--format", "parquet"],
        &["dataset", "--socket", socket],
        &["impact", "--socket", socket],
        &["phases", "--socket", socket],
        &["report", "--socket", socket],
        &["report", "--socket", socket, "--html", "-"],
        &["simulate", "--months", "1", "--out", "-"],
    ] {
        place.file("few.jsonl", &examples()[..3].join("\n"));
        let mut child = vigie(&place, arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(child.wait().unwrap().success(), "{arguments:?}: {said}");
        assert_eq!(said, "", "{arguments:?}");
    }
    daemon.stop();
}

#[test]
fn a_full_disk_under_the_output_is_an_error_and_no_panic() {
    let place = Place::new();
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let output = vigie(&place, &["import", EXAMPLES]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(stderr(&output).starts_with("vigie: "), "{output:?}");
}

#[test]
fn the_rules_are_tried_on_simulated_trades_when_the_journal_has_none() {
    let place = Place::new();
    let arguments = ["drill", "--runs", "2", "--trades", "100", "--seed", "3"];
    let said = json(&ends_with(&place, &[&arguments[..], &["--json"]].concat(), 0));
    assert!(said["source"].as_str().unwrap().starts_with("SIMULATED"), "{said}");
    let rules = said["drill"]["rules"].as_array().unwrap();
    let accuracy = rules.iter().find(|rule| rule["rule"] == "accuracy").unwrap();
    assert!(accuracy["delays"]["reversed"]["found"] == 1.0 && accuracy["false_alarms"] == 0.0, "{accuracy}");
    let table = stdout(&ends_with(&place, &arguments, 0));
    assert!(table.contains("loss_streak") && table.contains("SIMULATED"), "{table}");
    let refused = ends_with(&place, &["drill", "--version", "ES/1"], 1);
    assert!(stderr(&refused).contains("scored 0 closed trades"), "{refused:?}");
}

#[test]
fn power_asks_for_more_trades_of_a_test_that_is_read_at_every_session_and_needs_no_note_about_its_formula() {
    let place = Place::new();
    let said = stdout(&ends_with(&place, &["power"], 0));
    assert!(said.contains("found with 80 % at an error rate of 5.0 %, read once or at every session"), "{said}");
    let told = json(&ends_with(&place, &["power", "--json"], 0));
    assert!(!told["notes"].to_string().contains("simulated tests"), "{told}");
    for outlook in told["outlooks"].as_array().unwrap() {
        for need in outlook["needs"].as_array().unwrap().iter().filter(|need| !need["once"].is_null()) {
            let trades = |reading: &str| need[reading]["trades"].as_f64().unwrap_or(f64::INFINITY);
            assert!(trades("every_session") > trades("once"), "{need}");
        }
    }
}

#[test]
fn a_search_for_inputs_counts_in_the_ledger_and_beside_a_daemon_it_only_reads() {
    let place = Place::new();
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/signals.jsonl.gz");
    let state = place.state();
    let state = state.to_str().unwrap();
    ends_with(&place, &["import", "--state", state, examples], 0);
    let socket = place.socket();
    let tried = |place: &Place| {
        let events = stdout(&ends_with(place, &["events", "--json", "--socket", socket.to_str().unwrap()], 0));
        events.lines().filter(|line| line.contains("\"discovery\"")).count()
    };
    let found = json(&ends_with(&place, &["discover", "--state", state, "--json"], 0));
    assert_eq!(found["in_ledger"], true, "{found}");
    let (findings, all) = (found["discovery"]["findings"].as_array().unwrap(), &found["discovery"]["tried"]);
    assert!(findings.len() > 150 && all.as_u64().unwrap() > 50, "{all}");
    let refused = stderr(&ends_with(&place, &["discover", "--state", state, "--rate", "2"], 1));
    assert!(refused.contains("the false discovery rate is 2: it must be above 0 and below 1"), "{refused}");
    let _daemon = Process::start(&place, &[]);
    assert_eq!(tried(&place), 1);
    let found = json(&ends_with(&place, &["discover", "--state", state, "--json"], 0));
    assert_eq!((&found["in_ledger"], tried(&place)), (&false.into(), 1));
}
