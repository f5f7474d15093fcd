//! Programs that lie beside this one, since they have a network and this one has none. One is started in the place of this process.

use std::{ffi::OsString, os::unix::process::CommandExt as _, process::Command};

use anyhow::{Context as _, anyhow};

use super::Outcome;

/// Becomes the program of this name.
///
/// # Errors
/// When it is not there or cannot be started.
pub fn become_it(name: &str, arguments: Vec<OsString>) -> Outcome {
    let own = std::env::current_exe().context("this program cannot be found")?;
    let program = own.with_file_name(name);
    if !program.exists() {
        let build = "build it with `cargo build --release --workspace`";
        return Err(anyhow!("{} is not there: {build}", program.display()).into());
    }
    let failed = Command::new(&program).args(arguments).exec();
    Err(anyhow::Error::from(failed).context(format!("{} cannot be started", program.display())).into())
}
