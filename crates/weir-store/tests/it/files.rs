//! Traces, artifacts, variables, and the objects that nobody needs any more.

use weir_api::VariableType;
use weir_api::id::{JobId, VariableId};
use weir_api::status::{Accessibility, ArtifactFileType, ArtifactFormat};
use weir_engine::{Event, JobIndex};
use weir_store::artifacts::{self, Inserted, NewArtifact};
use weir_store::pipelines::{self, PipelineCache};
use weir_store::projects::Project;
use weir_store::traces::{self, Appended};
use weir_store::variables::{self, GivenVariable, Owner, Variable};
use weir_store::{Db, Error, Page, Result, Tx, groups, jobs, object_deletions, projects};

use crate::world::{
    Failure, apply, at, group, new_pipeline, picked, pipeline, plan, project, project_in, succeeded, user,
};

fn running(tx: &mut Tx<'_>) -> Result<(Project, pipelines::Inserted), Failure> {
    let project = project(tx, "dev")?;
    let inserted = pipeline(tx, &project, &["unit"])?;
    apply(tx, &PipelineCache::default(), inserted.id, picked(JobIndex(0)), at(1))?;
    Ok((project, inserted))
}

async fn a_trace_grows_only_at_its_end(db: Db) {
    db.write(|tx| {
        let (_, inserted) = running(tx)?;
        let job = inserted.jobs[0];
        assert_eq!(traces::append(tx, job, 5, b"early", at(1))?, Appended::Mismatch { stored: 0 });
        let stored = traces::append(tx, job, 0, b"hello ", at(1))?;
        assert!(matches!(stored, Appended::Stored { total: 6, .. }), "{stored:?}");
        for start in [0, 3, 7] {
            assert_eq!(traces::append(tx, job, start, b"again", at(1))?, Appended::Mismatch { stored: 6 });
        }
        let crc32 = 0x0d4a_1185; // of "hello world"
        assert_eq!(traces::append(tx, job, 6, b"world", at(2))?, Appended::Stored { total: 11, crc32 });
        let trace = traces::find(tx, job)?.unwrap();
        assert_eq!((trace.size, trace.crc32, trace.object_key, trace.updated_at), (11, crc32, None, at(2)));
        for (start, limit, expected) in [
            (0, 99, "hello world"),
            (0, 6, "hello "),
            (3, 5, "lo wo"),
            (6, 99, "world"),
            (8, 1, "r"),
            (11, 9, ""),
            (99, 9, ""),
        ] {
            let bytes = traces::read(tx, job, start, limit)?;
            assert_eq!(String::from_utf8(bytes).unwrap(), expected, "{limit} from {start}");
        }
        Ok::<_, Failure>(())
    })
    .await
    .unwrap();
}

async fn the_trace_of_a_finished_job_becomes_an_object(db: Db) {
    db.write(|tx| {
        let (_, inserted) = running(tx)?;
        let (cache, job) = (PipelineCache::default(), inserted.jobs[0]);
        traces::append(tx, job, 0, b"hello", at(1))?;
        assert_eq!(traces::finished_unsealed(tx, 9)?, [], "its job runs");
        apply(tx, &cache, inserted.id, succeeded(JobIndex(0)), at(2))?;
        let trace = traces::finished_unsealed(tx, 9)?.remove(0);
        assert_eq!(trace.job_id, job);

        object_deletions::reserve(tx, "trace/1", at(100))?;
        traces::append(tx, job, 5, b"!", at(3))?;
        assert!(!traces::sealed(tx, job, "trace/1", trace.size)?, "it grew meanwhile");
        assert!(traces::sealed(tx, job, "trace/1", 6)?);
        assert_eq!(object_deletions::due(tx, at(999), 9)?, Vec::<String>::new());
        assert_eq!(traces::read(tx, job, 0, 9)?, b"");
        assert_eq!(traces::find(tx, job)?.unwrap().object_key.as_deref(), Some("trace/1"));
        assert_eq!(traces::finished_unsealed(tx, 9)?, []);
        assert_eq!(traces::append(tx, job, 6, b"late", at(4))?, Appended::Mismatch { stored: 6 });

        apply(tx, &cache, inserted.id, Event::Erase { job: JobIndex(0) }, at(5))?;
        assert_eq!(traces::find(tx, job)?, None);
        assert_eq!(object_deletions::due(tx, at(5), 9)?, ["trace/1"]);
        object_deletions::done(tx, &["trace/1".to_owned()])?;
        assert_eq!(object_deletions::due(tx, at(5), 9)?, Vec::<String>::new());
        Ok::<_, Failure>(())
    })
    .await
    .unwrap();
}

