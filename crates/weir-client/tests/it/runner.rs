//! How the runner's calls look on the wire, and what is made of each answer.

use std::time::Duration;

use serde_json::json;
use weir_client::Client;
use weir_client::runner::{RunnerApi, TraceOutcome, UpdateOutcome};
use weir_client::types::JobStatus;
use weir_client::types::id::JobId;
use weir_client::types::runner::{
    ArtifactsUpload, JobRequest, JobState, JobUpdate, RunnerTokenRequest, VerifyRequest,
};
use wiremock::matchers::{body_json, body_partial_json, header, method, path, query_param};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

fn api(server: &MockServer) -> RunnerApi {
    RunnerApi::new(Client::builder(server.uri()).retries(0).build().unwrap())
}

fn payload() -> serde_json::Value {
    json!({
        "id": 71, "token": "glcbt-1",
        "job_info": {"name": "unit", "stage": "test", "project_id": 2, "project_name": "p"},
        "git_info": {"repo_url": "u", "ref": "main", "sha": "3f", "before_sha": "00"},
        "steps": [{"name": "script", "script": ["make"], "timeout": 60, "when": "on_success", "allow_failure": false}],
    })
}

#[tokio::test]
async fn a_request_for_a_job_repeats_the_last_update_and_brings_the_payload() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/api/v4/jobs/request"))
        .and(header("runner-token", "glrt-1"))
        .and(body_partial_json(json!({"token": "glrt-1", "last_update": "abc"})))
        .respond_with(
            ResponseTemplate::new(201).insert_header("X-GitLab-Last-Update", "def").set_body_json(payload()),
        )
        .expect(1)
        .mount(&server)
        .await;
    let request =
        JobRequest { token: "glrt-1".into(), last_update: Some("abc".to_owned()), ..JobRequest::default() };
    let answer = api(&server).request_job(&request).await.unwrap();
    assert_eq!(answer.last_update.as_deref(), Some("def"));
    assert_eq!(answer.job.unwrap().steps[0].script, ["make"]);
}

#[tokio::test]
async fn no_job_and_a_lost_race_are_no_errors() {
    for (status, sent, expected) in [(204, Some("def"), Some("def")), (409, None, Some("abc"))] {
        let server = MockServer::start().await;
        let mut response = ResponseTemplate::new(status);
        if let Some(sent) = sent {
            response = response.insert_header("X-GitLab-Last-Update", sent);
        }
        Mock::given(method("POST")).respond_with(response).mount(&server).await;
        let request = JobRequest { last_update: Some("abc".to_owned()), ..JobRequest::default() };
        let answer = api(&server).request_job(&request).await.unwrap();
        assert!(answer.job.is_none());
        assert_eq!(answer.last_update.as_deref(), expected);
    }
}

#[tokio::test]
async fn an_unknown_runner_is_told_so() {
    let server = MockServer::start().await;
    let refusal = ResponseTemplate::new(403).set_body_json(json!({"message": "403 Forbidden"}));
    Mock::given(method("POST")).respond_with(refusal).mount(&server).await;
    let error = api(&server).verify(&VerifyRequest::default()).await.unwrap_err();
    assert_eq!(error.to_string(), "POST /api/v4/runners/verify: 403 Forbidden: 403 Forbidden");
}

#[tokio::test]
async fn a_runner_is_deleted_with_its_token_in_the_body() {
    let server = MockServer::start().await;
    Mock::given(method("DELETE"))
        .and(path("/api/v4/runners"))
        .and(body_json(json!({"token": "glrt-1"})))
        .respond_with(ResponseTemplate::new(204))
        .expect(1)
        .mount(&server)
        .await;
    let request = RunnerTokenRequest { token: "glrt-1".into(), system_id: None };
    api(&server).unregister(&request).await.unwrap();
    let seen = server.received_requests().await.unwrap();
    assert_eq!(seen[0].url.query(), None);
}

#[tokio::test]
async fn every_answer_to_an_update_has_its_meaning() {
    use UpdateOutcome as O;
    for (status, job_status, outcome) in [
        (200, None, O::Accepted),
        (200, Some("running"), O::Accepted),
        (200, Some("canceling"), O::Accepted),
        (202, None, O::Incomplete),
        (403, Some("canceled"), O::Abort),
        (403, None, O::Abort),
        (404, None, O::Abort),
        (412, None, O::ResendTrace),
        // The header counts before the status.
        (200, Some("canceled"), O::Abort),
        (200, Some("failed"), O::Abort),
        (500, Some("canceled"), O::Abort),
    ] {
        let server = MockServer::start().await;
        let mut response = ResponseTemplate::new(status).insert_header("X-GitLab-Trace-Update-Interval", "7");
        if let Some(job_status) = job_status {
            response = response.insert_header("Job-Status", job_status);
        }
        Mock::given(method("PUT"))
            .and(path("/api/v4/jobs/71"))
            .and(header("job-token", "glcbt-1"))
            .and(body_partial_json(json!({"token": "glcbt-1", "state": "running"})))
            .respond_with(response)
            .mount(&server)
            .await;
        let job = api(&server).job(JobId(71), "glcbt-1".into());
        let reaction = job.update(&JobUpdate::new(JobState::Running)).await.unwrap();
        assert_eq!(reaction.outcome, outcome, "{status} {job_status:?}");
        assert_eq!(reaction.is_canceling(), job_status == Some("canceling"));
        assert_eq!(reaction.interval, Some(Duration::from_secs(7)));
    }
}

