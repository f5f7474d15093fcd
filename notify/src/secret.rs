//! Secrets: read from files, never printed.

use std::{
    fmt, fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

/// A token, an address with one in it, or a key.
#[derive(Clone, PartialEq)]
pub struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Secret {
    /// This text.
    pub fn of(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// What it is, for the one place that sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Reads the file `name`: a path from the root, else among the credentials of the service manager (as NAME or secrets_NAME), else in
    /// the folder `secrets` beside the configuration.
    ///
    /// # Errors
    /// In words that have no secret in them.
    pub fn read(name: &str, beside: &Path) -> Result<Self, String> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
        if name.is_empty() || name.len() > 200 || !name.chars().all(is_plain) {
            return Err(
                "it is to be the name of a file that holds the secret; what stands there is not shown".to_owned()
            );
        }
        let path = Self::find(name, beside);
        let said = |error: std::io::Error| format!("{}: {error}", path.display());
        let mode = fs::metadata(&path).map_err(said)?.permissions().mode();
        if mode & 0o007 != 0 {
            return Err(format!("{}: every user can open it; chmod 600 it", path.display()));
        }
        let text = fs::read_to_string(&path).map_err(said)?;
        let text = text.trim();
        if text.is_empty() || text.len() > 4096 || !text.chars().all(|c| c.is_ascii_graphic()) {
            return Err(format!("{}: it is to hold one line of printable characters without spaces", path.display()));
        }
        Ok(Self(text.to_owned()))
    }

    fn find(name: &str, beside: &Path) -> PathBuf {
        if name.starts_with('/') {
            return PathBuf::from(name);
        }
        let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
        let given =
            credentials.into_iter().flat_map(|folder| [folder.join(name), folder.join(format!("secrets_{name}"))]);
        given.into_iter().find(|path| path.exists()).unwrap_or_else(|| beside.join("secrets").join(name))
    }
}
