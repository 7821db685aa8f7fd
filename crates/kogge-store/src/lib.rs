//! Blob bytes: where they are written, read, committed and removed.
