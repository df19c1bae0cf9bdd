//! What a runner says of its job.

use weir_api::JobStatus;
use weir_api::JobStatus::{Canceled, Failed, Manual, Running, Skipped, Success};
use weir_compiler::plan::When;
use weir_engine::{Effect, Event, JobIndex, Refused};

use crate::scenario::{Keywords, Scenario, bridge, job};

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
