//! What a request tells the audit: one event at most, when its answer has been sent.

pub(crate) mod output;
pub(crate) mod verb;

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use kogge_core::audit::{
    DenialEvent, DenialReason, Event, LoginEvent, Recorder, RepositoryEvent, RepositoryOperation, Request,
};
use kogge_core::auth::policy::Denial;
use kogge_types::{Code, Reference};

use crate::error::Refusal;
use crate::route::{Operation, Route};

const DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
const TAG: HeaderName = HeaderName::from_static("oci-tag");

/// Why a request was refused, for the operator only.
pub(crate) type Reason = (DenialReason, &'static str);

/// A request that has its answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told<'a> {
    pub(crate) parts: &'a Parts,
    pub(crate) route: Option<&'a Route>,
    pub(crate) operation: Operation,
    pub(crate) time_us: i64,
    pub(crate) duration: Duration,
    pub(crate) correlation: &'a str,
    pub(crate) client: IpAddr,
    pub(crate) registry: &'a str,
    /// Who asked; empty for nobody known.
    pub(crate) identity: &'a str,
    /// Whether it is a login at the authority.
    pub(crate) login: bool,
    pub(crate) jwt_id: &'a str,
    pub(crate) status: u16,
    pub(crate) refused: Option<Reason>,
    /// Headers of the answer.
    pub(crate) headers: &'a Named,
    /// Bytes of the request's body that were read, and of the answer's that were sent.
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
}

/// Headers of an answer that name what it is about.
#[derive(Debug, Default)]
pub(crate) struct Named {
    digest: Option<HeaderValue>,
    media_type: Option<HeaderValue>,
    tags: Vec<HeaderValue>,
}

impl Named {
    /// Reads what the audit needs of an answer to `operation`.
    pub(crate) fn read(operation: Operation, headers: &HeaderMap) -> Self {
        match operation {
            Operation::GetManifest | Operation::PutManifest => Self {
                digest: headers.get(DIGEST).cloned(),
                media_type: headers.get(CONTENT_TYPE).cloned(),
                tags: headers.get_all(TAG).iter().cloned().collect(),
            },
            _ => Self::default(),
        }
    }
}

fn text(value: Option<&HeaderValue>) -> Cow<'_, str> {
    value.map_or(Cow::Borrowed(""), |value| String::from_utf8_lossy(value.as_bytes()))
}

/// Why the policy refuses, in words.
pub(crate) fn policy_detail(denial: Denial) -> &'static str {
    match denial {
        Denial::Anonymous => "anonymous callers may do nothing here",
        Denial::NoPrincipal => "the principal is gone",
        Denial::Disabled => "the principal is disabled",
        Denial::OtherRegistry => "the credential belongs to another registry",
        Denial::ScopeMap => "the token's scope map does not allow it",
        Denial::NoRole => "no role of the principal allows it",
    }
}

/// Why `refusal` keeps a request from what it asked for; `None` when it is an error, or a challenge: clients ask without
/// a credential to learn which one they need.
pub(crate) fn reason(refusal: &Refusal, parts: &Parts) -> Option<Reason> {
    let shown = parts.headers.contains_key(AUTHORIZATION);
    match refusal {
        Refusal::Challenge(challenge) if challenge.insufficient => None,
        Refusal::Challenge(_) | Refusal::Password => {
            shown.then_some((DenialReason::Authentication, "the credential is not good"))
        }
        Refusal::Login(message) => Some((DenialReason::Authentication, message)),
        Refusal::Throttled(_) => Some((DenialReason::RateLimit, "too many failed logins")),
        Refusal::Error(error) => error.denial.map(|reason| (reason, detail(reason))).or_else(|| by_code(error.code)),
        other => by_code(other.code()),
    }
}

fn by_code(code: Code) -> Option<Reason> {
    let reason = match code {
        Code::Disallowed => DenialReason::Lock,
        Code::TooManyRequests => DenialReason::RateLimit,
        Code::Denied => DenialReason::Policy,
        Code::Unauthorized => DenialReason::Authentication,
        _ => return None,
    };
    Some((reason, detail(reason)))
}

fn detail(reason: DenialReason) -> &'static str {
    match reason {
        DenialReason::Authentication => "the credential is not good",
        DenialReason::Policy => "the caller may not do this",
        DenialReason::NetworkRule => "the registry's network rules do not let the address in",
        DenialReason::RateLimit => "too many requests",
        DenialReason::Quota => "a quota has no room for it",
        DenialReason::Lock => "it is locked",
    }
}

