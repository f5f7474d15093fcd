//! The configuration: a file as written, checked as a whole, and turned into values that can be trusted.
//!
//! `config.toml` at the root of the repository is compiled in and is the only source of defaults; a user's file holds
//! what differs. Keys, their ranges and the rules between them are in `keys`; everything else here serves any key.
//! Nothing else reads TOML, but for the maps of `vigie import`.

#![deny(clippy::indexing_slicing)]

mod access;
mod document;
mod drawn;
mod error;
mod keys;
mod learning;
mod nearest;
mod reader;
mod schedule;
mod trials;
mod watch;

use std::{
    collections::BTreeMap,
    fs::File,
    io::Read,
    ops::Deref,
    path::{Path, PathBuf},
    time::Duration,
};

use blake2::{Blake2b, Digest, digest::consts::U8};
use jiff::SignedDuration;

use self::{document::Document, reader::Reader};
use crate::{
    domain::{Symbol, TradingCalendar},
    features::{DesignOptions, Instrument, measured::StaleOptions},
    guard::{emergency::EmergencyOptions, gradual::GradualOptions, plausibility::Bounds},
    models::levels::Thresholds,
    policy::answer::Policy,
    state::step::Rules,
    trials::{
        experiment::{self, StagingOptions},
        promotion::Automatic,
    },
    validation::{ValidationOptions, training::Training},
};

pub use access::{Access, Account};
pub use error::{ConfigError, ConfigErrors, ConfigFault, LoadError};
pub use keys::may_name_an_input;
pub use schedule::Schedule;
pub use watch::Monitoring;

/// The built-in configuration: every key with its default and what it means.
pub const BUILTIN: &str = include_str!("../config.toml");

/// The longest file that is taken for a configuration, in bytes.
pub const MAX_BYTES: u64 = 1 << 20;

/// Every threshold, checked. Its [`Sections`] are read as if they were its own fields; they cannot be changed, so that
/// what [`Config::hash`] and [`Config::entries`] say is always what is in force.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    sections: Sections,
    settings: Vec<Setting>,
}

/// The values of a [`Config`], section by section.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Sections {
    /// `[symbols.NAME]`: the instruments that may be scored.
    pub symbols: BTreeMap<Symbol, Instrument>,
    /// `[trading_day]`.
    pub calendar: TradingCalendar,
    /// `[server]`.
    pub server: Server,
    /// `[access]`.
    pub access: Access,
    /// `[account]`.
    pub account: Account,
    /// `[scoring]` and `[sizing]`.
    pub policy: Policy,
    /// `[features]`, and of `[carry]` how old values may be.
    pub features: DesignOptions,
    /// The rest of `[carry]`.
    pub stale: StaleOptions,
    /// `[training]`.
    pub training: Training,
    /// `[validation]`, with what `[training]` and `[scoring]` say about it.
    pub validation: ValidationOptions,
    /// `[levels]`.
    pub levels: Thresholds,
    /// `[trainer]`.
    pub trainer: Trainer,
    /// `[lifecycle]`.
    pub lifecycle: Lifecycle,
    /// `[staging]`.
    pub staging: StagingOptions,
    /// `[experiment]`.
    pub experiment: experiment::ExperimentOptions,
    /// `[journal]`.
    pub journal: Journal,
    /// `[supervision]`.
    pub supervision: Supervision,
    /// `[guardian]`.
    pub guardian: EmergencyOptions,
    /// `[monitor]` and `[health]`.
    pub monitoring: Monitoring,
    /// `[gradual]`.
    pub gradual: GradualOptions,
    /// `[schedule]`.
    pub schedule: Schedule,
    /// `[log]`.
    pub log_level: LogLevel,
}

/// Limits of the socket.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// Connections open at once.
    pub max_connections: usize,
    /// How many of those only an operator may take.
    pub reserved_connections: usize,
    /// Answers under way at once on one connection.
    pub max_in_flight: usize,
    /// Longest request line in bytes, without its line end.
    pub max_line_bytes: usize,
    /// How long half a line may wait for its other half.
    pub half_line_timeout: Duration,
    /// How long a client may leave answers unread.
    pub write_timeout: Duration,
    /// Time an answer may take when the request names no deadline.
    pub deadline: Duration,
    /// How far a signal's time may lie ahead of the daemon's clock.
    pub max_ahead: Duration,
    /// How long a stop may take before what is left is cut off.
    pub drain: Duration,
}

/// What versions do by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifecycle {
    /// Which steps need no operator.
    pub automatic: Automatic,
    /// How often what is served is compared with what the journal says.
    pub verify: Duration,
}

/// How the journal is written.
#[derive(Debug, Clone, PartialEq)]
pub struct Journal {
    /// Writes that may wait for the disk before scoring falls back to the baseline.
    pub queue: usize,
    /// Most writes in one commit.
    pub batch: usize,
    /// How long writes that nobody waits for let others join them.
    pub linger: Duration,
    /// Cache of the database, in bytes.
    pub cache_bytes: usize,
    /// Pause before a failed database is opened again.
    pub retry: Duration,
    /// Trade ids that are known at once.
    pub known_ids: usize,
}

