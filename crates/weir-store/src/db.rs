//! The database: SQLite in this process, or PostgreSQL.

pub(crate) mod migrate;
mod postgres;
mod sqlite;
mod tx;
mod value;

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
pub use tx::{Engine, Tx};
pub use value::{FromValue, Row, ToValue, Value, placeholders};

use self::migrate::Migration;
use crate::error::{Error, Result};
use crate::sql::MIGRATIONS;

/// Where the database is: `sqlite:PATH` or `postgres://USER:PASSWORD@HOST:PORT/NAME`.
#[derive(Debug, Clone)]
pub enum DatabaseUrl {
    /// A file, made when it is not there.
    Sqlite(PathBuf),
    /// A server. With `sslmode=require` the connection is encrypted and the server's certificate verified;
    /// without it, it is plain.
    Postgres(Box<tokio_postgres::Config>),
}

impl FromStr for DatabaseUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let problem =
            |what: &str, problem: String| Error::Url { what: what.to_owned(), kind: "database URL", problem };
        if let Some(path) = text.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() || path.starts_with(':') {
                return Err(problem(text, "the path of a file is missing".to_owned()));
            }
            return Ok(Self::Sqlite(path.into()));
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            // The text may hold a password, so it is not repeated.
            let config = text.parse().map_err(|error: tokio_postgres::Error| {
                problem("postgres://…", crate::error::sources(&error))
            })?;
            return Ok(Self::Postgres(Box::new(config)));
        }
        Err(problem("the text", "it must begin with `sqlite:` or `postgres://`".to_owned()))
    }
}

/// What a commit promises on SQLite. PostgreSQL has its own settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// What is committed outlives a power cut. Concurrent writes share one flush.
    #[default]
    Full,
    /// What is committed outlives the process; the last moments before a power cut may be lost.
    Relaxed,
}

/// How a database is used.
#[derive(Debug, Clone)]
pub struct Options {
    /// What a commit promises on SQLite.
    pub durability: Durability,
    /// At most so many connections to PostgreSQL.
    pub connections: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { durability: Durability::default(), connections: 16 }
    }
}

/// A reason to look again, from [`Db::listen`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wake {
    /// A server said something.
    Notified {
        /// Where it was said.
        channel: String,
        /// What was said.
        payload: String,
    },
    /// Listening began, or began again: what was said before is unknown, so look at everything.
    Missed,
}

/// An open database. Clones share it.
#[derive(Clone)]
pub struct Db(Arc<Kind>);

enum Kind {
    Sqlite(sqlite::Sqlite),
    Postgres(Box<postgres::Postgres>),
}

impl Db {
    /// Opens the database and brings its schema up to date.
    pub async fn open(url: &DatabaseUrl) -> Result<Self> {
        Self::open_with(url, &Options::default()).await
    }

    /// Like [`open`](Self::open), with settings.
    pub async fn open_with(url: &DatabaseUrl, options: &Options) -> Result<Self> {
        Self::open_at(url, options, MIGRATIONS).await
    }

    async fn open_at(url: &DatabaseUrl, options: &Options, migrations: &'static [Migration]) -> Result<Self> {
        let kind = match url {
            DatabaseUrl::Sqlite(path) => Kind::Sqlite(sqlite::Sqlite::open(path, options, migrations)?),
            DatabaseUrl::Postgres(config) => {
                Kind::Postgres(Box::new(postgres::Postgres::open(config, options, migrations).await?))
            }
        };
        Ok(Self(Arc::new(kind)))
    }

    /// Runs `f` in a transaction that may write, and commits if it returns `Ok`. Returns only after the commit.
    ///
    /// `f` may run more than once: PostgreSQL's deadlocks and serialization failures are tried again. So it is
    /// an `Fn`: it keeps what it needs and clones what it consumes. It must not block on anything but the
    /// transaction. On SQLite all writes run on one thread, one after the other, and share commits; keep them
    /// short. A write goes on even if the future returned here is dropped.
    pub async fn write<T, E, F>(&self, f: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: Fn(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    {
        match &*self.0 {
            Kind::Sqlite(sqlite) => sqlite.write(f).await,
            Kind::Postgres(postgres) => postgres.write(f).await,
        }
    }

    /// Runs `f` on one snapshot of the data; statements that write fail.
    ///
    /// On SQLite it runs right here, on the calling thread, because a hop to another would cost more than most
    /// reads; so it must be short: page through what is long.
    pub async fn read<T, E, F>(&self, f: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    {
        match &*self.0 {
            Kind::Sqlite(sqlite) => sqlite.read(f),
            Kind::Postgres(postgres) => postgres.read(f).await,
        }
    }

    /// Tells every server that listens on `channel`, this one included. At most 8,000 bytes. Nothing on SQLite, where
    /// the one process that there is needs no message. May be lost: who waits also looks.
    ///
    /// It is a transaction of its own, after the one that changed something: PostgreSQL lets only one transaction that
    /// notifies commit at a time, and that lock must not last as long as a flush of a change. This one waits for no
    /// flush.
    pub async fn notify(&self, channel: &str, payload: String) -> Result<()> {
        let Kind::Postgres(postgres) = &*self.0 else { return Ok(()) };
        let channel = channel.to_owned();
        postgres
            .write(move |tx| {
                let sql = "SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, $2)";
                tx.query(sql, crate::params![channel, payload]).map(drop)
            })
            .await
    }

    /// What other servers say with [`notify`](Self::notify) on `channels`, from now on. Never ends, and says nothing on
    /// SQLite, where there is only one server. Must be called in a tokio runtime.
    pub fn listen(&self, channels: &[&str]) -> BoxStream<'static, Wake> {
        match &*self.0 {
            Kind::Sqlite(_) => futures_util::stream::pending().boxed(),
            Kind::Postgres(postgres) => {
                let mut wakes = postgres.listen(channels);
                futures_util::stream::poll_fn(move |context| wakes.poll_recv(context)).boxed()
            }
        }
    }

    /// Which database it is.
    pub fn engine(&self) -> Engine {
        match &*self.0 {
            Kind::Sqlite(_) => Engine::Sqlite,
            Kind::Postgres(_) => Engine::Postgres,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_databases() {
        for text in ["sqlite:weir.db", "sqlite://weir.db"] {
            let url = text.parse::<DatabaseUrl>().unwrap();
            assert!(matches!(url, DatabaseUrl::Sqlite(path) if path == std::path::Path::new("weir.db")));
        }
        let url = "postgres://weir:hunter2@db.example.com:5433/ci".parse::<DatabaseUrl>().unwrap();
        assert!(!format!("{url:?}").contains("hunter2"));
        let DatabaseUrl::Postgres(config) = url else { panic!("a PostgreSQL URL") };
        assert_eq!((config.get_user(), config.get_dbname()), (Some("weir"), Some("ci")));
    }

    #[test]
    fn what_is_no_database_is_refused_without_repeating_a_password() {
        for text in
            ["", "sqlite:", "sqlite::memory:", "mysql://x", "weir.db", "postgres://u:hunter2@h/?nonsense=1"]
        {
            let error = text.parse::<DatabaseUrl>().unwrap_err();
            assert!(matches!(error, Error::Url { .. }), "{text}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}