/// Tells `recorder` of a request, if it is one that the audit is about.
pub(crate) fn tell(recorder: &Recorder, told: &Told<'_>) {
    let login_server = told.parts.headers.get(http::header::HOST);
    let login_server = told.parts.uri.host().map_or_else(|| text(login_server), Cow::Borrowed);
    let user_agent = text(told.parts.headers.get(USER_AGENT));
    let request = Request {
        time_us: told.time_us,
        duration: told.duration,
        correlation_id: told.correlation,
        client: Some(told.client),
        identity: told.identity,
        user_agent: &user_agent,
        registry: told.registry,
        login_server: &login_server,
        status: told.status,
    };
    match told.operation {
        // A token for nobody is no login, and anybody could fill the audit with them. What it is used for is told.
        Operation::GetToken | Operation::PostToken if told.identity.is_empty() && told.refused.is_none() => {}
        Operation::GetToken | Operation::PostToken | Operation::Exchange => {
            let event = LoginEvent { request, jwt_id: told.jwt_id, refused: told.refused };
            recorder.record(&Event::Login(event));
        }
        Operation::PostAuthority if told.login => {
            recorder.record(&Event::Login(LoginEvent { request, jwt_id: told.jwt_id, refused: told.refused }));
        }
        operation => match (told.refused, repository_operation(operation, told)) {
            (Some((reason, detail)), _) => {
                let repository = told.route.and_then(Route::repository).map_or("", |name| name.as_str());
                let event =
                    DenialEvent { request, operation: operation.name(), reason, detail, repository, resource: "" };
                recorder.record(&Event::Denial(event));
            }
            // A challenge is neither a denial nor something that was done.
            (None, Some(operation)) if told.status != 401 => tell_of_repository(recorder, told, request, operation),
            (None, _) => {}
        },
    }
}

/// What is done to a repository, by ACR's words for it.
fn repository_operation(operation: Operation, told: &Told<'_>) -> Option<RepositoryOperation> {
    match operation {
        Operation::GetManifest => (told.parts.method == Method::GET).then_some(RepositoryOperation::Pull),
        Operation::PutManifest => Some(RepositoryOperation::Push),
        Operation::DeleteManifest => match told.route {
            Some(Route::Manifest(_, Reference::Tag(_))) => Some(RepositoryOperation::Untag),
            _ => Some(RepositoryOperation::Delete),
        },
        Operation::DeleteAcrTag => Some(RepositoryOperation::Untag),
        Operation::DeleteAcrRepository | Operation::DeleteBlob => Some(RepositoryOperation::Delete),
        Operation::PatchAcrRepository | Operation::PatchAcrTag | Operation::PatchAcrManifest => {
            Some(RepositoryOperation::Update)
        }
        _ => None,
    }
}

fn tell_of_repository(recorder: &Recorder, told: &Told<'_>, request: Request<'_>, operation: RepositoryOperation) {
    let Some(route) = told.route else { return };
    let answered = told.status < 400;
    let (tag, digest) = match route {
        Route::Manifest(_, Reference::Tag(tag)) | Route::AcrTag(_, tag) => (Cow::Borrowed(tag.as_str()), String::new()),
        Route::Manifest(_, Reference::Digest(digest)) | Route::AcrManifest(_, digest) | Route::Blob(_, digest) => {
            let tags: Vec<_> = told.headers.tags.iter().map(|tag| text(Some(tag))).collect();
            (Cow::Owned(tags.join(",")), digest.to_string())
        }
        _ => (Cow::Borrowed(""), String::new()),
    };
    let named = if answered { text(told.headers.digest.as_ref()) } else { Cow::Borrowed("") };
    let media_type = match operation {
        RepositoryOperation::Push => text(told.parts.headers.get(CONTENT_TYPE)),
        RepositoryOperation::Pull if answered => text(told.headers.media_type.as_ref()),
        _ => Cow::Borrowed(""),
    };
    let size = match operation {
        RepositoryOperation::Push => told.bytes_in,
        RepositoryOperation::Pull if answered => told.bytes_out,
        _ => 0,
    };
    let event = RepositoryEvent {
        request,
        operation,
        repository: route.repository().map_or("", |name| name.as_str()),
        tag: &tag,
        digest: if named.is_empty() { &digest } else { &named },
        media_type: &media_type,
        artifact_type: "",
        size,
    };
    recorder.record(&Event::Repository(event));
}
