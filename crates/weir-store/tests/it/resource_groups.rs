//! Resource groups: made with pipelines, and given to one job at a time.

use weir_api::{JobStatus, ProcessMode};
use weir_engine::resource_group::Candidate;
use weir_engine::{Event, JobIndex};
use weir_store::pipelines::PipelineCache;
use weir_store::projects::Project;
use weir_store::{Db, Error, Page, Sort, Tx, resource_groups};

use crate::world::{Failure, apply, at, insert, new_pipeline, picked, plan, project, succeeded};

/// A pipeline with a plain job and one of group `production`.
fn pipeline(tx: &mut Tx<'_>, project: &Project) -> weir_store::Result<weir_store::pipelines::Inserted> {
    let mut plan = plan(&["test", "deploy"]);
    plan.jobs[1].resource_group = Some("production".to_owned());
    insert(tx, &new_pipeline(project), &plan, at(0))
}

async fn a_group_is_made_with_its_first_job_and_kept_by_retries(db: Db) {
    db.write(|tx| {
        let project = project(tx, "dev")?;
        assert_eq!(resource_groups::count(tx, project.id)?, 0);
        let (one, two) = (pipeline(tx, &project)?, pipeline(tx, &project)?);
        let groups = resource_groups::list(tx, project.id, Page::first(10))?;
        let [group] = groups.as_slice() else { panic!("{groups:?}") };
        assert_eq!(
            (group.key.as_str(), group.process_mode, group.job_id),
            ("production", ProcessMode::Unordered, None)
        );
        assert_eq!(resource_groups::of_jobs(tx, &[one.jobs[0]])?, []);
        assert_eq!(resource_groups::of_jobs(tx, &[one.jobs[1], two.jobs[1]])?, [group.id]);
        assert_eq!(resource_groups::awaited(tx, project.id)?, [group.id]);

        let cancel = Event::Cancel { job: JobIndex(1), force: false };
        let cache = PipelineCache::default();
        apply(tx, &cache, two.id, cancel, at(1))?;
        let retried = apply(tx, &cache, two.id, Event::Retry { job: JobIndex(1) }, at(2))?;
        let again = retried.id(JobIndex(2)).unwrap();
        assert_eq!(resource_groups::of_jobs(tx, &[again])?, [group.id]);

        resource_groups::set_process_mode(tx, group.id, ProcessMode::NewestFirst, at(3))?;
        let changed = resource_groups::find(tx, group.id)?.unwrap();
        assert_eq!((changed.process_mode, changed.updated_at), (ProcessMode::NewestFirst, at(3)));
        assert_eq!(resource_groups::find_by_key(tx, project.id, "production")?, Some(changed));
        assert_eq!(resource_groups::find_by_key(tx, project.id, "Production")?, None);
        Ok::<_, Failure>(())
    })
    .await
    .unwrap();
}

async fn the_resource_is_held_from_its_gift_to_the_jobs_end(db: Db) {
    db.write(|tx| {
        let project = project(tx, "dev")?;
        let (one, two) = (pipeline(tx, &project)?, pipeline(tx, &project)?);
        let id = resource_groups::awaited(tx, project.id)?[0];
        let group = |tx: &mut Tx<'_>| resource_groups::find(tx, id)?.ok_or(Error::NoRow);
        let holder = |tx: &mut Tx<'_>| {
            let group = group(tx)?;
            resource_groups::holder(tx, &group)
        };
        let cache = PipelineCache::default();
        assert_eq!(holder(tx)?, None);
        apply(tx, &cache, one.id, Event::ResourceGranted { job: JobIndex(1) }, at(1))?;
        assert!(resource_groups::give(tx, id, None, one.jobs[1])?);
        // Who looked before that comes too late.
        assert!(!resource_groups::give(tx, id, None, two.jobs[1])?);
        for event in [picked(JobIndex(1)), Event::Cancel { job: JobIndex(1), force: false }] {
            assert_eq!(holder(tx)?, Some(one.jobs[1]));
            apply(tx, &cache, one.id, event, at(2))?;
        }
        assert_eq!(holder(tx)?, Some(one.jobs[1]), "its runner cleans up");
        apply(tx, &cache, one.id, succeeded(JobIndex(1)), at(3))?;
        assert_eq!(holder(tx)?, None);

        apply(tx, &cache, two.id, Event::ResourceGranted { job: JobIndex(1) }, at(4))?;
        assert!(resource_groups::give(tx, id, Some(one.jobs[1]), two.jobs[1])?);
        assert_eq!(holder(tx)?, Some(two.jobs[1]));
        weir_store::pipelines::delete(tx, two.id, at(5))?;
        assert_eq!(holder(tx)?, None);
        Ok::<_, Failure>(())
    })
    .await
    .unwrap();
}

async fn candidates_are_the_first_of_each_status(db: Db) {
    db.write(|tx| {
        let project = project(tx, "dev")?;
        let pipelines = [pipeline(tx, &project)?, pipeline(tx, &project)?, pipeline(tx, &project)?];
        let id = resource_groups::awaited(tx, project.id)?[0];
        let candidate = |index: usize| Candidate {
            job: pipelines[index].jobs[1],
            pipeline: pipelines[index].id,
            status: JobStatus::WaitingForResource,
        };
        let statuses = [JobStatus::WaitingForResource, JobStatus::Created];
        assert_eq!(resource_groups::first_of_each(tx, id, &statuses, Sort::Asc)?, [candidate(0)]);
        assert_eq!(resource_groups::first_of_each(tx, id, &statuses, Sort::Desc)?, [candidate(2)]);
        let mut all = resource_groups::with_statuses(tx, id, &statuses)?;
        all.sort_unstable_by_key(|it| it.job);
        assert_eq!(all, [0, 1, 2].map(candidate));
        Ok::<_, Failure>(())
    })
    .await
    .unwrap();
}

weir_store::on_each_database!(
    a_group_is_made_with_its_first_job_and_kept_by_retries,
    the_resource_is_held_from_its_gift_to_the_jobs_end,
    candidates_are_the_first_of_each_status,
);
