//! Retries, by hand and automatic ones, and exit codes.

use weir_api::FailureReason::{PipelineLoopDetected, ReachedMaxDescendantPipelinesDepth};
use weir_api::JobStatus::{Canceled, Failed};
use weir_compiler::plan::When;
use weir_engine::{Event, JobIndex, Outcome, Refused};

use crate::scenario::{Keywords, Scenario, bridge, job};

#[test]
fn a_retry_is_a_new_row_and_only_the_newest_counts() {
    let scenario = Scenario::of([job("a").retry(0), job("b").stage(1)])
        .after("run a")
        .wait(10)
        .after("drop a script_failure 1")
        .shows("failed: failed skipped")
        .after("retry a")
        .shows("running: pending created");
    let [old, _, new] = &scenario.state.jobs[..] else { panic!("a row for each attempt") };
    assert!(old.retried && !new.retried);
    assert_eq!((old.status, old.exit_code), (Failed, Some(1)));
    assert_eq!((new.retry_of, new.exit_code, new.started_at), (Some(JobIndex(0)), None, None));
    assert_eq!((new.created_at, new.queued_at), (scenario.now, Some(scenario.now)));
    assert_eq!(scenario.changes.jobs, [JobIndex(0), JobIndex(1), JobIndex(2)]);
    let again = Event::Retry { job: JobIndex(0) };
    let mut scenario = scenario;
    assert_eq!(scenario.apply(again), Err(Refused::NotRetryable));
}

#[test]
fn only_jobs_at_their_end_are_retried() {
    Scenario::of([job("a"), job("b").stage(1), job("m").manual()])
        .refuses("retry a", Refused::NotRetryable)
        .refuses("retry b", Refused::NotRetryable)
        .refuses("retry m", Refused::NotRetryable)
        .after("run-gracefully a")
        .refuses("retry a", Refused::NotRetryable)
        .after("cancel a")
        .shows("running: canceling created manual")
        .after("retry a")
        .shows("running: pending created manual");
}

#[test]
fn a_bridge_that_would_fail_again_is_not_retried() {
    for reason in [PipelineLoopDetected, ReachedMaxDescendantPipelinesDepth] {
        Scenario::of([bridge("b")])
            .after(&format!("drop b {reason}"))
            .refuses("retry b", Refused::NotRetryable);
    }
    Scenario::of([bridge("b")]).after("drop b").after("retry b").shows("running: pending");
}

#[test]
fn a_retried_job_is_judged_by_its_predecessors_again() {
    Scenario::of([job("a"), job("b").stage(1).when(When::Always)])
        .after("success a")
        .after("success b")
        .after("retry a")
        .after("cancel a")
        .after("retry b")
        .shows("canceled: canceled skipped");
}

#[test]
fn a_retried_manual_job_runs_at_once_alone_and_waits_again_with_its_pipeline() {
    let played =
        || Scenario::of([job("a"), job("m").manual()]).after("success a").after("play m").after("drop m");
    played().after("retry m").shows("running: success pending");
    played().after("retry").shows("success: success manual");
    let delayed =
        || Scenario::of([job("a"), job("d").delayed(60)]).after("success a").after("play d").after("drop d");
    delayed().after("retry d").shows("running: success pending");
    let scenario = delayed().wait(100).after("retry").shows("scheduled: success scheduled");
    assert_eq!(scenario.job("d").scheduled_at, Some(scenario.now.plus_secs(60)));
}

#[test]
fn a_pipeline_retry_repeats_what_failed_or_was_canceled_and_resets_what_was_skipped() {
    Scenario::of([job("good"), job("bad"), job("stopped"), bridge("bridge"), job("last").stage(1)])
        .after("success good")
        .after("drop bad")
        .after("cancel stopped")
        .after("drop bridge")
        .shows("failed: success failed canceled failed skipped")
        .after("retry")
        .shows("running: success pending pending failed created");
}

#[test]
fn a_job_with_retry_is_repeated_before_others_see_its_failure() {
    Scenario::of([job("build").retry(2), job("rescue").stage(1).when(When::OnFailure), job("test").stage(1)])
        .after("drop build script_failure 1")
        .shows("pending: pending created created")
        .after("success build")
        .shows("running: success skipped pending")
        .after("success test")
        .shows("success: success skipped success");
}

