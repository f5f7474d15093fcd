//! The program `vigie-notify`.

use std::process::ExitCode;

fn main() -> ExitCode {
    vigie_notify::main()
}
