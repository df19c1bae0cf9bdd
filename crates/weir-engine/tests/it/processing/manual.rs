//! Jobs that a person starts, and delayed ones.

use weir_api::JobStatus;
use weir_compiler::plan::When;
use weir_engine::{Effect, Event, JobIndex, Refused};

use crate::scenario::{Keywords, Scenario, bridge, job};

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

#[test]
fn play_and_retry_reset_skipped_jobs_alone_however_far_their_needs_reach() {
    let jobs = || {
        [
            job("a").manual(),
            job("b").needs(&["a"]),
            job("c").needs(&["b"]),
            job("done"),
            job("optional").stage(1).manual(),
            job("later").stage(1).needs(&["c"]),
            job("last").stage(2).needs(&["later"]),
        ]
    };
    Scenario::of(jobs())
        .after("success done")
        .shows("success: manual skipped skipped success manual skipped skipped")
        .after("play a")
        .shows("running: pending created created success manual created created")
        .after("success a")
        .after("drop b")
        .shows("failed: success failed skipped success manual skipped skipped")
        .after("retry b")
        .shows("running: success pending created success manual created created");
}

#[test]
fn play_and_retry_tell_the_pipeline_above() {
    let tells = |scenario: &Scenario| scenario.changes.effects.contains(&Effect::RestartUpstream);
    let played = Scenario::of([job("a").manual(), job("b").stage(1)]).after("play a");
    assert!(tells(&played));
    let ended = played.after("drop a");
    assert!(!tells(&ended));
    let retried = ended.after("retry a");
    assert!(tells(&retried));
    assert!(tells(&retried.after("drop a").after("retry")));
    assert!(!tells(&Scenario::of([job("a").manual()]).after("enqueue a")));
}
