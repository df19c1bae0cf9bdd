//! What one event costs in a pipeline of 5,000 jobs with 20,000 needs.
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot be set up ends")]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use weir_api::Timestamp;
use weir_compiler::Plan;
use weir_compiler::plan::{Action, AllowFailure, Dependencies, Job, Need, Scheduling, When};
use weir_engine::{Event, JobIndex, Outcome, PipelineState, apply, create};

const JOBS: usize = 5_000;
/// Jobs of one layer; all but those of the first need [`NEEDS`] jobs of the layer before.
const LAYER: usize = 1_000;
const NEEDS: usize = 5;

fn job(number: usize) -> Job {
    let before = (number / LAYER).checked_sub(1).map(|layer| layer * LAYER);
    let needs = before.into_iter().flat_map(|before| {
        (0..NEEDS).map(move |step| Need {
            job: format!("job {}", before + (number + step * 7) % LAYER),
            artifacts: true,
            optional: false,
        })
    });
    Job {
        name: format!("job {number}"),
        stage: 0,
        action: Action::Run(Box::default()),
        when: When::OnSuccess,
        start_in: None,
        allow_failure: AllowFailure::No,
        scheduling: Scheduling::Needs(needs.collect()),
        dependencies: Dependencies::Default,
        variables: Vec::new(),
        tags: Vec::new(),
        retry: None,
        timeout: None,
        interruptible: false,
        resource_group: None,
        environment: None,
        parallel: None,
        manual_confirmation: None,
        coverage: None,
    }
}

fn plan() -> Plan {
    Plan { stages: vec!["build".to_owned()], jobs: (0..JOBS).map(job).collect(), ..Plan::default() }
}

fn now() -> Timestamp {
    "2026-01-05T10:00:00.000Z".parse().unwrap()
}

const fn picked(job: JobIndex) -> Event {
    Event::Picked { job, timeout: 3600, cancel_gracefully: true }
}

const fn ended(job: JobIndex) -> Event {
    Event::Finished { job, outcome: Outcome::Success }
}

/// The state in which all jobs before `job` have ended and it runs.
fn before_the_end_of(plan: &Plan, job: JobIndex) -> PipelineState {
    let mut state = create(plan, now());
    apply(&mut state, Event::Created, now()).unwrap();
    for earlier in (0..job.0).map(JobIndex) {
        apply(&mut state, picked(earlier), now()).unwrap();
        apply(&mut state, ended(earlier), now()).unwrap();
    }
    apply(&mut state, picked(job), now()).unwrap();
    state
}

fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("5,000 jobs with 20,000 needs");
    let plan = plan();
    group.bench_function("the state of a plan", |bencher| {
        bencher.iter_with_large_drop(|| create(&plan, now()));
    });
    let state = create(&plan, now());
    let mut one = |name: &str, state: &PipelineState, event: Event| {
        group.bench_function(name, |bencher| {
            let apply = |state: &mut PipelineState| black_box(apply(state, event, now()).unwrap());
            bencher.iter_batched_ref(|| state.clone(), apply, BatchSize::LargeInput);
        });
    };
    one("the first jobs are decided", &state, Event::Created);
    let first = before_the_end_of(&plan, JobIndex(0));
    one("a job is taken", &first, picked(JobIndex(1)));
    one("the first job ends", &first, ended(JobIndex(0)));
    let middle = JobIndex(2_500);
    one("a job in the middle ends", &before_the_end_of(&plan, middle), ended(middle));
    let last = JobIndex(4_999);
    let all_but_one = before_the_end_of(&plan, last);
    one("the last job ends", &all_but_one, ended(last));
    let mut failed = all_but_one;
    let outcome = Outcome::Failed { reason: weir_api::FailureReason::ScriptFailure, exit_code: Some(1) };
    apply(&mut failed, Event::Finished { job: last, outcome }, now()).unwrap();
    one("a job is retried", &failed, Event::Retry { job: last });
    group.finish();
}

criterion_group!(all, benches);
criterion_main!(all);
