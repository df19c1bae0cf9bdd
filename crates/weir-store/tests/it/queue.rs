//! Runners and the queue: who gets which job.

use weir_api::{JobStatus, RunnerAccessLevel, RunnerType};
use weir_engine::{Event, JobIndex};
use weir_store::pipelines::{NewPipeline, PipelineCache};
use weir_store::runners::{self, ManagerInfo, RunnerStatus, StatusFilter};
use weir_store::{Db, Engine, Error, Page, TokenDigest, jobs, params, projects, queue, tag_sets};

use crate::world::{
    Failure, apply, at, claim, group, insert, job, new_pipeline, pipeline, plan, project, project_in, runner,
    status, succeeded, user,
};

async fn jobs_are_taken_in_order_and_once(db: Db) {
    let (inserted, taken) = db
        .write(|tx| {
            let project = project(tx, "dev")?;
            let inserted = pipeline(tx, &project, &["a", "b", "c"])?;
            let runner = runner(tx, "r", &[], |_| ())?;
            let mut taken = Vec::new();
            while let Some(id) = claim(tx, &runner, at(1))? {
                assert_eq!(status(tx, id)?, JobStatus::Running);
                taken.push(id);
            }
            assert_eq!(queue::size(tx)?, 0);
            Ok::<_, Failure>((inserted, taken))
        })
        .await
        .unwrap();
    assert_eq!(taken, inserted.jobs);
}

async fn tags_and_protection_decide_who_may_take_a_job(db: Db) {
    db.write(|tx| {
        let project = project(tx, "dev")?;
        let protected_only =
            |new: &mut runners::NewRunner| new.access_level = RunnerAccessLevel::RefProtected;
        let paused = |new: &mut runners::NewRunner| new.paused = true;
        let tagged_only = |new: &mut runners::NewRunner| new.run_untagged = false;
        // One runner is made before the tag sets, one after.
        let linux = runner(tx, "linux", &["linux", "docker"], tagged_only)?;
        let mut plan = plan(&["any"]);
        plan.jobs.push(job("tagged", &["docker"]));
        let inserted = insert(tx, &new_pipeline(&project), &plan, at(0))?;
        let windows = runner(tx, "windows", &["windows"], tagged_only)?;
        let protected = runner(tx, "protected", &[], protected_only)?;
        let idle = runner(tx, "paused", &["docker"], paused)?;
        let any = runner(tx, "any", &["gpu"], |_| ())?;
        for (runner, expected) in [
            (&windows, None),
            (&protected, None),
            (&idle, None),
            (&linux, Some(inserted.jobs[1])),
            (&any, Some(inserted.jobs[0])),
        ] {
            let found = queue::claimable(tx, runner)?.map(|candidate| candidate.job_id);
            assert_eq!(found, expected, "{:?}", runner.description);
        }
        // A runner that is given the tags may.
        let mut windows = windows;
        windows.tags.push("docker".to_owned());
        runners::update(tx, &windows)?;
        assert!(queue::claimable(tx, &windows)?.is_some());
        let covered = runners::covered_tag_sets(tx, windows.id)?;
        assert_eq!(tag_sets::find_all(tx, &covered)?.into_values().collect::<Vec<_>>(), [["docker"]]);

        let new = NewPipeline { protected: true, ref_name: "release".to_owned(), ..new_pipeline(&project) };
        let inserted = insert(tx, &new, &crate::world::plan(&["any"]), at(0))?;
        assert_eq!(claim(tx, &protected, at(1))?, Some(inserted.jobs[0]));
        Ok::<_, Failure>(())
    })
    .await
    .unwrap();
}

