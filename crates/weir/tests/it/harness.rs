//! Starts the binary, talks to it, stops it in several ways.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use weir_api::id::ProjectId;
use weir_api::jobs::Job;
use weir_api::pipelines::Pipeline;
use weir_api::{JobStatus, TokenScope};
use weir_client::{Client, PipelineHandle, ProjectHandle};

/// How long anything may take on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(90);

/// The binary, with no settings of the machine's.
pub(crate) fn weir() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("WEIR_")) {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// The text of a stream.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A data folder, for servers one after the other.
pub(crate) struct Place {
    folder: TempDir,
    arguments: Vec<String>,
}

impl Place {
    /// An empty folder.
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), arguments: Vec::new() }
    }

    /// The same with an argument for each server.
    pub(crate) fn with(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// A folder inside, beside the data.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The data folder.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder("data")
    }

    /// `weir serve` here, on a free port.
    pub(crate) fn command(&self) -> Command {
        let mut command = weir();
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(self.data()).args(&self.arguments);
        command
    }

    /// Starts a server and waits until it listens.
    pub(crate) fn start(&self) -> Server<'_> {
        self.start_with(self.command())
    }

    /// Starts a server by this command and waits until it listens.
    pub(crate) fn start_with(&self, mut command: Command) -> Server<'_> {
        let stderr = File::options().create(true).append(true).open(self.folder("log")).unwrap();
        let mut child = command.stdout(Stdio::piped()).stderr(stderr).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut said = String::new();
        let address = loop {
            let Some(line) = lines.next().transpose().unwrap() else {
                panic!("no server: {said}{}", self.log());
            };
            said.push_str(&line);
            said.push('\n');
            if let Some(rest) = line.strip_prefix("Weir listens on ") {
                break rest.split(' ').next().unwrap().to_owned();
            }
        };
        let token = std::fs::read_to_string(self.data().join("root-token")).unwrap_or_default();
        Server { child, said, url: format!("http://{address}"), token: token.trim().to_owned(), place: self }
    }

    /// What all servers here logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder("log")).unwrap()
    }
}

/// A running server; killed when dropped.
pub(crate) struct Server<'a> {
    child: Child,
    /// What it printed until it listened.
    pub(crate) said: String,
    /// Where it listens, `http://127.0.0.1:4711`.
    pub(crate) url: String,
    /// The token of `root`.
    pub(crate) token: String,
    /// Its folder, which must outlive it.
    place: &'a Place,
}

impl Server<'_> {
    /// A client as `root`.
    pub(crate) fn client(&self) -> Client {
        self.client_of(&self.token)
    }

    /// A client with another token.
    pub(crate) fn client_of(&self, token: &str) -> Client {
        Client::builder(&self.url).private_token(token).retries(0).build().unwrap()
    }

    /// The remote of a project of `root`, with name and password.
    pub(crate) fn remote(&self, user: &str, token: &str, project: &str) -> String {
        self.url.replace("http://", &format!("http://{user}:{token}@")) + &format!("/root/{project}.git")
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits for the end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < PATIENCE, "the server does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// A new project of `root` whose first commit has this configuration and makes no pipeline.
    pub(crate) async fn project(&self, name: &str, configuration: &str) -> ProjectHandle {
        let client = self.client();
        let project = client.project(client.create_project(name).await.unwrap().id);
        let folder = tempfile::tempdir().unwrap();
        git_ok(folder.path(), &["init", "--quiet", "--initial-branch=main"]);
        commit(folder.path(), ".gitlab-ci.yml", configuration, "Add the configuration");
        let remote = self.remote("root", &self.token, name);
        git_ok(folder.path(), &["push", "--quiet", "--push-option=ci.skip", &remote, "main"]);
        project
    }

    /// A user with a token.
    pub(crate) async fn user(&self, name: &str) -> (weir_api::id::UserId, String) {
        let client = self.client();
        let email = format!("{name}@example.com");
        let user = client.create_user(name, name, &email).param("force_random_password", true);
        let id = user.await.unwrap().id;
        let token = client.create_personal_access_token(id, "test", &[TokenScope::Api]).await.unwrap();
        (id, token.token.unwrap().expose().to_owned())
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("the servers logged:\n{}", self.place.log());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Looks until `look` finds something.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "it did not happen: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The end of a pipeline.
pub(crate) async fn ended(pipeline: &PipelineHandle) -> Pipeline {
    eventually("the end of the pipeline", async || {
        let pipeline = pipeline.get().await.unwrap();
        let moves = [JobStatus::Created, JobStatus::Pending, JobStatus::Running, JobStatus::Preparing];
        pipeline.status.known().is_some_and(|status| !moves.contains(&status)).then_some(pipeline)
    })
    .await
}

/// The only pipeline of a ref.
pub(crate) async fn only_pipeline(project: &ProjectHandle, ref_name: &str) -> Pipeline {
    let found = eventually("a pipeline", async || {
        let found = project.pipelines().ref_(ref_name).await.unwrap().items;
        (!found.is_empty()).then_some(found)
    })
    .await;
    let [pipeline] = found.as_slice() else { panic!("more than one pipeline: {found:?}") };
    project.pipeline(pipeline.id).get().await.unwrap()
}

/// A job of a pipeline, the newest of that name.
pub(crate) async fn job(pipeline: &PipelineHandle, name: &str) -> Job {
    let jobs = pipeline.jobs().per_page(100).all().await.unwrap();
    jobs.into_iter().find(|job| job.name == name).unwrap_or_else(|| panic!("no job {name}"))
}

/// The trace of a job.
pub(crate) async fn trace(project: &ProjectHandle, job: &Job) -> String {
    text(&project.job(job.id).trace().bytes().await.unwrap())
}

/// Runs git without the machine's settings.
pub(crate) fn git(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new("git");
    command.current_dir(folder).args(arguments).stdin(Stdio::null());
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    command.env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C");
    for who in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{who}_NAME"), "Ada").env(format!("GIT_{who}_EMAIL"), "ada@example.com");
    }
    command.output().unwrap()
}

/// The same, which must succeed.
pub(crate) fn git_ok(folder: &Path, arguments: &[&str]) -> String {
    let output = git(folder, arguments);
    assert!(output.status.success(), "git {arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// Commits a file with this content.
pub(crate) fn commit(folder: &Path, file: &str, content: &str, message: &str) {
    std::fs::write(folder.join(file), content).unwrap();
    git_ok(folder, &["add", "."]);
    git_ok(folder, &["commit", "--quiet", "--message", message]);
}

/// The number of a project.
pub(crate) async fn project_id(project: &ProjectHandle) -> ProjectId {
    project.get().await.unwrap().id
}
