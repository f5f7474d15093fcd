//! The pages of reference are made from the program, and the tables of the other pages are held against it.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::PathBuf,
};

use clap::CommandFactory as _;
use vigie::{
    commands::Vigie,
    config::{BUILTIN, Config},
    domain::{
        Feature, Probability, Reason,
        lifecycle::{State, Transition},
    },
    models::sizing::{Sizing, SizingRule},
};

/// Set to anything, the pages are written instead of compared.
const WRITE: &str = "VIGIE_WRITE_DOCS";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Whether the committed page is the one that the program gives.
fn is_current(page: &str, made: &str) {
    let path = root().join(page);
    if std::env::var_os(WRITE).is_some() {
        fs::write(&path, made).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    let differs = committed.lines().zip(made.lines()).find(|(one, other)| one != other);
    assert!(committed == made, "{page} is not current ({differs:?}); run this test with {WRITE}=yes");
}

fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

/// The options of a command as a table.
fn options(command: &clap::Command, out: &mut String) {
    let rows: Vec<(String, String)> = command
        .get_arguments()
        .filter(|argument| !argument.is_hide_set() && !["help", "version"].contains(&argument.get_id().as_str()))
        .map(|argument| {
            let values = argument.get_value_names().unwrap_or_default();
            let takes = argument.get_action().takes_values();
            let value = values.iter().map(|name| name.to_string()).collect::<Vec<_>>().join(" ");
            let name = match (argument.get_long(), takes) {
                (Some(long), true) => format!("`--{long} {value}`"),
                (Some(long), false) => format!("`--{long}`"),
                (None, _) => format!("`{value}`"),
            };
            let mut help = argument.get_help().map(ToString::to_string).unwrap_or_default();
            let allowed: Vec<String> =
                argument.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect();
            if takes && !allowed.is_empty() {
                help += &format!(" (one of {})", allowed.join(", "));
            }
            let default: Vec<String> =
                argument.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
            if takes && !default.is_empty() {
                help += &format!(" [default: {}]", default.join(" "));
            }
            (name, cell(&help))
        })
        .collect();
    if !rows.is_empty() {
        *out += "| argument | what |\n| --- | --- |\n";
        rows.iter().for_each(|(name, help)| writeln!(out, "| {name} | {help} |").unwrap());
        *out += "\n";
    }
}

fn describe(command: &clap::Command, name: &str, out: &mut String) {
    writeln!(out, "## {name}\n").unwrap();
    let about = command.get_long_about().or_else(|| command.get_about()).map(ToString::to_string).unwrap_or_default();
    for paragraph in about.split("\n\n") {
        let paragraph = cell(paragraph).replace('<', "&lt;");
        let end = if paragraph.ends_with(['.', ':']) { "" } else { "." };
        writeln!(out, "{paragraph}{end}\n").unwrap();
    }
    options(command, out);
    let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    if !after.is_empty() {
        let lines: Vec<&str> = after.lines().collect();
        writeln!(
            out,
            "<!-- not run: tests/cli.rs runs the examples of the help -->\n```text\n{}\n```\n",
            lines.join("\n")
        )
        .unwrap();
    }
    for below in command.get_subcommands().filter(|below| !below.is_hide_set() && below.get_name() != "help") {
        describe(below, &format!("{name} {}", below.get_name()), out);
    }
}

#[test]
fn the_page_of_commands_is_made_from_their_help() {
    let mut program = Vigie::command();
    program.build();
    let mut out = String::from(
        "# Commands\n\nThis page is made from the program's help; `vigie COMMAND --help` prints the same. What each may be given beside its \
         own: a command that reads finds socket and state as [What to do when](operations.md#which-daemon-which-journal) says. \
         `vigie web` and `vigie notify` are programs of their own: [the page](web.md), [the gateway](gateway.md), \
         [notifications](notify.md).\n\n",
    );
    let shown = || program.get_subcommands().filter(|command| !command.is_hide_set() && command.get_name() != "help");
    out += "| command | what |\n| --- | --- |\n";
    for command in shown() {
        let (name, about) = (command.get_name(), command.get_about().map(ToString::to_string).unwrap_or_default());
        writeln!(out, "| [`{name}`](#vigie-{name}) | {} |", cell(&about)).unwrap();
    }
    out += "\n";
    let codes = program.get_after_help().map(ToString::to_string).unwrap_or_default();
    out += "## Exit codes\n\n| code | meaning |\n| --- | --- |\n";
    for line in codes.lines().filter(|line| line.starts_with("  ")) {
        let (code, meaning) = line.trim().split_once(' ').unwrap();
        writeln!(out, "| {code} | {} |", cell(meaning)).unwrap();
    }
    let last = codes.lines().last().unwrap();
    assert!(last.contains("--check"), "{last}");
    writeln!(out, "\n{last}\n").unwrap();
    shown().for_each(|command| describe(command, &format!("vigie {}", command.get_name()), &mut out));
    is_current("docs/commands.md", &(out.trim_end().to_owned() + "\n"));
}

/// A key of the built-in file: its name, its default, what the comment above says.
struct Entry {
    key: String,
    value: String,
    comment: String,
}

/// The sections of the built-in file: name, what stands above it, keys.
fn sections() -> Vec<(String, String, Vec<Entry>)> {
    let mut sections: Vec<(String, String, Vec<Entry>)> = Vec::new();
    let mut comment = String::new();
    for line in BUILTIN.lines() {
        if let Some(text) = line.strip_prefix('#') {
            comment += text;
        } else if let Some(name) = line.strip_prefix('[') {
            sections.push((name.trim_end_matches(']').to_owned(), cell(&std::mem::take(&mut comment)), Vec::new()));
        } else if let Some((key, value)) = line.split_once(" = ") {
            let entry =
                Entry { key: key.to_owned(), value: value.to_owned(), comment: cell(&std::mem::take(&mut comment)) };
            sections.last_mut().expect("a key before the first section").2.push(entry);
        } else {
            comment.clear();
        }
    }
    sections
}

/// A comment apart: what it is, its unit, what is allowed, what raising it does.
fn apart(comment: &str) -> [String; 4] {
    let end = |text: &str| text.trim().trim_end_matches('.').to_owned();
    let (rest, effect) = comment
        .split_once("Raising it: ")
        .map(|(rest, raising)| (rest, format!("raising it: {raising}")))
        .or_else(|| comment.split_once("Effect: ").map(|(rest, effect)| (rest, effect.to_owned())))
        .unwrap_or((comment, String::new()));
    let (rest, allowed) = rest.split_once("Allowed: ").unwrap_or((rest, ""));
    let (what, unit) = rest.split_once("Unit: ").unwrap_or((rest, ""));
    [end(what), end(unit), end(allowed), end(&effect)]
}

#[test]
fn the_page_of_keys_is_made_from_the_built_in_configuration() {
    let mut out = String::from(
        "# Every key of the configuration\n\nThis page is made from [config.toml](../config.toml), which is compiled in. \
         [Configuration](config.md) says how a file of your own differs from it.\n\n",
    );
    let mut keys = BTreeSet::new();
    for (name, comment, entries) in sections() {
        writeln!(out, "## {name}\n").unwrap();
        if !comment.is_empty() {
            writeln!(out, "{}\n", comment.replace('<', "&lt;")).unwrap();
        }
        out += "| key | default | unit | allowed | what it is, and what follows |\n| --- | --- | --- | --- | --- |\n";
        for Entry { key, value, comment } in entries {
            let [what, unit, allowed, effect] = apart(&comment);
            let effect = if effect.is_empty() { String::new() } else { format!("; {effect}") };
            let value = value.replace('|', "\\|");
            writeln!(out, "| `{key}` | `{value}` | {unit} | {allowed} | {what}{effect} |").unwrap();
            keys.insert(format!("{name}.{key}"));
        }
        out += "\n";
    }
    let known: BTreeSet<String> = Config::builtin().unwrap().entries().into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, known, "a key that the program does not read, or one that the file does not have");
    is_current("docs/configuration.md", &(out.trim_end().to_owned() + "\n"));
}

