//! Stages, needs and `when`: what becomes of a created job.

use weir_compiler::plan::When;

use crate::scenario::{Keywords, Scenario, job};

#[test]
fn the_first_stage_starts_at_once_and_the_next_when_it_is_done() {
    Scenario::of([job("build"), job("test").stage(1)])
        .shows("pending: pending created")
        .stages("pending created")
        .after("run build")
        .shows("running: running created")
        .after("success build")
        .shows("running: success pending")
        .stages("success pending")
        .after("success test")
        .shows("success: success success");
}

#[test]
fn when_decides_by_what_came_before() {
    for (when, by_needs, success, skipped, failed, canceled) in [
        (When::OnSuccess, false, "pending", "pending", "skipped", "skipped"),
        (When::OnSuccess, true, "pending", "skipped", "skipped", "skipped"),
        (When::Manual, false, "manual", "manual", "skipped", "skipped"),
        (When::Manual, true, "manual", "skipped", "skipped", "skipped"),
        (When::Delayed, false, "manual", "manual", "skipped", "skipped"),
        (When::Delayed, true, "manual", "skipped", "skipped", "skipped"),
        (When::OnFailure, false, "skipped", "skipped", "pending", "skipped"),
        (When::OnFailure, true, "skipped", "skipped", "pending", "skipped"),
        (When::Always, false, "pending", "pending", "pending", "skipped"),
        (When::Always, true, "pending", "pending", "pending", "skipped"),
    ] {
        let jobs = || {
            let last = job("last").stage(1).when(when);
            [job("first"), if by_needs { last.needs(&["first"]) } else { last }]
        };
        for (event, expected) in
            [("success first", success), ("drop first", failed), ("cancel first", canceled)]
        {
            let status = Scenario::of(jobs()).after(event).job("last").status;
            assert_eq!(status.as_str(), expected, "{when:?} after `{event}`");
        }
        let [first, last] = jobs();
        let status = Scenario::of([first.when(When::OnFailure), last]).job("last").status;
        assert_eq!(status.as_str(), skipped, "{when:?} after a skipped job");
    }
}

#[test]
fn a_job_without_predecessors_goes_by_success() {
    Scenario::of([job("a").when(When::OnFailure), job("b").when(When::Always)])
        .shows("pending: skipped pending");
    Scenario::of([job("a"), job("b").stage(1).needs(&[])]).shows("pending: pending pending");
    Scenario::of([job("a").when(When::OnFailure)]).shows("skipped: skipped").stages("skipped");
}

#[test]
fn a_need_that_the_pipeline_does_not_have_counts_as_success() {
    Scenario::of([job("a").needs(&["absent"])]).shows("pending: pending");
}

#[test]
fn needs_of_the_same_stage_are_decided_first_wherever_they_stand() {
    Scenario::of([job("c").needs(&["b"]), job("b").needs(&["a"]), job("a").when(When::OnFailure)])
        .shows("skipped: skipped skipped skipped");
    Scenario::of([job("c").needs(&["b"]), job("b").needs(&["a"]), job("a")])
        .shows("pending: created created pending")
        .after("drop a")
        .shows("failed: skipped skipped failed");
}

#[test]
fn needs_that_go_in_circles_wait_for_ever() {
    Scenario::of([job("a").needs(&["b"]), job("b").needs(&["a"]), job("c")])
        .shows("pending: created created pending");
}

#[test]
fn a_needs_job_is_skipped_as_soon_as_one_need_is_skipped_or_manual() {
    Scenario::of([job("a"), job("b").manual(), job("c").stage(1).needs(&["a", "b"])])
        .shows("pending: pending manual skipped");
    Scenario::of([job("a"), job("b").blocking(), job("c").stage(1).needs(&["a", "b"])])
        .shows("running: pending manual created")
        .after("success a")
        .shows("manual: success manual created");
}

#[test]
fn an_always_job_does_not_wait_for_other_needs_once_one_is_skipped() {
    let last = job("last").stage(1).when(When::Always).needs(&["a", "b"]);
    Scenario::of([job("a"), job("b").when(When::OnFailure), last]).shows("pending: pending skipped pending");
}

#[test]
fn an_on_failure_job_with_a_failed_and_a_skipped_need_is_skipped() {
    let rollback = job("rollback").stage(2).when(When::OnFailure).needs(&["a", "b"]);
    Scenario::of([job("a"), job("b").stage(1), rollback])
        .after("drop a")
        .shows("failed: failed skipped skipped");
}

#[test]
fn always_runs_after_a_failure_beside_a_cancellation() {
    Scenario::of([job("a"), job("b"), job("c").stage(1).when(When::Always)])
        .after("cancel a")
        .after("drop b")
        .shows("running: canceled failed pending");
}

#[test]
fn a_job_that_may_fail_does_not_stop_the_next_ones() {
    for event in ["drop a", "cancel a"] {
        Scenario::of([job("a").allowed(), job("b").stage(1)]).after(event).stages("success pending");
        Scenario::of([job("a").allowed(), job("b").stage(1).needs(&["a"])])
            .after(event)
            .stages("success pending")
            .after("success b")
            .stages("success success");
    }
    Scenario::of([job("a").allowed(), job("b").stage(1)])
        .after("drop a")
        .shows("pending: failed pending")
        .after("success b")
        .shows("success: failed success");
}

#[test]
fn a_decided_job_is_not_decided_again_by_what_happens_before_it() {
    let cleanup = job("cleanup").stage(1).when(When::OnFailure).needs(&["a"]);
    Scenario::of([job("a"), job("b"), cleanup])
        .after("success a")
        .after("drop b")
        .shows("failed: success failed skipped");
}

#[test]
fn the_newest_failure_of_needs_is_seen_at_once() {
    let builds =
        || [job("linux"), job("mac"), job("rescue").stage(1).when(When::OnFailure).needs(&["linux"])];
    Scenario::of(builds()).after("drop mac").after("success linux").shows("failed: success failed skipped");
    Scenario::of(builds()).after("drop linux").shows("running: failed pending pending");
}

#[test]
fn only_the_always_job_runs_after_an_early_failure() {
    Scenario::of([
        job("code"),
        job("approve").stage(1).blocking(),
        job("test").stage(2),
        job("deploy").stage(3).blocking(),
        job("clear").stage(4).when(When::Always),
    ])
    .after("drop code")
    .shows("running: failed skipped skipped skipped pending")
    .after("success clear")
    .shows("failed: failed skipped skipped skipped success");
}

#[test]
fn on_failure_is_skipped_on_the_way_and_the_next_stage_goes_on() {
    Scenario::of([job("check"), job("rescue").stage(1).when(When::OnFailure), job("test").stage(2)])
        .after("success check")
        .shows("running: success skipped pending");
}
