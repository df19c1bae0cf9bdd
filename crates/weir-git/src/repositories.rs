//! Where repositories lie, how they begin and end.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::Error;
use crate::limits::MAINTENANCE_TIMEOUT;
use crate::names::BranchName;
use crate::process::Git;
use crate::reader::{Pool, Reader};

/// All repositories of a server, below one folder.
#[derive(Debug, Clone)]
pub struct Repositories {
    root: Arc<Path>,
    pool: Arc<Pool>,
}

/// One bare repository. Cheap to clone; it need not exist yet.
#[derive(Debug, Clone)]
pub struct Repository {
    path: Arc<Path>,
    pool: Arc<Pool>,
}

/// Makes names of temporary folders unique within the process.
static COUNTER: AtomicU64 = AtomicU64::new(0);

/// A word that no other call, in this or a parallel process, gets.
fn unique() -> String {
    format!("{}-{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed))
}

impl Repositories {
    /// The repositories below `root`, which is created with the first of them.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        // A process runs inside its repository, so that a relative path would mean something else there.
        Self { root: std::path::absolute(&root).unwrap_or(root).into(), pool: Pool::new() }
    }

    /// The repository of a project, by the project's id.
    pub fn repository(&self, project_id: i64) -> Repository {
        let shelf = format!("{:02x}", project_id.rem_euclid(256));
        self.at(self.root.join(shelf).join(format!("{project_id}.git")))
    }

    /// The bare repository at a path anywhere on the disk.
    pub fn at(&self, path: impl Into<PathBuf>) -> Repository {
        let path = path.into();
        Repository { path: std::path::absolute(&path).unwrap_or(path).into(), pool: self.pool.clone() }
    }
}

impl Repository {
    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Creates it, bare and empty, with `initial_branch` as default branch.
    ///
    /// A bare repository is a few small files in a format that has not changed since Git 1.0, so no process is
    /// needed. It appears whole or not at all.
    ///
    /// # Errors
    /// [`Error::RepositoryExists`], [`Error::Io`].
    pub async fn create(&self, initial_branch: &BranchName) -> Result<(), Error> {
        let head = format!("ref: {}\n", initial_branch.to_ref());
        let path = self.path.clone();
        blocking(move || {
            if path.exists() {
                return Err(Error::RepositoryExists);
            }
            let shelf = path.parent().unwrap_or(Path::new("/"));
            std::fs::create_dir_all(shelf)?;
            let draft = shelf.join(format!(".new-{}", unique()));
            let result = lay_out(&draft, &head).and_then(|()| std::fs::rename(&draft, &path));
            if let Err(error) = result {
                let _ = std::fs::remove_dir_all(&draft);
                return Err(match error.kind() {
                    ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists => Error::RepositoryExists,
                    _ => Error::Io(error),
                });
            }
            std::fs::File::open(shelf)?.sync_all()?;
            Ok(())
        })
        .await
    }

    /// Whether it has been created.
    pub async fn exists(&self) -> bool {
        tokio::fs::try_exists(self.path.join("HEAD")).await.unwrap_or(false)
    }

    /// Deletes it; nothing happens if it does not exist.
    pub async fn delete(&self) -> Result<(), Error> {
        self.pool.forget(&self.path);
        let path = self.path.clone();
        blocking(move || {
            // Renamed first, so that nobody sees half a repository.
            let grave = path.with_file_name(format!(".old-{}", unique()));
            match std::fs::rename(&path, &grave) {
                Ok(()) => Ok(std::fs::remove_dir_all(grave)?),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
                Err(error) => Err(error.into()),
            }
        })
        .await
    }

    /// Packs loose objects and references and drops what nothing reaches for two weeks. Pushes and fetches go on
    /// meanwhile. The server calls it now and then; nothing else collects garbage.
    pub async fn maintain(&self) -> Result<(), Error> {
        self.git("gc").args(["--quiet", "--prune=2.weeks.ago"]).timeout(MAINTENANCE_TIMEOUT).output().await?;
        Ok(())
    }

    pub(crate) fn git(&self, subcommand: &'static str) -> Git {
        Git::new(&self.path, subcommand)
    }

    pub(crate) async fn reader(&self) -> Result<Reader, Error> {
        if !self.exists().await {
            return Err(Error::NoRepository);
        }
        self.pool.reader(&self.path).await
    }
}

fn lay_out(path: &Path, head: &str) -> std::io::Result<()> {
    const CONFIG: &str = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n";
    for folder in ["objects/info", "objects/pack", "refs/heads", "refs/tags", "info"] {
        std::fs::create_dir_all(path.join(folder))?;
    }
    for (name, text) in [("HEAD", head), ("config", CONFIG)] {
        use std::io::Write as _;
        let mut file = std::fs::File::create(path.join(name))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
    }
    std::fs::File::open(path)?.sync_all()
}

/// Runs file system work away from the runtime's threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Error::Unexpected("a file task ended early".to_owned()))?
}
