//! What a job's scripts see, how they end, and what the trace says of it.

use std::time::Duration;

use serde_json::{Value, json};
use weir_runner::{ExecutorConfig, executor, script};

use crate::server::{World, add_step, add_variable, is_over, job};

#[tokio::test]
async fn a_script_runs_and_its_output_is_in_the_trace() {
    let world = World::new().await;
    let seen = world.run(job(1, &["echo hello; echo error >&2", "pwd"])).await;
    let text = seen.text();
    assert_eq!(seen.state(), "success", "{text}");
    let dir = world.project_dir("g/p").display().to_string();
    assert!(text.contains("\x1b[32;1m$ echo hello; echo error >&2\x1b[0;m\nhello\nerror\n"), "{text}");
    assert!(text.contains(&format!("$ pwd\x1b[0;m\n{dir}\n")), "{text}");
    assert!(text.ends_with("\x1b[32;1mJob succeeded\x1b[0;m\n"), "{text}");
}

#[tokio::test]
async fn a_trace_has_the_sections_and_lines_of_gitlab_runner() {
    let world = World::new().await;
    let mut payload = job(1, &["true"]);
    add_step(&mut payload, "after_script", &["echo bye"]);
    let text = world.run(payload).await.text();
    let mut shown = String::new();
    for line in text.replace('\x1b', "^").replace('\r', "\\r").lines() {
        let mut line = line.to_owned();
        for kind in ["section_start:", "section_end:"] {
            while let Some(at) = line.find(&format!("{kind}1")) {
                let end = at + kind.len() + line[at + kind.len()..].find(':').unwrap();
                line.replace_range(at + kind.len()..end, "T");
            }
        }
        if line.starts_with("Running on ") {
            line = "Running on HOST...".to_owned();
        }
        shown.push_str(&line.replace(concat!(env!("CARGO_PKG_VERSION"), " (HEAD)"), "VERSION"));
        shown.push('\n');
    }
    insta::assert_snapshot!(shown, @r#"
    ^[0KRunning with weir VERSION^[0;m
    ^[0K  on weir abcdefghi, system ID: s_0123456789ab^[0;m
    section_start:T:prepare_executor\r^[0K^[0K^[36;1mPreparing the "shell" executor^[0;m^[0;m
    ^[0KUsing Shell (bash) executor...^[0;m
    section_end:T:prepare_executor\r^[0Ksection_start:T:prepare_script\r^[0K^[0K^[36;1mPreparing environment^[0;m^[0;m
    Running on HOST...
    section_end:T:prepare_script\r^[0Ksection_start:T:get_sources\r^[0K^[0K^[36;1mGetting source from Git repository^[0;m^[0;m
    ^[32;1mSkipping Git repository setup^[0;m
    ^[32;1mSkipping Git checkout^[0;m
    ^[32;1mSkipping Git submodules setup^[0;m
    section_end:T:get_sources\r^[0Ksection_start:T:step_script\r^[0K^[0K^[36;1mExecuting "step_script" stage of the job script^[0;m^[0;m
    ^[32;1m$ true^[0;m
    section_end:T:step_script\r^[0Ksection_start:T:after_script\r^[0K^[0K^[36;1mRunning after_script^[0;m^[0;m
    ^[32;1mRunning after script...^[0;m
    ^[32;1m$ echo bye^[0;m
    bye
    section_end:T:after_script\r^[0Ksection_start:T:cleanup_file_variables\r^[0K^[0K^[36;1mCleaning up project directory and file based variables^[0;m^[0;m
    section_end:T:cleanup_file_variables\r^[0K^[32;1mJob succeeded^[0;m
    "#);
}

#[tokio::test]
async fn the_first_command_that_fails_ends_the_script_with_its_exit_code() {
    let world = World::new().await;
    let seen = world.run(job(1, &["echo before", "(exit 42) | cat", "echo after"])).await;
    let text = seen.text();
    assert_eq!(seen.state(), "failed");
    assert_eq!(seen.result()["exit_code"], 42);
    assert_eq!(seen.result()["failure_reason"], "script_failure");
    assert!(!text.contains("\nafter\n"), "{text}");
    assert!(text.ends_with("\x1b[31;1mERROR: Job failed: exit status 42\x1b[0;m\n"), "{text}");
}

#[tokio::test]
async fn commands_get_no_input() {
    let world = World::new().await;
    let text = world.run(job(1, &["cat; echo end"])).await.text();
    assert!(text.contains("\nend\n"), "{text}");
}

#[tokio::test]
async fn variables_reach_the_script_expanded_raw_and_as_files() {
    let world = World::new().await;
    let mut payload = job(
        1,
        &[
            "echo \"[$NESTED] [$RAW] [$FILE]\"",
            "cat \"$FILE\"",
            "stat -c %a \"$FILE\"",
            "echo \"$CI_JOB_STATUS $CI_SERVER $CI_CONCURRENT_ID $CI_RUNNER_SHORT_TOKEN $CI_JOB_TIMEOUT\"",
            "test \"$CI_PROJECT_DIR\" = \"$PWD\"",
        ],
    );
    add_variable(&mut payload, json!({"key": "BASE", "value": "base"}));
    add_variable(&mut payload, json!({"key": "NESTED", "value": "${BASE}/x $UNKNOWN-"}));
    add_variable(&mut payload, json!({"key": "RAW", "value": "$BASE", "raw": true}));
    add_variable(&mut payload, json!({"key": "FILE", "value": "content\n", "file": true}));
    let seen = world.run(payload).await;
    let text = seen.text();
    let dir = world.project_dir("g/p").display().to_string();
    assert_eq!(seen.state(), "success", "{text}");
    assert!(text.contains(&format!("\n[base/x -] [$BASE] [{dir}.tmp/FILE]\n")), "{text}");
    assert!(text.contains("\ncontent\n"), "{text}");
    assert!(text.contains("\n600\n"), "{text}");
    assert!(text.contains("\nrunning yes 0 abcdefghi 3600\n"), "{text}");
    assert!(!world.project_dir("g/p.tmp").exists(), "the folder with the values is gone");
}

#[tokio::test]
async fn the_runner_s_own_environment_stays_with_it() {
    let world = World::new().await;
    // Cargo sets this one for tests.
    assert!(std::env::var("CARGO_MANIFEST_DIR").is_ok());
    let text = world.run(job(1, &["echo \"[$CARGO_MANIFEST_DIR]\""])).await.text();
    assert!(text.contains("\n[]\n"), "{text}");
}

#[tokio::test]
async fn secrets_do_not_show() {
    let world = World::new().await;
    let mut payload = job(
        1,
        &[
            "echo \"a $SECRET b $CI_JOB_TOKEN c glpat-abcdefgh d\"",
            "printf 'hunter22-'; sleep 0.1; echo secret",
        ],
    );
    add_variable(&mut payload, json!({"key": "SECRET", "value": "hunter22-secret", "masked": true}));
    add_variable(&mut payload, json!({"key": "CI_JOB_TOKEN", "value": "glcbt-job-token", "masked": true}));
    let text = world.run(payload).await.text();
    assert!(text.contains("\na [MASKED] b [MASKED] c glpat-[MASKED] d\n"), "{text}");
    assert!(text.contains("\n[MASKED]\n"), "{text}");
    assert!(!text.contains("hunter22-secret") && !text.contains("glcbt-job-token"), "{text}");
}

#[tokio::test]
async fn after_script_runs_after_a_failure_and_knows_of_it() {
    let world = World::new().await;
    let mut payload = job(1, &["false"]);
    add_step(&mut payload, "after_script", &["echo \"status=$CI_JOB_STATUS\"", "exit 7"]);
    let seen = world.run(payload).await;
    let text = seen.text();
    assert!(text.contains("\nstatus=failed\n"), "{text}");
    assert!(
        text.contains("WARNING: after_script failed, but job will continue unaffected: exit status 7"),
        "{text}"
    );
    assert_eq!((seen.state(), &seen.result()["exit_code"]), ("failed", &json!(1)));
}

#[tokio::test]
async fn a_failing_after_script_leaves_a_success_alone_unless_told_otherwise() {
    let world = World::new().await;
    let mut payload = job(1, &["true"]);
    add_step(&mut payload, "after_script", &["exit 7"]);
    assert_eq!(world.run(payload.clone()).await.state(), "success");
    payload["id"] = json!(2);
    add_variable(&mut payload, json!({"key": "AFTER_SCRIPT_IGNORE_ERRORS", "value": "false"}));
    let seen = world.run(payload).await;
    assert_eq!((seen.state(), &seen.result()["exit_code"]), ("failed", &json!(7)));
}

#[tokio::test]
async fn what_a_script_writes_to_gitlab_env_is_there_for_the_next() {
    let world = World::new().await;
    let mut payload = job(1, &["echo 'FROM_SCRIPT=a b' >> \"$GITLAB_ENV\""]);
    add_step(&mut payload, "after_script", &["echo \"[$FROM_SCRIPT]\""]);
    let text = world.run(payload).await.text();
    assert!(text.contains("\n[a b]\n"), "{text}");
}

fn process_is_alive(pid: &str) -> bool {
    // A process that ended and that nobody waited for yet is no longer alive.
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z'))
}

fn pid_in(text: &str) -> String {
    text.split("pid=").nth(2).unwrap().lines().next().unwrap().to_owned()
}

#[tokio::test]
async fn a_timeout_ends_the_whole_process_group() {
    let world = World::new().await;
    let mut payload = job(1, &["sleep 600 & echo \"pid=$!\"", "trap '' TERM; sleep 600; sleep 600"]);
    payload["runner_info"]["timeout"] = json!(1);
    add_step(&mut payload, "after_script", &["echo never"]);
    let seen = world.run(payload).await;
    let text = seen.text();
    assert_eq!(seen.result()["failure_reason"], "job_execution_timeout", "{text}");
    assert!(text.ends_with("ERROR: Job failed: execution took longer than 1s seconds\x1b[0;m\n"), "{text}");
    assert!(!text.contains("\nnever\n"), "{text}");
    assert!(!process_is_alive(&pid_in(&text)));
}

#[tokio::test]
async fn a_background_process_neither_holds_the_job_nor_outlives_it() {
    let world = World::new().await;
    let mut payload = job(1, &["sleep 600 & echo \"pid=$!\""]);
    add_step(&mut payload, "after_script", &["pgrep -x sleep >/dev/null || true"]);
    let seen = world.run(payload).await;
    assert_eq!(seen.state(), "success", "{}", seen.text());
    assert!(!process_is_alive(&pid_in(&seen.text())));
}

#[tokio::test]
async fn a_script_timeout_leaves_time_for_after_script() {
    let world = World::new().await;
    let mut payload = job(1, &["sleep 600"]);
    add_variable(&mut payload, json!({"key": "RUNNER_SCRIPT_TIMEOUT", "value": "300ms"}));
    add_step(&mut payload, "after_script", &["echo \"status=$CI_JOB_STATUS\""]);
    let seen = world.run(payload).await;
    assert!(seen.text().contains("\nstatus=timedout\n"), "{}", seen.text());
    assert_eq!(seen.result()["failure_reason"], "job_execution_timeout");
}

#[tokio::test]
async fn a_canceled_job_still_runs_its_after_script() {
    let world = World::new().await;
    let mut payload = job(1, &["echo started", "sleep 600"]);
    add_step(&mut payload, "after_script", &["echo \"status=$CI_JOB_STATUS\""]);
    world.enqueue(payload);
    let seen = world
        .with_runner(async {
            world.until(1, |seen| seen.text().contains("\nstarted\n")).await;
            world.set_status(1, "canceling");
            world.until(1, is_over).await
        })
        .await;
    let text = seen.text();
    assert!(text.contains("WARNING: script canceled externally (UI, API)"), "{text}");
    assert!(text.contains("\nstatus=canceled\n"), "{text}");
    assert!(text.ends_with("ERROR: Job failed: canceled\x1b[0;m\n"), "{text}");
    assert_eq!(seen.state(), "failed");
}

#[tokio::test]
async fn a_job_that_the_server_ended_stops_and_says_no_more() {
    let world = World::new().await;
    let mut payload = job(1, &["echo \"pid=$$\"", "sleep 600"]);
    add_step(&mut payload, "after_script", &["touch ../after"]);
    world.enqueue(payload);
    let pid = world
        .with_runner(async {
            let seen = world.until(1, |seen| seen.text().matches("pid=").count() > 1).await;
            world.set_status(1, "canceled");
            pid_in(&seen.text())
        })
        .await;
    // The runner has shut down, so the job has ended.
    assert!(!process_is_alive(&pid));
    assert!(!is_over(&world.seen(1)));
    assert!(!world.project_dir("g/after").exists());
}

#[tokio::test]
async fn scripts_also_run_in_a_posix_shell() {
    let mut world = World::new().await;
    let config = executor::shell::Config { shell: script::Shell::Sh, ..executor::shell::Config::default() };
    world.config.executor = ExecutorConfig::Shell(config);
    let seen = world.run(job(1, &["echo 'it'\\''s \\n' \"[$BASH_VERSION]\"", "false", "echo no"])).await;
    let text = seen.text();
    assert!(text.contains("Using Shell (sh) executor..."), "{text}");
    assert!(text.contains("$ echo 'it'\\''s \\n' \"[$BASH_VERSION]\"\x1b[0;m\n"), "{text}");
    assert_eq!(seen.result()["exit_code"], 1);
}

#[tokio::test]
async fn what_the_runner_does_not_support_is_a_configuration_error() {
    let world = World::new().await;
    let mut steps = job(1, &[]);
    steps["run"] = json!("[{\"name\":\"a\",\"script\":\"true\"}]");
    let mut path = job(2, &["true"]);
    add_variable(&mut path, json!({"key": "GIT_CLONE_PATH", "value": "/elsewhere"}));
    for mut payload in [steps, path] {
        payload["features"]["failure_reasons"] = json!(["runner_configuration_error"]);
        let seen = world.run(payload).await;
        assert_eq!(seen.result()["failure_reason"], "runner_configuration_error", "{}", seen.text());
    }
}

#[tokio::test]
async fn a_file_variable_cannot_take_the_place_of_the_script() {
    let world = World::new().await;
    let mut payload = job(1, &["cat \"$step_script\""]);
    add_variable(&mut payload, json!({"key": "step_script", "value": "content\n", "file": true}));
    assert!(world.run(payload).await.text().contains("\ncontent\n"));
}

#[tokio::test]
async fn a_dummy_job_runs_nothing() {
    let mut world = World::new().await;
    let duration = Duration::ZERO;
    world.config.executor = ExecutorConfig::Dummy(executor::dummy::Config { duration });
    let seen = world.run(job(1, &["touch ../file", "exit 3"])).await;
    assert_eq!((seen.state(), &seen.result()["exit_code"]), ("failed", &json!(3)));
    assert!(!world.project_dir("g/file").exists());
}

#[tokio::test]
async fn a_payload_runs_without_a_server() {
    use std::sync::{Arc, Mutex};
    use weir_runner::{Local, Server, Signals, Slot};

    let world = World::new().await;
    let mut payload: Value = job(5, &["echo local", "echo artifact > file"]);
    payload["artifacts"] = json!([{"paths": ["file"], "artifact_type": "archive", "artifact_format": "zip"}]);
    let payload = serde_json::from_value(payload).unwrap();
    let output = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&output);
    let local = Local {
        output: Arc::new(move |_, piece: &[u8]| sink.lock().unwrap().extend_from_slice(piece)),
        artifacts: world.folder.path().join("artifacts"),
    };
    let archive = local.archive(weir_api::id::JobId(5));
    let server = Server::Local(local);
    weir_runner::job::run(&world.config, &server, &payload, Slot::default(), &Signals::default())
        .await
        .unwrap();
    let text = String::from_utf8(output.lock().unwrap().clone()).unwrap();
    assert!(text.contains("\nlocal\n"), "{text}");
    assert!(archive.is_file());
}
