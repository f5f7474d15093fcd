//! Where the commands of a page run: a folder that looks like the project's, a state in it, and a daemon.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, fs::symlink, net::UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::OnceLock,
};

use tempfile::TempDir;

use crate::common::{wait::until, wire::Wire};

/// What the daemons of the pages are told: no answer is late, however busy the machine is, and limits are drawn with little effort.
const SETTINGS: [&str; 3] = ["server.deadline_us = 1000000", "health.years = 1000", "monitor.budget_resamples = 20"];
/// The same for the clients that a page starts.
const PATIENT_PYTHON: &str = "\
import types, vigie
patient = {0.020: 20.0, 2.0: 20.0}
for client in (vigie.Client, vigie.AsyncClient, vigie.Client.__mro__[1]):
    for function in vars(client).values():
        if isinstance(function, types.FunctionType) and function.__defaults__:
            function.__defaults__ = tuple(patient.get(x, x) if isinstance(x, float) else x for x in function.__defaults__)
";
/// Folders and files of the project that commands of a page name.
const SEEN: [&str; 7] = ["examples", "clients", "config.toml", "docs", "systemd", "notify", "README.md"];
const STATE: &str = "vigie-state";
/// Seconds that a block may take: a training stands back behind whatever else the machine does.
const LONGEST_S: &str = "300";

/// A folder with what a page prepared.
pub struct World {
    folder: TempDir,
    daemon: Option<Child>,
    settings: Vec<String>,
}

impl World {
    /// The world that `order` names: `empty`, `trained` (ES/1 passed its validation), `serving` (and a daemon runs, which ES/1
    /// watches), `production` (and ES/1 is in production). Settings of that daemon stand behind a comma, apart by semicolons.
    ///
    /// # Errors
    /// No such world, or it cannot be made.
    pub fn prepared(order: &str) -> Result<Self, String> {
        let (name, settings) = order.split_once(',').unwrap_or((order, ""));
        let settings = settings.split(';').map(str::trim).filter(|setting| !setting.is_empty());
        let settings = SETTINGS.into_iter().chain(settings).map(str::to_owned).collect();
        let mut world = Self::empty(settings);
        let name = name.trim();
        if ["trained", "serving", "production"].contains(&name) {
            copy(&template().join(STATE), &world.folder().join(STATE));
        } else if name != "empty" {
            return Err(format!("there is no world {name:?}"));
        }
        if ["serving", "production"].contains(&name) {
            world.start(&["run"])?;
        }
        if name == "serving" {
            // it goes to staging by itself, and that takes a moment
            world.succeed("until vigie models | grep -q staging; do sleep 0.05; done")?;
        }
        if name == "production" {
            world.succeed("vigie promote ES/1 --to production --override --reason 'for this page'")?;
        }
        Ok(world)
    }

