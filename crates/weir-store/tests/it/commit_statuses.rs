//! External jobs, as rows, and the statuses of a commit.

use weir_api::JobStatus;
use weir_engine::external::{self, Report};
use weir_store::commit_statuses::{self, Filter, Words};
use weir_store::pipelines::{self, PipelineCache};
use weir_store::{Db, Error, Page, Sort, jobs};

use crate::world::{Failure, at, pipeline, project, user};

async fn an_external_job_becomes_a_row_of_the_last_stage(db: Db) {
    db.write(|tx| {
        let project = project(tx, "dev")?;
        let ada = user(tx, "ada")?;
        let inserted = pipeline(tx, &project, &["build"])?;
        let (id, cache) = (inserted.id, PipelineCache::default());
        let report = |tx: &mut _, name: &str, update, report| {
            pipelines::transition(tx, &cache, id, at(1), |state, _| {
                let done = external::report(state, name, update, report, at(1)).map_err(Failure::Refused)?;
                Ok::<_, Failure>(done.1)
            })
        };
        let done = report(tx, "ci", None, Report::Running)?.ok_or(Error::NoRow)?;
        let job = done.ids[1];
        let words = Words { target_url: Some("https://other".to_owned()), ..Words::default() };
        commit_statuses::describe(tx, job, ada.id, &words)?;
        commit_statuses::describe(tx, job, ada.id, &Words { coverage: Some(50.0), ..Words::default() })?;
        let row = jobs::find(tx, job)?.ok_or(Error::NoRow)?;
        assert!(row.external && !row.bridge);
        assert_eq!((row.stage_name.as_str(), row.status), ("external", JobStatus::Running));
        assert_eq!((row.target_url.as_deref(), row.coverage), (Some("https://other"), Some(50.0)));
        let stages = pipelines::stages(tx, id)?;
        assert_eq!(stages.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["test", "external"]);

        assert!(commit_statuses::is_taken(tx, id, "build")? && !commit_statuses::is_taken(tx, id, "ci")?);
        let update = commit_statuses::unfinished(tx, id, "ci", ada.id)?;
        assert_eq!(update, Some(row.index));
        let other = user(tx, "bob")?;
        assert_eq!(commit_statuses::unfinished(tx, id, "ci", other.id)?, None);
        report(tx, "ci", update, Report::Failed)?;
        assert_eq!(commit_statuses::unfinished(tx, id, "ci", ada.id)?, None);
        report(tx, "ci", None, Report::Success)?;

        // What the rows say is what the state was.
        let kept = pipelines::peek(tx, &cache, id, |state, ids| (state.clone(), ids.to_vec()))?;
        assert_eq!(kept, pipelines::load(tx, id)?);

        let filter = Filter {
            project_id: project.id,
            sha: pipelines::find(tx, id)?.ok_or(Error::NoRow)?.sha,
            ref_name: None,
            stage: None,
            name: None,
            pipeline_id: Some(id),
            all: true,
            by_pipeline: true,
            sort: Sort::Desc,
        };
        let listed = commit_statuses::list(tx, &filter, Page::first(10))?;
        let listed: Vec<_> = listed.iter().map(|it| (it.name.as_str(), it.status, it.retried)).collect();
        assert_eq!(
            listed,
            [
                ("ci", JobStatus::Success, false),
                ("ci", JobStatus::Failed, true),
                ("build", JobStatus::Pending, false)
            ]
        );
        let latest = Filter { all: false, stage: Some("external".to_owned()), ..filter };
        assert_eq!(commit_statuses::count(tx, &latest)?, 1);
        Ok::<_, Failure>(())
    })
    .await
    .unwrap();
}

weir_store::on_each_database!(an_external_job_becomes_a_row_of_the_last_stage);
