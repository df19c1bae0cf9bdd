//! An executor that runs nothing: for simulations, and to measure all but the scripts.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::{Executor, Place, Script};
use crate::error::JobError;
use crate::trace::Trace;

/// How dummy jobs go.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// How long each script takes.
    pub duration: Duration,
}

/// Shows the commands of scripts instead of running them. The command `exit N` ends the script with the exit code `N`.
#[derive(Debug)]
pub struct Dummy {
    config: Config,
}

impl Dummy {
    pub(super) const fn new(config: Config) -> Self {
        Self { config }
    }
}

impl Executor for Dummy {
    fn prepare<'a>(&'a mut self, _: Place<'a>, trace: &'a Trace) -> BoxFuture<'a, Result<(), JobError>> {
        trace.line("Using Dummy executor...");
        async { Ok(()) }.boxed()
    }

    fn run<'a>(
        &'a mut self,
        script: Script<'a>,
        trace: &'a Trace,
        stop: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<(), JobError>> {
        async move {
            for command in script.commands {
                trace.notice(format_args!("$ {command}"));
                let code = command.strip_prefix("exit ").and_then(|code| code.trim().parse::<i32>().ok());
                match code {
                    Some(0) => break,
                    Some(code) => return Err(JobError::Script(code)),
                    None => {}
                }
            }
            tokio::select! {
                () = tokio::time::sleep(self.config.duration) => Ok(()),
                () = stop.cancelled() => Err(JobError::Stopped),
            }
        }
        .boxed()
    }

    fn cleanup(&mut self) -> BoxFuture<'_, ()> {
        async {}.boxed()
    }
}
