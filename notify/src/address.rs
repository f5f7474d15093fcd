//! What may be the address of a receiver, and what is this machine.

use std::net::{IpAddr, Ipv6Addr};

use ureq::http::Uri;

use crate::secret::Secret;

/// An address that may be used: with TLS, unless it stays on this machine or `plain_http` allows it.
///
/// # Errors
/// What is wrong with it, without the address.
pub fn checked(url: Secret, plain_http: bool) -> Result<Secret, String> {
    let text = url.reveal();
    if !text.chars().all(|c| c.is_ascii_graphic()) || text.contains(['"', '<', '>', '\\', '^', '`', '{', '|', '}']) {
        return Err("the address has characters that no address has; write them as %XX".to_owned());
    }
    if text.contains('#') {
        return Err(
            "the address has a `#`; what follows it would not be sent, so leave it away or write %23".to_owned()
        );
    }
    let uri: Uri = text.parse().map_err(|_| "the address is none such as https://example.org/hook".to_owned())?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err("the address is to begin with https:// and a host".to_owned());
    };
    if authority.as_str().contains('@') {
        return Err("the address has a user or a password in it; use `key_file`, or a secret path".to_owned());
    }
    let host = authority.host();
    if !is_host(host) {
        return Err("the address has no host such as example.org, 192.0.2.1 or [2001:db8::1]".to_owned());
    }
    // the parser takes any text behind the colon, and the client would take the usual port then
    let port = authority.as_str().strip_prefix(host).unwrap_or_default();
    let is_port =
        |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|n| n > 0);
    if !port.is_empty() && !port.strip_prefix(':').is_some_and(is_port) {
        return Err("the address has no port from 1 to 65535 behind the colon".to_owned());
    }
    match scheme {
        "https" => Ok(url),
        "http" if is_near(host) || plain_http => Ok(url),
        "http" => Err("the address begins with http://, so everybody on the way could read it; use https://, or set \
                       `plain_http = true` in a network that you trust"
            .to_owned()),
        _ => Err("the address is to begin with https://".to_owned()),
    }
}

/// Whether a host is this machine.
pub fn is_near(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// A name of the Internet, or an address in numbers.
fn is_host(host: &str) -> bool {
    if let Some(bare) = host.strip_prefix('[') {
        return bare.strip_suffix(']').is_some_and(|bare| bare.parse::<Ipv6Addr>().is_ok());
    }
    if host.parse::<IpAddr>().is_ok() {
        return true;
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let is_label =
        |label: &str| (1..=63).contains(&label.len()) && label.chars().all(is_plain) && !label.starts_with('-');
    let name = host.strip_suffix('.').unwrap_or(host);
    // a name whose last part is a number is an address that was written wrongly
    let last = name.rsplit('.').next().unwrap_or_default();
    name.len() <= 253 && name.split('.').all(is_label) && !last.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_taken(url: &str) -> bool {
        checked(Secret::of(url), true).is_ok()
    }

    #[test]
    fn a_port_is_one_and_a_host_is_one() {
        for url in [
            "https://own.example:65535/hook",
            "https://own.example:1",
            "https://OWN.example./hook?a=b",
            "https://[2001:db8::1]:8443/hook",
            "https://192.0.2.1/hook",
            "https://xn--bcher-kva.example/%7Bx%7D",
            "http://LOCALHOST:9000/hook",
        ] {
            assert!(is_taken(url), "{url}");
        }
        for url in [
            "http://127.0.0.1:65536/hook",
            "http://127.0.0.1:70000/hook",
            "http://127.0.0.1:0/hook",
            "http://127.0.0.1:00/hook",
            "https://own.example:/hook",
            "https://own.example:+80/hook",
            "https://own.example:http/hook",
            "https://[::1]:99999/hook",
            "https://[::1/hook",
            "https://[own.example]/hook",
            "https://own..example/hook",
            "https://.own.example/hook",
            "https://-own.example/hook",
            "https://own%2eexample/hook",
            "https://192.0.2/hook",
            "https://192.0.2.256/hook",
            "https://0x7f.1/hook",
            "https:///hook",
            "https://own.example/hook#token",
            "https://own.example/ho ok",
            "https://own.example/h\u{f6}k",
            "https://own.example/{id}",
            "https://own.example\\@other.example/",
        ] {
            assert!(!is_taken(url), "{url}");
        }
        assert!(is_near("127.9.9.9") && is_near("[::1]") && is_near("Localhost"));
        assert!(!is_near("localhost.example") && !is_near("192.0.2.1"));
    }
}