#[test]
fn retries_by_hand_count_as_automatic_ones() {
    Scenario::of([job("a").retry(2)])
        .after("success a")
        .after("retry a")
        .after("drop a")
        .shows("running: pending")
        .after("drop a")
        .shows("failed: failed");
}

#[test]
fn a_job_that_may_fail_is_repeated_too() {
    Scenario::of([job("a").retry(1).allowed()])
        .after("drop a")
        .shows("pending: pending")
        .after("drop a")
        .shows("success: failed");
}

#[test]
fn a_failed_bridge_is_not_repeated() {
    Scenario::of([bridge("b").retry(2)]).after("drop b").shows("failed: failed");
}

#[test]
fn a_canceled_job_is_not_repeated() {
    Scenario::of([job("a").retry(2)]).after("cancel a").shows("canceled: canceled");
    Scenario::of([job("a").retry(2)])
        .after("run-gracefully a")
        .after("cancel a")
        .after("drop a script_failure 1")
        .shows("canceled: canceled");
}

#[test]
fn a_success_of_the_newest_attempt_outlives_the_end_of_an_older_one() {
    let mut scenario = Scenario::of([job("a")]).after("run-gracefully a").after("cancel a").after("retry a");
    scenario.apply(Event::Finished { job: JobIndex(0), outcome: Outcome::Success }).unwrap();
    assert_eq!(scenario.state.jobs[0].status, Canceled);
    scenario.shows("running: pending").after("success a").shows("success: success");
}

#[test]
fn an_exit_code_of_the_list_turns_a_failure_into_a_warning_for_good() {
    let jobs = || [job("a").allowed_codes(&[3, 70_000]), job("b").stage(1)];
    Scenario::of(jobs()).after("drop a script_failure 1").shows("failed: failed skipped");
    Scenario::of(jobs()).after("drop a script_failure 3").shows("pending: failed pending");
    let large = Scenario::of(jobs()).after("drop a script_failure 70000").shows("pending: failed pending");
    assert_eq!(large.job("a").exit_code, Some(32_767));
    Scenario::of(jobs())
        .after("drop a script_failure 3")
        .after("retry a")
        .after("drop a script_failure 1")
        .shows("pending: failed pending");
    Scenario::of(jobs())
        .after("run-gracefully a")
        .after("cancel a")
        .after("drop a script_failure 3")
        .shows("canceled: canceled skipped");
    let negative = Scenario::of(jobs()).after("drop a script_failure -1");
    assert_eq!(negative.job("a").exit_code, Some(0));
}

#[test]
fn a_pipeline_retry_leaves_what_still_ends() {
    Scenario::of([job("a"), job("b")])
        .after("run-gracefully a")
        .after("cancel a")
        .after("drop b")
        .shows("canceling: canceling failed")
        .after("retry")
        .shows("running: pending pending");
}

#[test]
fn the_scheduler_fails_three_times_before_a_job_does() {
    Scenario::of([job("a")])
        .after("drop a scheduler_failure")
        .after("drop a scheduler_failure")
        .shows("pending: pending")
        .after("drop a scheduler_failure")
        .shows("failed: failed");
}

#[test]
fn a_new_attempt_is_the_same_job() {
    let before = job("a").stage(1).needs(&["b"]).retry(2).allowed().with(|job| {
        job.interruptible = true;
        job.resource_group = Some("production".to_owned());
    });
    let scenario = Scenario::of([job("b"), before]).after("success b").after("grant a").after("success a");
    let first = scenario.job("a").clone();
    let scenario = scenario.after("retry a");
    let again = scenario.job("a");
    let same = |job: &weir_engine::JobState| {
        let job = job.clone();
        (job.name, job.stage, job.kind, job.when, job.needs, job.retry, job.allow_failure, job.interruptible)
    };
    assert_eq!(same(again), same(&first));
    assert_eq!((&again.resource_group, again.start_in), (&first.resource_group, first.start_in));
}
