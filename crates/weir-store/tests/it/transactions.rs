//! What a transaction promises.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use weir_store::testing::Fresh;
use weir_store::{Db, Engine, Error, Result, Tx, params};

async fn with_words(db: &Db) {
    db.write(|tx| {
        tx.execute("CREATE TABLE words (id BIGINT PRIMARY KEY, word TEXT NOT NULL UNIQUE)", params![])?;
        Ok::<_, Error>(())
    })
    .await
    .unwrap();
}

fn add(tx: &mut Tx<'_>, id: i64, word: &str) -> Result<()> {
    tx.execute("INSERT INTO words (word, id) VALUES ($2, $1)", params![id, word])?;
    Ok(())
}

fn words(tx: &mut Tx<'_>) -> Result<Vec<String>> {
    tx.query("SELECT word FROM words ORDER BY id", params![])?.iter().map(|row| row.get(0)).collect()
}

async fn what_is_written_is_read(db: Db) {
    with_words(&db).await;
    db.write(|tx| add(tx, 1, "one")).await.unwrap();
    assert_eq!(db.read(words).await.unwrap(), ["one"]);
}

async fn an_error_rolls_back_the_whole_transaction(db: Db) {
    with_words(&db).await;
    let refused: Result<()> = db
        .write(|tx| {
            add(tx, 1, "one")?;
            Err(Error::NoRow)
        })
        .await;
    assert!(matches!(refused, Err(Error::NoRow)));
    assert!(db.read(words).await.unwrap().is_empty());
}

async fn a_panic_rolls_back_and_becomes_an_error(db: Db) {
    with_words(&db).await;
    let panicked: Result<()> = db
        .write(|tx| {
            add(tx, 1, "one")?;
            panic!("no such luck")
        })
        .await;
    assert!(matches!(panicked, Err(Error::Panicked(text)) if text == "no such luck"));
    db.write(|tx| add(tx, 2, "two")).await.unwrap();
    assert_eq!(db.read(words).await.unwrap(), ["two"]);
}

async fn a_transaction_whose_statement_failed_cannot_commit(db: Db) {
    with_words(&db).await;
    let result = db
        .write(|tx| {
            add(tx, 1, "one")?;
            assert!(matches!(add(tx, 2, "one"), Err(Error::Conflict { .. })));
            assert!(matches!(add(tx, 3, "three"), Err(Error::Aborted)));
            Ok::<_, Error>(())
        })
        .await;
    assert!(matches!(result, Err(Error::Aborted)));
    assert!(db.read(words).await.unwrap().is_empty());
}

async fn a_savepoint_survives_a_failure_within(db: Db) {
    with_words(&db).await;
    db.write(|tx| {
        add(tx, 1, "one")?;
        let inner = tx.savepoint(|tx| {
            add(tx, 2, "two")?;
            add(tx, 3, "one")
        });
        assert!(matches!(inner, Err(Error::Conflict { .. })));
        tx.savepoint(|tx| add(tx, 4, "four"))
    })
    .await
    .unwrap();
    assert_eq!(db.read(words).await.unwrap(), ["one", "four"]);
}

async fn a_read_cannot_write(db: Db) {
    with_words(&db).await;
    assert!(matches!(db.read(|tx| add(tx, 1, "one")).await, Err(Error::Database { .. })));
}

async fn a_unique_violation_says_what_must_be_unique(db: Db) {
    db.write(|tx| {
        tx.execute("CREATE TABLE t (a BIGINT PRIMARY KEY, b TEXT, c TEXT, UNIQUE (b, c))", params![])?;
        tx.execute("INSERT INTO t VALUES (1, 'x', 'y')", params![])?;
        tx.execute("CREATE TABLE u (a TEXT)", params![])?;
        tx.execute("CREATE UNIQUE INDEX u_lower ON u (lower(a))", params![])?;
        tx.execute("INSERT INTO u VALUES ('x')", params![])
    })
    .await
    .unwrap();
    for (insert, expected) in [
        ("INSERT INTO t VALUES (1, 'a', 'b')", "t.a"),
        ("INSERT INTO t VALUES (2, 'x', 'y')", "t.b, t.c"),
        ("INSERT INTO u VALUES ('X')", "index 'u_lower'"),
    ] {
        let refused = db.write(move |tx| tx.execute(insert, params![])).await;
        assert!(matches!(refused, Err(Error::Conflict { constraint }) if constraint == expected), "{insert}");
    }
}

async fn a_foreign_key_violation_is_told_from_other_failures(db: Db) {
    db.write(|tx| {
        tx.execute("CREATE TABLE parents (id BIGINT PRIMARY KEY)", params![])?;
        tx.execute("CREATE TABLE children (parent_id BIGINT NOT NULL REFERENCES parents (id))", params![])?;
        tx.execute("INSERT INTO parents VALUES (1)", params![])?;
        tx.execute("INSERT INTO children VALUES (1)", params![])
    })
    .await
    .unwrap();
    for sql in ["INSERT INTO children VALUES (2)", "DELETE FROM parents"] {
        let refused = db.write(move |tx| tx.execute(sql, params![])).await;
        assert!(matches!(refused, Err(Error::ForeignKey { .. })), "{sql}");
    }
    for sql in ["INSERT INTO children VALUES (NULL)", "INSERT INTO nowhere VALUES (1)", "nonsense"] {
        let refused = db.write(move |tx| tx.execute(sql, params![])).await;
        assert!(matches!(refused, Err(Error::Database { .. })), "{sql}");
    }
}

/// What a use case returns: its own refusals, and the store's errors.
#[derive(Debug, PartialEq)]
enum Refusal {
    NotAllowed,
    Store(String),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Store(error.to_string())
    }
}

