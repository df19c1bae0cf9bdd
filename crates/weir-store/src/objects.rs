//! Objects: traces, artifacts and caches, as files in a directory or in an S3 bucket.
//!
//! Whatever the size, only a part of an object is in memory. An object is there in full or not at all.

mod reader;
mod unfinished;

use std::ops::Range;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use aws_lc_rs::digest;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt, TryStreamExt};
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{GetOptions, GetResultPayload, MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload};
use tokio::task::JoinSet;
use tokio_util::io::ReaderStream;
use weir_api::Timestamp;

pub use reader::ObjectReader;

use crate::error::{Error, Result};

/// Where the objects are: a directory, or
/// `s3://BUCKET/PREFIX?endpoint=URL&region=REGION&allow_http=true`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectsUrl {
    /// A directory, made when it is not there.
    Directory(PathBuf),
    /// A bucket. The keys come from the environment: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, and
    /// whatever else AWS's own tools read.
    S3 {
        /// The bucket's name.
        bucket: String,
        /// What each object's key begins with; may be empty.
        prefix: String,
        /// Another server than AWS's.
        endpoint: Option<String>,
        /// The region.
        region: Option<String>,
        /// Whether the endpoint may be plain HTTP.
        allow_http: bool,
    },
}

impl FromStr for ObjectsUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let Some(rest) = text.strip_prefix("s3://") else {
            return Ok(Self::Directory(text.strip_prefix("file:").unwrap_or(text).into()));
        };
        let wrong = |problem: String| Error::Url { what: text.to_owned(), kind: "object store URL", problem };
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        if bucket.is_empty() {
            return Err(wrong("the bucket is missing".to_owned()));
        }
        let (mut endpoint, mut region, mut allow_http) = (None, None, false);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("endpoint", value)) => endpoint = Some(value.trim_end_matches('/').to_owned()),
                Some(("region", value)) => region = Some(value.to_owned()),
                Some(("allow_http", "true")) => allow_http = true,
                Some(("allow_http", "false")) => allow_http = false,
                _ => return Err(wrong(format!("`{pair}` is none of endpoint=, region=, allow_http="))),
            }
        }
        let prefix = prefix.trim_matches('/').to_owned();
        Ok(Self::S3 { bucket: bucket.to_owned(), prefix, endpoint, region, allow_http })
    }
}

/// Parts of an upload to S3, which takes at least 5 MiB and at most 10,000 of them.
const S3_PART: usize = 8 << 20;
/// Parts of an upload to a file.
const FILE_PART: usize = 1 << 20;
/// How many parts of one upload are sent at the same time.
const PARTS_SENDING: usize = 2;
/// Bytes read from a file at once.
const FILE_READ: usize = 128 << 10;

/// The objects of this installation. Clones share it.
#[derive(Debug, Clone)]
pub struct Objects {
    store: Arc<dyn ObjectStore>,
    prefix: String,
    /// `None` in a bucket.
    directory: Option<Arc<std::path::Path>>,
}

/// What [`Objects::put_stream`] stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// In bytes.
    pub size: u64,
    /// SHA-256 of the content.
    pub sha256: [u8; 32],
}

/// An object being read.
pub struct Object {
    /// The whole object's size in bytes.
    pub size: u64,
    /// Which bytes of it follow.
    pub range: Range<u64>,
    /// The bytes.
    pub body: BoxStream<'static, Result<Bytes>>,
}

impl std::fmt::Debug for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Object").field("size", &self.size).field("range", &self.range).finish_non_exhaustive()
    }
}

/// An object in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: String,
    /// In bytes.
    pub size: u64,
    /// When it was stored.
    pub modified: Timestamp,
}

impl Objects {
    /// Opens the store.
    pub fn open(url: &ObjectsUrl) -> Result<Self> {
        match url {
            ObjectsUrl::Directory(directory) => {
                std::fs::create_dir_all(directory).map_err(|error| Error::Url {
                    what: directory.display().to_string(),
                    kind: "directory for objects",
                    problem: error.to_string(),
                })?;
                let files = LocalFileSystem::new_with_prefix(directory)?;
                let store = Arc::new(files.with_fsync(true).with_automatic_cleanup(true));
                Ok(Self { store, prefix: String::new(), directory: Some(directory.as_path().into()) })
            }
            ObjectsUrl::S3 { bucket, prefix, endpoint, region, allow_http } => {
                let mut builder =
                    AmazonS3Builder::from_env().with_bucket_name(bucket).with_allow_http(*allow_http);
                if let Some(endpoint) = endpoint {
                    builder = builder.with_endpoint(endpoint);
                }
                if let Some(region) = region {
                    builder = builder.with_region(region);
                }
                let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
                Ok(Self { store: Arc::new(builder.build()?), prefix, directory: None })
            }
        }
    }

