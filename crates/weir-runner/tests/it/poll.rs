//! How a runner asks for jobs, and how it stops.

use std::time::Duration;

use weir_api::Secret;
use weir_runner::{Runner, RunnerError};

use crate::server::{World, is_over, job};

#[tokio::test]
async fn jobs_run_at_the_same_time_up_to_the_limit_each_in_its_own_folder() {
    let mut world = World::new().await;
    world.config.concurrent = 2;
    let fifo = world.folder.path().join("fifo").display().to_string();
    // Each end of a pipe waits for the other, so neither job could end alone.
    let make = format!("mkfifo {fifo} 2>/dev/null || true");
    world.enqueue(job(1, &[&make, &format!("pwd; echo x > {fifo}")]));
    world.enqueue(job(2, &[&make, &format!("pwd; cat {fifo}")]));
    let (first, second) =
        world.with_runner(async { (world.until(1, is_over).await, world.until(2, is_over).await) }).await;
    assert_eq!((first.state(), second.state()), ("success", "success"));
    let folder = |number: usize| format!("/abcdefghi/{number}/g/p\n");
    assert!(first.text().contains(&folder(0)), "{}", first.text());
    assert!(second.text().contains(&folder(1)), "{}", second.text());
}

#[tokio::test]
async fn many_jobs_run_one_after_the_other() {
    let world = World::new().await;
    (1..=10).for_each(|id| world.enqueue(job(id, &["true"])));
    world
        .with_runner(async {
            for id in 1..=10 {
                assert_eq!(world.until(id, is_over).await.state(), "success");
            }
        })
        .await;
}

#[tokio::test]
async fn a_shutdown_lets_running_jobs_end() {
    let world = World::new().await;
    world.enqueue(job(1, &["echo started; sleep 0.5; echo ended"]));
    world.with_runner(world.until(1, |seen| seen.text().contains("\nstarted"))).await;
    let seen = world.seen(1);
    assert_eq!(seen.state(), "success", "{}", seen.text());
}

#[tokio::test]
async fn a_shutdown_interrupts_jobs_that_take_too_long() {
    let mut world = World::new().await;
    world.config.shutdown_timeout = Duration::from_millis(50);
    world.enqueue(job(1, &["echo started; sleep 600"]));
    world.with_runner(world.until(1, |seen| seen.text().contains("\nstarted"))).await;
    let seen = world.seen(1);
    assert_eq!(seen.result()["failure_reason"], "runner_interrupted", "{}", seen.text());
}

#[tokio::test]
async fn a_runner_that_is_refused_rests() {
    let mut world = World::new().await;
    world.config.token = Secret::from("glrt-unknown");
    world.config.check_interval = Duration::from_millis(1);
    world
        .with_runner(async {
            while world.requests() < 3 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        })
        .await;
    assert_eq!(world.requests(), 3);
}

#[tokio::test]
async fn a_runner_needs_absolute_folders() {
    let mut world = World::new().await;
    world.config.builds_dir = "builds".into();
    assert!(matches!(Runner::new(world.config.clone()), Err(RunnerError::RelativeFolder(_))));
}
