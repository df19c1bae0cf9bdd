//! Fresh databases for tests, here and in the crates above.
//!
//! PostgreSQL takes part when `WEIR_TEST_POSTGRES` holds the URL of a server on which databases can be made.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio_postgres::NoTls;
use tokio_postgres::error::SqlState;

use crate::error::{Error, Result};
use crate::{Db, Engine, ObjectsUrl};

/// Holds the URL of the PostgreSQL server to test on.
pub const POSTGRES_VARIABLE: &str = "WEIR_TEST_POSTGRES";
/// Holds the URL of the S3 endpoint to test on.
pub const S3_VARIABLE: &str = "WEIR_TEST_S3";

/// The bucket to test in.
const BUCKET: &str = "weir-test";

/// The database in which each test has its schema. Its texts are ordered as SQLite orders them.
const DATABASE: &str = "weir_test";

/// A place for one test's database.
#[derive(Debug)]
pub struct Fresh {
    url: String,
    directory: Option<tempfile::TempDir>,
    schema: Option<String>,
}

impl Fresh {
    /// A new place, or `None` on PostgreSQL where there is no server to test on.
    pub async fn on(engine: Engine) -> Result<Option<Self>> {
        match engine {
            Engine::Sqlite => Self::sqlite().map(Some),
            Engine::Postgres => match std::env::var(POSTGRES_VARIABLE) {
                Ok(server) => Self::postgres(&server).await.map(Some),
                Err(_) => Ok(None),
            },
        }
    }

    /// A file in a directory that goes away with this value.
    pub fn sqlite() -> Result<Self> {
        let directory = tempfile::tempdir().map_err(|error| Error::database(error.to_string()))?;
        let url = format!("sqlite:{}", directory.path().join("weir.db").display());
        Ok(Self { url, directory: Some(directory), schema: None })
    }

    /// A schema of its own on the server at `server`.
    pub async fn postgres(server: &str) -> Result<Self> {
        let create = format!(
            "CREATE DATABASE {DATABASE} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'"
        );
        match run(server, &create).await {
            Ok(()) => {}
            // Another test was first, or makes it at this moment.
            Err(error)
                if matches!(
                    error.code(),
                    Some(&(SqlState::DUPLICATE_DATABASE | SqlState::UNIQUE_VIOLATION))
                ) => {}
            Err(error) => return Err(error.into()),
        }
        let base = server.split(['?']).next().unwrap_or(server);
        let authority = base.find("://").map_or(0, |at| at + 3);
        let end = base[authority..].find('/').map_or(base.len(), |at| authority + at);
        let query = server.split_once('?').map(|(_, query)| format!("&{query}")).unwrap_or_default();
        let schema = unique("weir");
        let url = format!("{}/{DATABASE}?options=-csearch_path%3D{schema}{query}", &base[..end]);
        run(&url, &format!("CREATE SCHEMA {schema}")).await?;
        Ok(Self { url, directory: None, schema: Some(schema) })
    }

    /// The URL, for whoever opens the database.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Opens the database. It can be opened again, as after a restart.
    pub async fn open(&self) -> Result<Db> {
        Db::open(&self.url.parse()?).await
    }

    /// Removes what was made.
    pub async fn remove(self) -> Result<()> {
        drop(self.directory);
        if let Some(schema) = self.schema {
            run(&self.url, &format!("DROP SCHEMA {schema} CASCADE")).await?;
        }
        Ok(())
    }
}

async fn run(url: &str, sql: &str) -> Result<(), tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    let task = tokio::spawn(connection);
    let result = client.batch_execute(sql).await;
    drop(client);
    let _ended = task.await;
    result
}

/// A name that no other test has, in this process or another.
fn unique(prefix: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    format!("{prefix}_{}_{nanos}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A prefix of its own in the bucket `weir-test` of the endpoint that `WEIR_TEST_S3` names, with the keys from
/// `AWS_*`; `None` if it names none.
pub fn s3() -> Option<ObjectsUrl> {
    Some(ObjectsUrl::S3 {
        bucket: BUCKET.to_owned(),
        prefix: unique("test"),
        endpoint: Some(std::env::var(S3_VARIABLE).ok()?),
        region: Some("us-east-1".to_owned()),
        allow_http: true,
    })
}

/// Runs `case` on a fresh database of `engine`; says so if there is none. What a failed case leaves on
/// PostgreSQL stays there to be looked at.
///
/// # Panics
/// When the database cannot be made or opened, and when the case does.
#[expect(clippy::unwrap_used, clippy::print_stdout, reason = "this is a test's frame")]
pub async fn on_fresh<F: Future<Output = ()>>(engine: Engine, case: impl FnOnce(Db) -> F) {
    let Some(fresh) = Fresh::on(engine).await.unwrap() else {
        println!("skipped: {POSTGRES_VARIABLE} names no PostgreSQL server to test on");
        return;
    };
    case(fresh.open().await.unwrap()).await;
    fresh.remove().await.unwrap();
}

/// Makes two tests of each case `async fn name(db: Db)`: `on_sqlite::name` and `on_postgres::name`.
#[macro_export]
macro_rules! on_each_database {
    ($($case:ident),* $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test]
            async fn $case() {
                $crate::testing::on_fresh($crate::Engine::Sqlite, super::$case).await;
            })*
        }

        mod on_postgres {
            $(#[tokio::test]
            async fn $case() {
                $crate::testing::on_fresh($crate::Engine::Postgres, super::$case).await;
            })*
        }
    };
}
