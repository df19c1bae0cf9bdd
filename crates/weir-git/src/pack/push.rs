//! A push: read as far as its commands, then run or rejected.

use std::collections::HashSet;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use tokio::process::ChildStdout;
use tokio::sync::mpsc;

use super::pkt_line::{self, Packet};
use super::report::ReportReader;
use super::{feed, next_piece, pipes};
use crate::error::Error;
use crate::files::ByteStream;
use crate::limits::{ABANDONED_PUSH_TIMEOUT, MAX_PUSH_COMMANDS, MAX_PUSH_HEAD_BYTES, MAX_PUSH_OPTIONS};
use crate::names::{ObjectId, RefName};
use crate::process::Process;
use crate::refs::RefUpdate;
use crate::repositories::Repository;

/// A push that waits for a decision.
pub struct PushRequest {
    repository: Repository,
    head: Head,
    /// The head as it came, for the process.
    raw: Bytes,
    rest: ByteStream,
    deny_non_fast_forwards: bool,
}

/// Why a push is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// What the user reads, line by line after `remote: `, such as `GitLab: You are not allowed to …`.
    pub message: String,
    /// What stands behind each reference, GitLab's `pre-receive hook declined`.
    pub reason: String,
}

impl Rejection {
    /// A refusal as GitLab's: the message with `GitLab: ` before it, `pre-receive hook declined` at each reference
    /// (`lib/gitlab/git_access.rb`, Gitaly's pre-receive hook).
    pub fn new(message: &str) -> Self {
        Self { message: format!("GitLab: {message}"), reason: "pre-receive hook declined".to_owned() }
    }
}

impl std::fmt::Debug for PushRequest {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("PushRequest").field("head", &self.head).finish_non_exhaustive()
    }
}

impl PushRequest {
    pub(super) async fn read(repository: Repository, mut body: ByteStream) -> Result<Self, Error> {
        let (mut buffer, mut parser, mut read) = (BytesMut::new(), HeadParser::default(), 0);
        loop {
            let unread = buffer.get(read..).unwrap_or_default();
            if let Some((packet, taken)) = pkt_line::parse(unread)? {
                read += taken;
                if parser.take(packet)? {
                    break;
                }
            } else {
                match body.next().await {
                    Some(piece) => buffer.extend_from_slice(&piece?),
                    None => return Err(Error::Protocol("the push ended before its commands did")),
                }
            }
            if read > MAX_PUSH_HEAD_BYTES {
                return Err(Error::TooLarge { what: "list of commands", limit: MAX_PUSH_HEAD_BYTES as u64 });
            }
        }
        let raw = buffer.split_to(read).freeze();
        let rest = futures_util::stream::iter((!buffer.is_empty()).then(|| Ok(buffer.freeze()))).chain(body);
        Ok(Self { repository, head: parser.head, raw, rest: Box::pin(rest), deny_non_fast_forwards: false })
    }

    /// The changes that the client asks for. Empty for the probe that clients send before a big push.
    pub fn commands(&self) -> &[RefUpdate] {
        &self.head.commands
    }

    /// The push options, such as `ci.skip`.
    pub fn options(&self) -> &[String] {
        &self.head.options
    }

    /// Makes Git refuse every change that loses commits, as for a protected branch without force push.
    #[must_use]
    pub fn deny_non_fast_forwards(mut self) -> Self {
        self.deny_non_fast_forwards = true;
        self
    }

