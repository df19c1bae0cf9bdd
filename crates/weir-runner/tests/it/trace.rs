//! How a trace travels.

use std::time::Duration;

use serde_json::json;

use crate::server::{Seen, Storm, World, is_over, job};

fn assert_whole(seen: &Seen) {
    let output = &seen.result()["output"];
    assert_eq!(output["bytesize"], seen.trace.len());
    assert_eq!(output["checksum"], format!("crc32:{:08x}", crc32fast::hash(&seen.trace)));
}

#[tokio::test]
async fn a_short_job_costs_two_requests() {
    let mut world = World::new().await;
    world.config.trace_interval = Some(Duration::from_hours(1));
    world.config.keep_alive = Duration::from_hours(1);
    let seen = world.run(job(1, &["true"])).await;
    assert_whole(&seen);
    assert_eq!(seen.updates.len(), 1);
    // On a slow machine the first output does not wait for the last.
    assert!(seen.patches <= 2, "{}", seen.patches);
}

#[tokio::test]
async fn a_large_output_arrives_whole() {
    let world = World::new().await;
    let seen = world.run(job(1, &["seq 1 350000"])).await;
    assert!(seen.trace.len() > 2_000_000);
    let text = seen.text();
    let numbers = text.lines().filter_map(|line| line.parse::<u32>().ok());
    assert!(numbers.eq(1..=350_000));
    assert_whole(&seen);
}

#[tokio::test]
async fn output_is_sent_while_the_job_runs() {
    let world = World::new().await;
    let fifo = world.folder.path().join("go").display().to_string();
    world.enqueue(job(1, &[&format!("mkfifo {fifo}; echo waiting; cat {fifo}")]));
    world
        .with_runner(async {
            world.until(1, |seen| seen.text().contains("\nwaiting\n")).await;
            assert!(!is_over(&world.seen(1)));
            tokio::fs::write(&fifo, "written\n").await.unwrap();
            let seen = world.until(1, is_over).await;
            assert!(seen.text().contains("\nwritten\n"));
        })
        .await;
}

#[tokio::test]
async fn a_silent_job_gives_signs_of_life() {
    let world = World::new().await;
    let fifo = world.folder.path().join("go").display().to_string();
    world.enqueue(job(1, &[&format!("mkfifo {fifo}; echo waiting; cat {fifo}")]));
    let seen = world
        .with_runner(async {
            world.until(1, |seen| seen.text().contains("\nwaiting\n") && !seen.updates.is_empty()).await;
            tokio::fs::write(&fifo, "go\n").await.unwrap();
            world.until(1, is_over).await
        })
        .await;
    let states: Vec<_> = seen.updates.iter().map(|update| update["state"].as_str().unwrap()).collect();
    assert!(states.len() >= 2 && states.ends_with(&["success"]), "{states:?}");
    assert!(states[..states.len() - 1].iter().all(|state| *state == "running"), "{states:?}");
}

#[tokio::test]
async fn failures_of_the_server_neither_lose_nor_repeat_output() {
    let world = World::new().await;
    world.storm([
        Storm::AnswerLost,
        Storm::Refused(503),
        Storm::Refused(500),
        Storm::AnswerLost,
        Storm::Refused(502),
    ]);
    let seen = world.run(job(1, &["for i in $(seq 1 50); do echo line $i; sleep 0.01; done"])).await;
    let text = seen.text();
    let lines =
        text.lines().filter_map(|line| line.strip_prefix("line ")).filter_map(|n| n.parse::<u32>().ok());
    assert!(lines.eq(1..=50), "{text}");
    assert_eq!(seen.state(), "success");
    assert_whole(&seen);
}

#[tokio::test]
async fn a_result_is_repeated_until_the_server_has_it_with_the_whole_trace() {
    let world = World::new().await;
    // Failed; the trace is wanted again, which the server has already; failed again.
    world.answer_results([500, 412, 503]);
    let seen = world.run(job(1, &["echo output"])).await;
    assert_eq!(seen.text().matches("\noutput\n").count(), 1, "{}", seen.text());
    assert!(seen.patches >= 2);
    assert_whole(&seen);
}

#[tokio::test]
async fn too_much_output_is_cut_and_the_job_goes_on() {
    let mut world = World::new().await;
    world.config.output_limit = 5000;
    let seen = world.run(job(1, &["seq 1 100000", "exit 9"])).await;
    let text = seen.text();
    assert!(
        text.ends_with("Job execution will continue but no more output will be collected.\x1b[0;m\n"),
        "{text}"
    );
    assert!(seen.trace.len() < 5200);
    assert_eq!(seen.result()["exit_code"], json!(9));
    assert_whole(&seen);
}
