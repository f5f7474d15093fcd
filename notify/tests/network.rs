//! TLS, proxies and addresses: what leaves this machine, and how.
#![expect(clippy::unwrap_used, reason = "what the tests share may fail loudly")]

mod common;

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Command, Output},
    sync::{Arc, Mutex, mpsc},
    thread,
};

use common::{Answer, Place, Receiver, skip::skipped, until, webhook};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

/// A certificate of its own authority for these names, with its key; none, said, where there is no openssl.
fn certificate(place: &Place, name: &str, names: &str, days: &str) -> Option<(PathBuf, PathBuf)> {
    let (key, certificate) = (place.path(&format!("{name}.key")), place.path(&format!("{name}.pem")));
    let mut command = Command::new("openssl");
    command.args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        days,
    ]);
    command.args(["-subj", &format!("/CN=vigie test {name}"), "-addext", &format!("subjectAltName={names}")]);
    command.arg("-addext").arg("basicConstraints=critical,CA:FALSE");
    let made = command.arg("-keyout").arg(&key).arg("-out").arg(&certificate).output();
    if !made.is_ok_and(|output| output.status.success()) {
        skipped("openssl makes no certificate");
        return None;
    }
    Some((certificate, key))
}

/// A server that speaks TLS with this certificate, and gives back the bodies that it gets.
fn secure(certificate: &PathBuf, key: &PathBuf) -> (SocketAddr, mpsc::Receiver<String>) {
    let chain = vec![CertificateDer::from_pem_file(certificate).unwrap()];
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    let builder = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let config = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let config = Arc::new(config.with_single_cert(chain, key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (told, bodies) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            if let Some(body) = serve(StreamOwned::new(connection, stream.unwrap())) {
                let _nobody_asks = told.send(body);
            }
        }
    });
    (address, bodies)
}

