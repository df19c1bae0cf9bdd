//! Environments and deployments.

use weir_api::environments::{AutoStopSetting, DeploymentStatus, EnvironmentState, EnvironmentTier};
use weir_api::id::{EnvironmentId, JobId, ProjectId};
use weir_store::deployments::{self, Deployment, NewDeployment, OrderBy};
use weir_store::environments::{self, Environment, NewEnvironment};
use weir_store::{Db, Error, Page, Result, Sort, Tx};

use crate::world::{at, pipeline, project};

fn new(project_id: ProjectId, name: &str) -> NewEnvironment {
    NewEnvironment {
        project_id,
        name: name.to_owned(),
        slug: name.replace('/', "-"),
        folder: name.split_once('/').map(|(folder, _)| folder.to_owned()),
        external_url: None,
        description: None,
        tier: EnvironmentTier::Other,
        auto_stop_setting: AutoStopSetting::Always,
        auto_stop_at: None,
    }
}

fn environment(tx: &mut Tx<'_>, project_id: ProjectId, name: &str) -> Result<Environment> {
    environments::insert(tx, &new(project_id, name), at(0))?.ok_or(Error::NoRow)
}

fn deployment(
    tx: &mut Tx<'_>,
    to: &Environment,
    ref_name: &str,
    job_id: Option<JobId>,
) -> Result<Deployment> {
    let new = NewDeployment {
        project_id: to.project_id,
        environment_id: to.id,
        ref_name: ref_name.to_owned(),
        tag: false,
        sha: "a".repeat(40),
        user_id: None,
        job_id,
        on_stop: Some("stop".to_owned()),
    };
    deployments::insert(tx, &new, at(0))
}

fn succeed(tx: &mut Tx<'_>, deployment: &Deployment, seconds: i64) -> Result<()> {
    deployments::set_status(tx, deployment.id, DeploymentStatus::Success, Some(at(seconds)), at(seconds))
}

async fn names_and_slugs_are_taken_once_in_a_project(db: Db) {
    let taken = db
        .write(|tx| {
            let (one, two) = (project(tx, "one")?, project(tx, "two")?);
            let made = environment(tx, one.id, "a/b")?;
            assert_eq!(environments::find(tx, made.id)?, Some(made.clone()));
            assert_eq!(environments::named(tx, one.id, "a/b")?, Some(made.clone()));
            assert_eq!((made.folder.as_deref(), made.state), (Some("a"), EnvironmentState::Available));
            let mut taken = Vec::new();
            for (project, name) in [(&one, "a/b"), (&one, "a-b"), (&two, "a/b")] {
                taken.push(environments::insert(tx, &new(project.id, name), at(0))?.is_none());
            }
            Ok::<_, Error>(taken)
        })
        .await
        .unwrap();
    assert_eq!(taken, [true, true, false]);
}

async fn environments_are_listed_by_name_and_state(db: Db) {
    db.write(|tx| {
        let project = project(tx, "dev")?.id;
        for name in ["production", "review/1", "Review/2"] {
            environment(tx, project, name)?;
        }
        let stopped = environments::named(tx, project, "review/1")?.ok_or(Error::NoRow)?;
        let changed = Environment {
            state: EnvironmentState::Stopped,
            external_url: Some("https://1".to_owned()),
            updated_at: at(5),
            ..stopped
        };
        environments::update(tx, &changed)?;
        assert_eq!(environments::lock(tx, changed.id)?, Some(changed.clone()));
        let filter = |name: Option<&str>, search: Option<&str>, state| environments::Filter {
            name: name.map(str::to_owned),
            search: search.map(str::to_owned),
            state,
        };
        for (filter, expected) in [
            (filter(None, None, None), vec!["production", "review/1", "Review/2"]),
            (filter(Some("production"), None, None), vec!["production"]),
            (filter(None, Some("REVIEW"), None), vec!["review/1", "Review/2"]),
            (filter(None, Some("eview"), None), vec![]),
            (filter(None, Some("review"), Some(EnvironmentState::Stopped)), vec!["review/1"]),
        ] {
            let found = environments::list(tx, project, &filter, Page::first(9))?;
            let names: Vec<_> = found.iter().map(|it| it.name.as_str()).collect();
            assert_eq!(names, expected, "{filter:?}");
            assert_eq!(environments::count(tx, project, &filter)?.unsigned_abs(), names.len() as u64);
        }
        assert!(environments::delete(tx, changed.id)?);
        assert!(!environments::delete(tx, changed.id)?);
        Ok::<_, Error>(())
    })
    .await
    .unwrap();
}

async fn what_is_due_is_found_at_its_time(db: Db) {
    db.write(|tx| {
        let project = project(tx, "dev")?.id;
        let set = |tx: &mut Tx<'_>, name: &str, state, stop: Option<i64>, delete: Option<i64>| {
            let made = environment(tx, project, name)?;
            let changed =
                Environment { state, auto_stop_at: stop.map(at), auto_delete_at: delete.map(at), ..made };
            environments::update(tx, &changed)?;
            Ok::<_, Error>(changed.id)
        };
        let first = set(tx, "review/1", EnvironmentState::Available, Some(10), None)?;
        let second = set(tx, "review/2", EnvironmentState::Available, Some(10), None)?;
        set(tx, "review/3", EnvironmentState::Available, Some(30), None)?;
        set(tx, "review/4", EnvironmentState::Stopped, None, None)?;
        let gone = set(tx, "review/5", EnvironmentState::Stopped, None, Some(20))?;
        set(tx, "production", EnvironmentState::Available, None, None)?;
        let none = EnvironmentId(0);
        assert_eq!(environments::next_due(tx, at(0))?, Some(at(10)));
        assert_eq!(environments::to_be_stopped(tx, at(9), none, 9)?, []);
        assert_eq!(environments::to_be_stopped(tx, at(10), none, 9)?, [first, second]);
        assert_eq!(environments::to_be_stopped(tx, at(10), first, 9)?, [second]);
        assert_eq!(environments::next_due(tx, at(10))?, Some(at(20)));
        assert_eq!(environments::to_be_deleted(tx, at(20), 9)?, [gone]);
        assert_eq!(environments::next_due(tx, at(30))?, None);
        let apps = environments::stopped_review_apps(tx, project, at(1), 9)?;
        assert_eq!(apps.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["review/4"]);
        Ok::<_, Error>(())
    })
    .await
    .unwrap();
}