/// What a training in the daemon's child process may take.
#[derive(Debug, Clone, PartialEq)]
pub struct Trainer {
    /// Time after which it is ended.
    pub wall: Duration,
    /// Memory it may map, in bytes.
    pub memory_bytes: u64,
    /// How far it steps back behind other processes.
    pub nice: i32,
}

/// How often actors may fail.
#[derive(Debug, Clone, PartialEq)]
pub struct Supervision {
    /// Restarts within the window that are survived.
    pub max_restarts: usize,
    /// The window.
    pub window: Duration,
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the usual levels")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// A key with its value in force.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Setting {
    /// Dotted path.
    key: String,
    /// As TOML, in the one form that equal values share.
    value: String,
    /// What is allowed, in words; the comment in the built-in file says the same.
    allowed: String,
    /// Whether a change waits for the next start.
    at_restart: bool,
}

impl Setting {
    /// Whether it cannot change while the daemon runs. A symbol comes and goes with a reload, but a tick that changed under a
    /// model would change what it sees.
    fn is_frozen(&self) -> bool {
        self.at_restart || (self.key.starts_with("symbols.") && self.key.ends_with(".tick"))
    }
}

impl Config {
    /// The configuration without any file.
    ///
    /// # Errors
    /// None, unless the built-in file itself is at fault, which the tests rule out.
    pub fn builtin() -> Result<Self, ConfigErrors> {
        Self::parse("no file", "")
    }

    /// Reads the TOML `text`; what it leaves out is as in the built-in file, except that any table `[symbols.NAME]`
    /// replaces all the built-in ones. `name` stands for it in messages.
    ///
    /// # Errors
    /// Everything that is wrong with it, at once.
    pub fn parse(name: &str, text: &str) -> Result<Self, ConfigErrors> {
        let (given, builtin) = (Document::new(name, text), Document::new("built-in config.toml", BUILTIN));
        let mut reader = Reader::new(&given, &builtin);
        let sections = keys::read(&mut reader);
        match reader.finish() {
            Ok(settings) => Ok(Self { sections, settings }),
            Err(errors) => Err(ConfigErrors::new(name, errors)),
        }
    }

    /// Every key with its value as TOML, in the order of the built-in file. Values that mean the same are the same text.
    pub fn entries(&self) -> Vec<(String, String)> {
        self.settings.iter().map(|setting| (setting.key.clone(), setting.value.clone())).collect()
    }

    /// The entries as a TOML text, one per line, without comments. Parsing it gives an equal configuration.
    pub fn to_toml(&self) -> String {
        self.settings.iter().map(|setting| format!("{} = {}\n", setting.key, setting.value)).collect()
    }

    /// What identifies these values: BLAKE2b with an 8-byte digest over the lines of [`Config::to_toml`], sorted, as
    /// 16 hexadecimal digits. Comments, order and spelling (`1` or `1.0`) do not matter.
    pub fn hash(&self) -> String {
        self.hash_of(&[""])
    }

    /// The same over the keys under `sections`, which may be single keys: what is made of them is made again when it changes.
    pub fn hash_of(&self, sections: &[&str]) -> String {
        let is_end = |rest: &str, section: &str| section.is_empty() || rest.is_empty() || rest.starts_with('.');
        let under = |key: &str, section: &str| key.strip_prefix(section).is_some_and(|rest| is_end(rest, section));
        let read = self.settings.iter().filter(|s| sections.iter().any(|section| under(&s.key, section)));
        let mut lines: Vec<_> = read.map(|s| format!("{} = {}\n", s.key, s.value)).collect();
        lines.sort_unstable();
        let digest: [u8; 8] = Blake2b::<U8>::digest(lines.concat()).into();
        format!("{:016x}", u64::from_be_bytes(digest))
    }

    /// The keys whose values differ in `new` and which cannot change while the daemon runs, in the order of the
    /// built-in file.
    pub fn frozen_changes(&self, new: &Config) -> Vec<String> {
        let differs = |mine: &&Setting| match new.setting(&mine.key) {
            Some(other) => mine.is_frozen() && other.value != mine.value,
            None => mine.at_restart,
        };
        self.settings.iter().filter(differs).map(|setting| setting.key.clone()).collect()
    }

    /// What is in force after `self` was read while `running` was in force: its values, but those of `running` for the
    /// keys that cannot change while the daemon runs.
    #[must_use]
    pub fn with_frozen_of(mut self, running: &Config) -> Config {
        // the sections that `keys` reads with AtRestart; a test holds the two together
        self.sections.calendar = running.calendar.clone();
        self.sections.features = running.features.clone();
        self.sections.stale = running.stale.clone();
        for (symbol, instrument) in &mut self.sections.symbols {
            if let Some(theirs) = running.symbols.get(symbol) {
                instrument.tick = theirs.tick;
            }
        }
        self.sections.server = running.server.clone();
        self.sections.account = running.account;
        self.sections.journal = running.journal.clone();
        self.sections.supervision = running.supervision.clone();
        for mine in self.settings.iter_mut().filter(|setting| setting.is_frozen()) {
            if let Some(theirs) = running.setting(&mine.key) {
                mine.value.clone_from(&theirs.value);
            }
        }
        self
    }

