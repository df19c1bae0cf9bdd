//! Webhooks, their deliveries and their log.

use weir_api::hooks::HookEvent;
use weir_api::id::HookId;
use weir_store::webhooks::{self, Attempt, Hook};
use weir_store::{Db, Error, Page, Tx};

use crate::world::{at, pipeline, project};

fn hook(tx: &mut Tx<'_>, project: &weir_store::projects::Project) -> Result<Hook, Error> {
    let new = Hook {
        id: HookId(0),
        project_id: project.id,
        secrets: vec![1, 2],
        name: Some("CI".to_owned()),
        description: None,
        events: vec![HookEvent::Push, HookEvent::Job],
        branch_filter: None,
        branch_filter_strategy: "wildcard".to_owned(),
        ssl_verification: true,
        failures: 0,
        disabled_until: None,
        created_at: at(0),
    };
    let id = webhooks::insert(tx, &new)?;
    Ok(Hook { id, ..new })
}

async fn a_hook_is_what_was_written_last(db: Db) {
    db.write(|tx| {
        let project = project(tx, "dev")?;
        assert!(!pipeline(tx, &project, &["a"])?.hooked);
        let mut known = hook(tx, &project)?;
        assert_eq!(webhooks::find(tx, known.id)?, Some(known.clone()));
        known.events = vec![HookEvent::Pipeline];
        known.branch_filter = Some("main".to_owned());
        webhooks::update(tx, &known)?;
        webhooks::set_failures(tx, known.id, 4, Some(at(60)))?;
        (known.failures, known.disabled_until) = (4, Some(at(60)));
        assert_eq!(webhooks::of_project(tx, project.id)?, [known.clone()]);
        assert!(pipeline(tx, &project, &["a"])?.hooked, "a pipeline knows whether its project has hooks");
        webhooks::delete(tx, known.id)?;
        assert_eq!(webhooks::find(tx, known.id)?, None);
        Ok::<_, Error>(())
    })
    .await
    .unwrap();
}

async fn deliveries_wait_in_order_for_whoever_claims_their_hook(db: Db) {
    db.write(|tx| {
        let project = project(tx, "dev")?;
        let (one, two) = (hook(tx, &project)?.id, hook(tx, &project)?.id);
        for (hook, payload) in [(one, "1"), (two, "2"), (one, "3")] {
            webhooks::deliver(tx, hook, "push_hooks", payload, payload, at(0))?;
        }
        assert_eq!(webhooks::due(tx, at(0), 10)?, [one, two]);
        assert!(webhooks::claim(tx, one, at(0), at(60))?);
        assert!(!webhooks::claim(tx, one, at(1), at(60))?);
        assert_eq!(webhooks::due(tx, at(1), 10)?, [two]);
        assert_eq!(webhooks::next_due(tx, at(1))?, Some(at(60)), "a claim ends");
        let first = webhooks::first_due(tx, one, at(1))?.ok_or(Error::NoRow)?;
        assert_eq!((first.payload.as_str(), first.attempts), ("1", 0));
        webhooks::put_off(tx, first.id, at(10))?;
        let second = webhooks::first_due(tx, one, at(1))?.ok_or(Error::NoRow)?;
        assert_eq!(second.payload, "3", "what is put off holds up nothing");
        webhooks::done(tx, second.id)?;
        assert_eq!(webhooks::first_due(tx, one, at(1))?, None);
        webhooks::hold(tx, one, at(-1))?;
        assert_eq!(webhooks::next_due(tx, at(1))?, Some(at(10)));
        let again = webhooks::first_due(tx, one, at(10))?.ok_or(Error::NoRow)?;
        assert_eq!((again.id, again.attempts), (first.id, 1));
        Ok::<_, Error>(())
    })
    .await
    .unwrap();
}

async fn the_log_is_listed_by_status_and_forgotten(db: Db) {
    db.write(|tx| {
        let project = project(tx, "dev")?;
        let hook_id = hook(tx, &project)?.id;
        for (seconds, status) in [(0, "200"), (1, "500"), (2, "internal error")] {
            let attempt = Attempt {
                id: 0,
                hook_id,
                kind: "push_hooks".to_owned(),
                url: "https://h.example".to_owned(),
                idempotency_key: "key".to_owned(),
                request_headers: "{}".to_owned(),
                request_data: "{}".to_owned(),
                response_headers: "{}".to_owned(),
                response_body: String::new(),
                response_status: status.to_owned(),
                error: None,
                duration: 0.5,
                created_at: at(seconds),
            };
            let id = webhooks::log(tx, &attempt)?;
            assert_eq!(webhooks::attempt(tx, hook_id, id)?, Some(Attempt { id, ..attempt }));
        }
        let mut listed = |between| {
            let found = webhooks::attempts(tx, hook_id, between, Page::first(10))?;
            assert_eq!(webhooks::count_attempts(tx, hook_id, between)?.unsigned_abs(), found.len() as u64);
            Ok::<_, Error>(found.into_iter().map(|it| it.response_status).collect::<Vec<_>>())
        };
        assert_eq!(listed(("", "~"))?, ["internal error", "500", "200"]);
        assert_eq!(listed(("500", "599"))?, ["500"]);
        webhooks::forget(tx, at(2))?;
        assert_eq!(webhooks::oldest(tx)?, Some(at(2)));
        Ok::<_, Error>(())
    })
    .await
    .unwrap();
}

weir_store::on_each_database!(
    a_hook_is_what_was_written_last,
    deliveries_wait_in_order_for_whoever_claims_their_hook,
    the_log_is_listed_by_status_and_forgotten,
);
