//! The rules of processing, one table or scenario a rule.

use weir_api::FailureReason::{
    NoUpdatesCanceling, PipelineLoopDetected, ReachedMaxDescendantPipelinesDepth, ScriptFailure, UserBlocked,
};
use weir_api::JobStatus;
use weir_api::JobStatus::{Canceled, Failed, Manual, Running, Skipped, Success};
use weir_compiler::plan::Strategy;
use weir_compiler::plan::When;
use weir_engine::{Effect, Event, JobIndex, Outcome, Refused};

use crate::scenario::{Keywords, Scenario, bridge, job};

// Stages, needs and `when`.

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

// Manual jobs.

#[test]
fn an_optional_manual_job_lets_the_pipeline_pass() {
    Scenario::of([job("m").manual()])
        .shows("skipped: manual")
        .stages("skipped")
        .after("play m")
        .shows("pending: pending")
        .after("success m")
        .shows("success: success");
    Scenario::of([job("a"), job("m").stage(1).manual(), job("b").stage(2)])
        .after("success a")
        .shows("running: success manual pending")
        .stages("success skipped pending");
}

#[test]
fn a_blocking_manual_job_holds_the_later_stages() {
    Scenario::of([
        job("a").manual(),
        job("b").stage(1).manual(),
        job("c").stage(2).blocking(),
        job("d").stage(3),
    ])
    .shows("manual: manual manual manual created")
    .stages("skipped skipped manual created")
    .after("play c")
    .shows("pending: manual manual pending created")
    .after("success c")
    .shows("running: manual manual success pending");
}

#[test]
fn play_gives_skipped_dependents_another_chance_and_a_bare_enqueue_does_not() {
    let jobs = || [job("a").manual(), job("b").needs(&["a"]), job("c").stage(1).needs(&["b"])];
    Scenario::of(jobs())
        .shows("skipped: manual skipped skipped")
        .after("play a")
        .shows("pending: pending created created");
    Scenario::of(jobs()).after("enqueue a").shows("pending: pending skipped skipped");
}

#[test]
fn play_resets_jobs_of_its_own_stage_only_along_needs() {
    Scenario::of([
        job("a").manual(),
        job("other").when(When::OnFailure),
        job("b").needs(&["a"]),
        job("c").stage(1).when(When::OnFailure),
    ])
    .shows("skipped: manual skipped skipped skipped")
    .after("play a")
    .shows("pending: pending skipped created created")
    .after("drop a")
    .shows("pending: failed skipped pending created");
}

#[test]
fn what_may_be_played() {
    Scenario::of([job("a"), job("m").manual()])
        .refuses("play a", Refused::NotPlayable)
        .after("play m")
        .refuses("play m", Refused::NotPlayable)
        .after("run m")
        .refuses("play m", Refused::NotPlayable)
        .after("drop m")
        .after("play m")
        .shows("running: pending pending");
    Scenario::of([bridge("m").manual()])
        .after("play m")
        .after("success m")
        .refuses("play m", Refused::NotPlayable);
    let absent = Event::Play { job: JobIndex(7) };
    assert_eq!(Scenario::of([job("a")]).apply(absent), Err(Refused::NoSuchJob));
}

#[test]
fn a_stage_whose_jobs_wait_again_keeps_its_status() {
    Scenario::of([job("m").manual(), job("b").stage(1).needs(&["m"])])
        .shows("skipped: manual skipped")
        .stages("skipped skipped")
        .after("play m")
        .shows("pending: pending created")
        .stages("pending skipped")
        .after("success m")
        .stages("success pending");
}

// Delayed jobs.

#[test]
fn a_delayed_job_waits_for_its_date() {
    let scenario = Scenario::of([job("build"), job("later").stage(1).delayed(60), job("end").stage(2)])
        .wait(5)
        .after("success build")
        .shows("scheduled: success scheduled created");
    let due = scenario.now.plus_secs(60);
    assert_eq!(scenario.job("later").scheduled_at, Some(due));
    assert!(scenario.changes.effects.contains(&Effect::Schedule(scenario.index("later"), due)));
    let scenario = scenario
        .wait(59)
        .refuses("due later", Refused::NotDue)
        .wait(1)
        .after("due later")
        .shows("running: success pending created");
    assert_eq!(scenario.job("later").scheduled_at, None);
    scenario.refuses("due later", Refused::Status(JobStatus::Pending));
}

