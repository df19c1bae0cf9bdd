//! The two pack services, as a client of smart HTTP talks to them. Everything streams; whoever drops a response
//! ends the processes behind it.

mod gunzip;
mod pkt_line;
mod push;
mod report;

use std::str::FromStr;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStdin, ChildStdout};

use crate::error::Error;
use crate::files::ByteStream;
use crate::limits::CHUNK_BYTES;
use crate::process::{Git, Process};
use crate::repositories::Repository;

pub use push::{PushRequest, Rejection};

/// One of the two services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Service {
    /// Clone and fetch.
    UploadPack,
    /// Push.
    ReceivePack,
}

impl Service {
    /// The name in URLs and content types, `git-upload-pack`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UploadPack => "git-upload-pack",
            Self::ReceivePack => "git-receive-pack",
        }
    }

    fn subcommand(self) -> &'static str {
        match self {
            Self::UploadPack => "upload-pack",
            Self::ReceivePack => "receive-pack",
        }
    }
}

/// The text names no pack service.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown Git service")]
pub struct UnknownService;

impl FromStr for Service {
    type Err = UnknownService;

    fn from_str(text: &str) -> Result<Self, UnknownService> {
        match text {
            "git-upload-pack" => Ok(Self::UploadPack),
            "git-receive-pack" => Ok(Self::ReceivePack),
            _ => Err(UnknownService),
        }
    }
}

/// What the client's `Git-Protocol` header asks for, in most cases `version=2`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Protocol(Option<String>);

impl Protocol {
    /// Reads the header's value; what does not look like one counts as none, so that the oldest protocol is spoken.
    pub fn from_header(value: Option<&str>) -> Self {
        let is_plain = |text: &&str| {
            text.len() <= 256
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"=:.,_-".contains(&byte))
        };
        Self(value.filter(is_plain).map(str::to_owned))
    }

    fn is_v2(&self) -> bool {
        self.0.as_deref().is_some_and(|value| value.split(':').any(|part| part == "version=2"))
    }

    fn apply(&self, git: Git) -> Git {
        match &self.0 {
            Some(value) => git.env("GIT_PROTOCOL", value),
            None => git,
        }
    }
}

/// How a request's body is packed, from its `Content-Encoding`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Encoding {
    /// Not at all.
    #[default]
    Identity,
    /// By gzip, as clients pack long negotiations.
    Gzip,
}

impl Repository {
    /// The answer to `GET /info/refs?service=…`.
    ///
    /// # Errors
    /// [`Error::NoRepository`]; what fails later ends the stream.
    pub async fn advertise(&self, service: Service, protocol: &Protocol) -> Result<ByteStream, Error> {
        self.must_exist().await?;
        let git = self.git(service.subcommand()).args(["--stateless-rpc", "--http-backend-info-refs"]);
        // The second version of the protocol exists for fetches only.
        let is_v2 = service == Service::UploadPack && protocol.is_v2();
        let git = if service == Service::UploadPack { protocol.apply(git) } else { git };
        let process = git.arg(self.path()).start()?;
        let answer = respond(process, Box::pin(futures_util::stream::empty()))?;
        if is_v2 {
            return Ok(answer);
        }
        let mut head = BytesMut::new();
        pkt_line::data(&mut head, format!("# service={}\n", service.as_str()).as_bytes());
        pkt_line::flush(&mut head);
        Ok(Box::pin(futures_util::stream::iter([Ok(head.freeze())]).chain(answer)))
    }

    /// The answer to `POST /git-upload-pack`: negotiation, then the pack.
    pub async fn upload_pack(
        &self,
        body: impl Stream<Item = std::io::Result<Bytes>> + Send + 'static,
        encoding: Encoding,
        protocol: &Protocol,
    ) -> Result<ByteStream, Error> {
        self.must_exist().await?;
        let git = protocol.apply(self.git("upload-pack").arg("--stateless-rpc")).arg(self.path());
        respond(git.start()?, decode(Box::pin(body), encoding))
    }

    /// Reads the head of `POST /git-receive-pack`: which references the client wants to change. Nothing has
    /// happened yet; the caller decides by [`PushRequest::run`] or [`PushRequest::reject`].
    ///
    /// # Errors
    /// [`Error::Protocol`] and [`Error::TooLarge`] if the head is not a push's.
    pub async fn receive_pack(
        &self,
        body: impl Stream<Item = std::io::Result<Bytes>> + Send + 'static,
        encoding: Encoding,
    ) -> Result<PushRequest, Error> {
        self.must_exist().await?;
        PushRequest::read(self.clone(), decode(Box::pin(body), encoding)).await
    }

    async fn must_exist(&self) -> Result<(), Error> {
        if self.exists().await { Ok(()) } else { Err(Error::NoRepository) }
    }
}

fn decode(body: ByteStream, encoding: Encoding) -> ByteStream {
    match encoding {
        Encoding::Identity => body,
        Encoding::Gzip => gunzip::gunzip(body),
    }
}

/// Takes the pipes to a process.
fn pipes(process: &mut Process) -> Result<(ChildStdin, ChildStdout), Error> {
    match (process.child.stdin.take(), process.child.stdout.take()) {
        (Some(stdin), Some(stdout)) => Ok((stdin, stdout)),
        _ => Err(Error::Unexpected("a pack service without pipes".to_owned())),
    }
}

/// Hands a body to a process. `false` if the body broke off; a process that wants no more is no failure here.
async fn feed(mut stdin: ChildStdin, mut body: ByteStream) -> bool {
    while let Some(piece) = body.next().await {
        let Ok(piece) = piece else { return false };
        if stdin.write_all(&piece).await.is_err() {
            return true;
        }
    }
    let _ = stdin.shutdown().await;
    true
}

/// The next piece of a process's output; `None` at its end.
async fn next_piece(stdout: &mut ChildStdout) -> std::io::Result<Option<Bytes>> {
    let mut piece = BytesMut::with_capacity(CHUNK_BYTES);
    let read = stdout.read_buf(&mut piece).await?;
    Ok((read > 0).then(|| piece.freeze()))
}

/// A task that ends with its owner.
struct Attached(tokio::task::JoinHandle<bool>);

impl Drop for Attached {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Feeds a process and returns what it prints.
fn respond(mut process: Process, body: ByteStream) -> Result<ByteStream, Error> {
    let (stdin, stdout) = pipes(&mut process)?;
    let feeder = Attached(tokio::spawn(feed(stdin, body)));
    let state = (process, stdout, feeder);
    Ok(Box::pin(futures_util::stream::try_unfold(state, async |(mut process, mut stdout, feeder)| {
        if let Some(piece) = next_piece(&mut stdout).await? {
            return Ok(Some((piece, (process, stdout, feeder))));
        }
        if let Err(error) = process.wait().await.and_then(crate::process::Ended::success) {
            // The client has been told in the protocol's own words.
            tracing::debug!(%error, "a pack service failed");
        }
        Ok(None)
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_protocol_headers_reach_git() {
        assert!(Protocol::from_header(Some("version=2")).is_v2());
        assert!(Protocol::from_header(Some("foo:version=2")).is_v2());
        for value in [None, Some("version=1"), Some("version=2\nX"), Some("version=2;rm"), Some("")] {
            assert!(!Protocol::from_header(value).is_v2(), "{value:?}");
        }
    }

    #[test]
    fn services_have_the_names_of_their_urls() {
        for service in [Service::UploadPack, Service::ReceivePack] {
            assert_eq!(service.as_str().parse(), Ok(service));
        }
        assert_eq!("git-upload-archive".parse::<Service>(), Err(UnknownService));
    }
}