async fn instance_runners_serve_the_project_with_the_fewest_running_jobs(db: Db) {
    db.write(|tx| {
        let (busy, quiet) = (project(tx, "busy")?, project(tx, "quiet")?);
        let first = pipeline(tx, &busy, &["1", "2", "3"])?;
        let second = pipeline(tx, &quiet, &["4", "5"])?;
        let runner = runner(tx, "r", &[], |_| ())?;
        let mut taken = Vec::new();
        while let Some(id) = claim(tx, &runner, at(1))? {
            taken.push(id);
        }
        let (a, b) = (first.jobs, second.jobs);
        assert_eq!(taken, [a[0], b[0], a[1], b[1], a[2]]);
        assert_eq!(queue::running_on_instance_runners(tx, busy.id)?, 3);
        let cache = PipelineCache::default();
        apply(tx, &cache, first.id, succeeded(JobIndex(0)), at(2))?;
        apply(tx, &cache, first.id, Event::Cancel { job: JobIndex(1), force: false }, at(2))?;
        assert_eq!(status(tx, a[1])?, JobStatus::Canceling);
        assert_eq!(queue::running_on_instance_runners(tx, busy.id)?, 2, "a canceling job still runs");
        apply(tx, &cache, first.id, Event::Cancel { job: JobIndex(1), force: true }, at(3))?;
        assert_eq!(queue::running_on_instance_runners(tx, busy.id)?, 1);
        weir_store::pipelines::delete(tx, first.id, at(4))?;
        assert_eq!(queue::running_on_instance_runners(tx, busy.id)?, 0);
        Ok::<_, Failure>(())
    })
    .await
    .unwrap();
}

async fn group_and_project_runners_serve_their_own(db: Db) {
    db.write(|tx| {
        let dev = user(tx, "dev")?;
        let top = group(tx, &dev, None, "top")?;
        let sub = group(tx, &dev, Some(&top), "sub")?;
        let other = project(tx, "other")?;
        let below = project_in(tx, &sub, &dev, "below")?;
        pipeline(tx, &other, &["1"])?;
        let inserted = pipeline(tx, &below, &["2"])?;
        let of_group = runner(tx, "group", &[], |new| {
            new.runner_type = RunnerType::Group;
            new.group_id = Some(top.id);
        })?;
        let of_project = runner(tx, "project", &[], |new| {
            new.runner_type = RunnerType::Project;
            new.project_id = Some(below.id);
        })?;
        for runner in [&of_group, &of_project] {
            let found = queue::claimable(tx, runner)?.map(|candidate| candidate.job_id);
            assert_eq!(found, Some(inserted.jobs[0]), "{:?}", runner.description);
        }
        assert_eq!(runners::projects(tx, of_project.id)?, [below.id]);
        for (filter, expected) in [
            (
                runners::Filter { of_project: Some(below.id), ..runners::Filter::default() },
                vec!["project", "group"],
            ),
            (runners::Filter { of_project: Some(other.id), ..runners::Filter::default() }, vec![]),
            (runners::Filter { of_group: Some(sub.id), ..runners::Filter::default() }, vec!["group"]),
            (
                runners::Filter { administered_by: Some(dev.id), ..runners::Filter::default() },
                vec!["project", "group"],
            ),
            (runners::Filter { administered_by: other.creator_id, ..runners::Filter::default() }, vec![]),
        ] {
            let listed = runners::list(tx, &filter, Page::first(9))?;
            let listed: Vec<_> = listed.iter().filter_map(|runner| runner.description.as_deref()).collect();
            assert_eq!(listed, expected, "{filter:?}");
            assert_eq!(runners::count(tx, &filter)?, i64::try_from(expected.len()).unwrap());
        }
        // Settings of the project count at once.
        let mut closed = below.clone();
        closed.group_runners_enabled = false;
        projects::update(tx, &closed, at(1))?;
        assert_eq!(queue::claimable(tx, &of_group)?, None);
        closed.builds_access_level = weir_api::FeatureAccess::Disabled;
        projects::update(tx, &closed, at(1))?;
        assert_eq!(queue::claimable(tx, &of_project)?, None);
        Ok::<_, Failure>(())
    })
    .await
    .unwrap();
}

