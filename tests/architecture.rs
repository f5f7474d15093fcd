//! The rules of the code's own shape: who may use whom, where each heavy crate lives, and that the map names what exists.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use vigie::actors::supervision::Place;

/// Modules from this one on may read clocks and files; those before it are functions of values.
const FIRST_IMPURE: &str = "clock";
/// What the pure modules may not name.
const IMPURE: [&str; 10] = [
    "std::time",
    "std::fs",
    "std::net",
    "std::thread",
    "std::process",
    "std::env",
    "tokio",
    "actix",
    "redb",
    "tracing",
];
/// Crates whose work are clocks, files, sockets, threads, processes, terminals or logs.
const ACTING: [&str; 16] = [
    "actix",
    "tokio",
    "arc-swap",
    "futures-util",
    "redb",
    "signal-hook",
    "signal-hook-tokio",
    "sd-notify",
    "nix",
    "rustix",
    "tracing",
    "tracing-subscriber",
    "clap",
    "indicatif",
    "axum",
    "hyper",
];
/// Where each heavy crate may be named: modules, or single files.
const HOMES: [(&str, &[&str]); 14] = [
    ("statrs", &["stats"]),
    ("smartcore", &["models"]),
    ("ndarray", &["models", "validation"]),
    ("pulp", &["models/blocks.rs"]),
    ("redb", &["journal"]),
    ("lz4_flex", &["journal"]),
    // the configuration, and the maps of other programs' files
    ("toml", &["config", "commands/import/map.rs"]),
    ("csv", &["commands/import/sheet.rs"]),
    ("hdrhistogram", &["actors/scorer.rs"]),
    ("clap", &["commands", "main.rs"]),
    ("actix", &["actors", "commands/run.rs"]),
    ("parquet", &["table"]),
    // a child limits itself, a screen is a terminal, the monitor, the keeper of checkpoints, the archivist and the schedule stand back
    (
        "rustix",
        &[
            "commands/mod.rs",
            "commands/work.rs",
            "actors/monitor.rs",
            "actors/archivist.rs",
            "actors/daemon/apart.rs",
            "actors/keeper.rs",
            "actors/supervision/scans.rs",
            "commands/top/screen.rs",
        ],
    ),
    // the journal asks who owns its file, the demonstration stops its daemon
    ("nix", &["protocol", "journal", "commands/demo/child.rs"]),
];
/// All that what takes a model down may use: nothing that gives a model influence reaches in there.
const GUARD_USES: [&str; 4] = ["guard", "domain", "stats", "models"];
const MOST_LINES: usize = 420;
/// Lines that a newcomer reads in one sitting.
const MOST_LINES_OF_THE_MAP: usize = 250;

/// What begins something whose panic nobody would hear of.
const BEGINNINGS: [&str; 6] =
    ["actix::spawn(", "tokio::spawn(", "spawn_local(", "spawn_blocking(", "thread::Builder::new(", "run_later("];
/// The files of the actors and of the protocol that do so, how often, and what becomes of a panic there.
const BEGUN: [(&str, usize, &str); 22] = [
    ("actors/supervision.rs", 2, "it is what catches"),
    ("actors/supervision/scans.rs", 2, "what is begun there is caught"),
    ("actors/supervision/door.rs", 1, "it is what catches"),
    ("actors/supervision/shell.rs", 1, "it begins a making, which is caught"),
    ("actors/gateway.rs", 1, "a recording is caught, so that it is answered"),
    ("actors/subscriber.rs", 1, "the telling is caught, so that there is a last word"),
    ("actors/daemon.rs", 2, "the server is caught and ends the daemon; the rounds are caught one by one"),
    ("actors/daemon/parts.rs", 1, "each attempt to tell of a lock is caught"),
    ("actors/daemon/jobs.rs", 2, "each job is caught, on the thread and on the serving thread"),
    ("actors/daemon/apart.rs", 1, "the work of the thread is caught, and a run that is dropped has failed"),
    ("actors/daemon/begin.rs", 3, "a start that panics is none"),
    ("actors/journal.rs", 1, "each turn of the thread is caught"),
    ("actors/monitor.rs", 1, "each message and tick is caught"),
    ("actors/archivist.rs", 1, "the work of the thread is caught"),
    ("actors/keeper.rs", 2, "each look is caught; the last one fails alone"),
    ("actors/trainer.rs", 1, "the work of the thread is caught"),
    ("actors/ticker.rs", 1, "each look is caught"),
    ("actors/child.rs", 1, "a child that is not attended to counts as one that crashed"),
    ("protocol/server.rs", 1, "each connection is caught"),
    ("protocol/lookup.rs", 1, "each lookup is caught"),
    ("protocol/peer.rs", 1, "a panic goes on where the lookup is caught"),
    ("protocol/admission.rs", 1, "who is turned away was told why before"),
];

