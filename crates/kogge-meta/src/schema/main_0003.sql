-- What listings say and how they are ordered.

-- The platform that an image's config names; absent where there is none, or where it was pushed before this.
ALTER TABLE manifests ADD COLUMN architecture TEXT;
ALTER TABLE manifests ADD COLUMN os TEXT;

CREATE INDEX tags_by_time ON tags (repository_id, updated_at, name);

-- All that a listing of one manifest's tags asks for: no other way to them looks cheaper, however few tags there seem to be.
DROP INDEX tags_by_digest;
CREATE INDEX tags_by_digest ON tags (repository_id, digest, name, attributes, created_at, updated_at);

-- When what was deleted had last been updated: a listing by time goes on behind it.
ALTER TABLE tombstones ADD COLUMN updated_at INTEGER;
