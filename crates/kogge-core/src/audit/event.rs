//! What is recorded: a closed set of events made of typed fields. Nothing that a secret could travel in has a place
//! here: no query, no header but the user agent, no body.

use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

/// A kind of event; each is a category of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Somebody asked for a token.
    Login,
    /// Somebody pulled, pushed or deleted.
    Repository,
    /// Somebody was refused.
    Denial,
    /// Something that is managed has changed: the activity log.
    Management,
    /// The audit tells of itself: what it had to leave out.
    Notice,
}

/// A word that names no kind of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a kind of event is login, repository, denial, management or notice")]
pub struct KindError;

impl Kind {
    pub const ALL: [Self; 5] = [Self::Login, Self::Repository, Self::Denial, Self::Management, Self::Notice];

    /// The word that stands for the kind in a query.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Repository => "repository",
            Self::Denial => "denial",
            Self::Management => "management",
            Self::Notice => "notice",
        }
    }

    /// The column `Category`. The first two are ACR's ("Monitoring data reference", resource logs), the fourth is the
    /// activity log's.
    pub fn category(self) -> &'static str {
        match self {
            Self::Login => "ContainerRegistryLoginEvents",
            Self::Repository => "ContainerRegistryRepositoryEvents",
            Self::Denial => "Denials",
            Self::Management => "Administrative",
            Self::Notice => "AuditNotices",
        }
    }

    pub(super) fn of_category(category: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.category() == category)
    }

    pub(super) fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl FromStr for Kind {
    type Err = KindError;

    fn from_str(word: &str) -> Result<Self, KindError> {
        Self::ALL.into_iter().find(|kind| kind.as_str().eq_ignore_ascii_case(word)).ok_or(KindError)
    }
}

/// What is done to a repository: ACR's words, and `Update` for attributes and locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RepositoryOperation {
    Pull,
    Push,
    Untag,
    Delete,
    PurgeTag,
    PurgeManifest,
    Update,
}

impl RepositoryOperation {
    pub const ALL: [Self; 7] =
        [Self::Pull, Self::Push, Self::Untag, Self::Delete, Self::PurgeTag, Self::PurgeManifest, Self::Update];

    /// The column `OperationName`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pull => "Pull",
            Self::Push => "Push",
            Self::Untag => "Untag",
            Self::Delete => "Delete",
            Self::PurgeTag => "Purge Tag",
            Self::PurgeManifest => "Purge Manifest",
            Self::Update => "Update",
        }
    }

    pub(super) fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.as_str() == word)
    }
}

/// Why somebody was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DenialReason {
    /// No credential, or one that is not good.
    Authentication,
    /// The caller's roles, scope map or token do not allow it.
    Policy,
    /// The client's address may not reach the registry.
    NetworkRule,
    /// Too many requests, or too many failed logins.
    RateLimit,
    /// There is no more room for the caller's bytes.
    Quota,
    /// What was to be changed or read is locked.
    Lock,
}

impl DenialReason {
    pub const ALL: [Self; 6] =
        [Self::Authentication, Self::Policy, Self::NetworkRule, Self::RateLimit, Self::Quota, Self::Lock];

    /// The column `Reason`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Authentication => "Authentication",
            Self::Policy => "Policy",
            Self::NetworkRule => "NetworkRule",
            Self::RateLimit => "RateLimit",
            Self::Quota => "Quota",
            Self::Lock => "Lock",
        }
    }
}

/// How a management operation ended (the activity log's `status`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Succeeded,
    /// It goes on behind the answer.
    Accepted,
    Failed,
}

impl Outcome {
    /// The column `Status`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "Succeeded",
            Self::Accepted => "Accepted",
            Self::Failed => "Failed",
        }
    }
}

/// What every event tells of the request that it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Request<'a> {
    /// When it began, microseconds since the Unix epoch.
    pub time_us: i64,
    /// From its head to its answer.
    pub duration: Duration,
    /// The id that the client was told.
    pub correlation_id: &'a str,
    pub client: Option<IpAddr>,
    /// Who asked. Empty for nobody, and for a name that is not a principal's: it may be a mistyped password.
    pub identity: &'a str,
    pub user_agent: &'a str,
    /// The registry's name; empty when the request is about none.
    pub registry: &'a str,
    /// The host that the client asked.
    pub login_server: &'a str,
    /// The HTTP status of the answer.
    pub status: u16,
}

