//! `weir runner`.

use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow};
use tokio_util::sync::CancellationToken;
use weir_api::runner::VerifyRequest;
use weir_client::Client;
use weir_client::runner::RunnerApi;
use weir_runner::{Config, Runner};

use crate::cli::{LogArgs, RunnerArgs};
use crate::instance::system_id;
use crate::logging;
use crate::settings::Log;
use crate::signals::Signals;

/// Runs jobs until a signal; then running ones may end.
pub(crate) async fn run(arguments: RunnerArgs, log: &LogArgs) -> Result<ExitCode> {
    logging::start(&Log::of(log, "info"))?;
    let mut signals = Signals::listen()?;
    let home = std::path::absolute(&arguments.data)?;
    std::fs::create_dir_all(&home)
        .with_context(|| format!("cannot make the folder {}: choose another with --data", home.display()))?;
    let mut config = Config::new(arguments.url.as_str(), arguments.token, &home);
    config.system_id = system_id(&home, config.system_id)?;
    config.concurrent = arguments.concurrent;
    config.name = arguments.name;
    verify(&config).await?;

    let runner = Runner::new(config)?;
    tracing::info!(url = %arguments.url, concurrent = arguments.concurrent, "asks for jobs");
    let stop = CancellationToken::new();
    let mut running = std::pin::pin!(runner.run(stop.clone()));
    tokio::select! {
        () = &mut running => return Ok(ExitCode::SUCCESS),
        _ = signals.next() => stop.cancel(),
    }
    tracing::info!("running jobs may end; a second signal ends at once");
    tokio::select! {
        () = running => Ok(ExitCode::SUCCESS),
        signal = signals.next() => Ok(ExitCode::from(signal.exit_code())),
    }
}

/// A wrong token is better said at the start than found in the log.
async fn verify(config: &Config) -> Result<()> {
    let client = RunnerApi::new(Client::builder(&config.url).build()?);
    let request = VerifyRequest {
        token: config.token.clone(),
        system_id: Some(config.system_id.clone()),
        info: Some(config.info()),
    };
    match client.verify(&request).await {
        Ok(_) => Ok(()),
        Err(error) if error.status().is_some_and(|status| status == 403) => Err(anyhow!(
            "{} does not know the runner's token; make a runner there and pass its token",
            config.url
        )),
        Err(error) => Err(anyhow!("cannot reach {}: {error}", config.url)),
    }
}
