//! What every part of the server shares.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use url::Url;
use weir_api::Timestamp;
use weir_git::Repositories;
use weir_store::pipelines::PipelineCache;
use weir_store::{Db, Keyring, Objects};

use crate::app::commits::CommitCache;
use crate::bus::{Bus, Wake};
use crate::clock::Clock;
use crate::config::Config;
use crate::egress;
use crate::metrics::Metrics;

/// The server's parts; clones share them.
#[derive(Clone)]
pub struct Ctx(Arc<Parts>);

/// The parts themselves.
pub struct Parts {
    /// Settings.
    pub config: Config,
    /// The URL under which clients reach the server, without a trailing slash.
    pub external_url: Url,
    /// Rows.
    pub db: Db,
    /// Pipelines kept between two events.
    pub pipelines: PipelineCache,
    /// Commits read lately.
    pub commits: CommitCache,
    /// Archived traces and artifacts.
    pub objects: Objects,
    /// Git.
    pub repositories: Repositories,
    /// Calls of other servers.
    pub egress: egress::Client,
    /// Keys of values that are sealed at rest.
    pub keys: Keyring,
    /// Wake-ups.
    pub bus: Bus,
    /// The time.
    pub clock: Clock,
    /// Counters.
    pub metrics: Metrics,
    /// Set once the server drains: no new jobs are handed out.
    pub(crate) draining: AtomicBool,
}

impl Ctx {
    /// Shares the parts.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A URL of this server, from a path that begins with a slash and is encoded already.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.external_url.as_str().trim_end_matches('/'))
    }

    /// Hands out no more jobs from now on, and says so to whoever waits for one.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
        self.bus.wake(Wake::Queue);
    }

    /// Whether the server is on its way out.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}

impl std::ops::Deref for Ctx {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl std::fmt::Debug for Ctx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ctx").field("external_url", &self.external_url.as_str()).finish_non_exhaustive()
    }
}
