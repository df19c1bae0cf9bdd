//! What each event makes of a job in each status.

use weir_api::{FailureReason, JobStatus, Timestamp};
use weir_compiler::plan::When;
use weir_engine::{Event, JobIndex, JobKind, JobState, Outcome, PipelineState, Refused, apply, create};

use crate::scenario::{job, plan};

/// A pipeline of one job: a manual one, so that play has a meaning.
fn pipeline(kind: JobKind, status: JobStatus, graceful: bool) -> PipelineState {
    let now = Timestamp::from_micros(0);
    let state = create(&plan([job("a")]), now);
    let row = JobState {
        kind,
        status,
        when: When::Manual,
        cancel_gracefully: graceful,
        scheduled_at: (status == JobStatus::Scheduled).then_some(now),
        ..state.jobs[0].clone()
    };
    PipelineState { jobs: vec![row].into(), ..state }
}

/// What becomes of the job, if the event is not refused.
fn after(kind: JobKind, status: JobStatus, graceful: bool, event: Event) -> Result<JobStatus, Refused> {
    let mut state = pipeline(kind, status, graceful);
    apply(&mut state, event, Timestamp::from_micros(0))?;
    let (_, row) = state.latest().last().unwrap();
    Ok(row.status)
}

const JOB: JobIndex = JobIndex(0);
const SUCCESS: Event = Event::Finished { job: JOB, outcome: Outcome::Success };
const FAILURE: Event = Event::Finished {
    job: JOB,
    outcome: Outcome::Failed { reason: FailureReason::ScriptFailure, exit_code: None },
};
const RUN: Event = Event::Picked { job: JOB, timeout: 60, cancel_gracefully: false };

#[test]
fn a_build_goes_where_its_status_lets_it() {
    // A dash is a refusal.
    let table = "
        status               run     success  failure  cancel   force    play    enqueue due     unschedule granted
        created              -       success  failed   canceled -        -       pending -       -          -
        waiting_for_resource -       success  failed   canceled -        -       -       -       -          pending
        preparing            -       success  failed   canceled -        -       -       -       -          -
        waiting_for_callback -       success  failed   canceled -        -       -       -       -          -
        pending              running success  failed   canceled -        -       -       -       -          -
        running              -       success  failed   canceled -        -       -       -       -          -
        manual               -       -        failed   -        -        pending pending -       -          -
        scheduled            -       -        failed   -        -        pending pending pending manual     -
        canceling            -       canceled canceled -        canceled pending -       -       -          -
        success              -       -        -        -        -        pending -       -       -          -
        failed               -       -        -        -        -        pending -       -       -          -
        canceled             -       -        -        -        -        pending -       -       -          -
        skipped              -       -        -        -        -        -       pending -       -          -
    ";
    let events = [
        RUN,
        SUCCESS,
        FAILURE,
        Event::Cancel { job: JOB, force: false },
        Event::Cancel { job: JOB, force: true },
        Event::Play { job: JOB },
        Event::Enqueue { job: JOB },
        Event::Due { job: JOB },
        Event::Unschedule { job: JOB },
        Event::ResourceGranted { job: JOB },
    ];
    check(JobKind::Build, table, &events);
}

#[test]
fn a_bridge_is_told_its_end_wherever_it_is() {
    let table = "
        status               run     success  failure  cancel   play
        created              -       success  failed   canceled -
        waiting_for_resource -       success  failed   canceled -
        pending              -       success  failed   canceled -
        running              -       success  failed   canceled -
        manual               -       success  failed   -        pending
        success              -       success  failed   -        -
        failed               -       success  failed   -        -
        canceled             -       success  failed   -        -
        skipped              -       success  failed   -        -
    ";
    let events = [RUN, SUCCESS, FAILURE, Event::Cancel { job: JOB, force: false }, Event::Play { job: JOB }];
    check(JobKind::Bridge, table, &events);
}

#[test]
fn only_a_running_build_whose_runner_can_is_canceled_gracefully() {
    let cancel = Event::Cancel { job: JOB, force: false };
    for (status, expected) in
        [(JobStatus::Running, JobStatus::Canceling), (JobStatus::Pending, JobStatus::Canceled)]
    {
        assert_eq!(after(JobKind::Build, status, true, cancel), Ok(expected));
    }
}

fn check(kind: JobKind, table: &str, events: &[Event]) {
    let lines = table.lines().map(str::trim).filter(|line| !line.is_empty()).skip(1);
    for line in lines {
        let mut words = line.split_whitespace();
        let status: JobStatus = words.next().unwrap().parse().unwrap();
        let outcomes: Vec<&str> = words.collect();
        assert_eq!(outcomes.len(), events.len(), "{line}");
        for (&event, expected) in events.iter().zip(outcomes) {
            let found = after(kind, status, false, event);
            match expected {
                "-" => assert!(found.is_err(), "{status} and {event:?}: {found:?}"),
                expected => assert_eq!(found, Ok(expected.parse().unwrap()), "{status} and {event:?}"),
            }
        }
    }
}
