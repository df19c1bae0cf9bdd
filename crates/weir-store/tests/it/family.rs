//! Pipelines that bridges started, what bridges say, and artifacts across pipelines.

use weir_api::id::{JobId, PipelineId};
use weir_api::status::{Accessibility, ArtifactFileType, ArtifactFormat};
use weir_compiler::plan::Plan;
use weir_engine::{Event, JobIndex};
use weir_store::artifacts::{self, NewArtifact};
use weir_store::pipelines::{self, Inserted, NewPipeline, PipelineCache, Upstream};
use weir_store::projects::Project;
use weir_store::{Db, Result, Tx, job_messages, object_deletions};

use crate::world::{Failure, apply, at, insert, new_pipeline, pipeline, plan, project, succeeded};

/// A pipeline that a job of another one started.
fn below(tx: &mut Tx<'_>, project: &Project, above: &Inserted, job: usize, child: bool) -> Result<Inserted> {
    let upstream = Upstream { job_id: above.jobs[job], pipeline_id: above.id, project_id: project.id, child };
    let new = NewPipeline { upstream: Some(upstream), ..new_pipeline(project) };
    insert(tx, &new, &plan(&["job"]), at(0))
}

fn ids(pipelines: &[pipelines::Pipeline]) -> Vec<PipelineId> {
    pipelines.iter().map(|it| it.id).collect()
}

async fn a_family_is_walked_up_and_down(db: Db) {
    db.write(|tx| {
        let project = project(tx, "dev")?;
        let top = pipeline(tx, &project, &["one", "two"])?;
        let alone = pipeline(tx, &project, &["job"])?;
        let child = below(tx, &project, &top, 0, true)?;
        let grandchild = below(tx, &project, &child, 0, true)?;
        let other = below(tx, &project, &top, 1, false)?;
        let below_other = below(tx, &project, &other, 0, true)?;

        assert_eq!(ids(&pipelines::downstream(tx, top.id)?), [child.id, other.id]);
        let mut started =
            ids(&pipelines::downstream_of_jobs(tx, &[top.jobs[0], top.jobs[1], child.jobs[0]])?);
        started.sort_unstable();
        assert_eq!(started, [child.id, grandchild.id, other.id]);
        assert_eq!(ids(&pipelines::downstream_of_jobs(tx, &[])?), []);
        for (of, expected) in [(&top, true), (&child, true), (&grandchild, false), (&other, true)] {
            assert_eq!(pipelines::has_children(tx, of.id)?, expected);
        }
        let up = pipelines::self_and_upstreams(tx, grandchild.id)?;
        assert_eq!(ids(&up), [grandchild.id, child.id, top.id]);
        assert_eq!(ids(&pipelines::self_and_upstreams(tx, alone.id)?), [alone.id]);

        // A pipeline that is no child is the outermost of its own family.
        for (of, root) in [(&grandchild, &top), (&top, &top), (&other, &other), (&below_other, &other)] {
            assert_eq!(pipelines::root(tx, of.id)?.map(|it| it.id), Some(root.id));
        }
        assert!(pipelines::are_family(tx, grandchild.id, top.id)?);
        assert!(!pipelines::are_family(tx, top.id, other.id)?);
        assert!(!pipelines::are_family(tx, top.id, PipelineId(999))?);
        assert!(!pipelines::are_family(tx, PipelineId(999), PipelineId(999))?, "none is of no family");

        let children = pipelines::self_and_descendants(tx, top.id, true, 9)?;
        assert_eq!(children, [top.id, child.id, grandchild.id]);
        let all = pipelines::self_and_descendants(tx, top.id, false, 9)?;
        assert_eq!(all, [top.id, child.id, other.id, grandchild.id, below_other.id]);
        assert_eq!(pipelines::self_and_descendants(tx, top.id, false, 2)?, [top.id, child.id]);
        Ok::<_, Failure>(())
    })
    .await
    .unwrap();
}

