//! A small HTTP client for tests: it sends exactly what a test says and returns exactly what came.
//!
//! Each request has a connection of its own, so that a test of a broken request never spoils the next one. A client
//! with credentials answers a Bearer challenge once, as container clients do, and keeps one token whose scope grows
//! with the challenges that it meets.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, HOST, LOCATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::challenge::Challenge;

/// A client of one registry. Clones share the token.
#[derive(Debug, Clone)]
pub struct Client {
    addr: SocketAddr,
    host: String,
    login: Option<Login>,
    session: Arc<Mutex<Session>>,
    http2: bool,
}

/// How a client proves who it is.
#[derive(Debug, Clone)]
enum Login {
    Basic {
        user: String,
        password: String,
    },
    /// A given bearer token, sent as it is; challenges are not answered.
    Bearer(String),
}

#[derive(Debug, Default)]
struct Session {
    token: Option<String>,
    scopes: BTreeSet<String>,
}

impl Client {
    /// An anonymous client of the registry at `addr`.
    pub fn new(addr: SocketAddr) -> Self {
        Self { addr, host: addr.to_string(), login: None, session: Arc::default(), http2: false }
    }

    /// The same registry, as `user`.
    #[must_use]
    pub fn with_basic(&self, user: &str, password: &str) -> Self {
        let login = Login::Basic { user: user.to_owned(), password: password.to_owned() };
        Self { login: Some(login), session: Arc::default(), ..self.clone() }
    }

    /// The same registry with the bearer token `token`, whatever it is worth.
    #[must_use]
    pub fn with_bearer(&self, token: &str) -> Self {
        Self { login: Some(Login::Bearer(token.to_owned())), session: Arc::default(), ..self.clone() }
    }

    /// The same server under another host name; a host picks a registry.
    #[must_use]
    pub fn with_host(&self, host: &str) -> Self {
        Self { host: host.to_owned(), session: Arc::default(), ..self.clone() }
    }

    /// The same client over HTTP/2, without asking the server first.
    #[must_use]
    pub fn with_http2(&self) -> Self {
        Self { http2: true, ..self.clone() }
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub fn request(&self, method: Method, path: impl Into<String>) -> Request<'_> {
        Request { client: self, method, path: path.into(), headers: HeaderMap::new(), body: Body::None }
    }

    pub fn get(&self, path: impl Into<String>) -> Request<'_> {
        self.request(Method::GET, path)
    }

    pub fn head(&self, path: impl Into<String>) -> Request<'_> {
        self.request(Method::HEAD, path)
    }

    pub fn post(&self, path: impl Into<String>) -> Request<'_> {
        self.request(Method::POST, path)
    }

    pub fn put(&self, path: impl Into<String>) -> Request<'_> {
        self.request(Method::PUT, path)
    }

    pub fn patch(&self, path: impl Into<String>) -> Request<'_> {
        self.request(Method::PATCH, path)
    }

    pub fn delete(&self, path: impl Into<String>) -> Request<'_> {
        self.request(Method::DELETE, path)
    }

    /// The authorisation to try first: none before the first challenge.
    fn authorization(&self) -> Option<String> {
        match &self.login {
            Some(Login::Bearer(token)) => Some(format!("Bearer {token}")),
            _ => self.session.lock().expect("no test panics with the lock").token.clone(),
        }
    }

    /// Answers `challenge`. `None` when the client has nothing to answer with.
    async fn answer(&self, challenge: &Challenge) -> Result<Option<String>> {
        let Some(Login::Basic { user, password }) = &self.login else { return Ok(None) };
        let basic = basic(user, password);
        let authorization = match challenge {
            Challenge::Basic => basic,
            Challenge::Bearer { realm, service, scopes } => {
                let wanted = {
                    let mut session = self.session.lock().expect("no test panics with the lock");
                    session.scopes.extend(scopes.iter().cloned());
                    session.scopes.clone()
                };
                format!("Bearer {}", self.fetch_token(realm, service, &wanted, &basic).await?)
            }
        };
        self.session.lock().expect("no test panics with the lock").token = Some(authorization.clone());
        Ok(Some(authorization))
    }
}

