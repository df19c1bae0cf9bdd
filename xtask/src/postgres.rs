//! A PostgreSQL server of the tests' own, in a temporary folder.

use std::net::TcpListener;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::step::{Step, command};

/// A running server; dropping it stops it and removes its files.
pub(crate) struct Postgres {
    folder: PathBuf,
    bin: PathBuf,
    as_root: bool,
    port: u16,
}

impl Postgres {
    /// Creates and starts a server that forgets: it never syncs, which tests of behaviour do not need.
    pub(crate) fn start() -> Result<Self> {
        let bin = newest_installation()?;
        let as_root = command("id", &["-u"]).output()? == "0";
        let folder = std::env::temp_dir().join(format!("weir-postgres-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        if as_root {
            command("chown", &["postgres", &folder.to_string_lossy()]).run()?;
        }
        // The port is free now; nobody else on a test machine races for it.
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let server = Self { folder, bin, as_root, port };
        let data = server.data();
        server
            .tool(
                "initdb",
                &["-D", &data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-locale", "-N"],
            )
            .output()
            .context("initdb failed")?;
        let options = format!(
            "-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={} -c fsync=off \
             -c synchronous_commit=off -c full_page_writes=off -c max_connections=200",
            server.folder.display()
        );
        let log = server.folder.join("log").to_string_lossy().into_owned();
        if !server.tool("pg_ctl", &["-D", &data, "-w", "-l", &log, "-o", &options, "start"]).succeeds() {
            let log = std::fs::read_to_string(&log).unwrap_or_default();
            anyhow::bail!("PostgreSQL did not start: {log}");
        }
        Ok(server)
    }

    /// Where clients find it.
    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    fn data(&self) -> String {
        self.folder.join("data").to_string_lossy().into_owned()
    }

    /// One of PostgreSQL's own programs, which refuse to run as root.
    fn tool(&self, name: &str, arguments: &[&str]) -> Step {
        let program = self.bin.join(name).to_string_lossy().into_owned();
        if self.as_root {
            let prefix = ["--reuid", "postgres", "--regid", "postgres", "--clear-groups", program.as_str()];
            command("setpriv", &[prefix.as_slice(), arguments].concat())
        } else {
            command(program, arguments)
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let data = self.data();
        self.tool("pg_ctl", &["-D", &data, "-m", "immediate", "stop"]).succeeds();
        // A folder left behind in the temporary directory harms nobody.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn newest_installation() -> Result<PathBuf> {
    let versions = Path::new("/usr/lib/postgresql");
    let mut found: Vec<(u32, PathBuf)> = std::fs::read_dir(versions)
        .context("PostgreSQL is not installed; `cargo xtask setup` does it")?
        .filter_map(|entry| {
            let entry = entry.ok()?;
            Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin")))
        })
        .collect();
    found.sort();
    found.pop().map(|(_, bin)| bin).context("PostgreSQL is not installed; `cargo xtask setup` does it")
}