    fn setting(&self, key: &str) -> Option<&Setting> {
        self.settings.iter().find(|setting| setting.key == key)
    }
}

impl Sections {
    /// What happenings are judged by.
    pub fn rules(&self) -> Rules<'_> {
        Rules {
            guardian: &self.guardian,
            calendar: &self.calendar,
            gradual: &self.gradual,
            wait_days: self.experiment.outcome_wait_days,
        }
    }

    /// What a message cannot say of a trade.
    pub fn bounds(&self) -> Bounds {
        let signed = |span| SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX);
        Bounds {
            max_pnl: self.guardian.max_trade_pnl,
            clock_tolerance: signed(self.monitoring.clock_tolerance),
            max_ahead: signed(self.server.max_ahead),
        }
    }
}

impl Deref for Config {
    type Target = Sections;

    fn deref(&self) -> &Sections {
        &self.sections
    }
}

/// Reads and checks the configuration file at `path`.
///
/// # Errors
/// [`LoadError`] when it is missing, unreadable, no regular file, longer than [`MAX_BYTES`] or no UTF-8, and with all
/// faults of its content at once.
pub fn load(path: &Path) -> Result<Config, LoadError> {
    let path_buf = || PathBuf::from(path);
    let unreadable = |cause| LoadError::Unreadable { path: path_buf(), cause };
    // asked first, because opening a pipe would wait for its other end
    if !path.metadata().map_err(unreadable)?.is_file() {
        return Err(LoadError::NotAFile { path: path_buf() });
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    // one byte more than allowed tells a file that is too long, even one that grows meanwhile
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(LoadError::TooLong { path: path_buf(), limit: MAX_BYTES });
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.as_bytes().iter().take(error.utf8_error().valid_up_to());
        LoadError::NotUtf8 { path: path_buf(), line: 1 + valid.filter(|&&b| b == b'\n').count() }
    })?;
    Ok(Config::parse(&path.display().to_string(), &text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each line of the built-in file that holds a key or a header, with the comment right above it as one line.
    fn commented() -> Vec<(String, String)> {
        let (mut lines, mut comment, mut section) = (Vec::new(), Vec::new(), String::new());
        for line in BUILTIN.lines() {
            if let Some(text) = line.strip_prefix('#') {
                comment.push(text.trim());
                continue;
            }
            let above = std::mem::take(&mut comment).join(" ");
            if let Some(header) = line.strip_prefix('[') {
                section = header.trim_end_matches(']').to_owned();
                lines.push((section.clone(), above));
            } else if let Some((key, _)) = line.split_once(" = ") {
                lines.push((format!("{section}.{key}"), above));
            }
        }
        lines
    }

    #[test]
    fn every_key_stands_in_the_built_in_file_under_a_comment_that_tells_its_range_and_effect() {
        let config = Config::parse("config.toml", BUILTIN).unwrap();
        let commented = commented();
        for setting in &config.settings {
            let found = commented.iter().find(|(key, _)| *key == setting.key);
            let (_, comment) = found.unwrap_or_else(|| panic!("{} is not in config.toml", setting.key));
            if setting.key.starts_with("symbols.") && !setting.key.starts_with("symbols.ES.") {
                continue; // explained at the first symbol
            }
            let allowed = format!("Allowed: {}. ", setting.allowed);
            assert!(comment.contains(&allowed), "{}: the comment lacks {allowed:?}", setting.key);
            let effect = comment.contains(" Raising it: ") || comment.contains(" Effect: ");
            assert!(effect && comment.ends_with('.'), "{}: the comment lacks its effect", setting.key);
        }
        let keys = commented.iter().filter(|(key, _)| config.setting(key).is_some()).count();
        let headers = commented.len() - keys;
        assert_eq!((keys, headers), (config.settings.len(), 28), "a key or header is written in another way");
    }

    #[test]
    fn every_section_has_a_comment_that_says_whether_it_waits_for_a_restart() {
        let config = Config::builtin().unwrap();
        for (section, comment) in commented().iter().filter(|(key, _)| config.setting(key).is_none()) {
            assert!(!comment.is_empty(), "[{section}] has no comment");
            let inside = config.settings.iter().filter(|s| s.key.rsplit_once('.').unwrap().0 == section);
            let at_restart: Vec<_> = inside.map(|s| s.at_restart).collect();
            let says_so = comment.contains("takes effect at a restart");
            assert!(!at_restart.is_empty() && at_restart.iter().all(|&frozen| frozen == says_so), "[{section}]");
        }
    }
}
