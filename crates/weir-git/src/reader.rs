//! Long-lived `git cat-file --batch-command` processes: an object in a tenth of a millisecond instead of a spawn.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::Error;
use crate::limits::{
    CHUNK_BYTES, MAX_IDLE_READERS, MAX_IDLE_READERS_PER_REPOSITORY, MAX_READERS, PROCESS_TIMEOUT, READER_IDLE,
};
use crate::names::ObjectId;
use crate::process::{Git, Process};

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ObjectKind {
    /// A commit.
    Commit,
    /// A directory.
    Tree,
    /// A file's content.
    Blob,
    /// An annotated tag.
    Tag,
}

/// An object's name, kind and size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Its name.
    pub id: ObjectId,
    /// What it is.
    pub kind: ObjectKind,
    /// Its size in bytes.
    pub size: u64,
}

/// The readers of all repositories.
#[derive(Debug)]
pub(crate) struct Pool {
    idle: Mutex<Idle>,
    running: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Idle {
    readers: HashMap<PathBuf, Vec<(Instant, Connection)>>,
    count: usize,
    reaper: bool,
}

impl Pool {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { idle: Mutex::default(), running: Arc::new(Semaphore::new(MAX_READERS)) })
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A reader of this repository, a waiting one if there is one.
    pub(crate) async fn reader(self: &Arc<Self>, directory: &Path) -> Result<Reader, Error> {
        let mut waiting = self.take(directory);
        if waiting.is_none() && self.running.available_permits() == 0 {
            self.idle().clear();
        }
        while let Some(mut connection) = waiting {
            if connection.is_alive() {
                return Ok(Reader {
                    connection: Some(connection),
                    pool: self.clone(),
                    directory: directory.into(),
                });
            }
            waiting = self.take(directory);
        }
        let permit = self.running.clone().acquire_owned().await;
        let permit = permit.map_err(|_| Error::Unexpected("the pool of readers is closed".to_owned()))?;
        let connection = Connection::start(directory, permit)?;
        Ok(Reader { connection: Some(connection), pool: self.clone(), directory: directory.into() })
    }

    fn take(&self, directory: &Path) -> Option<Connection> {
        let mut idle = self.idle();
        let connection = idle.readers.get_mut(directory)?.pop()?.1;
        idle.count -= 1;
        Some(connection)
    }

    fn give_back(self: &Arc<Self>, directory: &Path, connection: Connection) {
        let mut idle = self.idle();
        if idle.count >= MAX_IDLE_READERS {
            return;
        }
        let readers = idle.readers.entry(directory.to_owned()).or_default();
        if readers.len() >= MAX_IDLE_READERS_PER_REPOSITORY {
            return;
        }
        readers.push((Instant::now(), connection));
        idle.count += 1;
        if !idle.reaper {
            idle.reaper = true;
            tokio::spawn(reap(Arc::downgrade(self)));
        }
    }

    /// Ends the waiting readers of a repository, before it goes away.
    pub(crate) fn forget(&self, directory: &Path) {
        let mut idle = self.idle();
        if let Some(readers) = idle.readers.remove(directory) {
            idle.count -= readers.len();
        }
    }
}

impl Idle {
    fn clear(&mut self) {
        self.readers.clear();
        self.count = 0;
    }
}

/// Ends readers that had no work for a while; ends itself when none is left.
async fn reap(pool: Weak<Pool>) {
    loop {
        tokio::time::sleep(READER_IDLE / 2).await;
        let Some(pool) = pool.upgrade() else { return };
        let mut idle = pool.idle();
        idle.readers.retain(|_, readers| {
            readers.retain(|(since, _)| since.elapsed() < READER_IDLE);
            !readers.is_empty()
        });
        idle.count = idle.readers.values().map(Vec::len).sum();
        if idle.count == 0 {
            idle.reaper = false;
            return;
        }
    }
}

/// One process and its pipes, between two requests.
struct Connection {
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    process: Process,
    _permit: OwnedSemaphorePermit,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Connection").finish_non_exhaustive()
    }
}

impl Connection {
    fn start(directory: &Path, permit: OwnedSemaphorePermit) -> Result<Self, Error> {
        let mut process =
            Git::new(directory, "cat-file").args(["--batch-command", "--buffer", "-z"]).start()?;
        let (Some(stdin), Some(stdout)) = (process.child.stdin.take(), process.child.stdout.take()) else {
            return Err(Error::Unexpected("cat-file without pipes".to_owned()));
        };
        Ok(Self { stdin, stdout: BufReader::with_capacity(CHUNK_BYTES, stdout), process, _permit: permit })
    }

    fn is_alive(&mut self) -> bool {
        matches!(self.process.child.try_wait(), Ok(None))
    }

    /// One request, `info` or `contents`; the answer's header. The caller must read the content.
    async fn request(&mut self, command: &str, object: &str) -> Result<Option<ObjectInfo>, Error> {
        debug_assert!(!object.contains('\0'), "names cannot hold NUL");
        // One write, so that the process wakes up once.
        let request = format!("{command} {object}\0flush\0");
        self.stdin.write_all(request.as_bytes()).await?;
        self.header(object).await
    }