async fn a_job_keeps_its_messages_in_their_order(db: Db) {
    db.write(|tx| {
        let project = project(tx, "dev")?;
        let made = pipeline(tx, &project, &["first", "second"])?;
        let add = |tx: &mut Tx<'_>, job: JobId, messages: &[&str]| {
            let messages: Vec<String> = messages.iter().map(|it| (*it).to_owned()).collect();
            job_messages::add(tx, job, &messages)
        };
        add(tx, made.jobs[0], &["b", "a"])?;
        add(tx, made.jobs[1], &[])?;
        add(tx, made.jobs[0], &["c"])?;
        let found = job_messages::of_jobs(tx, &made.jobs)?;
        assert_eq!(found.len(), 1);
        assert_eq!(found[&made.jobs[0]], ["b", "a", "c"]);
        Ok::<_, Failure>(())
    })
    .await
    .unwrap();
}

/// Gives a job an archive.
fn archive(tx: &mut Tx<'_>, project: &Project, job_id: JobId) -> Result<()> {
    let key = format!("archive/{job_id}");
    object_deletions::reserve(tx, &key, at(500))?;
    let new = NewArtifact {
        job_id,
        project_id: project.id,
        file_type: ArtifactFileType::Archive,
        file_format: ArtifactFormat::Zip,
        filename: "artifacts.zip".to_owned(),
        size: 10,
        sha256: key.clone(),
        object_key: key,
        accessibility: Accessibility::Public,
        expire_at: None,
    };
    artifacts::insert(tx, &new, at(1)).map(drop)
}

/// A pipeline of a ref in which `build` has an archive.
fn built(tx: &mut Tx<'_>, project: &Project, git_ref: &str, plan: &Plan) -> Result<Inserted> {
    let new = NewPipeline { ref_name: git_ref.to_owned(), ..new_pipeline(project) };
    let made = insert(tx, &new, plan, at(0))?;
    archive(tx, project, made.jobs[0])?;
    Ok(made)
}

async fn the_archive_of_another_pipelines_job_is_that_of_its_newest_success(db: Db) {
    db.write(|tx| {
        let (cache, project) = (PipelineCache::default(), project(tx, "dev")?);
        let plan = plan(&["build", "test"]);
        let old = built(tx, &project, "main", &plan)?;
        let of = |tx: &mut Tx<'_>, pipeline| -> Result<Option<JobId>> {
            Ok(artifacts::of_successful_job(tx, pipeline, "build")?.map(|it| it.job_id))
        };
        let newest = |tx: &mut Tx<'_>, git_ref: &str, name: &str| -> Result<Option<JobId>> {
            Ok(artifacts::newest_of_job(tx, project.id, git_ref, name)?.map(|it| it.job_id))
        };
        assert_eq!((of(tx, old.id)?, newest(tx, "main", "build")?), (None, None), "it has not ended");
        apply(tx, &cache, old.id, succeeded(JobIndex(0)), at(2))?;
        assert_eq!(of(tx, old.id)?, Some(old.jobs[0]));
        assert_eq!(newest(tx, "main", "build")?, Some(old.jobs[0]), "its pipeline still runs");
        assert_eq!(artifacts::of_successful_job(tx, old.id, "test")?, None);

        let new = built(tx, &project, "main", &plan)?;
        assert_eq!(newest(tx, "main", "build")?, Some(old.jobs[0]), "the newer one has not ended");
        apply(tx, &cache, new.id, succeeded(JobIndex(0)), at(3))?;
        assert_eq!(newest(tx, "main", "build")?, Some(new.jobs[0]));
        assert_eq!(of(tx, old.id)?, Some(old.jobs[0]));
        for (git_ref, name) in [("other", "build"), ("main", "test"), ("main", "gone")] {
            assert_eq!(newest(tx, git_ref, name)?, None, "{name} of {git_ref}");
        }

        // An attempt that was repeated no longer counts.
        apply(tx, &cache, new.id, Event::Retry { job: JobIndex(0) }, at(4))?;
        assert_eq!(of(tx, new.id)?, None);
        assert_eq!(newest(tx, "main", "build")?, Some(old.jobs[0]));
        Ok::<_, Failure>(())
    })
    .await
    .unwrap();
}

weir_store::on_each_database!(
    a_family_is_walked_up_and_down,
    a_job_keeps_its_messages_in_their_order,
    the_archive_of_another_pipelines_job_is_that_of_its_newest_success,
);
