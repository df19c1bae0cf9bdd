//! Which jobs' time has come, and when the next one's comes.

use weir_api::Timestamp;
use weir_compiler::plan::{Action, Job, Strategy, Trigger, When};
use weir_engine::timeout::{GRACE_SECS, PENDING_SECS, PENDING_WITHOUT_RUNNER_SECS, SILENCE_SECS};
use weir_engine::{Event, JobIndex};
use weir_store::pipelines::PipelineCache;
use weir_store::timers::{self, AllDue, Due};
use weir_store::{Db, Error, Tx, runners};

use crate::world::{apply, at, insert, job, new_pipeline, picked, plan, project, runner, succeeded};

/// The first moment that is more than so many seconds after the beginning.
fn after(seconds: i64) -> Timestamp {
    Timestamp::from_micros(at(seconds).as_micros() + 1)
}

/// The places of the jobs of each kind that are due: `pending 1, silent 0`.
fn due(tx: &mut Tx<'_>, now: Timestamp) -> weir_store::Result<String> {
    let AllDue { delayed, timed_out, silent, pending, unserved, bridges } = timers::due(tx, now, 9)?;
    let kinds: [(&str, Vec<Due>); 6] = [
        ("delayed", delayed),
        ("timed out", timed_out),
        ("silent", silent),
        ("pending", pending),
        ("unserved", unserved),
        ("bridges", bridges),
    ];
    let words =
        kinds.iter().flat_map(|(kind, jobs)| jobs.iter().map(move |job| format!("{kind} {}", job.index.0)));
    Ok(words.collect::<Vec<_>>().join(", "))
}

async fn each_deadline_is_found_when_it_has_passed_and_not_before(db: Db) {
    db.write(|tx| {
        let project = project(tx, "dev")?;
        let mut plan = plan(&["runs", "waits"]);
        let mut delayed = job("delayed", &[]);
        delayed.when = When::Delayed;
        delayed.start_in = Some(60);
        plan.jobs.push(delayed);
        // A bridge runs as long as its pipeline does, and no runner says anything of it.
        let trigger = Trigger { strategy: Some(Strategy::Depend), ..Trigger::default() };
        plan.jobs.push(Job { action: Action::Trigger(Box::new(trigger)), ..job("bridge", &[]) });
        let id = insert(tx, &new_pipeline(&project), &plan, at(0))?.id;
        let cache = PipelineCache::default();
        let started = Event::DownstreamCreated { job: JobIndex(3), strategy: Some(Strategy::Depend) };
        apply(tx, &cache, id, started, at(0)).unwrap();
        apply(tx, &cache, id, picked(JobIndex(0)), at(0)).unwrap();
        // At each moment: what is due, and what comes next.
        for (now, found, next) in [
            (at(0), "", Some(at(60))),
            (at(60), "delayed 2", Some(after(SILENCE_SECS))),
            (at(SILENCE_SECS), "delayed 2", Some(after(SILENCE_SECS))),
            (after(SILENCE_SECS), "delayed 2, silent 0", Some(after(PENDING_WITHOUT_RUNNER_SECS))),
            (
                after(PENDING_WITHOUT_RUNNER_SECS),
                "delayed 2, silent 0, unserved 1",
                Some(after(60 + PENDING_WITHOUT_RUNNER_SECS)),
            ),
            (
                after(3600 + GRACE_SECS),
                "delayed 2, timed out 0, silent 0, unserved 1",
                Some(after(PENDING_SECS)),
            ),
            (after(PENDING_SECS), "delayed 2, timed out 0, silent 0, pending 1, unserved 1", None),
        ] {
            assert_eq!(due(tx, now)?, found, "{now}");
            assert_eq!(timers::next(tx, now)?, next, "{now}");
        }
        apply(tx, &cache, id, succeeded(JobIndex(0)), at(100)).unwrap();
        apply(tx, &cache, id, Event::CancelPipeline { cascade: false }, at(100)).unwrap();
        assert_eq!((due(tx, after(PENDING_SECS))?.as_str(), timers::next(tx, at(0))?), ("", None));
        Ok::<_, Error>(())
    })
    .await
    .unwrap();
}

async fn a_job_is_unserved_when_no_runner_that_may_take_it_was_seen_for_two_hours(db: Db) {
    db.write(|tx| {
        let project = project(tx, "dev")?;
        let mut plan = plan(&["plain"]);
        plan.jobs.push(job("tagged", &["gpu"]));
        insert(tx, &new_pipeline(&project), &plan, at(0))?;
        let hour = 3600;
        let plain = runner(tx, "plain", &[], |_| ())?;
        let paused = runner(tx, "paused", &["gpu"], |new| new.paused = true)?;
        let protected = |new: &mut runners::NewRunner| {
            new.access_level = weir_api::RunnerAccessLevel::RefProtected;
        };
        let protected = runner(tx, "protected", &["gpu"], protected)?;
        for runner in [&paused, &protected] {
            runners::contacted(tx, runner.id, at(hour))?;
        }
        assert_eq!(due(tx, after(hour))?, "unserved 0, unserved 1", "never heard of, paused, for other refs");
        runners::contacted(tx, plain.id, at(hour))?;
        assert_eq!(due(tx, after(hour))?, "unserved 1");
        assert_eq!(timers::next(tx, after(hour))?, Some(after(3 * hour)));
        assert_eq!(due(tx, at(3 * hour))?, "unserved 1");
        assert_eq!(due(tx, after(3 * hour))?, "unserved 0, unserved 1");
        Ok::<_, Error>(())
    })
    .await
    .unwrap();
}

weir_store::on_each_database!(
    each_deadline_is_found_when_it_has_passed_and_not_before,
    a_job_is_unserved_when_no_runner_that_may_take_it_was_seen_for_two_hours,
);
