//! PostgreSQL: a pool of connections; each transaction runs on a blocking thread.

use std::cell::Cell;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime, Timeouts};
use futures_util::future::join;
use futures_util::{FutureExt, TryStreamExt};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_postgres::AsyncMessage;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::migrate::{Migration, migrate};
use super::sqlite::guarded;
use super::tx::Tx;
use super::value::{Row, Value};
use super::{Options, Wake};
use crate::error::{Error, Result};

/// How often a transaction is run before its deadlock or serialization failure is given to the caller.
const ATTEMPTS: u32 = 5;
/// The pause after the first failed attempt; it doubles with each.
const BACKOFF: Duration = Duration::from_millis(5);
/// How long a caller waits for a connection.
const WAIT: Duration = Duration::from_secs(30);

/// A connection that has prepared more statements than this forgets them all: texts that hold lists come in
/// many lengths.
const STATEMENTS: usize = 1000;
/// The pause before a lost listener connects again.
const RECONNECT: Duration = Duration::from_secs(1);
/// Notifications that wait for a slow receiver before the server has to keep them.
const WAKES: usize = 1024;

/// An open PostgreSQL database.
pub(super) struct Postgres {
    pool: Pool,
    config: tokio_postgres::Config,
    tls: MakeRustlsConnect,
}

/// One connection during one transaction, used from a blocking thread.
pub(super) struct Session {
    client: Object,
    runtime: Handle,
    /// The `BEGIN` that is still to be sent: together with the first statement, to save a round trip.
    begin: Cell<Option<&'static str>>,
}

impl Postgres {
    pub(super) async fn open(
        config: &tokio_postgres::Config,
        options: &Options,
        migrations: &'static [Migration],
    ) -> Result<Self> {
        // libpq's `prefer` encrypts for whoever answers; what is not verified is not worth its cost.
        let mut config = config.clone();
        if config.get_ssl_mode() != SslMode::Require {
            config.ssl_mode(SslMode::Disable);
        }
        let tls = tls(config.get_ssl_mode())?;
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let pool = Pool::builder(Manager::from_config(config.clone(), tls.clone(), recycling))
            .max_size(options.connections)
            .timeouts(Timeouts { wait: Some(WAIT), create: Some(WAIT), recycle: Some(WAIT) })
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| Error::database(error.to_string()))?;
        let this = Self { pool, config, tls };
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
                let (result, transient) = session.transaction(&f);
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
        self.blocking(|session| session.snapshot(f)).await
    }

    /// What is said on `channels` from now on.
    pub(super) fn listen(&self, channels: &[&str]) -> mpsc::Receiver<Wake> {
        let (sender, wakes) = mpsc::channel(WAKES);
        let listen_to = |channel: &&str| format!("LISTEN \"{}\"", channel.replace('"', "\"\""));
        let command = channels.iter().map(listen_to).collect::<Vec<_>>().join("; ");
        tokio::spawn(listen(self.config.clone(), self.tls.clone(), command, sender));
        wakes
    }

    async fn blocking<T, E, F>(&self, f: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&Session) -> Result<T, E> + Send + 'static,
    {
        let client = self.pool.get().await.map_err(Error::from)?;
        if client.statement_cache.size() > STATEMENTS {
            client.statement_cache.clear();
        }
        let runtime = Handle::current();
        let task =
            tokio::task::spawn_blocking(move || f(&Session { client, runtime, begin: Cell::new(None) }));
        task.await.map_err(|error| Error::Panicked(error.to_string()))?
    }
}

