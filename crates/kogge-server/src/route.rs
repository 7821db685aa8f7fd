//! Every path that the server knows, parsed once into a closed set. Rights, metrics and handlers hang on it.

use std::borrow::Cow;

use http::Method;
use kogge_types::access::Actions;
use kogge_types::{Action, Code, Digest, Reference, RepositoryName, ResourceScope, Scope, Tag, UploadId};

use crate::authority;
pub use crate::authority::Endpoint;

/// What a request asks for: the resource, with its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    Health,
    Ready,
    Metrics,
    Token,
    Exchange,
    Base,
    Catalog,
    Tags(RepositoryName),
    Manifest(RepositoryName, Reference),
    Blob(RepositoryName, Digest),
    Uploads(RepositoryName),
    Upload(RepositoryName, UploadId),
    Referrers(RepositoryName, Digest),
    AcrRepository(RepositoryName),
    AcrTags(RepositoryName),
    AcrTag(RepositoryName, Tag),
    AcrManifests(RepositoryName),
    AcrManifest(RepositoryName, Digest),
    /// The management API, whose own table reads the rest.
    Management,
    /// The authority.
    Authority(Endpoint),
}

/// A verb upon a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Health,
    Ready,
    Metrics,
    GetToken,
    PostToken,
    Exchange,
    Base,
    ListCatalog,
    ListTags,
    GetManifest,
    PutManifest,
    DeleteManifest,
    GetBlob,
    DeleteBlob,
    StartUpload,
    GetUpload,
    PatchUpload,
    PutUpload,
    DeleteUpload,
    ListReferrers,
    GetAcrRepository,
    PatchAcrRepository,
    DeleteAcrRepository,
    ListAcrTags,
    GetAcrTag,
    PatchAcrTag,
    DeleteAcrTag,
    ListAcrManifests,
    GetAcrManifest,
    PatchAcrManifest,
    ReadManagement,
    WriteManagement,
    GetAuthority,
    PostAuthority,
    Unknown,
}

/// The name of each operation, in the order of the enum: the label of metrics, spans and logs.
pub const NAMES: &[&str] = &[
    "health",
    "ready",
    "metrics",
    "get_token",
    "post_token",
    "exchange_token",
    "base",
    "list_catalog",
    "list_tags",
    "get_manifest",
    "put_manifest",
    "delete_manifest",
    "get_blob",
    "delete_blob",
    "start_upload",
    "get_upload",
    "patch_upload",
    "put_upload",
    "delete_upload",
    "list_referrers",
    "get_repository",
    "patch_repository",
    "delete_repository",
    "list_tag_attributes",
    "get_tag_attributes",
    "patch_tag_attributes",
    "delete_tag",
    "list_manifests",
    "get_manifest_attributes",
    "patch_manifest_attributes",
    "read_management",
    "write_management",
    "get_authority",
    "post_authority",
    "unknown",
];

/// A path or a method that is not served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteError {
    pub code: Code,
    pub message: String,
    /// The methods that the resource has, when it is the method that is wrong.
    pub allow: Option<&'static str>,
}

impl RouteError {
    fn new(code: Code, message: impl ToString) -> Self {
        Self { code, message: message.to_string(), allow: None }
    }

    fn of(code: Code) -> Self {
        Self::new(code, code.info().message)
    }
}

