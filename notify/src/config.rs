//! `notify.toml`: read, checked as a whole, with every fault at once. `notify/notify.toml` shows each key.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::{SignedDuration, civil::Time, civil::Weekday, tz::TimeZone};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use self::lines::{Fault, Lines};
use crate::{
    advice,
    alert::Level,
    plan::Rules,
    quiet::{Period, Quiet},
    retry::{LONGEST_PAUSE, Retries},
    secret::Secret,
    target::{Kind, Target},
};

/// What the file says, checked.
#[derive(Debug)]
pub struct Config {
    /// What stands in each message, such as the name of the machine.
    pub label: String,
    /// The daemon's socket; none for the usual one.
    pub socket: Option<PathBuf>,
    /// Where the own state is; none for the usual one.
    pub state: Option<PathBuf>,
    /// For how long the daemon may be silent before that is told.
    pub silent_after: SignedDuration,
    /// Who is told; at least one.
    pub receivers: Vec<Receiver>,
}

/// Somebody who is told.
#[derive(Debug, Clone)]
pub struct Receiver {
    /// Its name, unique.
    pub name: String,
    /// What it wants.
    pub rules: Rules,
    /// How a message is tried again.
    pub retries: Retries,
    /// How long one try may take.
    pub timeout: Duration,
    /// Where it is.
    pub target: Target,
}

/// Why a file is not taken: each fault with its place and what to do, none with a secret in it.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct Faults(Vec<String>);

impl Faults {
    /// Each with its line, 0 where it has none, in their order.
    fn of(path: &Path, mut found: Vec<Fault>) -> Self {
        found.sort_by_key(|(line, _)| *line);
        let place = path.display();
        let at = |line: usize| if line > 0 { format!(":{line}") } else { String::new() };
        Self(found.into_iter().map(|(line, fault)| format!("{place}{}: {fault}", at(line))).collect())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    label: String,
    socket: Option<PathBuf>,
    state: Option<PathBuf>,
    zone: Option<String>,
    #[serde(default = "silent_after")]
    silent_after: SignedDuration,
    #[serde(default)]
    receiver: Vec<Spanned<Entry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    kind: Kind,
    #[serde(default = "level")]
    level: Level,
    #[serde(default)]
    only: Vec<String>,
    #[serde(default)]
    except: Vec<String>,
    #[serde(default = "window")]
    window: SignedDuration,
    #[serde(default = "critical_window")]
    critical_window: SignedDuration,
    #[serde(default)]
    quiet: Vec<QuietEntry>,
    #[serde(default = "timeout")]
    timeout: SignedDuration,
    #[serde(default = "first_pause")]
    first_pause: SignedDuration,
    #[serde(default = "longest_pause")]
    longest_pause: SignedDuration,
    #[serde(default = "give_up_after")]
    give_up_after: SignedDuration,
    #[serde(default)]
    tries: u32,
    url: Option<String>,
    url_file: Option<FileName>,
    key_file: Option<FileName>,
    token_file: Option<FileName>,
    #[serde(default)]
    plain_http: bool,
    chat: Option<String>,
    api: Option<String>,
    from: Option<String>,
    to: Option<Vec<String>>,
    sendmail: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QuietEntry {
    days: Vec<String>,
    from: String,
    to: String,
}

/// The name of a file with a secret. Whoever writes the secret itself there is not shown it in an error.
struct FileName(String);

impl<'de> Deserialize<'de> for FileName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match toml::Value::deserialize(deserializer)? {
            toml::Value::String(name) => Ok(Self(name)),
            _ => Err(serde::de::Error::custom(
                "it is to be the name of a file in quotes; what stands there is not shown",
            )),
        }
    }
}

fn silent_after() -> SignedDuration {
    SignedDuration::from_secs(60)
}

fn level() -> Level {
    Level::Warning
}

fn window() -> SignedDuration {
    SignedDuration::from_mins(10)
}

fn critical_window() -> SignedDuration {
    SignedDuration::from_mins(1)
}

fn timeout() -> SignedDuration {
    SignedDuration::from_secs(10)
}

fn first_pause() -> SignedDuration {
    SignedDuration::from_secs(1)
}

fn longest_pause() -> SignedDuration {
    SignedDuration::from_mins(5)
}

fn give_up_after() -> SignedDuration {
    SignedDuration::from_hours(24)
}

impl Config {
    /// Reads and checks the file at `path`, and the secrets that it names. `seed` is what pauses are drawn by.
    ///
    /// # Errors
    /// All [`Faults`], each with its line.
    pub fn load(path: &Path, seed: u64) -> Result<Self, Faults> {
        let place = path.display();
        let text = fs::read_to_string(path).map_err(|error| Faults(vec![format!("{place}: {error}")]))?;
        Self::parse(&text, path, seed)
    }

