//! The traders who may use the gateway: a file each, which holds a hash of the token and what the trader may speak of.
//!
//! A token has 256 random bits, so a fast hash keeps it: nobody can try them all.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use blake2::{Blake2b256, Digest as _};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::token::{TokenError, random, same, secret};

/// Traders that may have a token.
const MOST: usize = 32;
/// Requests of each kind that a trader may have under way.
const UNDER_WAY: usize = 8;

/// Why a trader cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum TraderError {
    /// Its file cannot be used.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The folder cannot be read or written.
    #[error("{path}: {why}")]
    Folder {
        /// Which.
        path: PathBuf,
        /// What the system said.
        why: io::Error,
    },
    /// What stands in the file, or is to stand there, is not right.
    #[error("{path}: {what}")]
    Content {
        /// Which.
        path: PathBuf,
        /// What is wrong, and what to do.
        what: String,
    },
    /// There is none.
    #[error(
        "{path}: no trader has a token there, so nobody could ask; make one with `vigie web trader NAME --traders {path}`"
    )]
    Nobody {
        /// The folder.
        path: PathBuf,
    },
    /// One could speak of the trades of another.
    #[error(
        "the traders {one} and {other} could speak of each other's trades; give each a `--prefix` that no id of the other begins with"
    )]
    Overlap {
        /// A trader.
        one: String,
        /// Another one.
        other: String,
    },
}

/// What stands in a trader's file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    /// BLAKE2b with 256 bits of the token, in hexadecimal.
    token_blake2b_256: String,
    /// How the ids of all its trades begin.
    prefix: Option<String>,
    /// The symbols it may send signals of; all when there are none.
    #[serde(default)]
    symbols: Vec<String>,
}

/// One who may use the gateway.
#[derive(Debug)]
pub struct Trader {
    /// Its name: that of its file.
    pub name: String,
    hash: String,
    prefix: Option<String>,
    symbols: Vec<String>,
    /// Room for signals, and for everything else.
    pub room: [Semaphore; 2],
}

impl Trader {
    /// Whether it may speak of the trade of this id.
    pub fn may_speak_of(&self, trade_id: &str) -> bool {
        self.prefix.as_ref().is_none_or(|prefix| trade_id.starts_with(prefix))
    }

    /// How the ids of its trades begin, if that is prescribed.
    pub fn prefix(&self) -> Option<&str> {
        self.prefix.as_deref()
    }

    /// Whether it may send signals of this symbol and hear of its versions.
    pub fn may_trade(&self, symbol: &str) -> bool {
        self.symbols.is_empty() || self.symbols.iter().any(|own| own == symbol)
    }
}

/// All of them.
#[derive(Debug)]
pub struct Traders(Vec<Trader>);

impl Traders {
    /// Those of the files in `folder`.
    ///
    /// # Errors
    /// [`TraderError`]: one bad file stops all, so that a mistake is noticed at the start.
    pub fn load(folder: &Path) -> Result<Self, TraderError> {
        let failed = |why: io::Error| TraderError::Folder { path: folder.to_owned(), why };
        let mut traders = Vec::new();
        let mut paths = match fs::read_dir(folder) {
            Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>().map_err(failed)?,
            Err(why) if why.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(why) => return Err(failed(why)),
        };
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        paths.sort();
        for path in paths {
            traders.push(read(&path)?);
        }
        if traders.is_empty() {
            return Err(TraderError::Nobody { path: folder.to_owned() });
        }
        if traders.len() > MOST {
            let what = format!("{} traders, more than the {MOST} there may be", traders.len());
            return Err(TraderError::Content { path: folder.to_owned(), what });
        }
        let mut rest = traders.as_slice();
        while let [one, others @ ..] = rest {
            if let Some(other) = others.iter().find(|other| overlap(one, other)) {
                return Err(TraderError::Overlap { one: one.name.clone(), other: other.name.clone() });
            }
            rest = others;
        }
        Ok(Self(traders))
    }

