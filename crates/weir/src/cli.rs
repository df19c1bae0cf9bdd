//! The command line: types and texts only.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::Deserialize;
use url::Url;

/// GitLab CI/CD in one binary: server, runner and a demonstration of both.
#[derive(Debug, Parser)]
#[command(name = "weir", version, disable_help_subcommand = true)]
#[command(after_help = "\
Exit codes:
  0    all went well; a server that was asked to stop has drained
  1    it could not be done; standard error says why and what to do
  2    the command line is wrong
  130  stopped by a second Ctrl-C (143: a second SIGTERM) before all was drained

Start with `weir demo`.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) log: LogArgs,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a server: Git over HTTP, GitLab's REST API, the runner protocol, and a runner of its own
    Serve(Box<ServeArgs>),
    /// Run jobs for a server, for Weir or any GitLab
    Runner(RunnerArgs),
    /// Push a sample project to a fresh server and watch its pipeline
    Demo(DemoArgs),
}

/// What is logged, and how.
#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    /// What is logged, on standard error: a level, or levels by module (`info,weir_server=debug`)
    #[arg(long, global = true, value_name = "LEVELS", env = "WEIR_LOG", help_heading = "Log")]
    pub(crate) log: Option<String>,
    /// How a line of the log looks
    #[arg(long, global = true, value_name = "FORMAT", env = "WEIR_LOG_FORMAT", help_heading = "Log")]
    pub(crate) log_format: Option<LogFormat>,
}

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people
    #[default]
    Text,
    /// One JSON object
    Json,
}

/// Run a server: Git over HTTP, GitLab's REST API, the runner protocol, and a runner of its own.
///
/// A setting comes from its flag, else from its environment variable, else from the TOML file, else it has the
/// default. Each key of the file is named as its flag, with underscores: `external_url = "https://ci.example"`.
///
/// The first start prints the token of the user `root` and keeps it in the file `root-token` of the data folder.
///
/// SIGTERM or Ctrl-C drains: no job is begun, running ones get 30 seconds to end, requests are answered, and the
/// server exits with 0. A second signal ends it at once.
#[derive(Debug, Default, Args)]
#[command(after_long_help = "\
Further settings, which are no flags because other users of the machine see the arguments of a process:
  WEIR_ROOT_TOKEN, root_token    the token of `root`, instead of a random one")]
pub(crate) struct ServeArgs {
    /// The folder that holds everything: database, repositories, objects, keys [default: weir-data]
    #[arg(long, value_name = "DIR", env = "WEIR_DATA")]
    pub(crate) data: Option<PathBuf>,
    /// Address and port to listen on; port 0 takes a free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR", env = "WEIR_LISTEN", value_parser = parse_address)]
    pub(crate) listen: Option<SocketAddr>,
    /// The URL under which people and jobs reach the server [default: the address it listens on]
    #[arg(long, value_name = "URL", env = "WEIR_EXTERNAL_URL", value_parser = parse_url)]
    pub(crate) external_url: Option<Url>,
    /// `sqlite:PATH` or `postgres://USER:PASSWORD@HOST/NAME` [default: weir.db in the data folder]
    #[arg(long, value_name = "URL", env = "WEIR_DATABASE", hide_env_values = true)]
    pub(crate) database: Option<String>,
    /// Where artifacts and traces lie: a folder or `s3://BUCKET/PREFIX?region=…&endpoint=…`
    /// [default: objects in the data folder]
    #[arg(long, value_name = "PLACE", env = "WEIR_OBJECTS", hide_env_values = true)]
    pub(crate) objects: Option<String>,
    /// Let included files and hooks reach this machine and local networks
    #[arg(long, env = "WEIR_ALLOW_LOCAL_REQUESTS", value_parser = BoolishValueParser::new())]
    pub(crate) allow_local_requests: bool,
    /// Run jobs in this process, too, in a shell, as the user that it runs as (the default)
    #[arg(long, value_name = "BOOL", env = "WEIR_RUNNER", overrides_with = "no_runner")]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(value_parser = BoolishValueParser::new())]
    pub(crate) runner: Option<bool>,
    /// Leave jobs to other runners
    #[arg(long, overrides_with = "runner")]
    pub(crate) no_runner: bool,
    /// How many jobs the runner of this process runs at a time [default: the processors, at least 2]
    #[arg(long, value_name = "N", env = "WEIR_CONCURRENT", value_parser = parse_count)]
    pub(crate) concurrent: Option<usize>,
    /// A TOML file with settings [default: weir.toml in the data folder, if there is one]
    #[arg(long, value_name = "FILE", env = "WEIR_CONFIG")]
    pub(crate) config: Option<PathBuf>,
}

