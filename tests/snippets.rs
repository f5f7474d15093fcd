//! Every block of code in the documents is run, and says what stands there (tests/common/snippets).
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;
#[path = "common/snippets/mod.rs"]
mod snippets;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use snippets::{
    block::{Item, items},
    compare,
    page::{self, Ran},
};
use vigie::clock::Stopwatch;

/// Set to anything, what a page says otherwise is written into it.
const WRITE: &str = "VIGIE_WRITE_DOCS";
/// Pages that are run at once.
const AT_ONCE: usize = 3;
/// Folders with pages; the project's own is one.
const FOLDERS: [&str; 7] = ["", "docs", "systemd", "examples", "clients/python", "clients/c", "clients/csharp"];
/// A record of the past, which is not held against the present.
const RECORDS: [&str; 1] = ["CHANGELOG.md"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(page: &str) -> String {
    fs::read_to_string(root().join(page)).unwrap_or_else(|error| panic!("{page}: {error}"))
}

/// All pages, by their path in the project.
fn pages() -> Vec<String> {
    let mut found = Vec::new();
    for folder in FOLDERS {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
            if name.ends_with(".md") && !RECORDS.contains(&&*name) {
                found.push(name);
            }
        }
    }
    found.sort();
    found
}

fn correct(page: &str, ran: &Ran) {
    let mut lines: Vec<String> = read(page).lines().map(str::to_owned).collect();
    for (from, count, new) in ran.corrections.iter().rev() {
        lines.splice(from - 1..from - 1 + count, new.iter().cloned());
    }
    fs::write(root().join(page), lines.join("\n") + "\n").unwrap();
}

#[test]
fn every_block_of_every_page_is_run_and_says_what_stands_there() {
    let only = std::env::var("VIGIE_PAGE").unwrap_or_default();
    let pages: Vec<String> = pages().into_iter().filter(|page| page.contains(&only)).collect();
    let (next, all) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(page) = pages.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let watch = Stopwatch::start();
                    let ran = page::run(page, &read(page));
                    let took = watch.elapsed();
                    if std::env::var_os(WRITE).is_some() {
                        correct(page, &ran);
                    }
                    all.lock().unwrap().push((page.clone(), ran, took));
                }
            });
        }
    });
    let mut all = all.into_inner().unwrap();
    all.sort_by(|one, other| one.2.cmp(&other.2).reverse());
    for (page, _, took) in all.iter().take(5) {
        println!("{:6.1} s {page}", took.as_secs_f64());
    }
    all.sort_by(|one, other| one.0.cmp(&other.0));
    let run: usize = all.iter().map(|(_, ran, _)| ran.run).sum();
    let not_run: Vec<&String> = all.iter().flat_map(|(_, ran, _)| &ran.not_run).collect();
    println!("{run} blocks of {} pages run, {} not run:", all.len(), not_run.len());
    not_run.iter().for_each(|why| println!("  {why}"));
    let wrong: Vec<&String> = all.iter().flat_map(|(_, ran, _)| &ran.wrong).collect();
    let wrong_text = wrong.iter().map(|wrong| wrong.as_str()).collect::<Vec<_>>().join("\n\n");
    assert!(wrong.is_empty(), "{} wrong; {WRITE}=yes writes what came into the pages\n\n{wrong_text}", wrong.len());
    assert!(!only.is_empty() || run > 60, "{run}");
}

#[test]
fn a_block_that_is_not_marked_is_refused_and_a_marked_one_says_why() {
    let refused = |text: &str| page::run("page.md", text).wrong;
    assert!(refused("```\nls\n```\n")[0].contains("is not run: say why"), "a block without a language");
    assert!(refused("```rust\nfn main() {}\n```\n")[0].contains("\"rust\" is not run"));
    assert!(refused("<!-- not run: -->\n```sh\nrm\n```\n")[0].contains("does not say why"));
    assert!(refused("```sh\nls\n")[0].contains("has no end"));
    assert!(refused("```console\n$ echo one\ntwo\n```\n")[0].contains("it is\none"));
    assert!(refused("```console\n$ false\n```\n")[0].contains("exit status: 1"), "a command that fails in silence");
    assert!(refused("```sh\nfalse\n```\n")[0].contains("exit status: 1"));
    assert!(refused("```python\nprint(1)\n```\n")[0].contains("prints something"));
    assert!(refused("```toml\nscoring.holdback = 2\n```\n")[0].contains("holdback"));
    assert!(refused("```json\n{\"a\":}\n```\n")[0].contains("expected value"));
    assert!(refused("```json\n> {\"type\":\"ping\"}\n```\n")[0].contains("no daemon"));
    assert!(refused("<!-- prepare: paradise -->\n")[0].contains("no world"));
    let told = "<!-- not run: needs root -->\n```\n# systemctl\n```\n";
    let ran = page::run("page.md", told);
    assert_eq!((ran.wrong.len(), ran.not_run), (0, vec!["page.md:2 : needs root".to_owned()]));
    let good = "```console\n$ echo one; echo two\n...\ntwo\n\n$ true\n```\n\n```python\nprint(6 * 7)\n```\n\n\
                <!-- output -->\n```text\n42\n```\n";
    let ran = page::run("page.md", good);
    assert_eq!((ran.wrong, ran.run), (Vec::new(), 2));
}

