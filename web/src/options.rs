//! The command line.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use clap::{Args, Parser, Subcommand};

use crate::{
    found::socket,
    gateway::{NAMED, is_name},
    token::{Token, TokenError},
};

const EXAMPLES: &str = "\
Examples:
  vigie web
  vigie web --listen 127.0.0.1:9000 --socket /run/vigie/vigie.sock
  vigie web --behind vigie.example.org      a reverse proxy with TLS serves it under this name
  vigie web trader nt8                      a token for a trader who cannot open the socket
  vigie web gateway                         the protocol over HTTP for those who have one

Without the token the page reads and changes nothing. Any user of this machine may read it.";

/// Serve the page of a running daemon, and its metrics, on loopback
///
/// A process of its own, which reads the daemon's socket: the daemon has no network and needs none of this. /metrics is for
/// Prometheus, /healthz says that this process answers, /readyz that the daemon does.
#[derive(Debug, Parser)]
#[command(name = "vigie web", bin_name = "vigie web", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct Options {
    /// What to do instead of serving the page
    #[command(subcommand)]
    pub instead: Option<Instead>,
    /// Socket of the daemon [default: as for the commands, $VIGIE_SOCKET and $VIGIE_STATE first]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Where to listen; an address that is not loopback needs --behind
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8177")]
    pub listen: SocketAddr,
    /// Name under which a reverse proxy serves this page over https, as browsers ask for it
    #[arg(long, value_name = "HOST", value_parser = host)]
    pub behind: Option<String>,
    /// File of the token, mode 0600, made if it is not there; the environment's VIGIE_WEB_TOKEN wins [default: web.token in
    /// the service's state folder, else beside the daemon's socket]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// What else this program does.
#[derive(Debug, Subcommand)]
pub enum Instead {
    /// Serve the protocol over HTTP on loopback, for traders who cannot open the socket
    ///
    /// Signals, outcomes and skips of those who have a token (`vigie web trader`), each with the daemon's answer or, within its
    /// deadline, the neutral one. Orders are not among them. Nothing of the page is served here.
    #[command(after_help = GATEWAY)]
    Gateway(Gateway),
    /// Make the token of a trader who uses the gateway, and print it once
    #[command(after_help = TRADER)]
    Trader(Trader),
}

const GATEWAY: &str = "\
Examples:
  vigie web gateway
  vigie web gateway --socket /run/vigie/vigie.sock --traders /var/lib/vigie-gateway/traders
  curl -H 'Authorization: Bearer TOKEN' -d @examples/signal.json http://127.0.0.1:8178/v1/score

A token that is made or removed counts after a restart.";

const TRADER: &str = "\
Examples:
  vigie web trader nt8
  vigie web trader nt8 --prefix nt8- --symbols ES,NQ
  vigie web trader nt8 --replace      the old token is worth nothing after the next start of the gateway

Only a hash of the token is kept. As soon as there are several traders, each needs a prefix: it may then say nothing of a trade whose
id begins otherwise.";

/// Options of the gateway.
#[derive(Debug, Args)]
pub struct Gateway {
    /// Socket of the daemon [default: as for the commands, $VIGIE_SOCKET and $VIGIE_STATE first]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Where to listen; an address that is not loopback needs --behind
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8178")]
    pub listen: SocketAddr,
    /// Name under which a reverse proxy serves the gateway over https
    #[arg(long, value_name = "HOST", value_parser = host)]
    pub behind: Option<String>,
    /// Folder of the traders' tokens [default: traders in the service's state folder, else beside the daemon's socket]
    #[arg(long, value_name = "FOLDER")]
    traders: Option<PathBuf>,
    /// Milliseconds in which a signal is answered that has no deadline_us of its own
    #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub deadline_ms: u64,
}

/// Options of the command that makes a token.
#[derive(Debug, Args)]
pub struct Trader {
    /// Name of the trader: 1 to 32 of a-z, 0-9, - and _
    #[arg(value_parser = trader)]
    pub name: String,
    /// Folder of the traders' tokens [default: traders in the service's state folder, else beside the daemon's socket]
    #[arg(long, value_name = "FOLDER")]
    traders: Option<PathBuf>,
    /// How the ids of all its trades begin [default: any]
    #[arg(long, value_name = "TEXT")]
    pub prefix: Option<String>,
    /// The symbols it may send signals of [default: all]
    #[arg(long, value_name = "SYMBOLS", value_delimiter = ',')]
    pub symbols: Vec<String>,
    /// Make a new token in the place of the one there is
    #[arg(long)]
    pub replace: bool,
}

