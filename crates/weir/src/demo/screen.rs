//! Where the picture goes: redrawn in place on a terminal, as lines elsewhere.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};

use anyhow::Result;
use weir_api::JobStatus;

use super::picture::{Frame, Line, View, seconds};

const HIDE_CURSOR: &str = "\x1b[?25l";
const SHOW_CURSOR: &str = "\x1b[?25h";
/// Terminals that know it show what stands between at once, the others ignore it.
const BEGIN_UPDATE: &str = "\x1b[?2026h";
const END_UPDATE: &str = "\x1b[?2026l";
const CLEAR_TO_END_OF_LINE: &str = "\x1b[K";
const CLEAR_BELOW: &str = "\x1b[J";
const CLEAR_ALL: &str = "\x1b[2J\x1b[H";

/// The width of pictures that go nowhere in particular.
const PLAIN_WIDTH: usize = 110;

/// Where the picture goes.
#[derive(Debug)]
pub(super) enum Screen {
    /// A terminal.
    Live(Live),
    /// A pipe or a file.
    Plain(Plain),
}

impl Screen {
    /// Standard output as it is.
    pub(super) fn open() -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        if std::io::stdout().is_terminal() && !dumb && !set("NO_COLOR") && !set("CI") {
            Self::Live(Live::default())
        } else {
            Self::Plain(Plain::default())
        }
    }

    /// Shows the state.
    pub(super) fn show(&mut self, view: &View, tick: usize) -> Result<()> {
        let (width, height) = size();
        let text = match self {
            // The last column stays free, since writing there may wrap; the last row holds the cursor.
            Self::Live(live) => {
                let frame = Frame { width: width - 1, height: height - 1, tick };
                live.update((width, height), &view.lines(frame))
            }
            Self::Plain(plain) => plain.update(view),
        };
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()?;
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if let Self::Live(_) = self {
            let mut out = std::io::stdout().lock();
            // If the terminal is gone, there is nobody to see its cursor.
            let _ = out.write_all(SHOW_CURSOR.as_bytes()).and_then(|()| out.flush());
        }
    }
}

/// Columns and rows of the terminal, at least two of each.
fn size() -> (usize, usize) {
    let size = rustix::termios::tcgetwinsize(std::io::stdout());
    let (columns, rows) = size.map_or((0, 0), |size| (size.ws_col, size.ws_row));
    // A terminal that does not know its size says zero.
    let or = |value: u16, default| if value == 0 { default } else { usize::from(value).max(2) };
    (or(columns, 80), or(rows, 24))
}

/// A picture that is redrawn in place.
#[derive(Debug, Default)]
pub(super) struct Live {
    size: (usize, usize),
    /// What stands there, styled.
    shown: Vec<String>,
}

impl Live {
    /// What to write, so that `lines` stand where the last ones stood. The cursor is in the row below them.
    fn update(&mut self, size: (usize, usize), lines: &[Line]) -> String {
        let lines: Vec<String> = lines.iter().map(Line::styled).collect();
        let first = self.size == (0, 0);
        let resized = !first && self.size != size;
        self.size = size;
        if lines == self.shown && !resized {
            return String::new();
        }
        let mut out = String::from(BEGIN_UPDATE);
        if first {
            out.push_str(HIDE_CURSOR);
        }
        if resized {
            // The terminal has wrapped the old lines in its own way.
            out.push_str(CLEAR_ALL);
            self.shown.clear();
        }
        if !self.shown.is_empty() {
            let _ = write!(out, "\x1b[{}A\r", self.shown.len());
        }
        for (row, line) in lines.iter().enumerate() {
            if self.shown.get(row) != Some(line) {
                let _ = write!(out, "{line}{CLEAR_TO_END_OF_LINE}");
            }
            out.push_str("\r\n");
        }
        if lines.len() < self.shown.len() {
            out.push_str(CLEAR_BELOW);
        }
        out.push_str(END_UPDATE);
        self.shown = lines;
        out
    }
}

