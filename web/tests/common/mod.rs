//! What the tests of the page share: a real daemon with a model in production, the real `vigie-web`, and a plain HTTP client.
#![allow(dead_code, reason = "not every file of tests needs all of it")]

pub mod gateway;
pub mod http;
#[path = "../../../tests/common/long.rs"]
pub mod long;
#[path = "../../../tests/common/skip.rs"]
pub mod skip;
pub mod wait;

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
};

use serde_json::{Value, json};
use tempfile::TempDir;

pub use http::{Answer, get, send};
pub use wait::*;

/// The token of the tests.
pub const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// No answer is late on a busy machine, the examples suffice to train on, and every signal hears the model.
const CONFIG: &str = "server.deadline_us = 1000000\ntraining.min_test_trades = 100\nscoring.holdback = 0.0\njournal.retry_ms = 10\n\
     training.strengths = [1.0, 100.0]\nvalidation.bootstrap = 2\nvalidation.null = 20\nvalidation.importance = 2\n\
     validation.folds = 2\nvalidation.steps = 2\nvalidation.groups = 3\nvalidation.judged_groups = 1\n\
     lifecycle.stage_validated = false\nguardian.literal = true\nguardian.min_accuracy = 0\nguardian.max_loss_streak = 3\n";

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The daemon's program: that of `VIGIE_BIN`, or the one beside `vigie-web`, built if it is not there.
pub fn vigie() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        if let Some(path) = std::env::var_os("VIGIE_BIN") {
            return project().join(path);
        }
        let beside = Path::new(env!("CARGO_BIN_EXE_vigie-web")).with_file_name("vigie");
        if !beside.exists() {
            let built = Command::new(env!("CARGO"))
                .args(["build", "--locked", "--bin", "vigie"])
                .current_dir(project())
                .status();
            assert!(
                built.unwrap().success() && beside.exists(),
                "`cargo build --bin vigie` made no {}",
                beside.display()
            );
        }
        beside
    })
}

/// A state folder whose journal holds ES/1 in production; made once, and copied by each test.
fn trained() -> &'static Path {
    static STATE: OnceLock<TempDir> = OnceLock::new();
    STATE
        .get_or_init(|| {
            let place = tempfile::tempdir().unwrap();
            fs::write(place.path().join("config.toml"), CONFIG).unwrap();
            let run = |arguments: &[&str]| {
                let config =
                    if arguments[0] == "promote" { &[][..] } else { &["--config", "config.toml", "--state", "state"] };
                let output =
                    Command::new(vigie()).current_dir(place.path()).args(arguments).args(config).output().unwrap();
                assert!(output.status.success(), "{arguments:?}: {output:?}");
            };
            run(&["import", project().join("examples/signals.jsonl.gz").to_str().unwrap()]);
            run(&["train", "--keep"]);
            let daemon = Daemon::start(place.path());
            let socket = place.path().join("state/vigie.sock");
            run(&[
                "promote",
                "ES/1",
                "--to",
                "production",
                "--override",
                "--reason",
                "a test",
                "--socket",
                socket.to_str().unwrap(),
            ]);
            drop(daemon);
            place
        })
        .path()
}

/// `vigie run`, alive.
struct Daemon(Child);

impl Daemon {
    fn start(folder: &Path) -> Self {
        let log = fs::File::options().create(true).append(true).open(folder.join("daemon.log")).unwrap();
        let mut command = Command::new(vigie());
        command.current_dir(folder).args(["run", "--config", "config.toml", "--state", "state"]);
        command.env_remove("NOTIFY_SOCKET").env_remove("JOURNAL_STREAM").stdout(Stdio::null()).stderr(log);
        let daemon = Self(command.spawn().unwrap());
        until("a daemon that listens", || UnixStream::connect(folder.join("state/vigie.sock")).ok());
        daemon
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // in good order, so that what was acknowledged needs no recovery
        let _sent = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        let _status = self.0.wait();
    }
}

/// A daemon and its page.
pub struct Place {
    folder: TempDir,
    daemon: Option<Daemon>,
    web: Child,
    /// Where the page is, such as `127.0.0.1:41234`.
    pub host: String,
}

