//! SQLite: one writer thread that groups transactions, readers on the calling thread.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::hooks::Wal;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::oneshot;

use super::migrate::{Migration, migrate};
use super::tx::Tx;
use super::value::{Row, Value};
use super::{Durability, Options};
use crate::error::{Error, Result};

/// At most so many writes share one commit.
const GROUP_WRITES: usize = 256;
/// No further write joins a group that is open for so long.
const GROUP_TIME: Duration = Duration::from_millis(5);
/// Idle connections that are kept for readers; each may hold 2 MiB of pages.
const IDLE_READERS: usize = 4;
/// Whenever the log has grown by so many pages (4 MiB), the checkpointer copies it into the database.
const CHECKPOINT_PAGES: i32 = 1_000;
/// A page's size in bytes.
const PAGE: i32 = 4096;
/// The writer itself does it at so many pages (64 MiB), so that the log begins anew even under steady load.
const LONGEST_LOG: i32 = 16_000;
/// Prepared statements kept by each connection.
const STATEMENTS: usize = 256;

/// An open SQLite database.
pub(super) struct Sqlite {
    path: PathBuf,
    writer: mpsc::Sender<Box<dyn Write>>,
    readers: Mutex<Vec<Connection>>,
}

impl Sqlite {
    pub(super) fn open(path: &Path, options: &Options, migrations: &[Migration]) -> Result<Self> {
        let mut connection = connect(path, OpenFlags::default())?;
        // FULL flushes the log at each commit; with NORMAL the last commits before a power cut may be lost.
        let synchronous = match options.durability {
            Durability::Full => "FULL",
            Durability::Relaxed => "NORMAL",
        };
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", synchronous)?;
        connection.pragma_update(None, "journal_size_limit", LONGEST_LOG * PAGE)?;
        in_transaction(&connection, "BEGIN IMMEDIATE", |tx| migrate(tx, migrations))?;
        let (grown, checkpoints) = mpsc::sync_channel(1);
        watch_log(&mut connection, grown)?;
        let checkpointer = connect(path, OpenFlags::default())?;
        checkpointer.pragma_update(None, "synchronous", synchronous)?;
        let (writer, writes) = mpsc::channel();
        thread("weir-checkpoint", move || checkpoint_all(&checkpointer, &checkpoints))?;
        thread("weir-writer", move || write_all(&connection, &writes, GROUP_TIME))?;
        Ok(Self { path: path.to_owned(), writer, readers: Mutex::default() })
    }

