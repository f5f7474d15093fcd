//! The page and the commands speak of the same daemon, whatever names it: orders of either must never go to two of them.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::net::UnixListener,
    path::Path,
    process::{Command, Stdio},
};

use common::{TOKEN, vigie};

/// What the environment says.
type Variables = [(&'static str, &'static str)];

fn with(command: &mut Command, folder: &Path, variables: &Variables) {
    command.current_dir(folder).env_remove("VIGIE_STATE").env_remove("VIGIE_SOCKET");
    command.envs(variables.iter().copied()).env("VIGIE_WEB_TOKEN", TOKEN);
}

/// Where an order of the command line goes: the error of a daemon that does not answer names it.
fn of_an_order(folder: &Path, variables: &Variables) -> String {
    let mut command = Command::new(vigie());
    command.args(["lock", "--reason", "a test"]);
    with(&mut command, folder, variables);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    let (_, rest) = said.split_once("no daemon answers at ").unwrap_or_else(|| panic!("{said}"));
    rest.split([' ', ':', '\n']).next().unwrap().to_owned()
}

/// Where the page's go: its first line names it.
fn of_the_page(folder: &Path, variables: &Variables) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vigie-web"));
    command.args(["--listen", "127.0.0.1:0"]).stdout(Stdio::piped());
    with(&mut command, folder, variables);
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    line.rsplit(' ').next().unwrap().trim().to_owned()
}

#[test]
fn the_page_and_an_order_go_to_the_daemon_that_the_environment_or_the_folder_names() {
    let place = tempfile::tempdir().unwrap();
    let [bare, stopped, listening] = ["bare", "stopped", "listening"].map(|name| place.path().join(name));
    fs::create_dir(&bare).unwrap();
    fs::create_dir_all(stopped.join("vigie-state")).unwrap();
    fs::write(stopped.join("vigie-state/vigie.redb"), "").unwrap();
    fs::create_dir_all(listening.join("vigie-state")).unwrap();
    // nobody listens there any more
    drop(UnixListener::bind(listening.join("vigie-state/vigie.sock")).unwrap());
    let local = "vigie-state/vigie.sock";
    let (state, socket) = (("VIGIE_STATE", "other"), ("VIGIE_SOCKET", "s/x.sock"));
    for folder in [&bare, &stopped, &listening] {
        for (variables, expected) in [
            (&[state][..], Some("other/vigie.sock")),
            (&[socket], Some("s/x.sock")),
            (&[state, socket], Some("s/x.sock")),
            (&[("VIGIE_STATE", "")], Some(local)),
            (&[("VIGIE_SOCKET", "")], Some(local)),
            (&[("VIGIE_SOCKET", ""), state], Some("other/vigie.sock")),
            // in an empty folder it may be the service of the machine of the test
            (&[], (folder != &bare).then_some(local)),
        ] {
            let found = of_an_order(folder, variables);
            assert_eq!(of_the_page(folder, variables), found, "{variables:?} in {folder:?}");
            assert!(expected.is_none_or(|expected| expected == found), "{variables:?} in {folder:?}: {found}");
        }
    }
}