#[test]
fn delayed_jobs_block_what_comes_after_them() {
    let jobs = || {
        [
            job("build"),
            job("one").stage(1).delayed(60),
            job("two").stage(2).delayed(60),
            job("cleanup").stage(3),
        ]
    };
    let built =
        || Scenario::of(jobs()).after("success build").shows("scheduled: success scheduled created created");
    built().after("unschedule one").shows("manual: success manual created created");
    let played = built().after("play one").shows("running: success pending created created");
    assert_eq!(played.state.jobs.len(), 4, "it is not a retry");
    played.after("drop one").after("retry one").shows("running: success pending created created");
    Scenario::of([job("one").delayed(1), job("two").delayed(60), job("b").stage(1)])
        .wait(1)
        .after("due one")
        .shows("running: pending scheduled created");
    Scenario::of([job("one").delayed(1).allowed(), job("b").stage(1)])
        .after("play one")
        .after("drop one")
        .shows("pending: failed pending");
    Scenario::of([job("a")]).refuses("unschedule a", Refused::Status(JobStatus::Pending));
}

#[test]
fn a_delayed_job_without_delay_is_manual() {
    Scenario::of([job("a").when(When::Delayed)])
        .shows("manual: manual")
        .after("play a")
        .shows("pending: pending");
}

// Retry.

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

// Exit codes.

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

// Cancel.

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

// The runner's word.

#[test]
fn what_a_job_that_has_ended_is_told_does_not_count() {
    for (end, status) in [("success a", Success), ("drop a", Failed), ("cancel a", Canceled)] {
        let mut scenario = Scenario::of([job("a")]).after("run a").after(end);
        for line in ["success a", "drop a", "run a", "alive a", "due a", "unschedule a", "enqueue a"] {
            scenario = scenario.refuses(line, Refused::Status(status));
        }
    }
}

#[test]
fn a_job_can_be_finished_before_it_ran() {
    Scenario::of([job("a"), job("b").stage(1)]).after("success a").shows("running: success pending");
    Scenario::of([job("a"), job("b").stage(1)]).after("drop b").shows("running: pending failed");
    Scenario::of([job("m").blocking()])
        .after("drop m")
        .shows("failed: failed")
        .refuses("drop m", Refused::Status(Failed));
    Scenario::of([job("m").blocking()]).refuses("success m", Refused::Status(Manual));
    Scenario::of([job("s").when(When::OnFailure)]).refuses("drop s", Refused::Status(Skipped));
}

#[test]
fn picking_a_job_fixes_its_timeout_and_takes_it_from_the_queue() {
    let mut scenario = Scenario::of([job("a"), bridge("b"), job("c").stage(1)]).wait(3);
    let a = scenario.index("a");
    scenario.apply(Event::Picked { job: a, timeout: 90, cancel_gracefully: true }).unwrap();
    let row = scenario.job("a");
    assert_eq!((row.timeout, row.cancel_gracefully, row.started_at), (Some(90), true, Some(scenario.now)));
    assert!(scenario.changes.effects.contains(&Effect::Dequeue(a)));
    scenario
        .refuses("run a", Refused::Status(Running))
        .refuses("run b", Refused::Status(JobStatus::Pending))
        .refuses("run c", Refused::Status(JobStatus::Created));
}

#[test]
fn a_sign_of_life_is_written_every_quarter_of_an_hour() {
    let scenario = Scenario::of([job("a")]).after("run a").wait(899).after("alive a");
    assert!(scenario.changes.jobs.is_empty());
    let scenario = scenario.wait(1).after("alive a");
    assert_eq!(scenario.job("a").updated_at, scenario.now);
    assert_eq!(scenario.changes.jobs, [JobIndex(0)]);
    assert!(scenario.changes.effects.is_empty());
}

