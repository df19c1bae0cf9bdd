//! Figures, their medians and their table.

use std::fmt;
use std::time::Duration;

/// What was measured, each the median of its rounds.
#[derive(Debug, Default)]
pub(crate) struct Table(Vec<Line>);

#[derive(Debug)]
struct Line {
    what: String,
    median: String,
    range: String,
    goal: String,
}

impl Table {
    /// Adds a duration; `goal` is the longest that it should take.
    pub(crate) fn duration(&mut self, what: impl Into<String>, rounds: &[Duration], goal: Option<Duration>) {
        let millis: Vec<f64> = rounds.iter().map(|round| round.as_secs_f64() * 1e3).collect();
        self.figure(what, &millis, "ms", goal.map(|goal| goal.as_secs_f64() * 1e3));
    }

    /// Adds a figure of some `unit`; `goal` is the largest that it should be.
    pub(crate) fn figure(&mut self, what: impl Into<String>, rounds: &[f64], unit: &str, goal: Option<f64>) {
        let mut sorted = rounds.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let (Some(first), Some(last)) = (sorted.first(), sorted.last()) else { return };
        let median = sorted[sorted.len() / 2];
        let goal = match goal {
            Some(goal) if median <= goal => format!("{} {unit}: met", digits(goal)),
            Some(goal) => format!("{} {unit}: **missed**", digits(goal)),
            None => String::new(),
        };
        self.0.push(Line {
            what: what.into(),
            median: format!("{} {unit}", digits(median)),
            range: format!("{} to {}", digits(*first), digits(*last)),
            goal,
        });
    }
}

/// A number with as many digits as mean something.
fn digits(number: f64) -> String {
    let decimals = match number.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    format!("{number:.decimals$}")
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<[&str; 4]> = std::iter::once(["measured", "median", "range", "goal"])
            .chain(self.0.iter().map(|line| [&*line.what, &*line.median, &*line.range, &*line.goal]))
            .collect();
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
        let (first, second, third, fourth) = (width(0), width(1), width(2), width(3));
        for (number, [what, median, range, goal]) in lines.iter().enumerate() {
            if number == 1 {
                let dashes = |width: usize| "-".repeat(width + 1);
                let (a, b) = (dashes(first), dashes(second));
                writeln!(f, "|{a}-|{b}:|{}:|{}-|", dashes(third), dashes(fourth))?;
            }
            writeln!(f, "| {what:first$} | {median:>second$} | {range:>third$} | {goal:fourth$} |")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_shows_medians_ranges_and_whether_goals_are_met() {
        let mut table = Table::default();
        let millis = |all: [u64; 3]| all.map(Duration::from_millis);
        table.duration("start", &millis([30, 10, 20]), Some(Duration::from_millis(50)));
        table.duration("push", &millis([160, 150, 170]), Some(Duration::from_millis(150)));
        table.figure("rate", &[1234.5], "/s", None);
        assert_eq!(
            table.to_string(),
            "\
| measured |  median |        range | goal               |
|----------|--------:|-------------:|--------------------|
| start    | 20.0 ms | 10.0 to 30.0 | 50.0 ms: met       |
| push     |  160 ms |   150 to 170 | 150 ms: **missed** |
| rate     | 1234 /s | 1234 to 1234 |                    |
"
        );
    }
}
