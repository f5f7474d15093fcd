//! The daemon of a demonstration or a drill: a child of this process, on a folder of its own.

use std::{
    fs::File,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::Duration,
};

use anyhow::{Context as _, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{actors::daemon::SOCKET_FILE, clock::Stopwatch, config::Config, sim::demo::SETTINGS};

/// The file of it in the folder.
const CONFIG_FILE: &str = "config.toml";
/// How long the daemon may take to begin or to end on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// Lines of its log that are shown when it ended by itself.
const LOG_LINES: usize = 12;
const PAUSE: Duration = Duration::from_millis(5);

/// A daemon that runs, or did.
#[derive(Debug)]
pub(in crate::commands) struct Daemon {
    folder: PathBuf,
    /// What it is started with, besides its folder and its configuration.
    arguments: &'static [&'static str],
    child: Option<Child>,
}

impl Daemon {
    /// What is set otherwise than built in, line by line.
    pub(super) fn settings() -> impl Iterator<Item = &'static str> {
        SETTINGS.lines().filter(|line| !line.starts_with('#') && !line.starts_with("log"))
    }

    /// The configuration that this comes to.
    pub(super) fn config() -> anyhow::Result<Config> {
        Config::parse(CONFIG_FILE, SETTINGS).map_err(|errors| anyhow::anyhow!("{errors}"))
    }

    /// Starts one in `folder` and waits until it answers.
    pub(super) fn start(folder: &Path) -> anyhow::Result<Self> {
        Self::start_with(folder, SETTINGS, &[])
    }

    /// Starts one in `folder` with the configuration `config` and these arguments more.
    pub(in crate::commands) fn start_with(
        folder: &Path,
        config: &str,
        arguments: &'static [&'static str],
    ) -> anyhow::Result<Self> {
        let file = folder.join(CONFIG_FILE);
        std::fs::write(&file, config).with_context(|| format!("{} cannot be written", file.display()))?;
        let mut daemon = Self { folder: folder.to_owned(), arguments, child: None };
        daemon.begin()?;
        Ok(daemon)
    }

    /// Its socket.
    pub(in crate::commands) fn socket(&self) -> PathBuf {
        self.folder.join("state").join(SOCKET_FILE)
    }

    /// Its state folder.
    pub(super) fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// Kills it as a power cut would, and starts it again.
    pub(super) fn kill_and_start(&mut self) -> anyhow::Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        self.begin()
    }

    /// Stops it in good order.
    pub(in crate::commands) fn stop(&mut self) -> anyhow::Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        let pid = i32::try_from(child.id()).context("the daemon's number is none")?;
        kill(Pid::from_raw(pid), Signal::SIGTERM).context("the daemon cannot be stopped")?;
        let watch = Stopwatch::start();
        loop {
            match child.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => bail!("the daemon ended with {status}:\n{}", self.last_words()),
                None if watch.elapsed() > PATIENCE => {
                    child.kill()?;
                    child.wait()?;
                    bail!("the daemon did not stop in time and was killed:\n{}", self.last_words());
                }
                None => sleep(PAUSE),
            }
        }
    }

    fn log(&self) -> PathBuf {
        self.folder.join("daemon.log")
    }

    /// The end of its log.
    fn last_words(&self) -> String {
        let log = std::fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines.get(lines.len().saturating_sub(LOG_LINES)..).unwrap_or_default().join("\n")
    }

    fn begin(&mut self) -> anyhow::Result<()> {
        let log = File::options().create(true).append(true).open(self.log())?;
        let program = std::env::current_exe().context("this program cannot be found")?;
        let child = Command::new(program)
            .args(["run", "--clock", "event", "--config"])
            .arg(self.folder.join(CONFIG_FILE))
            .arg("--state")
            .arg(self.state())
            .args(self.arguments)
            .env_remove("NOTIFY_SOCKET")
            .env_remove("JOURNAL_STREAM")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            // an interrupt at the keyboard is for the demonstration, which then stops the daemon
            .process_group(0)
            .spawn()
            .context("the daemon cannot be started")?;
        let child = self.child.insert(child);
        let watch = Stopwatch::start();
        let socket = self.folder.join("state").join(SOCKET_FILE);
        loop {
            if std::os::unix::net::UnixStream::connect(&socket).is_ok() {
                return Ok(());
            }
            if let Some(status) = child.try_wait()? {
                bail!("the daemon ended with {status} while it began:\n{}", self.last_words());
            }
            if watch.elapsed() > PATIENCE {
                bail!("the daemon does not answer:\n{}", self.last_words());
            }
            sleep(PAUSE);
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // whatever went wrong, no daemon is left behind
        if let Some(child) = &mut self.child {
            let _it_may_have_ended = child.kill();
            let _status = child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_configuration_of_the_demonstration_is_one() {
        crate::config::Config::parse("demo.toml", super::SETTINGS).unwrap();
    }
}