/// What only one file of the tests does for all of them, if any, and what the others do instead.
const ONCE: [(&str, &str, &str); 9] = [
    ("sleep(", "common/wait.rs", "wait for a condition with until()"),
    ("yield_now(", "", "wait for a condition with until()"),
    ("\"VIGIE_LONG\"", "common/long.rs", "ask long::cases()"),
    ("\"VIGIE_DATA\"", "common/real.rs", "ask real::data()"),
    ("dead_code", "common/mod.rs", "share it in a file of its own"),
    ("rand::rng(", "", "give a seed"),
    ("thread_rng", "", "give a seed"),
    ("os_rng", "", "give a seed"),
    ("TestRunner::default(", "", "give a seed"),
];
/// How a test ends early.
const RETURNS: [&str; 4] = ["return;", "return }", "return println!", "return eprintln!"];
/// What marks a test that ends early as skipped.
const SKIPS: [&str; 4] = ["skipped(", " data() ", "real::data() ", " certificate("];

/// Each file of the program, of `core` and of `demo` by its path below `src`, as if all were one crate: the simulated market
/// is the module `sim`.
fn sources() -> BTreeMap<String, String> {
    let mut found = files("src");
    found.extend(files("core/src").into_iter().filter(|(file, _)| file != "lib.rs"));
    for (file, text) in files("demo/src") {
        let file = if file == "lib.rs" { "sim/mod.rs".to_owned() } else { format!("sim/{file}") };
        found.insert(file, text.replace("crate::", "crate::sim::").replace("vigie_core::", "crate::"));
    }
    found
}

/// Where a file of [`sources`] is in the project.
fn path_of(file: &str) -> String {
    let module = module_of(file);
    if let Some(part) = file.strip_prefix("sim/") {
        format!("demo/src/{}", if part == "mod.rs" { "lib.rs" } else { part })
    } else if modules_of("core/src/lib.rs").iter().any(|known| known == module) {
        format!("core/src/{file}")
    } else {
        format!("src/{file}")
    }
}

/// Each file of a folder by its path in there.
fn files(folder: &str) -> BTreeMap<String, String> {
    fn collect(folder: &Path, root: &Path, found: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, root, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                found.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    let (root, mut found) = (root().join(folder), BTreeMap::new());
    collect(&root, &root, &mut found);
    // the notifications have few tests
    let least = if folder == "notify/tests" { 5 } else { 10 };
    assert!(found.len() > least, "{} files found in {}", found.len(), root.display());
    found
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The modules that a file declares.
fn modules_of(file: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(file)).unwrap();
    let declared = text.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    declared.map(str::to_owned).collect()
}

/// All modules, lowest first.
fn order() -> Vec<String> {
    [modules_of("core/src/lib.rs"), vec!["sim".to_owned()], modules_of("src/lib.rs")].concat()
}

fn module_of(file: &str) -> &str {
    file.split('/').next().unwrap().trim_end_matches(".rs")
}

/// The code without its comments and without its unit tests, which stand at the end.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    text.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n")
}

/// The first two parts of each path in `code` that begins with `root`: `root::next`, those in braces too.
fn paths(code: &str, root: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices(&format!("{root}::")) {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
            continue;
        }
        let rest = &code[at + root.len() + 2..];
        match rest.strip_prefix('{') {
            Some(list) => found.extend(items(list).iter().map(|item| format!("{root}::{}", word(item)))),
            None => found.push(format!("{root}::{}", word(rest))),
        }
    }
    found
}

