//! Pipelines, their jobs and their state.

use std::sync::Arc;

use weir_api::{FailureReason, JobStatus, PipelineSource};
use weir_compiler::plan::{OnNewCommit, Retry, RetryWhen, Scheduling, When};
use weir_engine::{Changes, Event, JobIndex, Outcome, Refused};
use weir_store::pipelines::{self, Filter, NewPipeline, OrderBy, PipelineCache, Scope, Upstream};
use weir_store::projects::Project;
use weir_store::{Db, Error, Page, Sort, TokenDigest, Tx, jobs, params};

use crate::world::{Failure, apply, at, insert, new_pipeline, picked, pipeline, plan, project};

async fn a_new_pipelines_state_can_be_kept(db: Db) {
    let cache = Arc::new(PipelineCache::default());
    let (inserted, state) = db
        .write(|tx| {
            let project = project(tx, "dev")?;
            let plan = plan(&["build", "test"]);
            let mut state = weir_engine::create(&plan, at(0));
            let changes = weir_engine::apply(&mut state, Event::Created, at(0)).unwrap();
            let inserted =
                pipelines::insert(tx, &new_pipeline(&project), &state, &plan.jobs, &changes, at(0))?;
            Ok::<_, Error>((inserted, state))
        })
        .await
        .unwrap();
    cache.keep(&inserted, state.clone());
    let id = inserted.id;
    db.write(move |tx| {
        // Rows that say otherwise show that they were not read.
        tx.execute("UPDATE jobs SET name = 'changed'", params![])?;
        let seen = pipelines::peek(tx, &cache, id, |state, ids| (state.clone(), ids.to_vec()))?;
        assert_eq!(seen, Some((state.clone(), inserted.jobs.clone())));
        apply(tx, &cache, id, picked(JobIndex(0)), at(1))
    })
    .await
    .unwrap();
}

async fn a_canceled_pipeline_that_goes_on_forgets_who_canceled_it(db: Db) {
    let cache = Arc::new(PipelineCache::default());
    db.write(move |tx| {
        let project = project(tx, "dev")?;
        let (old, new) = (pipeline(tx, &project, &["build"])?.id, pipeline(tx, &project, &["build"])?.id);
        apply(tx, &cache, old, Event::CancelPipeline { cascade: false }, at(1))?;
        pipelines::set_canceled_by(tx, old, new)?;
        assert_eq!(pipelines::find(tx, old)?.unwrap().canceled_by, Some(new));
        apply(tx, &cache, old, Event::RetryPipeline, at(2))?;
        assert_eq!(pipelines::find(tx, old)?.unwrap().canceled_by, None);
        Ok::<_, Failure>(())
    })
    .await
    .unwrap();
}

async fn a_refused_event_and_one_without_changes_leave_the_state_in_the_cache(db: Db) {
    let cache = Arc::new(PipelineCache::default());
    db.write(move |tx| {
        let project = project(tx, "dev")?;
        let id = pipeline(tx, &project, &["build"])?.id;
        apply(tx, &cache, id, picked(JobIndex(0)), at(1))?;
        // Rows that say otherwise show that they were not read.
        tx.execute("UPDATE jobs SET name = 'changed'", params![])?;
        let name = |tx: &mut Tx<'_>| pipelines::peek(tx, &cache, id, |state, _| state.jobs[0].name.clone());
        assert_eq!(
            apply(tx, &cache, id, picked(JobIndex(0)), at(2)),
            Err(Failure::Refused(Refused::Status(JobStatus::Running)))
        );
        assert_eq!(name(tx)?.as_deref(), Some("build"));
        let done = apply(tx, &cache, id, Event::Alive { job: JobIndex(0) }, at(3))?;
        assert_eq!(done.changes, Changes::default());
        assert_eq!(name(tx)?.as_deref(), Some("build"));
        Ok::<_, Failure>(())
    })
    .await
    .unwrap();
}