async fn a_job_with_a_smaller_id_that_comes_later_is_first(db: Db) {
    db.write(|tx| {
        let project = project(tx, "dev")?;
        let mut plan = plan(&["later"]);
        plan.jobs[0].when = weir_compiler::plan::When::Manual;
        let manual = insert(tx, &new_pipeline(&project), &plan, at(0))?;
        let other = pipeline(tx, &project, &["sooner"])?;
        let runner = runner(tx, "r", &[], |_| ())?;
        let next = |tx: &mut weir_store::Tx<'_>| queue::claimable(tx, &runner);
        assert_eq!(next(tx)?.map(|candidate| candidate.job_id), Some(other.jobs[0]));
        apply(tx, &PipelineCache::default(), manual.id, Event::Play { job: JobIndex(0) }, at(1))?;
        assert_eq!(next(tx)?.map(|candidate| candidate.job_id), Some(manual.jobs[0]));
        Ok::<_, Failure>(())
    })
    .await
    .unwrap();
}

async fn many_claims_at_once_give_each_job_to_one(db: Db) {
    let runner = db
        .write(|tx| {
            for name in ["one", "two", "three"] {
                let project = project(tx, name)?;
                for _ in 0..2 {
                    pipeline(tx, &project, &["a", "b", "c", "d"])?;
                }
            }
            runner(tx, "r", &[], |_| ())
        })
        .await
        .unwrap();
    let workers: Vec<_> = (0..8)
        .map(|_| {
            let (db, runner) = (db.clone(), runner.clone());
            tokio::spawn(async move {
                let mut taken = Vec::new();
                loop {
                    let runner = runner.clone();
                    match db.write(move |tx| claim(tx, &runner, at(1))).await {
                        Ok(Some(id)) => taken.push(id),
                        Ok(None) => return taken,
                        Err(Failure::Refused(_)) => {}
                        Err(failure) => panic!("{failure:?}"),
                    }
                }
            })
        })
        .collect();
    let mut taken = Vec::new();
    for worker in workers {
        taken.extend(worker.await.unwrap());
    }
    taken.sort_unstable();
    taken.dedup();
    assert_eq!(taken.len(), 24);
    let (left, heads): (i64, i64) = db
        .read(|tx| {
            let heads = "SELECT count(*) FROM queue_lanes WHERE head IS NOT NULL OR running <> 8";
            Ok::<_, Error>((queue::size(tx)?, tx.query_one(heads, params![])?.get(0)?))
        })
        .await
        .unwrap();
    assert_eq!((left, heads), (0, 0));
}

async fn a_claim_walks_an_index(db: Db) {
    if db.engine() != Engine::Sqlite {
        // PostgreSQL prefers to scan tables as small as a test's.
        return;
    }
    let plan = db
        .write(|tx| {
            let rows = tx.query(
                "EXPLAIN QUERY PLAN SELECT l.id, l.head FROM queue_lanes l WHERE l.head IS NOT NULL
                   AND EXISTS (SELECT 1 FROM runner_tag_sets c WHERE c.runner_id = 1 AND c.tag_set_id = l.tag_set_id)
                 ORDER BY l.running, l.head LIMIT 8",
                params![],
            )?;
            let mut plan = rows.iter().map(|row| row.get(3)).collect::<weir_store::Result<Vec<String>>>()?;
            let rows = tx.query(
                "EXPLAIN QUERY PLAN SELECT min(q.job_id) FROM queue q WHERE q.lane_id = 1 AND q.job_id >= 1",
                params![],
            )?;
            plan.extend(rows.iter().map(|row| row.get(3)).collect::<weir_store::Result<Vec<String>>>()?);
            Ok::<_, Error>(plan.join("\n"))
        })
        .await
        .unwrap();
    assert!(
        plan.contains("queue_lanes_fair") && plan.contains("queue_lane (lane_id=? AND job_id>?)"),
        "{plan}"
    );
    assert!(!plan.contains("TEMP B-TREE"), "{plan}");
}