impl Operation {
    pub fn name(self) -> &'static str {
        NAMES[self as usize]
    }

    /// Whether the operation changes something, and is therefore carried to its end when its client goes away.
    pub fn is_write(self) -> bool {
        match self {
            Self::PutManifest
            | Self::DeleteManifest
            | Self::DeleteBlob
            | Self::StartUpload
            | Self::PatchUpload
            | Self::PutUpload
            | Self::DeleteUpload
            | Self::PatchAcrRepository
            | Self::DeleteAcrRepository
            | Self::PatchAcrTag
            | Self::DeleteAcrTag
            | Self::PatchAcrManifest
            | Self::WriteManagement => true,
            Self::Health
            | Self::Ready
            | Self::Metrics
            | Self::GetToken
            | Self::PostToken
            | Self::Exchange
            | Self::Base
            | Self::ListCatalog
            | Self::ListTags
            | Self::GetManifest
            | Self::GetBlob
            | Self::GetUpload
            | Self::ListReferrers
            | Self::GetAcrRepository
            | Self::ListAcrTags
            | Self::GetAcrTag
            | Self::ListAcrManifests
            | Self::GetAcrManifest
            | Self::ReadManagement
            | Self::GetAuthority
            | Self::PostAuthority
            | Self::Unknown => false,
        }
    }

    /// What a caller must be allowed; `None` for what needs no right on a resource.
    pub fn action(self) -> Option<Action> {
        match self {
            Self::Health
            | Self::Ready
            | Self::Metrics
            | Self::GetToken
            | Self::PostToken
            | Self::Exchange
            | Self::Base
            | Self::ReadManagement
            | Self::WriteManagement
            | Self::GetAuthority
            | Self::PostAuthority
            | Self::Unknown => None,
            Self::ListCatalog => Some(Action::Catalog),
            Self::ListTags | Self::GetManifest | Self::GetBlob | Self::ListReferrers => Some(Action::Pull),
            Self::StartUpload
            | Self::GetUpload
            | Self::PatchUpload
            | Self::PutUpload
            | Self::DeleteUpload
            | Self::PutManifest => Some(Action::Push),
            Self::DeleteManifest | Self::DeleteBlob | Self::DeleteAcrRepository | Self::DeleteAcrTag => {
                Some(Action::Delete)
            }
            Self::GetAcrRepository
            | Self::ListAcrTags
            | Self::GetAcrTag
            | Self::ListAcrManifests
            | Self::GetAcrManifest => Some(Action::MetadataRead),
            Self::PatchAcrRepository | Self::PatchAcrTag | Self::PatchAcrManifest => Some(Action::MetadataWrite),
        }
    }

    /// Another action that is enough. The challenge does not name it.
    pub fn alternative(self) -> Option<Action> {
        (self == Self::ListTags).then_some(Action::MetadataRead)
    }
}

/// The scope that a challenge names for `action`: who pushes is offered to pull too, as clients expect, and who deletes a
/// manifest to push, which is enough for some.
pub fn challenge_scope(operation: Operation, action: Action, repository: Option<&RepositoryName>) -> Scope {
    let Some(repository) = repository else { return Scope::catalog() };
    let actions = match action {
        Action::Push => Actions::NONE.with(Action::Pull).with(Action::Push),
        Action::Delete if operation == Operation::DeleteManifest => {
            Actions::NONE.with(Action::Push).with(Action::Delete)
        }
        action @ (Action::Pull | Action::Delete | Action::MetadataRead | Action::MetadataWrite | Action::Catalog) => {
            Actions::NONE.with(action)
        }
    };
    Scope { resource: ResourceScope::Repository(repository.clone()), actions }
}

impl Route {
    /// Reads a request's path.
    pub fn parse(path: &str) -> Result<Self, RouteError> {
        let path = decode(path)?;
        let path = path.as_ref();
        match path {
            "/healthz" => Ok(Self::Health),
            "/readyz" => Ok(Self::Ready),
            "/metrics" => Ok(Self::Metrics),
            "/oauth2/token" => Ok(Self::Token),
            "/oauth2/exchange" => Ok(Self::Exchange),
            "/v2" | "/v2/" => Ok(Self::Base),
            "/v2/_catalog" | "/acr/v1/_catalog" => Ok(Self::Catalog),
            path if is_management(path) => Ok(Self::Management),
            path if path.starts_with(authority::PATH) => {
                Endpoint::parse(path).map(Self::Authority).ok_or_else(|| RouteError::of(Code::NotFound))
            }
            path => match (path.strip_prefix("/v2/"), path.strip_prefix("/acr/v1/")) {
                (Some(rest), _) => Self::parse_v2(rest),
                (None, Some(rest)) => Self::parse_acr(rest),
                (None, None) => Err(RouteError::of(Code::NotFound)),
            },
        }
    }

