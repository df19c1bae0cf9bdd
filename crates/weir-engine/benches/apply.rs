//! What one event costs in a pipeline of 5,000 jobs with 20,000 needs.
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot be set up ends")]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use weir_api::Timestamp;
use weir_compiler::Plan;
use weir_compiler::plan::{Action, AllowFailure, Dependencies, Job, Need, Scheduling, When};
use weir_engine::{Event, JobIndex, Outcome, PipelineState, apply, create};

const JOBS: usize = 5_000;
/// Jobs of one layer, each needing [`NEEDS`] jobs of the layer before.
const LAYER: usize = 100;
const NEEDS: usize = 4;

fn job(number: usize) -> Job {
    let needs = (0..NEEDS)
        .filter(|_| number >= LAYER)
        .map(|step| Need {
            job: format!("job {}", number - LAYER - number % LAYER + (number + step * 7) % LAYER),
            artifacts: true,
            optional: false,
        })
        .collect();
    Job {
        name: format!("job {number}"),
        stage: 0,
        action: Action::Run(Box::default()),
        when: When::OnSuccess,
        start_in: None,
        allow_failure: AllowFailure::No,
        scheduling: Scheduling::Needs(needs),
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

fn created() -> PipelineState {
    let mut state = create(&plan(), now());
    apply(&mut state, Event::Created, now()).unwrap();
    state
}

fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("5,000 jobs with 20,000 needs");
    let plan = plan();
    group.bench_function("created", |bencher| {
        bencher.iter_batched_ref(
            || create(&plan, now()),
            |state| black_box(apply(state, Event::Created, now()).unwrap()),
            BatchSize::LargeInput,
        );
    });
    let picked = Event::Picked { job: JobIndex(0), timeout: 3600, cancel_gracefully: true };
    let created = created();
    group.bench_function("picked", |bencher| {
        bencher.iter_batched_ref(
            || created.clone(),
            |state| black_box(apply(state, picked, now()).unwrap()),
            BatchSize::LargeInput,
        );
    });
    let mut running = created;
    apply(&mut running, picked, now()).unwrap();
    group.bench_function("finished", |bencher| {
        bencher.iter_batched_ref(
            || running.clone(),
            |state| {
                let event = Event::Finished { job: JobIndex(0), outcome: Outcome::Success };
                black_box(apply(state, event, now()).unwrap())
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

criterion_group!(all, benches);
criterion_main!(all);
