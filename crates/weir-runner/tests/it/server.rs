//! A small server that speaks the runner protocol honestly, and a runner that works for it.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Multipart, Path as Segment, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch, post, put};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use weir_runner::{Config, ExecutorConfig, executor};

/// What the server knows of one job.
#[derive(Debug, Default, Clone)]
pub(crate) struct Seen {
    pub(crate) trace: Vec<u8>,
    pub(crate) patches: usize,
    pub(crate) updates: Vec<Value>,
    /// By artifact type: file name, format, expiry, content.
    pub(crate) artifacts: HashMap<String, (String, String, Option<String>, Vec<u8>)>,
}

impl Seen {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.trace).into_owned()
    }

    /// The last update, which says how the job went.
    pub(crate) fn result(&self) -> &Value {
        self.updates.last().expect("the job was reported")
    }

    pub(crate) fn state(&self) -> &str {
        self.result()["state"].as_str().unwrap()
    }
}

#[derive(Default)]
struct Inner {
    waiting: VecDeque<Value>,
    jobs: HashMap<i64, Seen>,
    /// What `Job-Status` says.
    status: HashMap<i64, &'static str>,
    /// How many of the next calls about traces and updates fail, and how.
    storms: VecDeque<Storm>,
    /// How the next results of jobs are answered.
    answers: VecDeque<u16>,
    requests: usize,
}

/// A way in which a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Storm {
    /// Refused before anything happened.
    Refused(u16),
    /// Done, but the answer is lost.
    AnswerLost,
}

#[derive(Clone, Default)]
struct Shared(Arc<(Mutex<Inner>, Notify)>);

impl Shared {
    fn with<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        let result = work(&mut self.0.0.lock().unwrap());
        self.0.1.notify_waiters();
        result
    }
}

/// The server with a runner's configuration and folders.
pub(crate) struct World {
    shared: Shared,
    pub(crate) config: Config,
    pub(crate) folder: TempDir,
}