    fn parse(text: &str, path: &Path, seed: u64) -> Result<Self, Faults> {
        let (file, mut found, lines) = Lines::read::<File>(text);

        let Some(file) = file else { return Err(Faults::of(path, found)) };
        let mut faults = Vec::new();
        if let Some(fault) = outside("silent_after", file.silent_after, 1, 24 * 3600) {
            faults.push(fault);
        }
        let socket = file.socket.as_deref().filter(|path| path.as_os_str().is_empty());
        faults.extend(socket.map(|_| "`socket` is empty; name the daemon's socket, or leave it out".to_owned()));
        faults.extend(file.state.as_deref().and_then(state_fault));
        if file.label.len() > 64 || file.label.chars().any(char::is_control) {
            faults.push("`label` has at most 64 bytes on one line".to_owned());
        }
        if file.receiver.is_empty() {
            faults.push("there is no [[receiver]], so nobody would be told; add one".to_owned());
        }
        let zone = match file.zone.as_deref().map(TimeZone::get) {
            Some(Err(error)) => {
                faults.push(format!("`zone`: {error}; write one such as \"America/Chicago\""));
                None
            }
            zone => zone.and_then(Result::ok),
        };
        let named = |fault: String, head: usize, who: &str| Some((lines.of(&fault, head)?, format!("{who}{fault}")));
        found.extend(faults.into_iter().filter_map(|fault| named(fault, 0, "")));
        let beside = path.parent().unwrap_or(Path::new("."));
        let (mut receivers, mut names) = (Vec::new(), BTreeSet::new());
        for entry in file.receiver {
            let head = lines.line(entry.span().start);
            let entry = entry.into_inner();
            let name = entry.name.clone();
            let (faults, receiver) = entry.check(zone.as_ref(), beside, seed);
            let twice = (!names.insert(name.clone())).then(|| "`name`: another one has this name".to_owned());
            let who = format!("receiver `{name}`: ");
            found.extend(faults.into_iter().chain(twice).filter_map(|fault| named(fault, head, &who)));
            receivers.extend(receiver);
        }
        if !found.is_empty() {
            return Err(Faults::of(path, found));
        }
        let File { label, socket, state, silent_after, .. } = file;
        Ok(Self { label, socket, state, silent_after, receivers })
    }
}

impl Entry {
    fn check(self, zone: Option<&TimeZone>, beside: &Path, seed: u64) -> (Vec<String>, Option<Receiver>) {
        let mut faults = Vec::new();
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
        if self.name.is_empty() || self.name.len() > 32 || !self.name.chars().all(is_plain) {
            faults.push("`name` has 1 to 32 of a-z 0-9 - _".to_owned());
        }
        let known = advice::codes();
        for (key, codes) in [("only", &self.only), ("except", &self.except)] {
            let unknown = codes.iter().filter(|code| !known.contains(&code.as_str()));
            faults.extend(unknown.map(|code| {
                format!("`{key}`: no alert has the code {code:?}; \"Alerts\" in docs/operations.md lists them")
            }));
        }
        let both = self.only.iter().filter(|code| self.except.contains(code));
        faults.extend(both.map(|code| format!("`except` has {code:?}, and `only` too; nobody would be told of it")));
        let day = 24 * 3600;
        let longest = LONGEST_PAUSE.as_secs();
        faults.extend(
            [
                outside("window", self.window, 0, day),
                outside("critical_window", self.critical_window, 0, 3600),
                outside("longest_pause", self.longest_pause, 0, longest),
                outside("first_pause", self.first_pause, 0, longest),
                outside("give_up_after", self.give_up_after, 1, 30 * day),
                outside("timeout", self.timeout, 0, 60),
            ]
            .into_iter()
            .flatten(),
        );
        let least = SignedDuration::from_millis(10);
        if self.first_pause < least || self.longest_pause < self.first_pause {
            faults.push("`first_pause` is at least 10ms, and no longer than `longest_pause`".to_owned());
        }
        if self.timeout < SignedDuration::from_millis(100) {
            faults.push("`timeout` is at least 100ms".to_owned());
        }
        let quiet = quiet(&self.quiet, zone).unwrap_or_else(|fault| {
            faults.push(format!("`quiet`: {fault}"));
            None
        });
        let target = self.target(beside, &mut faults);
        let receiver = target.filter(|_| faults.is_empty()).map(|target| Receiver {
            rules: Rules {
                name: self.name.clone(),
                least: self.level,
                only: self.only,
                except: self.except,
                window: self.window,
                critical_window: self.critical_window,
                quiet,
            },
            retries: Retries {
                first: self.first_pause,
                longest: self.longest_pause,
                give_up_after: self.give_up_after,
                tries: self.tries,
                seed,
            },
            timeout: self.timeout.unsigned_abs(),
            name: self.name,
            target,
        });
        (faults, receiver)
    }

