//! The dashboard and the alert rules against a real scrape, by a real Prometheus.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use std::{
    collections::BTreeSet,
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use common::{Place, get, skip::skipped, until};
use serde_json::{Value, json};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("monitoring").join(name)
}

/// The queries of both files.
fn queries() -> Vec<String> {
    let rules = fs::read_to_string(file("alerts.yml")).unwrap();
    let alerts = rules.lines().filter_map(|line| line.trim().strip_prefix("expr: ")).map(str::to_owned);
    let dashboard: Value = serde_json::from_str(&fs::read_to_string(file("dashboard.json")).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().unwrap().clone());
    let found: Vec<String> = alerts.chain(targets.map(|target| target["expr"].as_str().unwrap().to_owned())).collect();
    assert!(found.len() > 25, "{found:?}");
    found
}

/// The names of metrics in a query.
fn metrics_of(query: &str) -> BTreeSet<String> {
    let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("vigie_")).map(str::to_owned).collect()
}

/// The names that a scrape describes or has a value of.
fn names_of(scrape: &str) -> BTreeSet<String> {
    let described = scrape.lines().filter_map(|line| line.strip_prefix("# TYPE ")).map(|line| {
        let (name, kind) = line.split_once(' ').unwrap();
        if kind == "counter" { format!("{name}_total") } else { name.to_owned() }
    });
    described.collect()
}

struct Prometheus {
    child: Child,
    host: String,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    fn start(target: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = json!({
            "global": { "scrape_interval": "1s", "evaluation_interval": "1s" },
            "rule_files": [file("alerts.yml")],
            "scrape_configs": [{ "job_name": "vigie", "static_configs": [{ "targets": [target] }] }],
        });
        // JSON is YAML
        fs::write(folder.path().join("prometheus.yml"), config.to_string()).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let host = format!("127.0.0.1:{port}");
        let mut command = Command::new("prometheus");
        command.args([
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=data",
            &format!("--web.listen-address={host}"),
        ]);
        let child = command.current_dir(folder.path()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Self { child, host, _folder: folder }
    }

    /// The result of an instant query.
    fn query(&self, query: &str) -> Value {
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        get(&self.host, &format!("/api/v1/query?query={encoded}")).json()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _status = self.child.wait();
    }
}

#[test]
fn each_query_names_only_metrics_of_a_real_scrape_and_docs_list_them_all() {
    let place = Place::new();
    let mut wire = place.wire();
    (0..3).for_each(|n| drop(wire.score(n)));
    wire.lose(0);
    // the monitor is busy at first
    let told = until("the day and the monitor in the figures", || {
        let told = get(&place.host, "/metrics").body;
        let is_whole = told.contains("\nvigie_day_pnl_account_currency -") && told.contains("\nvigie_monitor_alarms ");
        is_whole.then_some(told)
    });
    let mut known = names_of(&told);
    // none is told before there is a backup
    assert!(known.insert("vigie_backup_age_seconds".to_owned()));
    for query in queries() {
        let unknown: Vec<String> = metrics_of(&query).difference(&known).cloned().collect();
        assert!(unknown.is_empty(), "{query}: {unknown:?} is not in {told}");
    }
    let docs = fs::read_to_string(file("../docs/web.md")).unwrap();
    let documented: BTreeSet<String> = metrics_of(docs.split_once("\n## Metrics").unwrap().1);
    let documented: BTreeSet<String> = documented.into_iter().collect();
    assert_eq!(documented, known);
    for help in told.lines().filter(|line| line.starts_with("# HELP")) {
        assert!(help.ends_with('.') && help.split(' ').count() > 3, "{help}");
    }
}

#[test]
fn a_real_prometheus_answers_each_query_and_its_alert_of_a_lock_fires() {
    if Command::new("prometheus").arg("--version").output().is_err() {
        return skipped("prometheus is not installed");
    }
    let checked = Command::new("promtool").args(["check", "rules"]).arg(file("alerts.yml")).output().unwrap();
    assert!(checked.status.success(), "{checked:?}");
    let place = Place::new();
    let mut wire = place.wire();
    (0..3).for_each(|n| drop(wire.score(n)));
    wire.lose(0);
    let prometheus = Prometheus::start(&place.host);
    until("a Prometheus that is ready", || {
        let is_there = std::net::TcpStream::connect(&prometheus.host).is_ok();
        (is_there && get(&prometheus.host, "/-/ready").status == 200).then_some(())
    });
    until("a scrape", || {
        let up = prometheus.query("vigie_up");
        (up["data"]["result"][0]["value"][1] == "1").then_some(())
    });
    for query in queries() {
        let answer = prometheus.query(&query);
        assert!(answer["status"] == "success", "{query}: {answer}");
    }
    // what is always there has a value
    for query in [
        "vigie_decisions_total{reason=\"production\"}",
        "vigie_loss_streak_trades / on(version) vigie_loss_streak_limit_trades",
    ] {
        let answer = until(query, || {
            let answer = prometheus.query(query);
            (answer["data"]["result"][0]["value"][1].is_string()).then_some(answer)
        });
        let labels = &answer["data"]["result"][0]["metric"];
        assert!(labels["reason"] == "production" || labels["version"] == "ES/1", "{answer}");
    }
    place.ask(&json!({ "type": "lock", "reason": "a test" }));
    until("the alert of the lock", || {
        let alerts = get(&prometheus.host, "/api/v1/alerts").json();
        let firing = alerts["data"]["alerts"].as_array().unwrap().iter();
        let names: Vec<&str> = firing
            .filter(|alert| alert["state"] == "firing")
            .filter_map(|alert| alert["labels"]["alertname"].as_str())
            .collect();
        names.contains(&"VigieLocked").then_some(())
    });
}
