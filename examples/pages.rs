//! Writes the man pages and completions of `vigie` into a folder: `cargo run --example pages -- FOLDER`.

use std::{env, io, path::Path};

use clap::CommandFactory as _;
use vigie::commands::Vigie;

fn main() -> io::Result<()> {
    let folder = env::args_os().nth(1).ok_or_else(|| io::Error::other("a folder is expected"))?;
    vigie_pages::write(Vigie::command(), "vigie", Path::new(&folder))
}
