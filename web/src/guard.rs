//! Who may ask: a browser that was led here by another page may not, and the answer to everybody says that nothing from
//! elsewhere is to be run.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use crate::{answer::refusal, places::Seat, token::Token};

/// What a browser may do with what comes from here.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// Under which names this process is asked, and the token.
#[derive(Debug)]
pub struct Guard {
    hosts: Vec<String>,
    origins: Vec<String>,
    token: Token,
}

impl Guard {
    /// For a process that listens at `address`, maybe behind a proxy that serves it as `behind` over https.
    pub fn new(address: SocketAddr, behind: Option<&str>, token: Token) -> Self {
        let port = address.port();
        let mut hosts: Vec<String> =
            ["127.0.0.1", "localhost", "[::1]"].iter().map(|name| format!("{name}:{port}")).collect();
        hosts.push(address.to_string());
        let mut origins: Vec<String> = hosts.iter().map(|host| format!("http://{host}")).collect();
        if let Some(name) = behind {
            hosts.push(name.to_owned());
            origins.push(format!("https://{name}"));
        }
        Self { hosts, origins, token }
    }

    /// Why a request is not answered, if so.
    fn refuses(&self, method: &Method, path: &str, headers: &HeaderMap) -> Option<(StatusCode, &'static str)> {
        let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let host = text(header::HOST).map(str::to_ascii_lowercase);
        if headers.get_all(header::HOST).iter().count() != 1 || !host.is_some_and(|host| self.hosts.contains(&host)) {
            return Some((StatusCode::MISDIRECTED_REQUEST, "the name in the header Host is not one of this page"));
        }
        let site = headers.get("sec-fetch-site").map(|value| value.to_str().unwrap_or("-"));
        // a link to the page may stand anywhere; everything else is asked for by the page itself
        let is_visit = *method == Method::GET
            && path == "/"
            && headers.get("sec-fetch-mode").is_none_or(|mode| mode == "navigate");
        if !is_visit && site.is_some_and(|site| site != "same-origin" && site != "none") {
            return Some((StatusCode::FORBIDDEN, "another page asks for this"));
        }
        if *method == Method::GET || *method == Method::HEAD {
            return None;
        }
        if *method != Method::POST {
            return Some((StatusCode::METHOD_NOT_ALLOWED, "only GET, HEAD and POST are answered"));
        }
        let origins: Vec<_> = headers.get_all(header::ORIGIN).iter().collect();
        let is_own = |origin: &&HeaderValue| self.origins.iter().any(|own| own.as_bytes() == origin.as_bytes());
        if origins.len() != 1 || !origins.iter().all(is_own) {
            return Some((StatusCode::FORBIDDEN, "the header Origin is missing, or it is that of another page"));
        }
        if text(header::CONTENT_TYPE).is_none_or(|kind| kind != "application/json") {
            return Some((StatusCode::UNSUPPORTED_MEDIA_TYPE, "an order is application/json"));
        }
        let given = text(header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
        if headers.get_all(header::AUTHORIZATION).iter().count() > 1 || !given.is_some_and(|token| self.token.is(token))
        {
            return Some((StatusCode::UNAUTHORIZED, "the token is missing or wrong"));
        }
        None
    }
}

/// Lets a request pass or answers it, and says in every answer what a browser may do with it.
pub async fn watch(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let refused = guard.refuses(request.method(), request.uri().path(), request.headers());
    let seat = request.extensions().get::<Arc<Seat>>().map(Arc::clone);
    // who posts has shown the token
    let is_known = refused.is_none() && *request.method() == Method::POST;
    let is_last = is_known && seat.is_some_and(|seat| !seat.keep());
    let mut response = match refused {
        Some((status, why)) => refusal(status, "forbidden", why).into_response(),
        None => next.run(request).await,
    };
    if is_last {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (header::HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(method: &str, path: &str, headers: &[(&'static str, &str)]) -> Option<u16> {
        let token = Token::new(&"t".repeat(40), "test").unwrap();
        let guard = Guard::new("127.0.0.1:8177".parse().unwrap(), Some("vigie.example.org"), token);
        let mut all = HeaderMap::new();
        for (name, value) in headers {
            all.append(*name, value.parse().unwrap());
        }
        guard.refuses(&method.parse().unwrap(), path, &all).map(|(status, _)| status.as_u16())
    }

    #[test]
    fn only_under_its_own_name_and_never_for_another_page() {
        let host = ("host", "127.0.0.1:8177");
        for (headers, expected) in [
            (&[host][..], None),
            (&[("host", "LOCALHOST:8177")], None),
            (&[("host", "vigie.example.org")], None),
            (&[], Some(421)),
            (&[("host", "127.0.0.1")], Some(421)),
            (&[("host", "evil.example")], Some(421)),
            (&[("host", "127.0.0.1:8177.evil.example")], Some(421)),
            (&[host, host], Some(421)),
            (&[host, ("sec-fetch-site", "same-origin")], None),
            (&[host, ("sec-fetch-site", "none")], None),
            (&[host, ("sec-fetch-site", "same-site")], Some(403)),
            (&[host, ("sec-fetch-site", "cross-site")], Some(403)),
            (&[host, ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")], Some(403)),
        ] {
            assert_eq!(refused("GET", "/live", headers), expected, "{headers:?}");
        }
        let visit = [host, ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")];
        assert_eq!(refused("GET", "/", &visit), None);
        assert_eq!(
            refused("GET", "/", &[host, ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "cors")]),
            Some(403)
        );
    }

    #[test]
    fn an_order_needs_its_own_origin_and_the_token() {
        let bearer = format!("Bearer {}", "t".repeat(40));
        let (host, token, json) =
            (("host", "localhost:8177"), ("authorization", &*bearer), ("content-type", "application/json"));
        let origin = ("origin", "http://localhost:8177");
        for (headers, expected) in [
            (vec![host, origin, json, token], None),
            (vec![host, ("origin", "https://vigie.example.org"), json, token], None),
            (vec![host, json, token], Some(403)),
            (vec![host, ("origin", "null"), json, token], Some(403)),
            (vec![host, ("origin", "http://evil.example"), json, token], Some(403)),
            (vec![host, ("origin", "http://localhost:8178"), json, token], Some(403)),
            (vec![host, ("origin", "http://vigie.example.org"), json, token], Some(403)),
            (vec![host, origin, origin, json, token], Some(403)),
            (vec![host, origin, ("sec-fetch-site", "same-site"), json, token], Some(403)),
            (vec![host, origin, token], Some(415)),
            (vec![host, origin, ("content-type", "text/plain"), token], Some(415)),
            (vec![host, origin, json], Some(401)),
            (vec![host, origin, json, token, token], Some(401)),
            (vec![host, origin, json, ("authorization", "Bearer tt")], Some(401)),
            (vec![host, origin, json, ("authorization", &bearer[7..])], Some(401)),
        ] {
            assert_eq!(refused("POST", "/api/order", &headers), expected, "{headers:?}");
        }
        assert_eq!(refused("DELETE", "/api/order", &[host, origin, json, token]), Some(405));
    }
}