/// The tables of a page with this head: the text before each, and its rows.
fn tables(page: &str, head: &str) -> Vec<(String, Vec<Vec<String>>)> {
    let text = read(page);
    let mark = format!("\n{head}");
    let starts = text.match_indices(&mark).map(|(at, _)| at + 1);
    let cells = |line: &str| line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect();
    starts
        .map(|at| {
            let rows = text[at..].lines().skip(2).take_while(|line| line.starts_with('|')).map(cells).collect();
            (text[..at].to_owned(), rows)
        })
        .collect()
}

fn bare(cell: &str) -> String {
    cell.trim_matches('`').to_owned()
}

#[test]
fn every_default_in_a_table_is_that_of_the_program() {
    let known: BTreeMap<String, String> = Config::builtin().unwrap().entries().into_iter().collect();
    let pages =
        fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut seen = 0;
    for page in pages.filter(|page| page.ends_with(".md")) {
        for (before, rows) in tables(&format!("docs/{page}"), "| key | default |") {
            // a table of bare keys is of the section that was named last
            let section =
                before.rsplit_once("Section `[").and_then(|(_, rest)| rest.split(']').next()).unwrap_or_default();
            let heading = before.rsplit_once("\n## ").and_then(|(_, rest)| rest.lines().next()).unwrap_or_default();
            for row in rows {
                let key = bare(&row[0]);
                let names = [key.clone(), format!("{section}.{key}"), format!("{heading}.{key}")];
                let Some(value) = names.iter().find_map(|name| known.get(name)) else {
                    panic!("docs/{page}: there is no key {key:?}")
                };
                let said = bare(&row[1]).replace("\\|", "|");
                let number = |text: &str| text.replace([',', '_'], "").parse::<f64>().ok();
                let same = said == *value || (number(&said).is_some() && number(&said) == number(value));
                assert!(same, "docs/{page}: {key} is {value}, and not {said}");
                seen += 1;
            }
        }
    }
    assert!(seen > 200, "{seen}");
}

