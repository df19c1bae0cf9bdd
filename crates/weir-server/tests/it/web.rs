//! Pages, as a browser gets them.

use axum::http::{Method, header};
use serde_json::json;

use weir_api::id::JobId;
use weir_server::app::traces;

use crate::browser::Browser;
use crate::harness::{Caller, World};

const JOB_TRACE: &str = "\x1b[0Ksection_start:10:step_script\r\x1b[0K\x1b[32;1m$ <b>make</b>\x1b[0;m\nbuilt\n\
                         section_end:12:step_script\r\x1b[0K";

const CONFIGURATION: &str = "
build:
  stage: build
  script: make
  artifacts: { paths: [out] }
unit <b>:
  stage: test
  needs: [build]
  script: make test
";

/// Alice's project `alice/app` with one pipeline, whose first job ended.
struct Scene {
    alice: Caller,
    pipeline: i64,
    /// The first job.
    job: i64,
    sha: String,
}

impl Scene {
    async fn on(world: &World, visibility: &str) -> Self {
        let alice = world.user("alice").await;
        let project = alice.project("app", json!({ "visibility": visibility })).await;
        let action = json!({ "action": "create", "file_path": ".gitlab-ci.yml", "content": CONFIGURATION });
        let commit = json!({ "branch": "main", "commit_message": "Say <hello>", "actions": [action] });
        let commit = alice.post(&format!("/projects/{project}/repository/commits"), commit).await.is(201);
        let pipelines = alice.get(&format!("/projects/{project}/pipelines")).await.is(200);

        let runner = weir_server::app::runners::embed(&world.ctx).await.unwrap();
        let anonymous = world.anonymous();
        let claimed = anonymous.post("/jobs/request", json!({ "token": runner.expose() })).await.is(201);
        let (job, token) = (claimed["id"].as_i64().unwrap(), claimed["token"].as_str().unwrap());
        let trace = JOB_TRACE.as_bytes().into();
        traces::append(&world.ctx, JobId(job), &token.into(), 0, trace, false).await.unwrap();
        anonymous.put(&format!("/jobs/{job}"), json!({ "token": token, "state": "success" })).await.is(200);
        let sha = commit["id"].as_str().unwrap().to_owned();
        Self { alice, pipeline: pipelines[0]["id"].as_i64().unwrap(), job, sha }
    }

    /// Every page of the project, and what it shows.
    fn pages(&self) -> Vec<(String, Vec<&'static str>)> {
        vec![
            (
                "/alice/app".to_owned(),
                vec!["git clone http://ci.example/alice/app.git", "Say &#60;hello&#62;", "Running"],
            ),
            ("/alice/app/-/pipelines".to_owned(), vec!["Say &#60;hello&#62;"]),
            (
                format!("/alice/app/-/pipelines/{}", self.pipeline),
                vec!["unit &#60;b&#62;", "needs build", "status-success", "ALICE", "/events\""],
            ),
            (
                format!("/alice/app/-/jobs/{}", self.job),
                vec![
                    "Passed",
                    "step_script",
                    "&lt;b&gt;make&lt;/b&gt;",
                    "<span>built</span>",
                    "00:02",
                    "id=\"L2\"",
                ],
            ),
            (format!("/alice/app/-/commit/{}", self.sha), vec!["Say &#60;hello&#62;", "Pipelines"]),
        ]
    }
}

async fn each_page_shows_what_it_is_about(world: World) {
    let scene = Scene::on(&world, "private").await;
    let alice = Browser::of(&world, &scene.alice).await;
    for (path, shown) in scene.pages() {
        let page = alice.get(&path).await;
        let text = page.is(200);
        for part in shown.iter().filter(|part| **part != "step_script") {
            assert!(text.contains(part), "{path} lacks {part}:\n{text}");
        }
        assert!(!text.contains("<b>") && !text.contains("<hello>"), "{path}");
        assert!(text.starts_with("<!doctype html>") && text.trim_end().ends_with("</html>"), "{path}");
    }
    let home = alice.get("/").await.is(200);
    assert!(home.contains("href=\"/alice/app\"") && home.contains("Running"), "{home}");
}

