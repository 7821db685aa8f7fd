-- The state of one installation. Times are microseconds since the Unix epoch; digests are one byte for the
-- algorithm (1 sha256, 2 sha512) and the hash. (stamp, origin) is the version of a replicated record.

CREATE TABLE installation (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    origin BLOB NOT NULL,
    epoch INTEGER NOT NULL,
    created_at INTEGER NOT NULL
);

-- Who wrote a record: an installation in one of its epochs. Row 1 is this installation, now.
CREATE TABLE origins (
    id INTEGER PRIMARY KEY,
    origin BLOB NOT NULL,
    epoch INTEGER NOT NULL,
    UNIQUE (origin, epoch)
);

-- The last statement of every write takes its sequence here: journal order is commit order.
CREATE TABLE journal_head (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    seq INTEGER NOT NULL,
    stamp INTEGER NOT NULL
);

CREATE TABLE journal (
    seq INTEGER PRIMARY KEY,
    origin INTEGER NOT NULL,
    origin_seq INTEGER NOT NULL,
    stamp INTEGER NOT NULL,
    at INTEGER NOT NULL,
    event TEXT NOT NULL
);

CREATE TABLE cursors (
    consumer TEXT PRIMARY KEY,
    seq INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE jobs (
    kind TEXT PRIMARY KEY,
    payload TEXT NOT NULL,
    not_before INTEGER NOT NULL,
    lease_until INTEGER,
    attempts INTEGER NOT NULL,
    started_at INTEGER,
    finished_at INTEGER,
    error TEXT
) WITHOUT ROWID;

CREATE TABLE settings (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE registries (
    id INTEGER PRIMARY KEY,
    registry BLOB NOT NULL UNIQUE,
    name TEXT NOT NULL UNIQUE,
    anonymous_pull INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    stamp INTEGER NOT NULL,
    origin INTEGER NOT NULL
);

CREATE TABLE principals (
    id INTEGER PRIMARY KEY,
    principal BLOB NOT NULL UNIQUE,
    name TEXT NOT NULL UNIQUE,
    secret TEXT NOT NULL,
    -- Raised by whatever ends what the principal's tokens were good for.
    epoch INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    stamp INTEGER NOT NULL,
    origin INTEGER NOT NULL
);

-- A role, in one registry or in all (NULL), on the repositories that a pattern names.
CREATE TABLE role_assignments (
    principal_id INTEGER NOT NULL REFERENCES principals (id) ON DELETE CASCADE,
    role TEXT NOT NULL,
    registry BLOB,
    repositories TEXT NOT NULL,
    stamp INTEGER NOT NULL,
    origin INTEGER NOT NULL
);
CREATE INDEX role_assignments_by_principal ON role_assignments (principal_id);

-- A repository is listed while it has manifests. A deleted one is dead: its row stays until what it held is
-- reclaimed, and a later push makes a new row.
CREATE TABLE repositories (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    registry_id INTEGER NOT NULL REFERENCES registries (id),
    name TEXT NOT NULL,
    manifests INTEGER NOT NULL,
    attributes INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    dead INTEGER NOT NULL,
    stamp INTEGER NOT NULL,
    origin INTEGER NOT NULL
);
CREATE UNIQUE INDEX repositories_by_name ON repositories (registry_id, name) WHERE dead = 0;
CREATE INDEX repositories_listed ON repositories (registry_id, name) WHERE dead = 0 AND manifests > 0;
CREATE INDEX repositories_dead ON repositories (registry_id, name) WHERE dead = 1;

CREATE TABLE manifests (
    id INTEGER PRIMARY KEY,
    repository_id INTEGER NOT NULL,
    digest BLOB NOT NULL,
    media_type TEXT NOT NULL,
    artifact_type TEXT,
    config_media_type TEXT,
    subject BLOB,
    -- The descriptor that the referrers of the subject list, as JSON.
    referrer TEXT,
    content_bytes INTEGER NOT NULL,
    attributes INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    stamp INTEGER NOT NULL,
    origin INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE UNIQUE INDEX manifests_by_digest ON manifests (repository_id, digest);
CREATE INDEX manifests_by_subject ON manifests (repository_id, subject, digest) WHERE subject IS NOT NULL;
CREATE INDEX manifests_by_time ON manifests (repository_id, updated_at, digest);

CREATE TABLE tags (
    repository_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    digest BLOB NOT NULL,
    attributes INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    stamp INTEGER NOT NULL,
    origin INTEGER NOT NULL,
    PRIMARY KEY (repository_id, name)
) WITHOUT ROWID;
CREATE INDEX tags_by_digest ON tags (repository_id, digest);

-- What was deleted, so that an older write elsewhere does not bring it back.
CREATE TABLE tombstones (
    registry_id INTEGER NOT NULL,
    repository TEXT NOT NULL,
    -- '' the repository, 'tag:…', or a manifest's digest.
    item TEXT NOT NULL,
    at INTEGER NOT NULL,
    stamp INTEGER NOT NULL,
    origin INTEGER NOT NULL,
    PRIMARY KEY (registry_id, repository, item)
) WITHOUT ROWID;
CREATE INDEX tombstones_by_time ON tombstones (at);

-- One row a blob: where its bytes are. A blob without links expires.
CREATE TABLE blobs (
    digest BLOB PRIMARY KEY,
    size INTEGER NOT NULL,
    copy BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    scrubbed_at INTEGER NOT NULL,
    expires_at INTEGER
) WITHOUT ROWID;
CREATE INDEX blobs_expiring ON blobs (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX blobs_by_scrub ON blobs (scrubbed_at);

-- A repository's right to a blob. It expires unless a manifest of the repository names the blob.
CREATE TABLE links (
    repository_id INTEGER NOT NULL,
    digest BLOB NOT NULL,
    expires_at INTEGER,
    PRIMARY KEY (repository_id, digest)
) WITHOUT ROWID;
CREATE INDEX links_by_digest ON links (digest);
CREATE INDEX links_expiring ON links (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE manifest_blobs (
    repository_id INTEGER NOT NULL,
    manifest BLOB NOT NULL,
    blob BLOB NOT NULL,
    PRIMARY KEY (repository_id, manifest, blob)
) WITHOUT ROWID;
CREATE INDEX manifest_blobs_by_blob ON manifest_blobs (repository_id, blob);

-- Copies that nothing names any more: fenced, waiting for their bytes to be removed.
CREATE TABLE condemned (
    copy BLOB PRIMARY KEY,
    digest BLOB NOT NULL,
    size INTEGER NOT NULL,
    at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX condemned_by_time ON condemned (at);

-- Blobs whose stored bytes were found not to be what their digest says.
CREATE TABLE corrupt (
    digest BLOB PRIMARY KEY,
    copy BLOB NOT NULL,
    size INTEGER NOT NULL,
    found_at INTEGER NOT NULL
) WITHOUT ROWID;
