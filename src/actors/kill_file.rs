//! The file that silences every model without a socket.

use std::path::Path;

/// Its name in the state folder.
pub const KILL_FILE: &str = "kill";

/// Whether something of that name stands at `path`: a link to nothing does too, since somebody put it there.
pub fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