async fn pages_are_for_those_whom_the_api_answers(world: World) {
    let scene = Scene::on(&world, "private").await;
    let outsider = Browser::of(&world, &world.user("mallory").await).await;
    let mut places: Vec<String> = scene.pages().into_iter().map(|(path, _)| path).collect();
    places.push(format!("/alice/app/-/pipelines/{}/events", scene.pipeline));
    places.push(format!("/alice/app/-/jobs/{}/events", scene.job));
    places.push(format!("/alice/app/-/jobs/{}/raw", scene.job));
    places.push(format!("/alice/app/-/jobs/{}/artifacts/download", scene.job));
    places.push("/alice/nothing".to_owned());
    for path in &places {
        let page = Browser::new(&world).get(path).await;
        let encoded: String = url_encoded(path);
        assert_eq!(
            (page.status, page.header("location")),
            (303, format!("/-/sign_in?return_to={encoded}").as_str())
        );
        let text = outsider.get(path).await.is(404);
        assert!(!text.contains("app") || text.contains("There is no such page"), "{text}");
    }
    assert!(!outsider.get("/").await.is(200).contains("alice/app"));
}

async fn a_public_project_shows_nobody_what_the_api_shows_nobody(world: World) {
    let scene = Scene::on(&world, "public").await;
    let nobody = Browser::new(&world);
    for path in
        ["/".to_owned(), "/alice/app".to_owned(), format!("/alice/app/-/pipelines/{}", scene.pipeline)]
    {
        assert!(nobody.get(&path).await.is(200).contains("Sign in"), "{path}");
    }
    assert_eq!(nobody.get(&format!("/alice/app/-/jobs/{}", scene.job)).await.status, 303);
    nobody.get("/alice/app/-/pipelines/4711").await.is(404);
}

async fn the_trace_alone_is_plain_text(world: World) {
    let scene = Scene::on(&world, "private").await;
    let alice = Browser::of(&world, &scene.alice).await;
    let raw = alice.get(&format!("/alice/app/-/jobs/{}/raw", scene.job)).await;
    assert_eq!((raw.header("content-type"), raw.text.as_str()), ("text/plain; charset=utf-8", JOB_TRACE));
    assert_eq!(raw.header("x-content-type-options"), "nosniff");
    alice.get(&format!("/alice/app/-/jobs/{}/artifacts/download", scene.job)).await.is(404);
}

async fn the_events_of_a_job_that_ended_are_its_last(world: World) {
    let scene = Scene::on(&world, "private").await;
    let alice = Browser::of(&world, &scene.alice).await;
    let path = format!("/alice/app/-/jobs/{}/events", scene.job);
    let events = alice.get(&path).await;
    assert_eq!(events.header("content-type"), "text/event-stream");
    let names: Vec<&str> = events.text.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    assert_eq!(names, ["swap", "trace", "end"], "{}", events.text);
    assert!(events.text.contains("id: 3"));
    let rest = alice.get(&format!("{path}?start=0&lines=0&items=3")).await.text;
    assert!(!rest.contains("event: trace"), "all of it was shown: {rest}");
    let again = alice.call(Method::GET, &path, &[("last-event-id", "2")], "").await.text;
    assert!(
        again.contains("id: 3") && !again.contains("built"),
        "what came before the break is not told twice: {again}"
    );
    assert!(events.text.ends_with("event: end\ndata: over\n\n"), "without data browsers would pass it over");
}

async fn a_page_loads_nothing_from_elsewhere_and_is_not_framed(world: World) {
    let page = Browser::new(&world).get("/-/sign_in").await;
    let policy = page.header("content-security-policy");
    for part in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe"));
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    let text = page.is(200);
    assert!(!text.contains("<script>") && !text.contains("style=\""));
    for name in ["web.css", "web.js", "icon.svg"] {
        Browser::new(&world).get(&format!("/-/assets/{name}")).await.is(200);
        assert!(text.contains(&format!("/-/assets/{name}?")));
    }
    assert_eq!(Browser::new(&world).get("/-/assets/other").await.status, 404);
}

async fn a_session_lasts_a_week_and_no_longer_than_its_token(world: World) {
    let user = world.user("alice").await;
    let signed_in = |browser: &Browser| {
        let browser = browser.clone();
        async move { browser.get("/").await.is(200).contains("@alice") }
    };
    let browser = Browser::of(&world, &user).await;
    assert!(signed_in(&browser).await);
    world.pass_secs(7 * 24 * 3600 - 1);
    assert!(signed_in(&browser).await);
    world.pass_secs(1);
    assert!(!signed_in(&browser).await, "a week is over");

    let browser = Browser::of(&world, &user).await;
    let out = browser.submit("/-/sign_out", "").await;
    assert!(out.header("set-cookie").contains("Max-Age=0"));
    assert!(!signed_in(&browser).await, "the cookie alone is worth nothing after that");

    let browser = Browser::of(&world, &user).await;
    user.delete("/personal_access_tokens/self").await.is(204);
    assert!(!signed_in(&browser).await, "the token was revoked");
}

