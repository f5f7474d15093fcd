//! The token that opens what changes something.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

/// Characters that a token must have at least: 128 bits as hexadecimal digits.
const SHORTEST: usize = 32;

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be used.
    #[error("{path}: the token cannot be read or made: {why}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        why: io::Error,
    },
    /// Others may read it, or it is no file.
    #[error("{path}: refused: {what}; remove it and a new one is made, or `chmod 600` it")]
    Open {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// It is too easy to guess.
    #[error("{origin}: a token has at least 32 of a-z, A-Z, 0-9, - and _; remove it and a new one is made")]
    Weak {
        /// Where it came from.
        origin: String,
    },
}

/// A secret. Its `Debug` does not tell it.
#[derive(Clone)]
pub struct Token(String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(..)")
    }
}

impl Token {
    /// From the environment's `VIGIE_WEB_TOKEN`.
    ///
    /// # Errors
    /// [`TokenError::Weak`].
    pub fn new(text: &str, origin: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        let is_known = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if text.len() < SHORTEST || !text.chars().all(is_known) {
            return Err(TokenError::Weak { origin: origin.to_owned() });
        }
        Ok(Self(text.to_owned()))
    }

    /// That of `path`, and whether it was made now because there was no file.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn load_or_make(path: &Path) -> Result<(Self, bool), TokenError> {
        let failed = |why: io::Error| TokenError::File { path: path.to_owned(), why };
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        match made {
            Ok(mut file) => {
                let token = random().map_err(failed)?;
                file.write_all(format!("{token}\n").as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
                Ok((Self(token), true))
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok((Self::load(path)?, false)),
            Err(error) => Err(failed(error)),
        }
    }

    fn load(path: &Path) -> Result<Self, TokenError> {
        Self::new(&secret(path)?, &path.display().to_string())
    }

    /// Whether `given` is this one. The time it takes says nothing about where they differ.
    pub fn is(&self, given: &str) -> bool {
        same(self.0.as_bytes(), given.as_bytes())
    }

    /// The secret itself, for the address that is printed once.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// Whether two secrets are the same. The time it takes depends on their lengths alone.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && std::hint::black_box(a.iter().zip(b).fold(0, |differs, (a, b)| differs | (a ^ b))) == 0
}

/// The text of a file that its owner alone may read.
///
/// # Errors
/// [`TokenError`].
pub fn secret(path: &Path) -> Result<String, TokenError> {
    let failed = |why: io::Error| TokenError::File { path: path.to_owned(), why };
    let open = |what: String| TokenError::Open { path: path.to_owned(), what };
    if path.symlink_metadata().map_err(failed)?.is_symlink() {
        return Err(open("it is a symbolic link".to_owned()));
    }
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(open("it is no file".to_owned()));
    }
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(open(format!("its mode is {mode:04o}, others may read it (owner {})", metadata.uid())));
    }
    let mut text = String::new();
    file.take(4096).read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}

/// 64 hexadecimal digits that nobody can foretell.
///
/// # Errors
/// When the system gives none.
pub fn random() -> io::Result<String> {
    let mut bytes = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_token_is_made_once_and_only_its_owner_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let (made, is_new) = Token::load_or_make(&path).unwrap();
        assert!(is_new && made.reveal().len() == 64);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let (again, is_new) = Token::load_or_make(&path).unwrap();
        assert!(!is_new && again.is(made.reveal()));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Token::load_or_make(&path), Err(TokenError::Open { .. })));
    }

    #[test]
    fn a_link_a_folder_and_a_weak_token_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (link, weak) = (folder.path().join("link"), folder.path().join("weak"));
        fs::write(folder.path().join("real"), "x".repeat(40)).unwrap();
        std::os::unix::fs::symlink(folder.path().join("real"), &link).unwrap();
        fs::write(&weak, "secret\n").unwrap();
        fs::set_permissions(&weak, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(Token::load_or_make(&link), Err(TokenError::Open { .. })));
        assert!(matches!(Token::load_or_make(folder.path()), Err(TokenError::Open { .. })));
        assert!(matches!(Token::load_or_make(&weak), Err(TokenError::Weak { .. })));
    }

    #[test]
    fn only_the_whole_token_is_it() {
        let token = Token::new(&"a".repeat(40), "test").unwrap();
        for other in ["", "a", &"a".repeat(39), &"a".repeat(41), &"b".repeat(40)] {
            assert!(!token.is(other), "{other}");
        }
        assert!(token.is(&"a".repeat(40)));
        assert_eq!(format!("{token:?}"), "Token(..)");
    }
}
