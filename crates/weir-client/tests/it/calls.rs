//! What every call does: credentials, refusals, retries, redirects.

use serde_json::json;
use weir_client::{Client, Error};
use wiremock::matchers::{any, header, header_exists, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

fn version() -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({"version": "19.4.0", "revision": "a"}))
}

#[tokio::test]
async fn each_kind_of_token_has_its_header() {
    let server = MockServer::start().await;
    let builder = || Client::builder(server.uri()).user_agent("test/1");
    for (client, name, value) in [
        (builder().private_token("glpat-1"), "private-token", "glpat-1"),
        (builder().oauth_token("abc"), "authorization", "Bearer abc"),
        (builder().job_token("glcbt-1"), "job-token", "glcbt-1"),
        (builder().sudo("root"), "sudo", "root"),
    ] {
        let mock = Mock::given(method("GET"))
            .and(path("/api/v4/version"))
            .and(header(name, value))
            .and(header("user-agent", "test/1"))
            .respond_with(version())
            .expect(1)
            .mount_as_scoped(&server)
            .await;
        let answer = client.build().unwrap().version().await.unwrap();
        assert_eq!(answer.version, "19.4.0");
        drop(mock);
    }
}

#[tokio::test]
async fn a_refusal_tells_what_was_attempted_and_what_the_server_said() {
    for (status, body, text) in [
        (404, json!({"message": "404 Project Not Found"}), "404 Not Found: 404 Project Not Found"),
        (400, json!({"error": "ref is missing"}), "400 Bad Request: ref is missing"),
        (400, json!({"message": {"base": ["Reference not found"]}}), "400 Bad Request: Reference not found"),
    ] {
        let server = MockServer::start().await;
        Mock::given(any())
            .respond_with(ResponseTemplate::new(status).set_body_json(body))
            .mount(&server)
            .await;
        let client = Client::builder(server.uri()).build().unwrap();
        let error = client.project("g/p").get().await.unwrap_err();
        assert_eq!(error.to_string(), format!("GET /api/v4/projects/g%2Fp: {text}"));
        assert_eq!(error.is_not_found(), status == 404);
        assert!(!error.is_transient());
    }
}

#[tokio::test]
async fn a_wrong_token_is_an_error_of_its_own() {
    let server = MockServer::start().await;
    let refusal = ResponseTemplate::new(401).set_body_json(json!({"message": "401 Unauthorized"}));
    Mock::given(any()).respond_with(refusal).mount(&server).await;
    let client = Client::builder(server.uri()).build().unwrap();
    assert!(matches!(client.current_user().await, Err(Error::Unauthorized { .. })));
}

#[tokio::test]
async fn a_page_in_place_of_json_is_told_apart_from_json_of_another_shape() {
    let server = MockServer::start().await;
    let html = ResponseTemplate::new(200).set_body_raw("<html>Sign in</html>", "text/html; charset=utf-8");
    Mock::given(path("/api/v4/version")).respond_with(html).mount(&server).await;
    let other = ResponseTemplate::new(200).set_body_json(json!({"unexpected": true}));
    Mock::given(path("/api/v4/metadata")).respond_with(other).mount(&server).await;
    let client = Client::builder(server.uri()).build().unwrap();
    assert!(
        matches!(client.version().await, Err(Error::NotJson { content_type, .. }) if content_type.starts_with("text/html"))
    );
    assert!(matches!(client.metadata().await, Err(Error::Decode { .. })));
}

#[tokio::test]
async fn a_busy_server_is_asked_again_and_a_change_is_not_made_twice() {
    // Status, whether a read and whether a change is sent again.
    for (status, read_again, change_again) in
        [(429, true, true), (503, true, false), (500, true, false), (400, false, false)]
    {
        let server = MockServer::start().await;
        let refusal = ResponseTemplate::new(status).insert_header("Retry-After", "0");
        Mock::given(any()).respond_with(refusal).mount(&server).await;
        let client = Client::builder(server.uri()).retries(2).build().unwrap();
        let sent = async || server.received_requests().await.unwrap().len();
        client.version().await.unwrap_err();
        let reads = sent().await;
        client.project(1).pipeline(2).cancel().await.unwrap_err();
        assert_eq!(reads, if read_again { 3 } else { 1 }, "{status}");
        assert_eq!(sent().await - reads, if change_again { 3 } else { 1 }, "{status}");
    }
}

#[tokio::test]
async fn a_server_that_recovers_gives_its_answer() {
    let server = MockServer::start().await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(502).insert_header("Retry-After", "0"))
        .up_to_n_times(2)
        .mount(&server)
        .await;
    Mock::given(any()).respond_with(version()).mount(&server).await;
    let client = Client::builder(server.uri()).build().unwrap();
    assert_eq!(client.version().await.unwrap().version, "19.4.0");
}

#[tokio::test]
async fn no_answer_is_a_transport_error() {
    let client = Client::builder("http://127.0.0.1:1").retries(0).build().unwrap();
    let error = client.version().await.unwrap_err();
    assert!(matches!(error, Error::Transport { .. }) && error.is_transient());
}

#[tokio::test]
async fn a_read_follows_to_another_server_without_the_token() {
    let storage = MockServer::start().await;
    Mock::given(header_exists("private-token"))
        .respond_with(ResponseTemplate::new(400))
        .with_priority(1)
        .mount(&storage)
        .await;
    Mock::given(path("/bucket/a.zip"))
        .respond_with(ResponseTemplate::new(200).set_body_bytes(b"zipped"))
        .mount(&storage)
        .await;
    let server = MockServer::start().await;
    let location = format!("{}/bucket/a.zip", storage.uri());
    Mock::given(path("/api/v4/projects/1/jobs/2/artifacts"))
        .and(header("private-token", "glpat-1"))
        .respond_with(ResponseTemplate::new(302).insert_header("Location", location))
        .mount(&server)
        .await;
    let client = Client::builder(server.uri()).private_token("glpat-1").build().unwrap();
    assert_eq!(client.project(1).job(2).artifacts().bytes().await.unwrap(), "zipped");
}

#[tokio::test]
async fn a_change_is_not_followed_where_its_body_would_be_lost() {
    let server = MockServer::start().await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(301).insert_header("Location", "https://ci.example/"))
        .expect(1)
        .mount(&server)
        .await;
    let client = Client::builder(server.uri()).build().unwrap();
    let error = client.project(1).create_pipeline("main").send().await.unwrap_err();
    assert!(matches!(error, Error::Redirected { location, .. } if location == "https://ci.example/"));
}
