//! Where the settings of `weir serve` come from: a flag, else the environment, else the file, else the default.
//!
//! Flags and environment are merged by clap already.

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use url::Url;

use crate::cli::{LogArgs, LogFormat, ServeArgs, parse_address, parse_url};
use crate::instance::RunnerSettings;

/// The file in the data folder.
const FILE: &str = "weir.toml";
/// How many jobs run at a time at least: most wait for a network or a disk now and then.
const MIN_CONCURRENT: usize = 2;
/// How long jobs may go on when the server is asked to stop.
const JOB_GRACE: Duration = Duration::from_secs(30);

/// Settings of `weir serve`, all decided.
#[derive(Debug)]
pub(crate) struct Settings {
    /// What the server is started with.
    pub(crate) server: weir_server::Config,
    /// Its own runner, if it has one.
    pub(crate) runner: Option<RunnerSettings>,
    /// What is logged.
    pub(crate) log: Log,
}

/// What is logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Log {
    /// Levels, as tracing's filters are written.
    pub(crate) levels: String,
    /// How a line looks.
    pub(crate) format: LogFormat,
}

impl Log {
    /// What the command line says, else `levels`.
    pub(crate) fn of(arguments: &LogArgs, levels: &str) -> Self {
        Self {
            levels: arguments.log.clone().unwrap_or_else(|| levels.to_owned()),
            format: arguments.log_format.unwrap_or_default(),
        }
    }
}

/// The settings file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    data: Option<PathBuf>,
    #[serde(default, deserialize_with = "address")]
    listen: Option<SocketAddr>,
    #[serde(default, deserialize_with = "url")]
    external_url: Option<Url>,
    database: Option<String>,
    objects: Option<String>,
    root_token: Option<String>,
    allow_local_requests: Option<bool>,
    runner: Option<bool>,
    #[serde(default, deserialize_with = "count")]
    concurrent: Option<usize>,
    log: Option<String>,
    log_format: Option<LogFormat>,
}

impl Settings {
    /// Merges what the command line and the environment say with the file that they name, or that lies in the data
    /// folder. `root_token` is `WEIR_ROOT_TOKEN`.
    pub(crate) fn of(arguments: ServeArgs, log: LogArgs, root_token: Option<String>) -> Result<Self> {
        let (file, data) = match &arguments.config {
            Some(path) => {
                let file = read(path)?;
                let data = arguments.data.or_else(|| file.data.clone());
                (file, data.unwrap_or_else(default_data))
            }
            None => {
                let data = arguments.data.unwrap_or_else(default_data);
                let path = data.join(FILE);
                let file = if path.exists() { read(&path)? } else { File::default() };
                if file.data.is_some() {
                    bail!("{}: `data` has no effect in the data folder itself: remove it", path.display());
                }
                (file, data)
            }
        };
        let data = std::path::absolute(&data)
            .with_context(|| format!("the data folder `{}` has no absolute path", data.display()))?;
        let mut server = weir_server::Config::new(data);
        server.listen = arguments.listen.or(file.listen).unwrap_or(([127, 0, 0, 1], 8080).into());
        server.external_url = arguments.external_url.or(file.external_url);
        server.database = arguments.database.or(file.database);
        server.objects = arguments.objects.or(file.objects);
        server.root_token = root_token.or(file.root_token);
        server.allow_local_requests =
            arguments.allow_local_requests || file.allow_local_requests.unwrap_or(false);
        if server.root_token.as_deref().is_some_and(|token| token.len() < 8) {
            bail!("the root token is too short: take 8 characters at least");
        }
        let runner = !arguments.no_runner && arguments.runner.or(file.runner).unwrap_or(true);
        let concurrent = arguments.concurrent.or(file.concurrent);
        Ok(Self {
            server,
            runner: runner.then(|| RunnerSettings {
                concurrent: concurrent.unwrap_or_else(default_concurrent),
                grace: JOB_GRACE,
            }),
            log: Log {
                levels: log.log.or(file.log).unwrap_or_else(|| "info".to_owned()),
                format: log.log_format.or(file.log_format).unwrap_or_default(),
            },
        })
    }
}

fn default_data() -> PathBuf {
    PathBuf::from("weir-data")
}

fn default_concurrent() -> usize {
    std::thread::available_parallelism().map_or(MIN_CONCURRENT, |count| count.get().max(MIN_CONCURRENT))
}

fn read(path: &Path) -> Result<File> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the settings file {}", path.display()))?;
    parse(&text, path.display())
}

/// Reads the file's text. Complaints are one line that begins with the place.
fn parse(text: &str, place: impl Display) -> Result<File> {
    toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        anyhow!("{place}:{line}: {}", error.message().replace('\n', " "))
    })
}

fn address<'de, D: Deserializer<'de>>(input: D) -> Result<Option<SocketAddr>, D::Error> {
    parse_address(&String::deserialize(input)?).map(Some).map_err(D::Error::custom)
}

fn url<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Url>, D::Error> {
    parse_url(&String::deserialize(input)?).map(Some).map_err(D::Error::custom)
}

