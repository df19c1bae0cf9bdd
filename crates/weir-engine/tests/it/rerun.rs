//! Pipelines that run again, or a part of them.

use weir_api::FailureReason;
use weir_compiler::plan::Strategy;
use weir_engine::rerun::Scope;
use weir_engine::{Effect, Event, Refused};

use crate::scenario::{Keywords, Scenario, bridge, job};

impl Scenario {
    fn reruns(mut self, scope: Scope) -> Self {
        self.apply(Event::Rerun { scope }).unwrap();
        assert!(self.changes.effects.contains(&Effect::RestartUpstream));
        self
    }

    fn reruns_from(self, name: &str) -> Self {
        let job = self.index(name);
        self.reruns(Scope::From(job))
    }
}

/// `build` and `lint`, then `unit`, then `deploy`, which needs `build` alone, and `notify`.
fn ended() -> Scenario {
    Scenario::of([
        job("build"),
        job("lint"),
        job("unit").stage(1),
        job("deploy").stage(2).needs(&["build"]),
        job("notify").stage(3).needs(&["deploy"]),
    ])
    .after("run build")
    .after("success build")
    .after("run lint")
    .after("success lint")
    .after("run unit")
    .after("drop unit script_failure 1")
    .after("run deploy")
    .after("success deploy")
    .after("run notify")
    .after("success notify")
    .shows("failed: success success failed success success")
}

#[test]
fn all_repeats_every_job_from_the_beginning() {
    let again = ended().reruns(Scope::All).shows("running: pending pending created created created");
    assert_eq!(again.state.jobs.len(), 10);
    again.after("run build").after("success build").shows("running: success pending created pending created");
}

#[test]
fn failed_repeats_what_failed_and_lets_the_skipped_wait_again() {
    ended().reruns(Scope::Failed).shows("running: success success pending success success");
    Scenario::of([job("a"), job("b").stage(1), job("c").stage(2)])
        .after("run a")
        .after("drop a script_failure 1")
        .shows("failed: failed skipped skipped")
        .reruns(Scope::Failed)
        .shows("running: pending created created");
}

#[test]
fn from_a_job_repeats_it_and_what_depends_on_it() {
    for (name, expected) in [
        ("build", "running: pending success created created created"),
        ("lint", "running: success pending created success success"),
        ("unit", "running: success success pending success success"),
        ("deploy", "running: success success failed pending created"),
        ("notify", "running: success success failed success pending"),
    ] {
        ended().reruns_from(name).shows(expected);
    }
}

#[test]
fn a_named_manual_job_runs_and_others_wait_for_a_person_again() {
    let ended = || {
        Scenario::of([job("gate").manual(), job("next").stage(1), job("later").stage(2).manual()])
            .after("play gate")
            .after("run gate")
            .after("success gate")
            .after("run next")
            .after("success next")
            .after("play later")
            .after("run later")
            .after("success later")
            .shows("success: success success success")
    };
    ended().reruns(Scope::All).shows("running: manual pending created");
    ended().reruns_from("gate").shows("running: pending created created");
    ended().reruns_from("next").shows("running: success pending created");
}

#[test]
fn jobs_that_have_not_ended_are_not_repeated() {
    let running = || Scenario::of([job("a"), job("b"), job("c").stage(1)]).after("run a");
    for scope in [Scope::All, Scope::From(running().index("a")), Scope::From(running().index("c"))] {
        let mut running = running();
        assert_eq!(running.apply(Event::Rerun { scope }), Err(Refused::StillActive));
    }
    // What failed may, while others still run.
    running()
        .after("drop a script_failure 1")
        .reruns(Scope::Failed)
        .shows("running: pending pending created");
    let mut old = ended().reruns_from("unit");
    let first = weir_engine::JobIndex(2);
    assert_eq!(old.apply(Event::Rerun { scope: Scope::From(first) }), Err(Refused::NotRetryable));
}

#[test]
fn a_bridge_whose_downstream_failed_is_followed_and_one_without_is_repeated() {
    let mut scenario = Scenario::of([bridge("child"), bridge("lost"), job("next").stage(1)]);
    let strategy = Some(Strategy::Depend);
    let child = scenario.index("child");
    scenario.apply(Event::DownstreamCreated { job: child, strategy }).unwrap();
    let (status, strategy) = (weir_api::JobStatus::Failed, Strategy::Depend);
    scenario.apply(Event::DownstreamStatus { job: child, status, strategy }).unwrap();
    let lost = scenario.index("lost");
    let reason = FailureReason::DownstreamPipelineCreationFailed;
    let outcome = weir_engine::Outcome::Failed { reason, exit_code: None };
    scenario.apply(Event::Finished { job: lost, outcome }).unwrap();
    let scenario = scenario.shows("failed: failed failed skipped").reruns(Scope::Failed);
    assert_eq!(scenario.index("child"), child);
    assert_ne!(scenario.index("lost"), lost);
    let again = scenario.changes.effects.iter().filter(|it| matches!(it, Effect::TriggerDownstream(_)));
    assert_eq!(again.count(), 1);
}