    /// Lets Git receive the pack and change the references. The result is the answer to the client.
    ///
    /// `applied` gets the changes that really took effect, if there are any, and is awaited before the client reads
    /// of its success: what it writes down is durable when the push is acknowledged. It runs also if the client has
    /// left meanwhile. A client that leaves before its pack is complete ends the push instead.
    pub fn run<F, Applied>(self, applied: F) -> Result<ByteStream, Error>
    where
        F: FnOnce(Vec<RefUpdate>) -> Applied + Send + 'static,
        Applied: Future<Output = ()> + Send + 'static,
    {
        let mut git = self.repository.git("receive-pack").arg("--stateless-rpc");
        if self.deny_non_fast_forwards {
            git = git.config("receive.denyNonFastForwards", "true");
        }
        let mut process = git.arg(self.repository.path()).start()?;
        let (stdin, stdout) = pipes(&mut process)?;
        let body = Box::pin(futures_util::stream::iter([Ok(self.raw)]).chain(self.rest));
        let (sender, receiver) = mpsc::channel(4);
        let push = RunningPush { repository: self.repository, head: self.head, process, stdout, sender };
        tokio::spawn(push.finish(feed(stdin, body), applied));
        Ok(Box::pin(futures_util::stream::unfold(receiver, async |mut receiver| {
            receiver.recv().await.map(|piece| (Ok(piece), receiver))
        })))
    }

    /// Refuses the whole push. The result is the answer to the client; the rest of its body is read away first.
    pub fn reject(self, rejection: &Rejection) -> ByteStream {
        let answer = self.head.refusal(rejection);
        let mut rest = self.rest;
        Box::pin(futures_util::stream::once(async move {
            while let Some(piece) = rest.next().await {
                piece?;
            }
            Ok(answer)
        }))
    }
}

/// A push whose process runs.
struct RunningPush {
    repository: Repository,
    head: Head,
    process: Process,
    stdout: ChildStdout,
    sender: mpsc::Sender<Bytes>,
}

impl RunningPush {
    async fn finish<F, Applied>(mut self, feed: impl Future<Output = bool>, applied: F)
    where
        F: FnOnce(Vec<RefUpdate>) -> Applied + Send + 'static,
        Applied: Future<Output = ()> + Send + 'static,
    {
        let mut report = ReportReader::new(self.head.side_band().is_some());
        let reports = self.head.reports();
        let mut held = Vec::new();
        tokio::pin!(feed);
        let (mut fed, mut present) = (false, true);
        loop {
            tokio::select! {
                whole = &mut feed, if !fed => {
                    if !whole {
                        // Half a pack: dropping the process ends its group.
                        return;
                    }
                    fed = true;
                }
                () = self.sender.closed(), if present => {
                    if !fed {
                        return;
                    }
                    present = false;
                }
                () = tokio::time::sleep(ABANDONED_PUSH_TIMEOUT), if !present => return,
                piece = next_piece(&mut self.stdout) => {
                    let Ok(Some(piece)) = piece else { break };
                    if report.read(&piece) {
                        held.push(piece);
                    } else if self.sender.send(piece).await.is_err() {
                        present = false;
                    }
                }
            }
        }
        if let Err(error) = self.process.wait().await.and_then(crate::process::Ended::success) {
            tracing::debug!(%error, "receive-pack failed");
        }
        let updates = self.updates(report.updated().filter(|_| reports)).await;
        if !updates.is_empty() {
            applied(updates).await;
        }
        for piece in held {
            if self.sender.send(piece).await.is_err() {
                return;
            }
        }
    }

    /// The commands that took effect: as reported, or by a look at the references if there is no report.
    async fn updates(&mut self, reported: Option<&HashSet<String>>) -> Vec<RefUpdate> {
        let commands = std::mem::take(&mut self.head.commands);
        if let Some(reported) = reported {
            return commands.into_iter().filter(|command| reported.contains(command.name.as_str())).collect();
        }
        let mut updates = Vec::new();
        for command in commands {
            let now = self.repository.read_ref(&command.name).await.ok().flatten();
            if now.unwrap_or_else(ObjectId::zero) == command.new {
                updates.push(command);
            }
        }
        updates
    }
}

/// What a push says before its pack.
#[derive(Debug, Default)]
struct Head {
    commands: Vec<RefUpdate>,
    options: Vec<String>,
    capabilities: Vec<String>,
}

impl Head {
    fn has(&self, capability: &str) -> bool {
        self.capabilities.iter().any(|has| has == capability)
    }

    /// The most bytes of a side-band packet, if the client reads side-bands.
    fn side_band(&self) -> Option<usize> {
        if self.has("side-band-64k") {
            Some(usize::MAX)
        } else if self.has("side-band") {
            Some(995)
        } else {
            None
        }
    }