    /// Where it is, by the keys of its kind; keys of another kind are faults.
    fn target(&self, beside: &Path, faults: &mut Vec<String>) -> Option<Target> {
        let given = [
            ("url", self.url.is_some()),
            ("url_file", self.url_file.is_some()),
            ("key_file", self.key_file.is_some()),
            ("token_file", self.token_file.is_some()),
            ("plain_http", self.plain_http),
            ("chat", self.chat.is_some()),
            ("api", self.api.is_some()),
            ("from", self.from.is_some()),
            ("to", self.to.is_some()),
            ("sendmail", self.sendmail.is_some()),
        ];
        let own = self.kind.keys();
        let strange = given.iter().filter(|(key, is_given)| *is_given && !own.contains(key));
        faults.extend(strange.map(|(key, _)| {
            format!("`{key}` means nothing to a receiver of this kind, whose own keys are {}", own.join(", "))
        }));
        let secret = |key: &str, name: Option<&FileName>, faults: &mut Vec<String>| {
            let name = name?;
            Secret::read(&name.0, beside).map_err(|why| faults.push(format!("`{key}`: {why}"))).ok()
        };
        let url = secret("url_file", self.url_file.as_ref(), faults);
        let key = secret("key_file", self.key_file.as_ref(), faults);
        let token = secret("token_file", self.token_file.as_ref(), faults);
        if self.url.is_some() && self.url_file.is_some() {
            faults.push("`url` and `url_file` say the same; keep one".to_owned());
        }
        let failed = faults.len();
        let url = url.or_else(|| self.url.as_deref().map(Secret::of));
        let target = self.kind.target(crate::target::Given {
            url,
            key,
            token,
            plain_http: self.plain_http,
            chat: self.chat.clone(),
            api: self.api.clone(),
            from: self.from.clone(),
            to: self.to.clone().unwrap_or_default(),
            sendmail: self.sendmail.clone(),
        });
        match target {
            Ok(target) => Some(target),
            // a secret that cannot be read is one fault and not two
            Err(_) if failed > 0 => None,
            Err(whys) => {
                let key = if self.url_file.is_some() { "`url_file`:" } else { "`url`:" };
                faults.extend(whys.into_iter().map(|why| why.replacen("`url`:", key, 1)));
                None
            }
        }
    }
}

/// What is wrong with a place for the state, if anything is.
fn state_fault(path: &Path) -> Option<String> {
    let fault = match fs::metadata(path) {
        _ if path.as_os_str().is_empty() => "is empty; name a folder, or leave it out".to_owned(),
        Ok(found) if !found.is_dir() => format!("is {}, which is no folder", path.display()),
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => {
            format!("is {}, below something that is no folder", path.display())
        }
        _ => return None,
    };
    Some(format!("`state` {fault}"))
}

fn outside(key: &str, value: SignedDuration, least: i64, most: i64) -> Option<String> {
    let (low, high) = (SignedDuration::from_secs(least), SignedDuration::from_secs(most));
    (value < low || value > high).then(|| format!("`{key}` is {value:#}; it is to be from {low:#} to {high:#}"))
}

fn quiet(entries: &[QuietEntry], zone: Option<&TimeZone>) -> Result<Option<Quiet>, String> {
    if entries.is_empty() {
        return Ok(None);
    }
    let zone =
        zone.ok_or("say in which `zone` these hours are, at the top of the file, such as \"America/Chicago\"")?;
    let time = |text: &str| Time::strptime("%H:%M", text).map_err(|_| format!("{text:?} is no time such as \"22:00\""));
    let mut periods = Vec::new();
    for entry in entries {
        let days = entry.days.iter().map(|day| weekday(day)).collect::<Result<Vec<_>, _>>()?;
        if days.is_empty() {
            return Err("`days` names no day".to_owned());
        }
        if let Some(day) = entry.days.iter().find(|day| entry.days.iter().filter(|other| other == day).count() > 1) {
            return Err(format!("`days` names {day:?} twice"));
        }
        periods.push(Period { days, from: time(&entry.from)?, to: time(&entry.to)? });
    }
    let quiet = Quiet::new(zone.clone(), periods);
    quiet.map(Some).ok_or_else(|| "no hour of the week is left in which all alerts come; name fewer".to_owned())
}

fn weekday(text: &str) -> Result<Weekday, String> {
    match text {
        "mon" => Ok(Weekday::Monday),
        "tue" => Ok(Weekday::Tuesday),
        "wed" => Ok(Weekday::Wednesday),
        "thu" => Ok(Weekday::Thursday),
        "fri" => Ok(Weekday::Friday),
        "sat" => Ok(Weekday::Saturday),
        "sun" => Ok(Weekday::Sunday),
        _ => Err(format!("{text:?} is none of mon, tue, wed, thu, fri, sat, sun")),
    }
}

mod lines;
#[cfg(test)]
mod tests;
