//! What the tests of the notifications share: a real daemon, the real `vigie-notify`, and receivers that fail in every way.
#![allow(dead_code, reason = "not every file of tests needs all of it")]

pub mod receiver;
#[path = "../../../tests/common/skip.rs"]
pub mod skip;
#[path = "../../../web/tests/common/wait.rs"]
pub mod wait;

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::OnceLock,
};

use serde_json::{Value, json};
use tempfile::TempDir;

pub use receiver::{Answer, Receiver};
pub use wait::*;

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The daemon's program: that of `VIGIE_BIN`, or the one beside `vigie-notify`, built if it is not there.
fn vigie() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        if let Some(path) = std::env::var_os("VIGIE_BIN") {
            return project().join(path);
        }
        let beside = Path::new(env!("CARGO_BIN_EXE_vigie-notify")).with_file_name("vigie");
        if !beside.exists() {
            let mut build = Command::new(env!("CARGO"));
            let built = build.args(["build", "--locked", "--bin", "vigie"]).current_dir(project()).status();
            assert!(
                built.unwrap().success() && beside.exists(),
                "`cargo build --bin vigie` made no {}",
                beside.display()
            );
        }
        beside
    })
}

/// A process that is killed when the test ends.
pub struct Process(Child);

impl Process {
    pub fn kill(&mut self) {
        let _already_gone = self.0.kill();
        let _status = self.0.wait();
    }

    pub fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.0.id().to_string()]).status().unwrap().success());
    }

    /// Ends it in good order, and gives back its exit code.
    pub fn end(&mut self) -> Option<i32> {
        self.signal("-TERM");
        self.0.wait().unwrap().code()
    }

    pub fn is_alive(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    pub fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A folder with a daemon's state and a configuration of the notifications.
pub struct Place {
    folder: TempDir,
    trades: std::cell::Cell<u64>,
}

impl Place {
    /// With this `notify.toml`.
    pub fn new(config: &str) -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap(), trades: 0.into() };
        fs::create_dir(place.path("secrets")).unwrap();
        place.configure(config);
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn configure(&self, config: &str) {
        fs::write(self.path("notify.toml"), format!("socket = \"state/vigie.sock\"\n{config}")).unwrap();
    }

    pub fn secret(&self, name: &str, text: &str) {
        let path = self.path("secrets").join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// `vigie run`, when it answers.
    pub fn daemon(&self) -> Process {
        let log = fs::File::options().create(true).append(true).open(self.path("daemon.log")).unwrap();
        let mut command = Command::new(vigie());
        command.current_dir(self.folder.path()).args(["run", "--state", "state"]);
        command.env_remove("NOTIFY_SOCKET").env_remove("JOURNAL_STREAM").stdout(Stdio::null()).stderr(log);
        let daemon = Process(command.spawn().unwrap());
        until("a daemon that answers", || {
            let mut wire = BufReader::new(UnixStream::connect(self.path("state/vigie.sock")).ok()?);
            wire.get_mut().write_all(b"{\"type\":\"ping\"}\n").ok()?;
            let mut answer = String::new();
            wire.read_line(&mut answer).ok().filter(|read| *read > 0)
        });
        daemon
    }

    pub fn ask(&self, request: &Value) -> Value {
        let mut wire = BufReader::new(UnixStream::connect(self.path("state/vigie.sock")).unwrap());
        wire.get_mut().write_all(format!("{request}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        wire.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap()
    }

    /// Raises a critical alert.
    pub fn lock(&self, reason: &str) {
        let answer = self.ask(&json!({ "type": "lock", "reason": reason }));
        assert_eq!(answer["ok"], true, "{answer}");
    }

    /// Raises the warning `conflict`: two reports of one trade.
    pub fn conflict(&self) {
        let number = self.trades.get() + 1;
        self.trades.set(number);
        for pnl in [1.0, 2.0] {
            let metrics = json!({ "exit_at": "2026-11-02T15:30:00Z", "pnl": pnl, "exit_reason": "target" });
            let outcome = json!({ "type": "outcome", "trade_id": format!("N-{number}"), "outcome_metrics": metrics });
            let answer = self.ask(&outcome);
            assert!(answer["ok"] == true || answer["error"]["code"] == "conflict", "{answer}");
        }
    }

    /// The numbers of the alerts in the daemon's journal.
    pub fn raised(&self, level: &str) -> Vec<u64> {
        let answer = self.ask(&json!({ "type": "alerts", "limit": 1000, "level": level }));
        answer["alerts"].as_array().unwrap().iter().map(|alert| alert["seq"].as_u64().unwrap()).collect()
    }

    fn program(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vigie-notify"));
        command.env_remove("JOURNAL_STREAM").env_remove("STATE_DIRECTORY").env_remove("CREDENTIALS_DIRECTORY");
        for proxy in [
            "http_proxy",
            "https_proxy",
            "all_proxy",
            "HTTP_PROXY",
            "HTTPS_PROXY",
            "ALL_PROXY",
            "SSL_CERT_FILE",
            "SSL_CERT_DIR",
        ] {
            command.env_remove(proxy);
        }
        command.current_dir(self.folder.path());
        command
    }

    /// `vigie-notify` with these arguments, to its end.
    pub fn notify(&self, arguments: &[&str]) -> Output {
        self.program().args(arguments).output().unwrap()
    }

    /// The same with these variables.
    pub fn notify_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        self.program().args(arguments).envs(environment.iter().copied()).output().unwrap()
    }

    /// What it prints; it must succeed.
    pub fn told(&self, arguments: &[&str]) -> String {
        let output = self.notify(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// `vigie-notify run`, when it follows the daemon.
    pub fn follower(&self) -> Process {
        self.follower_under("")
    }

    /// The same behind words of the shell, such as `ulimit -f 1;`.
    pub fn follower_under(&self, limit: &str) -> Process {
        let follower = self.begin(limit);
        until("a follower", || {
            fs::read_to_string(self.path("vigie-notify-state/spool.jsonl")).ok()?.contains("\"next\":").then_some(())
        });
        follower
    }

    /// The same, at once.
    pub fn begin(&self, limit: &str) -> Process {
        let log = fs::File::options().create(true).append(true).open(self.path("notify.log")).unwrap();
        let program = self.program();
        let mut command = Command::new("sh");
        command.current_dir(self.folder.path()).args([
            "-c",
            &format!("{limit} exec \"$0\" run"),
            env!("CARGO_BIN_EXE_vigie-notify"),
        ]);
        for (name, value) in program.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        Process(command.stdout(Stdio::null()).stderr(log).spawn().unwrap())
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("notify.log")).unwrap_or_default()
    }
}

/// A section for a webhook that tries again soon.
pub fn webhook(name: &str, url: &str, more: &str) -> String {
    format!(
        "[[receiver]]\nname = \"{name}\"\nkind = \"webhook\"\nurl = \"{url}\"\nlevel = \"warning\"\nwindow = \"0s\"\ncritical_window = \"0s\"\n\
         timeout = \"500ms\"\nfirst_pause = \"10ms\"\nlongest_pause = \"40ms\"\n{more}\n"
    )
}
