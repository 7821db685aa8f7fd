//! The few things that statements need of an engine: values in, rows out, numbered parameters (`?1`). What an engine
//! calls them otherwise is its own affair: one text serves all.

use std::ops::Deref;

use kogge_types::{CopyId, Digest, OriginId, RegistryId, ResourceId, Stamp, UploadId};
use rusqlite::Connection;
use rusqlite::types::{Null, ToSql, ToSqlOutput};

use crate::change::Touched;
use crate::error::{MetaError, Result};
use crate::postgres;

/// A parameter of a statement.
pub(crate) enum Value<'a> {
    Null,
    Int(i64),
    Text(&'a str),
    Bytes(&'a [u8]),
    Owned(Vec<u8>),
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Self::Null => Null.to_sql(),
            Self::Int(value) => Ok(ToSqlOutput::from(*value)),
            Self::Text(value) => value.to_sql(),
            Self::Bytes(value) => value.to_sql(),
            Self::Owned(value) => value.as_slice().to_sql(),
        }
    }
}

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<u64> for Value<'_> {
    fn from(value: u64) -> Self {
        Self::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<usize> for Value<'_> {
    fn from(value: usize) -> Self {
        Self::from(value as u64)
    }
}

impl From<bool> for Value<'_> {
    fn from(value: bool) -> Self {
        Self::Int(i64::from(value))
    }
}

impl From<Stamp> for Value<'_> {
    fn from(stamp: Stamp) -> Self {
        Self::Int(stamp.0)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(value)
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(value: &'a [u8]) -> Self {
        Self::Bytes(value)
    }
}

impl From<&Digest> for Value<'_> {
    fn from(digest: &Digest) -> Self {
        Self::Owned(digest.to_bytes())
    }
}

macro_rules! from_id {
    ($($id:ty),*) => {$(
        impl<'a> From<&'a $id> for Value<'a> {
            fn from(id: &'a $id) -> Self {
                Self::Bytes(id.as_bytes())
            }
        }
    )*};
}
from_id!(CopyId, OriginId, RegistryId, ResourceId, UploadId);

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// Where a listing goes on: after this digest, or from the least one.
pub(crate) fn or_least(after: Option<&Digest>) -> Value<'static> {
    Value::Owned(after.map(Digest::to_bytes).unwrap_or_default())
}

/// A text that comes after every name.
pub(crate) const LAST_TEXT: &str = "\u{10ffff}";

/// The parameters of a statement, each converted.
macro_rules! values {
    ($($value:expr),* $(,)?) => {
        &[$($crate::sql::Value::from($value)),*]
    };
}
pub(crate) use values;

