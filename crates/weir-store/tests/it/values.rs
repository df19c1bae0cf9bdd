//! What goes into the database comes out of it, on both engines alike.

use weir_api::id::{JobId, PipelineId};
use weir_api::{FailureReason, JobStatus, PipelineSource, Timestamp};
use weir_store::{Db, Engine, Error, FromValue, Result, ToValue, params, placeholders};

/// Stores `value` in a column of the type `column` and reads it again.
async fn again<T>(db: &Db, column: &'static str, value: T) -> Result<T>
where
    T: ToValue + Clone + for<'a> FromValue<'a> + Send + 'static,
{
    db.write(move |tx| {
        let column = match (column, tx.engine()) {
            ("BLOB", Engine::Postgres) => "BYTEA",
            (other, _) => other,
        };
        // A table for each type: PostgreSQL's prepared statements remember the columns' types.
        let table = format!("one_{}", column.split(' ').next().unwrap_or_default());
        tx.execute(&format!("CREATE TABLE IF NOT EXISTS {table} (value {column})"), params![])?;
        tx.execute(&format!("INSERT INTO {table} (value) VALUES ($1)"), params![value])?;
        let read = tx.query_one(&format!("SELECT value FROM {table}"), params![])?.get(0);
        tx.execute(&format!("DELETE FROM {table}"), params![])?;
        read
    })
    .await
}

async fn every_type_comes_back_as_it_was(db: Db) {
    macro_rules! same {
        ($column:literal: $($value:expr),* $(,)?) => {$(
            assert_eq!(again(&db, $column, $value).await.unwrap(), $value);
        )*};
    }
    same!("BIGINT": 0_i64, i64::MIN, i64::MAX, -1_i32, u32::MAX, 7_u8, Some(5_i64), None::<i64>);
    same!("BIGINT": PipelineId(7), Some(JobId(8)), None::<JobId>, Timestamp::from_micros(-1));
    same!("TEXT": String::new(), "Größe 📏 'quoted' \\ %".to_owned(), "x".repeat(100_000), None::<String>);
    same!("TEXT": JobStatus::WaitingForResource, PipelineSource::Push, Some(FailureReason::ScriptFailure));
    same!("BOOLEAN": true, false, Some(true), None::<bool>);
    for number in [0.1, f64::MAX, -0.5, f64::MIN_POSITIVE] {
        assert_eq!(again(&db, "DOUBLE PRECISION", number).await.unwrap().to_bits(), number.to_bits());
    }
    same!("BLOB": Vec::<u8>::new(), vec![0_u8, 255, 7], [1_u8; 32], None::<Vec<u8>>);
}

async fn every_status_and_reason_is_stored_by_its_word(db: Db) {
    for status in JobStatus::ALL {
        assert_eq!(again(&db, "TEXT", *status).await.unwrap(), *status);
    }
    for reason in FailureReason::ALL {
        assert_eq!(again(&db, "TEXT", *reason).await.unwrap(), *reason);
    }
}

async fn a_column_of_another_type_is_an_error_not_a_guess(db: Db) {
    db.write(|tx| {
        tx.execute("CREATE TABLE t (n BIGINT, word TEXT, none TEXT)", params![])?;
        tx.execute("INSERT INTO t VALUES (300, 'running late', NULL)", params![])
    })
    .await
    .unwrap();
    let row = db.read(|tx| tx.query_one("SELECT n, word, none FROM t", params![])).await.unwrap();
    let problem = |result: Result<(), Error>| match result {
        Err(Error::Column { index, problem }) => format!("{index}: {problem}"),
        other => format!("{other:?}"),
    };
    assert_eq!(problem(row.get::<u8>(0).map(drop)), "0: 300 does not fit u8");
    assert_eq!(problem(row.get::<bool>(0).map(drop)), "0: expected a boolean, found an integer");
    assert_eq!(problem(row.get::<i64>(1).map(drop)), "1: expected an integer, found a text");
    assert_eq!(problem(row.get::<JobStatus>(1).map(drop)), "1: `running late` is not a status");
    assert_eq!(problem(row.get::<String>(2).map(drop)), "2: expected a text, found NULL");
    assert!(matches!(row.get::<i64>(3), Err(Error::Column { index: 3, .. })));
}

async fn parameters_go_by_number_not_by_order(db: Db) {
    let row = db.read(|tx| {
        tx.query_one(
            "SELECT CAST($2 AS TEXT), CAST($1 AS BIGINT), CAST($2 AS TEXT), CAST($3 AS BOOLEAN)",
            params![1_i64, "two", true],
        )
    });
    let row = row.await.unwrap();
    assert_eq!((row.get::<&str>(0).unwrap(), row.get::<i64>(1).unwrap()), ("two", 1));
    assert_eq!((row.get::<&str>(2).unwrap(), row.get::<bool>(3).unwrap()), ("two", true));
}

async fn a_wrong_number_of_parameters_is_an_error(db: Db) {
    let sql = "SELECT CAST($1 AS BIGINT), CAST($2 AS BIGINT)";
    assert!(db.read(move |tx| tx.query(sql, params![1_i64])).await.is_err());
    assert!(db.read(move |tx| tx.query(sql, params![1_i64, 2_i64, 3_i64])).await.is_err());
}

async fn texts_are_ordered_by_their_bytes(db: Db) {
    let words = ["b", "B", "a", "Z", "ä", "_", "10", "9"];
    let ordered = db.write(move |tx| {
        tx.execute("CREATE TABLE words (word TEXT)", params![])?;
        for word in words {
            tx.execute("INSERT INTO words VALUES ($1)", params![word])?;
        }
        let rows = tx.query("SELECT word FROM words ORDER BY word", params![])?;
        rows.iter().map(|row| row.get::<String>(0)).collect::<Result<Vec<_>>>()
    });
    let mut expected = words;
    expected.sort_unstable();
    assert_eq!(ordered.await.unwrap(), expected);
}

async fn lists_and_json_have_their_helpers(db: Db) {
    db.write(|tx| {
        tx.execute("CREATE TABLE t (id BIGINT, data TEXT)", params![])?;
        for id in 1..=5_i64 {
            tx.execute("INSERT INTO t VALUES ($1, $2)", params![id, format!("[{id}, {id}]")])?;
        }
        let sql = format!("SELECT data FROM t WHERE id IN ({}) ORDER BY id", placeholders(1, 2));
        let rows = tx.query(&sql, params![2_i64, 4_i64])?;
        let lists = rows.iter().map(|row| row.json(0)).collect::<Result<Vec<Vec<i64>>>>()?;
        assert_eq!(lists, [[2, 2], [4, 4]]);
        assert!(matches!(rows[0].json::<String>(0), Err(Error::Json(_))));
        Ok::<_, Error>(())
    })
    .await
    .unwrap();
}

weir_store::on_each_database![
    every_type_comes_back_as_it_was,
    every_status_and_reason_is_stored_by_its_word,
    a_column_of_another_type_is_an_error_not_a_guess,
    parameters_go_by_number_not_by_order,
    a_wrong_number_of_parameters_is_an_error,
    texts_are_ordered_by_their_bytes,
    lists_and_json_have_their_helpers,
];
