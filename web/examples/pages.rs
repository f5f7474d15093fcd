//! Writes the man pages and completions of `vigie-web` into a folder: `cargo run -p vigie-web --example pages -- FOLDER`.

use std::{env, io, path::Path};

use clap::CommandFactory as _;
use vigie_web::options::Options;

fn main() -> io::Result<()> {
    let folder = env::args_os().nth(1).ok_or_else(|| io::Error::other("a folder is expected"))?;
    vigie_pages::write(Options::command(), "vigie-web", Path::new(&folder))
}