    pub(super) async fn write<T, E, F>(&self, f: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: Fn(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    {
        let gone = || Error::database("the writer of the database has ended");
        let (reply, answer) = oneshot::channel();
        self.writer.send(Box::new(Waiting { f, result: None, reply })).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    pub(super) fn read<T, E: From<Error>>(
        &self,
        f: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let idle = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => connect(&self.path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?,
        };
        let result = in_transaction(&connection, "BEGIN DEFERRED", f);
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if readers.len() < IDLE_READERS && connection.is_autocommit() {
            readers.push(connection);
        }
        result
    }
}

fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> Result<()> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map_err(|error| Error::database(format!("no thread {name}: {error}")))?;
    Ok(())
}

/// Asks for a checkpoint when the writer's log has grown. SQLite would otherwise make the writer do it, while
/// every write waits for its flushes.
fn watch_log(writer: &mut Connection, grown: mpsc::SyncSender<()>) -> Result<()> {
    let mut due = CHECKPOINT_PAGES;
    writer.wal_hook(Some(move |wal: &mut Wal, pages| {
        // The commit is done: an error from here would deny it. The next commit tries again.
        if pages >= LONGEST_LOG
            && let Err(error) = wal.checkpoint()
        {
            tracing::debug!(%error, "the writer could not copy the log back");
        }
        if pages < due - CHECKPOINT_PAGES {
            due = CHECKPOINT_PAGES;
        }
        if pages >= due {
            due = pages + CHECKPOINT_PAGES;
            // If it is full, a checkpoint is about to begin anyway.
            let _full = grown.try_send(());
        }
        Ok(())
    }))?;
    Ok(())
}

/// Copies the log into the database, without being in anyone's way, until the writer is gone.
fn checkpoint_all(connection: &Connection, checkpoints: &mpsc::Receiver<()>) {
    while checkpoints.recv().is_ok() {
        let passive = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        if let Err(error) = passive {
            tracing::warn!(%error, "the write-ahead log could not be copied into the database");
        }
    }
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection> {
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    // Without it the bundled SQLite prepares a cached join anew at each use, because bindings may change plans.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // In KiB. The system caches the rest; memory of one's own would not be given back when idle.
    connection.pragma_update(None, "cache_size", -2048)?;
    Ok(connection)
}

/// Runs `f` in a transaction of its own; commits if it succeeds.
fn in_transaction<T, E: From<Error>>(
    connection: &Connection,
    begin: &str,
    f: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
) -> Result<T, E> {
    run(connection, begin)?;
    let mut tx = Tx::sqlite(connection);
    let result = guarded(|| f(&mut tx)).and_then(|value| {
        tx.finish()?;
        run(connection, "COMMIT")?;
        Ok(value)
    });
    if result.is_err() && !connection.is_autocommit() {
        run(connection, "ROLLBACK")?;
    }
    result
}

/// A panic becomes an error.
pub(super) fn guarded<T, E: From<Error>>(f: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "unknown".to_owned());
        Err(Error::Panicked(text).into())
    })
}

fn run(connection: &Connection, sql: &str) -> Result<()> {
    connection.prepare_cached(sql)?.execute([])?;
    Ok(())
}

