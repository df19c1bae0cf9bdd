//! A transaction: what every query function takes.

use super::value::{FromValue, Row, ToValue, Value};
use super::{postgres, sqlite};
use crate::error::{Error, Result};

/// Which database it is. For the few hooks of this module; queries must not ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// SQLite, in this process.
    Sqlite,
    /// PostgreSQL.
    Postgres,
}

/// An open transaction.
///
/// After a failed statement it only rolls back, on both engines (PostgreSQL knows no other way): every further
/// statement and the commit answer [`Error::Aborted`]. Where a failure is expected, `ON CONFLICT` or
/// [`savepoint`](Self::savepoint) is the way.
pub struct Tx<'c> {
    link: Link<'c>,
    aborted: bool,
    transient: bool,
    depth: u32,
}

#[derive(Clone, Copy)]
enum Link<'c> {
    Sqlite(&'c rusqlite::Connection),
    Postgres(&'c postgres::Session),
}

impl<'c> Tx<'c> {
    pub(super) fn sqlite(connection: &'c rusqlite::Connection) -> Self {
        Self { link: Link::Sqlite(connection), aborted: false, transient: false, depth: 0 }
    }

    pub(super) fn postgres(session: &'c postgres::Session) -> Self {
        Self { link: Link::Postgres(session), aborted: false, transient: false, depth: 0 }
    }

    /// Runs a statement without a result; the number of rows that it changed.
    pub fn execute(&mut self, sql: &str, params: &[&dyn ToValue]) -> Result<u64> {
        let params = values(params)?;
        self.statement(|link| match link {
            Link::Sqlite(connection) => sqlite::execute(connection, sql, &params),
            Link::Postgres(session) => session.execute(sql, &params),
        })
    }

    /// All rows of a query, in its order.
    pub fn query(&mut self, sql: &str, params: &[&dyn ToValue]) -> Result<Vec<Row>> {
        let params = values(params)?;
        self.statement(|link| match link {
            Link::Sqlite(connection) => sqlite::query(connection, sql, &params),
            Link::Postgres(session) => session.query(sql, &params),
        })
    }

    /// The first row of a query, if there is one.
    pub fn query_opt(&mut self, sql: &str, params: &[&dyn ToValue]) -> Result<Option<Row>> {
        Ok(self.query(sql, params)?.into_iter().next())
    }

    /// The first row of a query; [`Error::NoRow`] if there is none.
    pub fn query_one(&mut self, sql: &str, params: &[&dyn ToValue]) -> Result<Row> {
        self.query_opt(sql, params)?.ok_or(Error::NoRow)
    }

    /// Runs `INSERT … RETURNING id` and reads the id (or whatever one column it returns).
    pub fn insert<T: for<'a> FromValue<'a>>(&mut self, sql: &str, params: &[&dyn ToValue]) -> Result<T> {
        self.query_one(sql, params)?.get(0)
    }

    /// Runs several statements without parameters.
    pub(super) fn batch(&mut self, sql: &str) -> Result<()> {
        self.statement(|link| match link {
            Link::Sqlite(connection) => Ok(connection.execute_batch(sql)?),
            Link::Postgres(session) => session.batch(sql),
        })
    }

    /// Runs `f` so that its failure undoes only its own statements and the transaction can go on.
    pub fn savepoint<T, E: From<Error>>(
        &mut self,
        f: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        self.depth += 1;
        let name = format!("nested_{}", self.depth);
        let result = self.batch(&format!("SAVEPOINT {name}")).map_err(E::from).and_then(|()| {
            let result = f(self);
            let failed = result.is_err() || self.aborted;
            // A deadlock or a serialization failure ends the whole transaction; no savepoint survives it.
            if failed && !self.transient {
                self.aborted = false;
                self.batch(&format!("ROLLBACK TO SAVEPOINT {name}; RELEASE SAVEPOINT {name}"))?;
                return Err(result.err().unwrap_or_else(|| Error::Aborted.into()));
            }
            if !failed {
                self.batch(&format!("RELEASE SAVEPOINT {name}"))?;
            }
            result
        });
        self.depth -= 1;
        result
    }

    /// Which database it is.
    pub fn engine(&self) -> Engine {
        match self.link {
            Link::Sqlite(_) => Engine::Sqlite,
            Link::Postgres(_) => Engine::Postgres,
        }
    }

    /// The suffix of a `SELECT` that locks its rows until the end of the transaction, in front of every other
    /// writer. Empty on SQLite, where a write transaction has the whole database.
    pub fn for_update(&self) -> &'static str {
        match self.engine() {
            Engine::Sqlite => "",
            Engine::Postgres => " FOR UPDATE",
        }
    }

    /// Like [`for_update`](Self::for_update), but passes over rows that someone else has locked.
    pub fn for_update_skip_locked(&self) -> &'static str {
        match self.engine() {
            Engine::Sqlite => "",
            Engine::Postgres => " FOR UPDATE SKIP LOCKED",
        }
    }

    /// `Err` if a statement failed and nobody noticed: then there is nothing to commit.
    pub(super) fn finish(&self) -> Result<()> {
        if self.aborted { Err(Error::Aborted) } else { Ok(()) }
    }

    /// Whether the failure was one that goes away when the transaction is run again.
    pub(super) fn is_transient(&self) -> bool {
        self.transient
    }

    fn statement<T>(&mut self, run: impl FnOnce(Link<'c>) -> Result<T>) -> Result<T> {
        if self.aborted {
            return Err(Error::Aborted);
        }
        run(self.link).inspect_err(|error| {
            self.aborted = true;
            self.transient |= error.is_transient();
        })
    }
}

/// PostgreSQL cannot store the character NUL in a text; so nobody can.
fn values<'a>(params: &'a [&dyn ToValue]) -> Result<Vec<Value<'a>>> {
    let value = |param: &'a &dyn ToValue| match param.to_value() {
        Value::Text(text) if text.contains('\0') => Err(Error::NulInText),
        value => Ok(value),
    };
    params.iter().map(value).collect()
}
