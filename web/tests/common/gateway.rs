//! The real gateway, before a real daemon or one that misbehaves.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
};

use serde_json::Value;
use tempfile::TempDir;

use super::http::{Answer, send};

/// Runs `vigie-web` with these arguments to its end.
pub fn vigie_web(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vigie-web")).args(arguments).output().unwrap()
}

/// `vigie-web gateway`, alive.
pub struct Gateway {
    folder: TempDir,
    child: Child,
    /// Where it is, such as `127.0.0.1:41234`.
    pub host: String,
    /// A token for each trader.
    pub tokens: Vec<String>,
}

impl Gateway {
    /// For one trader without any limit.
    pub fn new(socket: &Path) -> Self {
        Self::of(socket, &[&["nt8"]], &["--deadline-ms", "10000"])
    }

    /// For traders, each the arguments of the command that makes its token.
    pub fn of(socket: &Path, traders: &[&[&str]], options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let kept = folder.path().join("traders");
        let kept = ["--traders", kept.to_str().unwrap()];
        let token = |trader: &&[&str]| {
            let made = vigie_web(&[&["trader"], *trader, &kept].concat());
            assert!(made.status.success(), "{made:?}");
            String::from_utf8(made.stdout).unwrap().trim().to_owned()
        };
        let tokens = traders.iter().map(token).collect();
        let mut command = Command::new(env!("CARGO_BIN_EXE_vigie-web"));
        let log = fs::File::create(folder.path().join("log")).unwrap();
        command.args(["gateway", "--listen", "127.0.0.1:0", "--socket"]).arg(socket).args(kept).args(options);
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let host = line.split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned();
        Self { folder, child, host, tokens }
    }

    /// The answer to a body that the trader `number` posts.
    pub fn post(&self, number: usize, path: &str, body: &[u8]) -> Answer {
        send(&self.host, "POST", path, &[("Authorization", &self.bearer(number))], body)
    }

    /// The same of a JSON value.
    pub fn ask(&self, number: usize, path: &str, body: &Value) -> Answer {
        self.post(number, path, body.to_string().as_bytes())
    }

    pub fn bearer(&self, number: usize) -> String {
        format!("Bearer {}", self.tokens[number])
    }

    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _status = self.child.wait();
    }
}

/// A daemon that does with each connection what `behave` does.
pub struct Fake {
    _folder: TempDir,
    pub socket: PathBuf,
}

impl Fake {
    pub fn new(behave: impl Fn(BufReader<UnixStream>) + Send + Clone + 'static) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("vigie.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let behave = behave.clone();
                thread::spawn(move || behave(BufReader::new(stream.unwrap())));
            }
        });
        Self { _folder: folder, socket }
    }
}