    /// Reads from the right, since a repository's name may hold any of the words that follow it.
    fn parse_v2(rest: &str) -> Result<Self, RouteError> {
        let (head, last) = rest.rsplit_once('/').ok_or_else(|| RouteError::of(Code::NotFound))?;
        let (name, kind) = head.rsplit_once('/').unwrap_or(("", head));
        match (kind, last) {
            ("tags", "list") => Ok(Self::Tags(repository(name)?)),
            ("manifests", reference) => {
                let name = repository(name)?;
                let reference = reference.parse().map_err(|e| RouteError::new(Code::ReferenceInvalid, e))?;
                Ok(Self::Manifest(name, reference))
            }
            ("referrers", subject) => Ok(Self::Referrers(repository(name)?, digest(subject)?)),
            ("blobs", "uploads") => Ok(Self::Uploads(repository(name)?)),
            ("blobs", blob) => Ok(Self::Blob(repository(name)?, digest(blob)?)),
            ("uploads", id) => {
                let name = name.strip_suffix("/blobs").ok_or_else(|| RouteError::of(Code::NotFound))?;
                let name = repository(name)?;
                if id.is_empty() {
                    return Ok(Self::Uploads(name));
                }
                let id = id.parse().map_err(|_| RouteError::of(Code::BlobUploadUnknown))?;
                Ok(Self::Upload(name, id))
            }
            _ => Err(RouteError::of(Code::NotFound)),
        }
    }

    fn parse_acr(rest: &str) -> Result<Self, RouteError> {
        let (head, last) = rest.rsplit_once('/').unwrap_or(("", rest));
        let (name, kind) = head.rsplit_once('/').unwrap_or(("", head));
        match (kind, last) {
            // First, since a tag may have any of these words for its name.
            ("_tags", tag) => {
                let name = repository(name)?;
                Ok(Self::AcrTag(name, tag.parse().map_err(|error| RouteError::new(Code::TagInvalid, error))?))
            }
            ("_manifests", manifest) => Ok(Self::AcrManifest(repository(name)?, digest(manifest)?)),
            (_, "_tags") => Ok(Self::AcrTags(repository(head)?)),
            (_, "_manifests") => Ok(Self::AcrManifests(repository(head)?)),
            // No part of a repository's name begins so: it is an end point, and none that is offered.
            _ if rest.split('/').any(|part| part.starts_with('_')) => Err(RouteError::of(Code::NotFound)),
            _ => Ok(Self::AcrRepository(repository(rest)?)),
        }
    }