fn archive(project: &Project, job_id: JobId, key: &str) -> NewArtifact {
    NewArtifact {
        job_id,
        project_id: project.id,
        file_type: ArtifactFileType::Archive,
        file_format: ArtifactFormat::Zip,
        filename: "artifacts.zip".to_owned(),
        size: 10,
        sha256: key.to_owned(),
        object_key: key.to_owned(),
        accessibility: Accessibility::Public,
        expire_at: Some(at(1000)),
    }
}

async fn a_job_has_one_file_of_each_type(db: Db) {
    db.write(|tx| {
        let (project, inserted) = running(tx)?;
        let job = inserted.jobs[0];
        for key in ["a", "b", "c"] {
            object_deletions::reserve(tx, key, at(500))?;
        }
        let first = archive(&project, job, "a");
        let Inserted::New(stored) = artifacts::insert(tx, &first, at(2))? else { panic!("it is the first") };
        let same = NewArtifact { object_key: "b".to_owned(), ..first.clone() };
        assert_eq!(artifacts::insert(tx, &same, at(3))?, Inserted::Same(stored.clone()));
        let other = archive(&project, job, "c");
        assert_eq!(artifacts::insert(tx, &other, at(3))?, Inserted::Other(stored.clone()));
        assert_eq!(object_deletions::due(tx, at(500), 9)?.len(), 2, "what was not stored goes");
        assert_eq!(jobs::find(tx, job)?.unwrap().artifacts_expire_at, Some(at(1000)));
        let metadata = NewArtifact { file_type: ArtifactFileType::Metadata, ..archive(&project, job, "m") };
        artifacts::insert(tx, &metadata, at(3))?;
        let found = artifacts::of_jobs(tx, &[job])?;
        assert_eq!(found.iter().map(|file| file.object_key.as_str()).collect::<Vec<_>>(), ["a", "m"]);
        Ok::<_, Failure>(())
    })
    .await
    .unwrap();
}

async fn expired_files_go_unless_kept_or_locked(db: Db) {
    db.write(|tx| {
        let project = project(tx, "dev")?;
        let mut stored = Vec::new();
        for (index, key) in ["expired", "kept", "locked"].into_iter().enumerate() {
            let new = pipelines::NewPipeline { ref_name: key.to_owned(), ..new_pipeline(&project) };
            let inserted = crate::world::insert(tx, &new, &plan(&["job"]), at(0))?;
            artifacts::insert(
                tx,
                &archive(&project, inserted.jobs[0], key),
                at(i64::try_from(index).unwrap()),
            )?;
            stored.push(inserted);
        }
        assert!(artifacts::keep(tx, stored[1].jobs[0])?);
        artifacts::lock_latest(tx, project.id, "locked", false, stored[2].id)?;
        assert_eq!(artifacts::delete_expired(tx, at(1000), 9)?, 0);
        assert_eq!(artifacts::delete_expired(tx, at(1001), 9)?, 1);
        assert_eq!(object_deletions::due(tx, at(1001), 9)?, ["expired"]);
        assert_eq!(jobs::find(tx, stored[1].jobs[0])?.unwrap().artifacts_expire_at, None);

        // A newer pipeline of the ref takes the lock over.
        let new = pipelines::NewPipeline { ref_name: "locked".to_owned(), ..new_pipeline(&project) };
        let newer = crate::world::insert(tx, &new, &plan(&["job"]), at(0))?;
        artifacts::lock_latest(tx, project.id, "locked", false, newer.id)?;
        assert_eq!(artifacts::delete_expired(tx, at(1001), 9)?, 1);
        assert_eq!(artifacts::delete_of_project(tx, project.id, at(1002), 9)?, 1);
        Ok::<_, Error>(())
    })
    .await
    .unwrap();
}