impl Client {
    /// A bearer token bounded by `scopes`, for the user of this client.
    pub async fn token(&self, scopes: &[&str]) -> Result<String> {
        let Some(Login::Basic { user, password }) = &self.login else { bail!("the client has no password") };
        let challenge = self.get("/v2/").exchange(None).await?.challenge();
        let Some(Challenge::Bearer { realm, service, .. }) = challenge else { bail!("no Bearer challenge on /v2/") };
        let scopes = scopes.iter().map(ToString::to_string).collect();
        self.fetch_token(&realm, &service, &scopes, &basic(user, password)).await
    }

    async fn fetch_token(&self, realm: &str, service: &str, scopes: &BTreeSet<String>, basic: &str) -> Result<String> {
        let path = token_path(realm, service, scopes)?;
        let reply = self.get(path).header("authorization", basic).exchange(None).await?;
        if reply.status != StatusCode::OK {
            bail!("the token endpoint answered {}: {}", reply.status, reply.text());
        }
        let answer = reply.json();
        let token = answer["access_token"].as_str().or(answer["token"].as_str());
        Ok(token.context("a token in the answer")?.to_owned())
    }
}

/// The value of an `Authorization` header with a user's name and password.
pub fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", base64(format!("{user}:{password}").as_bytes()))
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}

/// The path and query of a token request. The realm's host is left out: tests talk to one address only.
fn token_path(realm: &str, service: &str, scopes: &BTreeSet<String>) -> Result<String> {
    let realm: http::Uri = realm.parse().with_context(|| format!("read realm {realm:?}"))?;
    let mut path = format!("{}?service={}", realm.path(), encode(service));
    for scope in scopes {
        path.push_str("&scope=");
        path.push_str(&encode(scope));
    }
    Ok(path)
}

/// Percent-encodes `text` for a query value.
pub fn encode(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

type RequestBody = BoxBody<Bytes, std::convert::Infallible>;

#[derive(Debug, Clone)]
enum Body {
    None,
    /// Sent with `Content-Length`.
    Sized(Bytes),
    /// Sent with `Transfer-Encoding: chunked`, one frame for each piece.
    Chunked(Vec<Bytes>),
}

impl Body {
    fn build(&self) -> RequestBody {
        match self {
            Self::None => Full::default().boxed(),
            Self::Sized(bytes) => Full::new(bytes.clone()).boxed(),
            Self::Chunked(pieces) => {
                let frames: Vec<_> = pieces.iter().cloned().map(|piece| Ok(Frame::data(piece))).collect();
                StreamBody::new(futures_util::stream::iter(frames)).boxed()
            }
        }
    }
}

/// A request under construction.
#[derive(Debug, Clone)]
#[must_use = "a request does nothing until it is sent"]
pub struct Request<'a> {
    client: &'a Client,
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Body,
}