    async fn header(&mut self, object: &str) -> Result<Option<ObjectInfo>, Error> {
        let negative = [format!("{object} missing\n"), format!("{object} ambiguous\n")];
        let mut line = Vec::new();
        loop {
            if self.stdout.read_until(b'\n', &mut line).await? == 0 {
                return Err(Error::Unexpected("cat-file ended early".to_owned()));
            }
            if negative.iter().any(|answer| answer.as_bytes() == line) || line.ends_with(b" submodule\n") {
                return Ok(None);
            }
            // A negative answer repeats the request, in which a newline may stand.
            if !negative.iter().any(|answer| answer.as_bytes().starts_with(&line)) {
                return parse_header(&line).map(Some).ok_or_else(|| unexpected(&line));
            }
        }
    }
}

fn unexpected(line: &[u8]) -> Error {
    Error::Unexpected(
        String::from_utf8_lossy(line.get(..line.len().min(200)).unwrap_or_default()).into_owned(),
    )
}

fn parse_header(line: &[u8]) -> Option<ObjectInfo> {
    let line = std::str::from_utf8(line).ok()?.strip_suffix('\n')?;
    let mut words = line.split(' ');
    let (id, kind, size) = (words.next()?, words.next()?, words.next()?);
    if words.next().is_some() {
        return None;
    }
    let kind = match kind {
        "commit" => ObjectKind::Commit,
        "tree" => ObjectKind::Tree,
        "blob" => ObjectKind::Blob,
        "tag" => ObjectKind::Tag,
        _ => return None,
    };
    Some(ObjectInfo { id: ObjectId::new(id).ok()?, kind, size: size.parse().ok()? })
}

/// A borrowed reader. Dropped in the middle of an answer it ends its process, otherwise it goes back to the pool.
#[derive(Debug)]
pub(crate) struct Reader {
    connection: Option<Connection>,
    pool: Arc<Pool>,
    directory: PathBuf,
}

impl Reader {
    /// Name, kind and size of an object; `None` if there is none or the short name fits several.
    ///
    /// `object` is what `git rev-parse` understands: the caller passes object names, `<id>:<path>` and
    /// `<id>^{commit}`, never a user's bare text.
    pub(crate) async fn info(&mut self, object: &str) -> Result<Option<ObjectInfo>, Error> {
        self.exchange(async |connection| connection.request("info", object).await).await
    }

    /// An object's content; `None` if there is none.
    pub(crate) async fn contents(
        &mut self,
        object: &str,
        limit: u64,
    ) -> Result<Option<(ObjectInfo, Vec<u8>)>, Error> {
        self.exchange(async |connection| {
            let Some(info) = connection.request("contents", object).await? else { return Ok(None) };
            if info.size > limit {
                return Err(Error::TooLarge { what: "object", limit });
            }
            let mut content = Vec::with_capacity(usize::try_from(info.size).unwrap_or_default() + 1);
            (&mut connection.stdout).take(info.size + 1).read_to_end(&mut content).await?;
            if content.pop() != Some(b'\n') {
                return Err(Error::Unexpected("cat-file ended early".to_owned()));
            }
            Ok(Some((info, content)))
        })
        .await
    }

    /// Begins to read an object's content as a stream.
    pub(crate) async fn open(mut self, object: &str) -> Result<Option<(ObjectInfo, OpenObject)>, Error> {
        let Some(mut connection) = self.connection.take() else { return Err(broken()) };
        let request = connection.request("contents", object);
        let info = tokio::time::timeout(PROCESS_TIMEOUT, request).await.map_err(|_| timeout())??;
        let Some(info) = info else {
            self.connection = Some(connection);
            return Ok(None);
        };
        let left = info.size;
        Ok(Some((info, OpenObject { connection: Some(connection), reader: self, left })))
    }

    /// Puts the connection back only after a whole exchange: what is cut off would confuse the next one.
    async fn exchange<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut Connection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let Some(mut connection) = self.connection.take() else { return Err(broken()) };
        let result =
            tokio::time::timeout(PROCESS_TIMEOUT, work(&mut connection)).await.map_err(|_| timeout())?;
        if result.is_ok() {
            self.connection = Some(connection);
        }
        result
    }
}

fn broken() -> Error {
    Error::Unexpected("the reader's process is gone".to_owned())
}

fn timeout() -> Error {
    Error::Timeout("cat-file".to_owned())
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.pool.give_back(&self.directory, connection);
        }
    }
}

/// An object whose content is being read.
pub(crate) struct OpenObject {
    connection: Option<Connection>,
    reader: Reader,
    left: u64,
}

impl OpenObject {
    /// The next piece; `None` at the end.
    pub(crate) async fn next(&mut self) -> std::io::Result<Option<bytes::Bytes>> {
        let Some(connection) = &mut self.connection else { return Ok(None) };
        if self.left == 0 {
            connection.stdout.read_u8().await?;
            self.reader.connection = self.connection.take();
            return Ok(None);
        }
        let mut piece = bytes::BytesMut::with_capacity(CHUNK_BYTES);
        let limit = self.left.min(CHUNK_BYTES as u64);
        let read = (&mut connection.stdout).take(limit).read_buf(&mut piece).await?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= read as u64;
        Ok(Some(piece.freeze()))
    }
}
