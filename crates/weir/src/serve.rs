//! `weir serve`.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;

use crate::cli::{LogArgs, ServeArgs};
use crate::instance::Instance;
use crate::logging;
use crate::settings::Settings;
use crate::signals::Signals;

/// Serves until a signal, then drains.
pub(crate) async fn run(arguments: ServeArgs, log: LogArgs) -> Result<ExitCode> {
    let root_token = std::env::var("WEIR_ROOT_TOKEN").ok().filter(|token| !token.is_empty());
    let settings = Settings::of(arguments, log, root_token)?;
    logging::start(&settings.log)?;
    // Before anything else, so that a signal during the start is not lost.
    let mut signals = Signals::listen()?;
    let told = settings.server.root_token.is_some();
    let data = settings.server.data.clone();
    let external_url = settings.server.external_url.clone();
    let concurrent = settings.runner.map_or(0, |runner| runner.concurrent);
    let mut instance = Instance::start(settings.server, settings.runner).await?;

    let url = external_url.unwrap_or_else(|| instance.local_url.clone());
    let mut out = std::io::stdout().lock();
    if let Some(token) = instance.root_token.take().filter(|_| !told) {
        let file = data.join("root-token");
        writeln!(out, "The token of root is {}", token.expose())?;
        writeln!(out, "It is shown this once and kept in {}", file.display())?;
    }
    writeln!(out, "Weir listens on {} as {url}", instance.address)?;
    drop(out);
    tracing::info!(address = %instance.address, %url, data = %data.display(), concurrent, "started");

    tokio::select! {
        _ = signals.next() => {}
        error = instance.ended() => return Err(error),
    }
    tracing::info!("draining; a second signal ends at once");
    tokio::select! {
        stopped = instance.stop() => stopped?,
        signal = signals.next() => {
            tracing::warn!("ended before all was drained");
            return Ok(ExitCode::from(signal.exit_code()));
        }
    }
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}