/// Lines for each change.
#[derive(Debug, Default)]
pub(super) struct Plain {
    statuses: HashMap<i64, JobStatus>,
    settled: bool,
}

impl Plain {
    /// A line for each job that changed, and the picture when nothing more happens by itself.
    fn update(&mut self, view: &View) -> String {
        let mut out = String::new();
        let elapsed = seconds(view.elapsed());
        for stage in &view.stages {
            for job in &stage.jobs {
                if self.statuses.insert(job.id, job.status) != Some(job.status) {
                    let allowed = job.status == JobStatus::Failed && job.allow_failure;
                    let allowed = if allowed { " (allowed)" } else { "" };
                    let _ =
                        writeln!(out, "{elapsed:>7}  {} / {}: {}{allowed}", stage.name, job.name, job.status);
                }
            }
        }
        let settled = view.is_settled();
        if settled && !self.settled {
            let frame = Frame { width: PLAIN_WIDTH, height: usize::MAX, tick: 0 };
            out.push('\n');
            for line in view.lines(frame) {
                out.push_str(&line.plain());
                out.push('\n');
            }
        }
        self.settled = settled;
        out
    }
}

#[cfg(test)]
mod tests {
    use super::super::picture::{JobView, StageView};
    use super::*;

    fn view(status: JobStatus) -> View {
        let job = JobView {
            id: 7,
            name: "build".to_owned(),
            status,
            allow_failure: true,
            started: Some(0.5),
            duration: Some(1.0),
            needs: None,
            reason: None,
            log: Vec::new(),
        };
        let stage = StageView { name: "test".to_owned(), jobs: vec![job] };
        let pipeline = if status == JobStatus::Running { status } else { JobStatus::Success };
        View { title: "t".to_owned(), status: pipeline, stages: vec![stage], footer: Vec::new() }
    }

    fn lines(view: &View, tick: usize) -> Vec<Line> {
        view.lines(Frame { width: 60, height: 20, tick })
    }

    #[test]
    fn only_changed_lines_are_written_again() {
        let mut live = Live::default();
        let running = view(JobStatus::Running);
        let first = live.update((60, 20), &lines(&running, 0));
        assert!(first.contains(HIDE_CURSOR) && first.contains("build"));
        assert_eq!(live.update((60, 20), &lines(&running, 0)), "");
        let turned = live.update((60, 20), &lines(&running, 1));
        assert!(turned.contains("\x1b[4A\r") && !turned.contains("  test"), "{turned:?}");
        assert!(!turned.contains(HIDE_CURSOR));
    }

    #[test]
    fn a_resized_terminal_is_drawn_anew() {
        let mut live = Live::default();
        live.update((60, 20), &lines(&view(JobStatus::Running), 0));
        let again = live.update((70, 20), &lines(&view(JobStatus::Running), 0));
        assert!(again.contains(CLEAR_ALL) && again.contains("  test"));
    }

    #[test]
    fn rows_that_are_no_longer_needed_are_cleared() {
        let mut live = Live::default();
        live.update((60, 20), &lines(&view(JobStatus::Success), 0));
        let fewer = live.update((60, 20), &lines(&view(JobStatus::Running), 0));
        assert!(fewer.contains(CLEAR_BELOW));
    }

    #[test]
    fn elsewhere_each_change_is_a_line_and_the_end_a_picture() {
        let mut plain = Plain::default();
        assert_eq!(plain.update(&view(JobStatus::Running)), "  1.5 s  test / build: running\n");
        assert_eq!(plain.update(&view(JobStatus::Running)), "");
        let end = plain.update(&view(JobStatus::Failed));
        assert!(end.starts_with("  1.5 s  test / build: failed (allowed)\n\n"), "{end}");
        assert!(end.contains("The pipeline succeeded") && !end.contains('\x1b'));
        assert_eq!(plain.update(&view(JobStatus::Failed)), "");
    }
}