    /// Whose token this is. All are compared, so that the time it takes says nothing.
    pub fn of(&self, token: &str) -> Option<&Trader> {
        let given = hash(token);
        self.0.iter().fold(None, |found, trader| {
            let is_it = same(trader.hash.as_bytes(), given.as_bytes());
            if is_it { Some(trader) } else { found }
        })
    }

    /// Their names.
    pub fn names(&self) -> String {
        self.0.iter().map(|trader| &*trader.name).collect::<Vec<_>>().join(", ")
    }
}

/// Makes a token for the trader `name` and returns it. With `may_replace` the one there is loses its worth.
///
/// # Errors
/// [`TraderError`].
pub fn make(
    folder: &Path,
    name: &str,
    prefix: Option<&str>,
    symbols: &[String],
    may_replace: bool,
) -> Result<String, TraderError> {
    let path = folder.join(format!("{name}.json"));
    if !is_name(name) {
        return Err(TraderError::Content { path, what: NAMED.to_owned() });
    }
    let token = random().map_err(|why| TraderError::Folder { path: path.clone(), why })?;
    let kept = Kept { token_blake2b_256: hash(&token), prefix: prefix.map(str::to_owned), symbols: symbols.to_vec() };
    check(&path, &kept)?;
    let mut text = serde_json::to_string_pretty(&kept).unwrap_or_default();
    text.push('\n');
    let failed = |why: io::Error| TraderError::Folder { path: path.clone(), why };
    if path.exists() && !may_replace {
        let what = "this trader has a token; --replace makes a new one in its place".to_owned();
        return Err(TraderError::Content { path, what });
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    let beside = folder.join(format!(".{name}.new"));
    let made = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside);
    made.and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all())).map_err(failed)?;
    fs::rename(&beside, &path).map_err(failed)?;
    Ok(token)
}

fn read(path: &Path) -> Result<Trader, TraderError> {
    let text = secret(path)?;
    let content = |what: String| TraderError::Content { path: path.to_owned(), what };
    let kept: Kept = serde_json::from_str(&text).map_err(|error| content(error.to_string()))?;
    let name = check(path, &kept)?;
    let Kept { token_blake2b_256: hash, prefix, symbols } = kept;
    let room = [(); 2].map(|()| Semaphore::new(UNDER_WAY));
    Ok(Trader { name, hash, prefix, symbols, room })
}

/// What a name is.
pub const NAMED: &str = "the name of a trader has 1 to 32 of a-z, 0-9, - and _";

/// Whether a trader may be called so: its file is, too.
pub fn is_name(text: &str) -> bool {
    let is_named = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
    (1..=32).contains(&text.len()) && text.chars().all(is_named)
}

/// The name, when everything is as it must be.
fn check(path: &Path, kept: &Kept) -> Result<String, TraderError> {
    let content = |what: &str| Err(TraderError::Content { path: path.to_owned(), what: what.to_owned() });
    let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
    if !is_name(name) {
        return content(NAMED);
    }
    let hash = &kept.token_blake2b_256;
    if hash.len() != 64 || !hash.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c)) {
        return content("token_blake2b_256: 64 hexadecimal digits are expected, as `vigie web trader` writes them");
    }
    let is_of_id = |c: char| c.is_ascii_alphanumeric() || "._:/-".contains(c);
    if kept.prefix.as_ref().is_some_and(|text| text.is_empty() || text.len() > 32 || !text.chars().all(is_of_id)) {
        return content("prefix: 1 to 32 of A-Z a-z 0-9 . _ : / - are expected");
    }
    let is_of_symbol = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || "._".contains(c);
    let is_symbol = |text: &String| !text.is_empty() && text.len() <= 16 && text.chars().all(is_of_symbol);
    if !kept.symbols.iter().all(is_symbol) {
        return content("symbols: each has 1 to 16 of A-Z 0-9 . _");
    }
    Ok(name.to_owned())
}

