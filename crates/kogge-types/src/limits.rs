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
/// Bytes of manifests that one page of a listing of manifests looks through.
pub const PAGE_BODY_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Bytes of an image's config that are read for what it runs on; of a larger one nothing is known.
pub const CONFIG_BYTES_MAX: u64 = 256 * 1024;
/// Characters of an architecture or an operating system that are kept; longer ones are no such thing.
pub const PLATFORM_CHARS_MAX: usize = 64;
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
/// Characters of the name of an operation, or of a pattern over such names.
pub const ACTION_CHARS_MAX: usize = 512;
/// Bytes of the condition of a role assignment (Azure's limit).
pub const CONDITION_BYTES_MAX: usize = 8 * 1024;
/// Parentheses and negations inside each other in a condition.
pub const CONDITION_DEPTH_MAX: usize = 64;
/// Actions of one scope map (ACR's limit).
pub const SCOPE_MAP_ACTIONS_MAX: usize = 500;
/// Repositories that one scope map names (ACR's limit).
pub const SCOPE_MAP_REPOSITORIES_MAX: usize = 500;
/// IP rules of one registry (ACR's limit).
pub const IP_RULES_MAX: usize = 200;
/// Characters of a caller's own text that an error quotes.
pub const QUOTED_CHARS_MAX: usize = 200;

/// Bytes of a body of the management API: a scope map with all the actions that it may have.
pub const MANAGEMENT_BODY_BYTES_MAX: usize = 256 * 1024;
/// Tags of one managed resource (Azure's limit).
pub const TAGS_PER_RESOURCE_MAX: usize = 50;
/// Characters of the name of a managed resource's tag (Azure's limit).
pub const RESOURCE_TAG_NAME_CHARS_MAX: usize = 512;
/// Characters of the value of a managed resource's tag (Azure's limit).
pub const RESOURCE_TAG_VALUE_CHARS_MAX: usize = 256;
/// Characters of the path of a managed resource in a request's body.
pub const RESOURCE_PATH_CHARS_MAX: usize = 2_048;
/// Segments of the path of a management request.
pub const RESOURCE_PATH_SEGMENTS_MAX: usize = 32;
/// Bytes of one segment of the path of a management request.
pub const RESOURCE_PATH_SEGMENT_BYTES_MAX: usize = 260;
/// Characters of the name of a location.
pub const LOCATION_CHARS_MAX: usize = 64;
/// Resources in one page of a listing, whatever the caller asks for.
pub const PAGE_RESOURCES_MAX: usize = 1_000;
/// Resources in a page when the caller does not say.
pub const PAGE_RESOURCES_DEFAULT: usize = 100;
/// Resources that one page of a listing looks at: those that the caller may not read are passed over.
pub const LISTING_ROWS_MAX: usize = 5_000;
/// Words of a `$filter`.
pub const FILTER_WORDS_MAX: usize = 64;
/// Characters of the description of a managed resource (Azure's limit for roles).
pub const DESCRIPTION_CHARS_MAX: usize = 2_048;
/// Characters of the name of a role (Azure's limit).
pub const ROLE_NAME_CHARS_MAX: usize = 512;
/// Permissions of one role.
pub const ROLE_PERMISSIONS_MAX: usize = 16;
/// Actions of each kind in one permission of a role.
pub const ROLE_ACTIONS_MAX: usize = 1_000;
/// Scopes in which one role can be assigned.
pub const ROLE_SCOPES_MAX: usize = 1_000;

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
/// Bytes of a token that is remembered; a longer one is verified each time.
pub const TOKEN_CACHED_BYTES_MAX: usize = 4 * 1024;
/// Characters of the service that a token request names.
pub const TOKEN_SERVICE_CHARS_MAX: usize = 256;
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

/// How long a request over a rate limit waits for its turn before it is refused.
pub const RATE_WAIT_MAX: Duration = Duration::from_secs(5);
/// Requests that wait for their turn, on one node.
pub const RATE_WAITERS_MAX: usize = 1_024;
/// Requests of one identity at one registry that wait for their turn.
pub const RATE_WAITERS_PER_IDENTITY_MAX: usize = 256;
/// Network rules of one registry (ACR).
pub const NETWORK_RULES_MAX: usize = 200;
/// Patterns of repositories that anybody may pull from, of one registry.
pub const ANONYMOUS_PATTERNS_MAX: usize = 100;
/// Quotas of one registry.
pub const QUOTAS_MAX: usize = 100;