    /// Stores what `body` gives under `key`, hashing it on the way. Nothing is stored if `body` fails, gives
    /// more than `limit` bytes ([`Error::TooLarge`]), or the future is dropped. Replaces an older object only
    /// at the end.
    pub async fn put_stream<S, E>(&self, key: &str, body: S, limit: u64) -> Result<Stored>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let path = self.path(key)?;
        let mut body = std::pin::pin!(body);
        let mut upload: Option<Upload> = None;
        let mut hash = digest::Context::new(&digest::SHA256);
        let part_size = if self.directory.is_some() { FILE_PART } else { S3_PART };
        let mut part = Part::default();
        let mut size: u64 = 0;
        while let Some(chunk) = body.next().await {
            let mut chunk = chunk.map_err(|error| Error::Body(Arc::from(error.into())))?;
            size += chunk.len() as u64;
            if size > limit {
                return Err(Error::TooLarge { limit });
            }
            hash.update(&chunk);
            while part.size + chunk.len() >= part_size {
                part.push(chunk.split_to(part_size - part.size));
                let upload = match &mut upload {
                    Some(upload) => upload,
                    none => none.insert(Upload::new(self.store.put_multipart(&path).await?)),
                };
                upload.put(part.take()).await?;
            }
            part.push(chunk);
        }
        match upload {
            Some(mut upload) => {
                if part.size > 0 {
                    upload.put(part.take()).await?;
                }
                upload.complete().await?;
            }
            None => {
                self.store.put(&path, part.take()).await?;
            }
        }
        Ok(Stored { size, sha256: crate::digest::finish(hash) })
    }

    /// Stores a small object.
    pub async fn put(&self, key: &str, content: impl Into<Bytes>) -> Result<Stored> {
        let content = futures_util::stream::iter([Ok::<_, std::convert::Infallible>(content.into())]);
        self.put_stream(key, content, u64::MAX).await
    }

    /// The object at `key` or the bytes `range` of it, as a stream. [`Error::NoObject`] if it is not there. A
    /// range that ends behind the object is cut; one that begins behind it is an error.
    pub async fn get_stream(&self, key: &str, range: Option<Range<u64>>) -> Result<Object> {
        let options = GetOptions::new().with_range(range);
        let result =
            self.store.get_opts(&self.path(key)?, options).await.map_err(|error| missing(key, error))?;
        let (size, range) = (result.meta.size, result.range.clone());
        let body = match result.payload {
            GetResultPayload::Stream(stream) => stream.map_err(Error::from).boxed(),
            GetResultPayload::File(file, _) => {
                use tokio::io::{AsyncReadExt, AsyncSeekExt};
                let mut file = tokio::fs::File::from_std(file);
                file.seek(std::io::SeekFrom::Start(range.start)).await.map_err(Error::file)?;
                let part = file.take(range.end - range.start);
                ReaderStream::with_capacity(part, FILE_READ).map_err(Error::file).boxed()
            }
        };
        Ok(Object { size, range, body })
    }

    /// A reader with random access, for a blocking task.
    pub async fn reader(&self, key: &str) -> Result<ObjectReader> {
        let path = self.path(key)?;
        if self.directory.is_some() {
            let result = self.store.get(&path).await.map_err(|error| missing(key, error))?;
            if let GetResultPayload::File(file, _) = result.payload {
                return Ok(ObjectReader::file(file, result.meta.size));
            }
        }
        let size = self.size(key).await?;
        Ok(ObjectReader::remote(self.store.clone(), path, size))
    }

    /// The size in bytes of the object at `key`. [`Error::NoObject`] if it is not there.
    pub async fn size(&self, key: &str) -> Result<u64> {
        let head = self.store.head(&self.path(key)?).await;
        Ok(head.map_err(|error| missing(key, error))?.size)
    }

    /// Deletes the object at `key`; no matter if it is gone already.
    pub async fn delete(&self, key: &str) -> Result<()> {
        match self.store.delete(&self.path(key)?).await {
            Err(object_store::Error::NotFound { .. }) | Ok(()) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes many objects with few requests; no matter if some are gone already. The first failure is
    /// answered after all others were tried.
    pub async fn delete_many<K: AsRef<str>>(&self, keys: impl IntoIterator<Item = K>) -> Result<()> {
        let paths: Vec<_> = keys.into_iter().map(|key| self.path(key.as_ref())).collect::<Result<_>>()?;
        let mut deleted =
            self.store.delete_stream(futures_util::stream::iter(paths.into_iter().map(Ok)).boxed());
        let mut failed = None;
        while let Some(result) = deleted.next().await {
            match result {
                Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Removes what uploads left behind that were cut off by a crash before `before`; how many. In a bucket that
    /// is done by a lifecycle rule (`AbortIncompleteMultipartUpload`), so nothing happens here.
    pub async fn remove_unfinished(&self, before: Timestamp) -> Result<u64> {
        let Some(directory) = self.directory.clone() else { return Ok(0) };
        let remove = move || unfinished::remove(&directory, before);
        let removed = tokio::task::spawn_blocking(remove).await.map_err(object_store::Error::from)?;
        removed.map_err(Error::file)
    }

    /// All objects whose key begins with the folders `under`, in no order.
    pub fn list(&self, under: &str) -> BoxStream<'static, Result<Listed>> {
        let path = match self.path(under) {
            Ok(path) => path,
            Err(error) => return futures_util::stream::iter([Err(error)]).boxed(),
        };
        let prefix = self.prefix.clone();
        let list = self.store.list(Some(&path));
        list.map(move |meta| {
            let meta = meta?;
            let key = meta.location.as_ref();
            Ok(Listed {
                key: key.strip_prefix(&prefix).unwrap_or(key).to_owned(),
                size: meta.size,
                modified: Timestamp::from_micros(meta.last_modified.timestamp_micros()),
            })
        })
        .boxed()
    }

    fn path(&self, key: &str) -> Result<Path> {
        Ok(Path::parse(format!("{}{key}", self.prefix)).map_err(object_store::Error::from)?)
    }
}

/// The part of an upload that is being filled, made of the chunks as they came.
#[derive(Default)]
struct Part {
    chunks: Vec<Bytes>,
    size: usize,
}

impl Part {
    fn push(&mut self, chunk: Bytes) {
        self.size += chunk.len();
        self.chunks.push(chunk);
    }

    fn take(&mut self) -> PutPayload {
        self.size = 0;
        std::mem::take(&mut self.chunks).into_iter().collect()
    }
}

/// An upload in parts that is aborted unless it is completed, even when its future is dropped.
struct Upload {
    /// `None` once it is completed.
    upload: Option<Box<dyn MultipartUpload>>,
    sending: JoinSet<object_store::Result<()>>,
}

impl Upload {
    fn new(upload: Box<dyn MultipartUpload>) -> Self {
        Self { upload: Some(upload), sending: JoinSet::new() }
    }

    /// Sends a part while the next one fills.
    async fn put(&mut self, part: PutPayload) -> Result<()> {
        self.sent(PARTS_SENDING - 1).await?;
        if let Some(upload) = &mut self.upload {
            self.sending.spawn(upload.put_part(part));
        }
        Ok(())
    }

    /// Waits until no more than `rest` parts are being sent.
    async fn sent(&mut self, rest: usize) -> Result<()> {
        while self.sending.len() > rest {
            if let Some(sent) = self.sending.join_next().await {
                sent.map_err(object_store::Error::from)??;
            }
        }
        Ok(())
    }

    async fn complete(&mut self) -> Result<()> {
        self.sent(0).await?;
        if let Some(upload) = &mut self.upload {
            upload.complete().await?;
        }
        self.upload = None;
        Ok(())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let (Some(mut upload), Ok(runtime)) = (self.upload.take(), tokio::runtime::Handle::try_current())
        else {
            return;
        };
        let mut sending = std::mem::take(&mut self.sending);
        runtime.spawn(async move {
            sending.shutdown().await;
            if let Err(error) = upload.abort().await {
                tracing::warn!(%error, "an unfinished upload could not be removed");
            }
        });
    }
}

fn missing(key: &str, error: object_store::Error) -> Error {
    match error {
        object_store::Error::NotFound { .. } => Error::NoObject { key: key.to_owned() },
        other => other.into(),
    }
}

impl From<object_store::Error> for Error {
    fn from(error: object_store::Error) -> Self {
        Self::Objects { message: crate::error::sources(&error), source: Arc::new(error) }
    }
}
