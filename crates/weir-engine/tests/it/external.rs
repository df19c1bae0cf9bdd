//! Jobs that other systems run.

use weir_api::JobStatus::{self, Canceled, Failed, Pending, Running, Skipped, Success};
use weir_api::{FailureReason, Timestamp};
use weir_engine::external::{self, Report, STAGE};
use weir_engine::{Effect, Event, JobIndex, JobKind, Refused};

use crate::scenario::{Keywords, Scenario, job};

/// Reports a status of a job named so, the newest of which is moved if it has not ended.
fn reports(mut scenario: Scenario, name: &str, report: Report) -> Scenario {
    let update = scenario
        .state
        .latest()
        .find(|(_, job)| job.is_external() && job.name == name && matches!(job.status, Pending | Running));
    let update = update.map(|(index, _)| index);
    let (_, changes) = external::report(&mut scenario.state, name, update, report, scenario.now).unwrap();
    scenario.changes = changes;
    scenario
}

fn refusal(scenario: &mut Scenario, update: JobIndex, report: Report) -> Refused {
    let before = scenario.state.clone();
    let refused =
        external::report(&mut scenario.state, "ci", Some(update), report, scenario.now).unwrap_err();
    assert_eq!(scenario.state, before);
    refused
}

#[test]
fn an_external_job_joins_the_last_stage_and_is_counted() {
    let scenario = Scenario::of([job("a"), job("b").stage(1)]).after("run a").after("success a");
    let scenario = reports(scenario, "ci", Report::Pending).stages("success pending pending");
    assert_eq!(scenario.state.stages[2].name, STAGE);
    assert_eq!(scenario.job("ci").kind, JobKind::External);
    assert!(!scenario.changes.effects.iter().any(|effect| matches!(effect, Effect::Enqueue(_))));
    let scenario = scenario.after("run b").after("success b").shows("running: success success pending");
    let scenario = reports(scenario, "ci", Report::Running).shows("running: success success running");
    assert!(!scenario.changes.effects.iter().any(|effect| matches!(effect, Effect::Dequeue(_))));
    let scenario = reports(scenario, "ci", Report::Failed).shows("failed: success success failed");
    assert_eq!(scenario.job("ci").failure_reason, Some(FailureReason::ApiFailure));
    reports(scenario, "ci", Report::Success).shows("success: success success success");
}

#[test]
fn a_report_after_the_end_is_a_new_attempt() {
    let scenario = Scenario::of([job("a")]);
    let scenario = reports(reports(scenario, "ci", Report::Failed), "ci", Report::Running);
    let rows: Vec<_> =
        scenario.state.rows().filter(|(_, job)| job.name == "ci").map(|(_, job)| job).collect();
    assert_eq!(
        rows.iter().map(|job| (job.status, job.retried)).collect::<Vec<_>>(),
        [(Failed, true), (Running, false)]
    );
    assert_eq!(scenario.state.stages.len(), 2);
}

#[test]
fn reports_that_do_not_follow_are_refused_in_gitlabs_words() {
    let mut scenario = reports(Scenario::of([job("a")]), "ci", Report::Pending);
    let index = scenario.index("ci");
    assert_eq!(
        refusal(&mut scenario, index, Report::Pending),
        Refused::Reported { event: "enqueue", from: Pending }
    );
    let mut scenario = reports(scenario, "ci", Report::Running);
    assert_eq!(
        refusal(&mut scenario, index, Report::Running).to_string(),
        "Cannot transition status via :run from :running (Reason(s): Status cannot transition via \"run\")"
    );
    assert_eq!(
        refusal(&mut scenario, index, Report::Skipped),
        Refused::Reported { event: "skip", from: Running }
    );
}

#[test]
fn each_report_leads_to_its_status() {
    for (report, status) in [
        (Report::Pending, Pending),
        (Report::Running, Running),
        (Report::Success, Success),
        (Report::Failed, Failed),
        (Report::Canceled, Canceled),
        (Report::Skipped, Skipped),
    ] {
        let scenario = reports(Scenario::of([job("a")]).wait(7), "ci", report);
        let row = scenario.job("ci");
        let at = |when: bool| when.then_some(Timestamp::from_micros(7_000_000));
        let is = |statuses: &[JobStatus]| at(statuses.contains(&status));
        assert_eq!(
            (row.status, row.started_at, row.finished_at),
            (status, is(&[Running]), is(&[Success, Failed, Canceled]))
        );
    }
}

#[test]
fn an_external_job_is_canceled_with_its_pipeline_and_never_retried_or_taken() {
    let scenario = reports(Scenario::of([job("a")]), "ci", Report::Running);
    let scenario = scenario.after("cancel").shows("canceled: canceled canceled");
    let mut scenario = scenario.refuses("retry ci", Refused::NotRetryable).after("retry");
    assert_eq!(scenario.job("ci").status, Canceled);
    scenario = reports(scenario, "other", Report::Pending);
    let taken = Event::Picked { job: scenario.index("other"), timeout: 60, cancel_gracefully: false };
    assert_eq!(scenario.apply(taken), Err(Refused::Status(Pending)));
}

#[test]
fn a_skipped_external_job_stays_skipped_when_others_start_again() {
    let scenario = Scenario::of([job("a"), job("b").stage(1)]).after("run a").after("drop a");
    let scenario = reports(scenario, "ci", Report::Skipped).shows("failed: failed skipped skipped");
    scenario.after("retry a").shows("running: pending created skipped");
}

#[test]
fn the_failure_of_an_external_job_cancels_nothing() {
    let scenario = Scenario::canceling_on_failure([job("a")]).after("run a");
    reports(scenario, "ci", Report::Failed).shows("running: running failed");
}