#[test]
fn what_is_measured_may_differ_and_nothing_else() {
    let same = |expected: &str, actual: &str| {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        compare::fits(&lines(expected), &lines(actual))
    };
    assert!(same("p50 76.1 us, p99 256.0 us", "p50 9.5 us, p99 1256.0 us"));
    assert!(same("at 2026-11-28T17:21:31Z", "at 2031-01-02T03:04:05.678901Z"));
    assert!(!same("at 2025-01-06T11:27:00Z", "at 2025-01-06T11:27:01Z"), "times of the examples are given");
    assert!(!same("1100 new", "1101 new"));
    assert!(same("{\"uptime_s\":1.5,\"n\":1}", "{\"uptime_s\":20,\"n\":1}"));
    assert!(!same("{\"uptime_s\":1.5,\"n\":1}", "{\"uptime_s\":20,\"n\":2}"));
    assert!(same("one\n...\nlast", "one\ntwo\nthree\nlast") && same("one\n...", "one"));
    assert!(!same("one\n...\nlast", "one\nlast\nmore"));
    assert!(same("a ... c", "a b b c") && !same("a ... c", "a b b d"));
}

/// The name of a heading in a link, as GitHub and mdBook make it.
fn anchor(heading: &str) -> String {
    let plain = heading.trim_start_matches('#').trim().to_lowercase();
    plain
        .chars()
        .filter_map(|c| match c {
            ' ' => Some('-'),
            c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
            _ => None,
        })
        .collect()
}

/// The lines of a page that are in no block.
fn prose(text: &str) -> Vec<&str> {
    let mut inside = false;
    text.lines()
        .filter(|line| {
            let fence = line.trim_start().starts_with("```");
            inside ^= fence;
            !inside && !fence
        })
        .collect()
}

#[test]
fn every_link_of_a_page_leads_somewhere() {
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for page in pages() {
        let text = read(&page);
        let folder = Path::new(&page).parent().unwrap().to_owned();
        let prose = prose(&text).join("\n");
        for rest in prose.split("](").skip(1) {
            let link = rest.split([')', ' ']).next().unwrap();
            if link.contains("://") {
                continue;
            }
            seen += 1;
            let (file, place) = link.split_once('#').unwrap_or((link, ""));
            let path = if file.is_empty() { root().join(&page) } else { root().join(&folder).join(file) };
            if !path.exists() {
                wrong.push(format!("{page}: {link}: there is no such file"));
            } else if !place.is_empty() {
                let target = fs::read_to_string(&path).unwrap();
                let known = self::prose(&target).iter().any(|line| line.starts_with('#') && anchor(line) == place);
                if !known {
                    wrong.push(format!("{page}: {link}: there is no such heading"));
                }
            }
        }
    }
    assert!(wrong.is_empty() && seen > 100, "{seen}\n{}", wrong.join("\n"));
}

#[test]
fn the_summary_of_the_book_has_every_page_once() {
    let summary = read("docs/SUMMARY.md");
    let listed: Vec<&str> = summary.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()).collect();
    let once: BTreeSet<&str> = listed.iter().copied().collect();
    assert_eq!(once.len(), listed.len(), "a page comes twice: {listed:?}");
    let pages = pages();
    let there: BTreeSet<&str> = pages.iter().filter_map(|page| page.strip_prefix("docs/")).collect();
    let there: BTreeSet<&str> = there.into_iter().filter(|page| *page != "SUMMARY.md").collect();
    assert_eq!(once, there);
    let book: toml::Value = toml::from_str(&read("book.toml")).unwrap();
    assert_eq!(book["book"]["src"].as_str(), Some("docs"));
}

#[test]
fn an_example_of_a_guarantee_has_at_most_twenty_lines() {
    let page = read("docs/guarantees.md");
    let blocks = items(&page).unwrap();
    let mut seen = 0;
    for item in &blocks {
        let Item::Block(block) = item else { continue };
        assert!(block.text.len() <= 20, "docs/guarantees.md:{}: {} lines", block.line, block.text.len());
        seen += usize::from(!block.is_output);
    }
    assert!(seen >= 8, "{seen}");
}
