//! What starts pipelines: trigger tokens and schedules.

use weir_api::id::PipelineScheduleId;
use weir_api::pipeline_schedules::ScheduleInput;
use weir_store::pipeline_schedules::{self, PipelineSchedule};
use weir_store::projects::Project;
use weir_store::triggers::{self, NewTrigger};
use weir_store::{Db, Error, Page, Result, TokenDigest, Tx, pipelines, users};

use crate::world::{Failure, at, pipeline, project, user};

fn trigger(tx: &mut Tx<'_>, project: &Project, token: &str) -> Result<triggers::Trigger> {
    let new = NewTrigger {
        project_id: project.id,
        owner_id: project.creator_id.ok_or(Error::NoRow)?,
        description: None,
        digest: TokenDigest::of(token),
        token: b"sealed".to_vec(),
        short_token: token.chars().take(4).collect(),
        expires_at: Some(at(100)),
    };
    triggers::insert(tx, &new, at(0))
}

async fn a_trigger_is_found_by_its_token_and_knows_its_last_use(db: Db) {
    db.write(|tx| {
        let project = project(tx, "dev")?;
        let made = trigger(tx, &project, "abcdef")?;
        assert_eq!((made.token.as_slice(), made.last_used_at), (b"sealed".as_slice(), None));
        assert_eq!(triggers::find_by_digest(tx, &TokenDigest::of("abcdef"))?.as_ref(), Some(&made));
        assert_eq!(triggers::find_by_digest(tx, &TokenDigest::of("abcde"))?, None);
        trigger(tx, &project, "second")?;
        assert_eq!(triggers::list(tx, project.id, Page::first(1))?, std::slice::from_ref(&made));
        assert_eq!(triggers::count(tx, project.id)?, 2);

        let started = pipeline(tx, &project, &["unit"])?;
        assert_eq!(triggers::short_token_of(tx, started.id)?, None);
        triggers::started(tx, made.id, started.id)?;
        assert_eq!(triggers::short_token_of(tx, started.id)?.as_deref(), Some("abcd"));
        triggers::describe(tx, made.id, Some("new"), at(5))?;
        let found = triggers::find(tx, project.id, made.id)?.unwrap();
        assert_eq!((found.description.as_deref(), found.updated_at), (Some("new"), at(5)));
        assert_eq!(found.last_used_at, Some(at(0)));
        Ok::<_, Failure>(())
    })
    .await
    .unwrap();
}

async fn a_trigger_goes_with_its_owner_and_leaves_its_pipelines(db: Db) {
    db.write(|tx| {
        let project = project(tx, "dev")?;
        let owner = user(tx, "ann")?;
        let other = Project { creator_id: Some(owner.id), ..project.clone() };
        let (first, second) = (trigger(tx, &project, "first")?, trigger(tx, &other, "second")?);
        let started = pipeline(tx, &project, &["unit"])?;
        triggers::started(tx, first.id, started.id)?;
        assert!(triggers::delete(tx, first.id)?);
        assert!(!triggers::delete(tx, first.id)?);
        assert!(pipelines::find(tx, started.id)?.is_some());
        assert_eq!(triggers::short_token_of(tx, started.id)?, None);
        users::delete(tx, owner.id)?;
        assert_eq!(triggers::find(tx, project.id, second.id)?, None);
        Ok::<_, Failure>(())
    })
    .await
    .unwrap();
}

fn schedule(project: &Project) -> PipelineSchedule {
    PipelineSchedule {
        id: PipelineScheduleId(0),
        project_id: project.id,
        owner_id: project.creator_id,
        description: "nightly".to_owned(),
        ref_name: "refs/heads/main".to_owned(),
        cron: "* * * * *".to_owned(),
        cron_timezone: "UTC".to_owned(),
        active: true,
        inputs: vec![ScheduleInput { name: "a".to_owned(), value: vec![1].into() }],
        next_run_at: Some(at(60)),
        attempts: 0,
        created_at: at(0),
        updated_at: at(0),
    }
}

async fn a_run_is_taken_by_one_and_done_once(db: Db) {
    db.write(|tx| {
        let project = project(tx, "dev")?;
        let made = pipeline_schedules::insert(tx, &schedule(&project), at(0))?;
        let idle = PipelineSchedule { active: false, next_run_at: Some(at(1)), ..schedule(&project) };
        pipeline_schedules::insert(tx, &idle, at(0))?;
        assert_eq!(pipeline_schedules::next_due(tx)?, Some(at(60)));
        assert_eq!(pipeline_schedules::take_due(tx, at(59), at(300), 9)?, []);
        assert_eq!(pipeline_schedules::take_due(tx, at(60), at(300), 9)?, std::slice::from_ref(&made));
        assert_eq!(pipeline_schedules::take_due(tx, at(60), at(300), 9)?, [], "somebody has it");
        assert_eq!(pipeline_schedules::next_due(tx)?, Some(at(300)));

        assert!(pipeline_schedules::ran(tx, made.id, at(60), Some(at(120)))?);
        assert!(!pipeline_schedules::ran(tx, made.id, at(60), Some(at(120)))?, "it is done");
        assert_eq!(pipeline_schedules::next_due(tx)?, Some(at(120)));
        pipeline_schedules::deactivate(tx, made.id, at(61))?;
        assert!(!pipeline_schedules::ran(tx, made.id, at(120), Some(at(180)))?, "it runs no more");
        assert_eq!(pipeline_schedules::next_due(tx)?, None);
        Ok::<_, Failure>(())
    })
    .await
    .unwrap();
}

async fn a_schedule_knows_its_pipelines_and_ends_with_its_owner(db: Db) {
    db.write(|tx| {
        let project = project(tx, "dev")?;
        let owner = user(tx, "ann")?;
        let new = PipelineSchedule { owner_id: Some(owner.id), ..schedule(&project) };
        let made = pipeline_schedules::insert(tx, &new, at(0))?;
        let started = pipeline(tx, &project, &["unit"])?;
        assert_eq!(pipeline_schedules::of_pipeline(tx, started.id)?, None);
        pipeline_schedules::started(tx, made.id, started.id)?;
        assert_eq!(pipeline_schedules::of_pipeline(tx, started.id)?.as_ref(), Some(&made));
        assert_eq!(pipeline_schedules::last_pipeline(tx, made.id)?, Some(started.id));
        pipeline_schedules::deactivate_of(tx, owner.id, at(1))?;
        users::delete(tx, owner.id)?;
        let found = pipeline_schedules::find(tx, project.id, made.id)?.unwrap();
        assert_eq!((found.owner_id, found.active), (None, false));
        assert!(pipeline_schedules::delete(tx, made.id)?);
        assert!(pipelines::find(tx, started.id)?.is_some());
        Ok::<_, Failure>(())
    })
    .await
    .unwrap();
}

weir_store::on_each_database!(
    a_run_is_taken_by_one_and_done_once,
    a_schedule_knows_its_pipelines_and_ends_with_its_owner,
    a_trigger_is_found_by_its_token_and_knows_its_last_use,
    a_trigger_goes_with_its_owner_and_leaves_its_pipelines,
);