impl World {
    pub(crate) async fn new() -> Self {
        let shared = Shared::default();
        let router = Router::new()
            .route("/api/v4/jobs/request", post(request))
            .route("/api/v4/jobs/{id}", put(update))
            .route("/api/v4/jobs/{id}/trace", patch(patch_trace))
            .route("/api/v4/jobs/{id}/artifacts", post(upload).get(get(download)))
            .layer(DefaultBodyLimit::disable())
            .with_state(shared.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::new(url, "glrt-abcdefghijklmnop", folder.path());
        config.system_id = "s_0123456789ab".into();
        config.trace_interval = Some(Duration::from_millis(20));
        config.check_interval = Duration::from_millis(20);
        config.keep_alive = Duration::from_millis(200);
        config.executor = ExecutorConfig::Shell(executor::shell::Config {
            kill_grace: Duration::from_millis(500),
            ..executor::shell::Config::default()
        });
        Self { shared, config, folder }
    }

    pub(crate) fn enqueue(&self, payload: Value) {
        self.shared.with(|inner| inner.waiting.push_back(payload));
    }

    pub(crate) fn storm(&self, storms: impl IntoIterator<Item = Storm>) {
        self.shared.with(|inner| inner.storms.extend(storms));
    }

    pub(crate) fn answer_results(&self, statuses: impl IntoIterator<Item = u16>) {
        self.shared.with(|inner| inner.answers.extend(statuses));
    }

    pub(crate) fn set_status(&self, id: i64, status: &'static str) {
        self.shared.with(|inner| inner.status.insert(id, status));
    }

    pub(crate) fn seen(&self, id: i64) -> Seen {
        self.shared.with(|inner| inner.jobs.get(&id).cloned().unwrap_or_default())
    }

    pub(crate) fn requests(&self) -> usize {
        self.shared.with(|inner| inner.requests)
    }

    /// Waits until the job looks as wanted.
    pub(crate) async fn until(&self, id: i64, wanted: impl Fn(&Seen) -> bool) -> Seen {
        let wait = async {
            loop {
                let notified = self.shared.0.1.notified();
                let seen = self.seen_quietly(id);
                if wanted(&seen) {
                    return seen;
                }
                notified.await;
            }
        };
        if let Ok(seen) = tokio::time::timeout(Duration::from_mins(1), wait).await {
            return seen;
        }
        let seen = self.seen(id);
        panic!("the job did not get there: {:#?}\n{}", seen.updates, seen.text());
    }

    fn seen_quietly(&self, id: i64) -> Seen {
        self.shared.0.0.lock().unwrap().jobs.get(&id).cloned().unwrap_or_default()
    }

    /// Runs a runner while `work` goes on.
    pub(crate) async fn with_runner<T>(&self, work: impl Future<Output = T>) -> T {
        let runner = weir_runner::Runner::new(self.config.clone()).unwrap();
        let shutdown = CancellationToken::new();
        let work = async {
            let result = work.await;
            shutdown.cancel();
            result
        };
        let (result, ()) = tokio::join!(work, runner.run(shutdown.clone()));
        result
    }

    /// Lets a runner run one job to its end.
    pub(crate) async fn run(&self, payload: Value) -> Seen {
        let id = payload["id"].as_i64().unwrap();
        self.enqueue(payload);
        self.with_runner(self.until(id, is_over)).await
    }

    /// The project folder of the first job of the project at `path`.
    pub(crate) fn project_dir(&self, path: &str) -> PathBuf {
        self.config.builds_dir.join("abcdefghi/0").join(path)
    }
}

pub(crate) fn is_over(seen: &Seen) -> bool {
    seen.updates.last().is_some_and(|update| update["state"] != "running")
}

/// The payload of a job that runs `script` and fetches no sources.
pub(crate) fn job(id: i64, script: &[&str]) -> Value {
    json!({
        "id": id,
        "token": "glcbt-job-token",
        "allow_git_fetch": true,
        "job_info": {"name": "test", "stage": "test", "project_id": 1, "project_name": "p", "project_full_path": "g/p"},
        "git_info": {
            "repo_url": "", "ref": "main", "sha": "0000000000000000000000000000000000000000",
            "before_sha": "0000000000000000000000000000000000000000", "refspecs": [], "depth": 20,
        },
        "runner_info": {"timeout": 3600},
        "variables": [{"key": "GIT_STRATEGY", "value": "none", "public": true}],
        "steps": [{"name": "script", "script": script, "timeout": 3600, "when": "on_success"}],
        "features": {"trace_sections": true, "token_mask_prefixes": ["glpat-"], "failure_reasons": ["runner_interrupted"]},
    })
}

pub(crate) fn add_variable(payload: &mut Value, variable: Value) {
    payload["variables"].as_array_mut().unwrap().push(variable);
}

pub(crate) fn add_step(payload: &mut Value, name: &str, script: &[&str]) {
    let step =
        json!({"name": name, "script": script, "timeout": 3600, "when": "always", "allow_failure": true});
    payload["steps"].as_array_mut().unwrap().push(step);
}

/// Git, for tests to make repositories with.
pub(crate) fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = std::process::Command::new("git")
        .args(["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "init.defaultBranch=main"])
        .args(["-c", "protocol.file.allow=always"])
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

async fn request(State(shared): State<Shared>, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap();
    if body["token"] != "glrt-abcdefghijklmnop" {
        shared.with(|inner| inner.requests += 1);
    }
    if body["token"] != "glrt-abcdefghijklmnop" {
        return (StatusCode::FORBIDDEN, axum::Json(json!({"message": "403 Forbidden"}))).into_response();
    }
    let payload = shared.with(|inner| {
        inner.requests += 1;
        inner.waiting.pop_front()
    });
    match payload {
        Some(payload) => (StatusCode::CREATED, axum::Json(payload)).into_response(),
        None => (StatusCode::NO_CONTENT, [("X-GitLab-Last-Update", "1")]).into_response(),
    }
}

/// What fails, fails as told; the rest is answered with the job's status.
fn answer(
    shared: &Shared,
    id: i64,
    headers: &HeaderMap,
    work: impl FnOnce(&mut Seen) -> Response,
) -> Response {
    if headers.get("job-token").is_none_or(|token| token != "glcbt-job-token") {
        return StatusCode::FORBIDDEN.into_response();
    }
    shared.with(|inner| {
        let storm = inner.storms.pop_front();
        if let Some(Storm::Refused(status)) = storm {
            return StatusCode::from_u16(status).unwrap().into_response();
        }
        let mut response = work(inner.jobs.entry(id).or_default());
        let status = inner.status.get(&id).copied().unwrap_or("running");
        response.headers_mut().insert("Job-Status", status.parse().unwrap());
        response.headers_mut().insert("X-GitLab-Trace-Update-Interval", "60".parse().unwrap());
        if storm == Some(Storm::AnswerLost) { StatusCode::BAD_GATEWAY.into_response() } else { response }
    })
}

async fn patch_trace(
    State(shared): State<Shared>,
    Segment(id): Segment<i64>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    answer(&shared, id, &headers, |seen| {
        let range = headers["content-range"].to_str().unwrap();
        let (start, end) = range.split_once('-').unwrap();
        let (start, end): (usize, usize) = (start.parse().unwrap(), end.parse().unwrap());
        assert_eq!(end - start + 1, body.len(), "the range fits the body");
        seen.patches += 1;
        if start != seen.trace.len() {
            let range = format!("0-{}", seen.trace.len());
            return (StatusCode::RANGE_NOT_SATISFIABLE, [("Range", range)]).into_response();
        }
        seen.trace.extend_from_slice(&body);
        (StatusCode::ACCEPTED, [("Range", format!("0-{}", seen.trace.len()))]).into_response()
    })
}

async fn update(
    State(shared): State<Shared>,
    Segment(id): Segment<i64>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap();
    let status =
        if body["state"] == "running" { None } else { shared.with(|inner| inner.answers.pop_front()) };
    answer(&shared, id, &headers, |seen| {
        if status.is_none() {
            seen.updates.push(body);
        }
        StatusCode::from_u16(status.unwrap_or(200)).unwrap().into_response()
    })
}

async fn upload(
    State(shared): State<Shared>,
    Segment(id): Segment<i64>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
    mut form: Multipart,
) -> Response {
    let mut file = None;
    while let Some(field) = form.next_field().await.unwrap() {
        if field.name() == Some("file") {
            file = Some((field.file_name().unwrap().to_owned(), field.bytes().await.unwrap().to_vec()));
        }
    }
    let (filename, content) = file.expect("a file is uploaded");
    answer(&shared, id, &headers, |seen| {
        let kind = query["artifact_type"].clone();
        let entry = (filename, query["artifact_format"].clone(), query.get("expire_in").cloned(), content);
        seen.artifacts.insert(kind, entry);
        (StatusCode::CREATED, axum::Json(json!({"message": "201 Created"}))).into_response()
    })
}

async fn download(State(shared): State<Shared>, Segment(id): Segment<i64>) -> Response {
    let archive = shared.with(|inner| inner.jobs.get(&id)?.artifacts.get("archive").cloned());
    match archive {
        Some((_, _, _, content)) => content.into_response(),
        None => (StatusCode::NOT_FOUND, axum::Json(json!({"message": "404 Not Found"}))).into_response(),
    }
}
