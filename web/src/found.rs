//! Where the daemon listens, by the rule that the commands of `vigie` go by (`docs/operations.md`). `vigie-notify` has this file too.
//! `web/tests/found.rs` compares it with what `vigie` itself finds.

use std::path::{Path, PathBuf};

/// The socket that is named, that of `VIGIE_SOCKET`, of the folder `VIGIE_STATE`, of this folder, or the service's.
pub fn socket(given: Option<&Path>) -> PathBuf {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let named = |name: &str| set(name).filter(|path| !path.as_os_str().is_empty());
    let (here, state, service) =
        (Path::new("vigie-state"), Path::new("/var/lib/vigie"), Path::new("/run/vigie/vigie.sock"));
    let has_state = |folder: &Path| folder.join("vigie.redb").exists() || folder.join("vigie.sock").exists();
    let of_state = |folder: PathBuf| {
        let own = folder.join("vigie.sock");
        if folder == state && !own.exists() { service.to_owned() } else { own }
    };
    let is_unwanted = || ["VIGIE_STATE", "VIGIE_SOCKET"].into_iter().any(|name| set(name) == Some(PathBuf::new()));
    let found = || {
        let is_services = !has_state(here) && !is_unwanted() && (has_state(state) || service.exists());
        of_state(if is_services { state } else { here }.to_owned())
    };
    let named =
        given.map(Path::to_owned).or_else(|| named("VIGIE_SOCKET")).or_else(|| named("VIGIE_STATE").map(of_state));
    named.unwrap_or_else(found)
}
