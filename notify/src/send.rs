//! One try: a message goes to where its receiver is, and what came of it is said without a secret.

use std::time::Duration;

use ureq::{
    Agent, Body, Timeout,
    http::{Request, Response, header},
    tls::{Certificate, RootCerts, TlsConfig},
};

use crate::{clock, config::Receiver, ledger::Attempt, payload, retry::Verdict, sendmail, target::Target};

/// As much of an answer as is read, in bytes, and only of one that says no.
const MOST_OF_AN_ANSWER: u64 = 16 << 10;
/// Longest head of an answer, in bytes.
const MOST_OF_A_HEAD: usize = 32 << 10;

/// The certificates that this machine trusts; `SSL_CERT_FILE` and `SSL_CERT_DIR` name others.
#[derive(Debug, Clone)]
pub struct Trust(RootCerts);

impl Trust {
    /// Reads them. Gives back how many there are as well.
    pub fn load() -> (Self, usize) {
        let found = rustls_native_certs::load_native_certs().certs;
        let certificates: Vec<_> = found.iter().map(|found| Certificate::from_der(found).to_owned()).collect();
        let count = certificates.len();
        (Self(RootCerts::from(certificates)), count)
    }
}

/// What sends to one receiver.
#[derive(Debug)]
pub struct Sender {
    agent: Agent,
    target: Target,
    label: String,
    timeout: Duration,
}

impl Sender {
    /// To `receiver`. `label` stands in each message.
    pub fn new(receiver: &Receiver, label: &str, trust: &Trust) -> Self {
        let tls = TlsConfig::builder()
            .root_certs(trust.0.clone())
            .unversioned_rustls_crypto_provider(std::sync::Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let agent = Agent::config_builder()
            .tls_config(tls)
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
            .build()
            .new_agent();
        Self { agent, target: receiver.target.clone(), label: label.to_owned(), timeout: receiver.timeout }
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
                self.exchange(request, body)
            }
            Target::Slack(url) => {
                self.exchange(self.post(url.reveal()), payload::slack(&self.label, attempt).to_string())
            }
            Target::Discord(url) => {
                self.exchange(self.post(url.reveal()), payload::discord(&self.label, attempt).to_string())
            }
            Target::Telegram(url, chat) => {
                self.exchange(self.post(url.reveal()), payload::telegram(&self.label, attempt, chat).to_string())
            }
        };
        self.scrubbed(verdict)
    }

    fn post(&self, url: &str) -> ureq::http::request::Builder {
        Request::post(url).header(header::CONTENT_TYPE, "application/json")
    }

    fn exchange(&self, request: ureq::http::request::Builder, body: String) -> Verdict {
        match request.body(body) {
            Ok(request) => match self.agent.run(request) {
                Ok(answer) => judged(answer),
                Err(error) => failure(error),
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
    let body = answer.body_mut().with_config().limit(MOST_OF_AN_ANSWER).read_to_vec().unwrap_or_default();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    // Telegram says it in its own way, and Discord more exactly than in the head
    let seconds = [body.pointer("/parameters/retry_after"), body.get("retry_after")].into_iter().flatten();
    let told = seconds.filter_map(serde_json::Value::as_f64).map(|seconds| seconds.to_string()).next();
    Verdict::of_status(status, told.or(asked).as_deref(), clock::now())
}

/// What an error means: what cannot have arrived is not in doubt. Addresses are left out, since they may be secret.
fn failure(error: ureq::Error) -> Verdict {
    use std::io::ErrorKind::{AddrNotAvailable, ConnectionRefused, HostUnreachable, NetworkUnreachable};
    match error {
        ureq::Error::Io(error) => match error.kind() {
            ConnectionRefused | HostUnreachable | NetworkUnreachable | AddrNotAvailable => {
                Verdict::failed(format!("it cannot be reached: {error}"))
            }
            _ => Verdict::in_doubt(format!("the connection broke: {error}")),
        },
        ureq::Error::HostNotFound => Verdict::failed("its name is not known; check the address and the resolver"),
        ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => Verdict::failed("no connection in time"),
        ureq::Error::Timeout(_) => Verdict::in_doubt("no answer in time"),
        ureq::Error::Rustls(rustls::Error::InvalidCertificate(why)) => Verdict::failed(format!(
            "its certificate is not trusted ({why:?}); check the address, and that this machine's certificates are installed"
        )),
        ureq::Error::Rustls(why) => Verdict::in_doubt(format!("TLS failed: {why}")),
        ureq::Error::Tls(why) => Verdict::failed(format!("TLS failed: {why}")),
        ureq::Error::ConnectionFailed => Verdict::failed("it cannot be reached"),
        ureq::Error::InvalidProxyUrl | ureq::Error::ConnectProxyFailed(_) => {
            Verdict::failed("the proxy of the environment (HTTPS_PROXY) does not let us through")
        }
        ureq::Error::Protocol(_) | ureq::Error::LargeResponseHeader(..) => {
            Verdict::in_doubt("what it answers is not HTTP")
        }
        _ => Verdict::in_doubt("the exchange failed"),
    }
}