async fn a_callers_own_error_rolls_back_and_comes_back(db: Db) {
    with_words(&db).await;
    let refused: Result<(), Refusal> = db
        .write(|tx| {
            add(tx, 1, "one")?;
            Err(Refusal::NotAllowed)
        })
        .await;
    assert_eq!(refused, Err(Refusal::NotAllowed));
    let failed: Result<(), Refusal> = db.write(|tx| Ok(add(tx, 1, "a\0b")?)).await;
    assert_eq!(failed, Err(Refusal::Store(Error::NulInText.to_string())));
    assert!(db.read(words).await.unwrap().is_empty());
}

async fn concurrent_writes_of_one_row_lose_nothing(db: Db) {
    with_words(&db).await;
    db.write(|tx| add(tx, 0, "counter")).await.unwrap();
    let increment = || {
        db.write(|tx| {
            let sql = format!("SELECT id FROM words WHERE word = $1{}", tx.for_update());
            let id: i64 = tx.query_one(&sql, params!["counter"])?.get(0)?;
            tx.execute("UPDATE words SET id = $1 WHERE word = $2", params![id + 1, "counter"])
        })
    };
    for changed in futures_util::future::join_all((0..50).map(|_| increment())).await {
        assert_eq!(changed.unwrap(), 1);
    }
    let last: i64 = db.read(|tx| tx.query_one("SELECT id FROM words", params![])?.get(0)).await.unwrap();
    assert_eq!(last, 50);
}

async fn each_row_is_claimed_by_one(db: Db) {
    with_words(&db).await;
    db.write(|tx| (0..30).try_for_each(|id| add(tx, id, &id.to_string()))).await.unwrap();
    let claim = || {
        db.write(|tx| {
            let lock = tx.for_update_skip_locked();
            let Some(row) =
                tx.query_opt(&format!("SELECT id FROM words ORDER BY id LIMIT 1{lock}"), params![])?
            else {
                return Ok(None);
            };
            let id: i64 = row.get(0)?;
            tx.execute("DELETE FROM words WHERE id = $1", params![id])?;
            Ok::<_, Error>(Some(id))
        })
    };
    let mut claimed = Vec::new();
    while claimed.len() < 30 {
        for id in futures_util::future::join_all((0..8).map(|_| claim())).await {
            claimed.extend(id.unwrap());
        }
    }
    claimed.sort_unstable();
    assert_eq!(claimed, (0..30).collect::<Vec<_>>());
}

weir_store::on_each_database![
    what_is_written_is_read,
    an_error_rolls_back_the_whole_transaction,
    a_panic_rolls_back_and_becomes_an_error,
    a_transaction_whose_statement_failed_cannot_commit,
    a_savepoint_survives_a_failure_within,
    a_read_cannot_write,
    a_unique_violation_says_what_must_be_unique,
    a_foreign_key_violation_is_told_from_other_failures,
    a_callers_own_error_rolls_back_and_comes_back,
    concurrent_writes_of_one_row_lose_nothing,
    each_row_is_claimed_by_one,
];

#[tokio::test]
async fn a_read_sees_one_snapshot() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let Some(fresh) = Fresh::on(engine).await.unwrap() else { continue };
        let db = fresh.open().await.unwrap();
        with_words(&db).await;
        let url = fresh.url().to_owned();
        let seen = db.read(move |tx| {
            let before = words(tx)?;
            // Someone else writes in between, as from another server.
            let other = std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    let db = Db::open(&url.parse().unwrap()).await.unwrap();
                    db.write(|tx| add(tx, 1, "one")).await.unwrap();
                });
            });
            other.join().unwrap();
            Ok::<_, Error>((before, words(tx)?))
        });
        assert_eq!(seen.await.unwrap(), (vec![], vec![]));
        assert_eq!(db.read(words).await.unwrap(), ["one"]);
        fresh.remove().await.unwrap();
    }
}

#[tokio::test]
async fn what_is_committed_is_there_after_a_restart() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let Some(fresh) = Fresh::on(engine).await.unwrap() else { continue };
        let db = fresh.open().await.unwrap();
        with_words(&db).await;
        db.write(|tx| add(tx, 1, "one")).await.unwrap();
        drop(db);
        assert_eq!(fresh.open().await.unwrap().read(words).await.unwrap(), ["one"]);
        fresh.remove().await.unwrap();
    }
}

#[tokio::test]
async fn a_serialization_failure_runs_the_transaction_again() {
    let Some(fresh) = Fresh::on(Engine::Postgres).await.unwrap() else { return };
    let db = fresh.open().await.unwrap();
    with_words(&db).await;
    for (failures, expected) in [(2, Ok(3)), (9, Err(5))] {
        let attempts = Arc::new(AtomicI64::new(0));
        let counter = attempts.clone();
        let result = db.write(move |tx| {
            let attempt = counter.fetch_add(1, Ordering::Relaxed) + 1;
            add(tx, 10 * failures + attempt, &format!("after {failures} failures"))?;
            if attempt <= failures {
                let raise = "DO $$ BEGIN RAISE EXCEPTION 'try again' USING ERRCODE = '40001'; END $$";
                tx.execute(raise, params![])?;
            }
            Ok::<_, Error>(attempt)
        });
        let result = result.await.map_err(|error| {
            assert!(error.is_transient(), "{error}");
            attempts.load(Ordering::Relaxed)
        });
        assert_eq!(result, expected);
        assert_eq!(attempts.load(Ordering::Relaxed), result.unwrap_or_else(|attempts| attempts));
    }
    assert_eq!(db.read(words).await.unwrap(), ["after 2 failures"]);
    fresh.remove().await.unwrap();
}