impl Place {
    /// Starts both, so that no answer is late on a busy machine.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        fs::create_dir(&state).unwrap();
        fs::set_permissions(&state, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        for entry in fs::read_dir(trained().join("state")).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                fs::copy(&path, state.join(path.file_name().unwrap())).unwrap();
            }
        }
        fs::write(folder.path().join("config.toml"), CONFIG).unwrap();
        let daemon = Some(Daemon::start(folder.path()));
        let (web, host) = start_web(folder.path());
        let place = Self { folder, daemon, web, host };
        until("a page that is ready", || (get(&place.host, "/readyz").status == 200).then_some(()));
        place
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("state/vigie.sock")
    }

    /// The answer of the daemon to one request.
    pub fn ask(&self, request: &Value) -> Value {
        Wire::connect(&self.socket()).ask(&request.to_string())
    }

    pub fn wire(&self) -> Wire {
        Wire::connect(&self.socket())
    }

    pub fn stop_daemon(&mut self) {
        drop(self.daemon.take());
    }

    pub fn start_daemon(&mut self) {
        self.daemon = Some(Daemon::start(self.folder.path()));
    }

    /// An order with everything that the page sends with one.
    pub fn order(&self, body: &Value, headers: &[(&str, &str)]) -> Answer {
        send(&self.host, "POST", "/api/order", headers, body.to_string().as_bytes())
    }

    /// The headers of an order that is in order.
    pub fn own_headers(&self) -> Vec<(&'static str, String)> {
        let origin = format!("http://{}", self.host);
        vec![
            ("Origin", origin),
            ("Content-Type", "application/json".to_owned()),
            ("Authorization", format!("Bearer {TOKEN}")),
        ]
    }

    /// Whether the process of the page is alive.
    pub fn is_alive(&mut self) -> bool {
        self.web.try_wait().unwrap().is_none()
    }

    /// Sends the daemon a signal of the system, such as `STOP`.
    pub fn signal_daemon(&self, name: &str) {
        let id = self.daemon.as_ref().unwrap().0.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
    }

    pub fn web_id(&self) -> u32 {
        self.web.id()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _already_gone = self.web.kill();
        let _status = self.web.wait();
    }
}

fn start_web(folder: &Path) -> (Child, String) {
    let program = std::env::var_os("VIGIE_WEB_BIN").map(|path| project().join(path));
    let mut command = Command::new(program.unwrap_or_else(|| env!("CARGO_BIN_EXE_vigie-web").into()));
    command.current_dir(folder).args(["--socket", "state/vigie.sock", "--listen", "127.0.0.1:0"]);
    let mut child = command.env("VIGIE_WEB_TOKEN", TOKEN).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let host = line.split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned();
    (child, host)
}

/// A connection to the daemon.
pub struct Wire(BufReader<UnixStream>);

impl Wire {
    fn connect(socket: &Path) -> Self {
        Self(BufReader::new(UnixStream::connect(socket).unwrap()))
    }

    pub fn ask(&mut self, line: &str) -> Value {
        self.0.get_mut().write_all(format!("{line}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        self.0.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap()
    }

    /// The answer to a signal that hears the model.
    pub fn score(&mut self, number: usize) -> Value {
        self.ask(&signal(&format!("WEB-{number}")).to_string())
    }

    /// Tells that a trade was lost just now.
    pub fn lose(&mut self, number: usize) -> Value {
        let now = self.ask(r#"{"type":"status"}"#)["status"]["now"].take();
        let metrics = json!({ "exit_at": now, "pnl": -50.0, "exit_reason": "stop_loss" });
        self.ask(
            &json!({ "type": "outcome", "trade_id": format!("WEB-{number}"), "outcome_metrics": metrics }).to_string(),
        )
    }
}

/// A signal that hears the model.
pub fn signal(trade_id: &str) -> Value {
    let features: Value = serde_json::from_str(
        r#"{"vwap_trend_signal":0.71,"sierra_pattern_strength":0.4,"dow_trend_regime":1,"gamma_levels_proximity":0.2,
        "level_proximity":0.55,"es_nq_correlation":0.94,"volume_confirmation":0.6,"options_flow_bias":0.2,"market_volatility":0.18,
        "session_time":0.7,"bid_ask_spread":0,"recent_momentum":0.3}"#,
    )
    .unwrap();
    let at = "2026-11-02T15:02:11Z";
    json!({ "type": "score", "trade_id": trade_id, "at": at, "symbol": "ES", "side": "long", "confidence": 0.62, "features": features })
}