/// The parts between the commas of a list whose opening brace was just read.
fn items(list: &str) -> Vec<&str> {
    let (mut depth, mut start, mut found) = (0, 0, Vec::new());
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                found.push(list[start..at].trim());
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                found.push(list[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    found.retain(|item| !item.is_empty());
    found
}

fn word(text: &str) -> &str {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap()
}

/// Whether `code` names a crate, or a module of one, as the start of a path.
fn names(code: &str, wanted: &str) -> bool {
    match wanted.split_once("::") {
        Some((root, _)) => paths(code, root).iter().any(|path| path == wanted),
        None => !paths(code, wanted).is_empty(),
    }
}

fn wrong_directions(file: &str, text: &str, order: &[String]) -> Vec<String> {
    let rank = |module: &str| order.iter().position(|known| known == module);
    let Some(own) = rank(module_of(file)) else { return Vec::new() };
    let used = paths(&code(text), "crate");
    let upwards = used.iter().filter(|path| rank(path.trim_start_matches("crate::")).is_none_or(|used| used > own));
    upwards.map(|path| format!("{} uses {path}, which does not stand before it in lib.rs", path_of(file))).collect()
}

fn impurities(file: &str, text: &str, order: &[String]) -> Vec<String> {
    let bar = order.iter().position(|module| module == FIRST_IMPURE).expect("the bar is in lib.rs");
    if !order[..bar].iter().any(|module| module == module_of(file)) {
        return Vec::new();
    }
    let code = code(text);
    IMPURE
        .iter()
        .filter(|wanted| names(&code, wanted))
        .map(|name| format!("{} is pure and names {name}", path_of(file)))
        .collect()
}

fn strays(file: &str, text: &str) -> Vec<String> {
    let code = code(text);
    let away = |homes: &[&str]| !homes.iter().any(|home| file == *home || module_of(file) == *home);
    let stray = HOMES.iter().filter(|(name, homes)| away(homes) && names(&code, name));
    stray.map(|(name, homes)| format!("{} names {name}, whose home is {homes:?}", path_of(file))).collect()
}

/// What a file of the tests, or the unit tests of a file of `src`, does that a test must not do.
fn faults_of_tests(file: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let elsewhere = ONCE.iter().filter(|(what, home, _)| file != *home && code_of_tests(text).contains(what));
    faults.extend(elsewhere.map(|(what, _, instead)| format!("{file} has {what}: {instead}")));
    for block in text.split("proptest! {").skip(1) {
        let config = block.split("#[test]").next().unwrap();
        if !(config.contains("RngSeed::Fixed(") || config.contains("seeded(")) {
            faults.push(format!("{file}: a proptest without a fixed seed"));
        }
    }
    if text.contains("TestRunner::new(") && !text.contains("RngSeed::Fixed(") {
        faults.push(format!("{file}: a TestRunner without a fixed seed"));
    }
    for test in text.split("\n#[test]\n").skip(1) {
        let body = test.split("\n}\n").next().unwrap().lines();
        // not those of closures, which stand deeper
        let early = body.filter(|line| !line.starts_with("         ") && RETURNS.iter().any(|how| line.contains(how)));
        let unsaid = early.filter(|line| !SKIPS.iter().any(|skip| line.contains(skip)));
        faults.extend(unsaid.map(|line| format!("{file}: a test that ends early without skipped(): {}", line.trim())));
    }
    faults
}

/// The code without its comments.
fn code_of_tests(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n")
}

fn assert_none(violations: Vec<String>) {
    assert!(violations.is_empty(), "\n{}", violations.join("\n"));
}

#[test]
fn modules_use_only_what_stands_before_them() {
    let sources = sources();
    let order = order();
    assert!(order.len() >= 12 && order[0] == "domain", "{order:?}");
    assert_none(sources.iter().flat_map(|(file, text)| wrong_directions(file, text, &order)).collect());
}

/// Circles of files within a room that are known, each with its files in order. A new one is opened, not added.
const CIRCLES: [&[&str]; 2] = [
    &[
        "journal::batch",
        "journal::naming",
        "journal::reader",
        "journal::source",
        "journal::store",
        "journal::stream",
        "journal::takeover",
    ],
    &[
        "journal::codec",
        "journal::dictionaries",
        "journal::error",
        "journal::file",
        "journal::header",
        "journal::older",
        "journal::record",
        "journal::schema",
        "journal::seal",
    ],
];

/// Files, as the paths of their modules, and which items each of them names.
struct Files {
    /// The code of each.
    texts: BTreeMap<Vec<String>, String>,
    /// What stands under another name by `pub use`.
    exports: BTreeMap<Vec<String>, Vec<String>>,
}

impl Files {
    fn of(sources: &BTreeMap<String, String>) -> Self {
        let split = |file: &str| {
            let mut parts: Vec<String> = file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
            if parts.last().is_some_and(|last| last == "mod" || last == "lib") {
                parts.pop();
            }
            parts
        };
        let sources = sources.iter().filter(|(file, _)| *file != "main.rs");
        let texts: BTreeMap<_, _> = sources.map(|(file, text)| (split(file), code(text))).collect();
        let mut files = Self { texts, exports: BTreeMap::new() };
        let mut exports = BTreeMap::new();
        for (module, text) in &files.texts {
            for (is_public, tree) in uses(text) {
                for (path, name) in leaves(tree).into_iter().filter(|_| is_public) {
                    if let Some(item) = files.resolve(module, &path) {
                        exports.insert([module.clone(), vec![name]].concat(), item);
                    }
                }
            }
        }
        files.exports = exports;
        files
    }

    /// The item that `path` is in `module`, from the root of the library; `None` for one of another crate.
    fn resolve(&self, module: &[String], path: &[String]) -> Option<Vec<String>> {
        let (first, mut rest) = path.split_first()?;
        let mut at = module.to_vec();
        match &**first {
            "crate" => at.clear(),
            "self" => {}
            "super" => drop(at.pop()),
            child if self.texts.contains_key(&[module, &[child.to_owned()]].concat()) => rest = path,
            _ => return None,
        }
        while rest.first().is_some_and(|part| part == "super") {
            at.pop();
            rest = &rest[1..];
        }
        at.extend(rest.iter().filter(|part| *part != "self").cloned());
        Some(at)
    }

    /// The file in which an item stands.
    fn home(&self, item: &[String]) -> Vec<String> {
        let mut item = item.to_vec();
        for _ in 0..8 {
            let known = (1..=item.len()).rev().find(|n| self.texts.contains_key(&item[..*n])).unwrap_or(0);
            let Some(next) = item.get(..known + 1).and_then(|head| self.exports.get(head)) else {
                item.truncate(known);
                return item;
            };
            item = [next.clone(), item[known + 1..].to_vec()].concat();
        }
        panic!("a circle of re-exports: {item:?}")
    }

    /// The files that `module` names something of.
    fn named_by(&self, module: &[String]) -> Vec<Vec<String>> {
        let text = &self.texts[module];
        let mut paths: Vec<Vec<String>> = Vec::new();
        for (is_public, tree) in uses(text) {
            paths.extend(leaves(tree).into_iter().filter(|_| !is_public).map(|(path, _)| path));
        }
        let own = self.texts.keys().filter(|other| other.len() == module.len() + 1 && other.starts_with(module));
        let roots =
            ["crate", "super", "self"].map(str::to_owned).into_iter().chain(own.map(|own| own[own.len() - 1].clone()));
        for root in roots {
            for (at, _) in text.match_indices(&format!("{root}::")) {
                let before = text[..at].chars().next_back();
                if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                    continue;
                }
                let path = text[at..].split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').next().unwrap();
                paths.push(path.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect());
            }
        }
        paths.iter().filter_map(|path| self.resolve(module, path)).map(|item| self.home(&item)).collect()
    }

    /// The circles of units that stand beside each other in a folder. A file and the folder of its parts are one unit, and
    /// a part may name what the file above it holds.
    fn circles(&self) -> Vec<Vec<String>> {
        let mut uses: BTreeMap<Vec<String>, BTreeSet<Vec<String>>> = BTreeMap::new();
        for module in self.texts.keys() {
            for other in self.named_by(module) {
                let shared = module.iter().zip(&other).take_while(|(a, b)| a == b).count();
                // beside each other below a room: neither is above the other
                if shared > 0 && shared < module.len() && shared < other.len() {
                    uses.entry(module[..=shared].to_vec()).or_default().insert(other[..=shared].to_vec());
                }
            }
        }
        let reaches = |from: &Vec<String>| {
            let (mut found, mut next) = (BTreeSet::new(), vec![from.clone()]);
            while let Some(unit) = next.pop() {
                for other in uses.get(&unit).into_iter().flatten() {
                    if found.insert(other.clone()) {
                        next.push(other.clone());
                    }
                }
            }
            found
        };
        let reached: BTreeMap<_, _> = uses.keys().map(|unit| (unit.clone(), reaches(unit))).collect();
        let circle = |unit: &Vec<String>| -> Vec<String> {
            let back = |other: &&Vec<String>| reached.get(*other).is_some_and(|reached| reached.contains(unit));
            reached[unit].iter().filter(back).map(|other| other.join("::")).collect()
        };
        let found: BTreeSet<Vec<String>> = uses.keys().map(circle).filter(|circle| circle.len() > 1).collect();
        found.into_iter().collect()
    }
}

/// Each `use` of a text: whether it is a re-export, and its tree.
fn uses(text: &str) -> Vec<(bool, &str)> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("use ") {
        let line = text[..at].rsplit('\n').next().unwrap().trim();
        if line.is_empty() || (line.starts_with("pub") && !line.contains(' ')) || line.starts_with("pub(in ") {
            found.push((!line.is_empty(), text[at + 4..].split(';').next().unwrap().trim()));
        }
    }
    found
}