/// Run jobs for a server, for Weir or any GitLab.
///
/// Jobs run in a shell on this machine, as the user that runs this. The token is that of a runner made in the
/// server's settings or by `POST /user/runners`; better in the environment than among the arguments, which other
/// users of the machine see.
#[derive(Debug, Args)]
pub(crate) struct RunnerArgs {
    /// The server, `https://gitlab.example.com`
    #[arg(long, value_name = "URL", env = "CI_SERVER_URL", value_parser = parse_url)]
    pub(crate) url: Url,
    /// The runner's token, `glrt-…`
    #[arg(long, value_name = "TOKEN", env = "CI_SERVER_TOKEN", hide_env_values = true)]
    pub(crate) token: String,
    /// The folder of checked out projects and caches
    #[arg(long, value_name = "DIR", env = "WEIR_RUNNER_DATA", default_value = "weir-runner")]
    pub(crate) data: PathBuf,
    /// How many jobs run at a time
    #[arg(long, value_name = "N", env = "WEIR_CONCURRENT", default_value = "1", value_parser = parse_count)]
    pub(crate) concurrent: usize,
    /// What the runner calls itself in traces
    #[arg(long, env = "RUNNER_NAME", default_value = "weir")]
    pub(crate) name: String,
}

/// Push a sample project to a fresh server and watch its pipeline.
///
/// The server lives in a temporary folder and goes with it. While a terminal is there, the pipeline is drawn live;
/// otherwise (in a pipe, in CI, without colour) each change of a job is a line. Afterwards the server stays up until Ctrl-C, so
/// that you can look around with the URL and the token that are shown.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// End with the pipeline: exit code 0 if it succeeded, otherwise 1
    #[arg(long)]
    pub(crate) exit: bool,
    /// Leave the folder there; `weir serve --data` continues with it
    #[arg(long)]
    pub(crate) keep: bool,
    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0", value_parser = parse_address)]
    pub(crate) listen: SocketAddr,
}

/// Reads an address and port.
pub(crate) fn parse_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "write an IP address and a port, as in 127.0.0.1:8080 or [::]:8080".to_owned())
}

/// Reads the URL of a server.
pub(crate) fn parse_url(text: &str) -> Result<Url, String> {
    let advice = "write a whole URL, as in https://ci.example or http://192.0.2.7:8080";
    let url: Url = text.parse().map_err(|error| format!("{error}; {advice}"))?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        _ => Err(advice.to_owned()),
    }
}

/// Reads a number of jobs.
pub(crate) fn parse_count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count) if count > 0 => Ok(count),
        _ => Err("write a whole number from 1".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn runner(arguments: &[&str]) -> Option<bool> {
        let all = ["weir", "serve"].iter().chain(arguments);
        match Cli::try_parse_from(all).unwrap().command {
            Command::Serve(serve) if serve.no_runner => Some(false),
            Command::Serve(serve) => serve.runner,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_last_word_about_the_runner_counts() {
        assert_eq!(runner(&[]), None);
        assert_eq!(runner(&["--runner"]), Some(true));
        assert_eq!(runner(&["--runner=no"]), Some(false));
        assert_eq!(runner(&["--no-runner"]), Some(false));
        assert_eq!(runner(&["--runner", "--no-runner"]), Some(false));
        assert_eq!(runner(&["--no-runner", "--runner"]), Some(true));
    }

    #[test]
    fn wrong_values_are_refused_with_an_example() {
        assert!(parse_address("localhost").unwrap_err().contains("127.0.0.1:8080"));
        for url in ["ci.example", "ftp://ci.example", "https://"] {
            assert!(parse_url(url).unwrap_err().contains("https://ci.example"), "{url}");
        }
        for count in ["0", "-1", "many"] {
            assert!(parse_count(count).is_err(), "{count}");
        }
    }
}
