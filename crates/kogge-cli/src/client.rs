//! A registry's client: one connection pool, one login, the distribution API and the few ACR routes the verbs need.

pub(crate) mod acr;
pub(crate) mod authorizer;
pub(crate) mod blobs;
pub(crate) mod challenge;
pub(crate) mod failure;
#[cfg(test)]
pub(crate) mod fake;
pub(crate) mod link;
pub(crate) mod listing;
pub(crate) mod manifests;
pub(crate) mod referrers;
pub(crate) mod retry;
pub(crate) mod uploads;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use kogge_types::RepositoryName;
use reqwest::header::{AUTHORIZATION, HeaderMap};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Certificate, Method, Response, StatusCode, Url};

use self::authorizer::{Authorizer, Scopes};
use self::failure::{Asker, Fault};
use self::retry::Backoff;
use crate::credentials::Credential;
use crate::error::{During as _, Error, Kind, Result};
use crate::image_reference::RegistryHost;

/// How long a connection may take to be made.
const CONNECT_PATIENCE: Duration = Duration::from_secs(15);
/// How long the head of an answer may take, when the request is short.
pub(crate) const ANSWER_PATIENCE: Duration = Duration::from_secs(60);
/// How long this machine may take to show whether it speaks TLS: a handshake and a short answer.
const PROBE_PATIENCE: Duration = Duration::from_secs(15);
/// How often a request that met an internal error is sent again: such errors rarely pass by themselves.
const INTERNAL_ERRORS_MAX: u32 = 2;
/// Redirects that are followed for one request.
const REDIRECTS_MAX: usize = 5;

/// How to reach registries: the global flags.
#[derive(Debug, Clone, Default)]
pub(crate) struct Transport {
    pub(crate) plain_http: bool,
    pub(crate) insecure: bool,
    pub(crate) ca_file: Option<PathBuf>,
}

impl Transport {
    pub(crate) fn http_client(&self, host: &RegistryHost) -> Result<reqwest::Client> {
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("kogge/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_PATIENCE)
            .redirect(Policy::custom(follow))
            .tls_danger_accept_invalid_certs(self.insecure);
        if host.is_loopback() {
            builder = builder.no_proxy();
        }
        if let Some(addresses) = host.known_addresses(0) {
            // Port 0 stands for the port of the request.
            builder = builder.resolve_to_addrs(host.name(), &addresses);
        }
        if let Some(path) = &self.ca_file {
            let text = std::fs::read(path).during(|| format!("read the certificates in {}", path.display()))?;
            let unusable = || Error::usage(format!("{} holds no usable PEM certificate", path.display()));
            let certificates =
                Certificate::from_pem_bundle(&text).map_err(|error| unusable().because(error.without_url()))?;
            if certificates.is_empty() {
                return Err(unusable());
            }
            builder = builder.tls_certs_merge(certificates);
        }
        builder.build().map_err(|error| Error::general("cannot set up the HTTP client").because(error))
    }
}

/// Follows a bounded number of redirects, never from TLS to clear text. Credentials stay with the first host.
fn follow(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let from_tls = attempt.previous().last().is_some_and(|previous| previous.scheme() == "https");
    if attempt.previous().len() > REDIRECTS_MAX {
        attempt.error("too many redirects")
    } else if from_tls && attempt.url().scheme() != "https" {
        attempt.error("the registry redirects from TLS to plain HTTP")
    } else {
        attempt.follow()
    }
}

/// A short request that can be sent again.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) scopes: Scopes,
    /// How long the answer's head may take.
    pub(crate) patience: Duration,
}

impl Request {
    pub(crate) fn new(method: Method, url: Url, scopes: Scopes) -> Self {
        Self { method, url, headers: HeaderMap::new(), body: Bytes::new(), scopes, patience: ANSWER_PATIENCE }
    }

    /// Whether the request says itself who sends it, so that no challenge is answered for it.
    fn proves_itself(&self) -> bool {
        self.headers.contains_key(AUTHORIZATION)
    }
}

/// A client of one registry.
pub(crate) struct Client {
    host: RegistryHost,
    http: reqwest::Client,
    origin: Url,
    authorizer: Authorizer,
    /// Whether the registry has answered yet. Before that, a failed connection is not tried again.
    reached: AtomicBool,
}

