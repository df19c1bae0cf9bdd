//! Bodies as they come and go.

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use reqwest::Response;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_util::io::ReaderStream;

use crate::call::Call;
use crate::error::{Error, Result};

/// The size of the pieces in which a body is read from a file.
const CHUNK: usize = 64 * 1024;

/// A body that is read as it is sent.
pub(crate) fn body(content: impl AsyncRead + Send + 'static) -> reqwest::Body {
    reqwest::Body::wrap_stream(ReaderStream::with_capacity(content, CHUNK))
}

/// An answer's body as it arrives; a silence longer than the client's time for a call ends it.
pub(crate) fn chunks(call: &Call, response: Response) -> BoxStream<'static, Result<Bytes>> {
    let (attempt, after) = (call.attempt(), call.client.timeout());
    let chunks = stream::try_unfold(response, move |mut response| {
        let attempt = attempt.clone();
        async move {
            match tokio::time::timeout(after, response.chunk()).await {
                Ok(Ok(chunk)) => Ok(chunk.map(|chunk| (chunk, response))),
                Ok(Err(source)) => Err(Error::Transport { attempt, source: source.without_url() }),
                Err(_) => Err(Error::Silent { attempt, after }),
            }
        }
    });
    chunks.boxed()
}

/// A file in the server, not yet asked for: take it whole, as a stream, or into a writer.
#[derive(Debug, Clone)]
#[must_use = "nothing is sent before one of its methods is awaited"]
pub struct Download {
    call: Call,
}

impl Download {
    pub(crate) fn new(mut call: Call) -> Self {
        call.timeout = None;
        Self { call }
    }

    /// Adds a parameter for which there is no method.
    pub fn param(mut self, name: &str, value: impl Into<serde_json::Value>) -> Self {
        self.call.set(name, value.into());
        self
    }

    /// The whole file in memory.
    pub async fn bytes(self) -> Result<Bytes> {
        let chunks: Vec<Bytes> = self.stream().await?.try_collect().await?;
        Ok(chunks.concat().into())
    }

    /// The file as it arrives.
    pub async fn stream(self) -> Result<BoxStream<'static, Result<Bytes>>> {
        Ok(chunks(&self.call, self.call.accept().await?))
    }

    /// Writes the file as it arrives; gives the number of bytes.
    pub async fn write_to(self, writer: &mut (impl AsyncWrite + Unpin + ?Sized)) -> Result<u64> {
        let attempt = self.call.attempt();
        let failed = |source| Error::Io { attempt: attempt.clone(), source };
        let mut chunks = self.stream().await?;
        let mut written = 0;
        while let Some(chunk) = chunks.try_next().await? {
            writer.write_all(&chunk).await.map_err(failed)?;
            written += chunk.len() as u64;
        }
        writer.flush().await.map_err(failed)?;
        Ok(written)
    }
}
