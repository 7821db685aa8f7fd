-- Upload sessions: not journalled and not synced. They outlive the process, not the machine.

CREATE TABLE uploads (
    id BLOB PRIMARY KEY,
    registry_id INTEGER NOT NULL,
    repository TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    algorithm TEXT NOT NULL,
    hash_state BLOB NOT NULL,
    store_state BLOB NOT NULL,
    -- Taken by every request that writes: a superseded writer is refused.
    epoch INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) WITHOUT ROWID;
