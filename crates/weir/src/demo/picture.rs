//! The picture of a pipeline: a pure function from state to lines.
//!
//! One job is one line under its stage. The bars share one axis of time, so that one sees what ran side by side and
//! what `needs` let run before its stage.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use weir_api::JobStatus;

/// What is drawn.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct View {
    /// Project, branch and commit.
    pub(super) title: String,
    /// The pipeline's status.
    pub(super) status: JobStatus,
    /// The stages in order.
    pub(super) stages: Vec<StageView>,
    /// Lines to end with.
    pub(super) footer: Vec<String>,
}

/// A stage.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct StageView {
    /// Its name.
    pub(super) name: String,
    /// Its jobs in order.
    pub(super) jobs: Vec<JobView>,
}

/// A job.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct JobView {
    /// Its number.
    pub(super) id: i64,
    /// Its name.
    pub(super) name: String,
    /// Its status.
    pub(super) status: JobStatus,
    /// Whether it may fail.
    pub(super) allow_failure: bool,
    /// When it started, in seconds after the pipeline was made.
    pub(super) started: Option<f64>,
    /// How long it ran, or runs so far, in seconds.
    pub(super) duration: Option<f64>,
    /// The jobs that it needs, if it says so.
    pub(super) needs: Option<Vec<String>>,
    /// Why it failed.
    pub(super) reason: Option<String>,
    /// The end of its trace, if it failed.
    pub(super) log: Vec<String>,
}

/// The space there is, and which picture this is in the film.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    /// Columns.
    pub(super) width: usize,
    /// Rows.
    pub(super) height: usize,
    /// Turns the spinner.
    pub(super) tick: usize,
}

/// A line of pieces in one style each.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Line(Vec<(Style, String)>);

const PLAIN: Style = Style::new();
const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GREEN: Style = AnsiColor::Green.on_default();
const RED: Style = AnsiColor::Red.on_default();
const YELLOW: Style = AnsiColor::Yellow.on_default();
const BLUE: Style = AnsiColor::Cyan.on_default();

const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
/// The widest a name is drawn.
const MAX_NAME: usize = 32;
/// The widest a note is drawn beside bars.
const MAX_NOTE: usize = 30;
/// Bars in less space say nothing.
const MIN_BAR: usize = 8;
/// Bars in more space say no more.
const MAX_BAR: usize = 40;

impl View {
    /// Every job.
    pub(super) fn jobs(&self) -> impl Iterator<Item = &JobView> {
        self.stages.iter().flat_map(|stage| &stage.jobs)
    }

    /// Whether nothing happens any more unless somebody acts.
    pub(super) fn is_settled(&self) -> bool {
        use JobStatus as S;
        let over = matches!(self.status, S::Success | S::Failed | S::Canceled | S::Skipped | S::Manual);
        over && !self.jobs().any(|job| matches!(job.status, S::Running | S::Pending | S::Canceling))
    }

    /// From the pipeline's making to the last thing that a job did, in seconds.
    pub(super) fn elapsed(&self) -> f64 {
        self.jobs().filter_map(|job| Some(job.started? + job.duration?)).fold(0.0, f64::max)
    }

    /// The lines, at most as many and as wide as there is space.
    pub(super) fn lines(&self, frame: Frame) -> Vec<Line> {
        // What can be spared goes first: air, then traces.
        let amounts = [(true, usize::MAX), (false, usize::MAX), (false, 1), (false, 0)];
        let mut lines = Vec::new();
        for (air, log) in amounts {
            lines = self.draw(frame, air, log);
            if lines.len() <= frame.height {
                break;
            }
        }
        if lines.len() > frame.height {
            let rest = lines.len() - frame.height.saturating_sub(1);
            lines.truncate(frame.height.saturating_sub(1));
            lines.push(Line::of(DIM, format!("  … {rest} more lines")));
        }
        lines.into_iter().map(|line| line.cut(frame.width)).collect()
    }

