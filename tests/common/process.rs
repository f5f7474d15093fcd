//! The real binary.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Output, Stdio},
    thread,
};

use serde_json::Value;

use super::{
    place::{CONFIG, Place},
    wait::until,
    wire::Wire,
};

/// `vigie` with these arguments, in the folder of `place`.
pub fn vigie(place: &Place, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vigie"));
    command.current_dir(place.folder()).args(arguments).env_remove("JOURNAL_STREAM").env_remove("NOTIFY_SOCKET");
    // whatever service this machine has
    command.env("VIGIE_STATE", "").env("VIGIE_SOCKET", "");
    command
}

/// Runs `vigie` to its end; it must succeed.
pub fn succeed(place: &Place, arguments: &[&str]) -> Output {
    let output = vigie(place, arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    output
}

/// The one JSON line that a command prints, which must end with `code`.
pub fn told(place: &Place, arguments: &[&str], code: i32) -> Value {
    let output = vigie(place, arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What [`Process`] runs.
const RUN: [&str; 5] = ["run", "--state", "state", "--config", "config.toml"];

/// `vigie run`, alive.
pub struct Process {
    child: Child,
    socket: PathBuf,
    log: PathBuf,
}

impl Process {
    /// Starts `vigie run` on the state of `place` with the configuration `config.toml` in its folder, which is made of
    /// [`CONFIG`] when it is not there, and waits until it answers.
    pub fn start(place: &Place, arguments: &[&str]) -> Self {
        Self::spawn(place, arguments).listening()
    }

    /// As [`Self::start`], under a limit as the shell sets it, such as `ulimit -f 8192`.
    pub fn start_limited(place: &Place, limit: &str) -> Self {
        Self::start_limited_at(place, limit, place.socket())
    }

    /// The same, listening at `socket`.
    pub fn start_limited_at(place: &Place, limit: &str, socket: PathBuf) -> Self {
        let mut command = Command::new("sh");
        command.current_dir(place.folder()).args(["-c", &format!("{limit}; exec \"$0\" \"$@\"")]);
        command.arg(env!("CARGO_BIN_EXE_vigie")).args(RUN).arg("--socket").arg(&socket);
        let mut process = Self::spawned(place, &mut command);
        process.socket = socket;
        process.listening()
    }

    /// Waits until it answers.
    pub fn listening(self) -> Self {
        let mut process = self;
        until("a daemon that listens", || {
            if let Some(status) = process.child.try_wait().unwrap() {
                panic!("{status}: {}", process.log());
            }
            std::os::unix::net::UnixStream::connect(&process.socket).ok()
        });
        process
    }

    /// As [`Self::start`], without waiting.
    pub fn spawn(place: &Place, arguments: &[&str]) -> Self {
        Self::spawned(place, vigie(place, &RUN).args(arguments))
    }

    fn spawned(place: &Place, command: &mut Command) -> Self {
        let config = place.folder().join("config.toml");
        if !config.exists() {
            fs::write(&config, CONFIG).unwrap();
        }
        let log = place.folder().join("log");
        let file = fs::File::options().create(true).append(true).open(&log).unwrap();
        let child = command.stdout(Stdio::null()).stderr(file).spawn().unwrap();
        Self { child, socket: place.socket(), log }
    }

    pub fn connect(&self) -> Wire {
        Wire::connect(&self.socket)
    }

    /// Sends a signal, such as `HUP`.
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("sh").args(["-c", &format!("kill -{signal} {}", self.child.id())]).status().unwrap();
        assert!(sent.success());
    }

    /// Its state as the kernel tells it, such as `T (stopped)`.
    pub fn state(&self) -> String {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("State:"));
        line.unwrap().trim().to_owned()
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Bounds how large its files may become from now on, or lifts the bound: then a disk that was full has room again.
    pub fn limit_files(&self, bytes: Option<u64>) {
        let bytes = bytes.map_or("unlimited".to_owned(), |bytes| bytes.to_string());
        let limited = Command::new("prlimit")
            .args([&format!("--pid={}", self.child.id()), &format!("--fsize={bytes}:unlimited")])
            .status();
        assert!(limited.unwrap().success());
    }

    /// A figure of its memory in MiB as the kernel tells it, such as `VmHWM`, the most it ever had.
    pub fn memory(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap().split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1024
    }

    /// As `kill -9` does.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// What it wrote to standard error.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// How it ended, or `None` while it runs.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        until("the end of the daemon", || self.child.try_wait().unwrap())
    }

    /// Stops it in good order.
    pub fn stop(mut self) {
        self.signal("TERM");
        let status = self.wait();
        assert!(status.success(), "{status}: {}", self.log());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if thread::panicking() {
            let ended = self.child.try_wait();
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("ended: {ended:?}; its last lines:\n{}", lines[lines.len().saturating_sub(20)..].join("\n"));
        }
        // a test that failed leaves nothing running behind
        let _already_gone = self.child.kill();
        let _status = self.child.wait();
    }
}
