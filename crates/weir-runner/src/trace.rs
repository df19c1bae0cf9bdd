//! A job's log as it grows: masked, cut to its limit, counted, kept until the server has it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::sync::Notify;
use weir_api::id::JobId;

use crate::mask::Masker;

const CLEAR: &str = "\x1b[0K";
const RESET: &str = "\x1b[0;m";
const YELLOW: &str = "\x1b[0;33m";
const BOLD_YELLOW: &str = "\x1b[33;1m";
const BOLD_RED: &str = "\x1b[31;1m";
const BOLD_GREEN: &str = "\x1b[32;1m";
const BOLD_CYAN: &str = "\x1b[36;1m";

/// A job's log. Shared by the job, which writes, and the sender, which reads by offset.
///
/// The whole log stays in memory until the job ends, since the server may ask for any part again; its size is limited.
#[derive(Debug)]
pub struct Trace {
    content: Mutex<Content>,
    changed: Notify,
}

#[derive(Debug)]
struct Content {
    masker: Masker,
    sections: bool,
    bytes: Vec<u8>,
    limit: usize,
    is_full: bool,
    is_finished: bool,
    checksum: crc32fast::Hasher,
    scratch: Vec<u8>,
}

impl Content {
    fn append(&mut self, piece: &[u8]) {
        self.checksum.update(piece);
        self.bytes.extend_from_slice(piece);
    }

    /// Appends what was masked, up to the limit. Texts as in `helpers/trace/buffer.go` of gitlab-runner.
    fn take_scratch(&mut self) {
        let scratch = std::mem::take(&mut self.scratch);
        if !self.is_full {
            let room = self.limit - self.bytes.len();
            if scratch.len() < room {
                self.append(&scratch);
            } else {
                self.is_full = true;
                self.append(whole_characters(&scratch[..room]));
                let limit = self.limit;
                self.append(
                    format!(
                        "\n{BOLD_YELLOW}Job's log exceeded limit of {limit} bytes.\n\
                         Job execution will continue but no more output will be collected.{RESET}\n"
                    )
                    .as_bytes(),
                );
            }
        }
        self.scratch = scratch;
        self.scratch.clear();
    }
}

/// `bytes` without a UTF-8 character that is cut at its end.
fn whole_characters(bytes: &[u8]) -> &[u8] {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => &bytes[..error.valid_up_to()],
        _ => bytes,
    }
}

impl Trace {
    /// An empty log of at most `limit` bytes (and the notice that it was cut).
    pub fn new(masker: Masker, limit: usize, sections: bool) -> Self {
        let content = Content {
            masker,
            sections,
            bytes: Vec::new(),
            limit,
            is_full: false,
            is_finished: false,
            checksum: crc32fast::Hasher::new(),
            scratch: Vec::new(),
        };
        Self { content: Mutex::new(content), changed: Notify::new() }
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        // The content is valid after every statement, so a writer's panic does not spoil it.
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes output as it comes. The end may be held back while it could be the start of a secret.
    pub fn write(&self, output: &[u8]) {
        let content = &mut *self.content();
        content.masker.write(output, &mut content.scratch);
        content.take_scratch();
        self.changed.notify_one();
    }

    /// Releases what was held back: no output that belongs to it follows.
    pub fn flush(&self) {
        let content = &mut *self.content();
        content.masker.finish(&mut content.scratch);
        content.take_scratch();
        self.changed.notify_one();
    }

    /// Masks also `masker`'s secrets from here on.
    pub fn set_masker(&self, masker: Masker) {
        self.flush();
        self.content().masker = masker;
    }

    /// A plain line of the runner's own.
    pub fn line(&self, text: impl std::fmt::Display) {
        self.write(format!("{CLEAR}{text}{RESET}\n").as_bytes());
    }

    /// A green line: what the runner does now.
    pub fn notice(&self, text: impl std::fmt::Display) {
        self.write(format!("{BOLD_GREEN}{text}{RESET}\n").as_bytes());
    }

    /// A warning.
    pub fn warning(&self, text: impl std::fmt::Display) {
        self.write(format!("{YELLOW}WARNING: {text}{RESET}\n").as_bytes());
    }

    /// An error.
    pub fn error(&self, text: impl std::fmt::Display) {
        self.write(format!("{BOLD_RED}ERROR: {text}{RESET}\n").as_bytes());
    }

    /// A line about files, in the layout of gitlab-runner's artifact and cache commands (`log/runner_formatter.go`).
    pub(crate) fn report(&self, level: Level, text: impl std::fmt::Display) {
        self.write(format!("{} \n", level.padded(&text.to_string())).as_bytes());
    }

    /// As [`Trace::report`], about the artifacts of `job`.
    pub(crate) fn report_job(&self, level: Level, text: impl std::fmt::Display, job: JobId) {
        let color = level.color();
        self.write(format!("{}  {color}id{RESET}={job}\n", level.padded(&text.to_string())).as_bytes());
    }

    /// Opens a section that the web page can fold, and shows its title.
    pub fn section_start(&self, name: &str, title: impl std::fmt::Display) {
        let mark = if self.content().sections {
            format!("section_start:{}:{name}\r{CLEAR}", unix_time())
        } else {
            String::new()
        };
        self.write(format!("{mark}{CLEAR}{BOLD_CYAN}{title}{RESET}{RESET}\n").as_bytes());
    }

    /// Closes a section.
    pub fn section_end(&self, name: &str) {
        self.flush();
        if self.content().sections {
            self.write(format!("section_end:{}:{name}\r{CLEAR}", unix_time()).as_bytes());
        }
    }

    /// Ends the log.
    pub fn finish(&self) {
        self.flush();
        self.content().is_finished = true;
        self.changed.notify_one();
    }

    /// The length in bytes.
    pub fn len(&self) -> u64 {
        self.content().bytes.len() as u64
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether [`Trace::finish`] was called.
    pub fn is_finished(&self) -> bool {
        self.content().is_finished
    }

    /// The CRC-32 of all bytes.
    pub fn checksum(&self) -> u32 {
        self.content().checksum.clone().finalize()
    }

    /// At most `max` bytes from `offset` on.
    pub fn read(&self, offset: u64, max: usize) -> Bytes {
        let content = self.content();
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(content.bytes.len());
        let end = content.bytes.len().min(start.saturating_add(max));
        Bytes::copy_from_slice(&content.bytes[start..end])
    }

    /// Waits until there is something to do: more output than `offset` bytes, or the end.
    pub(crate) async fn grown_beyond(&self, offset: u64) {
        loop {
            {
                let content = self.content();
                if content.bytes.len() as u64 > offset || content.is_finished {
                    return;
                }
            }
            self.changed.notified().await;
        }
    }

    /// Waits until the end.
    pub(crate) async fn finished(&self) {
        while !self.is_finished() {
            self.changed.notified().await;
        }
    }
}

/// How bad a reported line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Info,
    Warning,
    Error,
    Fatal,
}

impl Level {
    const fn color(self) -> &'static str {
        match self {
            Self::Info => "",
            Self::Warning => YELLOW,
            Self::Error | Self::Fatal => BOLD_RED,
        }
    }