async fn a_runner_is_known_by_its_token_and_its_managers_by_their_system(db: Db) {
    db.write(|tx| {
        let made = runner(tx, "glrt-1", &["b", "a", "b"], |_| ())?;
        let found = runners::find_by_digest(tx, &TokenDigest::of("glrt-1"))?.unwrap();
        assert_eq!((found.id, found.tags.join(" ").as_str()), (made.id, "a b"));
        assert_eq!(found.status(at(1)), RunnerStatus::NeverContacted);
        assert_eq!(found.status(at(8 * 86_400)), RunnerStatus::Stale);

        let info = |version: Option<&str>| ManagerInfo {
            version: version.map(str::to_owned),
            features: "{}".to_owned(),
            ..ManagerInfo::default()
        };
        let first = runners::manager_contacted(tx, made.id, "s_1", &info(Some("19.1")), at(10))?;
        let again = runners::manager_contacted(tx, made.id, "s_1", &info(None), at(20))?;
        assert_eq!(first, again);
        let manager = runners::manager(tx, made.id, "s_1")?.unwrap();
        assert_eq!((manager.info.version.as_deref(), manager.contacted_at), (Some("19.1"), Some(at(20))));

        runners::contacted(tx, made.id, at(10))?;
        runners::contacted(tx, made.id, at(20))?;
        let found = runners::find(tx, made.id)?.unwrap();
        assert_eq!((found.contacted_at, found.status(at(20))), (Some(at(10)), RunnerStatus::Online));
        for (status, now, expected) in [
            (StatusFilter::Online, 20, 1),
            (StatusFilter::Offline, 20, 0),
            (StatusFilter::Offline, 3 * 3600, 1),
            (StatusFilter::NeverContacted, 20, 0),
            (StatusFilter::Stale, 8 * 86_400, 1),
        ] {
            let filter = runners::Filter { status: Some((status, at(now))), ..runners::Filter::default() };
            assert_eq!(runners::count(tx, &filter)?, expected, "{status:?} at {now}");
        }
        for (tags, version, expected) in [("a", "19", 1), ("a b", "19.1", 1), ("c", "19", 0), ("a", "18", 0)]
        {
            let filter = runners::Filter {
                tags: tags.split(' ').map(str::to_owned).collect(),
                version_prefix: Some(version.to_owned()),
                ..runners::Filter::default()
            };
            assert_eq!(runners::count(tx, &filter)?, expected, "{tags} {version}");
        }
        runners::set_token(tx, made.id, &TokenDigest::of("glrt-2"), None)?;
        assert!(runners::find_by_digest(tx, &TokenDigest::of("glrt-1"))?.is_none());
        Ok::<_, Error>(())
    })
    .await
    .unwrap();
}

async fn a_deleted_runner_leaves_its_jobs(db: Db) {
    db.write(|tx| {
        let project = project(tx, "dev")?;
        let inserted = pipeline(tx, &project, &["a"])?;
        let runner = runner(tx, "r", &[], |_| ())?;
        claim(tx, &runner, at(1))?;
        assert!(runners::is_busy(tx, runner.id)?);
        assert!(runners::delete(tx, runner.id)?);
        assert_eq!(jobs::find(tx, inserted.jobs[0])?.unwrap().runner_id, None);
        apply(tx, &PipelineCache::default(), inserted.id, succeeded(JobIndex(0)), at(2))?;
        assert_eq!(queue::running_on_instance_runners(tx, project.id)?, 0);
        Ok::<_, Failure>(())
    })
    .await
    .unwrap();
}

weir_store::on_each_database!(
    jobs_are_taken_in_order_and_once,
    tags_and_protection_decide_who_may_take_a_job,
    instance_runners_serve_the_project_with_the_fewest_running_jobs,
    group_and_project_runners_serve_their_own,
    a_job_with_a_smaller_id_that_comes_later_is_first,
    many_claims_at_once_give_each_job_to_one,
    a_claim_walks_an_index,
    a_runner_is_known_by_its_token_and_its_managers_by_their_system,
    a_deleted_runner_leaves_its_jobs,
);
