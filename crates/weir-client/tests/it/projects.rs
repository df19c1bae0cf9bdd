//! What a project offers, as it looks on the wire.

use std::time::Duration;

use futures_util::TryStreamExt;
use serde_json::{Value, json};
use weir_client::types::JobStatus;
use weir_client::{Client, Error, ProjectHandle};
use wiremock::matchers::{any, body_json, header, method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

fn project(server: &MockServer) -> ProjectHandle {
    let client = Client::builder(server.uri()).poll_interval(Duration::from_millis(1)).retries(0);
    client.build().unwrap().project("group/p.name")
}

fn pipeline(status: &str) -> Value {
    json!({"id": 9, "sha": "3f", "ref": "main", "status": status})
}

fn job(status: &str) -> Value {
    json!({"id": 71, "status": status, "stage": "test", "name": "unit", "ref": "main"})
}

/// One call, its method, path and body, and no other.
async fn expect(server: &MockServer, verb: &str, at: &str, body: Option<Value>, answer: Value) {
    let mut mock = Mock::given(method(verb)).and(path(at));
    if let Some(body) = body {
        mock = mock.and(body_json(body));
    }
    mock.respond_with(ResponseTemplate::new(200).set_body_json(answer)).expect(1).mount(server).await;
}

const PROJECT: &str = "/api/v4/projects/group%2Fp.name";

#[tokio::test]
async fn a_pipeline_is_made_with_variables_and_inputs() {
    let server = MockServer::start().await;
    let body = json!({
        "ref": "main",
        "variables": [{"key": "A", "value": "1", "variable_type": "env_var"}],
        "inputs": {"level": 3},
    });
    expect(&server, "POST", &format!("{PROJECT}/pipeline"), Some(body), pipeline("created")).await;
    let made = project(&server).create_pipeline("main").variable("A", "1").input("level", 3).send().await;
    assert_eq!(made.unwrap().status, JobStatus::Created);
}

#[tokio::test]
async fn actions_on_jobs_and_pipelines_have_their_addresses() {
    let server = MockServer::start().await;
    let p = project(&server);
    for (verb, at) in [
        ("POST", "pipelines/9/cancel"),
        ("POST", "pipelines/9/retry"),
        ("GET", "pipelines/latest"),
        ("PUT", "pipelines/9/metadata"),
    ] {
        expect(&server, verb, &format!("{PROJECT}/{at}"), None, pipeline("running")).await;
    }
    for at in ["cancel", "retry", "erase", "artifacts/keep"] {
        expect(&server, "POST", &format!("{PROJECT}/jobs/71/{at}"), None, job("pending")).await;
    }
    let body = json!({"job_variables_attributes": [{"key": "A", "value": "1"}]});
    expect(&server, "POST", &format!("{PROJECT}/jobs/71/play"), Some(body), job("pending")).await;
    p.pipeline(9).cancel().await.unwrap();
    p.pipeline(9).retry().await.unwrap();
    p.latest_pipeline("main").await.unwrap();
    p.pipeline(9).rename("Nightly").await.unwrap();
    p.job(71).cancel().await.unwrap();
    p.job(71).retry().await.unwrap();
    p.job(71).erase().await.unwrap();
    p.job(71).keep_artifacts().await.unwrap();
    p.job(71).play().variable("A", "1").send().await.unwrap();
}

#[tokio::test]
async fn triggers_and_schedules_have_their_addresses() {
    let server = MockServer::start().await;
    let p = project(&server);
    let body = json!({"description": "Nightly", "ref": "main", "cron": "0 2 * * *", "active": false});
    let schedule = json!({
        "id": 3, "description": "Nightly", "ref": "main", "cron": "0 2 * * *", "cron_timezone": "UTC", "active": false,
    });
    expect(&server, "POST", &format!("{PROJECT}/pipeline_schedules"), Some(body), schedule).await;
    let started = json!({"message": "201 Created"});
    expect(&server, "POST", &format!("{PROJECT}/pipeline_schedules/3/play"), None, started).await;
    let body = json!({"ref": "main", "token": "glptt-1", "variables": {"A": "1"}});
    expect(&server, "POST", &format!("{PROJECT}/trigger/pipeline"), Some(body), pipeline("created")).await;
    let made = p.create_pipeline_schedule("Nightly", "main", "0 2 * * *").active(false).await.unwrap();
    p.pipeline_schedule(made.id).play().await.unwrap();
    p.trigger_pipeline("main", "glptt-1").variable("A", "1").send().await.unwrap();
}

#[tokio::test]
async fn waiting_ends_with_the_pipeline_or_with_the_time() {
    let server = MockServer::start().await;
    let running = ResponseTemplate::new(200).set_body_json(pipeline("running"));
    Mock::given(any()).respond_with(running).up_to_n_times(2).mount(&server).await;
    let ended = ResponseTemplate::new(200).set_body_json(pipeline("success"));
    Mock::given(any()).respond_with(ended).mount(&server).await;
    let pipeline = project(&server).pipeline(9).wait(Duration::from_mins(1)).await.unwrap();
    assert_eq!(pipeline.status, JobStatus::Success);

    let server = MockServer::start().await;
    let running = ResponseTemplate::new(200).set_body_json(self::pipeline("running"));
    Mock::given(any()).respond_with(running).mount(&server).await;
    let error = project(&server).pipeline(9).wait(Duration::ZERO).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }));
}