#[tokio::test]
async fn trouble_in_the_server_is_worth_another_try() {
    let server = MockServer::start().await;
    Mock::given(method("PUT")).respond_with(ResponseTemplate::new(502)).mount(&server).await;
    let job = api(&server).job(JobId(71), "t".into());
    assert!(job.update(&JobUpdate::new(JobState::Success)).await.unwrap_err().is_transient());
}

#[tokio::test]
async fn a_piece_of_trace_names_its_place_without_a_unit() {
    let server = MockServer::start().await;
    Mock::given(method("PATCH"))
        .and(path("/api/v4/jobs/71/trace"))
        .and(query_param("debug_trace", "false"))
        .and(header("content-range", "5-10"))
        .and(header("content-type", "text/plain"))
        .and(header("job-token", "glcbt-1"))
        .respond_with(
            ResponseTemplate::new(202).insert_header("Range", "0-11").insert_header("Job-Status", "running"),
        )
        .expect(1)
        .mount(&server)
        .await;
    let job = api(&server).job(JobId(71), "glcbt-1".into());
    let reaction = job.patch_trace(5, "hello\n".into(), false).await.unwrap();
    assert_eq!(reaction.outcome, TraceOutcome::Accepted { stored: Some(11) });
    assert_eq!(reaction.job_status, Some(JobStatus::Running.into()));
    assert_eq!(server.received_requests().await.unwrap()[0].body, b"hello\n");
}

#[tokio::test]
async fn nothing_is_sent_for_an_empty_piece() {
    let server = MockServer::start().await;
    let job = api(&server).job(JobId(71), "t".into());
    job.patch_trace(5, "".into(), false).await.unwrap();
    assert!(server.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn every_answer_to_a_piece_of_trace_has_its_meaning() {
    use TraceOutcome as O;
    for (status, range, job_status, outcome) in [
        (202, None, None, O::Accepted { stored: None }),
        (202, None, Some("canceling"), O::Accepted { stored: None }),
        (202, None, Some("canceled"), O::Abort),
        (416, Some("0-42"), None, O::RangeMismatch { expected: 42 }),
        (416, Some("nonsense"), None, O::RangeMismatch { expected: 0 }),
        (416, None, None, O::RangeMismatch { expected: 0 }),
        (403, None, None, O::Abort),
        (404, None, None, O::NotFound),
    ] {
        let server = MockServer::start().await;
        let mut response = ResponseTemplate::new(status);
        for (name, value) in [("Range", range), ("Job-Status", job_status)] {
            if let Some(value) = value {
                response = response.insert_header(name, value);
            }
        }
        Mock::given(method("PATCH")).respond_with(response).mount(&server).await;
        let job = api(&server).job(JobId(71), "t".into());
        let reaction = job.patch_trace(0, "x".into(), true).await.unwrap();
        assert_eq!(reaction.outcome, outcome, "{status} {range:?} {job_status:?}");
    }
}

#[tokio::test]
async fn artifacts_go_up_as_one_part_without_a_length() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/api/v4/jobs/71/artifacts"))
        .and(query_param("artifact_format", "zip"))
        .and(query_param("artifact_type", "archive"))
        .and(query_param("expire_in", "1 week"))
        .and(header("job-token", "glcbt-1"))
        .respond_with(ResponseTemplate::new(201))
        .expect(1)
        .mount(&server)
        .await;
    let upload = ArtifactsUpload { expire_in: Some("1 week".to_owned()), ..ArtifactsUpload::default() };
    let job = api(&server).job(JobId(71), "glcbt-1".into());
    job.upload_artifacts(&upload, "artifacts.zip", &b"zipped"[..]).await.unwrap();
    let request: &Request = &server.received_requests().await.unwrap()[0];
    assert!(request.headers.get("content-length").is_none());
    let body = String::from_utf8_lossy(&request.body).into_owned();
    assert!(body.contains(r#"name="file"; filename="artifacts.zip""#) && body.contains("zipped"), "{body}");
}

#[tokio::test]
async fn artifacts_come_down_as_a_stream() {
    use futures_util::TryStreamExt;
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .and(path("/api/v4/jobs/70/artifacts"))
        .and(header("job-token", "glcbt-1"))
        .respond_with(ResponseTemplate::new(200).set_body_bytes(b"zipped"))
        .mount(&server)
        .await;
    let job = api(&server).job(JobId(71), "glcbt-1".into());
    let chunks = job.download_artifacts(JobId(70), &"glcbt-1".into(), false).await.unwrap();
    let content: Vec<_> = chunks.try_collect().await.unwrap();
    assert_eq!(content.concat(), b"zipped");
}
