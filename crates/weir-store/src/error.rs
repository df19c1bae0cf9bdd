//! What can go wrong with the store.

use std::sync::Arc;

/// The result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the store refused or failed.
///
/// It can be cloned, because one failed commit answers every write of its group.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// A unique constraint was violated. The text is the same on both engines: `table.column, table.column`,
    /// or `index 'name'` where the index is on an expression.
    #[error("already taken: {constraint}")]
    Conflict {
        /// What must be unique.
        constraint: String,
    },
    /// A foreign key was violated: what is referred to is gone, or something still refers to this.
    #[error("a foreign key was violated{}", .constraint.as_deref().map(|name| format!(": {name}")).unwrap_or_default())]
    ForeignKey {
        /// The constraint's name; SQLite does not tell it.
        constraint: Option<String>,
    },
    /// [`query_one`](crate::Tx::query_one) found no row.
    #[error("no row where exactly one was expected")]
    NoRow,
    /// A column holds something else than asked for.
    #[error("column {index} of a row: {problem}")]
    Column {
        /// The column's index, from 0.
        index: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// A text to be stored holds the character NUL, which PostgreSQL cannot store.
    #[error("a text holds the character NUL, which cannot be stored")]
    NulInText,
    /// JSON could not be read or written.
    #[error("stored JSON: {0}")]
    Json(Arc<serde_json::Error>),
    /// The transaction went on, or wanted to commit, after one of its statements had failed.
    #[error("the transaction was aborted by an earlier failed statement; use a savepoint to survive one")]
    Aborted,
    /// The closure of a transaction panicked; it was rolled back.
    #[error("a transaction panicked: {0}")]
    Panicked(String),
    /// The URL of a database or of an object store is not understood.
    #[error("{what} is no valid {kind}: {problem}")]
    Url {
        /// The URL, without a password.
        what: String,
        /// What it should have been.
        kind: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// There is no object of this key.
    #[error("there is no object {key}")]
    NoObject {
        /// The key.
        key: String,
    },
    /// An upload was larger than allowed.
    #[error("the upload is larger than {limit} bytes")]
    TooLarge {
        /// In bytes.
        limit: u64,
    },
    /// The stream to be stored failed.
    #[error("the upload broke off: {0}")]
    Body(Arc<dyn std::error::Error + Send + Sync>),
    /// The object store failed.
    #[error("object store: {message}")]
    Objects {
        /// Its message.
        message: String,
        /// Its error.
        #[source]
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// The schema does not fit this program.
    #[error("{0}")]
    Schema(String),
    /// The database failed.
    #[error("database: {message}")]
    Database {
        /// The engine's message.
        message: String,
        /// Whether the transaction may succeed when it is run again (deadlock, serialization failure, busy).
        transient: bool,
        /// The engine's error.
        #[source]
        source: Option<Arc<dyn std::error::Error + Send + Sync>>,
    },
}

impl Error {
    pub(crate) fn database(message: impl Into<String>) -> Self {
        Self::Database { message: message.into(), transient: false, source: None }
    }

    pub(crate) fn file(error: std::io::Error) -> Self {
        Self::Objects { message: error.to_string(), source: Arc::new(error) }
    }

    /// Whether running the transaction again may succeed.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Database { transient: true, .. })
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(Arc::new(error))
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ffi;
        let text = error.to_string();
        if let rusqlite::Error::SqliteFailure(failure, _) = &error {
            match failure.extended_code {
                ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY => {
                    let constraint =
                        text.strip_prefix("UNIQUE constraint failed: ").unwrap_or(&text).to_owned();
                    return Self::Conflict { constraint };
                }
                ffi::SQLITE_CONSTRAINT_FOREIGNKEY => return Self::ForeignKey { constraint: None },
                _ => {}
            }
        }
        let transient = matches!(
            error.sqlite_error_code(),
            Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked)
        );
        Self::Database { message: text, transient, source: Some(Arc::new(error)) }
    }
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        use tokio_postgres::error::SqlState;
        let Some(failure) = error.as_db_error() else {
            let message = sources(&error);
            return Self::Database { message, transient: false, source: Some(Arc::new(error)) };
        };
        let code = failure.code();
        let name = failure.constraint().map(str::to_owned);
        if *code == SqlState::UNIQUE_VIOLATION {
            let constraint = unique_columns(failure)
                .or_else(|| name.map(|name| format!("index '{name}'")))
                .unwrap_or_else(|| failure.message().to_owned());
            return Self::Conflict { constraint };
        }
        if *code == SqlState::FOREIGN_KEY_VIOLATION {
            return Self::ForeignKey { constraint: name };
        }
        let transient =
            *code == SqlState::T_R_SERIALIZATION_FAILURE || *code == SqlState::T_R_DEADLOCK_DETECTED;
        // The error itself is not kept: its detail repeats the row, and so what is secret in it.
        let message = format!("{} ({})", failure.message(), code.code());
        Self::Database { message, transient, source: None }
    }
}

impl From<deadpool_postgres::PoolError> for Error {
    fn from(error: deadpool_postgres::PoolError) -> Self {
        match error {
            deadpool_postgres::PoolError::Backend(error) => error.into(),
            other => {
                Self::Database { message: sources(&other), transient: false, source: Some(Arc::new(other)) }
            }
        }
    }
}

/// PostgreSQL names the constraint, SQLite its columns. The columns are in the detail: `Key (a, b)=(…) …`.
fn unique_columns(failure: &tokio_postgres::error::DbError) -> Option<String> {
    let table = failure.table()?;
    let (_, rest) = failure.detail()?.split_once('(')?;
    let (columns, _) = rest.split_once(")=(")?;
    let columns: Vec<&str> = columns.split(", ").collect();
    let plain = |column: &&str| column.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    columns
        .iter()
        .all(plain)
        .then(|| columns.iter().map(|column| format!("{table}.{column}")).collect::<Vec<_>>().join(", "))
}

/// An error's message with those of its sources, which say what really happened.
pub(crate) fn sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
