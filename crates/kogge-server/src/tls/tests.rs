//! Handshakes over real sockets.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use kogge_types::{Clock, ManualClock, SystemClock};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Source, Tls, TlsError, trust_hint};
use crate::config::{Config, Environment, Limits, ServeArgs, TlsMode};
use crate::listen::tests::{Echo, local};
use crate::listen::{ListenConfig, Server};

fn config(folder: &Path, tls: &str) -> Config {
    let args = ServeArgs {
        data_dir: Some(folder.to_owned()),
        domain: Some("reg.example".to_owned()),
        default_host: vec!["other.example".to_owned()],
        tls: Some(tls.to_owned()),
        ..ServeArgs::default()
    };
    Config::load(&args, &Environment::default()).expect("good")
}

fn open(folder: &Path, tls: &str, clock: Arc<dyn Clock>) -> Result<Tls, TlsError> {
    Tls::open(&config(folder, tls).server, clock).map(|tls| tls.expect("on"))
}

fn serve(tls: Tls) -> SocketAddr {
    serve_at([127, 0, 0, 1], tls)
}

fn serve_at(address: [u8; 4], tls: Tls) -> SocketAddr {
    let config = ListenConfig { addresses: vec![(address, 0).into()], ..local(Limits::default()) };
    let server = Server::bind(&config, Some(tls)).expect("a free port");
    let address = server.local_addrs()[0];
    tokio::spawn(server.run(Echo::default(), std::future::pending()));
    address
}

async fn handshake(
    address: SocketAddr,
    name: &str,
    trusted: &Path,
    protocols: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(trusted).expect("a certificate")).expect("an authority");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = builder.expect("versions").with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(name.to_owned()).expect("name"), stream).await
}

/// Writes a pair whose certificate is its own authority.
fn write_pair(folder: &Path) -> String {
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a pair");
    let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    fs::write(&certificate, pair.cert.pem()).expect("written");
    fs::write(&key, pair.signing_key.serialize_pem()).expect("written");
    format!("{},{}", certificate.display(), key.display())
}

#[tokio::test]
async fn a_client_that_trusts_the_local_authority_reaches_every_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let tls = open(folder.path(), "auto", Arc::new(SystemClock)).expect("an authority");
    let authority = folder.path().join("tls/ca.pem");
    let hint = tls.trust_hint().expect("a hint");
    assert!(hint.contains(&authority.display().to_string()), "{hint}");
    let address = serve(tls);
    for name in
        ["localhost", "reg.example", "myreg.reg.example", "a.b.reg.example", "other.example", "127.0.0.1", "::1"]
    {
        let stream = handshake(address, name, &authority, &[]).await;
        assert!(stream.is_ok(), "{name}: {stream:?}");
    }
    for name in ["evil.example", "reg.example.evil", "xreg.example", "192.0.2.1"] {
        assert!(handshake(address, name, &authority, &[]).await.is_err(), "{name}");
    }
}

#[tokio::test]
async fn a_client_that_names_no_host_reaches_the_address_it_connects_to() {
    let folder = tempfile::tempdir().expect("a folder");
    let tls = open(folder.path(), "auto", Arc::new(SystemClock)).expect("an authority");
    let address = serve_at([127, 0, 0, 2], tls);
    let authority = folder.path().join("tls/ca.pem");
    assert!(handshake(address, "127.0.0.2", &authority, &[]).await.is_ok());
    assert!(handshake(address, "127.0.0.3", &authority, &[]).await.is_err());
}

#[tokio::test]
async fn alpn_picks_the_protocol() {
    let folder = tempfile::tempdir().expect("a folder");
    let address = serve(open(folder.path(), "auto", Arc::new(SystemClock)).expect("an authority"));
    let authority = folder.path().join("tls/ca.pem");

    let stream = handshake(address, "localhost", &authority, &["h2", "http/1.1"]).await.expect("handshake");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("HTTP/2");
    tokio::spawn(connection);
    let request =
        http::Request::post("https://localhost/").body(Full::new(Bytes::from_static(b"abc"))).expect("request");
    let answer = client.send_request(request).await.expect("an answer").collect().await.expect("a body").to_bytes();
    assert_eq!(answer, "HTTP/2.0 tls=true bytes=3");

    for protocols in [&["http/1.1"][..], &[]] {
        let mut stream = handshake(address, "localhost", &authority, protocols).await.expect("handshake");
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        assert!(answer.ends_with("HTTP/1.1 tls=true bytes=0"), "{answer}");
    }
}

