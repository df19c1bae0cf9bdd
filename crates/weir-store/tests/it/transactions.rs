//! What a transaction promises.

use weir_store::{Db, Error, Result, Tx, params};

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

weir_store::on_each_database![
    what_is_written_is_read,
    an_error_rolls_back_the_whole_transaction,
    a_panic_rolls_back_and_becomes_an_error,
    a_transaction_whose_statement_failed_cannot_commit,
    a_savepoint_survives_a_failure_within,
    a_read_cannot_write,
];