    fn reports(&self) -> bool {
        self.has("report-status") || self.has("report-status-v2")
    }

    fn refusal(&self, rejection: &Rejection) -> Bytes {
        let mut report = BytesMut::new();
        if self.reports() {
            pkt_line::data(&mut report, b"unpack ok\n");
            for command in &self.commands {
                pkt_line::data(
                    &mut report,
                    format!("ng {} {}\n", command.name, one_line(&rejection.reason)).as_bytes(),
                );
            }
            pkt_line::flush(&mut report);
        }
        let Some(max) = self.side_band() else { return report.freeze() };
        let mut answer = BytesMut::new();
        for line in rejection.message.lines() {
            pkt_line::band(&mut answer, 2, format!("{line}\n").as_bytes(), max);
        }
        pkt_line::band(&mut answer, 1, &report, max);
        pkt_line::flush(&mut answer);
        answer.freeze()
    }
}

fn one_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(500).collect()
}

/// Which list of the head comes next.
#[derive(Debug, Default, PartialEq, Eq)]
enum Section {
    #[default]
    Commands,
    Options,
}

#[derive(Debug, Default)]
struct HeadParser {
    head: Head,
    section: Section,
}

impl HeadParser {
    /// Takes the next packet. `true` if it was the last one of the head.
    fn take(&mut self, packet: Packet<'_>) -> Result<bool, Error> {
        match (packet, &self.section) {
            (Packet::Separator, _) => Err(Error::Protocol("unexpected separator")),
            (Packet::Flush, Section::Commands) if self.head.has("push-options") => {
                self.section = Section::Options;
                Ok(false)
            }
            (Packet::Flush, _) => Ok(true),
            (Packet::Data(line), Section::Commands) => self.command(line).map(|()| false),
            (Packet::Data(line), Section::Options) => {
                if self.head.options.len() >= MAX_PUSH_OPTIONS {
                    return Err(Error::TooLarge {
                        what: "number of push options",
                        limit: MAX_PUSH_OPTIONS as u64,
                    });
                }
                self.head.options.push(String::from_utf8_lossy(line).trim_end_matches('\n').to_owned());
                Ok(false)
            }
        }
    }

