//! The coverage that a job's trace tells, by the job's `coverage` pattern.
//!
//! Source: `extract_coverage` in `lib/gitlab/ci/trace/stream.rb`.

use weir_compiler::regexp::Regexp;

use crate::limits;

/// Reads a trace piece by piece and keeps the last coverage that it tells.
#[derive(Debug)]
pub struct Coverage {
    pattern: Regexp,
    /// The line that is not complete yet.
    line: Vec<u8>,
    last: Option<f64>,
}

impl Coverage {
    /// Before the first piece.
    pub const fn new(pattern: Regexp) -> Self {
        Self { pattern, line: Vec::new(), last: None }
    }

    /// The next bytes of the trace, cut anywhere.
    pub fn push(&mut self, piece: &[u8]) {
        for part in piece.split_inclusive(|&byte| byte == b'\n') {
            let room = limits::COVERAGE_LINE_BYTES - self.line.len();
            self.line.extend_from_slice(&part[..part.len().min(room)]);
            if part.ends_with(b"\n") {
                self.end_line();
            }
        }
    }

    /// The coverage in percent, after the last piece.
    pub fn finish(mut self) -> Option<f64> {
        self.end_line();
        self.last
    }

    fn end_line(&mut self) {
        let line = String::from_utf8_lossy(&self.line);
        let line = line.trim_end_matches(['\r', '\n']);
        if let Some(coverage) = self.pattern.last_capture(line).and_then(first_number) {
            self.last = Some(coverage);
        }
        self.line.clear();
    }
}

/// The first number of a text: `85.5` of `(85.5%)`.
fn first_number(text: &str) -> Option<f64> {
    let text = &text[text.find(|c: char| c.is_ascii_digit())?..];
    let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let mut end = digits(text);
    if let Some(fraction) = text[end..].strip_prefix('.') {
        match digits(fraction) {
            0 => {}
            length => end += 1 + length,
        }
    }
    text[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coverage(pattern: &str, trace: &[u8], piece: usize) -> Option<f64> {
        let mut coverage = Coverage::new(Regexp::new(pattern).unwrap());
        trace.chunks(piece).for_each(|piece| coverage.push(piece));
        coverage.finish()
    }

    #[test]
    fn the_last_match_tells_the_coverage() {
        for (pattern, trace, expected) in [
            (r"\(\d+.\d+\%\) covered", "Coverage 1033 / 1051 LOC (98.29%) covered", Some(98.29)),
            (r"TOTAL.*?(\d+)%", "TOTAL 10%\nfile 20%\nTOTAL 30%\nbye\n", Some(30.0)),
            (r"(\d+)%", "10% 20%", Some(20.0)),
            (r"a (\d+) b (\d+)", "a 1 b 2", Some(2.0)),
            (r"cov: (\S+)", "cov: 50\ncov: unknown\n", Some(50.0)),
            (r"cov: \d+\.?", "cov: 50.\r\n", Some(50.0)),
            (r"cov$", "cov\n", None),
            (r"nothing", "cov 5", None),
            (r"\d+", "", None),
            (r"ü (\d+)", "ü 7", Some(7.0)),
        ] {
            for piece in [1, 3, 1000] {
                assert_eq!(coverage(pattern, trace.as_bytes(), piece), expected, "{pattern} by {piece}");
            }
        }
    }

    #[test]
    fn bytes_that_are_no_text_do_not_hide_the_coverage() {
        assert_eq!(coverage(r"cov (\d+)", b"\xff cov 5\n\xfe\n", 100), Some(5.0));
    }

    #[test]
    fn only_the_beginning_of_an_endless_line_is_looked_at() {
        let mut line = vec![b' '; limits::COVERAGE_LINE_BYTES - 1];
        line.extend_from_slice(b"42\n7x");
        assert_eq!(coverage(r"\d+", &line, 4096), Some(7.0));
        line.truncate(line.len() - 2);
        assert_eq!(coverage(r"\d+", &line, 4096), Some(4.0));
    }
}
