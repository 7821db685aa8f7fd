//! Answers and connections that failed, turned into errors that say what to do.

use std::error::Error as StdError;
use std::io::{self, ErrorKind};
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Response, StatusCode};
use serde::Deserialize;

use super::manifests::text_header;
use crate::error::{Error, Kind, printable};
use crate::image_reference::RegistryHost;

/// Bytes of an error's body that are read.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// Bytes of an error's body without codes that are shown.
const TEXT_BYTES_MAX: usize = 200;
/// How long an error's body may take.
const BODY_PATIENCE: Duration = Duration::from_secs(10);

/// A registry's error body (distribution specification, "Error Codes").
#[derive(Deserialize)]
struct Body {
    errors: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: Option<String>,
}

/// Who asked, for the hints.
pub(crate) struct Asker<'a> {
    pub(crate) host: &'a RegistryHost,
    pub(crate) user: Option<&'a str>,
}

/// The error that an answer with a failure status stands for. `action` is what was tried: `pull a/b:v1`.
pub(crate) async fn of_answer(response: Response, action: &str, asker: &Asker<'_>) -> Error {
    let (status, correlation) = (response.status(), correlation_of(&response));
    let is_text =
        text_header(response.headers(), CONTENT_TYPE.as_str()).is_some_and(|own| own.starts_with("text/plain"));
    let body = read_error_body(response).await;
    let entries = serde_json::from_slice::<Body>(&body).map(|body| body.errors).unwrap_or_default();
    let codes: Vec<String> = entries.iter().map(|entry| printable(&entry.code)).collect();
    let mut said: Vec<String> = entries
        .iter()
        .map(|entry| match &entry.message {
            Some(message) if !message.is_empty() => format!("{}: {}", printable(&entry.code), printable(message)),
            _ => printable(&entry.code),
        })
        .collect();
    if said.is_empty() && is_text {
        said.push(printable(&String::from_utf8_lossy(&body[..body.len().min(TEXT_BYTES_MAX)])));
    }
    let said = if said.is_empty() { String::new() } else { format!(": {}", said.join("; ")) };
    let correlation = correlation.map(|id| format!(" (correlation id {id})")).unwrap_or_default();
    let cause = format!("{} answered {status}{said}{correlation}", asker.host);
    let error =
        Error::new(kind_of(status), format!("cannot {action}")).because(cause).with_answer(status.as_u16(), codes);
    with_hint(error, status, asker)
}

/// What kind of failure a status stands for.
pub(crate) fn kind_of(status: StatusCode) -> Kind {
    match status {
        StatusCode::NOT_FOUND => Kind::NotFound,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Kind::Denied,
        status if super::retry::is_transient(status) && status != StatusCode::INTERNAL_SERVER_ERROR => Kind::Network,
        _ => Kind::General,
    }
}

/// The id under which the registry has noted the request.
pub(crate) fn correlation_of(response: &Response) -> Option<String> {
    let mut names = ["x-ms-correlation-request-id", "x-request-id"].into_iter();
    names.find_map(|name| response.headers().get(name)).and_then(|value| value.to_str().ok()).map(printable)
}

/// The body of a refusal: what comes of it in time.
pub(crate) async fn read_error_body(response: Response) -> Vec<u8> {
    tokio::time::timeout(BODY_PATIENCE, read_at_most(response, BODY_BYTES_MAX)).await.unwrap_or_default()
}

fn with_hint(error: Error, status: StatusCode, asker: &Asker<'_>) -> Error {
    let host = asker.host;
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => match asker.user {
            None => error.hint(format!("no login for {host} is known; run `kogge login {host}`")),
            Some(user) => error.hint(format!(
                "`{user}` is logged in; either that is not enough for this, or the name does not exist on {host}"
            )),
        },
        StatusCode::METHOD_NOT_ALLOWED if error.has_code("REGISTRY_DISALLOWED_OPERATION") => {
            error.hint("the repository, tag or manifest is locked; unlock it first")
        }
        StatusCode::METHOD_NOT_ALLOWED => {
            error.hint(format!("{host} does not allow this operation, or has it turned off"))
        }
        StatusCode::TOO_MANY_REQUESTS => error.hint("wait a while, or use a smaller --parallel"),
        _ => error,
    }
}

/// Reads a body up to a bound, and no error: what came is enough.
async fn read_at_most(mut response: Response, bytes_max: usize) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = bytes_max - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if body.len() == bytes_max {
            break;
        }
    }
    body
}

/// The error of a request that got no answer.
pub(crate) fn of_transport(error: reqwest::Error, action: &str, host: &RegistryHost) -> Error {
    let fault = Fault::of(&error);
    let message = format!("cannot {action}: no answer from {host}");
    // The layers in between say nothing, and the outermost one may show an upload's address, which is secret.
    let failed = Error::new(Kind::Network, message).because(innermost(&error));
    match fault {
        Fault::Certificate => failed
            .hint("the registry's certificate is not trusted; give its authority with --ca-file FILE.pem")
            .hint("or, on a network that you trust, skip the check with --insecure"),
        Fault::NotTls => failed.hint("the registry does not speak TLS there; use --plain-http if that is intended"),
        Fault::Refused | Fault::Connect => {
            failed.hint(format!("is the registry running? `kogge doctor {host}` checks each step"))
        }
        Fault::Other => failed,
    }
}

/// The text of the first cause.
fn innermost(error: &(dyn StdError + 'static)) -> String {
    let mut innermost = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    tls_error(innermost).map_or_else(|| innermost.to_string(), ToString::to_string)
}

/// What part of a connection failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// TLS was spoken, and the certificate is not trusted.
    Certificate,
    /// The other side does not speak TLS.
    NotTls,
    /// Nobody listens at the address.
    Refused,
    /// No connection for another reason: the name, the network, time, the TLS handshake.
    Connect,
    /// The connection broke later.
    Other,
}

impl Fault {
    pub(crate) fn of(error: &reqwest::Error) -> Self {
        let mut next: Option<&(dyn StdError + 'static)> = Some(error);
        while let Some(current) = next {
            if let Some(tls) = tls_error(current) {
                return match tls {
                    rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => Self::Certificate,
                    rustls::Error::InvalidMessage(_) => Self::NotTls,
                    _ => Self::Connect,
                };
            }
            if error.is_connect() && current.downcast_ref::<io::Error>().is_some_and(is_refusal) {
                return Self::Refused;
            }
            next = current.source();
        }
        if error.is_connect() { Self::Connect } else { Self::Other }
    }
}

/// A host without an IPv6 (or IPv4) stack refuses that address of a name by having no such address.
fn is_refusal(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::AddrNotAvailable)
}

/// TLS errors travel inside of I/O errors, whose `source` skips them.
fn tls_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    if let Some(tls) = error.downcast_ref::<rustls::Error>() {
        return Some(tls);
    }
    let inner = error.downcast_ref::<io::Error>()?.get_ref()?;
    inner.downcast_ref::<rustls::Error>().or_else(|| tls_error(inner))
}
