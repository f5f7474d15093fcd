//! The command line.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use clap::Parser;

use crate::token::{Token, TokenError};

const EXAMPLES: &str = "\
Examples:
  vigie web
  vigie web --listen 127.0.0.1:9000 --socket /run/vigie/vigie.sock
  vigie web --behind vigie.example.org      a reverse proxy with TLS serves it under this name

Without the token the page reads and changes nothing. Any user of this machine may read it.";

/// Serve the page of a running daemon, and its metrics, on loopback
///
/// A process of its own, which reads the daemon's socket: the daemon has no network and needs none of this. /metrics is for
/// Prometheus, /healthz says that this process answers, /readyz that the daemon does.
#[derive(Debug, Parser)]
#[command(name = "vigie web", bin_name = "vigie web", version, after_help = EXAMPLES)]
pub struct Options {
    /// Socket of the daemon [default: vigie-state/vigie.sock, or /run/vigie/vigie.sock if only that exists]
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
        let is_open = !self.listen.ip().is_loopback() && self.behind.is_none();
        is_open.then(|| {
            format!(
                "{} is not loopback: anybody who reaches it could read the page, and it has no TLS; put a reverse proxy with TLS before \
                 127.0.0.1 and name it with --behind HOST",
                self.listen
            )
        })
    }

    /// The daemon's socket.
    pub fn socket(&self) -> PathBuf {
        self.socket.clone().unwrap_or_else(|| {
            let (local, service) = (Path::new("vigie-state/vigie.sock"), Path::new("/run/vigie/vigie.sock"));
            if !local.exists() && service.exists() { service.to_owned() } else { local.to_owned() }
        })
    }

    /// The token: of the environment, or of its file.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn token(&self) -> Result<Given, TokenError> {
        if let Ok(text) = std::env::var("VIGIE_WEB_TOKEN") {
            let token = Token::new(&text, "VIGIE_WEB_TOKEN")?;
            return Ok(Given { token, file: None, is_new: false });
        }
        let folder = || std::env::var_os("STATE_DIRECTORY").map(PathBuf::from);
        let beside = || self.socket().parent().map(Path::to_owned).unwrap_or_default();
        let file = self.token_file.clone().unwrap_or_else(|| folder().unwrap_or_else(beside).join("web.token"));
        let (token, is_new) = Token::load_or_make(&file)?;
        Ok(Given { token, file: Some(file), is_new })
    }
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
        for behind in ["", "a b", "https://a", "a/b", "ä"] {
            assert!(Options::try_parse_from(["web", "--behind", behind]).is_err(), "{behind:?}");
        }
    }
}