async fn what_is_inserted_is_loaded(db: Db) {
    let (inserted, expected, loaded) = db
        .write(|tx| {
            let project = project(tx, "dev")?;
            let mut plan = plan(&["build", "unit", "deploy"]);
            plan.stages.push("deploy".to_owned());
            plan.jobs[1].retry = Some(Retry { max: 2, when: vec![RetryWhen::Always], exit_codes: vec![137] });
            plan.jobs[1].scheduling = Scheduling::Needs(Vec::new());
            plan.jobs[1].interruptible = true;
            plan.jobs[2].stage = 1;
            plan.jobs[2].when = When::Delayed;
            plan.jobs[2].start_in = Some(30);
            plan.jobs[2].resource_group = Some("production".to_owned());
            plan.auto_cancel.on_job_failure_all = true;
            let mut state = weir_engine::create(&plan, at(0));
            let changes = weir_engine::apply(&mut state, Event::Created, at(0)).unwrap();
            let new = NewPipeline {
                on_new_commit: Some(OnNewCommit::Interruptible),
                merged_yaml: Some("build: {}".to_owned()),
                ..new_pipeline(&project)
            };
            let inserted = pipelines::insert(tx, &new, &state, &plan.jobs, &changes, at(0))?;
            let loaded = pipelines::load(tx, inserted.id)?.ok_or(Error::NoRow)?;
            Ok::<_, Error>((inserted, state, loaded))
        })
        .await
        .unwrap();
    assert_eq!(loaded, (expected, inserted.jobs.clone()));
    assert_eq!((inserted.iid, inserted.jobs.len()), (1, 3));
    let id = inserted.id;
    let (row, stages, yaml, definitions) = db
        .read(move |tx| {
            Ok::<_, Error>((
                pipelines::find(tx, id)?.ok_or(Error::NoRow)?,
                pipelines::stages(tx, id)?,
                pipelines::merged_yaml(tx, id)?,
                jobs::definitions(tx, id)?,
            ))
        })
        .await
        .unwrap();
    assert_eq!(
        (row.iid, row.status, row.on_new_commit),
        (1, JobStatus::Pending, Some(OnNewCommit::Interruptible))
    );
    assert_eq!(stages.iter().map(|stage| stage.name.as_str()).collect::<Vec<_>>(), ["test", "deploy"]);
    assert_eq!(yaml.as_deref(), Some("build: {}"));
    assert_eq!(definitions[&2].name, "deploy");
}

async fn numbers_count_within_a_project(db: Db) {
    let iids = db
        .write(|tx| {
            let (one, two) = (project(tx, "one")?, project(tx, "two")?);
            let mut iids = Vec::new();
            for project in [&one, &one, &two] {
                iids.push(pipeline(tx, project, &["job"])?.iid);
            }
            Ok::<_, Error>(iids)
        })
        .await
        .unwrap();
    assert_eq!(iids, [1, 2, 1]);
}

async fn a_transition_writes_what_the_engine_decided(db: Db) {
    let cache = Arc::new(PipelineCache::default());
    let shared = Arc::clone(&cache);
    let inserted = db
        .write(|tx| {
            let project = project(tx, "dev")?;
            pipeline(tx, &project, &["build", "unit"])
        })
        .await
        .unwrap();
    let (id, first) = (inserted.id, inserted.jobs[0]);
    let transition = db.write(move |tx| apply(tx, &shared, id, picked(JobIndex(0)), at(5))).await.unwrap();
    assert_eq!(transition.id(JobIndex(0)), Some(first));
    let (row, job) = db
        .read(move |tx| Ok::<_, Error>((pipelines::find(tx, id)?.unwrap(), jobs::find(tx, first)?.unwrap())))
        .await
        .unwrap();
    assert_eq!((row.status, row.started_at, row.updated_at), (JobStatus::Running, Some(at(5)), at(5)));
    assert_eq!((job.status, job.started_at, job.timeout), (JobStatus::Running, Some(at(5)), Some(3600)));

    // Kept or read anew, the next transition sees the same state.
    for cache in [cache, Arc::new(PipelineCache::default())] {
        let refused =
            db.write(move |tx| apply(tx, &cache, id, picked(JobIndex(0)), at(6))).await.unwrap_err();
        assert_eq!(refused, Failure::Refused(Refused::Status(JobStatus::Running)));
    }
}

