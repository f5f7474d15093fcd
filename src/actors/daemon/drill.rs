//! Drills and trading never share a state folder: that of a drill is marked by a file, and each kind of daemon refuses the
//! folder of the other.

use std::{fs, path::Path};

use super::{JOURNAL_FILE, StartError};
use crate::domain::{EventKind, event::Level};

/// Name of the file that marks the state folder of a drill.
pub const DRILL_FILE: &str = "drill";

const NOTICE: &str = "Emergencies are played on this state folder. Nothing in it is to be traded on.\n";

/// Marks `state` as the folder of a drill.
///
/// # Errors
/// What the system says when the file cannot be written.
pub fn mark(state: &Path) -> std::io::Result<()> {
    fs::write(state.join(DRILL_FILE), NOTICE)
}

/// Whether the folder is for this kind of daemon. A drill marks a folder that has no journal yet.
pub(super) fn check(state: &Path, drill: bool) -> Result<(), StartError> {
    let path = || state.to_owned();
    let exists = |name: &str| state.join(name).symlink_metadata().is_ok();
    match (drill, exists(DRILL_FILE)) {
        (true, true) | (false, false) => Ok(()),
        (false, true) => Err(StartError::IsADrill { path: path() }),
        (true, false) if exists(JOURNAL_FILE) => Err(StartError::IsNoDrill { path: path() }),
        (true, false) => mark(state).map_err(|source| StartError::State { path: path(), source }),
    }
}

/// The first event of a drill.
pub(super) fn notice() -> EventKind {
    let message =
        "this daemon is a drill: its emergencies are played, and nothing it says is to be traded on".to_owned();
    EventKind::Alert { level: Level::Info, code: "drill".into(), message }
}
