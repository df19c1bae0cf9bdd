//! Reads along in receive-pack's answer, to learn which references really changed.

use std::collections::HashSet;

use bytes::{Buf as _, BytesMut};

use super::pkt_line::{self, Packet};
use crate::limits::MAX_PUSH_HEAD_BYTES;

/// The reader of an answer on its way to the client.
#[derive(Debug)]
pub(crate) struct ReportReader {
    side_band: bool,
    outer: BytesMut,
    inner: BytesMut,
    begun: bool,
    broken: bool,
    updated: HashSet<String>,
}

impl ReportReader {
    /// For an answer with or without side-bands.
    pub(crate) fn new(side_band: bool) -> Self {
        Self {
            side_band,
            outer: BytesMut::new(),
            inner: BytesMut::new(),
            begun: false,
            broken: false,
            updated: HashSet::new(),
        }
    }

    /// Takes the next piece. `true` if the report has begun, in this piece or before.
    pub(crate) fn read(&mut self, piece: &[u8]) -> bool {
        if self.broken || self.outer.len() + self.inner.len() + piece.len() > MAX_PUSH_HEAD_BYTES {
            self.broken = true;
            return true;
        }
        if self.side_band {
            self.outer.extend_from_slice(piece);
            self.take_bands();
        } else {
            self.begun = true;
            self.inner.extend_from_slice(piece);
        }
        self.take_lines();
        self.begun
    }

    /// The references that were reported as changed; `None` if the answer was no report.
    pub(crate) fn updated(&self) -> Option<&HashSet<String>> {
        (self.begun && !self.broken).then_some(&self.updated)
    }

    fn take_bands(&mut self) {
        loop {
            match pkt_line::parse(&self.outer) {
                Ok(Some((packet, taken))) => {
                    if let Packet::Data([1, payload @ ..]) = packet {
                        self.begun = true;
                        self.inner.extend_from_slice(payload);
                    }
                    self.outer.advance(taken);
                }
                Ok(None) => return,
                Err(_) => {
                    self.broken = true;
                    return;
                }
            }
        }
    }

    fn take_lines(&mut self) {
        loop {
            match pkt_line::parse(&self.inner) {
                Ok(Some((packet, taken))) => {
                    if let Packet::Data(line) = packet {
                        let line = String::from_utf8_lossy(line);
                        if let Some(name) = line.trim_end().strip_prefix("ok ") {
                            self.updated.insert(name.to_owned());
                        }
                    }
                    self.inner.advance(taken);
                }
                Ok(None) => return,
                Err(_) => {
                    self.broken = true;
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> BytesMut {
        let mut inner = BytesMut::new();
        for line in
            ["unpack ok\n", "ok refs/heads/a\n", "ng refs/heads/b non-fast-forward\n", "ok refs/tags/c\n"]
        {
            pkt_line::data(&mut inner, line.as_bytes());
        }
        pkt_line::flush(&mut inner);
        inner
    }

    #[test]
    fn accepted_references_are_found_however_the_answer_is_cut() {
        let mut banded = BytesMut::new();
        pkt_line::band(&mut banded, 2, b"Resolving deltas: 100%\n", 100);
        pkt_line::band(&mut banded, 1, &report(), 10);
        pkt_line::flush(&mut banded);
        for (answer, side_band) in [(report(), false), (banded, true)] {
            for step in [1, 5, 4096] {
                let mut reader = ReportReader::new(side_band);
                for piece in answer.chunks(step) {
                    reader.read(piece);
                }
                let mut updated: Vec<_> = reader.updated().unwrap().iter().map(String::as_str).collect();
                updated.sort_unstable();
                assert_eq!(updated, ["refs/heads/a", "refs/tags/c"]);
            }
        }
    }

    #[test]
    fn an_answer_that_is_no_report_says_nothing() {
        for side_band in [true, false] {
            let mut reader = ReportReader::new(side_band);
            reader.read(b"fatal: out of disk");
            assert_eq!(reader.updated(), None);
        }
    }

    #[test]
    fn progress_is_not_yet_the_report() {
        let mut reader = ReportReader::new(true);
        let mut piece = BytesMut::new();
        pkt_line::band(&mut piece, 2, b"ok refs/heads/a\n", 100);
        assert!(!reader.read(&piece));
        assert_eq!(reader.updated(), None);
    }
}
