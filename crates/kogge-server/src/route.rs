//! Every path that the server knows, parsed once into a closed set. Rights, metrics and handlers hang on it.

use std::borrow::Cow;

use http::Method;
use kogge_types::access::Actions;
use kogge_types::{Action, Code, Digest, Reference, RepositoryName, ResourceScope, Scope, UploadId};

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
    AcrManifests(RepositoryName),
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
    DeleteAcrRepository,
    ListAcrManifests,
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
    "delete_repository",
    "list_manifests",
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
            | Self::DeleteAcrRepository => true,
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
            | Self::ListAcrManifests
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
            | Self::Unknown => None,
            Self::ListCatalog => Some(Action::Catalog),
            Self::ListTags | Self::GetManifest | Self::GetBlob | Self::ListReferrers => Some(Action::Pull),
            Self::StartUpload
            | Self::GetUpload
            | Self::PatchUpload
            | Self::PutUpload
            | Self::DeleteUpload
            | Self::PutManifest => Some(Action::Push),
            Self::DeleteManifest | Self::DeleteBlob | Self::DeleteAcrRepository => Some(Action::Delete),
            Self::GetAcrRepository | Self::ListAcrManifests => Some(Action::MetadataRead),
        }
    }
}

/// The scope that a challenge names for `action`: who pushes is offered to pull too, as clients expect.
pub fn challenge_scope(action: Action, repository: Option<&RepositoryName>) -> Scope {
    let Some(repository) = repository else { return Scope::catalog() };
    let actions = match action {
        Action::Push => Actions::NONE.with(Action::Pull).with(Action::Push),
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
        match rest.rsplit_once('/') {
            Some((name, "_manifests")) => Ok(Self::AcrManifests(repository(name)?)),
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
            Self::Tags(_) => (read.then_some(Operation::ListTags), "GET, HEAD"),
            Self::Referrers(..) => (read.then_some(Operation::ListReferrers), "GET, HEAD"),
            Self::AcrManifests(_) => (read.then_some(Operation::ListAcrManifests), "GET, HEAD"),
            Self::Exchange => ((*method == Method::POST).then_some(Operation::Exchange), "POST"),
            Self::Uploads(_) => ((*method == Method::POST).then_some(Operation::StartUpload), "POST"),
            Self::Token => {
                let post = (*method == Method::POST).then_some(Operation::PostToken);
                (post.or(read.then_some(Operation::GetToken)), "GET, HEAD, POST")
            }
            Self::AcrRepository(_) => {
                let delete = (*method == Method::DELETE).then_some(Operation::DeleteAcrRepository);
                (delete.or(read.then_some(Operation::GetAcrRepository)), "GET, HEAD, DELETE")
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
            Self::Health | Self::Ready | Self::Metrics | Self::Token | Self::Exchange | Self::Base | Self::Catalog => {
                None
            }
            Self::Tags(name)
            | Self::Manifest(name, _)
            | Self::Blob(name, _)
            | Self::Uploads(name)
            | Self::Upload(name, _)
            | Self::Referrers(name, _)
            | Self::AcrRepository(name)
            | Self::AcrManifests(name) => Some(name),
        }
    }
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
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const ID: &str = "000102030405060708090a0b0c0d0e0f";

    fn name(text: &str) -> RepositoryName {
        text.parse().expect(text)
    }

    #[test]
    fn paths_are_read_from_the_right() {
        let digest: Digest = DIGEST.parse().expect("valid");
        let check = |path: &str, route: Route| assert_eq!(Route::parse(path), Ok(route), "{path}");
        check("/v2/", Route::Base);
        check("/v2/_catalog", Route::Catalog);
        check("/v2/a/tags/list", Route::Tags(name("a")));
        check("/v2/tags/tags/list", Route::Tags(name("tags")));
        check("/v2/a/manifests/latest", Route::Manifest(name("a"), Reference::Tag("latest".parse().expect("tag"))));
        check(&format!("/v2/a/b/manifests/{DIGEST}"), Route::Manifest(name("a/b"), Reference::Digest(digest)));
        check(
            &format!("/v2/a/manifests/{}", DIGEST.replace(':', "%3A")),
            Route::Manifest(name("a"), Reference::Digest(digest)),
        );
        check(&format!("/v2/a/blobs/{DIGEST}"), Route::Blob(name("a"), digest));
        check(&format!("/v2/a/blobs/uploads/blobs/{DIGEST}"), Route::Blob(name("a/blobs/uploads"), digest));
        check("/v2/a/blobs/uploads/", Route::Uploads(name("a")));
        check("/v2/a/blobs/uploads", Route::Uploads(name("a")));
        check(&format!("/v2/a/blobs/uploads/{ID}"), Route::Upload(name("a"), ID.parse().expect("id")));
        check(&format!("/v2/a/referrers/{DIGEST}"), Route::Referrers(name("a"), digest));
        check("/acr/v1/a/b", Route::AcrRepository(name("a/b")));
        check("/acr/v1/a/b/_manifests", Route::AcrManifests(name("a/b")));
    }

    #[test]
    fn what_is_no_path_of_ours_says_why() {
        let check = |path: &str, code: Code| assert_eq!(Route::parse(path).expect_err(path).code, code, "{path}");
        check("/", Code::NotFound);
        check("/v1/search", Code::NotFound);
        check("/v2/a", Code::NotFound);
        check("/v2/a/unknown/b", Code::NotFound);
        check("/v2/a/uploads/x", Code::NotFound);
        check("/v2//tags/list", Code::NameInvalid);
        check("/v2/A/tags/list", Code::NameInvalid);
        check("/v2/a/../b/tags/list", Code::NameInvalid);
        check("/v2/a%2F..%2Fb/tags/list", Code::NameInvalid);
        check("/v2/%ff/tags/list", Code::NotFound);
        check("/v2/a/blobs/sha256:short", Code::DigestInvalid);
        check("/v2/a/manifests/sha256:short", Code::ReferenceInvalid);
        check("/v2/a/manifests/.hidden", Code::ReferenceInvalid);
        check("/v2/a/blobs/uploads/not-an-id", Code::BlobUploadUnknown);
        check("/v2/a/referrers/latest", Code::DigestInvalid);
    }

    #[test]
    fn a_wrong_method_tells_the_right_ones() {
        let error = Route::Catalog.operation(&Method::POST).expect_err("no POST");
        assert_eq!((error.code, error.allow), (Code::Unsupported, Some("GET, HEAD")));
    }

    #[test]
    fn every_operation_has_its_name() {
        assert_eq!(NAMES.len(), Operation::Unknown as usize + 1);
        assert_eq!(Operation::PutManifest.name(), "put_manifest");
        assert_eq!(Operation::ListAcrManifests.name(), "list_manifests");
    }
}