    fn draw(&self, frame: Frame, air: bool, log: usize) -> Vec<Line> {
        let mut lines = vec![self.head(frame.tick)];
        let columns = Columns::of(self, frame.width);
        for stage in &self.stages {
            if air {
                lines.push(Line::default());
            }
            lines.push(Line::of(BOLD, format!("  {}", stage.name)));
            lines.extend(stage.jobs.iter().map(|job| job.line(&columns, frame.tick)));
        }
        for job in self.jobs().filter(|job| log > 0 && !job.log.is_empty()) {
            if air {
                lines.push(Line::default());
            }
            let (glyph, style) = job.glyph(frame.tick);
            lines.push(Line::of(style, format!("  {glyph} {}", job.name)).and(DIM, " ends with"));
            let last = &job.log[job.log.len() - log.min(job.log.len())..];
            lines.extend(last.iter().map(|text| Line::of(DIM, "  │ ".to_owned()).and(PLAIN, text)));
        }
        if self.is_settled() {
            lines.push(Line::default());
            lines.push(self.summary());
        }
        if !self.footer.is_empty() {
            lines.push(Line::default());
            lines.extend(self.footer.iter().map(|text| Line::of(PLAIN, format!("  {text}"))));
        }
        lines
    }

    fn head(&self, tick: usize) -> Line {
        let (glyph, style) = glyph(self.status, false, tick);
        let state = format!("  {glyph} {} {}", self.status, seconds(self.elapsed()));
        Line::of(style, state).and(DIM, &format!("  {}", self.title))
    }

    fn summary(&self) -> Line {
        let (glyph, style) = glyph(self.status, false, 0);
        let count = |wanted: fn(&JobView) -> bool| self.jobs().filter(|job| wanted(job)).count();
        let counts = [
            (count(|job| job.status == JobStatus::Success), "succeeded"),
            (count(|job| job.status == JobStatus::Failed && !job.allow_failure), "failed"),
            (count(|job| job.status == JobStatus::Failed && job.allow_failure), "failed, which is allowed"),
            (count(|job| job.status == JobStatus::Canceled), "canceled"),
            (count(|job| job.status == JobStatus::Skipped), "skipped"),
            (count(|job| job.status == JobStatus::Manual), "manual"),
        ];
        let counts: Vec<_> = counts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        let what = match self.status {
            JobStatus::Success => "succeeded".to_owned(),
            JobStatus::Failed => "failed".to_owned(),
            JobStatus::Manual => "waits for a manual job".to_owned(),
            status => format!("is {status}"),
        };
        let text = format!("  {glyph} The pipeline {what} after {}", seconds(self.elapsed()));
        Line::of(style, text).and(PLAIN, &format!(": {}", counts.join(" · ")))
    }
}

impl JobView {
    fn glyph(&self, tick: usize) -> (&'static str, Style) {
        glyph(self.status, self.allow_failure, tick)
    }

    fn line(&self, columns: &Columns, tick: usize) -> Line {
        let (glyph, style) = self.glyph(tick);
        let name = fit(&self.name, columns.name);
        let mut line = Line::of(style, format!("    {glyph} ")).and(PLAIN, &name);
        if columns.bar > 0 {
            line = line.and(style, &format!("  {}", self.bar(columns)));
        }
        let duration = self.duration.filter(|_| self.started.is_some());
        line = line.and(PLAIN, &format!("  {:>7}", duration.map(seconds).unwrap_or_default()));
        let note = self.note();
        if note.is_empty() { line } else { line.and(DIM, &format!("  {note}")) }
    }

    /// The job's place in time, to half a column.
    fn bar(&self, columns: &Columns) -> String {
        let (Some(start), Some(duration)) = (self.started, self.duration) else {
            return " ".repeat(columns.bar);
        };
        let halves = columns.bar * 2;
        let from = halves_of(start / columns.seconds, halves).min(halves - 1);
        let to = halves_of((start + duration) / columns.seconds, halves).clamp(from + 1, halves);
        let half = |at: usize| (from..to).contains(&at);
        (0..columns.bar)
            .map(|cell| match (half(cell * 2), half(cell * 2 + 1)) {
                (true, true) => '━',
                (true, false) => '╸',
                (false, true) => '╺',
                (false, false) => ' ',
            })
            .collect()
    }