impl Client {
    /// Makes a client; on this machine's own addresses, finds out whether TLS is spoken there. That it cannot be found
    /// out is an error: plain HTTP carries passwords in clear.
    pub(crate) async fn connect(
        host: RegistryHost,
        transport: &Transport,
        credential: Option<Credential>,
    ) -> Result<Self> {
        let http = transport.http_client(&host)?;
        let secure = origin_of(&host, "https")?;
        let clear =
            transport.plain_http || (host.is_loopback() && !speaks_tls(&http, &host, &secure, PROBE_PATIENCE).await?);
        let origin = if clear { origin_of(&host, "http")? } else { secure };
        let authorizer = Authorizer::new(host.clone(), credential, clear);
        Ok(Self { host, http, origin, authorizer, reached: AtomicBool::new(false) })
    }

    pub(crate) fn host(&self) -> &RegistryHost {
        &self.host
    }

    pub(crate) fn origin(&self) -> &Url {
        &self.origin
    }

    /// The address of a path below the registry's root, `/v2/…`.
    pub(crate) fn url(&self, path: &str) -> Url {
        let mut url = self.origin.clone();
        url.set_path(path);
        url
    }

    pub(crate) fn repository_url(&self, repository: &RepositoryName, rest: &str) -> Url {
        self.url(&format!("/v2/{repository}/{rest}"))
    }

    /// Where an answer's `Location` leads, for bytes that are sent there: on the registry's own origin, or elsewhere
    /// by TLS. So a registry that is asked over TLS cannot have them sent in clear, and one that is asked in clear
    /// cannot point them at another host in clear. `asked` is the address that answered.
    pub(crate) fn destination(&self, asked: &Url, location: &str, action: &str) -> Result<Url> {
        let url = asked.join(location).map_err(|error| {
            Error::general(format!("cannot {action}: the answer has no usable Location")).because(error)
        })?;
        if url.scheme() == "https" || url.origin() == self.origin.origin() {
            return Ok(url);
        }
        // No more than the origin is shown: the rest of an upload's address is secret.
        let (own, other) = (self.origin.origin().ascii_serialization(), url.origin().ascii_serialization());
        let message =
            format!("cannot {action}: {own} wants the bytes sent to {other}, which is neither itself nor TLS");
        Err(Error::new(Kind::Denied, message)
            .hint("nothing was sent there; fix the registry's external address, or what its proxy forwards"))
    }

    /// Asks `/v2/`: proves that the registry is one, and that the login is good.
    pub(crate) async fn ping(&self) -> Result<()> {
        let request = Request::new(Method::GET, self.url("/v2/"), Scopes::none());
        let action = format!("log in to {}", self.host);
        self.expect(self.execute(&request, &action).await?, &[StatusCode::OK], &action).await?;
        Ok(())
    }

    /// Sends a request until there is an answer that is worth telling: challenges are met, transient failures are
    /// waited out within bounds.
    pub(crate) async fn execute(&self, request: &Request, action: &str) -> Result<Response> {
        let mut backoff = Backoff::default();
        let (mut challenged, mut internal_errors) = (false, 0);
        loop {
            let authorization = match self.authorization_of(request).await {
                Err(error) if error.status().and_then(status_code).is_some_and(retry::is_transient) => {
                    let Some(delay) = backoff.next(None) else { return Err(error) };
                    tokio::time::sleep(delay).await;
                    continue;
                }
                outcome => outcome?,
            };
            let mut sending = self
                .http
                .request(request.method.clone(), request.url.clone())
                .headers(request.headers.clone())
                .body(request.body.clone());
            if let Some(header) = &authorization {
                sending = sending.header(AUTHORIZATION, header);
            }
            let response = match tokio::time::timeout(request.patience, sending.send()).await {
                Ok(Ok(response)) => response,
                Ok(Err(error)) => {
                    let hopeless = !self.reached.load(Ordering::Relaxed) || error.is_builder() || error.is_redirect();
                    match backoff.next(None).filter(|_| !hopeless) {
                        Some(delay) => tokio::time::sleep(delay).await,
                        None => return Err(failure::of_transport(error, action, &self.host)),
                    }
                    continue;
                }
                Err(_) => match backoff.next(None) {
                    Some(_) if self.reached.load(Ordering::Relaxed) => continue,
                    _ => return Err(self.silent(action)),
                },
            };
            self.reached.store(true, Ordering::Relaxed);
            let status = response.status();
            if status == StatusCode::UNAUTHORIZED && !challenged && !request.proves_itself() {
                challenged = true;
                let headers = response.headers();
                if self.authorizer.learn(&self.http, headers, &request.scopes, authorization.as_ref()).await? {
                    continue;
                }
            }
            if status == StatusCode::INTERNAL_SERVER_ERROR {
                internal_errors += 1;
            }
            if retry::is_transient(status)
                && internal_errors <= INTERNAL_ERRORS_MAX
                && let Some(delay) = backoff.next(retry::asked_delay(response.headers(), Timestamp::now()))
            {
                tokio::time::sleep(delay).await;
                continue;
            }
            return Ok(response);
        }
    }