/// A connection to an engine, in whatever transaction it is.
#[derive(Clone, Copy)]
pub(crate) enum Link<'c> {
    Sqlite(&'c Connection),
    Postgres(&'c postgres::Connection),
    /// There is none, for this reason: every statement fails with it.
    Broken(&'c MetaError),
}

/// One row of an answer.
pub(crate) enum Row<'r> {
    Sqlite(&'r rusqlite::Row<'r>),
    Postgres(&'r ::postgres::Row),
}

impl Row<'_> {
    pub(crate) fn int(&self, column: usize) -> Result<i64> {
        self.opt_int(column)?.ok_or(MetaError::Corrupt { what: "number" })
    }

    pub(crate) fn size(&self, column: usize) -> Result<u64> {
        u64::try_from(self.int(column)?).map_err(MetaError::corrupt("size"))
    }

    pub(crate) fn opt_int(&self, column: usize) -> Result<Option<i64>> {
        match self {
            Self::Sqlite(row) => Ok(row.get(column)?),
            Self::Postgres(row) => postgres::int(row, column),
        }
    }

    pub(crate) fn flag(&self, column: usize) -> Result<bool> {
        Ok(self.int(column)? != 0)
    }

    pub(crate) fn text(&self, column: usize) -> Result<String> {
        self.str_ref(column)?.map(ToOwned::to_owned).ok_or(MetaError::Corrupt { what: "text" })
    }

    pub(crate) fn opt_text(&self, column: usize) -> Result<Option<String>> {
        Ok(self.str_ref(column)?.map(ToOwned::to_owned))
    }

    pub(crate) fn bytes(&self, column: usize) -> Result<Vec<u8>> {
        self.bytes_ref(column)?.map(<[u8]>::to_vec).ok_or(MetaError::Corrupt { what: "bytes" })
    }

    pub(crate) fn opt_bytes(&self, column: usize) -> Result<Option<Vec<u8>>> {
        Ok(self.bytes_ref(column)?.map(<[u8]>::to_vec))
    }

    fn str_ref(&self, column: usize) -> Result<Option<&str>> {
        match self {
            Self::Sqlite(row) => row.get_ref(column)?.as_str_or_null().map_err(MetaError::corrupt("text")),
            Self::Postgres(row) => Ok(row.try_get(column)?),
        }
    }

    fn bytes_ref(&self, column: usize) -> Result<Option<&[u8]>> {
        match self {
            Self::Sqlite(row) => row.get_ref(column)?.as_blob_or_null().map_err(MetaError::corrupt("bytes")),
            Self::Postgres(row) => Ok(row.try_get(column)?),
        }
    }

    pub(crate) fn digest(&self, column: usize) -> Result<Digest> {
        self.opt_digest(column)?.ok_or(MetaError::Corrupt { what: "digest" })
    }

    pub(crate) fn opt_digest(&self, column: usize) -> Result<Option<Digest>> {
        self.bytes_ref(column)?.map(Digest::from_bytes).transpose().map_err(MetaError::corrupt("digest"))
    }

    /// A column that holds the text form of `T`.
    pub(crate) fn parsed<T: std::str::FromStr>(&self, column: usize, what: &'static str) -> Result<T> {
        let text = self.str_ref(column)?.ok_or(MetaError::Corrupt { what })?;
        text.parse().map_err(MetaError::corrupt(what))
    }

    /// A column that holds the bytes of an id that has no type of its own.
    pub(crate) fn raw_id(&self, column: usize, what: &'static str) -> Result<[u8; 16]> {
        self.bytes(column)?.try_into().map_err(MetaError::corrupt(what))
    }

    /// A column that holds the bytes of an id.
    pub(crate) fn id<T: for<'b> TryFrom<&'b [u8]>>(&self, column: usize, what: &'static str) -> Result<T> {
        let bytes = self.bytes_ref(column)?.ok_or(MetaError::Corrupt { what })?;
        T::try_from(bytes).map_err(MetaError::corrupt(what))
    }
}

/// A consistent view of the metadata, for reading.
pub struct Snapshot<'c> {
    link: Link<'c>,
}

impl<'c> Snapshot<'c> {
    pub(crate) fn new(link: Link<'c>) -> Self {
        Self { link }
    }