    const fn prefix(self) -> &'static str {
        match self {
            Self::Info => "",
            Self::Warning => "WARNING: ",
            Self::Error => "ERROR: ",
            Self::Fatal => "FATAL: ",
        }
    }

    fn padded(self, text: &str) -> String {
        let (color, prefix) = (self.color(), self.prefix());
        let width = 50 - prefix.len();
        format!("{color}{prefix}{text:<width$}{RESET}")
    }
}

fn unix_time() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(trace: &Trace) -> String {
        String::from_utf8_lossy(&trace.read(0, usize::MAX)).into_owned()
    }

    #[test]
    fn output_beyond_the_limit_is_dropped_with_a_notice() {
        let trace = Trace::new(Masker::default(), 5, true);
        trace.write("1234é".as_bytes());
        trace.write(b"more");
        assert_eq!(
            text(&trace),
            "1234\n\x1b[33;1mJob's log exceeded limit of 5 bytes.\n\
             Job execution will continue but no more output will be collected.\x1b[0;m\n"
        );
        assert_eq!(trace.checksum(), crc32fast::hash(&trace.read(0, usize::MAX)));
    }

    #[test]
    fn sections_are_marked_for_servers_that_read_them() {
        let trace = Trace::new(Masker::default(), 1000, true);
        trace.section_start("step_script", "Title");
        trace.section_end("step_script");
        let text = text(&trace);
        assert!(text.starts_with("section_start:"), "{text:?}");
        assert!(
            text.contains(":step_script\r\x1b[0K\x1b[0K\x1b[36;1mTitle\x1b[0;m\x1b[0;m\nsection_end:"),
            "{text:?}"
        );
        let plain = Trace::new(Masker::default(), 1000, false);
        plain.section_start("step_script", "Title");
        plain.section_end("step_script");
        assert!(!String::from_utf8_lossy(&plain.read(0, 1000)).contains("section_"));
    }

    #[test]
    fn a_part_is_read_by_its_offset() {
        let trace = Trace::new(Masker::default(), 1000, true);
        trace.write(b"0123456789");
        trace.flush();
        assert_eq!(trace.read(3, 4), "3456");
        assert_eq!(trace.read(8, 4), "89");
        assert_eq!(trace.read(20, 4), "");
    }

    #[test]
    fn the_start_of_a_secret_waits_for_the_next_output() {
        let trace = Trace::new(Masker::new(["secret-value"], Vec::<String>::new()), 1000, true);
        trace.write(b"a secret-");
        assert_eq!(text(&trace), "a ");
        trace.write(b"value b");
        assert_eq!(text(&trace), "a [MASKED] b");
    }
}
