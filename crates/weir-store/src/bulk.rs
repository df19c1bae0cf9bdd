//! Many rows in few statements.

use std::fmt::Write as _;

use crate::{Result, Row, ToValue, Tx, Value, placeholders};

/// How many rows one statement takes. Few sizes, so that few statements are prepared and kept.
const SIZES: [usize; 3] = [100, 10, 1];

/// Cuts `rows` into pieces whose lengths are in [`SIZES`].
fn pieces<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let size = SIZES.into_iter().find(|size| *size <= rows.len())?;
        let (piece, rest) = rows.split_at(size);
        rows = rest;
        Some(piece)
    })
}

fn each_piece<const N: usize>(
    tx: &mut Tx<'_>,
    rows: &[[Value<'_>; N]],
    sql: impl Fn(&str) -> String,
    casts: Option<&[&str; N]>,
) -> Result<Vec<Row>> {
    let mut result = Vec::new();
    for piece in pieces(rows) {
        let mut tuples = String::new();
        for index in 0..piece.len() {
            let separator = if index == 0 { "" } else { ", " };
            match casts {
                // PostgreSQL takes the columns' types from the first tuple.
                Some(casts) if index == 0 => {
                    let cells: Vec<String> = casts
                        .iter()
                        .enumerate()
                        .map(|(column, cast)| format!("CAST(${} AS {cast})", column + 1))
                        .collect();
                    let _ = write!(tuples, "({})", cells.join(", "));
                }
                _ => {
                    let _ = write!(tuples, "{separator}({})", placeholders(index * N + 1, N));
                }
            }
        }
        let params: Vec<&dyn ToValue> = piece.iter().flatten().map(|value| value as &dyn ToValue).collect();
        result.extend(tx.query(&sql(&tuples), &params)?);
    }
    Ok(result)
}

/// `INSERT INTO {into} VALUES (…), (…) {suffix}`; the rows that `suffix` returns, in no order.
pub(crate) fn insert<const N: usize>(
    tx: &mut Tx<'_>,
    into: &str,
    rows: &[[Value<'_>; N]],
    suffix: &str,
) -> Result<Vec<Row>> {
    each_piece(tx, rows, |tuples| format!("INSERT INTO {into} VALUES {tuples} {suffix}"), None)
}

/// `UPDATE {set} FROM (VALUES …) AS v WHERE {on}`, where the columns of `v` are `column1`, `column2`, … of the
/// types in `casts`.
pub(crate) fn update<const N: usize>(
    tx: &mut Tx<'_>,
    set: &str,
    casts: &[&str; N],
    on: &str,
    rows: &[[Value<'_>; N]],
) -> Result<()> {
    let sql = |tuples: &str| format!("UPDATE {set} FROM (VALUES {tuples}) AS v WHERE {on}");
    each_piece(tx, rows, sql, Some(casts)).map(drop)
}

/// Runs a query for many keys: `sql` makes the statement from the list inside `IN (…)`.
pub(crate) fn each_of<K: ToValue>(
    tx: &mut Tx<'_>,
    keys: &[K],
    sql: impl Fn(&str) -> String,
) -> Result<Vec<Row>> {
    let mut result = Vec::new();
    for piece in pieces(keys) {
        let params: Vec<&dyn ToValue> = piece.iter().map(|key| key as &dyn ToValue).collect();
        result.extend(tx.query(&sql(&placeholders(1, piece.len())), &params)?);
    }
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_cut_into_pieces_of_few_sizes() {
        let rows: Vec<u32> = (0..213).collect();
        let lengths: Vec<usize> = pieces(&rows).map(<[u32]>::len).collect();
        assert_eq!(lengths, [100, 100, 10, 1, 1, 1]);
        assert_eq!(pieces(&rows).flatten().copied().collect::<Vec<_>>(), rows);
    }
}