async fn a_kept_state_is_not_trusted_after_a_rollback(db: Db) {
    let cache = Arc::new(PipelineCache::default());
    let id = db
        .write(|tx| {
            let project = project(tx, "dev")?;
            pipeline(tx, &project, &["build"])
        })
        .await
        .unwrap()
        .id;
    let shared = Arc::clone(&cache);
    let rolled_back: Result<(), _> = db
        .write(move |tx| {
            apply(tx, &shared, id, picked(JobIndex(0)), at(1))?;
            Err(Failure::Store("no".to_owned()))
        })
        .await;
    rolled_back.unwrap_err();
    db.write(move |tx| apply(tx, &cache, id, picked(JobIndex(0)), at(2))).await.unwrap();
}

async fn a_retry_is_a_new_row_that_runs_the_same(db: Db) {
    let (ids, retried) = db
        .write(|tx| {
            let project = project(tx, "dev")?;
            let mut plan = plan(&["unit"]);
            plan.jobs[0].tags = vec!["linux".to_owned()];
            let inserted = insert(tx, &new_pipeline(&project), &plan, at(0))?;
            let cache = PipelineCache::default();
            let failed = Outcome::Failed { reason: FailureReason::ScriptFailure, exit_code: Some(2) };
            apply(tx, &cache, inserted.id, picked(JobIndex(0)), at(1)).unwrap();
            apply(tx, &cache, inserted.id, Event::Finished { job: JobIndex(0), outcome: failed }, at(2))
                .unwrap();
            let done = apply(tx, &cache, inserted.id, Event::Retry { job: JobIndex(0) }, at(3)).unwrap();
            let loaded = pipelines::load(tx, inserted.id)?.ok_or(Error::NoRow)?;
            assert_eq!(loaded.1, *done.ids);
            Ok::<_, Error>((done.ids, loaded.0))
        })
        .await
        .unwrap();
    assert_eq!((ids.len(), retried.jobs[1].retry_of, retried.jobs[0].retried), (2, Some(JobIndex(0)), true));
    let (old, new, definition) = db
        .read(move |tx| {
            let new = jobs::find(tx, ids[1])?.unwrap();
            Ok::<_, Error>((jobs::find(tx, ids[0])?.unwrap(), new.clone(), jobs::definition(tx, &new)?))
        })
        .await
        .unwrap();
    assert_eq!(
        (old.status, old.failure_reason, old.exit_code),
        (JobStatus::Failed, Some(FailureReason::ScriptFailure), Some(2))
    );
    assert_eq!(
        (new.status, new.tag_set_id, new.user_id, new.runner_id),
        (JobStatus::Pending, old.tag_set_id, old.user_id, None)
    );
    assert_eq!((new.failure_reason, new.exit_code, definition.tags), (None, None, vec!["linux".to_owned()]));
}

fn several(tx: &mut weir_store::Tx<'_>) -> weir_store::Result<Project> {
    let project = project(tx, "dev")?;
    let base = new_pipeline(&project);
    for (seconds, new) in (0..).zip([
        base.clone(),
        NewPipeline { ref_name: "v1".to_owned(), tag: true, ..base.clone() },
        NewPipeline { sha: "b".repeat(40), source: PipelineSource::Web, ..base.clone() },
        NewPipeline {
            ref_name: "topic".to_owned(),
            name: Some("nightly".to_owned()),
            user_id: None,
            ..base.clone()
        },
        NewPipeline { yaml_errors: Some("no".to_owned()), ..base.clone() },
    ]) {
        insert(tx, &new, &plan(&["job"]), at(seconds))?;
    }
    let child = Upstream {
        job_id: weir_api::id::JobId(1),
        pipeline_id: weir_api::id::PipelineId(1),
        project_id: project.id,
        child: true,
    };
    let new = NewPipeline { upstream: Some(child), source: PipelineSource::ParentPipeline, ..base };
    insert(tx, &new, &plan(&["job"]), at(9))?;
    let first = weir_api::id::PipelineId(1);
    apply(tx, &PipelineCache::default(), first, picked(JobIndex(0)), at(20)).unwrap();
    Ok(project)
}