async fn the_newest_success_is_what_an_environment_has(db: Db) {
    db.write(|tx| {
        let project_row = project(tx, "dev")?;
        let inserted = pipeline(tx, &project_row, &["deploy", "again", "stop"])?;
        let (live, other) =
            (environment(tx, project_row.id, "live")?, environment(tx, project_row.id, "other")?);
        let first = deployment(tx, &live, "main", Some(inserted.jobs[0]))?;
        let second = deployment(tx, &live, "topic", Some(inserted.jobs[1]))?;
        let reported = deployment(tx, &other, "main", None)?;
        assert_eq!([first.iid, second.iid, reported.iid], [1, 2, 3]);
        assert_eq!(deployments::last_success(tx, live.id)?, None);
        assert_eq!(deployments::last_finished_pipeline(tx, live.id)?, None);
        succeed(tx, &second, 5)?;
        // A rollback ends later, although it began earlier.
        succeed(tx, &first, 9)?;
        deployments::set_url(tx, inserted.jobs[0], "https://live")?;
        let last = deployments::last_success(tx, live.id)?.ok_or(Error::NoRow)?;
        assert_eq!(
            (last.id, last.finished_at, last.url.as_deref()),
            (first.id, Some(at(9)), Some("https://live"))
        );
        assert_eq!(deployments::of_job(tx, inserted.jobs[0])?, Some(last));
        assert_eq!(deployments::last_finished_pipeline(tx, live.id)?, Some(inserted.id));
        assert_eq!(deployments::stop_jobs(tx, live.id, inserted.id)?, [""; 0], "no job has finished");
        let from = |tx: &mut Tx<'_>, branch: &str| {
            let found = environments::last_deployed_from(tx, project_row.id, branch)?;
            Ok::<_, Error>(found.into_iter().map(|it| it.name).collect::<Vec<_>>())
        };
        assert_eq!(from(tx, "main")?, ["live"]);
        assert_eq!(from(tx, "topic")?, [""; 0]);
        let stale = |tx: &mut Tx<'_>, seconds| {
            let found = environments::stale(tx, project_row.id, at(seconds))?;
            Ok::<_, Error>(found.into_iter().map(|it| it.name).collect::<Vec<_>>())
        };
        assert_eq!(stale(tx, 6)?, ["other"]);
        assert_eq!(stale(tx, 10)?, ["live", "other"]);
        Ok::<_, Error>(())
    })
    .await
    .unwrap();
}

async fn deployments_are_listed_in_the_order_asked_for(db: Db) {
    db.write(|tx| {
        let project = project(tx, "dev")?.id;
        let (live, other) = (environment(tx, project, "live")?, environment(tx, project, "other")?);
        let first = deployment(tx, &live, "b", None)?;
        let second = deployment(tx, &other, "a", None)?;
        deployment(tx, &live, "c", None)?;
        succeed(tx, &second, 7)?;
        succeed(tx, &first, 8)?;
        let all = deployments::Filter { sort: Sort::Asc, ..deployments::Filter::default() };
        let success = Some(DeploymentStatus::Success);
        for (filter, expected) in [
            (all.clone(), vec![1, 2, 3]),
            (deployments::Filter { sort: Sort::Desc, ..all.clone() }, vec![3, 2, 1]),
            (deployments::Filter { order_by: OrderBy::Ref, ..all.clone() }, vec![2, 1, 3]),
            (deployments::Filter { order_by: OrderBy::UpdatedAt, ..all.clone() }, vec![3, 2, 1]),
            (
                deployments::Filter { order_by: OrderBy::FinishedAt, status: success, ..all.clone() },
                vec![2, 1],
            ),
            (deployments::Filter { environment: Some("live".to_owned()), ..all.clone() }, vec![1, 3]),
            (deployments::Filter { updated_after: Some(at(8)), ..all.clone() }, vec![1]),
            (deployments::Filter { updated_before: Some(at(7)), ..all.clone() }, vec![2, 3]),
            (deployments::Filter { finished_after: Some(at(8)), ..all.clone() }, vec![1]),
            (deployments::Filter { finished_before: Some(at(8)), ..all.clone() }, vec![2]),
        ] {
            let found = deployments::list(tx, project, &filter, Page::first(9))?;
            let iids: Vec<_> = found.iter().map(|it| it.iid).collect();
            assert_eq!(iids, expected, "{filter:?}");
            assert_eq!(deployments::count(tx, project, &filter)?.unsigned_abs(), iids.len() as u64);
        }
        assert!(deployments::delete(tx, first.id)?);
        assert_eq!(deployments::find(tx, first.id)?, None);
        Ok::<_, Error>(())
    })
    .await
    .unwrap();
}

weir_store::on_each_database!(
    names_and_slugs_are_taken_once_in_a_project,
    environments_are_listed_by_name_and_state,
    what_is_due_is_found_at_its_time,
    the_newest_success_is_what_an_environment_has,
    deployments_are_listed_in_the_order_asked_for,
);