    /// What the glyph does not say.
    fn note(&self) -> String {
        match self.status {
            JobStatus::Manual => "manual".to_owned(),
            JobStatus::Failed => {
                let reason = self.reason.as_deref().unwrap_or("failed").replace('_', " ");
                if self.allow_failure { format!("{reason}, allowed") } else { reason }
            }
            JobStatus::Success | JobStatus::Running | JobStatus::Created | JobStatus::Pending => {
                match self.needs.as_deref() {
                    Some([]) => "needs nothing".to_owned(),
                    Some([one]) => format!("needs {one}"),
                    Some([one, two]) => format!("needs {one}, {two}"),
                    Some([one, rest @ ..]) => format!("needs {one} and {} more", rest.len()),
                    None => String::new(),
                }
            }
            status => status.to_string().replace('_', " "),
        }
    }
}

/// How a line is divided.
#[derive(Debug)]
struct Columns {
    name: usize,
    bar: usize,
    /// What a full bar means.
    seconds: f64,
}

impl Columns {
    fn of(view: &View, width: usize) -> Self {
        let widest = |texts: &mut dyn Iterator<Item = usize>| texts.max().unwrap_or(0);
        let name = widest(&mut view.jobs().map(|job| job.name.chars().count())).min(MAX_NAME);
        let note = widest(&mut view.jobs().map(|job| job.note().chars().count())).min(MAX_NOTE);
        // Margin, glyph, gaps and the seconds.
        let left = width.saturating_sub(6 + name + 2 + 9 + 2 + note);
        let bar = if left < MIN_BAR { 0 } else { left.min(MAX_BAR) };
        let elapsed = view.elapsed();
        // While it runs, the axis grows by whole seconds, so that bars do not creep.
        let seconds = if view.is_settled() { elapsed } else { (elapsed * 1.25).ceil().max(3.0) };
        Self { name, bar, seconds: seconds.max(0.1) }
    }
}

impl Line {
    fn of(style: Style, text: impl Into<String>) -> Self {
        Self(vec![(style, text.into())])
    }

    fn and(mut self, style: Style, text: &str) -> Self {
        self.0.push((style, text.to_owned()));
        self
    }

    /// At most `width` columns. Control characters would move the cursor, so there are none.
    fn cut(self, width: usize) -> Self {
        let mut left = width;
        let mut cut = Vec::new();
        for (style, text) in self.0 {
            let text: String = text.chars().map(|c| if c.is_control() { '·' } else { c }).collect();
            let count = text.chars().count();
            if count > left {
                cut.push((style, fit(&text, left)));
                break;
            }
            left -= count;
            cut.push((style, text));
        }
        Self(cut)
    }

    /// The text alone.
    pub(super) fn plain(&self) -> String {
        let text: String = self.0.iter().map(|(_, text)| text.as_str()).collect();
        text.trim_end().to_owned()
    }

    /// The text with its styles.
    pub(super) fn styled(&self) -> String {
        self.0.iter().fold(String::new(), |mut line, (style, text)| {
            let _ = write!(line, "{style}{text}{style:#}");
            line
        })
    }
}

/// A status as one character.
fn glyph(status: JobStatus, allow_failure: bool, tick: usize) -> (&'static str, Style) {
    match status {
        JobStatus::Success => ("✔", GREEN),
        JobStatus::Failed if allow_failure => ("!", YELLOW),
        JobStatus::Failed => ("✘", RED),
        JobStatus::Running | JobStatus::Canceling => (SPINNER[tick % SPINNER.len()], BLUE),
        JobStatus::Pending | JobStatus::Preparing => ("◌", YELLOW),
        JobStatus::Manual => ("▶", PLAIN),
        JobStatus::Scheduled => ("◷", PLAIN),
        JobStatus::Canceled => ("⊘", DIM),
        JobStatus::Skipped => ("»", DIM),
        JobStatus::Created | JobStatus::WaitingForResource | JobStatus::WaitingForCallback => ("○", DIM),
    }
}

/// Seconds for people.
pub(super) fn seconds(seconds: f64) -> String {
    if seconds < 60.0 {
        return format!("{seconds:.1} s");
    }
    format!("{:.0}:{:02.0}", (seconds / 60.0).floor(), (seconds % 60.0).floor())
}