/// The paths of a tree of `use`, each with the name under which it is known.
fn leaves(tree: &str) -> Vec<(Vec<String>, String)> {
    let Some((head, list)) = tree.split_once('{') else {
        let (path, alias) = tree.split_once(" as ").map_or((tree, None), |(path, alias)| (path, Some(alias)));
        let path: Vec<String> = path.split("::").map(|part| part.trim().to_owned()).collect();
        let name = path.iter().rev().find(|part| *part != "self").unwrap().clone();
        return vec![(path, alias.map_or(name, |alias| alias.trim().to_owned()))];
    };
    items(list).iter().flat_map(|item| leaves(&format!("{head}{item}"))).collect()
}

#[test]
fn what_takes_a_model_down_needs_nothing_that_gives_it_influence() {
    let sources = sources();
    let of_guard: Vec<_> = sources.iter().filter(|(file, _)| module_of(file) == "guard").collect();
    assert!(of_guard.len() > 10, "{} files", of_guard.len());
    let used =
        of_guard.iter().flat_map(|(file, text)| paths(&code(text), "crate").into_iter().map(move |path| (file, path)));
    let strange = used.filter(|(_, path)| !GUARD_USES.contains(&path.trim_start_matches("crate::")));
    assert_none(strange.map(|(file, path)| format!("{} uses {path}", path_of(file))).collect());
}

