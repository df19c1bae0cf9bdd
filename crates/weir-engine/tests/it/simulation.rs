//! Random plans under random events: what must hold whatever happens.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use weir_api::JobStatus::{self, Created, Failed, Manual, Pending, Scheduled, Skipped, Success};
use weir_compiler::Plan;
use weir_compiler::plan::{AllowFailure, AutoCancel, Job, Strategy as BridgeStrategy, When};
use weir_engine::status::{is_active, is_blocked, is_completed};
use weir_engine::{Effect, Event, JobIndex, JobState, Outcome, PipelineState};

use crate::reference::{self, Reference, composite, previous, verdict};
use crate::scenario::{Keywords, Scenario, bridge, job, plan};

const STAGES: usize = 4;

fn any_job() -> impl Strategy<Value = (Job, Option<Vec<prop::sample::Index>>)> {
    let when = prop_oneof![
        4 => Just(When::OnSuccess),
        1 => Just(When::OnFailure),
        1 => Just(When::Always),
        1 => Just(When::Manual),
        1 => Just(When::Delayed),
    ];
    let allow_failure = prop_oneof![
        3 => Just(AllowFailure::No),
        1 => Just(AllowFailure::Yes),
        1 => Just(AllowFailure::ExitCodes(vec![3])),
    ];
    let needs = prop::option::of(prop::collection::vec(any::<prop::sample::Index>(), 0..4));
    (0..STAGES, when, allow_failure, 0..3_u8, any::<bool>(), prop::bool::weighted(0.15), needs).prop_map(
        |(stage, when, allow_failure, retry, has_delay, is_bridge, needs)| {
            let job = if is_bridge { bridge("") } else { job("") };
            let job = job.stage(stage).when(when).retry(retry).with(|job| {
                job.allow_failure = allow_failure;
                job.interruptible = has_delay;
                job.resource_group = (has_delay && retry == 0).then(|| "group".to_owned());
                job.start_in = (when == When::Delayed && has_delay).then_some(60);
            });
            (job, needs)
        },
    )
}

/// Needs point to jobs that come before in order of stages, but the jobs stand in any order.
fn any_plan() -> impl Strategy<Value = Plan> {
    let jobs = prop::collection::vec(any_job(), 1..12);
    (jobs, any::<bool>(), any::<u64>()).prop_map(|(mut jobs, on_job_failure_all, seed)| {
        jobs.sort_by_key(|(job, _)| job.stage);
        let mut named: Vec<Job> = Vec::new();
        for (at, (job, needs)) in jobs.into_iter().enumerate() {
            let job = job.with(|job| job.name = format!("job{at}"));
            named.push(match needs {
                Some(needs) => {
                    let names = needs.iter().filter(|_| at > 0).map(|need| format!("job{}", need.index(at)));
                    let names: BTreeSet<String> = names.collect();
                    job.needs(&names.iter().map(String::as_str).collect::<Vec<_>>())
                }
                None => job,
            });
        }
        let turn = usize::try_from(seed % 12).unwrap() % named.len();
        named.rotate_left(turn);
        let auto_cancel = AutoCancel { on_job_failure_all, ..AutoCancel::default() };
        Plan { auto_cancel, ..plan(named) }
    })
}

fn any_event() -> impl Strategy<Value = (prop::sample::Index, u8)> {
    (any::<prop::sample::Index>(), 0..24_u8)
}

/// Mostly what a runner does, sometimes what a person does.
fn event(kind: u8, job: JobIndex) -> Event {
    let failed = |exit_code| Outcome::Failed { reason: "script_failure".parse().unwrap(), exit_code };
    match kind {
        0..=2 => Event::Picked { job, timeout: 60, cancel_gracefully: kind == 0 },
        3..=5 => Event::Finished { job, outcome: Outcome::Success },
        6..=7 => Event::Finished { job, outcome: failed(Some(1)) },
        8 => Event::Finished { job, outcome: failed(Some(3)) },
        9 => Event::Cancel { job, force: false },
        10 => Event::Cancel { job, force: true },
        11 => Event::CancelPipeline { cascade: true },
        20 => Event::CancelInterruptible,
        23 => Event::ResourceGranted { job },
        21 => Event::DownstreamRestarted { job },
        22 => Event::DropPipeline { reason: "user_blocked".parse().unwrap() },
        12 => Event::Retry { job },
        13 => Event::RetryPipeline,
        14 => Event::Play { job },
        15 => Event::Unschedule { job },
        16 => Event::Due { job },
        17 => Event::Enqueue { job },
        18 => Event::DownstreamCreated { job, strategy: Some(BridgeStrategy::Mirror) },
        _ => Event::DownstreamStatus { job, status: Skipped, strategy: BridgeStrategy::Mirror },
    }
}