fn count<'de, D: Deserializer<'de>>(input: D) -> Result<Option<usize>, D::Error> {
    match usize::deserialize(input)? {
        0 => Err(D::Error::custom("write a whole number from 1")),
        count => Ok(Some(count)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn no_log() -> LogArgs {
        LogArgs { log: None, log_format: None }
    }

    /// A data folder with this settings file.
    fn folder(text: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), text).unwrap();
        folder
    }

    fn arguments(folder: &tempfile::TempDir) -> ServeArgs {
        ServeArgs { data: Some(folder.path().to_owned()), ..ServeArgs::default() }
    }

    #[test]
    fn without_a_word_everything_is_local() {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings::of(arguments(&folder), no_log(), None).unwrap();
        assert_eq!(settings.server.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(settings.server.data, folder.path());
        assert_eq!((settings.server.database, settings.server.objects), (None, None));
        assert!(settings.runner.is_some_and(|runner| runner.concurrent >= MIN_CONCURRENT));
        assert_eq!(settings.log, Log { levels: "info".to_owned(), format: LogFormat::Text });
    }

    #[test]
    fn the_file_speaks_where_flags_are_silent() {
        let folder = folder(
            "listen = '0.0.0.0:81'\nexternal_url = 'https://ci.example'\ndatabase = 'sqlite:/x'\nrunner = false\n\
             objects = '/objects'\nroot_token = 'from-the-file'\nlog = 'debug'\nlog_format = 'json'\nconcurrent = 9\n\
             allow_local_requests = true\n",
        );
        let settings = Settings::of(arguments(&folder), no_log(), None).unwrap();
        assert_eq!(settings.server.listen.port(), 81);
        assert_eq!(settings.server.external_url.unwrap().as_str(), "https://ci.example/");
        assert_eq!(settings.server.database.as_deref(), Some("sqlite:/x"));
        assert_eq!(settings.server.objects.as_deref(), Some("/objects"));
        assert_eq!(settings.server.root_token.as_deref(), Some("from-the-file"));
        assert!(settings.server.allow_local_requests);
        assert_eq!(settings.runner, None);
        assert_eq!(settings.log, Log { levels: "debug".to_owned(), format: LogFormat::Json });

        let flags = ServeArgs {
            listen: Some(([127, 0, 0, 1], 82).into()),
            database: Some("sqlite:/y".to_owned()),
            runner: Some(true),
            ..arguments(&folder)
        };
        let log = LogArgs { log: Some("warn".to_owned()), log_format: None };
        let settings = Settings::of(flags, log, Some("from-the-environment".to_owned())).unwrap();
        assert_eq!(settings.server.listen.port(), 82);
        assert_eq!(settings.server.database.as_deref(), Some("sqlite:/y"));
        assert_eq!(settings.server.root_token.as_deref(), Some("from-the-environment"));
        assert_eq!(settings.runner.map(|runner| runner.concurrent), Some(9));
        assert_eq!(settings.log, Log { levels: "warn".to_owned(), format: LogFormat::Json });
    }

    #[test]
    fn a_named_file_may_say_where_the_data_is() {
        let folder = folder("data = '/srv/weir'");
        let config = Some(folder.path().join(FILE));
        let named = ServeArgs { config, ..ServeArgs::default() };
        let settings = Settings::of(named, no_log(), None).unwrap();
        assert_eq!(settings.server.data, Path::new("/srv/weir"));
        let complaint = Settings::of(arguments(&folder), no_log(), None).unwrap_err();
        assert!(complaint.to_string().contains("`data` has no effect"), "{complaint}");
    }

    #[test]
    fn complaints_about_the_file_name_the_key_and_the_line() {
        for (text, complaint) in [
            (
                "listen = '[::]:80'\n\nlisen = 'x'\n",
                "weir.toml:3: unknown field `lisen`, expected one of `data`, `listen`, `external_url`, `database`, \
                 `objects`, `root_token`, `allow_local_requests`, `runner`, `concurrent`, `log`, `log_format`",
            ),
            ("\nrunner = 'yes'", "weir.toml:2: invalid type: string \"yes\", expected a boolean"),
            (
                "listen = 'here'",
                "weir.toml:1: write an IP address and a port, as in 127.0.0.1:8080 or [::]:8080",
            ),
            ("concurrent = 0", "weir.toml:1: write a whole number from 1"),
        ] {
            assert_eq!(parse(text, FILE).unwrap_err().to_string(), complaint);
        }
        assert!(parse("a = = b", FILE).unwrap_err().to_string().starts_with("weir.toml:1: "));
    }

    #[test]
    fn a_named_file_must_be_there_and_a_root_token_must_not_be_short() {
        let config = Some(PathBuf::from("/nowhere/weir.toml"));
        let complaint =
            Settings::of(ServeArgs { config, ..ServeArgs::default() }, no_log(), None).unwrap_err();
        assert!(complaint.to_string().contains("cannot read the settings file /nowhere/weir.toml"));
        let folder = tempfile::tempdir().unwrap();
        assert!(Settings::of(arguments(&folder), no_log(), Some("short".to_owned())).is_err());
    }
}