#[test]
fn files_of_a_room_use_each_other_one_way() {
    let found = Files::of(&sources()).circles();
    let known: BTreeSet<Vec<String>> =
        CIRCLES.iter().map(|circle| circle.iter().map(|file| (*file).to_owned()).collect()).collect();
    let new = found.iter().filter(|circle| !known.contains(*circle)).map(|circle| format!("a circle: {circle:?}"));
    let open = known.iter().filter(|circle| !found.contains(circle)).map(|circle| format!("open by now: {circle:?}"));
    assert_none(new.chain(open).collect());
}

#[test]
fn planted_circles_of_files_are_found() {
    let circles = |texts: &[(&str, &str)]| {
        let sources = texts.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect();
        Files::of(&sources).circles()
    };
    let pair = vec![vec!["a::b".to_owned(), "a::c".to_owned()]];
    assert_eq!(circles(&[("a/b.rs", "use super::c::X;"), ("a/c.rs", "use crate::a::{b, d};")]), pair);
    assert_eq!(
        circles(&[
            ("a/b.rs", "fn f() { super::c::g() }"),
            ("a/c/d.rs", "use crate::a::b::{self, X as Y};"),
            ("a/c.rs", "")
        ]),
        pair
    );
    // through a re-export of the file above
    let above = ("a/mod.rs", "pub mod b;\nmod c;\npub use self::c::X;");
    assert_eq!(circles(&[above, ("a/b.rs", "use super::X;"), ("a/c.rs", "use super::b;")]), pair);
    // a part and the file above it, one way, another crate
    let one_way: [&[(&str, &str)]; 3] = [
        &[("a/b.rs", "mod c;\nuse c::X;"), ("a/b/c.rs", "use super::Y;")],
        &[("a/b.rs", "use super::c;"), ("a/c.rs", "use super::d;"), ("a/d.rs", "")],
        &[("a/b.rs", "use c::X;"), ("a/c.rs", "use super::b;")],
    ];
    for texts in one_way {
        assert_eq!(circles(texts), Vec::<Vec<String>>::new(), "{texts:?}");
    }
}

