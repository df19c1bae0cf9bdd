//! A pipeline of 5,000 jobs with 20,000 needs, and a queue of 1,000,000 jobs: on SQLite, durable.
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot be set up ends")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use tokio::runtime::Runtime;
use weir_api::id::PipelineId;
use weir_compiler::Plan;
use weir_compiler::plan::{Need, Scheduling};
use weir_engine::{Event, JobIndex};
use weir_store::pipelines::{self, PipelineCache};
use weir_store::projects::Project;
use weir_store::runners::Runner;
use weir_store::testing::Fresh;
use weir_store::{Db, Error, Options, TokenDigest, Tx, jobs, params, queue};

use crate::world::{Failure, at, picked, succeeded};

#[path = "../tests/it/world.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod world;

const JOBS: usize = 5_000;
/// Jobs of one layer; all but those of the first need [`NEEDS`] jobs of the layer before.
const LAYER: usize = 1_000;
const NEEDS: usize = 5;
/// Pipelines of [`LAYER`] jobs that make up the long queue.
const PIPELINES: usize = 1_000;

fn plan() -> Plan {
    let names: Vec<String> = (0..JOBS).map(|number| format!("job {number}")).collect();
    let mut plan = world::plan(&names.iter().map(String::as_str).collect::<Vec<_>>());
    for (number, job) in plan.jobs.iter_mut().enumerate() {
        let before = (number / LAYER).checked_sub(1).map(|layer| layer * LAYER);
        let needs = before.into_iter().flat_map(|before| {
            (0..NEEDS).map(move |step| Need {
                job: format!("job {}", before + (number + step * 7) % LAYER),
                artifacts: true,
                optional: false,
            })
        });
        job.scheduling = Scheduling::Needs(needs.collect());
    }
    plan
}

/// A database with a project and a runner.
struct World {
    runtime: Runtime,
    db: Db,
    cache: Arc<PipelineCache>,
    project: Project,
    runner: Runner,
    _fresh: Fresh,
}

impl World {
    fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let fresh = Fresh::sqlite().unwrap();
        let options = Options::default();
        let db = runtime.block_on(Db::open_with(&fresh.url().parse().unwrap(), &options)).unwrap();
        let (project, runner) = runtime
            .block_on(db.write(|tx| {
                Ok::<_, Error>((world::project(tx, "bench")?, world::runner(tx, "runner", &[], |_| {})?))
            }))
            .unwrap();
        Self { runtime, db, cache: Arc::default(), project, runner, _fresh: fresh }
    }

    fn write<T: Send + 'static>(
        &self,
        f: impl Fn(&mut Tx<'_>, &PipelineCache) -> Result<T, Failure> + Send + 'static,
    ) -> T {
        let cache = self.cache.clone();
        self.runtime.block_on(self.db.write(move |tx| f(tx, &cache))).unwrap()
    }

    fn create(&self, plan: &Plan) -> PipelineId {
        let (plan, new) = (plan.clone(), world::new_pipeline(&self.project));
        self.write(move |tx, _| Ok(world::insert(tx, &new, &plan, at(0))?.id))
    }

    fn apply(&self, pipeline: PipelineId, event: Event) {
        self.write(move |tx, cache| world::apply(tx, cache, pipeline, event, at(1)).map(drop));
    }

    /// Takes the next job, as a server does.
    fn claim(&self) -> (PipelineId, JobIndex) {
        let runner = self.runner.clone();
        self.write(move |tx, cache| {
            let candidate = queue::claimable(tx, &runner)?.ok_or(Error::NoRow)?;
            let (pipeline, index) = jobs::locate(tx, candidate.job_id)?.ok_or(Error::NoRow)?;
            let assignment = jobs::Assignment {
                runner_id: runner.id,
                runner_manager_id: None,
                on_instance_runner: true,
                token: TokenDigest::of(&format!("job {}", candidate.job_id)),
            };
            jobs::assign(tx, candidate.job_id, &assignment)?;
            world::apply(tx, cache, pipeline, picked(index), at(1))?;
            Ok((pipeline, index))
        })
    }

    /// Copies a pipeline, whose jobs all wait, so often.
    fn copy(&self, pipeline: PipelineId, times: usize) {
        let times = i64::try_from(times).unwrap();
        self.write(move |tx, _| {
            for (table, columns, values) in [
                (
                    "pipelines",
                    "id, project_id, iid, sha, ref, tag, protected, source, config_source, status, child,
                     cancel_on_job_failure, version, created_at, updated_at",
                    "o.id + n, project_id, iid + n, sha, ref, tag, protected, source, config_source, status,
                     child, cancel_on_job_failure, version, created_at, updated_at",
                ),
                (
                    "stages",
                    "pipeline_id, position, name, status",
                    "pipeline_id + n, position, name, status",
                ),
                (
                    "job_definitions",
                    "pipeline_id, position, scheduling, content",
                    "pipeline_id + n, position, scheduling, content",
                ),
                (
                    "jobs",
                    "pipeline_id, project_id, position, definition, stage, stage_name, name, bridge, protected,
                     tag_set_id, status, retried, allow_failure, enqueue_immediately, cancel_gracefully,
                     created_at, queued_at, updated_at, on_instance_runner, debug_trace",
                    "pipeline_id + n, project_id, position, definition, stage, stage_name, name, bridge,
                     protected, tag_set_id, status, retried, allow_failure, enqueue_immediately,
                     cancel_gracefully, created_at, queued_at, updated_at, on_instance_runner, debug_trace",
                ),
            ] {
                let key = if table == "pipelines" { "id" } else { "pipeline_id" };
                let sql = format!(
                    "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < $2)
                     INSERT INTO {table} ({columns})
                     SELECT {values} FROM numbers CROSS JOIN {table} o WHERE o.{key} = $1"
                );
                tx.execute(&sql, params![pipeline, times])?;
            }
            tx.execute(
                "INSERT INTO queue (job_id, lane_id) SELECT id, (SELECT max(id) FROM queue_lanes) FROM jobs
                 WHERE pipeline_id > $1 ORDER BY id",
                params![pipeline],
            )?;
            Ok(())
        });
    }
}