async fn pipelines_are_listed_by_what_is_asked_for(db: Db) {
    let project = db.write(several).await.unwrap();
    let all = Filter { project_id: Some(project.id), ..Filter::default() };
    for (filter, expected) in [
        (all.clone(), vec![5, 4, 3, 2, 1]),
        (Filter { sort: Sort::Asc, ..all.clone() }, vec![1, 2, 3, 4, 5]),
        (Filter { scope: Some(Scope::Running), ..all.clone() }, vec![1]),
        (Filter { scope: Some(Scope::Pending), ..all.clone() }, vec![5, 4, 3, 2]),
        (Filter { scope: Some(Scope::Finished), ..all.clone() }, vec![]),
        (Filter { scope: Some(Scope::Branches), ..all.clone() }, vec![5, 4]),
        (Filter { scope: Some(Scope::Tags), ..all.clone() }, vec![2]),
        (Filter { status: Some(JobStatus::Running), ..all.clone() }, vec![1]),
        (Filter { ref_name: Some("topic".to_owned()), ..all.clone() }, vec![4]),
        (Filter { sha: Some("b".repeat(40)), ..all.clone() }, vec![3]),
        (Filter { yaml_errors: Some(true), ..all.clone() }, vec![5]),
        (Filter { yaml_errors: Some(false), ..all.clone() }, vec![4, 3, 2, 1]),
        (Filter { username: Some("DEV".to_owned()), ..all.clone() }, vec![5, 3, 2, 1]),
        (Filter { username: Some("nobody".to_owned()), ..all.clone() }, vec![]),
        (Filter { source: Some(PipelineSource::Web), ..all.clone() }, vec![3]),
        (Filter { source: Some(PipelineSource::ParentPipeline), ..all.clone() }, vec![6]),
        (Filter { name: Some("nightly".to_owned()), ..all.clone() }, vec![4]),
        (Filter { created_after: Some(at(2)), ..all.clone() }, vec![5, 4]),
        (Filter { created_before: Some(at(2)), ..all.clone() }, vec![2, 1]),
        (Filter { updated_after: Some(at(10)), ..all.clone() }, vec![1]),
        (Filter { updated_before: Some(at(1)), ..all.clone() }, vec![]),
        (Filter { order_by: OrderBy::UpdatedAt, ..all.clone() }, vec![1, 5, 4, 3, 2]),
        (Filter { order_by: OrderBy::Ref, sort: Sort::Asc, ..all.clone() }, vec![1, 3, 5, 4, 2]),
        (Filter { order_by: OrderBy::UserId, ..all.clone() }, vec![5, 3, 2, 1, 4]),
        (Filter { order_by: OrderBy::Status, sort: Sort::Asc, ..all.clone() }, vec![2, 3, 4, 5, 1]),
    ] {
        let name = format!("{filter:?}");
        let (listed, count) = db
            .read(move |tx| {
                Ok::<_, Error>((
                    pipelines::list(tx, &filter, Page::first(9))?,
                    pipelines::count(tx, &filter)?,
                ))
            })
            .await
            .unwrap();
        assert_eq!(listed.iter().map(|pipeline| pipeline.id.0).collect::<Vec<_>>(), expected, "{name}");
        assert_eq!(count, i64::try_from(expected.len()).unwrap(), "{name}");
    }
    let id = project.id;
    let latest = db.read(move |tx| pipelines::latest(tx, id, "main", Some(&"b".repeat(40)))).await.unwrap();
    assert_eq!(latest.map(|pipeline| pipeline.id.0), Some(3));
}

