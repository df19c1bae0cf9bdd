//! From the start of the process to its first answer.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::ROUNDS;
use crate::figures::Table;
use crate::instance::Instance;

const GOAL: Duration = Duration::from_millis(50);
/// Between two attempts to reach the server.
const LOOK_AGAIN: Duration = Duration::from_micros(500);
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn measure(table: &mut Table, binary: &Path) -> Result<()> {
    let (mut fresh, mut existing) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("data");
        std::fs::create_dir(&data)?;
        fresh.push(until_answered(binary, &data)?);
        existing.push(until_answered(binary, &data)?);
    }
    table.duration("start to first answer, fresh data folder", &fresh, Some(GOAL));
    table.duration("start to first answer, existing data folder", &existing, Some(GOAL));
    Ok(())
}

fn until_answered(binary: &Path, data: &Path) -> Result<Duration> {
    let begin = Instant::now();
    let instance = Instance::spawn(binary, data, None)?;
    while begin.elapsed() < PATIENCE {
        if is_answered(&instance.address) {
            return Ok(begin.elapsed());
        }
        std::thread::sleep(LOOK_AGAIN);
    }
    bail!("no answer within {PATIENCE:?}");
}

fn is_answered(address: &str) -> bool {
    let request = b"GET /api/v4/version HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n";
    let Ok(mut stream) = TcpStream::connect(address) else { return false };
    let mut answer = [0; 9];
    stream.write_all(request).is_ok()
        && stream.read_exact(&mut answer).is_ok()
        && answer.starts_with(b"HTTP/1.1 ")
}
