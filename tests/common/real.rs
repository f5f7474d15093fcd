//! Where the real trades are, which are no part of the project.

use std::path::PathBuf;

/// The file of real trades. `None`, said on standard error, when there is none.
pub fn data() -> Option<String> {
    let folder = std::env::var_os("VIGIE_DATA").map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data")));
    let file = folder.join("es-2015-2016.jsonl.gz");
    if !file.exists() {
        eprintln!("skipped: there is no {}; name its folder with VIGIE_DATA", file.display());
        return None;
    }
    Some(file.to_str().unwrap().to_owned())
}
