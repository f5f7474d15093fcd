//! Secrets: read from files, never printed.

use std::{
    fmt,
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// Longest file of a secret, in bytes.
const LONGEST: u64 = 4096;

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
        let said = |why: &str| format!("{}: {why}", path.display());
        // looked at before it is opened: to open a pipe waits for somebody who writes
        let found = fs::metadata(&path).map_err(|error| said(&words(&error)))?;
        if !found.is_file() {
            let what = found.file_type();
            let what = match () {
                () if what.is_dir() => "a folder",
                () if what.is_fifo() => "a pipe",
                () if what.is_socket() => "a socket",
                () => "a device",
            };
            return Err(said(&format!("it is {what}; it is to be a file that holds the secret")));
        }
        let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let opened = File::options().read(true).custom_flags(nonblocking).open(&path);
        let file = opened.map_err(|error| said(&words(&error)))?;
        let found = file.metadata().map_err(|error| said(&words(&error)))?;
        if found.mode() & 0o007 != 0 {
            return Err(said("every user can open it; chmod 600 it"));
        }
        let own = rustix::process::geteuid().as_raw();
        if found.uid() != 0 && found.uid() != own {
            return Err(said(&format!(
                "it belongs to the user {}, and not to root or to this user ({own}); chown it",
                found.uid()
            )));
        }
        let mut text = String::new();
        file.take(LONGEST + 1).read_to_string(&mut text).map_err(|error| said(&words(&error)))?;
        let is_long = text.len() as u64 > LONGEST;
        let text = text.trim();
        if text.is_empty() || is_long || !text.chars().all(|c| c.is_ascii_graphic()) {
            return Err(said("it is to hold one line of printable characters without spaces"));
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

fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "this user may not read it".to_owned(),
        io::ErrorKind::InvalidData => "it is no text".to_owned(),
        kind => kind.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn a_secret_is_a_file_that_belongs_to_root_or_to_this_user() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = folder.path().join("secrets");
        fs::create_dir(&secrets).unwrap();
        let fault = |name: &str| Secret::read(name, folder.path()).expect_err(name);
        fs::create_dir(secrets.join("folder")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, secrets.join("pipe"), rustix::fs::Mode::RUSR).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(secrets.join("socket")).unwrap();
        fs::write(secrets.join("binary"), [0xff, 0xfe]).unwrap();
        fs::write(secrets.join("long"), "x".repeat(5000)).unwrap();
        fs::write(secrets.join("good"), "S3CRET\n").unwrap();
        for name in ["binary", "long", "good"] {
            fs::set_permissions(secrets.join(name), fs::Permissions::from_mode(0o600)).unwrap();
        }
        symlink(secrets.join("good"), secrets.join("link")).unwrap();
        for (name, expected) in [
            ("folder", "it is a folder; it is to be a file"),
            ("pipe", "it is a pipe; it is to be a file"),
            ("socket", "it is a socket; it is to be a file"),
            ("/dev/null", "it is a device; it is to be a file"),
            ("binary", "it is no text"),
            ("long", "it is to hold one line"),
            ("none", "there is no such file"),
        ] {
            assert!(fault(name).contains(expected), "{name}: {}", fault(name));
        }
        assert_eq!(Secret::read("link", folder.path()), Ok(Secret::of("S3CRET")));
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(secrets.join("good"), Some(12_345), None).unwrap();
            assert!(fault("good").contains("it belongs to the user 12345, and not to root"), "{}", fault("good"));
        }
    }
}
