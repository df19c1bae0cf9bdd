//! What a server is started with.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

/// Settings of one server process. The binary fills them from flags, environment and a TOML file.
#[derive(Debug, Clone)]
pub struct Config {
    /// Folder of repositories, and of database and objects where these are local.
    pub data: PathBuf,
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The URL under which clients reach the server; none means the address it listens on.
    pub external_url: Option<Url>,
    /// `sqlite:PATH` or `postgres://…`; none means `weir.db` in `data`.
    pub database: Option<String>,
    /// `s3://…` or a folder; none means `objects` in `data`.
    pub objects: Option<String>,
    /// The token of `root`, instead of a random one at first start.
    pub root_token: Option<String>,
    /// How long `POST /jobs/request` waits for a job before it answers that there is none.
    pub long_poll: Duration,
    /// The largest artifact, in bytes.
    pub max_artifact_size: u64,
    /// The largest trace, in bytes.
    pub max_trace_size: u64,
    /// Whether included files and hooks may be on this machine and in local networks.
    pub allow_local_requests: bool,
}

impl Config {
    /// The defaults, with everything in one folder and a free port on loopback.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Self {
            data: data.into(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            external_url: None,
            database: None,
            objects: None,
            root_token: None,
            long_poll: Duration::from_secs(50),
            max_artifact_size: 5 << 30,
            max_trace_size: 100 << 20,
            allow_local_requests: false,
        }
    }
}
