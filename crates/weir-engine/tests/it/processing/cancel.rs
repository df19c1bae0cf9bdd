//! Cancellation, of jobs and of pipelines.

use weir_api::FailureReason::{NoUpdatesCanceling, UserBlocked};
use weir_api::JobStatus;
use weir_api::JobStatus::{Canceled, Manual, Success};
use weir_compiler::plan::When;
use weir_engine::{Effect, Event, Refused};

use crate::scenario::{Keywords, Scenario, bridge, job};

#[test]
fn a_canceled_job_skips_the_later_ones() {
    Scenario::of([
        job("a"),
        job("b").stage(1),
        job("c").stage(1).when(When::OnFailure),
        job("d").stage(1).when(When::Always),
    ])
    .after("cancel a")
    .shows("canceled: canceled skipped skipped skipped");
}

#[test]
fn a_running_job_ends_gracefully_if_its_runner_can() {
    Scenario::of([job("a")]).after("run a").after("cancel a").shows("canceled: canceled");
    for verdict in ["success a", "drop a script_failure 1", "force-cancel a"] {
        Scenario::of([job("a"), job("b").stage(1)])
            .after("run-gracefully a")
            .after("cancel a")
            .shows("running: canceling created")
            .refuses("cancel a", Refused::Status(JobStatus::Canceling))
            .after(verdict)
            .shows("canceled: canceled skipped");
    }
    Scenario::of([job("a")]).after("run-gracefully a").after("cancel a").shows("canceling: canceling");
}

#[test]
fn a_deadline_while_canceling_leaves_its_reason() {
    let scenario = Scenario::of([job("a")])
        .after("run-gracefully a")
        .after("cancel a")
        .after("drop a no_updates_canceling")
        .shows("canceled: canceled");
    assert_eq!(scenario.job("a").failure_reason, Some(NoUpdatesCanceling));
}

#[test]
fn single_jobs_that_wait_for_a_person_or_have_ended_are_not_canceled() {
    Scenario::of([job("m").blocking(), job("d").delayed(9), job("a"), job("b").stage(1)])
        .refuses("cancel m", Refused::Status(Manual))
        .refuses("cancel d", Refused::Status(JobStatus::Scheduled))
        .refuses("force-cancel a", Refused::Status(JobStatus::Pending))
        .after("cancel b")
        .after("success a")
        .refuses("cancel a", Refused::Status(Success))
        .refuses("cancel b", Refused::Status(Canceled));
}

#[test]
fn canceling_a_pipeline_takes_everything_that_has_not_ended() {
    let scenario = Scenario::of([
        job("done"),
        job("running"),
        job("graceful"),
        job("pending"),
        job("manual").blocking(),
        job("optional").manual(),
        job("delayed").delayed(9),
        bridge("bridge"),
        job("created").stage(1),
    ])
    .after("success done")
    .after("run running")
    .after("run-gracefully graceful")
    .after("cancel")
    .shows("canceling: success canceled canceling canceled canceled canceled canceled canceled canceled")
    .after("success graceful")
    .shows("canceled: success canceled canceled canceled canceled canceled canceled canceled canceled");
    assert_eq!(scenario.job("delayed").scheduled_at, None);
    let again = scenario.after("cancel");
    assert!(again.changes.jobs.is_empty());
    assert_eq!(again.changes.effects, [Effect::CancelChildren]);
}

#[test]
fn dropping_a_pipeline_fails_everything_that_has_not_ended() {
    let mut scenario = Scenario::canceling_on_failure([
        job("done"),
        job("running").retry(2),
        job("manual").blocking(),
        job("created").stage(1).when(When::Always),
    ])
    .after("success done")
    .after("run running");
    scenario.apply(Event::DropPipeline { reason: UserBlocked }).unwrap();
    let scenario = scenario.shows("failed: success failed failed failed");
    assert_eq!(scenario.job("created").failure_reason, Some(UserBlocked));
}

#[test]
fn a_job_that_may_not_fail_cancels_its_pipeline() {
    Scenario::canceling_on_failure([job("a"), job("b"), job("c").stage(1)])
        .after("drop a")
        .shows("failed: failed canceled canceled");
    Scenario::canceling_on_failure([job("a").allowed(), job("b")])
        .after("drop a")
        .shows("pending: failed pending");
    Scenario::canceling_on_failure([job("a").allowed_codes(&[3]), job("b").retry(1)])
        .after("drop a script_failure 3")
        .after("drop b")
        .shows("pending: failed pending")
        .after("drop b")
        .shows("failed: failed failed");
    Scenario::of([job("a"), job("b")]).after("drop a").shows("running: failed pending");
}