impl Session {
    /// Runs `f` in a transaction; the flag says whether another attempt may succeed.
    fn transaction<T, E: From<Error>>(
        &self,
        f: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
    ) -> (Result<T, E>, bool) {
        self.begin.set(Some("BEGIN"));
        let mut tx = Tx::postgres(self);
        let result = guarded(|| f(&mut tx)).and_then(|value| tx.finish().map(|()| value).map_err(E::from));
        let mut transient = tx.is_transient();
        if self.begin.take().is_some() {
            // No statement was run.
            return (result, false);
        }
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

    /// Runs `f` on one snapshot, as SQLite does.
    fn snapshot<T, E: From<Error>>(&self, f: impl FnOnce(&mut Tx<'_>) -> Result<T, E>) -> Result<T, E> {
        self.begin.set(Some("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"));
        let mut tx = Tx::postgres(self);
        let result = guarded(|| f(&mut tx)).and_then(|value| tx.finish().map(|()| value).map_err(E::from));
        if self.begin.take().is_none() {
            // One poll sends it. How it ends matters to nobody, so a read spares that round trip.
            let _unawaited = self.client.batch_execute("ROLLBACK").now_or_never();
        }
        result
    }

    pub(super) fn batch(&self, sql: &str) -> Result<()> {
        self.run(async { Ok(self.client.batch_execute(sql).await?) })
    }

    pub(super) fn execute(&self, sql: &str, params: &[Value<'_>]) -> Result<u64> {
        self.run(async {
            let statement = self.client.prepare_cached(sql).await?;
            Ok(self.client.execute_raw(&statement, params).await?)
        })
    }

    pub(super) fn query(&self, sql: &str, params: &[Value<'_>]) -> Result<Vec<Row>> {
        self.run(async {
            let statement = self.client.prepare_cached(sql).await?;
            let rows = self.client.query_raw(&statement, params).await?;
            Ok(rows.map_ok(Row::postgres).try_collect().await?)
        })
    }

    fn run<T>(&self, statement: impl Future<Output = Result<T>>) -> Result<T> {
        let Some(begin) = self.begin.take() else {
            return self.runtime.block_on(statement);
        };
        // `join` polls in order, so BEGIN is sent first.
        let (begun, result) = self.runtime.block_on(join(self.client.batch_execute(begin), statement));
        begun?;
        result
    }
}

/// TLS that trusts what the system trusts (or `SSL_CERT_FILE` names); unused, and so empty, without it.
fn tls(mode: SslMode) -> Result<MakeRustlsConnect> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let failed = |error: rustls::Error| Error::database(format!("TLS: {error}"));
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(failed)?;
    let config = if mode == SslMode::Require {
        config.with_platform_verifier().map_err(failed)?
    } else {
        config.with_root_certificates(rustls::RootCertStore::empty())
    };
    Ok(MakeRustlsConnect::new(config.with_no_client_auth()))
}

/// Listens until nobody receives any more; connects again when the connection is lost.
async fn listen(
    config: tokio_postgres::Config,
    tls: MakeRustlsConnect,
    command: String,
    wakes: mpsc::Sender<Wake>,
) {
    loop {
        let listening = listen_once(&config, tls.clone(), &command, &wakes);
        let ended = tokio::select! {
            ended = listening => ended,
            () = wakes.closed() => return,
        };
        if let Err(error) = ended {
            tracing::warn!(
                error = crate::error::sources(&error),
                "listening for notifications was interrupted"
            );
        }
        tokio::select! {
            () = tokio::time::sleep(RECONNECT) => {}
            () = wakes.closed() => return,
        }
    }
}

async fn listen_once(
    config: &tokio_postgres::Config,
    tls: MakeRustlsConnect,
    command: &str,
    wakes: &mpsc::Sender<Wake>,
) -> Result<(), tokio_postgres::Error> {
    let (client, mut connection) = config.connect(tls).await?;
    let (sender, mut messages) = mpsc::unbounded_channel();
    let drive = async move {
        while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notification(notification) = message? {
                let _ended = sender.send(notification);
            }
        }
        Ok(())
    };
    let forward = async {
        client.batch_execute(command).await?;
        // Whatever was said while nobody listened is lost.
        let mut open = wakes.send(Wake::Missed).await.is_ok();
        while open && let Some(notification) = messages.recv().await {
            let channel = notification.channel().to_owned();
            let payload = notification.payload().to_owned();
            open = wakes.send(Wake::Notified { channel, payload }).await.is_ok();
        }
        Ok(())
    };
    tokio::try_join!(drive, forward).map(|_| ())
}
