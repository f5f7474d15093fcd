//! Where a receiver is, and what each kind of receiver needs to be reached.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use ureq::http::Uri;

use crate::{address::checked, secret::Secret};

/// What a receiver is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A server of one's own.
    Webhook,
    /// An incoming webhook of Slack, or of what is like it.
    Slack,
    /// A webhook of Discord.
    Discord,
    /// A chat with a bot of Telegram.
    Telegram,
    /// E-mail, through the machine's sendmail program.
    Mail,
}

/// Where it is.
#[derive(Debug, Clone)]
pub enum Target {
    /// The address, and the key that messages are signed with.
    Webhook(Secret, Option<Secret>),
    /// The address, which is a secret.
    Slack(Secret),
    /// The same.
    Discord(Secret),
    /// The address, which holds the token of the bot, and the chat.
    Telegram(Secret, String),
    /// By mail.
    Mail(Mailbox),
}

/// Who writes to whom through what.
#[derive(Debug, Clone)]
pub struct Mailbox {
    /// The sender's address.
    pub from: String,
    /// The addresses of those who get it; at least one.
    pub to: Vec<String>,
    /// The program.
    pub sendmail: PathBuf,
}

/// What the configuration gives.
#[derive(Debug, Default)]
pub struct Given {
    /// `url`, or what is in `url_file`.
    pub url: Option<Secret>,
    /// What is in `key_file`.
    pub key: Option<Secret>,
    /// What is in `token_file`.
    pub token: Option<Secret>,
    /// `plain_http`.
    pub plain_http: bool,
    /// `chat`.
    pub chat: Option<String>,
    /// `api`.
    pub api: Option<String>,
    /// `from`.
    pub from: Option<String>,
    /// `to`.
    pub to: Vec<String>,
    /// `sendmail`.
    pub sendmail: Option<PathBuf>,
}

impl Kind {
    /// Its own keys in the configuration.
    pub fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Webhook => &["url", "url_file", "key_file", "plain_http"],
            Self::Slack | Self::Discord => &["url_file", "plain_http"],
            Self::Telegram => &["token_file", "chat", "api", "plain_http"],
            Self::Mail => &["from", "to", "sendmail"],
        }
    }

    /// The target that the configuration describes.
    ///
    /// # Errors
    /// All that is missing or wrong, without a secret.
    pub fn target(self, given: Given) -> Result<Target, Vec<String>> {
        let Given { url, key, token, plain_http, chat, api, from, to, sendmail } = given;
        let mut faults = Vec::new();
        let mut missing = |is_missing: bool, words: &str| {
            if is_missing {
                faults.push(words.to_owned());
            }
        };
        let is_posted = matches!(self, Self::Slack | Self::Discord);
        missing(is_posted && url.is_none(), "`url_file` is missing: it names the file that holds the address");
        match self {
            Self::Webhook => {
                let words = "`url` is missing: the address to which alerts are posted, or `url_file` if it is secret";
                missing(url.is_none(), words);
                let is_short = key.as_ref().is_some_and(|key| key.reveal().len() < 16);
                missing(is_short, "`key_file`: a key has at least 16 characters; `openssl rand -hex 32` makes one");
            }
            Self::Slack | Self::Discord => {}
            Self::Telegram => {
                missing(token.is_none(), "`token_file` is missing: it names the file that holds the bot's token");
                let is_odd = token.as_ref().is_some_and(|token| !is_token(token.reveal()));
                missing(is_odd, "`token_file`: that is no token of a bot, such as 123456:ABC-def");
                let words = "`chat` is missing: the number of the chat, such as \"-1001234567890\", or \"@channel\"";
                missing(chat.is_none(), words);
                let is_odd = chat.as_deref().is_some_and(|chat| !is_chat(chat));
                missing(is_odd, "`chat` is the number of a chat, such as \"-1001234567890\", or \"@channel\"");
            }
            Self::Mail => {
                missing(from.is_none(), "`from` is missing: the address of the sender");
                missing(to.is_empty(), "`to` is missing: a list of addresses");
                for (key, address) in from.iter().map(|from| ("from", from)).chain(to.iter().map(|to| ("to", to))) {
                    missing(
                        !is_address(address),
                        &format!("`{key}`: {address:?} is no plain address such as \"desk@example.org\""),
                    );
                }
            }
        }
        let mut posted = |url: Option<Secret>, key: &str| {
            let checked = checked(url?, plain_http);
            checked.map_err(|why| faults.push(format!("`{key}`: {why}"))).ok()
        };
        let target = match self {
            Self::Webhook => posted(url, "url").map(|url| Target::Webhook(url, key)),
            Self::Slack => posted(url, "url_file").map(Target::Slack),
            Self::Discord => posted(url, "url_file").map(Target::Discord),
            Self::Telegram => {
                let api = api.unwrap_or_else(|| "https://api.telegram.org".to_owned());
                let token = token.filter(|token| is_token(token.reveal()));
                let url = token.map(|token| format!("{}/bot{}/sendMessage", api.trim_end_matches('/'), token.reveal()));
                let url = posted(url.as_deref().map(Secret::of), "api");
                url.zip(chat).map(|(url, chat)| Target::Telegram(url, chat))
            }
            Self::Mail => {
                let sendmail = sendmail.unwrap_or_else(|| PathBuf::from("/usr/sbin/sendmail"));
                faults.extend(program_fault(&sendmail));
                from.map(|from| Target::Mail(Mailbox { from, to, sendmail }))
            }
        };
        target.filter(|_| faults.is_empty()).ok_or(faults)
    }
}