#[test]
fn every_step_of_a_version_stands_in_the_table() {
    use Transition::*;
    let all = [
        Validate,
        Reject,
        Revalidate,
        Stage,
        StartTest,
        Promote,
        ArchiveValidated,
        ArchiveStaging,
        ArchiveTest,
        ArchiveProduction,
        RollBack,
        RollBackTest,
        Reinstate,
    ];
    // a new step has a place here
    for step in all {
        match step {
            Validate | Reject | Revalidate | Stage | StartTest | Promote | ArchiveValidated | ArchiveStaging
            | ArchiveTest | ArchiveProduction | RollBack | RollBackTest | Reinstate => {}
        }
    }
    let known: BTreeSet<(String, String)> =
        all.iter().map(|step| step.edge()).map(|(from, to)| (from.to_string(), to.to_string())).collect();
    let [(_, rows)] = <[_; 1]>::try_from(tables("docs/version-life.md", "| from | to |")).unwrap();
    let told: BTreeSet<(String, String)> = rows.iter().map(|row| (bare(&row[0]), bare(&row[1]))).collect();
    assert_eq!(told, known);
    let diagram = read("docs/version-life.md");
    let diagram = diagram.split("```").nth(1).unwrap();
    for state in [State::Trained, State::Validated, State::Staging, State::AbTest, State::Production] {
        assert!(diagram.contains(&state.to_string()), "{state}");
    }
}

