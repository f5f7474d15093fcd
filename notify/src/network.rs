//! What the environment says of the way out: the certificates that are trusted, and the proxy.

use std::path::Path;

use rustls::{RootCertStore, pki_types::CertificateDer};
use rustls_native_certs::{load_certs_from_paths, load_native_certs};
use ureq::{
    Proxy, ProxyProtocol,
    http::Uri,
    tls::{Certificate, RootCerts},
};

use crate::{address::is_near, config::Config};

/// Where the proxy may stand, the first that is set; none of them is for `http://`.
const PROXIES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

/// The way out of this machine.
#[derive(Debug)]
pub struct Network {
    certificates: Vec<Certificate<'static>>,
    proxy: Option<Proxy>,
    /// Hosts that are reached without it.
    direct: String,
}

impl Network {
    /// Nothing is trusted, and there is no proxy.
    pub fn none() -> Self {
        Self { certificates: Vec::new(), proxy: None, direct: String::new() }
    }

    /// By the environment: `SSL_CERT_FILE` and `SSL_CERT_DIR`, else what this machine trusts; `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`.
    ///
    /// # Errors
    /// What of it cannot be used, each in words without a secret.
    pub fn load() -> Result<Self, Vec<String>> {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let mut faults = Vec::new();
        let found = load_native_certs();
        let usable = |found: &[CertificateDer<'static>]| {
            RootCertStore::empty().add_parsable_certificates(found.iter().cloned()).0
        };
        if let Some(file) = set("SSL_CERT_FILE") {
            let named = load_certs_from_paths(Some(Path::new(&file)), None);
            let why = named.errors.first().map(ToString::to_string);
            let none = || (usable(&named.certs) == 0).then(|| "there is no certificate in it".to_owned());
            if let Some(why) = why.or_else(none) {
                let file = file.display();
                faults.push(format!("SSL_CERT_FILE of the environment, {file}: {why}; correct or unset it"));
            }
        } else if set("SSL_CERT_DIR").is_some() && usable(&found.certs) == 0 {
            faults
                .push("SSL_CERT_DIR of the environment: there is no certificate in it; correct or unset it".to_owned());
        }
        let (mut proxy, mut direct) = (None, String::new());
        if let Some((name, value)) = PROXIES.iter().find_map(|name| Some((name, set(name)?))) {
            proxy = value.to_str().and_then(proxy_at);
            if proxy.is_none() {
                faults.push(format!("{name} of the environment is no proxy such as http://proxy.example:3128; what stands there is not shown"));
            }
        }
        if let Some(value) = set("NO_PROXY").or_else(|| set("no_proxy")) {
            direct = value.to_string_lossy().to_lowercase();
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let certificates = found.certs.iter().map(|found| Certificate::from_der(found).to_owned()).collect();
        Ok(Self { certificates, proxy, direct })
    }

    /// What receivers of `config` need and this machine does not have, if anything.
    pub fn misses(&self, config: &Config) -> Option<String> {
        let mut urls = config.receivers.iter().filter_map(|receiver| receiver.target.url());
        let needs = urls.any(|url| url.reveal().get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https")));
        (needs && self.certificates.is_empty()).then(|| {
            "this machine trusts no certificate (is ca-certificates installed?), so no https:// can be reached"
                .to_owned()
        })
    }

    /// The certificates that are trusted.
    pub fn trusted(&self) -> RootCerts {
        RootCerts::from(self.certificates.clone())
    }

    /// Through what `uri` is reached: a proxy sees what goes to `http://`, and cannot reach this machine as this machine can.
    pub fn proxy_for(&self, uri: &Uri) -> Option<Proxy> {
        let host = uri.host()?.to_lowercase();
        let is_direct = |entry: &str| {
            let bare = entry.trim_start_matches('*').trim_start_matches('.');
            entry == "*" || (!bare.is_empty() && (host == bare || host.ends_with(&format!(".{bare}"))))
        };
        let is_far = uri.scheme_str() == Some("https") && !is_near(&host);
        self.proxy.clone().filter(|_| is_far && !self.direct.split(',').map(str::trim).any(is_direct))
    }
}

/// Only proxies that are asked by HTTP to connect, which see no more than the host.
fn proxy_at(text: &str) -> Option<Proxy> {
    let proxy = Proxy::new(text.trim()).ok()?;
    let authority = proxy.uri().authority()?.as_str().rsplit('@').next()?.to_owned();
    let port = authority.strip_prefix(proxy.host())?;
    let is_port = port.is_empty() || port.strip_prefix(':')?.parse::<u16>().is_ok_and(|port| port > 0);
    let is_taken = matches!(proxy.protocol(), ProxyProtocol::Http | ProxyProtocol::Https);
    (is_port && is_taken && !proxy.host().is_empty()).then_some(proxy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_for_https_beyond_this_machine_alone() {
        let network = Network {
            proxy: proxy_at("http://proxy.example:3128"),
            direct: "near.example, *.lan".to_owned(),
            ..Network::none()
        };
        for (url, expected) in [
            ("https://own.example/hook", true),
            ("http://own.example/hook", false),
            ("http://127.0.0.1:9000/hook", false),
            ("https://127.0.0.1:9000/hook", false),
            ("https://[::1]:9000/hook", false),
            ("https://localhost/hook", false),
            ("https://near.example/hook", false),
            ("https://a.near.example/hook", false),
            ("https://notnear.example/hook", true),
            ("https://host.lan/", false),
        ] {
            assert_eq!(network.proxy_for(&url.parse().unwrap()).is_some(), expected, "{url}");
        }
    }

    #[test]
    fn a_proxy_that_cannot_be_read_is_none() {
        for text in ["http://proxy:3128", "proxy.example:8080", "https://user:word@proxy.example"] {
            assert!(proxy_at(text).is_some(), "{text}");
        }
        for text in
            ["http://proxy:99999", "http://proxy:x", "socks5://proxy:1080", "ftp://proxy", "http://", "::", "a b"]
        {
            assert!(proxy_at(text).is_none(), "{text}");
        }
    }
}