/// A write that waits for the writer, with its types erased.
trait Write: Send {
    /// Runs it in the open transaction.
    fn run(&mut self, tx: &mut Tx<'_>) -> bool;
    /// Answers it once the transaction that held it is over.
    fn answer(self: Box<Self>, commit: Result<()>);
}

struct Waiting<T, E, F> {
    f: F,
    result: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<T, E, F> Write for Waiting<T, E, F>
where
    T: Send,
    E: From<Error> + Send,
    F: Fn(&mut Tx<'_>) -> Result<T, E> + Send,
{
    fn run(&mut self, tx: &mut Tx<'_>) -> bool {
        let result = guarded(|| {
            let value = (self.f)(tx)?;
            tx.finish()?;
            Ok(value)
        });
        let done = result.is_ok();
        self.result = Some(result);
        done
    }

    fn answer(self: Box<Self>, commit: Result<()>) {
        let result = match (self.result, commit) {
            (Some(Err(error)), _) => Err(error),
            (_, Err(error)) => Err(error.into()),
            (Some(Ok(value)), Ok(())) => Ok(value),
            (None, Ok(())) => Err(Error::database("a write was not run").into()),
        };
        // Whoever asked may have gone away; the write stands all the same.
        let _gone = self.reply.send(result);
    }
}

/// The writer: takes what waits, as one transaction with one flush, until nobody can ask any more.
fn write_all(connection: &Connection, writes: &mpsc::Receiver<Box<dyn Write>>, group_time: Duration) {
    while let Ok(first) = writes.recv() {
        let mut group = Vec::new();
        let commit = write_group(connection, first, writes, group_time, &mut group);
        if commit.is_err() && !connection.is_autocommit() {
            // A failed rollback leaves a transaction in which the next BEGIN fails and says so.
            if let Err(error) = run(connection, "ROLLBACK") {
                tracing::error!(%error, "a transaction could not be rolled back");
            }
        }
        for write in group {
            write.answer(commit.clone());
        }
    }
}

fn write_group(
    connection: &Connection,
    first: Box<dyn Write>,
    writes: &mpsc::Receiver<Box<dyn Write>>,
    group_time: Duration,
    group: &mut Vec<Box<dyn Write>>,
) -> Result<()> {
    group.push(first);
    run(connection, "BEGIN IMMEDIATE")?;
    let start = Instant::now();
    loop {
        run(connection, "SAVEPOINT one_write")?;
        let done = group.last_mut().is_some_and(|write| write.run(&mut Tx::sqlite(connection)));
        if !done {
            run(connection, "ROLLBACK TO SAVEPOINT one_write")?;
        }
        run(connection, "RELEASE SAVEPOINT one_write")?;
        if group.len() >= GROUP_WRITES || start.elapsed() >= group_time {
            break;
        }
        match writes.try_recv() {
            Ok(next) => group.push(next),
            Err(_) => break,
        }
    }
    run(connection, "COMMIT")
}

pub(super) fn execute(connection: &Connection, sql: &str, params: &[Value<'_>]) -> Result<u64> {
    let mut statement = connection.prepare_cached(sql)?;
    bind(&mut statement, params)?;
    Ok(statement.raw_execute()? as u64)
}

pub(super) fn query(connection: &Connection, sql: &str, params: &[Value<'_>]) -> Result<Vec<Row>> {
    let mut statement = connection.prepare_cached(sql)?;
    bind(&mut statement, params)?;
    let width = statement.column_count();
    let mut rows = statement.raw_query();
    let mut result = Vec::new();
    while let Some(row) = rows.next()? {
        result.push(Row::sqlite(row, width)?);
    }
    Ok(result)
}

/// SQLite numbers `$n` in order of appearance; the name says which parameter is meant.
fn bind(statement: &mut rusqlite::Statement<'_>, params: &[Value<'_>]) -> Result<()> {
    let mut highest = 0;
    for index in 1..=statement.parameter_count() {
        let name = statement.parameter_name(index).unwrap_or_default();
        let number: usize = name
            .strip_prefix('$')
            .and_then(|number| number.parse().ok())
            .ok_or_else(|| Error::database(format!("parameter `{name}` is not of the form $1")))?;
        let value = number.checked_sub(1).and_then(|n| params.get(n)).copied();
        let value = value.ok_or_else(|| Error::database(format!("no value for parameter {name}")))?;
        statement.raw_bind_parameter(index, value)?;
        highest = highest.max(number);
    }
    if highest == params.len() {
        Ok(())
    } else {
        Err(Error::database(format!("{} values for {highest} parameters", params.len())))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::params;

    /// A writer that is not running yet, so that a test decides what waits for it.
    struct Writer {
        connection: Connection,
        commits: Arc<AtomicUsize>,
        sender: mpsc::Sender<Box<dyn Write>>,
        writes: mpsc::Receiver<Box<dyn Write>>,
        _directory: tempfile::TempDir,
    }

    impl Writer {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let mut connection = connect(&directory.path().join("weir.db"), OpenFlags::default()).unwrap();
            connection
                .execute_batch(
                    "PRAGMA journal_mode = WAL;
                     CREATE TABLE words (word TEXT PRIMARY KEY);
                     CREATE TABLE uses (word TEXT REFERENCES words (word) DEFERRABLE INITIALLY DEFERRED)",
                )
                .unwrap();
            let commits = Arc::new(AtomicUsize::new(0));
            let counter = commits.clone();
            let count = move || {
                counter.fetch_add(1, Ordering::Relaxed);
                false
            };
            connection.commit_hook(Some(count)).unwrap();
            let (sender, writes) = mpsc::channel();
            Self { connection, commits, sender, writes, _directory: directory }
        }

        fn enqueue(
            &self,
            f: impl Fn(&mut Tx<'_>) -> Result<()> + Send + 'static,
        ) -> oneshot::Receiver<Result<()>> {
            let (reply, answer) = oneshot::channel();
            self.sender.send(Box::new(Waiting { f, result: None, reply })).unwrap();
            answer
        }

        /// Runs all that was enqueued; the words that are there then, and the number of commits.
        fn run(self) -> (Vec<String>, usize) {
            drop(self.sender);
            write_all(&self.connection, &self.writes, Duration::MAX);
            let mut words = self.connection.prepare("SELECT word FROM words ORDER BY word").unwrap();
            let words = words.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
            (words, self.commits.load(Ordering::Relaxed))
        }
    }

    fn add(tx: &mut Tx<'_>, word: &str) -> Result<()> {
        tx.execute("INSERT INTO words (word) VALUES ($1)", params![word])?;
        Ok(())
    }

    #[test]
    fn writes_that_wait_share_one_commit_and_a_failed_one_is_left_out() {
        let writer = Writer::new();
        let one = writer.enqueue(|tx| add(tx, "one"));
        let refused = writer.enqueue(|tx| {
            add(tx, "refused")?;
            Err(Error::NoRow)
        });
        let conflict = writer.enqueue(|tx| {
            add(tx, "conflict")?;
            add(tx, "one")
        });
        let panicked = writer.enqueue(|tx| {
            add(tx, "panicked")?;
            panic!("no such luck")
        });
        let two = writer.enqueue(|tx| add(tx, "two"));
        assert_eq!(writer.run(), (vec!["one".to_owned(), "two".to_owned()], 1));
        assert!(one.blocking_recv().unwrap().is_ok());
        assert!(matches!(refused.blocking_recv().unwrap(), Err(Error::NoRow)));
        assert!(matches!(conflict.blocking_recv().unwrap(), Err(Error::Conflict { .. })));
        assert!(matches!(panicked.blocking_recv().unwrap(), Err(Error::Panicked(_))));
        assert!(two.blocking_recv().unwrap().is_ok());
    }

    #[test]
    fn a_failed_commit_answers_its_whole_group_with_the_error() {
        let writer = Writer::new();
        let good = writer.enqueue(|tx| add(tx, "good"));
        // The constraint is deferred, so the commit is what fails.
        let bad = writer.enqueue(|tx| {
            tx.execute("INSERT INTO uses (word) VALUES ($1)", params!["missing"])?;
            Ok(())
        });
        assert_eq!(writer.run().0, Vec::<String>::new());
        assert!(matches!(good.blocking_recv().unwrap(), Err(Error::ForeignKey { .. })));
        assert!(matches!(bad.blocking_recv().unwrap(), Err(Error::ForeignKey { .. })));
    }

    #[test]
    fn a_group_is_bounded() {
        let writer = Writer::new();
        let answers: Vec<_> =
            (0..=GROUP_WRITES).map(|n| writer.enqueue(move |tx| add(tx, &n.to_string()))).collect();
        let (words, commits) = writer.run();
        assert_eq!((words.len(), commits), (GROUP_WRITES + 1, 2));
        assert!(answers.into_iter().all(|answer| answer.blocking_recv().unwrap().is_ok()));
    }

    #[tokio::test]
    async fn the_log_is_copied_back_while_writes_go_on() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("weir.db");
        let sqlite = Sqlite::open(&path, &Options::default(), &[]).unwrap();
        sqlite.write(|tx| tx.batch("CREATE TABLE blobs (blob BLOB)")).await.unwrap();
        let size = || std::fs::metadata(&path).unwrap().len();
        // Nothing but a checkpoint makes the database's own file grow.
        while size() < 4 << 20 {
            let insert = "INSERT INTO blobs (blob) VALUES ($1)";
            sqlite.write(move |tx| tx.execute(insert, params![vec![7_u8; 1 << 20]])).await.unwrap();
        }
        let log = std::fs::metadata(path.with_extension("db-wal")).unwrap().len();
        assert!(log < 2 * u64::try_from(LONGEST_LOG * PAGE).unwrap(), "{log} bytes");
    }
}