/// How long a token for the management API lives.
pub const MANAGEMENT_TOKEN_LIFE: Duration = Duration::from_secs(15 * 60);
/// Bytes of a signed token that somebody presents.
pub const SIGNED_TOKEN_BYTES_MAX: usize = 16 * 1024;
/// How long an authorization code lives.
pub const AUTHORIZATION_CODE_LIFE: Duration = Duration::from_secs(5 * 60);
/// How long a device code lives.
pub const DEVICE_CODE_LIFE: Duration = Duration::from_secs(15 * 60);
/// How often a client may ask whether its device code has been approved.
pub const DEVICE_POLL_INTERVAL: Duration = Duration::from_secs(5);
/// Device codes that may be under way.
pub const DEVICE_CODES_MAX: usize = 1_000;
/// Device codes that one address may have under way.
pub const DEVICE_CODES_PER_ADDRESS_MAX: usize = 20;
/// How long a person's login may lie idle before a password is asked for again.
pub const REFRESH_GRANT_IDLE: Duration = Duration::from_secs(14 * 24 * 60 * 60);
/// How long a person's login lasts at most.
pub const REFRESH_GRANT_LIFE: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// How long the refresh token before the newest still gives access tokens: two processes of one client may refresh at
/// once.
pub const REFRESH_OVERLAP: Duration = Duration::from_secs(10);
/// How long a client's assertion may live.
pub const ASSERTION_LIFE_MAX: Duration = Duration::from_secs(10 * 60);
/// How far the clock of a client may be off when its assertion is checked.
pub const ASSERTION_SKEW: Duration = Duration::from_secs(60);
/// Secrets, certificates and federated credentials of one service principal.
pub const CREDENTIALS_PER_PRINCIPAL_MAX: usize = 40;
/// Bytes of a certificate.
pub const CERTIFICATE_BYTES_MAX: usize = 16 * 1024;
/// Bytes of a document that is fetched from an outside issuer.
pub const ISSUER_DOCUMENT_BYTES_MAX: usize = 256 * 1024;
/// Keys of one outside issuer.
pub const ISSUER_KEYS_MAX: usize = 64;
/// How long an outside issuer's keys are taken from memory.
pub const ISSUER_KEYS_LIFE: Duration = Duration::from_secs(24 * 60 * 60);
/// How often an outside issuer is asked for its keys at most.
pub const ISSUER_REFRESH_MIN: Duration = Duration::from_secs(60);
/// How long an outside issuer may take to answer.
pub const ISSUER_PATIENCE: Duration = Duration::from_secs(10);
/// Groups that are taken from an outside issuer's token.
pub const OUTSIDE_GROUPS_MAX: usize = 256;
/// Signing keys that are kept.
pub const SIGNING_KEYS_MAX: usize = 16;
/// How long a key signs, unless configured.
pub const SIGNING_KEY_LIFE_DEFAULT: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// How long content that nothing names is kept, unless configured.
pub const GC_GRACE_DEFAULT: Duration = Duration::from_secs(24 * 60 * 60);
/// How long an upload session may lie idle, unless configured.
pub const UPLOAD_LIFE_DEFAULT: Duration = Duration::from_secs(24 * 60 * 60);
/// Bytes a second that the scrubber reads, unless configured: a day per 340 GiB.
pub const SCRUB_BYTES_PER_SECOND_DEFAULT: u64 = 4 * 1024 * 1024;
/// Rows that one step of background work takes.
pub const WORK_BATCH_ROWS: usize = 500;
/// Events in one page of the audit.
pub const AUDIT_PAGE_EVENTS_MAX: usize = 1_000;
/// Bytes of the audit's files that one page reads at most; then it ends, whatever it has found.
pub const AUDIT_QUERY_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// How long the audit is kept, unless configured.
pub const AUDIT_RETENTION_DEFAULT: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Bytes of the audit that are kept, unless configured.
pub const AUDIT_BYTES_DEFAULT: u64 = 4 * 1024 * 1024 * 1024;
/// Bytes after which a file of the audit is finished.
pub const AUDIT_SEGMENT_BYTES: u64 = 16 * 1024 * 1024;
