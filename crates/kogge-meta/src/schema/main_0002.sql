-- Identity and management: what the management plane governs is resources. An id is 16 random bytes, written as a
-- UUID. Types, paths and keys are in lower case; a name is kept as it was first written.

CREATE TABLE resources (
    id INTEGER PRIMARY KEY,
    resource BLOB NOT NULL UNIQUE,
    type TEXT NOT NULL,
    -- The path of what holds the resource: a subscription, a group, a registry, a scope.
    parent TEXT NOT NULL,
    name TEXT NOT NULL,
    key TEXT NOT NULL,
    location TEXT,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    created_by_kind TEXT NOT NULL,
    modified_at INTEGER NOT NULL,
    modified_by TEXT NOT NULL,
    modified_by_kind TEXT NOT NULL,
    stamp INTEGER NOT NULL,
    origin INTEGER NOT NULL
);
CREATE UNIQUE INDEX resources_by_type ON resources (type, parent, key);
CREATE UNIQUE INDEX resources_by_parent ON resources (parent, type, key);

-- One register a property: its value as JSON, and its own version. A removed one stays without a value until its
-- removal is old.
CREATE TABLE resource_properties (
    resource_id INTEGER NOT NULL REFERENCES resources (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    value TEXT,
    stamp INTEGER NOT NULL,
    origin INTEGER NOT NULL,
    PRIMARY KEY (resource_id, name)
) WITHOUT ROWID;
CREATE INDEX resource_properties_removed ON resource_properties (stamp) WHERE value IS NULL;

-- Resources, credentials and principals that were deleted, by their ids.
CREATE TABLE resource_tombstones (
    id BLOB PRIMARY KEY,
    at INTEGER NOT NULL,
    stamp INTEGER NOT NULL,
    origin INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX resource_tombstones_by_time ON resource_tombstones (at);

-- What somebody proves with who he is. The owner is a principal, a token or a registry (its admin user).
CREATE TABLE credentials (
    credential BLOB PRIMARY KEY,
    owner BLOB NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    value BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    stamp INTEGER NOT NULL,
    origin INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX credentials_by_owner ON credentials (owner, credential);
CREATE INDEX credentials_by_kind ON credentials (kind, owner, credential);

ALTER TABLE principals ADD COLUMN kind TEXT NOT NULL DEFAULT 'User';
ALTER TABLE principals ADD COLUMN app_id BLOB;
ALTER TABLE principals ADD COLUMN enabled INTEGER NOT NULL DEFAULT 1;
CREATE UNIQUE INDEX principals_by_app ON principals (app_id) WHERE app_id IS NOT NULL;

-- Who is in a group. One who left stays as absent, until the group or he is deleted.
CREATE TABLE group_members (
    group_id BLOB NOT NULL,
    member_id BLOB NOT NULL,
    present INTEGER NOT NULL,
    stamp INTEGER NOT NULL,
    origin INTEGER NOT NULL,
    PRIMARY KEY (group_id, member_id)
) WITHOUT ROWID;
CREATE INDEX group_members_by_member ON group_members (member_id);

-- Authorization codes, device codes and refresh grants, by the SHA-256 of what the client holds. Neither replicated
-- nor journalled.
CREATE TABLE grants (
    hash BLOB PRIMARY KEY,
    kind TEXT NOT NULL,
    principal BLOB,
    payload TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX grants_by_expiry ON grants (expires_at);
CREATE INDEX grants_by_principal ON grants (principal) WHERE principal IS NOT NULL;

-- The one subscription of a deployment: the installation's id; and its tenant: the same with its halves exchanged, since
-- clients take a subscription of its tenant's id for something else.
INSERT INTO settings (name, value)
SELECT i.name, CAST(lower(
    substr(i.hex, 1, 8) || '-' || substr(i.hex, 9, 4) || '-' || substr(i.hex, 13, 4) || '-' || substr(i.hex, 17, 4)
    || '-' || substr(i.hex, 21, 12)) AS BLOB)
FROM (
    SELECT 'subscription' AS name, hex(origin) AS hex FROM installation
    UNION ALL
    SELECT 'tenant', substr(hex(origin), 17, 16) || substr(hex(origin), 1, 16) FROM installation
) AS i;

-- The scopes that what follows refers to. Gone at the end.
CREATE TABLE migrated_scopes AS
SELECT '/subscriptions/' || CAST(value AS TEXT) AS subscription,
    '/subscriptions/' || CAST(value AS TEXT) || '/resourcegroups/default' AS resource_group
FROM settings WHERE name = 'subscription';

INSERT INTO resources (resource, type, parent, name, key, location, created_at, created_by, created_by_kind,
    modified_at, modified_by, modified_by_kind, stamp, origin)
SELECT randomblob(16), 'microsoft.resources/subscriptions/resourcegroups', s.subscription, 'default', 'default', NULL,
    i.created_at, 'kogge', 'Application', i.created_at, 'kogge', 'Application', h.stamp, 1
FROM migrated_scopes s, installation i, journal_head h;

-- Each registry is a resource of the same id.
INSERT INTO resources (resource, type, parent, name, key, location, created_at, created_by, created_by_kind,
    modified_at, modified_by, modified_by_kind, stamp, origin)
SELECT r.registry, 'microsoft.containerregistry/registries', s.resource_group, r.name, r.name, NULL,
    r.created_at, 'kogge', 'Application', r.created_at, 'kogge', 'Application', r.stamp, r.origin
FROM registries r, migrated_scopes s ORDER BY r.id;

INSERT INTO resource_properties (resource_id, name, value, stamp, origin)
SELECT e.id, 'properties.anonymousPullEnabled', 'true', r.stamp, r.origin
FROM registries r JOIN resources e ON e.resource = r.registry WHERE r.anonymous_pull <> 0;

-- Each assignment of a role is a resource at its scope. A pattern of repositories becomes a condition.
CREATE TABLE migrated_assignments AS
SELECT a.role, a.registry, a.repositories, p.principal, min(a.stamp) AS stamp, min(a.origin) AS origin,
    min(p.created_at) AS created_at, randomblob(16) AS resource, hex(randomblob(16)) AS name, hex(p.principal) AS who,
    CASE a.role
        WHEN 'Owner' THEN '8e3af657-a8ff-443c-a75c-2fe8c4bcb635'
        WHEN 'AcrPull' THEN '7f951dda-4ed3-4680-a7ca-43fe172d538d'
        WHEN 'AcrPush' THEN '8311e382-0749-4cb8-b61a-304f252e45ec'
        WHEN 'AcrDelete' THEN 'c2f4ef07-c644-48eb-af81-4b1b4947fb11'
    END AS definition
FROM role_assignments a JOIN principals p ON p.id = a.principal_id
WHERE a.role IN ('Owner', 'AcrPull', 'AcrPush', 'AcrDelete')
  AND (a.registry IS NULL OR a.registry IN (SELECT registry FROM registries))
GROUP BY a.role, a.registry, a.repositories, p.principal;

UPDATE migrated_assignments SET
    name = lower(substr(name, 1, 8) || '-' || substr(name, 9, 4) || '-' || substr(name, 13, 4) || '-'
        || substr(name, 17, 4) || '-' || substr(name, 21, 12)),
    who = lower(substr(who, 1, 8) || '-' || substr(who, 9, 4) || '-' || substr(who, 13, 4) || '-'
        || substr(who, 17, 4) || '-' || substr(who, 21, 12));

INSERT INTO resources (resource, type, parent, name, key, location, created_at, created_by, created_by_kind,
    modified_at, modified_by, modified_by_kind, stamp, origin)
SELECT a.resource, 'microsoft.authorization/roleassignments',
    CASE WHEN a.registry IS NULL THEN '/'
        ELSE (SELECT e.parent || '/providers/' || e.type || '/' || e.key FROM resources e WHERE e.resource = a.registry)
    END,
    a.name, a.name, NULL, a.created_at, 'kogge', 'Application', a.created_at, 'kogge', 'Application', a.stamp, a.origin
FROM migrated_assignments a;

INSERT INTO resource_properties (resource_id, name, value, stamp, origin)
SELECT e.id, 'properties.roleDefinitionId',
    '"' || s.subscription || '/providers/Microsoft.Authorization/roleDefinitions/' || a.definition || '"',
    a.stamp, a.origin
FROM migrated_assignments a JOIN resources e ON e.resource = a.resource, migrated_scopes s
UNION ALL
SELECT e.id, 'properties.principalId', '"' || a.who || '"', a.stamp, a.origin
FROM migrated_assignments a JOIN resources e ON e.resource = a.resource
UNION ALL
SELECT e.id, 'properties.principalType', '"User"', a.stamp, a.origin
FROM migrated_assignments a JOIN resources e ON e.resource = a.resource
UNION ALL
SELECT e.id, 'properties.condition',
    '"@Request[Microsoft.ContainerRegistry/registries/repositories:name] '
    || CASE WHEN a.repositories LIKE '%/*'
        THEN 'StringStartsWithIgnoreCase ''' || substr(a.repositories, 1, length(a.repositories) - 1)
        ELSE 'StringEqualsIgnoreCase ''' || a.repositories
    END || '''"', a.stamp, a.origin
FROM migrated_assignments a JOIN resources e ON e.resource = a.resource WHERE a.repositories <> '*'
UNION ALL
SELECT e.id, 'properties.conditionVersion', '"2.0"', a.stamp, a.origin
FROM migrated_assignments a JOIN resources e ON e.resource = a.resource WHERE a.repositories <> '*';

DROP TABLE migrated_assignments;
DROP TABLE migrated_scopes;
DROP TABLE role_assignments;

-- A deleted registry's row stays, under a name that no registry can have, until what it held is reclaimed.
ALTER TABLE registries ADD COLUMN deleted_at INTEGER;
ALTER TABLE registries DROP COLUMN anonymous_pull;