/// What is wrong with a mail program, if anything is.
fn program_fault(path: &Path) -> Option<String> {
    let place = path.display();
    let is_absolute = path.is_absolute();
    match fs::metadata(path) {
        Ok(found) if is_absolute && found.is_file() && found.mode() & 0o111 != 0 => None,
        Ok(_) if is_absolute => Some(format!("`sendmail`: {place} is no program; name one, such as that of msmtp")),
        _ => Some(format!(
            "`sendmail`: {place} is not there; install a mail program such as msmtp, or name its whole path"
        )),
    }
}

/// The number of a bot, a colon, and its secret.
fn is_token(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    text.split_once(':').is_some_and(|(bot, secret)| {
        !bot.is_empty() && bot.bytes().all(|c| c.is_ascii_digit()) && !secret.is_empty() && secret.chars().all(is_plain)
    })
}

/// The number of a chat, or the name of a channel.
fn is_chat(text: &str) -> bool {
    let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    text.strip_prefix('@').map_or_else(|| text.parse::<i64>().is_ok(), is_name)
}

impl Target {
    /// Where it is posted to; none for a mail.
    pub fn url(&self) -> Option<&Secret> {
        match self {
            Self::Webhook(url, _) | Self::Slack(url) | Self::Discord(url) | Self::Telegram(url, _) => Some(url),
            Self::Mail(_) => None,
        }
    }

    /// What may stand in no log.
    pub fn secrets(&self) -> Vec<&Secret> {
        match self {
            Self::Webhook(url, key) => [url].into_iter().chain(key).collect(),
            Self::Slack(url) | Self::Discord(url) | Self::Telegram(url, _) => vec![url],
            Self::Mail(_) => Vec::new(),
        }
    }

    /// Where it is, in words without what is secret.
    pub fn words(&self) -> String {
        let host = |url: &Secret| url.reveal().parse::<Uri>().ok().and_then(|uri| uri.host().map(str::to_owned));
        match self {
            Self::Webhook(url, key) => {
                let signed = if key.is_some() { "signed" } else { "not signed" };
                format!("webhook at {}, {signed}", host(url).unwrap_or_default())
            }
            Self::Slack(url) => format!("slack at {}", host(url).unwrap_or_default()),
            Self::Discord(url) => format!("discord at {}", host(url).unwrap_or_default()),
            Self::Telegram(url, chat) => format!("telegram at {}, chat {chat}", host(url).unwrap_or_default()),
            Self::Mail(mail) => format!("mail to {} through {}", mail.to.join(", "), mail.sendmail.display()),
        }
    }
}

/// Plain enough for a command line and a head of a mail.
fn is_address(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "@.+-_=".contains(c);
    let parts = text.split_once('@');
    text.len() <= 254
        && !text.starts_with('-')
        && text.chars().all(is_plain)
        && parts.is_some_and(|(user, host)| !user.is_empty() && !host.is_empty() && !host.contains('@'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_tls_or_stays_on_this_machine() {
        for (url, plain_http, is_taken) in [
            ("https://own.example/hook", false, true),
            ("http://own.example/hook", false, false),
            ("http://own.example/hook", true, true),
            ("http://127.0.0.1:9000/hook", false, true),
            ("http://[::1]:9000/hook", false, true),
            ("http://localhost/hook", false, true),
            ("http://127.0.0.1.own.example/hook", false, false),
            ("https://user:word@own.example/hook", false, false),
            ("ftp://example.org", true, false),
            ("own.example/hook", true, false),
            ("", true, false),
        ] {
            let given = Given { url: Some(Secret::of(url)), plain_http, ..Given::default() };
            let target = Kind::Webhook.target(given);
            assert_eq!(target.is_ok(), is_taken, "{url}: {target:?}");
            assert!(target.err().is_none_or(|whys| url.is_empty() || !whys.concat().contains(url)));
        }
    }

    #[test]
    fn an_address_of_mail_is_no_option_and_no_second_line() {
        for odd in ["-oQ/tmp@x", "a b@c", "a@b\nBcc: c@d", "a", "@b", "a@", "a@b@c", ""] {
            assert!(!is_address(odd), "{odd:?}");
        }
        assert!(is_address("desk+vigie@example.org"));
    }
}
