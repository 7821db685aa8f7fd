//! Paths and methods, and what they are read as.

use http::Method;
use kogge_types::{Code, Digest, Reference, RepositoryName};

use super::{NAMES, Operation, Route};

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
    check(&format!("/acr/v1/a/b/_manifests/{DIGEST}"), Route::AcrManifest(name("a/b"), digest));
    check("/acr/v1/tags/_tags", Route::AcrTags(name("tags")));
    check("/acr/v1/a/_tags/_tags", Route::AcrTag(name("a"), "_tags".parse().expect("tag")));
    check("/acr/v1/a/_tags/_manifests", Route::AcrTag(name("a"), "_manifests".parse().expect("tag")));
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
    check("/acr/v1/a/_manifests/latest", Code::DigestInvalid);
    check("/acr/v1/a/_tags/.hidden", Code::TagInvalid);
    check("/acr/v1/A/_tags/v1", Code::NameInvalid);
    check("/acr/v1/_tags/v1", Code::NameInvalid);
    check("/acr/v1/_deleted/_catalog", Code::NotFound);
    check("/acr/v1/a/_streaming", Code::NotFound);
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
