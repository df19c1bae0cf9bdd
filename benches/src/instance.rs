//! `weir serve` as a process.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use weir_client::Client;

/// The token of `root` in measurements.
pub(crate) const TOKEN: &str = "glpat-measurement";

/// A server process; it ends with this value.
pub(crate) struct Instance {
    process: Child,
    /// Where it listens: host and port.
    pub(crate) address: String,
}

impl Instance {
    /// Starts a server that is not waited for, at a port that was free just now.
    pub(crate) fn spawn(binary: &Path, data: &Path, database: Option<&str>) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let address = format!("127.0.0.1:{port}");
        let mut command = Command::new(binary);
        command.arg("serve").arg("--data").arg(data).args(["--listen", &address]);
        command.env("WEIR_ROOT_TOKEN", TOKEN).env("WEIR_LOG", "warn");
        if let Some(database) = database {
            command.env("WEIR_DATABASE", OsStr::new(database));
        }
        let log = File::create(data.with_extension("log"))?;
        let process = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .with_context(|| format!("{} does not start", binary.display()))?;
        Ok(Self { process, address })
    }

    /// Starts a server and waits until it says that it listens.
    pub(crate) fn start(binary: &Path, data: &Path, database: Option<&str>) -> Result<Self> {
        let mut instance = Self::spawn(binary, data, database)?;
        let output = instance.process.stdout.take().context("the server has no output")?;
        let listens =
            |line: &std::io::Result<String>| line.as_ref().is_ok_and(|line| line.contains("listens on"));
        if !BufReader::new(output).lines().any(|line| listens(&line)) {
            bail!("the server ended: {}", std::fs::read_to_string(data.with_extension("log"))?);
        }
        Ok(instance)
    }

    /// The number of the process.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Its URL, as clients need it.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A client with the rights of `root`.
    pub(crate) fn client(&self) -> Result<Client> {
        Ok(Client::builder(self.url()).private_token(TOKEN).build()?)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // A process that is gone already is all right.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
