//! One connection to PostgreSQL: statements prepared once, parameters written as the server wants them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::error::Error;

use bytes::BytesMut;
use postgres::types::{IsNull, ToSql, Type};
use postgres::{Client, Row, Statement};

use crate::error::{MetaError, Result};
use crate::sql::Value;

/// One connection, used by one thread.
pub(crate) struct Connection {
    client: RefCell<Client>,
    /// By their text, and by the types of their parameters: the texts of this crate are few.
    statements: RefCell<HashMap<String, Vec<Prepared>>>,
}

/// A statement for parameters of these types.
type Prepared = (Vec<Type>, Statement);

impl Connection {
    pub(crate) fn new(client: Client) -> Self {
        Self { client: RefCell::new(client), statements: RefCell::default() }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.client.borrow().is_closed()
    }

    /// Runs statements without parameters, in one round trip.
    pub(crate) fn batch(&self, sql: &str) -> Result<()> {
        Ok(self.client.borrow_mut().batch_execute(sql)?)
    }

    pub(crate) fn query(&self, sql: &str, values: &[Value<'_>]) -> Result<Vec<Row>> {
        let statement = self.prepare(sql, values)?;
        let parameters = parameters(values);
        Ok(self.client.borrow_mut().query(&statement, &parameters)?)
    }

    pub(crate) fn execute(&self, sql: &str, values: &[Value<'_>]) -> Result<usize> {
        let statement = self.prepare(sql, values)?;
        let parameters = parameters(values);
        let changed = self.client.borrow_mut().execute(&statement, &parameters)?;
        usize::try_from(changed).map_err(MetaError::corrupt("count"))
    }

    fn prepare(&self, sql: &str, values: &[Value<'_>]) -> Result<Statement> {
        let is_of = |types: &[Type]| types.iter().eq(values.iter().map(kind));
        if let Some(known) = self.statements.borrow().get(sql)
            && let Some((_, statement)) = known.iter().find(|(types, _)| is_of(types))
        {
            return Ok(statement.clone());
        }
        let types: Vec<Type> = values.iter().map(|value| kind(value).clone()).collect();
        let statement = self.client.borrow_mut().prepare_typed(&translate(sql), &types)?;
        self.statements.borrow_mut().entry(sql.to_owned()).or_default().push((types, statement.clone()));
        Ok(statement)
    }

    /// Waits for at most `patience` for somebody to notify this connection. Says whether somebody did.
    pub(crate) fn await_notice(&self, patience: std::time::Duration) -> Result<bool> {
        use postgres::fallible_iterator::FallibleIterator;
        let mut client = self.client.borrow_mut();
        let mut notices = client.notifications();
        let noticed = notices.timeout_iter(patience).next()?.is_some();
        if noticed {
            // Those that came with it say nothing more.
            let mut rest = notices.iter();
            while rest.next()?.is_some() {}
        }
        Ok(noticed)
    }
}

fn parameters<'v>(values: &'v [Value<'v>]) -> Vec<&'v (dyn ToSql + Sync)> {
    values.iter().map(|value| value as _).collect()
}

/// The type that a parameter is announced with; the server finds out what a NULL is.
fn kind(value: &Value<'_>) -> &'static Type {
    match value {
        Value::Null => &Type::UNKNOWN,
        Value::Int(_) => &Type::INT8,
        Value::Text(_) => &Type::TEXT,
        Value::Bytes(_) | Value::Owned(_) => &Type::BYTEA,
    }
}

/// PostgreSQL writes `$1` where the statements of this crate write `?1`.
fn translate(sql: &str) -> String {
    sql.replace('?', "$")
}

/// A number, whatever its width; a truth value is 0 or 1.
pub(crate) fn int(row: &Row, column: usize) -> Result<Option<i64>> {
    let kind = row.columns().get(column).map(postgres::Column::type_);
    Ok(match kind {
        Some(&Type::INT4) => row.try_get::<_, Option<i32>>(column)?.map(i64::from),
        Some(&Type::BOOL) => row.try_get::<_, Option<bool>>(column)?.map(i64::from),
        _ => row.try_get(column)?,
    })
}

impl std::fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // What a parameter holds may be a secret.
        f.write_str("Value")
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> std::result::Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Int(value) if *kind == Type::INT8 => value.to_sql(kind, out),
            // PostgreSQL has no NUL. No stored text has one, nor its successor, so that both compare the same.
            Self::Text(value) if value.contains('\0') => value.replace('\0', "\u{1}").to_sql(kind, out),
            Self::Text(value) if <&str as ToSql>::accepts(kind) => value.to_sql(kind, out),
            Self::Bytes(value) if *kind == Type::BYTEA => value.to_sql(kind, out),
            Self::Owned(value) if *kind == Type::BYTEA => value.to_sql(kind, out),
            Self::Int(_) | Self::Text(_) | Self::Bytes(_) | Self::Owned(_) => {
                Err(format!("a parameter is not of the type {kind}").into())
            }
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    postgres::types::to_sql_checked!();
}
