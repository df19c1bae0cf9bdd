//! PostgreSQL: a pool of connections; each transaction runs on a blocking thread.

use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime, Timeouts};
use tokio::runtime::Handle;
use tokio_postgres::NoTls;

use super::Options;
use super::migrate::{Migration, migrate};
use super::sqlite::guarded;
use super::tx::Tx;
use super::value::{Row, Value};
use crate::error::{Error, Result};

/// How often a transaction is run before its deadlock or serialization failure is given to the caller.
const ATTEMPTS: u32 = 5;
/// The pause after the first failed attempt; it doubles with each.
const BACKOFF: Duration = Duration::from_millis(5);
/// How long a caller waits for a connection.
const WAIT: Duration = Duration::from_secs(30);

/// An open PostgreSQL database.
pub(super) struct Postgres {
    pool: Pool,
}

/// One connection during one transaction, used from a blocking thread.
pub(super) struct Session {
    client: Object,
    runtime: Handle,
}

impl Postgres {
    pub(super) async fn open(
        config: &tokio_postgres::Config,
        options: &Options,
        migrations: &'static [Migration],
    ) -> Result<Self> {
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let pool = Pool::builder(Manager::from_config(config.clone(), NoTls, recycling))
            .max_size(options.connections)
            .timeouts(Timeouts { wait: Some(WAIT), create: Some(WAIT), recycle: Some(WAIT) })
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| Error::database(error.to_string()))?;
        let this = Self { pool };
        this.write(move |tx| migrate(tx, migrations)).await?;
        Ok(this)
    }

    pub(super) async fn write<T, E, F>(&self, f: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: Fn(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    {
        self.blocking(move |session| {
            let mut attempt = 1;
            loop {
                let (result, transient) = session.transaction("BEGIN", &f);
                if !transient || attempt == ATTEMPTS {
                    return result;
                }
                tracing::debug!(attempt, "a transaction is run again");
                std::thread::sleep(BACKOFF * 2_u32.pow(attempt - 1));
                attempt += 1;
            }
        })
        .await
    }

    pub(super) async fn read<T, E, F>(&self, f: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    {
        // One snapshot for the whole closure, as on SQLite.
        const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        self.blocking(|session| session.transaction(BEGIN, f).0).await
    }

    async fn blocking<T, E, F>(&self, f: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&Session) -> Result<T, E> + Send + 'static,
    {
        let client = self.pool.get().await.map_err(Error::from)?;
        let runtime = Handle::current();
        let task = tokio::task::spawn_blocking(move || f(&Session { client, runtime }));
        task.await.map_err(|error| Error::Panicked(error.to_string()))?
    }
}

impl Session {
    /// Runs `f` in a transaction; the flag says whether another attempt may succeed.
    fn transaction<T, E: From<Error>>(
        &self,
        begin: &str,
        f: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
    ) -> (Result<T, E>, bool) {
        if let Err(error) = self.batch(begin) {
            return (Err(error.into()), false);
        }
        let mut tx = Tx::postgres(self);
        let result = guarded(|| f(&mut tx)).and_then(|value| tx.finish().map(|()| value).map_err(E::from));
        let mut transient = tx.is_transient();
        let result = result.and_then(|value| match self.batch("COMMIT") {
            Ok(()) => Ok(value),
            Err(error) => {
                transient = error.is_transient();
                Err(error.into())
            }
        });
        if result.is_err() {
            // A connection that cannot even roll back is closed, and the pool drops it.
            if let Err(error) = self.batch("ROLLBACK") {
                tracing::warn!(%error, "a transaction could not be rolled back");
            }
        }
        (result, transient)
    }

    pub(super) fn batch(&self, sql: &str) -> Result<()> {
        Ok(self.runtime.block_on(self.client.batch_execute(sql))?)
    }

    pub(super) fn execute(&self, sql: &str, params: &[Value<'_>]) -> Result<u64> {
        self.runtime.block_on(async {
            let statement = self.client.prepare_cached(sql).await?;
            Ok(self.client.execute_raw(&statement, params).await?)
        })
    }

    pub(super) fn query(&self, sql: &str, params: &[Value<'_>]) -> Result<Vec<Row>> {
        use futures_util::TryStreamExt;
        self.runtime.block_on(async {
            let statement = self.client.prepare_cached(sql).await?;
            let rows = self.client.query_raw(&statement, params).await?;
            Ok(rows.map_ok(Row::postgres).try_collect().await?)
        })
    }
}