    fn command(&mut self, line: &[u8]) -> Result<(), Error> {
        let line = std::str::from_utf8(line).map_err(|_| Error::Protocol("a reference name is not UTF-8"))?;
        let (command, capabilities) = match line.split_once('\0') {
            Some((command, capabilities)) => (command, Some(capabilities)),
            None => (line, None),
        };
        let command = command.trim_end_matches('\n');
        if command.starts_with("push-cert") {
            return Err(Error::Protocol("signed pushes are not offered"));
        }
        if command.starts_with("shallow ") {
            return Ok(());
        }
        if let Some(capabilities) = capabilities.filter(|_| self.head.commands.is_empty()) {
            self.head.capabilities = capabilities.split_whitespace().map(str::to_owned).collect();
        }
        if self.head.commands.len() >= MAX_PUSH_COMMANDS {
            return Err(Error::TooLarge { what: "number of references", limit: MAX_PUSH_COMMANDS as u64 });
        }
        let mut words = command.splitn(3, ' ');
        let (Some(old), Some(new), Some(name)) = (words.next(), words.next(), words.next()) else {
            return Err(Error::Protocol("a command is not `old new name`"));
        };
        self.head.commands.push(RefUpdate {
            old: ObjectId::new(old)?,
            new: ObjectId::new(new)?,
            name: RefName::new(name)?,
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const A: &str = "1111111111111111111111111111111111111111";
    const B: &str = "2222222222222222222222222222222222222222";

    fn head(packets: &[Packet<'_>]) -> Result<(Head, bool), Error> {
        let mut parser = HeadParser::default();
        let mut done = false;
        for packet in packets {
            assert!(!done, "packets after the end");
            done = parser.take(*packet)?;
        }
        Ok((parser.head, done))
    }

    #[test]
    fn commands_capabilities_and_options_are_read() {
        let first = format!(
            "{A} {B} refs/heads/main\0 report-status-v2 side-band-64k push-options atomic agent=git/2"
        );
        let second = format!("{A} {} refs/tags/v1\n", ObjectId::zero());
        let (head, done) = head(&[
            Packet::Data(format!("shallow {A}").as_bytes()),
            Packet::Data(first.as_bytes()),
            Packet::Data(second.as_bytes()),
            Packet::Flush,
            Packet::Data(b"ci.skip"),
            Packet::Data(b"ci.variable=A=b\n"),
            Packet::Flush,
        ])
        .unwrap();
        assert!(done);
        assert_eq!(head.commands.len(), 2);
        assert_eq!(head.commands[0].name.as_str(), "refs/heads/main");
        assert!(head.commands[1].new.is_zero());
        assert_eq!(head.options, ["ci.skip", "ci.variable=A=b"]);
        assert!(head.reports() && head.has("atomic"));
        assert_eq!(head.side_band(), Some(usize::MAX));
    }

    #[test]
    fn a_probe_is_an_empty_head() {
        let (head, done) = head(&[Packet::Flush]).unwrap();
        assert!(done && head.commands.is_empty());
    }

    #[test]
    fn what_is_no_command_is_refused() {
        for line in [
            String::new(),
            format!("{A} {B}"),
            format!("{A} x refs/heads/a"),
            format!("{A} {B} --upload-pack=x"),
            format!("{A} {B} refs/heads/a..b"),
            format!("{A} {B} refs/heads/a\nb"),
            format!("{A} {B} HEAD"),
            "push-cert\0".to_owned(),
        ] {
            assert!(head(&[Packet::Data(line.as_bytes())]).is_err(), "{line:?}");
        }
    }

    #[test]
    fn a_huge_list_of_commands_is_refused() {
        let mut parser = HeadParser::default();
        let line = format!("{A} {B} refs/heads/a");
        for _ in 0..MAX_PUSH_COMMANDS {
            parser.take(Packet::Data(line.as_bytes())).unwrap();
        }
        let refused = parser.take(Packet::Data(line.as_bytes()));
        assert!(matches!(refused, Err(Error::TooLarge { .. })));
    }

    #[test]
    fn a_huge_list_of_options_is_refused() {
        let first = format!("{A} {B} refs/heads/main\0push-options");
        let mut parser = HeadParser::default();
        parser.take(Packet::Data(first.as_bytes())).unwrap();
        parser.take(Packet::Flush).unwrap();
        for _ in 0..MAX_PUSH_OPTIONS {
            parser.take(Packet::Data(b"o")).unwrap();
        }
        assert!(matches!(parser.take(Packet::Data(b"o")), Err(Error::TooLarge { .. })));
    }

    #[test]
    fn a_refusal_speaks_the_clients_capabilities() {
        let rejection = Rejection::new("You are not allowed to push code to this project.");
        let command = format!("{A} {B} refs/heads/main");
        let refusal = |capabilities: &str| {
            let line = format!("{command}\0{capabilities}");
            let (head, _) = head(&[Packet::Data(line.as_bytes())]).unwrap();
            String::from_utf8(head.refusal(&rejection).to_vec()).unwrap()
        };
        let plain = refusal("report-status");
        assert_eq!(plain, "000eunpack ok\n0031ng refs/heads/main pre-receive hook declined\n0000");
        let banded = refusal("report-status side-band-64k");
        assert!(banded.contains("\u{2}GitLab: You are not allowed to push code to this project.\n"));
        assert!(banded.contains("\u{1}000eunpack ok\n"));
        assert!(banded.ends_with("00000000"));
        assert_eq!(refusal(""), "");
    }

    proptest! {
        #[test]
        fn any_line_is_read_or_refused(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut parser = HeadParser::default();
            let _ = parser.take(Packet::Data(&line));
            prop_assert!(parser.head.commands.len() <= 1);
        }
    }
}