    async fn authorization_of(&self, request: &Request) -> Result<Option<reqwest::header::HeaderValue>> {
        if request.proves_itself() { Ok(None) } else { self.authorization(&request.url, &request.scopes).await }
    }

    /// The `Authorization` header for an address. Addresses of other hosts get none.
    async fn authorization(&self, url: &Url, scopes: &Scopes) -> Result<Option<reqwest::header::HeaderValue>> {
        if url.origin() != self.origin.origin() {
            return Ok(None);
        }
        self.authorizer.header(&self.http, scopes).await
    }

    /// The answer, when its status is one of `wanted`; else the error that it stands for.
    pub(crate) async fn expect(&self, response: Response, wanted: &[StatusCode], action: &str) -> Result<Response> {
        if wanted.contains(&response.status()) { Ok(response) } else { Err(self.failure(response, action).await) }
    }

    pub(crate) async fn failure(&self, response: Response, action: &str) -> Error {
        failure::of_answer(response, action, &Asker { host: &self.host, user: self.authorizer.user() }).await
    }

    fn silent(&self, action: &str) -> Error {
        Error::new(Kind::Network, format!("cannot {action}: {} did not answer in time", self.host))
    }
}

fn status_code(status: u16) -> Option<StatusCode> {
    StatusCode::from_u16(status).ok()
}

fn origin_of(host: &RegistryHost, scheme: &str) -> Result<Url> {
    let text = format!("{scheme}://{}/", host.authority());
    Url::parse(&text).map_err(|error| Error::usage(format!("`{host}` is not a host")).because(error))
}

/// Whether TLS is spoken at `origin`. A certificate that is not trusted, or a redirect that is not followed, shows it
/// too. Only an answer in clear, or nobody there, shows that it is not; silence and broken connections are errors.
async fn speaks_tls(http: &reqwest::Client, host: &RegistryHost, origin: &Url, patience: Duration) -> Result<bool> {
    let mut url = origin.clone();
    url.set_path("/v2/");
    let Err(error) = http.get(url).timeout(patience).send().await else { return Ok(true) };
    match Fault::of(&error) {
        Fault::Certificate => Ok(true),
        Fault::NotTls | Fault::Refused => Ok(false),
        Fault::Connect | Fault::Other if error.is_redirect() => Ok(true),
        Fault::Connect | Fault::Other => Err(failure::of_transport(error, "find out whether TLS is spoken", host)
            .hint("use --plain-http if the registry is meant to be without TLS")),
    }
}

/// Reads a body that must not be longer than `bytes_max`.
pub(crate) async fn read_bounded(
    mut response: Response,
    bytes_max: usize,
    action: &str,
    host: &RegistryHost,
) -> Result<Bytes> {
    let too_long = || Error::general(format!("cannot {action}: the answer of {host} is over {bytes_max} bytes"));
    if response.content_length().is_some_and(|length| length > bytes_max as u64) {
        return Err(too_long());
    }
    let mut body = Vec::new();
    loop {
        let chunk = match tokio::time::timeout(ANSWER_PATIENCE, response.chunk()).await {
            Ok(chunk) => chunk.map_err(|error| failure::of_transport(error, action, host))?,
            Err(_) => {
                let message = format!("cannot {action}: {host} stopped in the middle of its answer");
                return Err(Error::new(Kind::Network, message));
            }
        };
        let Some(chunk) = chunk else { return Ok(body.into()) };
        if body.len() + chunk.len() > bytes_max {
            return Err(too_long());
        }
        body.extend_from_slice(&chunk);
    }
}

#[cfg(test)]
mod tests;