#[tokio::test]
async fn a_followed_trace_brings_each_byte_once() {
    // With a server that sends all each time, and with one that knows ranges.
    for knows_ranges in [false, true] {
        let server = MockServer::start().await;
        let status = |status| ResponseTemplate::new(200).set_body_json(job(status));
        let job_path = format!("{PROJECT}/jobs/71");
        Mock::given(path(&job_path)).respond_with(status("running")).up_to_n_times(2).mount(&server).await;
        Mock::given(path(&job_path)).respond_with(status("success")).mount(&server).await;
        let trace_path = format!("{PROJECT}/jobs/71/trace");
        let all = |text: &str| ResponseTemplate::new(200).set_body_raw(text, "text/plain");
        if knows_ranges {
            for (range, answer) in [
                ("bytes=6-", ResponseTemplate::new(206).set_body_raw("wor", "text/plain")),
                ("bytes=9-", ResponseTemplate::new(206).set_body_raw("ld\n", "text/plain")),
            ] {
                Mock::given(path(&trace_path))
                    .and(header("range", range))
                    .respond_with(answer)
                    .with_priority(1)
                    .mount(&server)
                    .await;
            }
        }
        for text in ["hello ", "hello wor", "hello world\n"] {
            Mock::given(path(&trace_path)).respond_with(all(text)).up_to_n_times(1).mount(&server).await;
        }
        let chunks: Vec<_> = project(&server).job(71).follow_trace().try_collect().await.unwrap();
        assert_eq!(chunks.concat(), b"hello world\n", "knows ranges: {knows_ranges}");
    }
}

#[tokio::test]
async fn artifacts_are_written_as_they_arrive() {
    let server = MockServer::start().await;
    Mock::given(path(format!("{PROJECT}/jobs/artifacts/feature%2Fa/download")))
        .and(query_param("job", "build all"))
        .respond_with(ResponseTemplate::new(200).set_body_bytes(b"zipped"))
        .mount(&server)
        .await;
    Mock::given(path(format!("{PROJECT}/jobs/71/artifacts/out/a%20b.txt")))
        .respond_with(ResponseTemplate::new(200).set_body_bytes(b"text"))
        .mount(&server)
        .await;
    let mut archive = Vec::new();
    let written = project(&server).artifacts("feature/a", "build all").write_to(&mut archive).await.unwrap();
    assert_eq!((written, archive.as_slice()), (6, &b"zipped"[..]));
    assert_eq!(project(&server).job(71).artifact("out/a b.txt").bytes().await.unwrap(), "text");
}

#[tokio::test]
async fn files_are_one_segment_and_commits_have_actions() {
    let server = MockServer::start().await;
    Mock::given(path(format!("{PROJECT}/repository/files/src%2Fmain.rs/raw")))
        .and(query_param("ref", "main"))
        .respond_with(ResponseTemplate::new(200).set_body_bytes(b"fn main() {}"))
        .mount(&server)
        .await;
    let body = json!({
        "branch": "main", "commit_message": "m",
        "actions": [
            {"action": "create", "file_path": "a", "content": "1"},
            {"action": "move", "file_path": "c", "previous_path": "b"},
            {"action": "delete", "file_path": "d"},
        ],
    });
    let answer = json!({"id": "3f", "project_id": 1, "status": null, "last_pipeline": null});
    expect(&server, "POST", &format!("{PROJECT}/repository/commits"), Some(body), answer).await;
    let p = project(&server);
    assert_eq!(p.raw_file("src/main.rs", "main").bytes().await.unwrap(), "fn main() {}");
    let commit = p.create_commit("main", "m").create("a", "1").rename("b", "c").delete("d").send().await;
    assert_eq!(commit.unwrap().id, "3f");
}

#[tokio::test]
async fn a_variable_of_one_environment_is_chosen_by_a_filter() {
    let server = MockServer::start().await;
    Mock::given(method("DELETE"))
        .and(path(format!("{PROJECT}/variables/KEY")))
        .and(query_param("filter[environment_scope]", "production"))
        .respond_with(ResponseTemplate::new(204))
        .expect(1)
        .mount(&server)
        .await;
    project(&server).delete_variable("KEY").of_environment("production").await.unwrap();
}

#[tokio::test]
async fn debug_shows_no_values() {
    let server = MockServer::start().await;
    let p = project(&server);
    let shown = [
        format!("{:?}", p.create_pipeline("main").variable("A", "hunter2")),
        format!("{:?}", p.trigger_pipeline("main", "hunter2").variable("A", "hunter2")),
        format!("{:?}", p.job(1).play().variable("A", "hunter2")),
        format!("{:?}", p.create_variable("A", "hunter2")),
    ];
    for shown in shown {
        assert!(!shown.contains("hunter2") && shown.contains("POST /api/v4/projects/"), "{shown}");
    }
}

#[tokio::test]
async fn a_stream_that_does_not_begin_ends_after_the_time_for_a_call() {
    let server = MockServer::start().await;
    let late = ResponseTemplate::new(200).set_delay(Duration::from_mins(5));
    Mock::given(any()).respond_with(late).mount(&server).await;
    let client = Client::builder(server.uri()).timeout(Duration::from_millis(50)).retries(0).build().unwrap();
    let error = client.project(1).job(2).trace().bytes().await.unwrap_err();
    assert!(matches!(error, Error::Silent { .. }) && error.is_transient());
}
