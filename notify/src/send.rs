//! One try: a message goes to where its receiver is, and what came of it is said without a secret.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ureq::{
    Agent, Body, Timeout,
    http::{Request, Response, Uri, header},
    tls::TlsConfig,
    unversioned::{
        resolver::DefaultResolver,
        transport::{Connector as _, DefaultConnector},
    },
};

use crate::{
    clock, config::Receiver, ledger::Attempt, network::Network, payload, retry::Verdict, sendmail, target::Target,
    watched::Watched,
};

/// As much of an answer as is read, in bytes, and only of one that says no.
const MOST_OF_AN_ANSWER: u64 = 16 << 10;
/// Longest head of an answer, in bytes.
const MOST_OF_A_HEAD: usize = 32 << 10;

/// What sends to one receiver.
#[derive(Debug)]
pub struct Sender {
    agent: Agent,
    /// Whether a part of the request may have left.
    has_left: Arc<AtomicBool>,
    target: Target,
    label: String,
    timeout: Duration,
}

impl Sender {
    /// To `receiver`. `label` stands in each message.
    pub fn new(receiver: &Receiver, label: &str, network: &Network) -> Self {
        let uri: Option<Uri> = receiver.target.url().and_then(|url| url.reveal().parse().ok());
        let tls = TlsConfig::builder()
            .root_certs(network.trusted())
            .unversioned_rustls_crypto_provider(std::sync::Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .proxy(uri.as_ref().and_then(|uri| network.proxy_for(uri)))
            .timeout_global(Some(receiver.timeout))
            // so that a connection that is never made is told apart from one that was
            .timeout_connect(Some(receiver.timeout / 2))
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .max_response_header_size(MOST_OF_A_HEAD)
            // one that was kept may be closed at the other end, and then nobody knows what arrived
            .max_idle_connections(0)
            .user_agent(concat!("vigie-notify/", env!("CARGO_PKG_VERSION")))
            .build();
        let has_left = Arc::new(AtomicBool::new(false));
        let watched = Watched::new(uri.unwrap_or_default(), Arc::clone(&has_left));
        let agent = Agent::with_parts(config, DefaultConnector::new().chain(watched), DefaultResolver::default());
        Self { agent, has_left, target: receiver.target.clone(), label: label.to_owned(), timeout: receiver.timeout }
    }

    /// Sends a message once.
    pub fn send(&self, attempt: &Attempt) -> Verdict {
        let now = clock::now();
        let verdict = match &self.target {
            Target::Mail(mail) => {
                let text = payload::mail(&self.label, attempt, &mail.from, &mail.to, now);
                sendmail::send(mail, &text, self.timeout)
            }
            Target::Webhook(url, key) => {
                let body = payload::webhook(&self.label, attempt).to_string();
                let mut request = self.post(url.reveal());
                request =
                    request.header("Vigie-Id", &attempt.message.id).header("Vigie-Attempt", attempt.number.to_string());
                if let Some(key) = key {
                    let signature = payload::signature(key.reveal(), now, body.as_bytes());
                    request = request
                        .header("Vigie-Timestamp", now.as_second().to_string())
                        .header("Vigie-Signature", format!("v1={signature}"));
                }
                self.exchange(request, body, judged)
            }
            Target::Slack(url) => {
                self.exchange(self.post(url.reveal()), payload::slack(&self.label, attempt).to_string(), judged)
            }
            Target::Discord(url) => {
                self.exchange(self.post(url.reveal()), payload::discord(&self.label, attempt).to_string(), judged)
            }
            Target::Telegram(url, chat) => self.exchange(
                self.post(url.reveal()),
                payload::telegram(&self.label, attempt, chat).to_string(),
                judged_telegram,
            ),
        };
        self.scrubbed(verdict)
    }

    fn post(&self, url: &str) -> ureq::http::request::Builder {
        Request::post(url).header(header::CONTENT_TYPE, "application/json")
    }

    fn exchange(
        &self,
        request: ureq::http::request::Builder,
        body: String,
        judged: fn(Response<Body>) -> Verdict,
    ) -> Verdict {
        self.has_left.store(false, Ordering::SeqCst);
        match request.body(body) {
            Ok(request) => match self.agent.run(request) {
                Ok(answer) => judged(answer),
                Err(error) => failure(error, self.has_left.load(Ordering::SeqCst)),
            },
            // the address was checked when the configuration was read
            Err(_) => Verdict::failed("its address cannot be used; check the configuration"),
        }
    }

    /// Without any secret, whoever put it there.
    fn scrubbed(&self, verdict: Verdict) -> Verdict {
        let clean = |why: String| {
            let why = why.chars().filter(|c| !c.is_control()).take(300).collect::<String>();
            self.target.secrets().iter().fold(why, |why, secret| why.replace(secret.reveal(), "***"))
        };
        match verdict {
            Verdict::Delivered => Verdict::Delivered,
            Verdict::Refused(why) => Verdict::Refused(clean(why)),
            Verdict::Failed { why, pause, in_doubt } => Verdict::Failed { why: clean(why), pause, in_doubt },
        }
    }
}

/// What an answer means. One that says yes is not read any further.
fn judged(mut answer: Response<Body>) -> Verdict {
    let status = answer.status().as_u16();
    let asked = answer.headers().get(header::RETRY_AFTER).and_then(|text| text.to_str().ok()).map(str::to_owned);
    if status < 400 {
        return Verdict::of_status(status, asked.as_deref(), clock::now());
    }
    refused(status, &said(&mut answer), asked.as_deref())
}

/// The same of Telegram, which may say no in words alone.
fn judged_telegram(mut answer: Response<Body>) -> Verdict {
    if answer.status().as_u16() != 200 {
        return judged(answer);
    }
    let body = said(&mut answer);
    match body.get("ok") {
        Some(serde_json::Value::Bool(false)) => {
            let code =
                body.get("error_code").and_then(serde_json::Value::as_u64).and_then(|code| u16::try_from(code).ok());
            refused(code.filter(|code| *code >= 400).unwrap_or(500), &body, None)
        }
        _ => Verdict::Delivered,
    }
}

/// What an answer says, if that is JSON.
fn said(answer: &mut Response<Body>) -> serde_json::Value {
    let body = answer.body_mut().with_config().limit(MOST_OF_AN_ANSWER).read_to_vec().unwrap_or_default();
    serde_json::from_slice(&body).unwrap_or_default()
}

fn refused(status: u16, body: &serde_json::Value, asked: Option<&str>) -> Verdict {
    // Telegram says it in its own way, and Discord more exactly than in the head
    let seconds = [body.pointer("/parameters/retry_after"), body.get("retry_after")].into_iter().flatten();
    let told = seconds.filter_map(serde_json::Value::as_f64).map(|seconds| seconds.to_string()).next();
    Verdict::of_status(status, told.as_deref().or(asked), clock::now())
}

/// What an error means: what cannot have arrived is not in doubt. Addresses are left out, since they may be secret.
fn failure(error: ureq::Error, has_left: bool) -> Verdict {
    let why = words(error);
    if has_left { Verdict::in_doubt(why) } else { Verdict::failed(why) }
}

fn words(error: ureq::Error) -> String {
    use std::io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable};
    match error {
        ureq::Error::Io(error) => {
            // TLS is below the connection, so what it complains of comes as an error of that
            let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
            match (inner, error.kind()) {
                (Some(why), _) => tls_words(why),
                (None, ConnectionRefused) => {
                    "it refuses the connection; is it running, and is the port right?".to_owned()
                }
                (None, HostUnreachable | NetworkUnreachable) => "there is no way to it in the network".to_owned(),
                // the resolver's own errors have no kind
                (None, _) if error.to_string().contains("failed to lookup address") => {
                    "its name is not known; check the address and the resolver".to_owned()
                }
                (None, kind) => format!("the connection broke ({kind})"),
            }
        }
        ureq::Error::Rustls(why) => tls_words(&why),
        ureq::Error::Tls(why) => format!("TLS failed: {why}"),
        ureq::Error::HostNotFound => "its name is not known; check the address and the resolver".to_owned(),
        ureq::Error::Timeout(Timeout::Resolve) => "the resolver does not say in time where it is".to_owned(),
        ureq::Error::Timeout(Timeout::Connect) => "no connection in time".to_owned(),
        ureq::Error::Timeout(_) => "no answer in time".to_owned(),
        ureq::Error::ConnectionFailed => "it cannot be reached".to_owned(),
        ureq::Error::InvalidProxyUrl | ureq::Error::ConnectProxyFailed(_) => {
            "the proxy of the environment (HTTPS_PROXY) does not let us through".to_owned()
        }
        ureq::Error::Protocol(_) | ureq::Error::LargeResponseHeader(..) => "what it answers is not HTTP".to_owned(),
        _ => "the exchange failed".to_owned(),
    }
}

/// A fault of TLS in words that say what to look at.
fn tls_words(why: &rustls::Error) -> String {
    use rustls::{CertificateError as Fault, Error};
    match why {
        Error::InvalidCertificate(Fault::Expired | Fault::ExpiredContext { .. }) => {
            "its certificate has expired; renew it, or set this machine's clock".to_owned()
        }
        Error::InvalidCertificate(Fault::NotValidYet | Fault::NotValidYetContext { .. }) => {
            "its certificate is not valid yet; is this machine's clock right?".to_owned()
        }
        Error::InvalidCertificate(Fault::NotValidForName | Fault::NotValidForNameContext { .. }) => {
            "its certificate is for another name; check the address".to_owned()
        }
        Error::InvalidCertificate(Fault::UnknownIssuer) => {
            "its certificate is from nobody that this machine trusts; install that certificate, or name it with SSL_CERT_FILE"
                .to_owned()
        }
        Error::InvalidCertificate(why) => format!("its certificate is not trusted ({why:?}); check the address"),
        Error::InvalidMessage(_) => "what it answers is not TLS; check the address and the port".to_owned(),
        Error::AlertReceived(alert) => format!("it refuses TLS with us ({alert:?})"),
        why => format!("TLS failed: {why}"),
    }
}
