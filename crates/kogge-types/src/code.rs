//! Error codes as data: the wire word, the HTTP status and the default message of each, in one table.

/// An error code of the distribution API (distribution specification, "Error Codes") or of ACR's additions to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    BlobTooLarge,
    BlobUnknown,
    BlobUploadInvalid,
    BlobUploadUnknown,
    Denied,
    DigestInvalid,
    Disallowed,
    FormInvalid,
    FormTooLarge,
    HostUnknown,
    Internal,
    ManifestBlobUnknown,
    ManifestInvalid,
    ManifestTooLarge,
    ManifestUnknown,
    MediaTypeUnsupported,
    NameInvalid,
    NameUnknown,
    NotFound,
    PaginationInvalid,
    PreconditionFailed,
    RangeInvalid,
    ReferenceInvalid,
    RequestTimeout,
    SizeInvalid,
    TagInvalid,
    TagUnknown,
    TooManyRequests,
    TooManyTags,
    Unauthorized,
    Unavailable,
    Unsupported,
    UploadConflict,
}

/// What a code is on the wire.
#[derive(Debug, Clone, Copy)]
pub struct CodeInfo {
    pub code: Code,
    /// The `code` field of the error.
    pub word: &'static str,
    pub status: u16,
    /// What is said when nothing more precise is known.
    pub message: &'static str,
    /// Whether the same request may succeed later.
    pub retryable: bool,
}

macro_rules! table {
    ($($code:ident $word:literal $status:literal $retryable:literal $message:literal;)*) => {
        /// Every code, in the order of the enum.
        pub const TABLE: &[CodeInfo] = &[$(CodeInfo {
            code: Code::$code, word: $word, status: $status, retryable: $retryable, message: $message,
        }),*];
    };
}

table! {
    BlobTooLarge "SIZE_INVALID" 413 false "a blob is at most 200 GiB";
    BlobUnknown "BLOB_UNKNOWN" 404 false "blob unknown to registry";
    BlobUploadInvalid "BLOB_UPLOAD_INVALID" 400 false "blob upload invalid";
    BlobUploadUnknown "BLOB_UPLOAD_UNKNOWN" 404 false "blob upload unknown to registry";
    Denied "DENIED" 403 false "requested access to the resource is denied";
    DigestInvalid "DIGEST_INVALID" 400 false "provided digest did not match uploaded content";
    Disallowed "REGISTRY_DISALLOWED_OPERATION" 405 false
        "The operation is disallowed on this registry, repository or image.";
    FormInvalid "UNSUPPORTED" 400 false "the request's parameters are not supported";
    FormTooLarge "SIZE_INVALID" 413 false "the form is too large";
    HostUnknown "NAME_UNKNOWN" 404 false "no registry has this host name";
    Internal "INTERNAL_ERROR" 500 true "an internal error occurred; quote the correlation id to the operator";
    ManifestBlobUnknown "MANIFEST_BLOB_UNKNOWN" 404 false "manifest references a blob unknown to this repository";
    ManifestInvalid "MANIFEST_INVALID" 400 false "manifest invalid";
    ManifestTooLarge "MANIFEST_INVALID" 413 false "manifest is over 4 MiB";
    ManifestUnknown "MANIFEST_UNKNOWN" 404 false "manifest unknown to registry";
    MediaTypeUnsupported "MANIFEST_INVALID" 415 false "manifest media type not supported";
    NameInvalid "NAME_INVALID" 400 false "invalid repository name";
    NameUnknown "NAME_UNKNOWN" 404 false "repository name not known to registry";
    NotFound "NOT_FOUND" 404 false "no such resource";
    PaginationInvalid "PAGINATION_NUMBER_INVALID" 400 false "invalid number of results requested";
    PreconditionFailed "PRECONDITION_FAILED" 412 false "the manifest is not the one that the condition names";
    RangeInvalid "BLOB_UPLOAD_INVALID" 416 false "the range does not continue the upload";
    ReferenceInvalid "MANIFEST_INVALID" 400 false "invalid tag or digest";
    RequestTimeout "BLOB_UPLOAD_INVALID" 408 true "the request's body came too slowly";
    SizeInvalid "SIZE_INVALID" 400 false "provided length did not match content length";
    TagInvalid "TAG_INVALID" 400 false "invalid tag";
    TagUnknown "TAG_UNKNOWN" 404 false "tag unknown to repository";
    TooManyRequests "TOOMANYREQUESTS" 429 true "too many requests; wait and try again";
    TooManyTags "TOO_MANY_TAGS" 414 false "too many tags in one request";
    Unauthorized "UNAUTHORIZED" 401 false "authentication required";
    Unavailable "UNAVAILABLE" 503 true "the registry cannot serve this now; try again";
    Unsupported "UNSUPPORTED" 405 false "the operation is not supported";
    UploadConflict "BLOB_UPLOAD_INVALID" 409 true "another request is writing to this upload";
}

impl Code {
    pub fn info(self) -> &'static CodeInfo {
        &TABLE[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_follows_the_enum() {
        for (position, info) in TABLE.iter().enumerate() {
            assert_eq!(info.code as usize, position, "{}", info.word);
            assert_eq!(info.code.info().word, info.word);
            assert!((400..600).contains(&info.status), "{}", info.word);
            assert!(!info.message.is_empty());
        }
        assert_eq!(Code::UploadConflict as usize + 1, TABLE.len());
    }
}
