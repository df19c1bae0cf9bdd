//! The crate against the real `git` program.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

mod fetch;
mod forks;
mod history;
mod merges;
mod push;
mod read;
mod server;
mod write;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;
use weir_git::{
    Action, BranchName, Commit, NewCommit, ObjectId, RepoPath, Repositories, Repository, Signature,
};

/// A folder with one repository in it.
struct Place {
    folder: TempDir,
    repositories: Repositories,
    repository: Repository,
}

impl Place {
    /// With an empty repository.
    async fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let repositories = Repositories::new(folder.path().join("repositories"));
        let repository = repositories.repository(7);
        repository.create(&branch("main")).await.unwrap();
        Self { folder, repositories, repository }
    }

    /// With one commit that holds these files.
    async fn with(files: &[(&str, &str)]) -> (Self, Commit) {
        let place = Self::empty().await;
        let actions = files.iter().map(|(path, content)| create(path, content)).collect();
        let commit = place.repository.create_commit(&change("main", "First", actions)).await.unwrap();
        (place, commit)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn head(&self, name: &str) -> Option<ObjectId> {
        self.repository.read_ref(&branch(name).to_ref()).await.unwrap()
    }
}

fn branch(name: &str) -> BranchName {
    BranchName::new(name).unwrap()
}

fn path(path: &str) -> RepoPath {
    RepoPath::new(path).unwrap()
}

fn ada() -> Signature {
    Signature {
        name: "Ada".to_owned(),
        email: "ada@example.com".to_owned(),
        seconds: 1_700_000_000,
        offset_minutes: 330,
    }
}

fn create(at: &str, content: &str) -> Action {
    Action::Create { path: path(at), content: content.into(), executable: false }
}

fn update(at: &str, content: &str) -> Action {
    Action::Update { path: path(at), content: content.into(), last_commit_id: None }
}

fn change(on: &str, message: &str, actions: Vec<Action>) -> NewCommit {
    NewCommit {
        branch: branch(on),
        start: None,
        force: false,
        message: message.to_owned(),
        author: ada(),
        committer: ada(),
        actions,
    }
}

/// A client's git, deaf to this machine's settings.
fn client(folder: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .current_dir(folder)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("LC_ALL", "C")
        .env("NO_PROXY", "*")
        .args(["-c", "user.name=C", "-c", "user.email=c@example.com", "-c", "init.defaultBranch=main"]);
    command
}

/// Runs a client's git away from the runtime's threads.
async fn run(folder: &Path, args: &[&str]) -> Output {
    let mut command = client(folder);
    command.args(args);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

/// Runs a client's git that must succeed, and returns what it printed.
async fn git(folder: &Path, args: &[&str]) -> String {
    let output = run(folder, args).await;
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// How many processes have this in their command line.
fn processes(needle: &str) -> usize {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter(|entry| {
            let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&command).contains(needle)
        })
        .count()
}

/// Waits until no process has this in its command line.
async fn until_gone(needle: &str) {
    for _ in 0..1000 {
        if processes(needle) == 0 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("{needle:?} is still there");
}