/// A request for a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoginEvent<'a> {
    pub request: Request<'a>,
    /// The id of the token that was made; empty without one. It opens nothing.
    pub jwt_id: &'a str,
    /// Why no token was made, for the operator only.
    pub refused: Option<(DenialReason, &'static str)>,
}

/// Something done to a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RepositoryEvent<'a> {
    pub request: Request<'a>,
    pub operation: RepositoryOperation,
    pub repository: &'a str,
    pub tag: &'a str,
    pub digest: &'a str,
    pub media_type: &'a str,
    pub artifact_type: &'a str,
    /// Bytes of the manifest.
    pub size: u64,
}

/// A refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DenialEvent<'a> {
    pub request: Request<'a>,
    /// The name of the route, or the management action.
    pub operation: &'a str,
    pub reason: DenialReason,
    /// What exactly, for the operator only. Static, so that nothing a client sent gets here.
    pub detail: &'static str,
    pub repository: &'a str,
    /// The path of the resource, of a management request. What follows a `?` is left out.
    pub resource: &'a str,
}

/// A management operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ManagementEvent<'a> {
    pub request: Request<'a>,
    /// Such as `Microsoft.ContainerRegistry/registries/write`.
    pub action: &'a str,
    /// The path of the resource. What follows a `?` is left out.
    pub resource: &'a str,
    pub outcome: Outcome,
}

/// One event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    Login(LoginEvent<'a>),
    Repository(RepositoryEvent<'a>),
    Denial(DenialEvent<'a>),
    Management(ManagementEvent<'a>),
}

impl<'a> Event<'a> {
    pub fn kind(&self) -> Kind {
        match self {
            Self::Login(_) => Kind::Login,
            Self::Repository(_) => Kind::Repository,
            Self::Denial(_) => Kind::Denial,
            Self::Management(_) => Kind::Management,
        }
    }

    pub fn request(&self) -> &Request<'a> {
        match self {
            Self::Login(event) => &event.request,
            Self::Repository(event) => &event.request,
            Self::Denial(event) => &event.request,
            Self::Management(event) => &event.request,
        }
    }

    /// The column `Registry`: the one that the request is about, or the one whose resource is.
    pub fn registry(&self) -> &'a str {
        let resource = match self {
            Self::Denial(event) => event.resource,
            Self::Management(event) => event.resource,
            Self::Login(_) | Self::Repository(_) => "",
        };
        match self.request().registry {
            "" => registry_of(resource),
            named => named,
        }
    }

    /// The column `OperationName`.
    pub fn operation(&self) -> &'a str {
        match self {
            Self::Login(_) => "Login",
            Self::Repository(event) => event.operation.as_str(),
            Self::Denial(event) => event.operation,
            Self::Management(event) => event.action,
        }
    }

    pub fn reason(&self) -> Option<DenialReason> {
        match self {
            Self::Login(event) => event.refused.map(|(reason, _)| reason),
            Self::Denial(event) => Some(event.reason),
            Self::Repository(_) | Self::Management(_) => None,
        }
    }

    /// Whether the event may be left out when there is no room: a pull changes nothing, and there are many.
    pub(super) fn may_be_dropped(&self) -> bool {
        matches!(self, Self::Repository(RepositoryEvent { operation: RepositoryOperation::Pull, .. }))
    }
}

/// The registry in whose path a resource lies; empty when it lies in none.
fn registry_of(resource: &str) -> &str {
    let mut segments = without_query(resource).split('/');
    let mut found = "";
    while let Some(segment) = segments.next() {
        if segment.eq_ignore_ascii_case("registries") {
            found = segments.next().unwrap_or_default();
        }
    }
    found
}

/// A path without what follows it: a query may hold a secret.
pub(super) fn without_query(path: &str) -> &str {
    path.split(['?', '#']).next().unwrap_or_default()
}
