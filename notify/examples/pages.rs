//! Writes the man pages and completions of `vigie-notify` into a folder: `cargo run -p vigie-notify --example pages -- FOLDER`.

use std::{env, io, path::Path};

use clap::CommandFactory as _;
use vigie_notify::options::Options;

fn main() -> io::Result<()> {
    let folder = env::args_os().nth(1).ok_or_else(|| io::Error::other("a folder is expected"))?;
    vigie_pages::write(Options::command(), "vigie-notify", Path::new(&folder))
}
