//! Refusals of the management API and of its authority, turned into errors that say what to do.

use reqwest::{Response, StatusCode};
use serde::Deserialize;

use crate::client::failure::{correlation_of, kind_of, read_error_body};
use crate::error::{Error, Kind, printable};
use crate::image_reference::RegistryHost;

/// An error as Azure Resource Manager writes it.
#[derive(Deserialize)]
struct Body {
    error: Entry,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    details: Vec<Entry>,
}

/// An error as OAuth2 writes it (RFC 6749 section 5.2).
#[derive(Deserialize)]
struct OauthBody {
    error: String,
    #[serde(default)]
    error_description: String,
}

/// The error that an answer of the management API stands for: what the server says, in one line.
pub(super) async fn of_arm(response: Response, action: &str, host: &RegistryHost) -> Error {
    let (status, correlation) = (response.status(), correlation_of(&response));
    let body = read_error_body(response).await;
    match serde_json::from_slice::<Body>(&body) {
        Ok(body) => told(status, &body.error, correlation.as_deref(), host),
        Err(_) if status == StatusCode::NOT_FOUND => {
            Error::not_found(format!("cannot {action}: {host} does not offer the management API"))
                .hint("it answers on the server's bare domain, not on a registry's login server")
        }
        Err(_) => {
            let correlation = correlation.map(|id| format!(" (correlation id {id})")).unwrap_or_default();
            Error::new(kind_of(status), format!("cannot {action}: {host} answered {status}{correlation}"))
                .with_answer(status.as_u16(), Vec::new())
        }
    }
}

fn told(status: StatusCode, entry: &Entry, correlation: Option<&str>, host: &RegistryHost) -> Error {
    let code = printable(&entry.code);
    let message = match entry.message.as_str() {
        "" => format!("{host} answered {status}"),
        message => printable(message),
    };
    let details: Vec<String> = entry.details.iter().map(|detail| printable(&detail.message)).collect();
    let details = if details.is_empty() { String::new() } else { format!(" ({})", details.join("; ")) };
    let correlation = correlation.map(|id| format!(", correlation id {id}")).unwrap_or_default();
    let error = Error::new(kind_of(status), format!("{message}{details}"))
        .hint(format!("code {code}, status {}{correlation}", status.as_u16()))
        .with_answer(status.as_u16(), vec![code]);
    match entry.code.as_str() {
        "AuthorizationFailed" => error.hint("a role that allows it can be given with `kogge role assign`"),
        "PreconditionFailed" => {
            error.hint("it exists already, or somebody has changed it meanwhile; look and try again")
        }
        _ => error,
    }
}

/// The error of a failed operation that went on behind its answer.
pub(super) fn of_operation(error: &serde_json::Value, action: &str, host: &RegistryHost) -> Error {
    match serde_json::from_value::<Entry>(error.clone()) {
        Ok(entry) if !entry.message.is_empty() => {
            let hint = format!("code {}", printable(&entry.code));
            Error::general(printable(&entry.message)).hint(hint)
        }
        _ => Error::general(format!("cannot {action}: {host} says that it failed")),
    }
}

/// The error that an answer of the authority stands for.
pub(super) async fn of_authority(response: Response, action: &str, host: &RegistryHost) -> Error {
    let status = response.status();
    let body = read_error_body(response).await;
    let Ok(body) = serde_json::from_slice::<OauthBody>(&body) else {
        return Error::new(kind_of(status), format!("cannot {action}: {host} answered {status}"));
    };
    let kind = match body.error.as_str() {
        "invalid_grant" | "invalid_client" | "unauthorized_client" | "access_denied" => Kind::Denied,
        _ => kind_of(status),
    };
    let code = printable(&body.error);
    let message = match body.error_description.as_str() {
        "" => format!("{host} answered {code}"),
        description => format!("{host} answered {code}: {}", printable(description)),
    };
    Error::new(kind, message).with_answer(status.as_u16(), vec![code])
}
