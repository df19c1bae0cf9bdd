//! How long jobs may take, and which are given up.

use weir_api::FailureReason::{
    NoUpdatesCanceling, NoUpdatesRunning, ServerTimeoutCanceling, ServerTimeoutRunning, StaleSchedule,
    StuckPendingNoMatchingRunners, StuckPendingWithMatchingRunners,
};
use weir_engine::timeout::{self, TimeoutSource, effective, overdue};
use weir_engine::{Event, Outcome};

use crate::scenario::{Keywords, Scenario, job};

const HOUR: i64 = 3600;

#[test]
fn the_jobs_own_timeout_or_its_projects_counts_up_to_the_runners_maximum() {
    for (project, job, runner, expected) in [
        (3600, None, None, (3600, TimeoutSource::Project)),
        (3600, Some(60), None, (60, TimeoutSource::Job)),
        (3600, Some(7200), None, (7200, TimeoutSource::Job)),
        (3600, Some(7200), Some(600), (600, TimeoutSource::Runner)),
        (3600, None, Some(600), (600, TimeoutSource::Runner)),
        (3600, None, Some(9000), (3600, TimeoutSource::Project)),
        (3600, None, Some(0), (3600, TimeoutSource::Project)),
        (3600, Some(600), Some(600), (600, TimeoutSource::Job)),
    ] {
        assert_eq!(effective(project, job, runner), expected);
    }
}

#[test]
fn the_source_of_a_timeout_has_gitlabs_names() {
    let names =
        [TimeoutSource::Project, TimeoutSource::Runner, TimeoutSource::Job].map(TimeoutSource::as_str);
    assert_eq!(names, ["project_timeout_source", "runner_timeout_source", "job_timeout_source"]);
}

#[test]
fn a_job_is_given_up_when_its_time_is_past() {
    let pending = || Scenario::of([job("a")]);
    let running = || pending().after("run a");
    let canceling = || pending().after("run-gracefully a").after("cancel a");
    let delayed = || Scenario::of([job("a").delayed(60)]);
    let timeout = 3600 + timeout::GRACE_SECS;
    for (scenario, can_run, after, reason) in [
        (pending(), true, 24 * HOUR, StuckPendingWithMatchingRunners),
        (pending(), false, HOUR, StuckPendingNoMatchingRunners),
        (running(), true, 30 * 60, NoUpdatesRunning),
        (running().wait(timeout - 60).after("alive a"), true, 60, ServerTimeoutRunning),
        (canceling(), true, 30 * 60, NoUpdatesCanceling),
        (canceling().wait(timeout - 60).after("alive a"), true, 60, ServerTimeoutCanceling),
        (delayed(), true, 60 + HOUR, StaleSchedule),
    ] {
        let mut scenario = scenario.wait(after);
        let index = scenario.index("a");
        assert_eq!(overdue(scenario.state.job(index), scenario.now, || can_run), None, "{reason}");
        scenario = scenario.wait(1);
        let outcome = Outcome::Failed { reason, exit_code: None };
        assert_eq!(overdue(scenario.state.job(index), scenario.now, || can_run), Some(outcome));
        scenario.apply(Event::Finished { job: index, outcome }).unwrap();
        assert_eq!(scenario.state.job(index).failure_reason, Some(reason));
        assert_eq!(overdue(scenario.state.job(index), scenario.now.plus_secs(99 * HOUR), || false), None);
    }
}

#[test]
fn jobs_that_wait_for_others_or_for_a_person_wait_for_ever() {
    let scenario = Scenario::of([job("m").blocking(), job("a").stage(1)]).wait(10_000 * HOUR);
    for name in ["m", "a"] {
        assert_eq!(overdue(scenario.job(name), scenario.now, || false), None);
    }
}
