//! One server process, from start to drain.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use url::Url;
use weir_api::Secret;
use weir_store::pipelines::PipelineCache;
use weir_store::secrets::SecretError;
use weir_store::{DatabaseUrl, Db, Keyring, Objects, ObjectsUrl};

use crate::app::commits::CommitCache;
use crate::background;
use crate::bus::Bus;
use crate::clock::Clock;
use crate::config::Config;
use crate::ctx::{Ctx, Parts};
use crate::egress;
use crate::http::router;
use crate::metrics::Metrics;
use crate::replicas::Replicas;

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The folder cannot be used.
    #[error("cannot use the data folder {folder}: {source}")]
    Data {
        /// The folder.
        folder: String,
        /// Why.
        source: std::io::Error,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The external URL is not one.
    #[error("the external URL `{0}` is no http(s) URL")]
    ExternalUrl(String),
    /// Database, objects or keys.
    #[error(transparent)]
    Store(#[from] weir_store::Error),
    /// The file with the keys that seal secrets.
    #[error("cannot use the keys in the data folder: {0}")]
    Keys(#[from] SecretError),
    /// The client of other servers.
    #[error("cannot prepare calls of other servers: {0}")]
    Egress(#[from] egress::Error),
    /// The first rows could not be made.
    #[error("cannot prepare the instance: {0}")]
    Bootstrap(#[from] crate::error::Error),
}

/// A server that listens but does not answer yet.
#[derive(Debug)]
pub struct Server {
    ctx: Ctx,
    listener: TcpListener,
    address: SocketAddr,
    /// The token of `root`, if this start made one.
    pub root_token: Option<Secret>,
}

impl Server {
    /// Opens everything, brings the schema up to date, makes the first rows and listens.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        Self::start_with_clock(config, Clock::System).await
    }

    /// Like [`start`](Self::start), with a clock of the caller's.
    pub async fn start_with_clock(config: Config, clock: Clock) -> Result<Self, StartError> {
        let folder = config.data.display().to_string();
        let folder_error = |source| StartError::Data { folder: folder.clone(), source };
        std::fs::create_dir_all(&config.data).map_err(folder_error)?;
        let data = config.data.canonicalize().map_err(folder_error)?;

        let database = match &config.database {
            Some(url) => url.parse()?,
            None => DatabaseUrl::Sqlite(data.join("weir.db")),
        };
        let db = Db::open(&database).await?;
        let objects = match &config.objects {
            Some(place) => place.parse()?,
            None => ObjectsUrl::Directory(data.join("objects")),
        };
        let objects = Objects::open(&objects)?;
        let keys = Keyring::open(&data.join("keys"))?;
        let repositories = weir_git::Repositories::new(data.join("repositories"));

        let egress = egress::Client::new(config.allow_local_requests)?;

        let listen_error = |source| StartError::Listen { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(listen_error)?;
        let address = listener.local_addr().map_err(listen_error)?;
        let external_url = match &config.external_url {
            Some(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => url.clone(),
            Some(url) => return Err(StartError::ExternalUrl(url.to_string())),
            None => local_url(address)?,
        };

        let ctx = Ctx::new(Parts {
            external_url,
            db,
            pipelines: PipelineCache::default(),
            commits: CommitCache::default(),
            objects,
            repositories,
            egress,
            keys,
            bus: Bus::default(),
            clock,
            metrics: Metrics::default(),
            draining: false.into(),
            config,
        });
        let root_token = crate::app::instance::bootstrap(&ctx).await?;
        if let Some(token) = &root_token {
            keep_token(&data.join("root-token"), token).map_err(folder_error)?;
        }
        Ok(Self { ctx, listener, address, root_token })
    }

    /// The server's parts, for tests and for the embedded runner.
    pub fn ctx(&self) -> &Ctx {
        &self.ctx
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of the loopback interface, for the embedded runner: it works whatever stands before the server.
    pub fn local_url(&self) -> Result<Url, StartError> {
        local_url(self.address)
    }

    /// Answers until `shutdown` is canceled; then hands out no more jobs, ends the requests under way and returns.
    pub async fn run(self, shutdown: CancellationToken) -> std::io::Result<()> {
        let replicas = Replicas::start(&self.ctx).await.map_err(std::io::Error::other)?;
        let tasks = background::start(&self.ctx, &shutdown);
        let ctx = self.ctx.clone();
        let drain = async move {
            shutdown.cancelled().await;
            ctx.drain();
        };
        let router = router::router(self.ctx.clone());
        // Small answers must not wait for the client's acknowledgement of the ones before.
        let listener = self.listener.tap_io(|stream| {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "a connection stays with Nagle's algorithm");
            }
        });
        axum::serve(listener, router).with_graceful_shutdown(drain).await?;
        tasks.wait().await;
        replicas.stop().await;
        Ok(())
    }
}

fn local_url(address: SocketAddr) -> Result<Url, StartError> {
    let host = match address.ip() {
        ip if ip.is_unspecified() && ip.is_ipv6() => "[::1]".to_owned(),
        ip if ip.is_unspecified() => "127.0.0.1".to_owned(),
        std::net::IpAddr::V6(ip) => format!("[{ip}]"),
        std::net::IpAddr::V4(ip) => ip.to_string(),
    };
    let text = format!("http://{host}:{}", address.port());
    text.parse().map_err(|_| StartError::ExternalUrl(text))
}

/// Writes the token to a file that only its owner reads.
fn keep_token(file: &Path, token: &Secret) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(file)?;
    writeln!(file, "{}", token.expose())?;
    file.sync_all()
}