#[test]
fn the_core_reads_no_clock_no_file_and_knows_no_actor() {
    let sources = sources();
    let order = order();
    assert_none(sources.iter().flat_map(|(file, text)| impurities(file, text, &order)).collect());
}

#[test]
fn the_crates_that_decide_and_simulate_depend_on_none_that_acts() {
    for (crate_of, wanted) in [("core", "smartcore"), ("demo", "vigie-core")] {
        let manifest = fs::read_to_string(root().join(crate_of).join("Cargo.toml")).unwrap();
        let depends = manifest.split("[dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
        let names: Vec<&str> = depends.lines().filter_map(|line| line.split(['.', ' ']).next()).collect();
        assert!(names.contains(&wanted), "{names:?}");
        let acting = names.iter().filter(|name| ACTING.contains(name));
        assert_none(acting.map(|name| format!("{crate_of} depends on {name}")).collect());
    }
}

#[test]
fn nothing_is_begun_and_no_message_handled_but_where_a_panic_is_counted() {
    let sources = sources();
    let mut wrong = Vec::new();
    let mut used = BTreeSet::new();
    for (file, text) in sources.iter().filter(|(file, _)| file.starts_with("actors/") || file.starts_with("protocol/"))
    {
        let code = code(text);
        let begun = BEGINNINGS.iter().map(|what| code.matches(what).count()).sum::<usize>();
        let known = BEGUN.iter().find(|(known, ..)| known == file).map_or(0, |(_, known, _)| *known);
        if begun != known {
            wrong.push(format!("{} begins {begun} things where a panic may be lost, {known} are known", path_of(file)));
        }
        for handler in code.split("\nimpl Handler<").skip(1) {
            let body = handler.split("\n}\n").next().unwrap();
            let is_caught =
                ["handle_with(", "answer_with(", "self.renew(", "self.fail("].iter().any(|how| body.contains(how));
            if body.contains(" for Shell<") && !is_caught {
                wrong.push(format!("{} handles {} without catching", path_of(file), body.lines().next().unwrap()));
            }
        }
        used.extend(words_after(&code, "Place::").chain(words_after(&code, "At::")).map(str::to_owned));
    }
    for place in Place::all().map(|place| format!("{place:?}")).filter(|place| !used.contains(place)) {
        wrong.push(format!("nothing happens at {place}"));
    }
    assert_none(wrong);
}

/// The word behind each `mark`.
fn words_after<'a>(code: &'a str, mark: &'a str) -> impl Iterator<Item = &'a str> {
    code.split(mark).skip(1).map(word)
}

#[test]
fn every_heavy_crate_has_one_home() {
    let sources = sources();
    assert_none(sources.iter().flat_map(|(file, text)| strays(file, text)).collect());
    for (name, homes) in HOMES {
        let used = sources.iter().any(|(_, text)| names(&code(text), name));
        assert!(used, "{name} is used nowhere; its home {homes:?} may be forgotten");
    }
}

#[test]
fn what_is_printed_for_people_passes_the_place_that_makes_it_harmless() {
    let prints = ["println!(", "print!(", "dbg!("];
    let others = sources().into_iter().filter(|(file, _)| file != "commands/terminal.rs");
    let found = others.filter(|(_, text)| prints.iter().any(|print| code(text).contains(print)));
    assert_none(found.map(|(file, _)| format!("{file} prints past commands/terminal.rs")).collect());
}

#[test]
fn planted_violations_are_found() {
    let order: Vec<String> = ["domain", "stats", "clock", "actors"].map(str::to_owned).into();
    let directions = [
        ("domain/id.rs", "use crate::stats::normal;", 1),
        ("domain/id.rs", "use crate::{domain::time, stats::{self, normal}, clock};", 2),
        ("stats/logit.rs", "fn f() -> crate::actors::Gateway {}", 1),
        ("stats/logit.rs", "use crate::nowhere::X;", 1),
        ("stats/logit.rs", "use crate::{domain::{Probability, clock}, stats::x};", 0),
        (
            "stats/logit.rs",
            "// see crate::actors\nuse crate::domain::X;\n#[cfg(test)]\nmod tests { use crate::actors; }",
            0,
        ),
        ("main.rs", "use crate::actors;", 0),
    ];
    for (file, text, violations) in directions {
        assert_eq!(wrong_directions(file, text, &order).len(), violations, "{file}: {text}");
    }
    let impure = [
        ("domain/id.rs", "use std::{collections::BTreeMap, time::Duration};", 1),
        ("stats/logit.rs", "let t = std::time::Instant::now(); tracing::info!(); tokio::spawn(x);", 3),
        ("stats/logit.rs", "use std::collections::BTreeMap; use super::std_time; use my_tokio::x;", 0),
        ("actors/scorer.rs", "use std::time::Duration;", 0),
    ];
    for (file, text, violations) in impure {
        assert_eq!(impurities(file, text, &order).len(), violations, "{file}: {text}");
    }
    assert_eq!(strays("config/keys.rs", "use redb::Database; use toml::Value;").len(), 1);
    assert_eq!(strays("commands/score.rs", "fn f() { actix::System::new() }").len(), 1);
    assert_eq!(strays("commands/run.rs", "fn f() { actix::System::new() }").len(), 0);
}

#[test]
fn no_test_sleeps_draws_without_a_seed_or_ends_early_without_saying_so() {
    // this file names what it forbids
    let mut tests = files("tests");
    tests.remove("architecture.rs").unwrap();
    let of_units = sources().into_iter().filter_map(|(file, text)| {
        let tests = text.split_once("#[cfg(test)]\nmod tests")?.1.to_owned();
        // a spin there stands for a loop that is busy
        Some((path_of(&file), tests.replace("yield_now(", "")))
    });
    let of_others = ["web/tests", "notify/tests"].into_iter().flat_map(files);
    assert_none(
        tests
            .into_iter()
            .chain(of_units)
            .chain(of_others)
            .flat_map(|(file, text)| faults_of_tests(&file, &text))
            .collect(),
    );
}

#[test]
fn planted_faults_of_tests_are_found() {
    let test = |body: &str| format!("\n#[test]\nfn a() {{\n{body}\n}}\n");
    let found = [
        ("kill.rs", "thread::sleep(life);".to_owned(), 1),
        ("kill.rs", "// no sleep() here".to_owned(), 0),
        ("common/wait.rs", "thread::sleep(pause);".to_owned(), 0),
        ("demo.rs", "let long = std::env::var_os(\"VIGIE_LONG\").is_some();".to_owned(), 1),
        ("zoo.rs", "#[allow(dead_code, reason = \"shared\")]\nmod kinds;".to_owned(), 1),
        ("zoo.rs", "let x: f64 = rand::rng().random();".to_owned(), 1),
        ("zoo.rs", "proptest! {\n    #[test]\n    fn a(x in 0..3) {}\n}".to_owned(), 1),
        (
            "zoo.rs",
            "proptest! {\n    #![proptest_config(seeded(3))]\n    #[test]\n    fn a(x in 0..3) {}\n}".to_owned(),
            0,
        ),
        ("zoo.rs", "TestRunner::new(ProptestConfig::default())".to_owned(), 1),
        ("zoo.rs", test("    let Some(path) = std::env::var_os(CHILD) else { return };"), 1),
        ("zoo.rs", test("    if !long {\n        return println!(\"skipped\");\n    }"), 1),
        ("zoo.rs", test("    let Some(data) = data() else { return };"), 0),
        ("zoo.rs", test("    if !long {\n        return skipped(\"it takes long\");\n    }"), 0),
        ("zoo.rs", test("    run(|x| {\n        if x {\n            return 3;\n        }\n    });"), 0),
    ];
    for (file, text, faults) in found {
        assert_eq!(faults_of_tests(file, &text).len(), faults, "{file}: {text}");
    }
}

#[test]
fn every_file_says_why_it_is_there_and_none_is_too_long() {
    let mut violations = Vec::new();
    for (file, text) in sources() {
        if !text.starts_with("//! ") {
            violations.push(format!("{} does not begin with a line of //! that says why it exists", path_of(&file)));
        }
        let lines = text.lines().count();
        if lines > MOST_LINES {
            violations.push(format!(
                "{} has {lines} lines, at most {MOST_LINES} are meant: split it by idea",
                path_of(&file)
            ));
        }
    }
    assert_none(violations);
}

#[test]
fn no_lint_is_silenced_without_a_reason() {
    let mut violations = Vec::new();
    for (file, text) in sources() {
        for kind in ["#[allow(", "#![allow(", "#[expect(", "#![expect("] {
            for (at, _) in text.match_indices(kind) {
                let attribute = text[at..].split(")]").next().unwrap();
                if !attribute.contains("reason = ") {
                    violations.push(format!("{}: {attribute})]", path_of(&file)));
                }
            }
        }
    }
    assert_none(violations);
}

/// What stands between backquotes in a text.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn the_map_names_only_what_exists() {
    let read = |file: &str| fs::read_to_string(root().join(file)).unwrap();
    let map = read("ARCHITECTURE.md");
    let lines = map.lines().count();
    assert!(lines <= MOST_LINES_OF_THE_MAP, "ARCHITECTURE.md has {lines} lines; say it shorter or elsewhere");
    let map = map + &read("docs/invariants.md");
    let (mut violations, mut tests) = (Vec::new(), 0);
    for name in quoted(&map).filter(|name| {
        ["tests/", "src/", "core/", "demo/", "web/", "notify/"].iter().any(|folder| name.starts_with(folder))
    }) {
        let (file, test) = name.split_once("::").map_or((name, None), |(file, test)| (file, Some(test)));
        if file.contains('*') {
            continue;
        }
        if !root().join(file).exists() {
            violations.push(format!("there is no {file}"));
        } else if let Some(test) = test {
            tests += 1;
            let text = fs::read_to_string(root().join(file)).unwrap();
            let found = text
                .split_once(&format!("fn {test}("))
                .is_some_and(|(before, _)| before.trim_end().ends_with("#[test]"));
            if !found {
                violations.push(format!("there is no test {test} in {file}"));
            }
        }
    }
    assert_none(violations);
    assert!(tests > 20, "only {tests} tests are named");
}

#[test]
fn the_invariants_are_numbered_one_after_the_other() {
    let list = fs::read_to_string(root().join("docs/invariants.md")).unwrap();
    let numbers: Vec<usize> = list.lines().filter_map(|line| line.split_once(". ")?.0.parse().ok()).collect();
    assert!(numbers.len() > 20 && numbers.iter().copied().eq(1..=numbers.len()), "{numbers:?}");
}