    /// The rows of `sql`, each read by `read`.
    pub(crate) fn query<T>(
        &self,
        sql: &str,
        values: &[Value<'_>],
        mut read: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        match self.link {
            Link::Sqlite(connection) => {
                let mut statement = connection.prepare_cached(sql)?;
                let mut rows = statement.query(rusqlite::params_from_iter(values))?;
                let mut found = Vec::new();
                while let Some(row) = rows.next()? {
                    found.push(read(&Row::Sqlite(row))?);
                }
                drop(rows);
                #[cfg(test)]
                observed::note(sql, &statement);
                Ok(found)
            }
            Link::Postgres(connection) => {
                connection.query(sql, values)?.iter().map(|row| read(&Row::Postgres(row))).collect()
            }
            Link::Broken(error) => Err(error.clone()),
        }
    }

    /// The first row of `sql`, if there is one.
    pub(crate) fn query_first<T>(
        &self,
        sql: &str,
        values: &[Value<'_>],
        read: impl FnOnce(&Row<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        match self.link {
            Link::Sqlite(connection) => {
                let mut statement = connection.prepare_cached(sql)?;
                let mut rows = statement.query(rusqlite::params_from_iter(values))?;
                let found = rows.next()?.map(|row| read(&Row::Sqlite(row))).transpose();
                drop(rows);
                #[cfg(test)]
                observed::note(sql, &statement);
                found
            }
            Link::Postgres(connection) => {
                connection.query(sql, values)?.first().map(|row| read(&Row::Postgres(row))).transpose()
            }
            Link::Broken(error) => Err(error.clone()),
        }
    }

    /// Whether `sql` has a row.
    pub(crate) fn exists(&self, sql: &str, values: &[Value<'_>]) -> Result<bool> {
        Ok(self.query_first(sql, values, |_| Ok(()))?.is_some())
    }
}

/// A write in progress. It reads what it has written, and nobody else does before the commit.
pub struct Tx<'c> {
    snapshot: Snapshot<'c>,
    now_us: i64,
    stamp: Stamp,
    pub(crate) touched: Vec<Touched>,
}

impl<'c> Deref for Tx<'c> {
    type Target = Snapshot<'c>;

    fn deref(&self) -> &Snapshot<'c> {
        &self.snapshot
    }
}

impl<'c> Tx<'c> {
    pub(crate) fn new(link: Link<'c>, now_us: i64, stamp: Stamp) -> Self {
        Self { snapshot: Snapshot::new(link), now_us, stamp, touched: Vec::new() }
    }

    /// When this write happens, in microseconds since the Unix epoch.
    pub fn now_us(&self) -> i64 {
        self.now_us
    }

    /// The greatest stamp given so far.
    pub(crate) fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// A stamp greater than every one that this installation has given or taken in.
    pub(crate) fn next_stamp(&mut self) -> Stamp {
        self.stamp = self.stamp.next(self.now_us);
        self.stamp
    }

    /// Runs `sql` and says how many rows it changed.
    pub(crate) fn execute(&self, sql: &str, values: &[Value<'_>]) -> Result<usize> {
        match self.snapshot.link {
            Link::Sqlite(connection) => {
                let mut statement = connection.prepare_cached(sql)?;
                let changed = statement.execute(rusqlite::params_from_iter(values))?;
                #[cfg(test)]
                observed::note(sql, &statement);
                Ok(changed)
            }
            Link::Postgres(connection) => connection.execute(sql, values),
            Link::Broken(error) => Err(error.clone()),
        }
    }
}

/// The local row that stands for this installation in its present epoch.
pub(crate) const OWN_ORIGIN: i64 = 1;

/// What tests see of the statements that a thread runs.
#[cfg(test)]
pub(crate) mod observed {
    use std::cell::RefCell;

    use rusqlite::{Statement, StatementStatus};

    /// A statement that was run, and the steps that the engine's machine took for it.
    #[derive(Debug, Clone)]
    pub(crate) struct Observed {
        pub(crate) sql: String,
        pub(crate) steps: i64,
    }

    thread_local! {
        static STATEMENTS: RefCell<Option<Vec<Observed>>> = const { RefCell::new(None) };
    }

    pub(super) fn note(sql: &str, statement: &Statement<'_>) {
        let steps = i64::from(statement.reset_status(StatementStatus::VmStep));
        STATEMENTS.with_borrow_mut(|statements| {
            if let Some(statements) = statements {
                statements.push(Observed { sql: sql.to_owned(), steps });
            }
        });
    }

    /// Runs `work` and returns the statements that it ran on this thread.
    pub(crate) fn during<T>(work: impl FnOnce() -> T) -> (T, Vec<Observed>) {
        STATEMENTS.set(Some(Vec::new()));
        let done = work();
        (done, STATEMENTS.take().unwrap_or_default())
    }
}