    fn empty(settings: Vec<String>) -> Self {
        let folder = tempfile::Builder::new().prefix("page").tempdir().unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        SEEN.iter().for_each(|name| symlink(root.join(name), folder.path().join(name)).unwrap());
        let bin = folder.path().join(".bin");
        fs::create_dir(&bin).unwrap();
        let program = program();
        script(
            &bin,
            "vigie",
            &format!(
                "#!/bin/sh\ncase \"$1 $*\" in\n*--help*) ;;\nscore*) exec {program} \"$@\" --deadline-ms 20000 ;;\nesac\nexec {program} \"$@\"\n"
            ),
        );
        // netcat for machines that have none
        script(&bin, "nc", include_str!("nc.py"));
        fs::write(bin.join("sitecustomize.py"), PATIENT_PYTHON).unwrap();
        Self { folder, daemon: None, settings }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn command(&self, program: &str) -> Command {
        let bin = self.folder().join(".bin");
        let mut command = Command::new(program);
        let path = std::env::var("PATH").unwrap_or_default();
        let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/python");
        command.current_dir(self.folder()).stdin(Stdio::null());
        command.env("PATH", format!("{}:{path}", bin.display()));
        command.env("PYTHONPATH", format!("{}:{}", bin.display(), python.display()));
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        // whatever service this machine has
        command.env("VIGIE_STATE", "").env("VIGIE_SOCKET", "");
        command.env_remove("JOURNAL_STREAM").env_remove("NOTIFY_SOCKET").env_remove("COLUMNS");
        command
    }

    /// What a shell prints of `text`, on both of its outputs.
    pub fn shell(&self, text: &str) -> Output {
        self.command("timeout").args([LONGEST_S, "bash", "-c", &format!("exec 2>&1\n{text}")]).output().unwrap()
    }

    /// What Python prints of `text`.
    pub fn python(&self, text: &str) -> Output {
        self.command("timeout").args([LONGEST_S, "bash", "-c", "exec python3 -c \"$0\" 2>&1", text]).output().unwrap()
    }

    /// Runs what must succeed.
    ///
    /// # Errors
    /// What it printed, when it failed.
    pub fn succeed(&self, text: &str) -> Result<(), String> {
        let output = self.shell(text);
        let said = || format!("{text}: {}: {}", output.status, String::from_utf8_lossy(&output.stdout));
        output.status.success().then_some(()).ok_or_else(said)
    }

    /// Starts a daemon, and waits until it listens.
    ///
    /// # Errors
    /// When it ends instead.
    pub fn start(&mut self, arguments: &[&str]) -> Result<(), String> {
        self.stop();
        let mut arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let place = arguments.iter().position(|argument| argument == "--config");
        let own = place.map_or_else(String::new, |at| {
            arguments.remove(at);
            fs::read_to_string(self.folder().join(arguments.remove(at))).unwrap()
        });
        let config = self.folder().join(".daemon.toml");
        fs::write(&config, format!("{}\n{own}", self.settings.join("\n"))).unwrap();
        let log = fs::File::create(self.log_file()).unwrap();
        let mut command = self.command(&program());
        command.args(&arguments).arg("--config").arg(&config).stdout(Stdio::null()).stderr(log);
        let mut daemon = command.spawn().unwrap();
        let socket = self.socket();
        let ended = until("a daemon that listens", || {
            if UnixStream::connect(&socket).is_ok() {
                return Some(None);
            }
            daemon.try_wait().unwrap().map(Some)
        });
        self.daemon = Some(daemon);
        ended.map_or(Ok(()), |status| Err(format!("{arguments:?}: {status}: {}", self.log())))
    }

    /// Stops the daemon in good order, if one runs.
    pub fn stop(&mut self) {
        let Some(mut daemon) = self.daemon.take() else { return };
        let _it_may_be_gone = Command::new("kill").arg(daemon.id().to_string()).status();
        until("the end of the daemon", || daemon.try_wait().unwrap());
    }

    /// Ends the daemon as `kill -9` does, and starts another one.
    ///
    /// # Errors
    /// When it does not start.
    pub fn kill(&mut self) -> Result<(), String> {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.kill().unwrap();
            daemon.wait().unwrap();
        }
        // what the killed one left is no sign of the new one
        fs::remove_file(self.socket()).unwrap();
        self.start(&["run"])
    }

    fn log_file(&self) -> PathBuf {
        self.folder().join(".log")
    }

    /// What the daemon wrote.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn socket(&self) -> PathBuf {
        self.folder().join(STATE).join("vigie.sock")
    }

    /// A connection to the daemon.
    ///
    /// # Errors
    /// When no daemon runs.
    pub fn connect(&self) -> Result<Wire, String> {
        let runs = self.daemon.is_some();
        runs.then(|| Wire::connect(&self.socket())).ok_or_else(|| "no daemon runs on this page".to_owned())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            let _already_gone = daemon.kill();
            let _status = daemon.wait();
        }
    }
}

/// The program: that of the build, or the one that `VIGIE_BIN` names, such as an optimised one.
fn program() -> String {
    let named = std::env::var_os("VIGIE_BIN").and_then(|path| fs::canonicalize(path).ok());
    named.map_or_else(|| env!("CARGO_BIN_EXE_vigie").to_owned(), |path| path.display().to_string())
}

fn script(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// A folder in which ES/1 was trained on the example trades, as the tour says it: made once.
fn template() -> &'static Path {
    static MADE: OnceLock<World> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        let world = World::empty(Vec::new());
        world.succeed("vigie import examples/signals.jsonl.gz && vigie train --keep").unwrap();
        world
    });
    made.folder()
}