async fn a_token_signs_in_if_it_may_read_the_api(world: World) {
    let root = world.root();
    let narrow = json!({ "name": "narrow", "scopes": ["read_user"] });
    let narrow = root.post("/users/1/personal_access_tokens", narrow).await.is(201);
    for (token, complaint) in [
        ("glpat-nothing", "No such token."),
        ("", "No such token."),
        (narrow["token"].as_str().unwrap(), "This token needs the scope api or read_api."),
    ] {
        let answer =
            Browser::new(&world).submit("/-/sign_in", &format!("token={token}&return_to=/g/p")).await;
        assert_eq!(answer.header("set-cookie"), "");
        let text = answer.is(422);
        assert!(
            text.contains(complaint) && text.contains("value=\"/g/p\"") && !text.contains("glpat-"),
            "{text}"
        );
    }
}

async fn signing_in_leads_back_and_nowhere_else(world: World) {
    let user = world.user("alice").await;
    let token = user.token.clone().unwrap();
    for (place, wanted) in [
        ("/alice/app/-/jobs/1", "/alice/app/-/jobs/1"),
        ("//evil.example", "/"),
        ("/%5Cevil.example", "/"),
        ("https://evil.example", "/"),
        ("", "/"),
    ] {
        let answer =
            Browser::new(&world).submit("/-/sign_in", &format!("token={token}&return_to={place}")).await;
        assert_eq!((answer.status, answer.header("location")), (303, wanted), "{place}");
        let cookie = answer.header("set-cookie");
        assert!(cookie.contains("; HttpOnly; SameSite=Lax") && cookie.contains("Path=/;"), "{cookie}");
        assert!(!cookie.contains(&token));
    }
}

async fn forms_of_other_sites_do_not_count(world: World) {
    let user = world.user("alice").await;
    let token = user.token.clone().unwrap();
    let browser = Browser::of(&world, &user).await;
    let form = format!("token={token}");
    for headers in [
        vec![("origin", "http://evil.example")],
        vec![("sec-fetch-site", "cross-site"), ("origin", "http://ci.example")],
        vec![("sec-fetch-site", "same-site")],
        vec![],
    ] {
        for path in ["/-/sign_in", "/-/sign_out"] {
            let answer = browser.call(Method::POST, path, &headers, &form).await;
            assert_eq!((answer.status, answer.header("set-cookie")), (403, ""), "{path} {headers:?}");
        }
    }
    assert!(browser.get("/").await.is(200).contains("@alice"), "still signed in");
}

async fn the_api_takes_no_cookie_and_pages_take_no_token(world: World) {
    let user = world.user("alice").await;
    let token = user.token.clone().unwrap();
    let browser = Browser::of(&world, &user).await;
    assert_eq!(browser.get("/api/v4/user").await.status, 401);
    let home = Browser::new(&world).call(Method::GET, "/", &[("private-token", &token)], "").await;
    assert!(home.text.contains("Sign in"));
    let home = Browser::new(&world).get(&format!("/?private_token={token}")).await;
    assert!(!home.text.contains("@alice"));
}

async fn pages_are_only_read(world: World) {
    let scene = Scene::on(&world, "public").await;
    let page = format!("/alice/app/-/pipelines/{}", scene.pipeline);
    let own = [(header::ORIGIN.as_str(), "http://ci.example")];
    assert_eq!(Browser::new(&world).call(Method::POST, &page, &own, "").await.status, 405);
    assert_eq!(Browser::new(&world).call(Method::HEAD, &page, &[], "").await.status, 200);
}

fn url_encoded(text: &str) -> String {
    text.replace('/', "%2F")
}

on_each_database!(
    each_page_shows_what_it_is_about,
    pages_are_for_those_whom_the_api_answers,
    a_public_project_shows_nobody_what_the_api_shows_nobody,
    the_trace_alone_is_plain_text,
    the_events_of_a_job_that_ended_are_its_last,
    a_page_loads_nothing_from_elsewhere_and_is_not_framed,
    a_session_lasts_a_week_and_no_longer_than_its_token,
    a_token_signs_in_if_it_may_read_the_api,
    signing_in_leads_back_and_nowhere_else,
    forms_of_other_sites_do_not_count,
    the_api_takes_no_cookie_and_pages_take_no_token,
    pages_are_only_read,
);
