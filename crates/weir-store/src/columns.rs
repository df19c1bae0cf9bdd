//! Reading wide rows in the order of their column list.

use crate::{FromValue, Result, Row};

/// The columns of a row, one after the other.
pub(crate) struct Columns<'r> {
    row: &'r Row,
    next: usize,
}

impl<'r> Columns<'r> {
    pub(crate) fn of(row: &'r Row) -> Self {
        Self { row, next: 0 }
    }

    /// The next column.
    pub(crate) fn next<T: FromValue<'r>>(&mut self) -> Result<T> {
        let index = self.next;
        self.next += 1;
        self.row.get(index)
    }

    /// The next column, a number of seconds or NULL.
    pub(crate) fn seconds(&mut self) -> Result<Option<u64>> {
        let seconds: Option<i64> = self.next()?;
        Ok(seconds.and_then(|seconds| u64::try_from(seconds).ok()))
    }

    /// The next column, which holds JSON.
    pub(crate) fn json<T: serde::Deserialize<'r>>(&mut self) -> Result<T> {
        let index = self.next;
        self.next += 1;
        self.row.json(index)
    }
}

/// Reads every row with `read`.
pub(crate) fn all<T>(rows: &[Row], read: impl Fn(&Row) -> Result<T>) -> Result<Vec<T>> {
    rows.iter().map(read).collect()
}