async fn a_deleted_pipeline_takes_its_children_and_leaves_no_job_in_the_queue(db: Db) {
    db.write(several).await.unwrap();
    let id = weir_api::id::PipelineId(1);
    assert!(db.write(move |tx| pipelines::delete(tx, id, at(30))).await.unwrap());
    assert!(!db.write(move |tx| pipelines::delete(tx, id, at(30))).await.unwrap());
    let (left, queued, heads): (i64, i64, Option<i64>) = db
        .read(|tx| {
            let count = |tx: &mut weir_store::Tx<'_>, sql: &str| tx.query_one(sql, params![])?.get(0);
            Ok::<_, Error>((
                count(tx, "SELECT count(*) FROM pipelines")?,
                count(tx, "SELECT count(*) FROM queue")?,
                tx.query_one("SELECT min(head) FROM queue_lanes", params![])?.get(0)?,
            ))
        })
        .await
        .unwrap();
    assert_eq!((left, queued, heads), (4, 4, Some(2)));
}

async fn an_id_never_comes_again(db: Db) {
    db.write(|tx| {
        let project = project(tx, "dev")?;
        let first = pipeline(tx, &project, &["a"])?;
        pipelines::delete(tx, first.id, at(1))?;
        let second = pipeline(tx, &project, &["a"])?;
        assert!(second.id > first.id, "links and refs of the first must not lead to the second");
        assert!(second.jobs[0] > first.jobs[0]);
        Ok::<_, Error>(())
    })
    .await
    .unwrap();
}

async fn a_pipeline_knows_its_family_and_what_it_makes_redundant(db: Db) {
    let project = db.write(several).await.unwrap();
    let id = weir_api::id::PipelineId;
    let (downstream, of_job, redundant) = db
        .read(move |tx| {
            let ids =
                |found: Vec<pipelines::Pipeline>| found.iter().map(|found| found.id.0).collect::<Vec<_>>();
            Ok::<_, Error>((
                ids(pipelines::downstream(tx, id(1))?),
                ids(pipelines::downstream_of_jobs(tx, &[weir_api::id::JobId(1), weir_api::id::JobId(2)])?),
                ids(pipelines::redundant(tx, project.id, "main", id(5))?),
            ))
        })
        .await
        .unwrap();
    assert_eq!((downstream, of_job), (vec![6], vec![6]));
    assert_eq!(redundant, [3], "the same commit makes none redundant");
}

async fn coverage_is_the_mean_of_the_newest_attempts(db: Db) {
    db.write(|tx| {
        let project = project(tx, "dev")?;
        let inserted = pipeline(tx, &project, &["a", "b", "c"])?;
        assert_eq!(pipelines::coverage(tx, inserted.id)?, None);
        jobs::set_coverage(tx, inserted.jobs[0], Some(50.0))?;
        jobs::set_coverage(tx, inserted.jobs[1], Some(75.0))?;
        assert_eq!(pipelines::coverage(tx, inserted.id)?, Some(62.5));
        Ok::<_, Error>(())
    })
    .await
    .unwrap();
}

async fn jobs_are_listed_newest_first(db: Db) {
    let inserted = db
        .write(|tx| {
            let project = project(tx, "dev")?;
            let inserted = pipeline(tx, &project, &["build", "unit"])?;
            apply(tx, &PipelineCache::default(), inserted.id, picked(JobIndex(1)), at(1)).unwrap();
            Ok::<_, Error>(inserted)
        })
        .await
        .unwrap();
    let all = jobs::Filter { pipeline_id: Some(inserted.id), ..jobs::Filter::default() };
    for (filter, expected) in [
        (all.clone(), vec!["unit", "build"]),
        (jobs::Filter { scope: vec![JobStatus::Running, JobStatus::Failed], ..all.clone() }, vec!["unit"]),
        (jobs::Filter { bridge: Some(true), ..all.clone() }, vec![]),
        (jobs::Filter { id_before: Some(inserted.jobs[1]), ..all.clone() }, vec!["build"]),
        (jobs::Filter { name: Some("build".to_owned()), latest_only: true, ..all.clone() }, vec!["build"]),
    ] {
        let name = format!("{filter:?}");
        let listed = db.read(move |tx| jobs::list(tx, &filter, Page::first(9))).await.unwrap();
        assert_eq!(listed.iter().map(|job| job.name.as_str()).collect::<Vec<_>>(), expected, "{name}");
    }
}

