//! A connection that is made when it is needed, and anew when it was lost.

use std::sync::Arc;
use std::time::Duration;

use postgres::config::{SslMode, TargetSessionAttrs};
use postgres::{Config, NoTls};

use super::{Connection, IDLE_TIME, LOCK_TIME, STATEMENT_TIME};
use crate::error::{MetaError, Result};
use crate::sql::{Link, Snapshot};

/// Where the database is: a PostgreSQL connection string, which may name several hosts.
#[derive(Clone)]
pub(crate) struct Target(Arc<Config>);

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Target(***)")
    }
}

/// How long a host may take to answer.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// How long a host that was connected may stay silent before the connection counts as lost.
const SILENCE_TIME: Duration = Duration::from_secs(15);

impl Target {
    /// Reads a connection string: `postgres://user:password@host/database`, or words of `key=value`.
    ///
    /// # Errors
    /// What is wrong with it, without quoting it: it may hold a password.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut config: Config = text.parse().map_err(|error: postgres::Error| error.to_string())?;
        if config.get_ssl_mode() == SslMode::Require {
            return Err("TLS to the database is not supported yet: reach it over a private network or a tunnel, \
                        without sslmode=require"
                .to_owned());
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIME);
        }
        config.keepalives(true).tcp_user_timeout(SILENCE_TIME);
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        config.application_name("kogge");
        let own = format!(
            "-c statement_timeout={} -c lock_timeout={} -c idle_in_transaction_session_timeout={}",
            STATEMENT_TIME.as_millis(),
            LOCK_TIME.as_millis(),
            IDLE_TIME.as_millis()
        );
        let options = config.get_options().map_or_else(|| own.clone(), |given| format!("{given} {own}"));
        config.options(&options);
        Ok(Self(Arc::new(config)))
    }
}

/// What one thread holds of the database.
pub(crate) struct Session {
    target: Target,
    connection: Option<Connection>,
}

impl Session {
    pub(crate) fn new(target: Target) -> Self {
        Self { target, connection: None }
    }

    pub(crate) fn connect(&self) -> Result<Connection> {
        Ok(Connection::new(self.target.0.connect(NoTls)?))
    }

    /// Begins with `begin`, on the connection that is there or on a new one when that was lost.
    pub(crate) fn begin(&mut self, begin: &str) -> Result<Connection> {
        if let Some(connection) = self.connection.take().filter(|connection| !connection.is_closed()) {
            match connection.batch(begin) {
                Ok(()) => return Ok(connection),
                Err(MetaError::Lost(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let connection = self.connect()?;
        connection.batch(begin)?;
        Ok(connection)
    }

    pub(crate) fn put_back(&mut self, connection: Connection) {
        self.connection = Some(connection);
    }

    pub(crate) fn close(&mut self) {
        self.connection = None;
    }

    /// Runs `read` on one state of the data, or on the present one when it is a single statement. Without a connection
    /// every statement of it fails.
    pub(crate) fn read<T>(&mut self, once: bool, read: impl FnOnce(&Snapshot<'_>) -> T) -> T {
        // An empty text proves that the connection lives, at the price of its round trip.
        let begin = if once { "" } else { "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" };
        let connection = match self.begin(begin) {
            Ok(connection) => connection,
            Err(error) => return read(&Snapshot::new(Link::Broken(&error))),
        };
        let value = read(&Snapshot::new(Link::Postgres(&connection)));
        if once || connection.batch("COMMIT").is_ok() {
            self.put_back(connection);
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::Target;

    #[test]
    fn an_address_is_read_or_refused_without_being_quoted() {
        assert!(Target::parse("postgres://kogge:hunter2@a,b:5433/kogge?connect_timeout=3").is_ok());
        assert!(Target::parse("postgres://kogge@%2Frun%2Fpostgresql/kogge").is_ok());
        for wrong in ["postgres://kogge:hunter2@db/kogge?sslmode=require", "postgres://kogge:hunter2@db:x/kogge"] {
            let problem = Target::parse(wrong).expect_err(wrong);
            assert!(!problem.contains("hunter2"), "{problem}");
        }
    }
}