#[tokio::test]
async fn plain_http_is_told_where_it_went() {
    let folder = tempfile::tempdir().expect("a folder");
    let address = serve(open(folder.path(), "auto", Arc::new(SystemClock)).expect("an authority"));
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.write_all(b"GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.contains(&format!("Content-Length: {}", body.len())), "{answer}");
    assert!(body.contains("this port speaks HTTPS"), "{answer}");
}

#[test]
fn the_authority_is_made_once_and_its_key_is_private() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Arc::new(ManualClock::at(SystemClock.now_us()));
    let (path, key) = (folder.path().join("tls/ca.pem"), folder.path().join("tls/ca-key.pem"));
    open(folder.path(), "auto", clock.clone()).expect("made");
    let first = fs::read(&path).expect("there");
    assert_eq!(fs::metadata(&key).expect("there").permissions().mode() & 0o777, 0o600);

    open(folder.path(), "auto", clock.clone()).expect("opened");
    assert_eq!(fs::read(&path).expect("there"), first);

    clock.advance(Duration::from_secs(3_300 * 86_400));
    open(folder.path(), "auto", clock.clone()).expect("renewed");
    assert_ne!(fs::read(&path).expect("there"), first);

    fs::remove_file(&key).expect("removed");
    let error = open(folder.path(), "auto", clock).expect_err("no key");
    assert!(matches!(error, TlsError::KeyMissing(_)), "{error}");
}

#[test]
fn issued_certificates_are_remembered_and_renewed() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Arc::new(ManualClock::at(SystemClock.now_us()));
    let tls = open(folder.path(), "auto", clock.clone()).expect("an authority");
    let Source::Authority(issuer) = &tls.source else { panic!("not an authority") };
    let ask = |name: &str| issuer.certificate_for_name(name).expect("issued").cert[0].clone();
    let first = ask("localhost");
    assert_eq!(ask("localhost"), first);
    clock.advance(Duration::from_secs(59 * 86_400));
    assert_eq!(ask("localhost"), first);
    clock.advance(Duration::from_secs(2 * 86_400));
    assert_ne!(ask("localhost"), first);
    for number in 0..1_000 {
        ask(&format!("registry{number}.reg.example"));
    }
    assert!(issuer.remembered() <= 256, "{}", issuer.remembered());
}

#[tokio::test]
async fn new_files_are_served_and_broken_ones_are_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let pair = write_pair(folder.path());
    let tls = open(folder.path(), &pair, Arc::new(SystemClock)).expect("a pair");
    assert_eq!(tls.trust_hint(), None);
    let Source::Files(files) = tls.source.clone() else { panic!("not files") };
    let watching = files.clone();
    tokio::spawn(async move { watching.watch(Duration::from_millis(5)).await });
    let address = serve(tls);
    let old = folder.path().join("old.pem");
    fs::copy(folder.path().join("cert.pem"), &old).expect("copied");
    handshake(address, "localhost", &old, &[]).await.expect("the first pair");

    fs::write(folder.path().join("key.pem"), "no key").expect("written");
    assert!(files.reload().is_err());
    handshake(address, "localhost", &old, &[]).await.expect("still the first pair");

    write_pair(folder.path());
    let begun = tokio::time::Instant::now();
    while handshake(address, "localhost", &folder.path().join("cert.pem"), &[]).await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(30), "never reloaded");
    }
    assert!(handshake(address, "localhost", &old, &[]).await.is_err());
}

#[test]
fn files_that_do_not_fit_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let other = tempfile::tempdir().expect("a folder");
    write_pair(other.path());
    let pair = write_pair(folder.path());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    fs::copy(other.path().join("key.pem"), folder.path().join("key.pem")).expect("copied");
    assert!(matches!(open(folder.path(), &pair, clock.clone()), Err(TlsError::Pair(_))));
    fs::write(folder.path().join("cert.pem"), "").expect("written");
    assert!(matches!(open(folder.path(), &pair, clock.clone()), Err(TlsError::Pem { what: "certificate", .. })));
    fs::remove_file(folder.path().join("cert.pem")).expect("removed");
    assert!(matches!(open(folder.path(), &pair, clock), Err(TlsError::Read { .. })));
}

#[test]
fn off_is_off() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = config(folder.path(), "off").server;
    assert_eq!(server.tls, TlsMode::Off);
    assert!(Tls::open(&server, Arc::new(SystemClock)).expect("nothing to do").is_none());
    assert!(trust_hint(Path::new("/x/ca.pem")).contains("/x/ca.pem"));
}
