//! A server and its own runner in this process.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use url::Url;
use weir_api::Secret;
use weir_runner::Runner;
use weir_server::ctx::Ctx;
use weir_server::{Server, StartError};

/// How long requests may still go on when the server stops; a client that reads slowly must not keep it up.
const REQUEST_GRACE: Duration = Duration::from_secs(30);

/// How long a job that was just handed out takes to the runner beside the server.
const HANDOVER: Duration = Duration::from_millis(200);

/// How soon the runner beside the server hears that a silent job was canceled. It asks over loopback, so often is
/// cheap; the interval is gitlab-runner's for traces.
const KEEP_ALIVE: Duration = Duration::from_secs(3);

/// How the runner beside a server is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RunnerSettings {
    /// How many jobs run at a time.
    pub(crate) concurrent: usize,
    /// How long they may go on when the process is asked to stop.
    pub(crate) grace: Duration,
}

/// A server and its own runner in this process.
#[derive(Debug)]
pub(crate) struct Instance {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Its URL on this machine.
    pub(crate) local_url: Url,
    /// The token of `root`, if this start made one.
    pub(crate) root_token: Option<Secret>,
    ctx: Ctx,
    server: JoinHandle<std::io::Result<()>>,
    stop_server: CancellationToken,
    runner: Option<JoinHandle<()>>,
    stop_runner: CancellationToken,
}

impl Instance {
    /// Starts a server and, if wanted, a runner.
    pub(crate) async fn start(config: weir_server::Config, runner: Option<RunnerSettings>) -> Result<Self> {
        let data = config.data.clone();
        let mut server = Server::start(config).await.map_err(|error| advise(&error))?;
        let (address, local_url) = (server.address(), server.local_url()?);
        let root_token = server.root_token.take();
        let (stop_server, stop_runner) = (CancellationToken::new(), CancellationToken::new());
        let ctx = server.ctx().clone();
        let server = tokio::spawn(server.run(stop_server.clone()));
        // After the server, which answers while the runner reads the system's certificates.
        let runner = match runner {
            Some(settings) => {
                let token = weir_server::app::runners::embed(&ctx).await?;
                Some(Runner::new(runner_config(&data, &local_url, token, settings)?)?)
            }
            None => None,
        };
        let stop = stop_runner.clone();
        let runner = runner.map(|runner| tokio::spawn(async move { runner.run(stop).await }));
        Ok(Self { address, local_url, root_token, ctx, server, stop_server, runner, stop_runner })
    }

    /// Returns only if the server ends by itself, which it should not.
    pub(crate) async fn ended(&mut self) -> anyhow::Error {
        match (&mut self.server).await {
            Ok(Ok(())) => anyhow!("the server ended by itself"),
            Ok(Err(error)) => anyhow!("the server cannot go on: {error}"),
            Err(error) => anyhow!("the server broke down: {error}"),
        }
    }

    /// Drains: the server hands out no more jobs, the runner reports the ends of those that it has, the server ends.
    pub(crate) async fn stop(self) -> Result<()> {
        self.ctx.drain();
        if let Some(runner) = self.runner {
            // A job that is on its way arrives, rather than to be lost with its request.
            tokio::time::sleep(HANDOVER).await;
            self.stop_runner.cancel();
            runner.await.context("the runner broke down")?;
        }
        self.stop_server.cancel();
        match tokio::time::timeout(REQUEST_GRACE, self.server).await {
            Ok(ended) => Ok(ended.context("the server broke down")??),
            Err(_) => {
                tracing::warn!("requests that did not end were cut off");
                Ok(())
            }
        }
    }
}

/// The runner beside the server. Its jobs have a home of their own, so that none reads or changes that of the user
/// whose process this is.
fn runner_config(
    data: &Path,
    url: &Url,
    token: Secret,
    settings: RunnerSettings,
) -> Result<weir_runner::Config> {
    let home = data.join("home");
    std::fs::create_dir_all(&home).with_context(|| format!("cannot make the folder {}", home.display()))?;
    let mut config = weir_runner::Config::new(url.as_str(), token, data);
    // The server is in the same process: live output and a quick end of canceled jobs cost next to nothing.
    config.trace_interval = Some(Duration::from_millis(100));
    config.keep_alive = Duration::from_secs(1);
    config.unhealthy_interval = Duration::from_secs(5);
    config.system_id = system_id(data, config.system_id)?;
    config.concurrent = settings.concurrent;
    config.shutdown_timeout = settings.grace;
    config.keep_alive = KEEP_ALIVE;
    config.environment.push(("HOME".to_owned(), home.display().to_string()));
    Ok(config)
}

/// The identity of the runner that works in `folder`; `new` if it has none yet.
pub(crate) fn system_id(folder: &Path, new: String) -> Result<String> {
    let file = folder.join("runner-system-id");
    if let Ok(known) = std::fs::read_to_string(&file) {
        return Ok(known.trim().to_owned());
    }
    std::fs::write(&file, &new).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(new)
}

/// Why a server did not start, and what to do.
fn advise(error: &StartError) -> anyhow::Error {
    use std::io::ErrorKind;
    let advice = match error {
        StartError::Listen { source, .. } => match source.kind() {
            ErrorKind::AddrInUse => "stop what listens there, or choose another port with --listen",
            ErrorKind::PermissionDenied => "choose a port from 1024 with --listen",
            _ => "choose an address of this machine with --listen",
        },
        StartError::Data { .. } => "choose a folder that you may write with --data",
        StartError::ExternalUrl(_) => "write --external-url as in https://ci.example",
        StartError::Store(_) => "look at --database and --objects",
        StartError::Keys(_) => "put back the file `keys` from a backup: without it, secrets cannot be read",
        StartError::Egress(_) | StartError::Bootstrap(_) => "the log says more with --log debug",
    };
    anyhow!("{error}; {advice}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runner_keeps_its_identity() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(system_id(folder.path(), "r_1".to_owned()).unwrap(), "r_1");
        assert_eq!(system_id(folder.path(), "r_2".to_owned()).unwrap(), "r_1");
    }
}