#[test]
fn erasing_takes_the_data_of_a_job_that_has_ended() {
    let scenario = Scenario::of([job("a"), bridge("b")])
        .refuses("erase a", Refused::NotErasable)
        .after("drop a")
        .after("success b")
        .refuses("erase b", Refused::NotErasable)
        .after("erase a")
        .shows("failed: failed success");
    assert_eq!(scenario.changes.effects, [Effect::EraseData(JobIndex(0))]);
    assert_eq!(scenario.job("a").erased_at, Some(scenario.now));
    scenario.refuses("erase a", Refused::NotErasable);
}

// Bridges.

#[test]
fn a_bridge_waits_like_a_job_and_triggers_when_its_turn_comes() {
    let scenario = Scenario::of([job("test"), bridge("deploy").stage(1)])
        .after("success test")
        .shows("running: success pending");
    let deploy = scenario.index("deploy");
    assert!(scenario.changes.effects.contains(&Effect::TriggerDownstream(deploy)));
    assert!(!scenario.changes.effects.contains(&Effect::Enqueue(deploy)));
    scenario.after("drop deploy downstream_bridge_project_not_found").shows("failed: success failed");
}

#[test]
fn a_bridge_without_strategy_is_done_when_its_downstream_exists() {
    let mut scenario = Scenario::of([bridge("b"), job("a")]);
    scenario.apply(Event::DownstreamCreated { job: JobIndex(0), strategy: None }).unwrap();
    scenario = scenario.shows("running: success pending");
    for job in [JobIndex(0), JobIndex(1)] {
        scenario.apply(Event::DownstreamCreated { job, strategy: None }).unwrap_err();
    }
}

#[test]
fn a_bridge_with_a_strategy_follows_its_downstream() {
    for (downstream, depend, mirror) in [
        (Success, "success: success", "success: success"),
        (Failed, "failed: failed", "failed: failed"),
        (Canceled, "canceled: canceled", "canceled: canceled"),
        (Skipped, "failed: failed", "skipped: skipped"),
        (Manual, "running: running", "manual: manual"),
        (Running, "running: running", "running: running"),
    ] {
        for (strategy, expected) in [(Strategy::Depend, depend), (Strategy::Mirror, mirror)] {
            let mut scenario = Scenario::of([bridge("b")]);
            let job = JobIndex(0);
            scenario.apply(Event::DownstreamCreated { job, strategy: Some(strategy) }).unwrap();
            scenario = scenario.shows("running: running");
            scenario.apply(Event::DownstreamStatus { job, status: downstream, strategy }).unwrap();
            scenario = scenario.shows(expected);
            scenario.apply(Event::DownstreamStatus { job, status: Success, strategy }).unwrap();
            scenario.shows("success: success");
        }
    }
    let job = JobIndex(0);
    let event = Event::DownstreamStatus { job, status: Success, strategy: Strategy::Depend };
    assert_eq!(Scenario::of([self::job("a")]).apply(event), Err(Refused::Status(JobStatus::Pending)));
}

#[test]
fn a_bridge_waits_again_when_its_downstream_goes_on() {
    let job = JobIndex(0);
    let mut scenario = Scenario::of([bridge("b"), self::job("next").stage(1)]);
    scenario.apply(Event::DownstreamCreated { job, strategy: Some(Strategy::Depend) }).unwrap();
    scenario.apply(Event::DownstreamRestarted { job }).unwrap();
    scenario = scenario.shows("running: running created");
    scenario.apply(Event::DownstreamStatus { job, status: Failed, strategy: Strategy::Depend }).unwrap();
    scenario = scenario.shows("failed: failed skipped");
    scenario.apply(Event::DownstreamRestarted { job }).unwrap();
    assert!(!scenario.changes.effects.contains(&Effect::TriggerDownstream(job)), "it has its downstream");
    scenario = scenario.shows("running: pending created");
    scenario.apply(Event::DownstreamStatus { job, status: Success, strategy: Strategy::Depend }).unwrap();
    scenario = scenario.shows("running: success pending");
    let next = Event::DownstreamRestarted { job: JobIndex(1) };
    assert_eq!(scenario.apply(next), Err(Refused::Status(JobStatus::Pending)));
}

