//! Every limit of the registry, its unit last. A value here is tested at the limit and one above.

use std::time::Duration;

/// Bytes of a manifest (ACR's and the clients' own bound).
pub const MANIFEST_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Characters of a repository name: what the common clients accept.
pub const REPOSITORY_NAME_CHARS_MAX: usize = 255;
/// Characters of a tag (distribution specification).
pub const TAG_CHARS_MAX: usize = 128;
/// Tags that one manifest PUT may set beside its reference.
pub const TAGS_PER_PUT_MAX: usize = 32;
/// Bytes of one blob: ACR's 200 GiB.
pub const BLOB_BYTES_MAX: u64 = 200 * 1024 * 1024 * 1024;
/// Names in one page of a listing, whatever the caller asks for.
pub const PAGE_NAMES_MAX: usize = 1_000;
/// Names in a page when the caller does not say.
pub const PAGE_NAMES_DEFAULT: usize = 1_000;
/// Descriptors in one page of referrers.
pub const PAGE_REFERRERS_MAX: usize = 1_000;
/// Ranges in one request; one with more is answered whole.
pub const BYTE_RANGES_MAX: usize = 64;
/// Scopes in one token request.
pub const TOKEN_SCOPES_MAX: usize = 64;
/// Bytes of a form or JSON body outside manifests.
pub const FORM_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a request's head. HTTP/1 also reads a body ahead by as many: 200 uploads at once must not fill the memory.
pub const REQUEST_HEAD_BYTES_MAX: usize = 32 * 1024;
/// Blobs or manifests that one manifest may name.
pub const MANIFEST_DESCRIPTORS_MAX: usize = 10_000;
/// Missing blobs that an answer lists.
pub const MISSING_BLOBS_LISTED_MAX: usize = 100;
/// Manifests that one recursive delete may take, referrers included.
pub const DELETE_MANIFESTS_MAX: usize = 10_000;
/// Characters of a user's name.
pub const USER_NAME_CHARS_MAX: usize = 64;

/// Bytes of a blob body read at once on its way out.
pub const READ_CHUNK_BYTES: usize = 256 * 1024;
/// Bytes that all uploads of a node together may hold in memory before they are written.
pub const UPLOAD_BUFFER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes that one upload gathers before a write, when there are few.
pub const UPLOAD_CHUNK_BYTES_MAX: usize = 1024 * 1024;
/// Bytes that one upload gathers before a write, when there are many.
pub const UPLOAD_CHUNK_BYTES_MIN: usize = 64 * 1024;
/// Bytes that an upload writes before they are pushed to the disk, so that the final sync is short.
pub const UPLOAD_SYNC_BYTES: u64 = 32 * 1024 * 1024;

/// Bodies that are hashed on a thread of their own at once; more are hashed as they are read.
pub const HASH_THREADS_MAX: usize = 4;
/// Bytes of a body that are hashed together there.
pub const HASH_BATCH_BYTES: usize = 512 * 1024;

/// Bytes of manifests and records that the process keeps ready (a bound of memory, never of truth).
pub const RECORD_CACHE_BYTES_MAX: usize = 24 * 1024 * 1024;
/// Signature checks of tokens that the process remembers.
pub const TOKEN_CACHE_ENTRIES_MAX: usize = 8_192;
/// Writes that one transaction carries at most.
pub const WRITE_BATCH_MAX: usize = 256;
/// Writes that may wait for the writer.
pub const WRITE_QUEUE_MAX: usize = 4_096;

/// How long an access token lives.
pub const ACCESS_TOKEN_LIFE: Duration = Duration::from_secs(15 * 60);
/// How long a refresh token lives: what `az acr login` is used to.
pub const REFRESH_TOKEN_LIFE: Duration = Duration::from_secs(3 * 60 * 60);
/// How far the clocks of two nodes may differ when a token is checked.
pub const TOKEN_SKEW: Duration = Duration::from_secs(5);
/// How long a password check that succeeded is remembered.
pub const PASSWORD_MEMORY: Duration = Duration::from_secs(60);
/// Password hashes computed at once; each takes tens of MiB.
pub const PASSWORD_CHECKS_MAX: usize = 1;
/// Failed logins of one address or account before answers slow down.
pub const LOGIN_FAILURES_FREE: u32 = 5;
/// The longest that the answer to a failed login is held back.
pub const LOGIN_DELAY_MAX: Duration = Duration::from_secs(5);

/// How long content that nothing names is kept, unless configured.
pub const GC_GRACE_DEFAULT: Duration = Duration::from_secs(24 * 60 * 60);
/// How long an upload session may lie idle, unless configured.
pub const UPLOAD_LIFE_DEFAULT: Duration = Duration::from_secs(24 * 60 * 60);
/// Bytes a second that the scrubber reads, unless configured: a day per 340 GiB.
pub const SCRUB_BYTES_PER_SECOND_DEFAULT: u64 = 4 * 1024 * 1024;
/// Rows that one step of background work takes.
pub const WORK_BATCH_ROWS: usize = 500;