fn latest(state: &PipelineState) -> Vec<&JobState> {
    reference::latest(&state.jobs).collect()
}

fn check(before: &PipelineState, event: Event, scenario: &Scenario) {
    let Scenario { state, changes, .. } = scenario;

    // Every change is reported, and nothing else.
    let changed = state.rows().filter(|(index, job)| before.jobs.get(index.0 as usize) != Some(job));
    let mut touched: BTreeSet<JobIndex> = changed.map(|(index, _)| index).collect();
    // A job that was reset and skipped again at once has changed, too.
    touched.extend(changes.effects.iter().filter_map(|effect| match effect {
        Effect::JobStatus { job, .. } => Some(job),
        _ => None,
    }));
    assert!(touched.iter().eq(&changes.jobs), "{touched:?} {:?}", changes.jobs);
    let stages = (0_u32..).zip(before.stages.iter().zip(&state.stages));
    let stages: Vec<u32> = stages.filter(|(_, (old, new))| old != new).map(|(index, _)| index).collect();
    assert_eq!(stages, changes.stages);
    let own = |state: &PipelineState| (state.status, state.started_at, state.finished_at, state.duration);
    assert_eq!(own(before) != own(state), changes.pipeline);

    // The effects tell the same story as the rows.
    let mut statuses: BTreeMap<JobIndex, JobStatus> = before.rows().map(|(n, job)| (n, job.status)).collect();
    let queued = |state: &PipelineState| -> BTreeSet<JobIndex> {
        state.rows().filter(|(_, job)| job.status == Pending && !job.is_bridge()).map(|(n, _)| n).collect()
    };
    let mut queue = queued(before);
    for &effect in &changes.effects {
        match effect {
            Effect::JobStatus { job, from, to } => {
                assert_eq!(statuses.insert(job, to).unwrap_or(Created), from);
                let row = state.job(job);
                if from == Created && to != JobStatus::Canceled && event != (Event::Enqueue { job }) {
                    let is_verdict = matches!(event, Event::Finished { job: ended, .. } if ended == job)
                        || matches!(event, Event::DropPipeline { .. })
                        || matches!(event, Event::DownstreamStatus { job: bridge, .. } if bridge == job)
                        || event == Event::DownstreamRestarted { job };
                    if !is_verdict {
                        assert_eq!(to, verdict(row, previous(&state.jobs, row)), "{}", row.name);
                    }
                }
            }
            Effect::Enqueue(job) => assert!(queue.insert(job)),
            Effect::Dequeue(job) => assert!(queue.remove(&job)),
            Effect::Schedule(job, at) => assert_eq!(state.job(job).scheduled_at, Some(at)),
            Effect::TriggerDownstream(job) => assert!(state.job(job).is_bridge()),
            Effect::PipelineStatus { from, to } => assert_eq!((from, to), (before.status, state.status)),
            Effect::RequestResource(job) => assert!(state.job(job).resource_group.is_some()),
            Effect::ReleaseResource(job) => assert!(state.job(job).resource_group.is_some()),
            Effect::Environment { job, action, .. } => {
                assert_eq!(state.job(job).environment, Some(action));
            }
            Effect::CancelChildren | Effect::RestartUpstream => {}
            Effect::EraseData(_) => panic!("nothing was erased"),
        }
    }
    assert_eq!(queue, queued(state));
    for (index, job) in state.rows() {
        assert_eq!(statuses.get(&index).copied().unwrap_or(Created), job.status);
        assert_eq!(job.scheduled_at.is_some(), job.status == Scheduled);
    }

    // Stored statuses are the composite ones.
    for (stage, row) in (0_u32..).zip(&state.stages) {
        let jobs: Vec<&JobState> = latest(state).into_iter().filter(|job| job.stage == stage).collect();
        match composite(&jobs, false) {
            Created => assert_eq!(row.status, before.stages[stage as usize].status),
            computed => assert_eq!(row.status, computed),
        }
    }
    match composite(&latest(state), false) {
        Created => assert_eq!(state.status, before.status),
        Pending => assert!(matches!(state.status, Pending | JobStatus::Running)),
        computed => assert_eq!(state.status, computed),
    }

    // Who waits has something to wait for.
    let names: BTreeSet<&str> = latest(state).iter().map(|job| job.name.as_str()).collect();
    assert_eq!(names.len(), latest(state).len(), "a name has one newest row");
    for job in latest(state) {
        if job.status == Created {
            assert!(!is_completed(previous(&state.jobs, job)), "{} waits for nothing", job.name);
        }
    }
    let goes_on = |status| is_active(status) || is_blocked(status) || status == JobStatus::Canceling;
    if !latest(state).iter().any(|job| goes_on(job.status)) {
        assert!(is_completed(state.status), "{} is stuck", state.status);
        assert!(latest(state).iter().all(|job| is_completed(job.status)));
    }
}

