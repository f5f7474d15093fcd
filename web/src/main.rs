//! The program `vigie-web`.

use std::process::ExitCode;

fn main() -> ExitCode {
    vigie_web::main()
}
