//! The `weir` binary.

mod cli;
mod demo;
mod instance;
mod logging;
mod runner;
mod serve;
mod settings;
mod signals;

use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    let result = runtime.block_on(async {
        match cli.command {
            Command::Serve(arguments) => serve::run(*arguments, cli.log).await,
            Command::Runner(arguments) => runner::run(arguments, &cli.log).await,
            Command::Demo(arguments) => demo::run(arguments, &cli.log).await,
        }
    });
    // Whatever still runs, a reader of standard input say, must not keep the process.
    runtime.shutdown_background();
    result.unwrap_or_else(|error| fail(&error))
}

/// Says what went wrong in one line.
fn fail(error: &anyhow::Error) -> ExitCode {
    anstream::eprintln!("{RED}error:{RED:#} {}", sentence(error));
    ExitCode::FAILURE
}

const RED: anstyle::Style = anstyle::AnsiColor::Red.on_default().bold();

/// An error with its causes, except those that the text names already.
fn sentence(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !text.contains(&cause) {
            text.push_str(if text.is_empty() { "" } else { ": " });
            text.push_str(&cause);
        }
    }
    text.replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use anyhow::{Context as _, anyhow};

    use super::*;

    #[test]
    fn an_error_is_one_line_that_says_each_cause_once() {
        let error =
            Err::<(), _>(anyhow!("denied\nby the\nsystem")).context("cannot write /x: denied").unwrap_err();
        assert_eq!(sentence(&error), "cannot write /x: denied: denied by the system");
        let error = Err::<(), _>(anyhow!("denied")).context("cannot write /x: denied").unwrap_err();
        assert_eq!(sentence(&error), "cannot write /x: denied");
    }
}
