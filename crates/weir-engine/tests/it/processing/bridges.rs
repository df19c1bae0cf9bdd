//! Bridges, and jobs of resource groups.

use weir_api::JobStatus;
use weir_api::JobStatus::{Canceled, Failed, Manual, Running, Skipped, Success};
use weir_compiler::plan::Strategy;
use weir_engine::{Effect, Event, JobIndex, Refused};

use crate::scenario::{Keywords, Scenario, bridge, job};

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
    scenario = scenario.shows("running: pending created");
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

#[test]
fn a_bridge_waits_again_from_wherever_it_mirrors_its_downstream() {
    let (job, strategy) = (JobIndex(0), Strategy::Mirror);
    for (downstream, expected) in [
        (Running, "running: pending"),
        (Success, "running: pending"),
        (Failed, "running: pending"),
        (Canceled, "running: pending"),
        (Skipped, "pending: pending"),
        (Manual, "pending: pending"),
    ] {
        let mut scenario = Scenario::of([bridge("b")]);
        scenario.apply(Event::DownstreamCreated { job, strategy: Some(strategy) }).unwrap();
        scenario.apply(Event::DownstreamStatus { job, status: downstream, strategy }).unwrap();
        scenario.apply(Event::DownstreamRestarted { job }).unwrap();
        scenario.shows(expected);
    }
}

#[test]
fn a_bridge_of_a_resource_group_asks_for_the_resource_again() {
    let (job, strategy) = (JobIndex(0), Strategy::Depend);
    let grouped = bridge("b").with(|job| job.resource_group = Some("production".to_owned()));
    let mut scenario = Scenario::of([grouped]).after("grant b");
    scenario.apply(Event::DownstreamCreated { job, strategy: Some(strategy) }).unwrap();
    scenario.apply(Event::DownstreamStatus { job, status: Failed, strategy }).unwrap();
    scenario.apply(Event::DownstreamRestarted { job }).unwrap();
    assert!(scenario.changes.effects.contains(&Effect::RequestResource(job)));
    scenario = scenario.shows("waiting_for_resource: waiting_for_resource");
    scenario.apply(Event::DownstreamRestarted { job }).unwrap();
    assert!(!scenario.changes.effects.contains(&Effect::RequestResource(job)), "it waits already");
    scenario.after("grant b").shows("pending: pending");
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