    /// What `method` means here.
    pub fn operation(&self, method: &Method) -> Result<Operation, RouteError> {
        let read = matches!(*method, Method::GET | Method::HEAD);
        let (operation, allow) = match self {
            Self::Health => (read.then_some(Operation::Health), "GET, HEAD"),
            Self::Ready => (read.then_some(Operation::Ready), "GET, HEAD"),
            Self::Metrics => (read.then_some(Operation::Metrics), "GET, HEAD"),
            Self::Base => (read.then_some(Operation::Base), "GET, HEAD"),
            Self::Catalog => (read.then_some(Operation::ListCatalog), "GET, HEAD"),
            // Its own table knows the methods of each path.
            Self::Management if read => (Some(Operation::ReadManagement), ""),
            Self::Management => (Some(Operation::WriteManagement), ""),
            Self::Authority(endpoint) => {
                let (allowed, methods) = endpoint.allows(method);
                let operation = if read { Operation::GetAuthority } else { Operation::PostAuthority };
                (allowed.then_some(operation), methods)
            }
            Self::Tags(_) => (read.then_some(Operation::ListTags), "GET, HEAD"),
            Self::Referrers(..) => (read.then_some(Operation::ListReferrers), "GET, HEAD"),
            Self::AcrTags(_) => (read.then_some(Operation::ListAcrTags), "GET, HEAD"),
            Self::AcrManifests(_) => (read.then_some(Operation::ListAcrManifests), "GET, HEAD"),
            Self::AcrManifest(..) => {
                let patch = (*method == Method::PATCH).then_some(Operation::PatchAcrManifest);
                (patch.or(read.then_some(Operation::GetAcrManifest)), "GET, HEAD, PATCH")
            }
            Self::Exchange => ((*method == Method::POST).then_some(Operation::Exchange), "POST"),
            Self::Uploads(_) => ((*method == Method::POST).then_some(Operation::StartUpload), "POST"),
            Self::Token => {
                let post = (*method == Method::POST).then_some(Operation::PostToken);
                (post.or(read.then_some(Operation::GetToken)), "GET, HEAD, POST")
            }
            Self::AcrRepository(_) => {
                let operation = match *method {
                    Method::PATCH => Some(Operation::PatchAcrRepository),
                    Method::DELETE => Some(Operation::DeleteAcrRepository),
                    _ => read.then_some(Operation::GetAcrRepository),
                };
                (operation, "GET, HEAD, PATCH, DELETE")
            }
            Self::AcrTag(..) => {
                let operation = match *method {
                    Method::PATCH => Some(Operation::PatchAcrTag),
                    Method::DELETE => Some(Operation::DeleteAcrTag),
                    _ => read.then_some(Operation::GetAcrTag),
                };
                (operation, "GET, HEAD, PATCH, DELETE")
            }
            Self::Blob(..) => {
                let delete = (*method == Method::DELETE).then_some(Operation::DeleteBlob);
                (delete.or(read.then_some(Operation::GetBlob)), "GET, HEAD, DELETE")
            }
            Self::Manifest(..) => {
                let operation = match *method {
                    Method::PUT => Some(Operation::PutManifest),
                    Method::DELETE => Some(Operation::DeleteManifest),
                    _ => read.then_some(Operation::GetManifest),
                };
                (operation, "GET, HEAD, PUT, DELETE")
            }
            Self::Upload(..) => {
                let operation = match *method {
                    Method::PATCH => Some(Operation::PatchUpload),
                    Method::PUT => Some(Operation::PutUpload),
                    Method::DELETE => Some(Operation::DeleteUpload),
                    _ => read.then_some(Operation::GetUpload),
                };
                (operation, "GET, HEAD, PATCH, PUT, DELETE")
            }
        };
        operation.ok_or_else(|| RouteError { allow: Some(allow), ..RouteError::of(Code::Unsupported) })
    }

    /// The repository that the route is about.
    pub fn repository(&self) -> Option<&RepositoryName> {
        match self {
            Self::Health
            | Self::Ready
            | Self::Metrics
            | Self::Token
            | Self::Exchange
            | Self::Base
            | Self::Catalog
            | Self::Management
            | Self::Authority(_) => None,
            Self::Tags(name)
            | Self::Manifest(name, _)
            | Self::Blob(name, _)
            | Self::Uploads(name)
            | Self::Upload(name, _)
            | Self::Referrers(name, _)
            | Self::AcrRepository(name)
            | Self::AcrTags(name)
            | Self::AcrTag(name, _)
            | Self::AcrManifests(name)
            | Self::AcrManifest(name, _) => Some(name),
        }
    }
}

/// Whether a path is the management API's: its first segment is one of these, in any case.
fn is_management(path: &str) -> bool {
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    ["subscriptions", "providers", "tenants", "metadata", "v1.0"]
        .iter()
        .any(|segment| first.eq_ignore_ascii_case(segment))
}

/// Whether a path, in whatever form, is one of the distribution API's.
pub fn is_distribution(path: &str) -> bool {
    decode(path).is_ok_and(|path| path.starts_with("/v2"))
}

fn decode(path: &str) -> Result<Cow<'_, str>, RouteError> {
    if !path.contains('%') {
        return Ok(Cow::Borrowed(path));
    }
    percent_encoding::percent_decode_str(path).decode_utf8().map_err(|_| RouteError::of(Code::NotFound))
}

fn repository(text: &str) -> Result<RepositoryName, RouteError> {
    text.parse().map_err(|error| RouteError::new(Code::NameInvalid, error))
}

fn digest(text: &str) -> Result<Digest, RouteError> {
    text.parse().map_err(|error| RouteError::new(Code::DigestInvalid, error))
}

#[cfg(test)]
mod tests;