async fn the_newest_successful_archive_of_a_ref_is_found(db: Db) {
    db.write(|tx| {
        let project = project(tx, "dev")?;
        let cache = PipelineCache::default();
        let mut jobs = Vec::new();
        for (key, succeeds) in [("old", true), ("new", true), ("running", false)] {
            let inserted = pipeline(tx, &project, &["build"])?;
            apply(tx, &cache, inserted.id, picked(JobIndex(0)), at(1))?;
            if succeeds {
                apply(tx, &cache, inserted.id, succeeded(JobIndex(0)), at(2))?;
            }
            artifacts::insert(tx, &archive(&project, inserted.jobs[0], key), at(1))?;
            jobs.push(inserted.jobs[0]);
        }
        let mut find =
            |ref_name: &str, job: &str| artifacts::latest_successful_archive(tx, project.id, ref_name, job);
        assert_eq!(find("main", "build")?.map(|file| file.job_id), Some(jobs[1]));
        assert_eq!(find("main", "test")?, None);
        assert_eq!(find("topic", "build")?, None);
        Ok::<_, Failure>(())
    })
    .await
    .unwrap();
}

async fn what_is_deleted_leaves_no_object_behind(db: Db) {
    db.write(|tx| {
        let dev = user(tx, "dev")?;
        let top = group(tx, &dev, None, "top")?;
        let mut kept = Vec::new();
        for name in ["pipeline", "project", "group"] {
            let project = project_in(tx, &top, &dev, name)?;
            let inserted = pipeline(tx, &project, &["build"])?;
            artifacts::insert(tx, &archive(&project, inserted.jobs[0], &format!("{name} archive")), at(1))?;
            traces::append(tx, inserted.jobs[0], 0, b"x", at(1))?;
            traces::sealed(tx, inserted.jobs[0], &format!("{name} trace"), 1)?;
            kept.push((project, inserted));
        }
        let mut after = |delete: &dyn Fn(&mut Tx<'_>) -> Result<bool>| {
            assert!(delete(tx)?);
            let mut due = object_deletions::due(tx, at(9), 9)?;
            object_deletions::done(tx, &due)?;
            due.sort_unstable();
            Ok::<_, Error>(due)
        };
        assert_eq!(
            after(&|tx| pipelines::delete(tx, kept[0].1.id, at(9)))?,
            ["pipeline archive", "pipeline trace"]
        );
        assert_eq!(
            after(&|tx| projects::delete(tx, kept[1].0.id, at(9)))?,
            ["project archive", "project trace"]
        );
        assert_eq!(after(&|tx| groups::delete(tx, top.id, at(9)))?, ["group archive", "group trace"]);
        Ok::<_, Error>(())
    })
    .await
    .unwrap();
}

fn variable(key: &str, scope: &str) -> Variable {
    Variable {
        id: VariableId(0),
        key: key.to_owned(),
        value: vec![0, 1, 255],
        variable_type: VariableType::EnvVar,
        protected: false,
        masked: true,
        hidden: false,
        raw: false,
        environment_scope: scope.to_owned(),
        description: None,
    }
}

