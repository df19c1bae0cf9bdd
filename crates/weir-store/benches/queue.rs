//! A read of one row and a claim of one job, durable and not.
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot be set up ends")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use tokio::runtime::Runtime;
use weir_api::id::JobId;
use weir_store::pipelines::PipelineCache;
use weir_store::runners::Runner;
use weir_store::testing::Fresh;
use weir_store::{Db, Durability, Error, Options, TokenDigest, Tx, jobs, queue};

use crate::world::{Failure, at, picked};

#[path = "../tests/it/world.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod world;

/// Jobs of one pipeline.
const JOBS: usize = 1_000;

/// Takes the next job, with its pipeline's state in the cache as in a server. A queue that ran empty gets the jobs
/// of a new pipeline.
fn claim(tx: &mut Tx<'_>, cache: &PipelineCache, runner: &Runner) -> Result<JobId, Failure> {
    let candidate = match queue::claimable(tx, runner)? {
        Some(candidate) => candidate,
        None => {
            let project = weir_store::projects::find_by_path(tx, "bench/project")?.ok_or(Error::NoRow)?;
            let names: Vec<String> = (0..JOBS).map(|number| format!("job {number}")).collect();
            world::pipeline(tx, &project, &names.iter().map(String::as_str).collect::<Vec<_>>())?;
            queue::claimable(tx, runner)?.ok_or(Error::NoRow)?
        }
    };
    let (pipeline, index) = jobs::locate(tx, candidate.job_id)?.ok_or(Error::NoRow)?;
    let assignment = jobs::Assignment {
        runner_id: runner.id,
        runner_manager_id: None,
        on_instance_runner: true,
        token: TokenDigest::of(&format!("job {}", candidate.job_id)),
    };
    jobs::assign(tx, candidate.job_id, &assignment)?;
    world::apply(tx, cache, pipeline, picked(index), at(1))?;
    Ok(candidate.job_id)
}

fn benches(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let mut group = criterion.benchmark_group("SQLite");
    for durability in [Durability::Full, Durability::Relaxed] {
        let fresh = Fresh::sqlite().unwrap();
        let options = Options { durability, ..Options::default() };
        let db = runtime.block_on(Db::open_with(&fresh.url().parse().unwrap(), &options)).unwrap();
        let runner = runtime
            .block_on(db.write(|tx| {
                world::project(tx, "bench")?;
                world::runner(tx, "runner", &[], |_| {})
            }))
            .unwrap();
        let cache = std::sync::Arc::new(PipelineCache::default());
        let one_claim = || {
            let (cache, runner) = (cache.clone(), runner.clone());
            runtime.block_on(db.write(move |tx| claim(tx, &cache, &runner))).unwrap()
        };
        group.bench_function(
            BenchmarkId::new("claim of one of 1,000 jobs", format!("{durability:?}")),
            |bencher| {
                bencher.iter(|| black_box(one_claim()));
            },
        );
        if durability == Durability::Full {
            let id = one_claim();
            group.bench_function("read of one job", |bencher| {
                bencher.iter(|| {
                    let read = db.read(move |tx| jobs::find(tx, id));
                    black_box(runtime.block_on(read).unwrap().unwrap())
                });
            });
        }
    }
    group.finish();
}

criterion_group!(all, benches);
criterion_main!(all);
