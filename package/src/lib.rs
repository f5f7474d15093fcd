//! Man pages and completions, made from the command line that a program understands, so that they cannot say anything else.
//!
//! The example `pages` of each program calls it; `package/build.sh` runs them. No program depends on it.

use std::{fs, io, path::Path};

use clap::Command;
use clap_complete::{Shell, generate_to};

/// Writes the man pages of `command` and all its subcommands into `folder`/man, and its completions for bash, zsh and fish into
/// `folder`/completions, under the name `program`.
///
/// # Errors
/// When a file cannot be written.
pub fn write(command: Command, program: &'static str, folder: &Path) -> io::Result<()> {
    let command = command.name(program).bin_name(program).display_name(program);
    let (man, completions) = (folder.join("man"), folder.join("completions"));
    fs::create_dir_all(&man)?;
    fs::create_dir_all(&completions)?;
    clap_mangen::generate_to(without_help(command.clone()), &man)?;
    let mut command = command;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        generate_to(shell, &mut command, program, &completions)?;
    }
    Ok(())
}

/// The commands without `help`, which would have a page for each of them once more.
fn without_help(command: Command) -> Command {
    command.mut_subcommands(without_help).disable_help_subcommand(true)
}