/// Exactly `width` characters.
fn fit(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return format!("{text:width$}");
    }
    let mut cut: String = text.chars().take(width.saturating_sub(1)).collect();
    if width > 0 {
        cut.push('…');
    }
    cut
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "bounded"
)]
fn halves_of(share: f64, halves: usize) -> usize {
    (share.clamp(0.0, 1.0) * halves as f64).round() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(name: &str, status: JobStatus, started: f64, duration: f64, needs: Option<&[&str]>) -> JobView {
        let ran = started >= 0.0;
        JobView {
            id: 1,
            name: name.to_owned(),
            status,
            allow_failure: false,
            started: ran.then_some(started),
            duration: ran.then_some(duration),
            needs: needs.map(|needs| needs.iter().map(|&need| need.to_owned()).collect()),
            reason: None,
            log: Vec::new(),
        }
    }

    fn running() -> View {
        use JobStatus as S;
        let stage = |name: &str, jobs| StageView { name: name.to_owned(), jobs };
        let lint = JobView {
            allow_failure: true,
            reason: Some("script_failure".to_owned()),
            log: vec!["scripts/test.sh:6: a tab".to_owned(), "ERROR: Job failed: exit status 3".to_owned()],
            ..job("lint", S::Failed, 0.1, 0.3, Some(&[]))
        };
        View {
            title: "root/greeter · main · 0a1b2c3d".to_owned(),
            status: S::Running,
            stages: vec![
                stage(
                    "build",
                    vec![job("compile", S::Success, 0.1, 1.4, None), job("docs", S::Running, 0.1, 1.9, None)],
                ),
                stage(
                    "test",
                    vec![
                        job("test: [sh, unit]", S::Running, 1.6, 0.4, Some(&["compile"])),
                        job("test: [dash, integration]", S::Pending, -1.0, 0.0, Some(&["compile"])),
                        lint,
                    ],
                ),
                stage(
                    "deploy",
                    vec![
                        job("smoke", S::Created, -1.0, 0.0, Some(&["package", "a", "b"])),
                        job("production", S::Manual, -1.0, 0.0, None),
                    ],
                ),
            ],
            footer: Vec::new(),
        }
    }

    fn ended() -> View {
        let mut view = running();
        view.status = JobStatus::Success;
        for stage in &mut view.stages {
            for job in &mut stage.jobs {
                if matches!(job.status, JobStatus::Running | JobStatus::Pending | JobStatus::Created) {
                    (job.status, job.started, job.duration) = (JobStatus::Success, Some(1.6), Some(1.2));
                }
            }
        }
        view.footer = vec!["The server stays up until Ctrl-C".to_owned()];
        view
    }

    fn plain(view: &View, width: usize, height: usize) -> String {
        let lines = view.lines(Frame { width, height, tick: 2 });
        assert!(lines.len() <= height);
        let plain: Vec<_> = lines.iter().map(Line::plain).collect();
        assert!(plain.iter().all(|line| line.chars().count() <= width));
        plain.join("\n")
    }

    #[test]
    fn a_running_pipeline_shows_what_runs_side_by_side() {
        insta::assert_snapshot!(plain(&running(), 100, 40), @r"
        ⠹ running 2.0 s  root/greeter · main · 0a1b2c3d

        build
          ✔ compile                     ━━━━━━━━━━━━━━━                    1.4 s
          ⠹ docs                        ━━━━━━━━━━━━━━━━━━━━╸              1.9 s

        test
          ⠹ test: [sh, unit]                            ━━━━╸              0.4 s  needs compile
          ◌ test: [dash, integration]                                             needs compile
          ! lint                        ━━━╸                               0.3 s  script failure, allowed

        deploy
          ○ smoke                                                                 needs package and 2 more
          ▶ production                                                            manual

        ! lint ends with
        │ scripts/test.sh:6: a tab
        │ ERROR: Job failed: exit status 3
        ");
    }

    #[test]
    fn an_ended_pipeline_ends_with_a_summary() {
        insta::assert_snapshot!(plain(&ended(), 100, 40), @r"
        ✔ success 2.8 s  root/greeter · main · 0a1b2c3d

        build
          ✔ compile                     ━━━━━━━━━━━━━━━━                   1.4 s
          ✔ docs                                         ╺━━━━━━━━━━━━━    1.2 s

        test
          ✔ test: [sh, unit]                             ╺━━━━━━━━━━━━━    1.2 s  needs compile
          ✔ test: [dash, integration]                    ╺━━━━━━━━━━━━━    1.2 s  needs compile
          ! lint                        ━━━╸                               0.3 s  script failure, allowed

        deploy
          ✔ smoke                                        ╺━━━━━━━━━━━━━    1.2 s  needs package and 2 more
          ▶ production                                                            manual

        ! lint ends with
        │ scripts/test.sh:6: a tab
        │ ERROR: Job failed: exit status 3

        ✔ The pipeline succeeded after 2.8 s: 5 succeeded · 1 failed, which is allowed · 1 manual

        The server stays up until Ctrl-C
        ");
    }

    #[test]
    fn a_narrow_terminal_gets_no_bars_and_short_names() {
        insta::assert_snapshot!(plain(&running(), 44, 40), @r"
        ⠹ running 2.0 s  root/greeter · main · 0a…

        build
          ✔ compile                      1.4 s
          ⠹ docs                         1.9 s

        test
          ⠹ test: [sh, unit]             0.4 s  n…
          ◌ test: [dash, integration]           n…
          ! lint                         0.3 s  s…

        deploy
          ○ smoke                               n…
          ▶ production                          m…

        ! lint ends with
        │ scripts/test.sh:6: a tab
        │ ERROR: Job failed: exit status 3
        ");
    }

    #[test]
    fn a_low_terminal_loses_air_then_traces_then_the_end() {
        insta::assert_snapshot!(plain(&running(), 80, 14), @r"
        ⠹ running 2.0 s  root/greeter · main · 0a1b2c3d
        build
          ✔ compile                    ╺━━━━━          1.4 s
          ⠹ docs                       ╺━━━━━━━        1.9 s
        test
          ⠹ test: [sh, unit]                 ╺━        0.4 s  needs compile
          ◌ test: [dash, integration]                         needs compile
          ! lint                       ╺╸              0.3 s  script failure, allowed
        deploy
          ○ smoke                                             needs package and 2 more
          ▶ production                                        manual
        ! lint ends with
        │ scripts/test.sh:6: a tab
        │ ERROR: Job failed: exit status 3
        ");
        insta::assert_snapshot!(plain(&running(), 80, 11), @r"
        ⠹ running 2.0 s  root/greeter · main · 0a1b2c3d
        build
          ✔ compile                    ╺━━━━━          1.4 s
          ⠹ docs                       ╺━━━━━━━        1.9 s
        test
          ⠹ test: [sh, unit]                 ╺━        0.4 s  needs compile
          ◌ test: [dash, integration]                         needs compile
          ! lint                       ╺╸              0.3 s  script failure, allowed
        deploy
          ○ smoke                                             needs package and 2 more
          ▶ production                                        manual
        ");
        insta::assert_snapshot!(plain(&running(), 80, 5), @r"
        ⠹ running 2.0 s  root/greeter · main · 0a1b2c3d
        build
          ✔ compile                    ╺━━━━━          1.4 s
          ⠹ docs                       ╺━━━━━━━        1.9 s
        … 7 more lines
        ");
    }

    #[test]
    fn every_size_is_kept_to() {
        for width in 0..130 {
            for height in 1..40 {
                plain(&running(), width, height);
                plain(&ended(), width, height);
            }
        }
    }

    #[test]
    fn a_failure_is_red_an_allowed_one_yellow() {
        let failed = job("build", JobStatus::Failed, 0.0, 1.0, None);
        let allowed = JobView { allow_failure: true, ..failed.clone() };
        assert_eq!(failed.glyph(0), ("✘", RED));
        assert_eq!(allowed.glyph(0), ("!", YELLOW));
        assert_eq!(allowed.note(), "failed, allowed");
    }

    #[test]
    fn the_spinner_turns_and_nothing_else_changes() {
        let view = running();
        let [one, two] = [0, 1].map(|tick| view.lines(Frame { width: 80, height: 40, tick }));
        let differ: Vec<_> = (0..one.len()).filter(|&line| one[line] != two[line]).collect();
        assert_eq!(differ, [0, 4, 7]);
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let line = Line::of(PLAIN, "a\u{1b}[2Jb\tc").cut(80);
        assert_eq!(line.plain(), "a·[2Jb·c");
    }

    #[test]
    fn seconds_become_minutes() {
        assert_eq!(
            [0.04, 3.26, 59.94, 61.0, 3600.0].map(seconds),
            ["0.0 s", "3.3 s", "59.9 s", "1:01", "60:00"]
        );
    }
}