async fn a_job_is_found_by_its_token(db: Db) {
    let token = TokenDigest::of("glcbt-1");
    let id = db
        .write(move |tx| {
            let project = project(tx, "dev")?;
            let inserted = pipeline(tx, &project, &["build"])?;
            let runner = crate::world::runner(tx, "glrt-1", &[], |_| ())?;
            let assignment = jobs::Assignment {
                runner_id: runner.id,
                runner_manager_id: None,
                on_instance_runner: true,
                token,
            };
            jobs::assign(tx, inserted.jobs[0], &assignment)?;
            Ok::<_, Error>(inserted.jobs[0])
        })
        .await
        .unwrap();
    let found = db.read(move |tx| jobs::find_by_token(tx, &token)).await.unwrap().unwrap();
    assert_eq!((found.id, found.runner_id.is_some()), (id, true));
}

async fn thousands_of_jobs_change_at_once(db: Db) {
    let names: Vec<String> = (0..1234).map(|n| format!("job {n}")).collect();
    let names: &'static [String] = names.leak();
    let statuses = db
        .write(move |tx| {
            let project = project(tx, "dev")?;
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let inserted = pipeline(tx, &project, &names)?;
            let cache = PipelineCache::default();
            apply(tx, &cache, inserted.id, Event::CancelPipeline { cascade: true }, at(1)).unwrap();
            let queued: i64 = tx.query_one("SELECT count(*) FROM queue", params![])?.get(0)?;
            let head: Option<i64> = tx.query_one("SELECT max(head) FROM queue_lanes", params![])?.get(0)?;
            let rows = tx.query("SELECT status, count(*) FROM jobs GROUP BY status", params![])?;
            let statuses = rows
                .iter()
                .map(|row| Ok((row.get(0)?, row.get(1)?)))
                .collect::<weir_store::Result<Vec<(JobStatus, i64)>>>()?;
            Ok::<_, Error>((statuses, queued, head))
        })
        .await
        .unwrap();
    assert_eq!(statuses, (vec![(JobStatus::Canceled, 1234)], 0, None));
}

/// Invariant: stored statuses are the engine's, so one file alone writes them.
#[test]
fn only_one_file_writes_a_status() {
    let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut writers = Vec::new();
    let mut folders = vec![source];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text: String =
                std::fs::read_to_string(&path).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
            let writes = text.match_indices("UPDATE ").any(|(at, _)| {
                let statement = text[at..].split_once('"').map_or("", |(statement, _)| statement);
                let set = statement.split(" WHERE ").next().unwrap_or_default();
                set.contains(" status =") && !set.starts_with("UPDATE deployments")
            }) || ["jobs", "pipelines", "stages"].iter().any(|table| {
                text.match_indices(&format!("{table} (")).any(|(at, _)| {
                    let columns = text[at..].split(')').next().unwrap_or_default();
                    columns.contains("pipeline_id, ") && columns.contains(" status")
                })
            });
            if writes && path.extension().is_some_and(|extension| extension == "rs") {
                writers.push(path.file_name().unwrap().to_string_lossy().into_owned());
            }
        }
    }
    assert_eq!(writers, ["state.rs"]);
}

weir_store::on_each_database!(
    a_new_pipelines_state_can_be_kept,
    a_canceled_pipeline_that_goes_on_forgets_who_canceled_it,
    a_refused_event_and_one_without_changes_leave_the_state_in_the_cache,
    what_is_inserted_is_loaded,
    numbers_count_within_a_project,
    a_transition_writes_what_the_engine_decided,
    a_kept_state_is_not_trusted_after_a_rollback,
    a_retry_is_a_new_row_that_runs_the_same,
    pipelines_are_listed_by_what_is_asked_for,
    a_deleted_pipeline_takes_its_children_and_leaves_no_job_in_the_queue,
    an_id_never_comes_again,
    a_pipeline_knows_its_family_and_what_it_makes_redundant,
    coverage_is_the_mean_of_the_newest_attempts,
    jobs_are_listed_newest_first,
    a_job_is_found_by_its_token,
    thousands_of_jobs_change_at_once,
);
