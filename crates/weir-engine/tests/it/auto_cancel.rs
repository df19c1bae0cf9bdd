//! Older pipelines that a new commit makes redundant.

use weir_api::{PipelineSource, Timestamp};
use weir_compiler::plan::{Job, OnNewCommit};
use weir_engine::Event;
use weir_engine::auto_cancel::{Older, is_redundant, on_new_commit};

use crate::scenario::{Keywords, Scenario, bridge, job};

const DAY: i64 = 24 * 3600;

fn interruptible(job: Job) -> Job {
    job.with(|job| job.interruptible = true)
}

#[test]
fn an_older_pipeline_of_another_commit_is_redundant() {
    let now = Timestamp::from_micros(0);
    let older = Older { source: PipelineSource::Push, created_at: now.plus_secs(-60), sha: "old" };
    for (older, redundant) in [
        (older, true),
        (Older { source: PipelineSource::ParentPipeline, ..older }, true),
        (Older { source: PipelineSource::Webide, ..older }, false),
        (Older { source: PipelineSource::OndemandDastScan, ..older }, false),
        (Older { created_at: now, ..older }, false),
        (Older { created_at: now.plus_secs(1), ..older }, false),
        (Older { created_at: now.plus_secs(-7 * DAY), ..older }, true),
        (Older { created_at: now.plus_secs(-7 * DAY - 1), ..older }, false),
        (Older { sha: "new", ..older }, false),
        (Older { sha: "head", ..older }, false),
    ] {
        assert_eq!(is_redundant(older, now, "new", Some("head")), redundant, "{older:?}");
    }
    assert!(is_redundant(older, now, "new", None), "the ref may be gone");
}

#[test]
fn conservative_spares_a_pipeline_once_a_job_that_must_not_be_interrupted_has_started() {
    let jobs = || [interruptible(job("test")), job("deploy"), bridge("child")];
    for (events, cancels) in [
        (&[][..], true),
        (&["run test"], true),
        (&["run test", "success child"], true),
        (&["run deploy"], false),
        (&["run deploy", "success deploy"], false),
        (&["run deploy", "drop deploy"], false),
        (&["run deploy", "drop deploy", "retry deploy"], false),
        (&["cancel deploy"], true),
    ] {
        let scenario = events.iter().fold(Scenario::of(jobs()), |scenario, event| scenario.after(event));
        for rule in [None, Some(OnNewCommit::Conservative)] {
            assert_eq!(
                on_new_commit(&scenario.state, rule),
                cancels.then_some(Event::CancelPipeline { cascade: false }),
                "{events:?}"
            );
        }
        assert_eq!(on_new_commit(&scenario.state, Some(OnNewCommit::None)), None);
        let rule = Some(OnNewCommit::Interruptible);
        assert_eq!(on_new_commit(&scenario.state, rule), Some(Event::CancelInterruptible));
    }
}

#[test]
fn interruptible_jobs_are_canceled_whatever_they_do_and_the_others_go_on() {
    let later = interruptible(job("later")).stage(1);
    let mut scenario = Scenario::of([interruptible(job("test")), job("deploy"), later]).after("run test");
    scenario.apply(Event::CancelInterruptible).unwrap();
    scenario.shows("running: canceled pending canceled");
}
