//! The log: lines on standard error.

use std::io::IsTerminal as _;

use anyhow::{Context as _, Result};
use tracing_subscriber::EnvFilter;

use crate::cli::LogFormat;
use crate::settings::Log;

/// Begins to log.
pub(crate) fn start(log: &Log) -> Result<()> {
    let filter: EnvFilter = log.levels.parse().with_context(|| {
        format!(
            "cannot read the log levels `{}`: write a level, as in `debug`, or `info,weir_server=debug`",
            log.levels
        )
    })?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match log.format {
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).init(),
        LogFormat::Text => {
            let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            lines.compact().with_target(false).with_ansi(colours).init();
        }
    }
    Ok(())
}
