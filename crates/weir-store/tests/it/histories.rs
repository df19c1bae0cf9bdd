//! Random events, some of them rolled back: both databases end in the rows that the engine alone comes to.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use weir_api::id::PipelineId;
use weir_api::{FailureReason, JobStatus};
use weir_compiler::plan::{AllowFailure, Need, Plan, Retry, Scheduling, When};
use weir_engine::{Event, JobIndex, Outcome, PipelineState};
use weir_store::pipelines::{self, PipelineCache};
use weir_store::testing::Fresh;
use weir_store::{Db, Engine, Tx, params};

use crate::world::{Failure, apply, at, insert, job, new_pipeline, picked, project, succeeded};

/// What happens to a job, and whether the transaction is rolled back.
type Step = (prop::sample::Index, u8, bool);

fn any_plan() -> impl Strategy<Value = Plan> {
    let whens = prop_oneof![
        3 => Just(When::OnSuccess),
        1 => Just(When::OnFailure),
        1 => Just(When::Always),
        1 => Just(When::Manual),
    ];
    let any_job = (0..3_usize, whens, any::<bool>(), 0..3_u8, prop::option::of(any::<prop::sample::Index>()));
    prop::collection::vec(any_job, 1..8).prop_map(|mut jobs| {
        jobs.sort_by_key(|(stage, ..)| *stage);
        let named = jobs.iter().enumerate().map(|(number, (stage, when, allowed, retries, need))| {
            let mut job = job(&format!("job{number}"), if *allowed { &["docker"] } else { &[] });
            job.stage = *stage;
            job.when = *when;
            job.allow_failure = if *allowed { AllowFailure::Yes } else { AllowFailure::No };
            job.retry = Some(Retry { max: *retries, when: Vec::new(), exit_codes: Vec::new() });
            if let Some(need) = need.filter(|_| number > 0) {
                let job_name = format!("job{}", need.index(number));
                job.scheduling =
                    Scheduling::Needs(vec![Need { job: job_name, artifacts: true, optional: false }]);
            }
            job
        });
        Plan { stages: ["a", "b", "c"].map(str::to_owned).to_vec(), jobs: named.collect(), ..Plan::default() }
    })
}

fn event(job: JobIndex, kind: u8) -> Event {
    let failed = Outcome::Failed { reason: FailureReason::ScriptFailure, exit_code: Some(1) };
    match kind {
        0..=3 => picked(job),
        4 | 5 => succeeded(job),
        6 | 7 => Event::Finished { job, outcome: failed },
        8 => Event::Cancel { job, force: false },
        9 => Event::Retry { job },
        10 => Event::Play { job },
        11 => Event::RetryPipeline,
        12 => Event::CancelPipeline { cascade: false },
        _ => Event::Erase { job },
    }
}

/// Lets everything happen to a new pipeline; its id, and what the engine says that it comes to.
async fn happen(db: &Db, name: &str, plan: &Plan, steps: &[Step]) -> (PipelineId, PipelineState) {
    let (name, new) = (name.to_owned(), plan.clone());
    let id = db
        .write(move |tx| {
            let project = project(tx, &name)?;
            Ok::<_, Failure>(insert(tx, &new_pipeline(&project), &new, at(0))?.id)
        })
        .await
        .unwrap();
    let mut state = weir_engine::create(plan, at(0));
    weir_engine::apply(&mut state, Event::Created, at(0)).unwrap();
    let cache = std::sync::Arc::new(PipelineCache::default());
    for ((job, kind, rolled_back), now) in steps.iter().zip(1..) {
        let job = JobIndex(u32::try_from(job.index(state.jobs.len())).unwrap());
        let (event, cache, rolled_back) = (event(job, *kind), cache.clone(), *rolled_back);
        let done: Result<(), Failure> = db
            .write(move |tx| {
                apply(tx, &cache, id, event, at(now))?;
                if rolled_back { Err(Failure::Store("rolled back".to_owned())) } else { Ok(()) }
            })
            .await;
        let mut next = state.clone();
        let expected = weir_engine::apply(&mut next, event, at(now));
        match done {
            Ok(()) => state = next,
            Err(Failure::Refused(refused)) => assert_eq!(expected.err(), Some(refused)),
            Err(Failure::Store(problem)) => assert!(rolled_back && expected.is_ok(), "{problem}"),
        }
    }
    (id, state)
}

/// The queue of a pipeline: the places of its jobs, and of the first job of each of its lanes.
fn queue(tx: &mut Tx<'_>, id: PipelineId) -> weir_store::Result<(Vec<u32>, Vec<u32>)> {
    let mut places = |sql: &str| -> weir_store::Result<Vec<u32>> {
        tx.query(sql, params![id])?.iter().map(|row| row.get(0)).collect()
    };
    Ok((
        places(
            "SELECT j.position FROM queue q JOIN jobs j ON j.id = q.job_id
             WHERE j.pipeline_id = $1 ORDER BY j.position",
        )?,
        places(
            "SELECT j.position FROM queue_lanes l JOIN jobs j ON j.id = l.head
             WHERE j.pipeline_id = $1 ORDER BY j.position",
        )?,
    ))
}

#[test]
fn both_databases_end_as_the_engine_does_whatever_is_rolled_back() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut places = Vec::new();
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let fresh = runtime.block_on(Fresh::on(engine)).unwrap();
        places.extend(fresh.map(|fresh| (runtime.block_on(fresh.open()).unwrap(), fresh)));
    }
    let number = std::cell::Cell::new(0);
    let steps =
        prop::collection::vec((any::<prop::sample::Index>(), 0..14_u8, prop::bool::weighted(0.2)), 0..40);
    TestRunner::new(Config { cases: 48, failure_persistence: None, ..Config::default() })
        .run(&(any_plan(), steps), |(plan, steps)| {
            number.set(number.get() + 1);
            let mut queues = Vec::new();
            for (db, _) in &places {
                let name = format!("dev{}", number.get());
                let (id, state) = runtime.block_on(happen(db, &name, &plan, &steps));
                let stored = runtime.block_on(db.write(move |tx| pipelines::load(tx, id))).unwrap().unwrap();
                prop_assert_eq!(&stored.0, &state);
                let queued = runtime.block_on(db.read(move |tx| queue(tx, id))).unwrap();
                let waiting = state.rows().filter(|(_, job)| job.status == JobStatus::Pending);
                prop_assert!(queued.0.iter().copied().eq(waiting.map(|(index, _)| index.0)));
                queues.push(queued);
            }
            prop_assert!(queues.iter().all(|queue| *queue == queues[0]));
            Ok(())
        })
        .unwrap();
    for (db, fresh) in places {
        drop(db);
        runtime.block_on(fresh.remove()).unwrap();
    }
}
