//! Bad input: never a 500, and the server goes on.

use reqwest::{Method, StatusCode};

use crate::harness::{Place, Server, commit, git_ok, project_id};

/// The status of an answer; none if the server hung up on a body that it does not want.
async fn ask(
    server: &Server<'_>,
    method: Method,
    path: &str,
    kind: &str,
    body: Vec<u8>,
) -> Option<StatusCode> {
    let client = reqwest::Client::new();
    let ask = client.request(method, format!("{}{path}", server.url)).header("content-type", kind);
    match ask.header("private-token", &server.token).body(body).send().await {
        Ok(answer) => Some(answer.status()),
        Err(error) if error.is_request() || error.is_body() => None,
        Err(error) => panic!("{path}: {error}"),
    }
}

#[tokio::test]
async fn bad_input_is_refused_and_the_server_goes_on() {
    let place = Place::new().with("--no-runner");
    let server = place.start();
    let project = server.project("target", "job: {script: [x]}").await;
    let api = format!("/api/v4/projects/{}", project_id(&project).await);
    let json = "application/json";
    let form = "application/x-www-form-urlencoded";
    let deep = "[".repeat(100_000).into_bytes();
    let large = vec![b'x'; 100 << 20];
    for (method, path, kind, body) in [
        (Method::POST, "/api/v4/projects", json, large.clone()),
        (Method::POST, "/api/v4/projects", form, large.clone()),
        (Method::POST, "/api/v4/jobs/request", json, large.clone()),
        (Method::POST, &*format!("{api}/pipeline"), json, large),
        (Method::POST, "/api/v4/projects", json, b"{\"name\":".to_vec()),
        (Method::POST, "/api/v4/projects", json, deep.clone()),
        (Method::POST, "/api/v4/projects", json, b"{\"name\": {\"a\": [1]}}".to_vec()),
        (Method::POST, "/api/v4/projects", json, vec![0xff; 100]),
        (Method::POST, "/api/v4/projects", form, b"%ff%00=%".to_vec()),
        (Method::POST, "/api/v4/projects", "text/nothing", b"x".to_vec()),
        (Method::POST, "/api/v4/jobs/request", json, b"[]".to_vec()),
        (Method::PATCH, "/api/v4/jobs/1/trace", "text/plain", b"x".to_vec()),
        (Method::PATCH, "/api/v4/jobs/999999999999999999999/trace", "text/plain", b"x".to_vec()),
        (Method::POST, &*format!("{api}/pipeline?ref=%00"), json, Vec::new()),
        (Method::POST, &*format!("{api}/pipeline"), json, b"{\"ref\": \"main\", \"variables\": 1}".to_vec()),
        (Method::GET, &*format!("{api}/pipelines?per_page=-1&page=99999999999999999999"), json, Vec::new()),
        (Method::GET, "/api/v4/projects/%00", json, Vec::new()),
        (Method::GET, "/api/v4/projects/%ff%fe", json, Vec::new()),
        (Method::GET, "/root/target.git/info/refs?service=git-nothing", json, Vec::new()),
        (
            Method::POST,
            "/root/target.git/git-receive-pack",
            "application/x-git-receive-pack-request",
            deep.clone(),
        ),
        (Method::POST, "/root/target.git/git-upload-pack", "application/x-git-upload-pack-request", deep),
        (Method::GET, "/../../etc/passwd", json, Vec::new()),
        (Method::TRACE, "/", json, Vec::new()),
    ] {
        let status = ask(&server, method.clone(), path, kind, body).await;
        assert!(status.is_none_or(|status| !status.is_server_error()), "{method} {path}: {status:?}");
        let health = reqwest::get(format!("{}/-/health", server.url)).await.unwrap();
        assert_eq!(health.status(), 200, "after {method} {path}");
    }
}

#[tokio::test]
async fn unreadable_configurations_become_failed_pipelines() {
    let place = Place::new().with("--no-runner");
    let server = place.start();
    let project = server.project("broken", "job: {script: [x]}").await;
    git_ok(&place.folder(""), &["clone", "--quiet", &server.remote("root", &server.token, "broken"), "work"]);
    let work = place.folder("work");
    let laughs = (1..9).fold("a0: &a0 [x, x]\n".to_owned(), |yaml, n| {
        let before = format!("*a{}", n - 1);
        yaml + &format!("a{n}: &a{n} [{}]\n", vec![before; 9].join(", "))
    });
    for (branch, configuration) in [
        ("cut", "job: [".to_owned()),
        ("tabs", "\tjob:\n\t\tscript: x".to_owned()),
        ("text", "only text".to_owned()),
        ("nothing", String::new()),
        ("deep", "[".repeat(20_000)),
        ("laughs", laughs),
        ("loop", "job: &job {script: [x], extends: job}".to_owned()),
        ("zeros", "job:\0 {script: [x]}".to_owned()),
    ] {
        git_ok(&work, &["switch", "--quiet", "--create", branch]);
        commit(&work, ".gitlab-ci.yml", &configuration, "Break it");
        git_ok(&work, &["push", "--quiet", "origin", branch]);
        let found = project.pipelines().ref_(branch).await.unwrap().items;
        assert!(
            found.iter().all(|pipeline| pipeline.status == weir_api::JobStatus::Failed),
            "{branch}: {found:?}"
        );
        let refused = project.create_pipeline(branch).send().await.unwrap_err();
        assert_eq!(refused.status().map(|status| status.as_u16()), Some(400), "{branch}: {refused}");
    }
}