/// Lets everything succeed that can.
fn drain(scenario: &mut Scenario) {
    let next = |state: &PipelineState| {
        state.latest().find_map(|(job, row)| match row.status {
            Manual | Scheduled => Some(Event::Play { job }),
            status if is_active(status) || status == JobStatus::Canceling => {
                Some(Event::Finished { job, outcome: Outcome::Success })
            }
            _ => None,
        })
    };
    let limit = 4 * scenario.state.jobs.len();
    for _ in 0..limit {
        let Some(event) = next(&scenario.state) else { return };
        let before = scenario.state.clone();
        scenario.apply(event).unwrap();
        check(&before, event, scenario);
    }
    panic!("the pipeline does not end: {}", scenario.state.status);
}

proptest! {
    #[test]
    fn the_rules_hold_whatever_happens(plan in any_plan(), events in prop::collection::vec(any_event(), 0..60)) {
        let mut scenario = Scenario::from(&plan);
        check(&weir_engine::create(&plan, scenario.now), Event::Created, &scenario);
        for (job, kind) in events {
            let job = JobIndex(u32::try_from(job.index(scenario.state.jobs.len())).unwrap());
            let event = event(kind, job);
            let before = scenario.state.clone();
            scenario = scenario.wait(20);
            let mut reference = Reference::of(&before, scenario.now);
            let applied = scenario.apply(event).is_ok();
            prop_assert_eq!(applied, reference.apply(event), "{:?}", event);
            if applied {
                reference.assert_is(&scenario.state);
                check(&before, event, &scenario);
            }
        }
        drain(&mut scenario);
        prop_assert!(is_completed(scenario.state.status));
    }

    #[test]
    fn deciding_again_changes_nothing(plan in any_plan(), events in prop::collection::vec(any_event(), 0..30)) {
        let mut scenario = Scenario::from(&plan);
        for (job, kind) in events {
            let job = JobIndex(u32::try_from(job.index(scenario.state.jobs.len())).unwrap());
            if scenario.apply(event(kind, job)).is_ok() {
                let before = scenario.state.clone();
                scenario.apply(Event::Created).unwrap();
                prop_assert_eq!(&scenario.state, &before);
                prop_assert!(scenario.changes.effects.is_empty());
            }
        }
    }

    #[test]
    fn a_pipeline_whose_jobs_all_succeed_ends_well(plan in any_plan()) {
        let mut scenario = Scenario::from(&plan);
        drain(&mut scenario);
        prop_assert!(matches!(scenario.state.status, Success | Skipped));
        prop_assert!(latest(&scenario.state).iter().all(|job| job.status != Failed));
    }
}