fn large_pipeline(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("SQLite, 5,000 jobs with 20,000 needs");
    group.sample_size(20);
    let (world, plan) = (World::new(), plan());
    group.bench_function("the pipeline is created", |bencher| {
        bencher.iter(|| black_box(world.create(&plan)));
    });
    let pipeline = world.create(&plan);
    group.bench_function("its state is read", |bencher| {
        bencher.iter(|| world.write(move |tx, _| Ok(black_box(pipelines::load(tx, pipeline)?).is_some())));
    });
    let (mut pipeline, mut jobs) = (pipeline, (0..JOBS).map(|job| JobIndex(u32::try_from(job).unwrap())));
    let fresh = jobs.clone();
    let mut next = || {
        let job = jobs.next().unwrap_or_else(|| {
            pipeline = world.create(&plan);
            jobs = fresh.clone();
            jobs.next().unwrap()
        });
        world.apply(pipeline, picked(job));
        (pipeline, job)
    };
    group.bench_function("a job ends", |bencher| {
        let end = |(pipeline, job)| world.apply(pipeline, succeeded(job));
        bencher.iter_batched(&mut next, end, BatchSize::PerIteration);
    });
    group.finish();
}

fn long_queue(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("SQLite, 1,000,000 jobs in the queue");
    group.sample_size(50);
    let world = World::new();
    let names: Vec<String> = (0..LAYER).map(|number| format!("job {number}")).collect();
    let pipeline = world.create(&world::plan(&names.iter().map(String::as_str).collect::<Vec<_>>()));
    world.copy(pipeline, PIPELINES - 1);
    let size = world.write(|tx, _| Ok(queue::size(tx)?));
    assert_eq!(size, 1_000_000);
    group.bench_function("a job is taken", |bencher| bencher.iter(|| black_box(world.claim())));
    group.bench_function("a job ends", |bencher| {
        bencher.iter_batched(
            || world.claim(),
            |(pipeline, job)| world.apply(pipeline, succeeded(job)),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(all, large_pipeline, long_queue);
criterion_main!(all);