/// Whether an id may be that of a trade of either.
fn overlap(one: &Trader, other: &Trader) -> bool {
    match (&one.prefix, &other.prefix) {
        (Some(one), Some(other)) => one.starts_with(other) || other.starts_with(one),
        _ => true,
    }
}

fn hash(token: &str) -> String {
    Blake2b256::digest(token.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn named(name: &str, prefix: Option<&str>, folder: &Path) -> String {
        make(folder, name, prefix, &[], false).unwrap()
    }

    #[test]
    fn a_token_is_told_once_kept_as_a_hash_and_known_again() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("traders");
        let (one, other) = (named("one", Some("one-"), &folder), named("other", Some("o:"), &folder));
        let text = fs::read_to_string(folder.join("one.json")).unwrap();
        assert!(!text.contains(&one) && text.contains(&hash(&one)));
        assert_eq!(fs::metadata(folder.join("one.json")).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        let traders = Traders::load(&folder).unwrap();
        let name = |token: &str| traders.of(token).map(|trader| trader.name.clone());
        assert_eq!((name(&one).as_deref(), name(&other).as_deref()), (Some("one"), Some("other")));
        for wrong in ["", &one[1..], &hash(&one), &format!("{one} "), &one.to_uppercase()] {
            assert_eq!(name(wrong), None, "{wrong}");
        }
        assert!(matches!(make(&folder, "one", None, &[], false), Err(TraderError::Content { .. })));
        let newer = make(&folder, "one", Some("one-"), &[], true).unwrap();
        let traders = Traders::load(&folder).unwrap();
        assert!(traders.of(&one).is_none() && traders.of(&newer).is_some());
    }

    #[test]
    fn traders_who_could_speak_of_each_others_trades_are_refused() {
        for (one, other, is_refused) in [
            (None, None, true),
            (Some("a"), None, true),
            (Some("a"), Some("ab"), true),
            (Some("a"), Some("a"), true),
            (Some("a-"), Some("ab-"), false),
        ] {
            let folder = tempfile::tempdir().unwrap();
            named("one", one, folder.path());
            assert!(Traders::load(folder.path()).is_ok());
            named("other", other, folder.path());
            let loaded = Traders::load(folder.path());
            assert_eq!(matches!(loaded, Err(TraderError::Overlap { .. })), is_refused, "{one:?} {other:?}");
        }
    }

    #[test]
    fn a_file_that_others_may_read_or_that_is_not_right_is_refused_and_so_is_a_folder_without_any() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(Traders::load(folder.path()), Err(TraderError::Nobody { .. })));
        assert!(matches!(Traders::load(&folder.path().join("none")), Err(TraderError::Nobody { .. })));
        named("one", None, folder.path());
        let path = folder.path().join("one.json");
        let sound = fs::read_to_string(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Traders::load(folder.path()), Err(TraderError::Token(TokenError::Open { .. }))));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let digits = hash("x");
        for text in [
            "".to_owned(),
            "{}".to_owned(),
            sound.replace("\"prefix\"", "\"prefixes\""),
            format!(r#"{{"token_blake2b_256":"{}","prefix":null}}"#, &digits[1..]),
            format!(r#"{{"token_blake2b_256":"{digits}","prefix":""}}"#),
            format!(r#"{{"token_blake2b_256":"{digits}","prefix":"a b"}}"#),
            format!(r#"{{"token_blake2b_256":"{digits}","prefix":null,"symbols":["es"]}}"#),
        ] {
            fs::write(&path, &text).unwrap();
            assert!(matches!(Traders::load(folder.path()), Err(TraderError::Content { .. })), "{text}");
        }
        for name in ["", "A", "a b", "../a", "./a", "sub/a", &"a".repeat(33)] {
            assert!(make(folder.path(), name, None, &[], false).is_err(), "{name:?}");
        }
    }
}