impl Gateway {
    /// Why this address is not listened on, if so.
    pub fn refused(&self) -> Option<String> {
        refused(self.listen, self.behind.as_deref(), "the tokens would cross the network in the open")
    }

    /// The daemon's socket.
    pub fn socket(&self) -> PathBuf {
        socket(self.socket.as_deref())
    }

    /// The folder of the tokens.
    pub fn traders(&self) -> PathBuf {
        traders(self.traders.as_deref(), &self.socket())
    }
}

impl Trader {
    /// The folder of the tokens.
    pub fn traders(&self) -> PathBuf {
        traders(self.traders.as_deref(), &socket(None))
    }
}

/// Where the token came from.
#[derive(Debug)]
pub struct Given {
    /// It.
    pub token: Token,
    /// Its file, if it has one.
    pub file: Option<PathBuf>,
    /// Whether it was made just now.
    pub is_new: bool,
}

impl Options {
    /// Why this address is not listened on, if so.
    pub fn refused(&self) -> Option<String> {
        refused(self.listen, self.behind.as_deref(), "anybody who reaches it could read the page")
    }

    /// The daemon's socket.
    pub fn socket(&self) -> PathBuf {
        socket(self.socket.as_deref())
    }

    /// The token: of the environment, or of its file.
    ///
    /// # Errors
    /// `TokenError`.
    pub fn token(&self) -> Result<Given, TokenError> {
        if let Ok(text) = std::env::var("VIGIE_WEB_TOKEN") {
            let token = Token::new(&text, "VIGIE_WEB_TOKEN")?;
            return Ok(Given { token, file: None, is_new: false });
        }
        let file = self.token_file.clone().unwrap_or_else(|| folder(&self.socket()).join("web.token"));
        let (token, is_new) = Token::load_or_make(&file)?;
        Ok(Given { token, file: Some(file), is_new })
    }
}

fn refused(listen: SocketAddr, behind: Option<&str>, why: &str) -> Option<String> {
    let is_open = !listen.ip().is_loopback() && behind.is_none();
    is_open.then(|| {
        format!(
            "{listen} is not loopback: {why}, and it has no TLS; put a reverse proxy with TLS before 127.0.0.1 and name it with --behind HOST"
        )
    })
}

/// The service's state folder, or the one of the daemon's socket.
fn folder(socket: &Path) -> PathBuf {
    let beside = || socket.parent().map(Path::to_owned).unwrap_or_default();
    std::env::var_os("STATE_DIRECTORY").map(PathBuf::from).unwrap_or_else(beside)
}

fn traders(given: Option<&Path>, socket: &Path) -> PathBuf {
    given.map(Path::to_owned).unwrap_or_else(|| folder(socket).join("traders"))
}

fn trader(text: &str) -> Result<String, &'static str> {
    if is_name(text) { Ok(text.to_owned()) } else { Err(NAMED) }
}

/// A host as it stands in the header of that name, with its port if it is not the usual one.
fn host(text: &str) -> Result<String, String> {
    let is_known = |c: char| c.is_ascii_alphanumeric() || "-.:[]".contains(c);
    if text.is_empty() || text.len() > 255 || !text.chars().all(is_known) {
        return Err("a host is a name such as vigie.example.org, with a port where it has one".to_owned());
    }
    Ok(text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_loopback_is_listened_on_behind_a_named_proxy_only() {
        for (arguments, is_refused) in [
            (&["web"][..], false),
            (&["web", "--listen", "[::1]:80"], false),
            (&["web", "--listen", "0.0.0.0:80"], true),
            (&["web", "--listen", "192.168.1.7:80"], true),
            (&["web", "--listen", "192.168.1.7:80", "--behind", "vigie.example.org"], false),
        ] {
            let options = Options::try_parse_from(arguments).unwrap();
            assert_eq!(options.refused().is_some(), is_refused, "{arguments:?}");
        }
        for name in ["", "A", "a b", "../a", "./a", "sub/a", "a.json", "-a", "ä", &"a".repeat(33)] {
            assert!(Options::try_parse_from(["web", "trader", "--", name]).is_err() || name == "-a", "{name:?}");
        }
        assert!(Options::try_parse_from(["web", "trader", "nt8_a-1"]).is_ok());
        for behind in ["", "a b", "https://a", "a/b", "ä"] {
            assert!(Options::try_parse_from(["web", "--behind", behind]).is_err(), "{behind:?}");
        }
    }
}
