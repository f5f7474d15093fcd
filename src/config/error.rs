//! What is wrong with a configuration: every fault at once, each with its line.

#![deny(clippy::indexing_slicing)]

use std::{fmt, io, ops::Range, path::PathBuf, sync::Arc};

/// All faults of one configuration, in the order of its lines; never empty.
///
/// As text it is one line per fault; [`LoadError::drawn`] draws the lines at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors {
    name: String,
    errors: Vec<ConfigError>,
    left_out: usize,
}

/// How many faults are listed; a file with more is hardly a configuration.
pub(super) const LISTED: usize = 100;

/// One fault of a configuration.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}:{line}: {subject}{fault}", file.name, subject = self.subject())]
pub struct ConfigError {
    /// Line of the file, from 1.
    pub line: usize,
    /// Dotted path of the key, such as `scoring.blend_weight`; empty when the text is not TOML there.
    pub key: String,
    /// The value as it stands in the file, cut to one short line.
    pub written: Option<String>,
    /// What is wrong with it.
    pub fault: ConfigFault,
    pub(super) span: Range<usize>,
    pub(super) other: Option<Range<usize>>,
    pub(super) file: Arc<File>,
}

/// A configuration's text under its name, shared by its errors.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct File {
    pub(super) name: String,
    pub(super) text: String,
}

/// The kinds of fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigFault {
    /// The text is not TOML, or a key is given twice.
    #[error("{0}")]
    Syntax(String),
    /// Nothing of this name exists.
    #[error("there is no such {what}{}", or_hint(.hint))]
    Unknown {
        /// `key` or `section`.
        what: &'static str,
        /// What was probably meant.
        hint: Option<String>,
    },
    /// The value has another type.
    #[error("must be {expected}, not {found}")]
    WrongType {
        /// The type, with the range where there is one.
        expected: String,
        /// The type it has.
        found: &'static str,
    },
    /// The value is outside what is allowed.
    #[error("must be {allowed}{}", or_hint(.hint))]
    OutOfRange {
        /// What is allowed.
        allowed: String,
        /// What was probably meant.
        hint: Option<String>,
    },
    /// The value is allowed by itself and not together with others of its list.
    #[error("{0}")]
    Refused(String),
    /// A key that has no default is not given.
    #[error("is missing; it must be {allowed}")]
    Missing {
        /// What is allowed.
        allowed: String,
    },
    /// Two keys do not go together.
    #[error("{rule} {other}")]
    Conflict {
        /// What must hold.
        rule: &'static str,
        /// The other key with its value.
        other: String,
    },
}

/// Why a configuration file could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It is not there or may not be read.
    #[error("{}: cannot be read: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// It is a folder, a pipe or a device.
    #[error("{}: is not a regular file; a configuration is a plain text file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// It is too long to be a configuration.
    #[error("{}: is longer than {limit} bytes, the most that a configuration may have", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },
    /// It is not text.
    #[error("{}:{line}: is not UTF-8 text; save the file with that encoding", path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// The line of the first byte at fault, from 1.
        line: usize,
    },
    /// Its content is at fault.
    #[error(transparent)]
    Invalid(#[from] ConfigErrors),
}

fn or_hint(hint: &Option<String>) -> String {
    hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default()
}

impl ConfigErrors {
    /// The faults of the file `name`; `errors` holds at least one.
    pub(super) fn new(name: &str, mut errors: Vec<ConfigError>) -> Self {
        let left_out = errors.len().saturating_sub(LISTED);
        errors.truncate(LISTED);
        Self { name: name.to_owned(), errors, left_out }
    }

    /// The name of the configuration, as given to [`Config::parse`](super::Config::parse).
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The faults, in the order of their lines; no more than the first hundred.
    pub fn iter(&self) -> std::slice::Iter<'_, ConfigError> {
        self.errors.iter()
    }

    /// How many there are that [`iter`](ConfigErrors::iter) leaves out.
    pub(super) fn left_out(&self) -> usize {
        self.left_out
    }
}

impl<'a> IntoIterator for &'a ConfigErrors {
    type Item = &'a ConfigError;
    type IntoIter = std::slice::Iter<'a, ConfigError>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            let line_end = if index == 0 { "" } else { "\n" };
            write!(f, "{line_end}{error}")?;
        }
        if self.left_out > 0 { write!(f, "\n{}: and {} more", self.name, self.left_out) } else { Ok(()) }
    }
}

impl ConfigError {
    /// `key = value: `, as far as there are key and value.
    fn subject(&self) -> String {
        match (&*self.key, &self.written) {
            ("", _) => String::new(),
            (key, Some(written)) => format!("{key} = {written}: "),
            (key, None) => format!("{key}: "),
        }
    }
}

impl PartialEq for ConfigError {
    fn eq(&self, other: &Self) -> bool {
        self.file.name == other.file.name
            && (self.line, &self.key, &self.written, &self.fault)
                == (other.line, &other.key, &other.written, &other.fault)
    }
}

impl Eq for ConfigError {}