async fn a_key_may_have_a_variable_for_each_scope(db: Db) {
    for owner in [None, Some("project"), Some("group")] {
        let first = db
            .write(move |tx| {
                let owner = match owner {
                    None => Owner::Instance,
                    Some("project") => Owner::Project(project(tx, "dev")?.id),
                    Some(_) => {
                        let user = user(tx, "owner")?;
                        Owner::Group(group(tx, &user, None, "top")?.id)
                    }
                };
                let first = variables::insert(tx, owner, &variable("KEY", "*"))?;
                variables::insert(tx, owner, &variable("KEY", "production"))?;
                assert_eq!(variables::find(tx, owner, "KEY", None)?.len(), 2);
                assert_eq!(variables::find(tx, owner, "KEY", Some("*"))?, std::slice::from_ref(&first));
                assert_eq!(
                    variables::list(tx, owner, Page { limit: 1, offset: 1 })?[0].environment_scope,
                    "production"
                );
                assert_eq!(variables::count(tx, owner)?, 2);
                Ok::<_, Error>((owner, first))
            })
            .await
            .unwrap();
        let owner = first.0;
        let again = db.write(move |tx| variables::insert(tx, owner, &variable("KEY", "*"))).await;
        assert!(matches!(again, Err(Error::Conflict { .. })), "{again:?}");
        let changed = Variable { environment_scope: "production".to_owned(), ..first.1.clone() };
        let clash = db.write(move |tx| variables::update(tx, &changed)).await;
        assert!(matches!(clash, Err(Error::Conflict { .. })), "{clash:?}");
        let id = first.1.id;
        assert!(db.write(move |tx| variables::delete(tx, id)).await.unwrap());
    }
}

async fn a_project_gets_variables_from_low_to_high_precedence(db: Db) {
    db.write(|tx| {
        let dev = user(tx, "dev")?;
        let top = group(tx, &dev, None, "top")?;
        let sub = group(tx, &dev, Some(&top), "sub")?;
        let app = project_in(tx, &sub, &dev, "app")?;
        let owners = [Owner::Project(app.id), Owner::Group(sub.id), Owner::Instance, Owner::Group(top.id)];
        for owner in owners {
            variables::insert(tx, owner, &variable("KEY", "*"))?;
        }
        let found = variables::for_project(tx, app.id)?;
        let found: Vec<_> = found.into_iter().map(|(owner, _)| owner).collect();
        assert_eq!(
            found,
            [Owner::Instance, Owner::Group(top.id), Owner::Group(sub.id), Owner::Project(app.id)]
        );
        Ok::<_, Error>(())
    })
    .await
    .unwrap();
}

async fn a_retry_has_the_variables_that_its_job_was_given(db: Db) {
    let given = |key: &str| GivenVariable {
        key: key.to_owned(),
        value: b"sealed".to_vec(),
        variable_type: VariableType::File,
        raw: true,
    };
    let (one, two) = (given("B"), given("A"));
    db.write(move |tx| {
        let (_, inserted) = running(tx)?;
        let both = [one.clone(), two.clone()];
        variables::insert_for_pipeline(tx, inserted.id, &both)?;
        assert_eq!(variables::of_pipeline(tx, inserted.id)?, both);
        variables::set_for_job(tx, inserted.jobs[0], &both)?;
        let cache = PipelineCache::default();
        apply(tx, &cache, inserted.id, succeeded(JobIndex(0)), at(2))?;
        let retried = apply(tx, &cache, inserted.id, Event::Retry { job: JobIndex(0) }, at(3))?;
        assert_eq!(variables::of_job(tx, retried.ids[1])?, both);
        Ok::<_, Failure>(())
    })
    .await
    .unwrap();
}

weir_store::on_each_database!(
    a_trace_grows_only_at_its_end,
    the_trace_of_a_finished_job_becomes_an_object,
    a_job_has_one_file_of_each_type,
    expired_files_go_unless_kept_or_locked,
    the_newest_successful_archive_of_a_ref_is_found,
    what_is_deleted_leaves_no_object_behind,
    a_key_may_have_a_variable_for_each_scope,
    a_project_gets_variables_from_low_to_high_precedence,
    a_retry_has_the_variables_that_its_job_was_given,
);
