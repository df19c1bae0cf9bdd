//! `weir serve`: start, settings, signals, errors.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;

use rustix::process::Signal;
use weir_api::JobStatus;

use crate::harness::{Place, eventually, job, text, trace, weir};

#[tokio::test]
async fn the_first_start_prints_the_root_token_and_a_restart_keeps_everything() {
    let place = Place::new();
    let mut first = place.start();
    assert!(first.said.contains(&format!("The token of root is {}\n", first.token)), "{}", first.said);
    let file = place.data().join("root-token");
    assert!(first.said.contains(&format!("kept in {}\n", file.display())), "{}", first.said);
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let made = first.client().create_project("kept").await.unwrap();
    first.signal(Signal::TERM);
    assert_eq!(first.wait().code(), Some(0));

    let second = place.start();
    assert!(!second.said.contains("token"), "{}", second.said);
    assert_eq!(second.token, first.token);
    let kept = second.client().project(made.id).get().await.unwrap();
    assert_eq!(kept.path_with_namespace, "root/kept");
}

#[tokio::test]
async fn health_endpoints_answer_without_a_token() {
    let place = Place::new().with("--no-runner");
    let server = place.start();
    for path in ["/-/health", "/-/liveness", "/-/readiness", "/-/metrics"] {
        let answer = reqwest::get(format!("{}{path}", server.url)).await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
    }
}

#[tokio::test]
async fn a_root_token_can_be_given() {
    let place = Place::new().with("--no-runner");
    let mut command = place.command();
    command.env("WEIR_ROOT_TOKEN", "glpat-given-by-the-test");
    let server = place.start_with(command);
    assert!(!server.said.contains("glpat-given"), "{}", server.said);
    assert_eq!(server.client_of("glpat-given-by-the-test").current_user().await.unwrap().username, "root");
}

#[tokio::test]
async fn a_flag_wins_over_the_environment_over_the_file() {
    let place = Place::new().with("--no-runner");
    std::fs::create_dir_all(place.data()).unwrap();
    std::fs::write(place.data().join("weir.toml"), "external_url = 'http://file.example'\n").unwrap();
    let url_of = |environment: Option<&str>, flag: Option<&str>| {
        let mut command = place.command();
        command.envs(environment.map(|url| ("WEIR_EXTERNAL_URL", url)));
        command.args(flag.map(|url| format!("--external-url={url}")));
        place.start_with(command).said.clone()
    };
    assert!(url_of(None, None).contains(" as http://file.example"));
    assert!(url_of(Some("http://env.example"), None).contains(" as http://env.example"));
    let both = url_of(Some("http://env.example"), Some("http://flag.example"));
    assert!(both.contains(" as http://flag.example"), "{both}");
}

#[test]
fn what_is_wrong_is_said_in_one_line_that_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let file = folder.path().join("file");
    std::fs::write(&file, "lisen = 'x'").unwrap();
    let file = file.display().to_string();
    let data = folder.path().join("data").display().to_string();
    let free = "127.0.0.1:0";
    for (arguments, complaint) in [
        (vec!["--listen", &taken, "--data", &data], "choose another port with --listen"),
        (vec!["--listen", "192.0.2.1:80", "--data", &data], "choose an address of this machine"),
        (vec!["--listen", free, "--data", &file], "choose a folder that you may write with --data"),
        (vec!["--listen", free, "--data", "/proc/nothing"], "choose a folder that you may write with --data"),
        (vec!["--listen", free, "--data", &data, "--database", "mysql://x"], "must begin with `sqlite:` or"),
        (vec!["--listen", free, "--data", &data, "--database", "sqlite:/nowhere/x.db"], "look at --database"),
        (
            vec!["--listen", free, "--data", &data, "--database", "postgres://x@127.0.0.1:1/x"],
            "look at --database",
        ),
        (vec!["--listen", free, "--data", &data, "--objects", "s3://"], "the bucket is missing"),
        (vec!["--data", &data, "--config", &file], "file:1: unknown field `lisen`"),
        (vec!["--data", &data, "--config", "/nowhere.toml"], "cannot read the settings file /nowhere.toml"),
        (vec!["--data", &data, "--log", "=="], "cannot read the log levels"),
    ] {
        let output = weir().arg("serve").args(&arguments).output().unwrap();
        let said = text(&output.stderr);
        let last = said.lines().last().unwrap_or_default();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(last.starts_with("error: ") && last.contains(complaint), "{arguments:?}: {said}");
    }
    for arguments in [["--listen", "here"], ["--external-url", "ci.example"], ["--concurrent", "0"]] {
        let output = weir().arg("serve").args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output.stderr));
    }
}

const SLOW: &str = "
slow:
  script:
    - touch ~/begun
    - sleep $SECONDS_TO_SLEEP
    - echo the end
";

/// Waits for the job. Its trace comes in larger pieces, so it leaves a file in its home.
async fn begun(place: &Place) {
    let file = place.data().join("home/begun");
    eventually("the job begins", async || file.exists().then_some(())).await;
}

#[tokio::test]
async fn sigterm_lets_running_jobs_end_and_starts_no_more() {
    let place = Place::new().with("--concurrent=1");
    let mut server = place.start();
    let project = server.project("drained", SLOW).await;
    let create = || project.create_pipeline("main").variable("SECONDS_TO_SLEEP", "2").send();
    let (first_id, second_id) = (create().await.unwrap().id, create().await.unwrap().id);
    begun(&place).await;
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));

    let mut command = place.command();
    command.arg("--no-runner");
    let idle = place.start_with(command);
    let project = idle.client().project("root/drained");
    let of_first = job(&project.pipeline(first_id), "slow").await;
    assert_eq!(of_first.status, JobStatus::Success);
    assert!(trace(&project, &of_first).await.contains("the end"));
    assert_eq!(job(&project.pipeline(second_id), "slow").await.status, JobStatus::Pending);
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let place = Place::new();
    let mut server = place.start();
    let project = server.project("ended", SLOW).await;
    project.create_pipeline("main").variable("SECONDS_TO_SLEEP", "20").send().await.unwrap();
    begun(&place).await;
    server.signal(Signal::TERM);
    // The first one must have been taken before the second comes, or they are one.
    eventually("the drain begins", async || place.log().contains("draining").then_some(())).await;
    server.signal(Signal::INT);
    let status = server.wait();
    assert_eq!((status.code(), status.signal()), (Some(130), None));
}

#[tokio::test]
async fn logs_are_json_if_wanted_and_name_the_request() {
    let place = Place::new().with("--no-runner").with("--log-format=json");
    let server = place.start();
    let client = reqwest::Client::new();
    let ask =
        client.get(format!("{}/api/v4/version", server.url)).header("x-request-id", "asked-by-the-test");
    ask.send().await.unwrap();
    let line = eventually("the line of the request", async || {
        let log = place.log();
        log.lines().find(|line| line.contains("asked-by-the-test")).map(str::to_owned)
    })
    .await;
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["span"]["path"], "/api/v4/version");
}

#[test]
fn a_runner_with_a_wrong_token_says_so() {
    let place = Place::new().with("--no-runner");
    let server = place.start();
    let mut runner = weir();
    runner.arg("runner").env("CI_SERVER_URL", &server.url).env("CI_SERVER_TOKEN", "glrt-wrong");
    let output = runner.arg("--data").arg(place.folder("runner")).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("does not know the runner's token"), "{said}");
}