fn serve(stream: StreamOwned<ServerConnection, TcpStream>) -> Option<String> {
    let mut reader = BufReader::new(stream);
    let (mut line, mut length) = (String::new(), 0);
    while line != "\r\n" {
        line.clear();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        if let Some(value) = line.to_lowercase().strip_prefix("content-length: ") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").ok()?;
    String::from_utf8(body).ok()
}

fn test_with(place: &Place, name: &str, environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let output = place.notify_with(&["test", name], environment);
    (output.status.code(), words(&output))
}

fn words(output: &Output) -> String {
    [&output.stdout[..], &output.stderr].concat().iter().map(|byte| char::from(*byte)).collect()
}

#[test]
fn tls_is_spoken_with_whom_it_trusts_and_what_it_refuses_is_said_and_not_in_doubt() {
    let place = Place::new("");
    let Some((good, key)) = certificate(&place, "good", "IP:127.0.0.1", "2") else { return };
    let Some((other, other_key)) = certificate(&place, "other", "DNS:own.example", "2") else { return };
    let (address, bodies) = secure(&good, &key);
    let (misnamed, _) = secure(&other, &other_key);
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let plainly = plain.local_addr().unwrap();
    thread::spawn(move || {
        let mut streams: Vec<TcpStream> = plain.incoming().map(Result::unwrap).take(1).collect();
        streams[0].write_all(b"220 mail.example.org ESMTP\r\n").unwrap();
        let _until_it_leaves = streams[0].read_to_end(&mut Vec::new());
    });
    let closing = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = closing.local_addr().unwrap();
    thread::spawn(move || closing.incoming().for_each(drop));
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let section = |name: &str, address: SocketAddr| webhook(name, &format!("https://{address}/hook"), "tries = 2");
    place.configure(
        &[
            section("good", address),
            section("misnamed", misnamed),
            section("plain", plainly),
            section("closed", closed),
            section("refused", free),
            webhook("unknown", "https://no-such-host.invalid/hook", ""),
        ]
        .concat(),
    );
    let good = good.to_str().unwrap();
    let both = place.path("both.pem");
    fs::write(&both, [fs::read(good).unwrap(), fs::read(&other).unwrap()].concat()).unwrap();
    let trusted = [("SSL_CERT_FILE", both.to_str().unwrap())];
    assert_eq!(test_with(&place, "good", &trusted), (Some(0), "good: delivered\n".to_owned()));
    assert!(bodies.recv().unwrap().contains("\"kind\":\"test\""));
    for (name, environment, expected) in [
        (
            "good",
            [("SSL_CERT_FILE", other.to_str().unwrap())],
            "its certificate is from nobody that this machine trusts",
        ),
        ("misnamed", trusted, "its certificate is for another name; check the address"),
        ("plain", trusted, "not TLS"),
        ("closed", trusted, "the connection broke"),
        ("refused", trusted, "it refuses the connection"),
        ("unknown", trusted, "its name is not known"),
    ] {
        let (code, said) = test_with(&place, name, &environment);
        assert_eq!(code, Some(3), "{name}: {said}");
        let is_taken = said.starts_with(&format!("{name}: not delivered: ")) && said.contains(expected);
        assert!(is_taken || (name == "unknown" && said.contains("the resolver")), "{name}: {said}");
        assert!(!said.contains("os error"), "{said}");
    }
}

#[test]
fn an_environment_that_cannot_be_used_is_a_fault_of_the_check() {
    let place = Place::new(&webhook("a", "https://own.example/hook", ""));
    fs::write(place.path("empty.pem"), "no certificate\n").unwrap();
    let empty = place.path("empty.pem");
    for (name, value) in [
        ("SSL_CERT_FILE", "/nowhere/ca.pem"),
        ("SSL_CERT_FILE", empty.to_str().unwrap()),
        ("HTTPS_PROXY", "http://S3CRET@proxy:99999"),
        ("ALL_PROXY", "socks5://S3CRET@proxy"),
    ] {
        let checked = place.notify_with(&["check"], &[(name, value)]);
        let said = words(&checked);
        assert_eq!(checked.status.code(), Some(2), "{name}={value}: {said}");
        assert!(said.contains(name) && said.contains("of the environment") && !said.contains("S3CRET"), "{said}");
    }
}

#[test]
fn what_goes_to_this_machine_goes_through_no_proxy() {
    let receiver = Receiver::start(|_| Answer::Ok);
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = format!("http://{}", proxy.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    thread::spawn(move || {
        for stream in proxy.incoming() {
            let mut line = String::new();
            BufReader::new(stream.unwrap()).read_line(&mut line).unwrap();
            noted.lock().unwrap().push(line);
        }
    });
    let place = Place::new(
        &[
            webhook("near", &receiver.url(), ""),
            webhook("plain", "http://own.invalid/S3CRET", "plain_http = true"),
            webhook("far", "https://own.invalid/S3CRET", ""),
        ]
        .concat(),
    );
    for name in ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        let environment = [(name, &*at)];
        assert_eq!(test_with(&place, "near", &environment).0, Some(0), "{name}");
        assert_eq!(test_with(&place, "plain", &environment).0, Some(3), "{name}");
        assert!(seen.lock().unwrap().is_empty(), "{name}: {seen:?}");
    }
    // one that is asked sees the host alone
    let (code, said) = test_with(&place, "far", &[("HTTPS_PROXY", &*at)]);
    assert!(code == Some(3) && said.contains("far: not delivered: "), "{said}");
    until("that the proxy was asked", || (!seen.lock().unwrap().is_empty()).then_some(()));
    assert!(seen.lock().unwrap()[0].starts_with("CONNECT own.invalid:443 "), "{seen:?}");
}

#[test]
fn a_port_that_there_is_not_is_a_fault_and_no_delivery() {
    for port in ["0", "65536", "99999", "http", ""] {
        let place = Place::new(&webhook("a", &format!("http://127.0.0.1:{port}/hook"), ""));
        let checked = place.notify(&["check"]);
        assert_eq!(checked.status.code(), Some(2), "{port:?}: {}", words(&checked));
        assert!(words(&checked).contains("no port from 1 to 65535"), "{}", words(&checked));
    }
}
