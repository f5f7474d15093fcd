//! Where the real trades are. They are no part of the project.

use std::path::{Path, PathBuf};

use super::skip::skipped;

/// The file of real trades, in the folder that `VIGIE_DATA` names or in `../shared/data`. `None`, and the caller counts as
/// skipped, when it is not there.
#[track_caller]
pub fn data() -> Option<String> {
    let folder = std::env::var_os("VIGIE_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
    let file = folder.join("es-2015-2016.jsonl.gz");
    if !file.exists() {
        skipped(&format!("there is no {}; VIGIE_DATA may name its folder", file.display()));
        return None;
    }
    Some(file.to_str().unwrap().to_owned())
}