impl Request<'_> {
    /// Adds a header; one with the same name stays.
    pub fn header(mut self, name: &str, value: impl ToString) -> Self {
        let name: HeaderName = name.parse().expect("tests send well-formed header names");
        let value = HeaderValue::from_str(&value.to_string()).expect("tests send well-formed header values");
        self.headers.append(name, value);
        self
    }

    /// The body, its length announced.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = Body::Sized(body.into());
        self
    }

    /// The body in pieces, its length not announced.
    pub fn chunked(mut self, pieces: impl IntoIterator<Item = Bytes>) -> Self {
        self.body = Body::Chunked(pieces.into_iter().filter(|piece| !piece.is_empty()).collect());
        self
    }

    /// Sends the request, answers one challenge, and returns the answer. Panics when there is none: a test that
    /// expects a broken connection uses [`Request::try_send`].
    pub async fn send(self) -> Reply {
        let what = format!("{} {}", self.method, self.path);
        match self.try_send().await {
            Ok(reply) => reply,
            Err(error) => panic!("{what}: {error:#}"),
        }
    }

    pub async fn try_send(self) -> Result<Reply> {
        let given = self.headers.contains_key(AUTHORIZATION);
        let authorization = if given { None } else { self.client.authorization() };
        let reply = self.exchange(authorization.as_deref()).await?;
        if given || reply.status != StatusCode::UNAUTHORIZED {
            return Ok(reply);
        }
        let Some(challenge) = reply.challenge() else { return Ok(reply) };
        match self.client.answer(&challenge).await? {
            Some(authorization) => self.exchange(Some(&authorization)).await,
            None => Ok(reply),
        }
    }

    /// One request and its answer, on a new connection.
    async fn exchange(&self, authorization: Option<&str>) -> Result<Reply> {
        let request = self.build(authorization)?;
        let stream = TokioIo::new(TcpStream::connect(self.client.addr).await.context("connect")?);
        // The connection ends with the request; what went wrong on it, the request tells.
        let (response, driver) = if self.client.http2 {
            let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
            let driver = tokio::spawn(connection);
            (sender.send_request(request).await, driver)
        } else {
            let (mut sender, connection) = http1::handshake(stream).await?;
            let driver = tokio::spawn(connection);
            (sender.send_request(request).await, driver)
        };
        let (parts, body) = response.context("send the request")?.into_parts();
        let body = body.collect().await.context("read the answer")?.to_bytes();
        driver.abort();
        let what = format!("{} {}", self.method, self.path);
        Ok(Reply { what, status: parts.status, headers: parts.headers, body })
    }

    fn build(&self, authorization: Option<&str>) -> Result<http::Request<RequestBody>> {
        let host = &self.client.host;
        let mut request = http::Request::builder().method(&self.method);
        request = if self.client.http2 {
            request.version(Version::HTTP_2).uri(format!("http://{host}{}", self.path))
        } else {
            request.uri(&self.path).header(HOST, host)
        };
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        if matches!(self.body, Body::None) && matches!(self.method, Method::POST | Method::PUT | Method::PATCH) {
            request = request.header(CONTENT_LENGTH, 0);
        }
        Ok(request.body(self.body.build())?)
    }
}

/// An answer, read whole. The `expect_*` methods panic with the whole answer when it is another one.
#[derive(Debug, Clone)]
pub struct Reply {
    what: String,
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Reply {
    /// The value of a header; several are joined by `", "`.
    pub fn header(&self, name: &str) -> Option<String> {
        let values: Vec<_> = self.headers.get_all(name).iter().map(|v| String::from_utf8_lossy(v.as_bytes())).collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    /// Path and query of the `Location` header, whether it is absolute or relative.
    #[track_caller]
    pub fn location(&self) -> String {
        let location = self.headers.get(LOCATION).and_then(|v| v.to_str().ok());
        let location: http::Uri =
            location.and_then(|text| text.parse().ok()).unwrap_or_else(|| self.fail("a Location"));
        location.path_and_query().map_or_else(|| self.fail("a path in Location"), ToString::to_string)
    }

    pub fn challenge(&self) -> Option<Challenge> {
        Challenge::parse(self.headers.get(WWW_AUTHENTICATE)?.to_str().ok()?)
    }

    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| self.fail("a JSON body"))
    }

    /// The code of the first error in the body, empty when it holds none.
    pub fn code(&self) -> String {
        let body: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        body["errors"][0]["code"].as_str().unwrap_or_default().to_owned()
    }

    #[track_caller]
    pub fn expect_status(self, status: u16) -> Self {
        if self.status != status {
            self.fail::<()>(&format!("status {status}"));
        }
        self
    }

    #[track_caller]
    pub fn expect_header(self, name: &str, value: impl ToString) -> Self {
        let value = value.to_string();
        if self.header(name).as_deref() != Some(value.as_str()) {
            self.fail::<()>(&format!("{name}: {value}"));
        }
        self
    }

    #[track_caller]
    pub fn expect_body(self, body: &[u8]) -> Self {
        if self.body != body {
            self.fail::<()>(&format!("a certain body of {} bytes", body.len()));
        }
        self
    }

    /// Status `status` and a body in the distribution API's error form with `code` first.
    #[track_caller]
    pub fn expect_error(self, status: u16, code: &str) -> Self {
        let reply = self.expect_status(status);
        if reply.code() != code {
            reply.fail::<()>(&format!("code {code}"));
        }
        reply
    }

    #[track_caller]
    fn fail<T>(&self, expected: &str) -> T {
        let text: String = self.text().chars().take(400).collect();
        panic!("{}: expected {expected}, got {} {:#?}\n{text}", self.what, self.status, self.headers)
    }
}