#[test]
fn every_reason_says_what_it_asks_of_the_trader_and_what_ends_it() {
    let known: BTreeSet<String> = Reason::ALL.iter().map(|reason| reason.name().to_owned()).collect();
    let names = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let [(_, rows)] = <[_; 1]>::try_from(tables("docs/trader.md", "| reason | what you do |")).unwrap();
    let told: BTreeSet<String> = rows.iter().flat_map(|row| names(&row[0])).collect();
    assert_eq!(told, known);
    let [(_, rows)] = <[_; 1]>::try_from(tables("docs/silence.md", "| level | silences |")).unwrap();
    let silent: BTreeSet<String> =
        rows.iter().flat_map(|row| names(&row[2])).filter(|name| *name != "baseline").collect();
    let speaks = ["production", "unreachable"].map(str::to_owned);
    assert_eq!(silent, known.iter().filter(|name| !speaks.contains(name)).cloned().collect());
}

#[test]
fn every_feature_stands_in_the_table_with_its_range() {
    let [(_, rows)] = <[_; 1]>::try_from(tables("docs/features.md", "| feature | formula |")).unwrap();
    let told: Vec<(String, String)> = rows.iter().map(|row| (bare(&row[0]), row[2].clone())).collect();
    let known: Vec<(String, String)> =
        Feature::ALL.iter().map(|feature| (feature.name().to_owned(), format!("{} to 1", feature.lowest()))).collect();
    assert_eq!(told, known);
}

#[test]
fn the_sizes_in_the_table_are_those_of_the_rules() {
    let [(_, rows)] = <[_; 1]>::try_from(tables("docs/sizing.md", "| rule | size at score p |")).unwrap();
    let rules = [SizingRule::Unit, SizingRule::Bet, SizingRule::Kelly];
    assert_eq!(rows.len(), rules.len());
    for (row, rule) in rows.iter().zip(rules) {
        assert_eq!(bare(&row[0]), rule.name());
        let sizing = Sizing { rule, min: 0.0, max: 1.0, kelly_fraction: 0.5 };
        for (told, p) in row[2..].iter().zip([0.5, 0.55, 0.6, 0.7, 0.8]) {
            let size = sizing.size(Probability::new(p).unwrap());
            let told: f64 = told.parse().unwrap();
            assert!((size - told).abs() < 5e-4, "{} at {p}: {size}, and not {told}", rule.name());
        }
    }
}

#[test]
fn every_check_of_the_gate_stands_in_the_table_and_the_hard_ones_are_marked() {
    let code = read("core/src/validation/part.rs");
    let shown = code.split("impl fmt::Display for Part").nth(1).unwrap();
    let words: BTreeMap<&str, &str> = shown
        .split("Self::")
        .skip(1)
        .filter_map(|part| part.split_once(" => \"").map(|(name, rest)| (name, rest.split('"').next().unwrap())))
        .collect();
    assert!(words.len() > 20, "{words:?}");
    let area = code.split("fn area(self)").nth(1).unwrap().split("impl fmt").next().unwrap();
    let is_hard = |name: &str| {
        let mark = format!("Self::{name}");
        let behind = area.split(&mark).skip(1).find(|behind| !behind.starts_with(char::is_alphanumeric)).unwrap();
        behind.split_once("=> (").unwrap().1.split_once(')').unwrap().0.ends_with("true")
    };
    let [(_, rows)] = <[_; 1]>::try_from(tables("docs/gate.md", "| check | asks | hard |")).unwrap();
    let told: BTreeMap<&str, bool> = rows
        .iter()
        .flat_map(|row| {
            let hard = row[2] == "yes";
            let names: Vec<&str> =
                if words.values().any(|word| *word == row[0]) { vec![&*row[0]] } else { row[0].split(", ").collect() };
            names.into_iter().map(move |name| (name, hard))
        })
        .collect();
    let known: BTreeMap<&str, bool> = words
        .iter()
        .filter(|(name, _)| **name != "DeflatedSharpe") // in reports of older versions only
        .map(|(name, word)| (*word, is_hard(name)))
        .collect();
    assert_eq!(told, known);
}
