//! The pipeline's own fields, and the effects.

use weir_api::FailureReason::ScriptFailure;
use weir_api::JobStatus;
use weir_api::JobStatus::{Failed, Running, Success};
use weir_engine::{Effect, JobIndex};

use crate::scenario::{Keywords, Scenario, job};

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
fn a_pipeline_that_never_ran_has_no_start_and_no_duration() {
    let scenario = Scenario::of([job("a")]).wait(5).after("success a").shows("success: success");
    assert_eq!((scenario.state.started_at, scenario.state.duration), (None, None));
    assert_eq!(scenario.state.finished_at, Some(scenario.now));
}
