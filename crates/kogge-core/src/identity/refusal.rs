//! Why the authority gives no token, in OAuth's words.

use std::borrow::Cow;
use std::time::Duration;

use crate::error::Error;

/// An error code of OAuth 2.0 (RFC 6749, 4.1.2.1 and 5.2; RFC 8628, 3.5; RFC 8707, 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    AccessDenied,
    AuthorizationPending,
    ExpiredToken,
    InvalidClient,
    InvalidGrant,
    InvalidRequest,
    InvalidScope,
    InvalidTarget,
    LoginRequired,
    ServerError,
    SlowDown,
    TemporarilyUnavailable,
    UnauthorizedClient,
    UnsupportedGrantType,
    UnsupportedResponseType,
}

impl Word {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AccessDenied => "access_denied",
            Self::AuthorizationPending => "authorization_pending",
            Self::ExpiredToken => "expired_token",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::InvalidRequest => "invalid_request",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget => "invalid_target",
            Self::LoginRequired => "login_required",
            Self::ServerError => "server_error",
            Self::SlowDown => "slow_down",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::UnsupportedResponseType => "unsupported_response_type",
        }
    }
}

/// A refusal that the client is told of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    pub word: Word,
    /// For people. Never a secret.
    pub message: Cow<'static, str>,
    /// When too many logins failed: how long to wait.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    pub fn new(word: Word, message: impl Into<Cow<'static, str>>) -> Self {
        Self { word, message: message.into(), retry_after: None }
    }

    pub(crate) fn throttled(retry_after: Duration) -> Self {
        Self {
            retry_after: Some(retry_after),
            ..Self::new(Word::TemporarilyUnavailable, "too many failed logins; wait and try again")
        }
    }
}

/// Why a verb of the authority gives nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub enum GrantError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Failed(#[from] Error),
}

impl From<kogge_meta::MetaError> for GrantError {
    fn from(error: kogge_meta::MetaError) -> Self {
        Self::Failed(error.into())
    }
}

/// What a verb of the authority answers.
pub type Granted<T> = Result<T, GrantError>;

pub(crate) fn refuse<T>(word: Word, message: impl Into<Cow<'static, str>>) -> Granted<T> {
    Err(Refusal::new(word, message).into())
}