// The pipeline's own fields and the effects.

#[test]
fn the_pipeline_remembers_when_it_started_and_ended() {
    let scenario = Scenario::of([job("a"), job("b").stage(1)]).wait(5).after("run a");
    assert_eq!(scenario.state.started_at, Some(scenario.now));
    assert!(scenario.changes.pipeline);
    let started = scenario.state.started_at;
    let scenario = scenario.wait(10).after("success a").wait(100).after("run b").wait(7).after("drop b");
    assert_eq!((scenario.state.started_at, scenario.state.finished_at), (started, Some(scenario.now)));
    assert_eq!(scenario.state.duration, Some(17.0));
    let scenario = scenario.wait(50).after("retry b").wait(1).after("run b").wait(2).after("success b");
    assert_eq!((scenario.state.started_at, scenario.state.finished_at), (started, Some(scenario.now)));
    assert_eq!(scenario.state.duration, Some(12.0));
    let scenario = Scenario::of([job("a").allowed(), job("m").stage(1).blocking()]).wait(5).after("run a");
    let started = scenario.state.started_at;
    let scenario =
        scenario.after("drop a").after("play m").shows("pending: failed pending").wait(9).after("run m");
    assert_eq!((scenario.state.status, scenario.state.started_at), (Running, started));
    let never_ran = Scenario::of([job("a")]).after("cancel a");
    assert_eq!((never_ran.state.started_at, never_ran.state.duration), (None, None));
}

#[test]
fn jobs_that_run_side_by_side_count_once() {
    let scenario = Scenario::of([job("a"), job("b"), job("c").stage(1).blocking()])
        .after("run a")
        .wait(2)
        .after("run b")
        .wait(3)
        .after("success a")
        .wait(4)
        .after("success b")
        .shows("manual: success success manual");
    assert_eq!(scenario.state.duration, Some(9.0));
}

#[test]
fn effects_come_in_the_order_in_which_things_happened() {
    let scenario = Scenario::of([job("a"), job("b").stage(1)]).after("run a").after("success a");
    let (a, b) = (JobIndex(0), JobIndex(1));
    assert_eq!(
        scenario.changes.effects,
        [
            Effect::JobStatus { job: a, from: Running, to: Success },
            Effect::JobStatus { job: b, from: JobStatus::Created, to: JobStatus::Pending },
            Effect::Enqueue(b),
        ]
    );
    assert_eq!(scenario.changes.jobs, [a, b]);
    assert_eq!(scenario.changes.stages, [0, 1]);
    assert!(!scenario.changes.pipeline);
    let scenario = scenario.after("drop b script_failure 1");
    assert_eq!(
        scenario.changes.effects,
        [
            Effect::JobStatus { job: b, from: JobStatus::Pending, to: Failed },
            Effect::Dequeue(b),
            Effect::PipelineStatus { from: Running, to: Failed },
        ]
    );
    assert_eq!(scenario.job("b").failure_reason, Some(ScriptFailure));
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

#[test]
fn a_job_of_a_resource_group_waits_until_it_gets_the_resource() {
    let grouped = job("a").with(|job| job.resource_group = Some("production".to_owned()));
    let scenario = Scenario::of([grouped]);
    assert!(scenario.changes.effects.contains(&Effect::RequestResource(JobIndex(0))));
    let scenario = scenario.shows("waiting_for_resource: waiting_for_resource").after("grant a");
    let scenario = scenario.shows("pending: pending").after("run a").after("success a");
    assert!(scenario.changes.effects.contains(&Effect::ReleaseResource(JobIndex(0))));
}

#[test]
fn a_success_of_the_newest_attempt_outlives_the_end_of_an_older_one() {
    let mut scenario = Scenario::of([job("a")]).after("run-gracefully a").after("cancel a").after("retry a");
    scenario.apply(Event::Finished { job: JobIndex(0), outcome: Outcome::Success }).unwrap();
    assert_eq!(scenario.state.jobs[0].status, Canceled);
    scenario.shows("running: pending").after("success a").shows("success: success");
}
