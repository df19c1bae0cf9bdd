//! Many rows in few statements.

use std::fmt::Write as _;

use crate::{Result, Row, ToValue, Tx, Value, placeholders};

/// How many rows one statement takes. Few sizes, so that few statements are prepared and kept; none very large,
/// because SQLite walks the list of a statement's parameters for each of them.
const SIZES: [usize; 3] = [32, 8, 1];

/// Cuts `rows` into pieces whose lengths are in [`SIZES`].
fn pieces<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let size = SIZES.into_iter().find(|size| *size <= rows.len())?;
        let (piece, rest) = rows.split_at(size);
        rows = rest;
        Some(piece)
    })
}

/// `(…), (…)` for `rows` rows of `columns` columns; the cells of the first are cast, if types are given.
fn tuples(rows: usize, columns: usize, types: &[&str]) -> String {
    let mut text = String::new();
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ", (" });
        for column in 0..columns {
            let separator = if column == 0 { "" } else { ", " };
            let number = row * columns + column + 1;
            // Writing to a String cannot fail.
            let _ = match types.get(column) {
                Some(kind) if row == 0 => write!(text, "{separator}CAST(${number} AS {kind})"),
                _ => write!(text, "{separator}${number}"),
            };
        }
        text.push(')');
    }
    text
}

fn each_piece<const N: usize>(
    tx: &mut Tx<'_>,
    rows: &[[Value<'_>; N]],
    types: &[&str],
    sql: impl Fn(&str) -> String,
) -> Result<Vec<Row>> {
    let mut result = Vec::new();
    let (mut length, mut statement) = (0, String::new());
    for piece in pieces(rows) {
        if piece.len() != length {
            length = piece.len();
            statement = sql(&tuples(length, N, types));
        }
        let params: Vec<&dyn ToValue> = piece.iter().flatten().map(|value| value as &dyn ToValue).collect();
        result.extend(tx.query(&statement, &params)?);
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
    each_piece(tx, rows, &[], |tuples| format!("INSERT INTO {into} VALUES {tuples} {suffix}"))
}

/// `{head} (VALUES (…), (…)) AS v {tail}`, where the columns of `v` are `column1`, `column2`, … of the types
/// given; the rows that it returns, in no order. PostgreSQL takes the columns' types from the first row.
pub(crate) fn with_values<const N: usize>(
    tx: &mut Tx<'_>,
    head: &str,
    types: &[&str; N],
    rows: &[[Value<'_>; N]],
    tail: &str,
) -> Result<Vec<Row>> {
    each_piece(tx, rows, types, |tuples| format!("{head} (VALUES {tuples}) AS v {tail}"))
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
    fn the_first_row_names_the_types() {
        assert_eq!(tuples(2, 2, &["BIGINT", "TEXT"]), "(CAST($1 AS BIGINT), CAST($2 AS TEXT)), ($3, $4)");
        assert_eq!(tuples(2, 1, &[]), "($1), ($2)");
    }

    #[test]
    fn rows_are_cut_into_pieces_of_few_sizes() {
        let rows: Vec<u32> = (0..75).collect();
        let lengths: Vec<usize> = pieces(&rows).map(<[u32]>::len).collect();
        assert_eq!(lengths, [32, 32, 8, 1, 1, 1]);
        assert_eq!(pieces(&rows).flatten().copied().collect::<Vec<_>>(), rows);
    }
}
