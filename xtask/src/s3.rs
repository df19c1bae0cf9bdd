//! An S3 server of the tests' own: moto, in memory.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// The bucket that the tests use.
const BUCKET: &str = "weir-test";
/// How long the server may take to listen.
const START: Duration = Duration::from_secs(30);

/// A running server; dropping it stops it.
pub(crate) struct S3 {
    process: Child,
    port: u16,
}

impl S3 {
    /// Starts the server of the Python environment at `bin` and makes the bucket.
    pub(crate) fn start(bin: &Path) -> Result<Self> {
        // The port is free now; nobody else on a test machine races for it.
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let process = Command::new(bin.join("moto_server"))
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("moto_server could not be started")?;
        let server = Self { process, port };
        let begin = Instant::now();
        loop {
            match server.make_bucket() {
                Ok(()) => return Ok(server),
                Err(error) if begin.elapsed() > START => {
                    return Err(error.context("the S3 server did not come up"));
                }
                Err(_) => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    }

    /// Where clients find it.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn make_bucket(&self) -> Result<()> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(START))?;
        write!(
            stream,
            "PUT /{BUCKET} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            self.port
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        if !answer.starts_with("HTTP/1.1 200") {
            bail!("the bucket was not made: {}", answer.lines().next().unwrap_or_default());
        }
        Ok(())
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to stop.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
