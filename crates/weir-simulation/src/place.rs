//! Where a world's database is.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use weir_store::testing::{Fresh, POSTGRES_VARIABLE};
use weir_store::{DatabaseUrl, Db, Durability, Engine, Options};

/// An empty database with its schema, of which worlds get copies: making the schema takes longer than most worlds.
pub struct Template {
    directory: tempfile::TempDir,
    /// It stays open, so that nothing changes its files.
    _db: Db,
}

/// The database of one world.
pub(crate) enum Place {
    File(tempfile::TempDir),
    Server(Fresh),
}

const FILE: &str = "weir.db";

const OPTIONS: Options = Options { durability: Durability::Relaxed, connections: 2 };

/// In memory where there is such a place: nothing of it is to last.
fn directory() -> std::io::Result<tempfile::TempDir> {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }
}

async fn open(directory: &Path) -> weir_store::Result<Db> {
    Db::open_with(&DatabaseUrl::Sqlite(directory.join(FILE)), &OPTIONS).await
}

impl Template {
    /// Makes it.
    pub fn new() -> Result<Self> {
        let directory = directory()?;
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let db = runtime.block_on(open(directory.path()))?;
        Ok(Self { directory, _db: db })
    }
}

impl Place {
    pub(crate) fn new(
        template: &Template,
        engine: Engine,
        runtime: &tokio::runtime::Runtime,
    ) -> Result<Self> {
        match engine {
            Engine::Sqlite => {
                let directory = directory()?;
                for file in [FILE.to_owned(), format!("{FILE}-wal")] {
                    let from: PathBuf = template.directory.path().join(&file);
                    if from.exists() {
                        std::fs::copy(from, directory.path().join(&file))?;
                    }
                }
                Ok(Self::File(directory))
            }
            Engine::Postgres => {
                let server = std::env::var(POSTGRES_VARIABLE)
                    .with_context(|| format!("{POSTGRES_VARIABLE} names no PostgreSQL server"))?;
                Ok(Self::Server(runtime.block_on(Fresh::postgres(&server))?))
            }
        }
    }

    pub(crate) async fn open(&self) -> weir_store::Result<Db> {
        match self {
            Self::File(directory) => open(directory.path()).await,
            Self::Server(fresh) => fresh.open().await,
        }
    }

    pub(crate) fn remove(self, runtime: &tokio::runtime::Runtime) -> Result<()> {
        match self {
            Self::File(directory) => Ok(directory.close()?),
            Self::Server(fresh) => Ok(runtime.block_on(fresh.remove())?),
        }
    }
}
