//! Users, tokens, namespaces, projects and members.

use weir_api::{AccessLevel, TokenScope, UserState, Visibility};
use weir_store::members::{self, Source};
use weir_store::projects::{self, Filter};
use weir_store::tokens::{self, NewToken};
use weir_store::{
    Db, Error, Page, Result, TokenDigest, groups, namespaces, protected_refs, pushes, settings, users,
    web_sessions,
};

use crate::world::{at, group, project, project_in, user};

async fn names_of_users_are_unique_whatever_the_case(db: Db) {
    db.write(|tx| user(tx, "Root")).await.unwrap();
    let second: Result<_> = db.write(|tx| user(tx, "root")).await;
    assert!(matches!(second, Err(Error::Conflict { .. })), "{second:?}");
    let found = db.read(|tx| users::find_by_username(tx, "ROOT")).await.unwrap().unwrap();
    assert_eq!((found.id.0, found.username.as_str(), found.state), (1, "Root", UserState::Active));
    let search = users::Filter { search: Some("OO".to_owned()), ..users::Filter::default() };
    let (listed, count) = db
        .read(move |tx| {
            Ok::<_, Error>((users::list(tx, &search, Page::first(9))?, users::count(tx, &search)?))
        })
        .await
        .unwrap();
    assert_eq!((listed.len(), count), (1, 1));
}

async fn a_token_is_found_with_its_user_by_its_digest(db: Db) {
    let digest = TokenDigest::of("glpat-secret");
    db.write(move |tx| {
        let user = user(tx, "dev")?;
        let new = NewToken {
            user_id: user.id,
            name: "ci".to_owned(),
            description: None,
            digest,
            scopes: vec![TokenScope::Api, TokenScope::ReadUser],
            expires_on: Some(at(0).plus_secs(86_400).date()),
        };
        tokens::insert(tx, &new, at(0))
    })
    .await
    .unwrap();
    let find = move |db: Db| async move {
        db.read(move |tx| tokens::find_by_digest(tx, &digest)).await.unwrap().unwrap()
    };
    let (token, user) = find(db.clone()).await;
    assert_eq!((token.name.as_str(), user.username.as_str()), ("ci", "dev"));
    assert_eq!(token.scopes, [TokenScope::Api, TokenScope::ReadUser]);
    assert!(token.is_active(at(0)) && !token.is_active(at(86_400)));
    let nobody = TokenDigest::of("glpat-other");
    assert!(db.read(move |tx| tokens::find_by_digest(tx, &nobody)).await.unwrap().is_none());

    db.write(move |tx| {
        tokens::used(tx, token.id, at(1))?;
        tokens::used(tx, token.id, at(2))
    })
    .await
    .unwrap();
    let (used, _) = find(db.clone()).await;
    assert_eq!(used.last_used_at, Some(at(1)), "uses in quick succession are written once");
    assert!(!tokens::use_is_due(&used, at(2)) && tokens::use_is_due(&used, at(700)));

    assert!(db.write(move |tx| tokens::revoke(tx, used.id)).await.unwrap());
    assert!(!find(db.clone()).await.0.is_active(at(0)));
    for (active, expected) in [(true, 0), (false, 1)] {
        let filter = tokens::Filter { active: Some((active, at(0))), ..tokens::Filter::default() };
        assert_eq!(db.read(move |tx| tokens::count(tx, &filter)).await.unwrap(), expected);
    }
}

async fn a_web_session_lasts_until_it_expires_or_is_deleted(db: Db) {
    let token = TokenDigest::of("glpat-secret");
    let [short, long] = ["short", "long"].map(TokenDigest::of);
    db.write(move |tx| {
        let user = user(tx, "dev")?;
        let new = NewToken {
            user_id: user.id,
            name: "web".to_owned(),
            description: None,
            digest: token,
            scopes: vec![TokenScope::ReadApi],
            expires_on: None,
        };
        let token = tokens::insert(tx, &new, at(0))?;
        web_sessions::insert(tx, &short, token.id, at(0), at(10))?;
        web_sessions::insert(tx, &long, token.id, at(0), at(20))
    })
    .await
    .unwrap();
    let found = |session: TokenDigest, secs: i64| {
        let db = db.clone();
        async move {
            let found = db.read(move |tx| tokens::find_by_session(tx, &session, at(secs))).await.unwrap();
            found.map(|(token, user)| (token.name, user.username))
        }
    };
    let dev = Some(("web".to_owned(), "dev".to_owned()));
    assert_eq!(found(short, 9).await, dev);
    assert_eq!(found(short, 10).await, None, "expired");
    assert_eq!(found(token, 0).await, None, "a token is no session");
    assert_eq!(db.write(|tx| web_sessions::delete_expired(tx, at(10))).await.unwrap(), 1);
    assert_eq!(found(short, 0).await, None, "gone");
    assert_eq!(found(long, 10).await, dev);
    assert!(db.write(move |tx| web_sessions::delete(tx, &long)).await.unwrap());
    assert!(!db.write(move |tx| web_sessions::delete(tx, &long)).await.unwrap());
    assert_eq!(found(long, 10).await, None);
}

async fn groups_and_projects_share_one_name_space_of_paths(db: Db) {
    db.write(|tx| {
        let dev = user(tx, "dev")?;
        let top = group(tx, &dev, None, "Top")?;
        let sub = group(tx, &dev, Some(&top), "sub")?;
        project_in(tx, &sub, &dev, "App")
    })
    .await
    .unwrap();
    let found = db.read(|tx| projects::find_by_path(tx, "top/SUB/app")).await.unwrap().unwrap();
    assert_eq!(found.full_path, "Top/sub/App");
    let sub = db.read(|tx| groups::find_by_path(tx, "top/sub")).await.unwrap().unwrap();
    assert_eq!(sub.full_name, "TOP / SUB");
    let above = db.read(move |tx| namespaces::ancestors(tx, sub.id)).await.unwrap();
    assert_eq!(above.iter().map(|above| above.path.as_str()).collect::<Vec<_>>(), ["Top", "sub"]);

    let taken: Result<_> = db
        .write(|tx| {
            let dev = users::find_by_username(tx, "dev")?.unwrap();
            let sub = groups::find_by_path(tx, "top/sub")?;
            group(tx, &dev, sub.as_ref(), "app")
        })
        .await;
    assert!(namespaces::is_path_taken(&taken.unwrap_err()));
}

async fn a_renamed_group_moves_all_below_it(db: Db) {
    db.write(|tx| {
        let dev = user(tx, "dev")?;
        let top = group(tx, &dev, None, "top")?;
        let sub = group(tx, &dev, Some(&top), "sub")?;
        project_in(tx, &sub, &dev, "app")?;
        groups::rename(tx, &top, "New", "new", at(1))
    })
    .await
    .unwrap();
    let found = db.read(|tx| projects::find_by_path(tx, "new/sub/app")).await.unwrap().unwrap();
    assert_eq!(found.full_path, "new/sub/app");
    assert!(db.read(|tx| projects::find_by_path(tx, "top/sub/app")).await.unwrap().is_none());
    let sub = db.read(|tx| groups::find_by_path(tx, "new/sub")).await.unwrap().unwrap();
    assert_eq!((sub.full_name.as_str(), sub.full_path.as_str()), ("New / SUB", "new/sub"));
}

async fn the_highest_membership_counts(db: Db) {
    let (app, dev, guest) = db
        .write(|tx| {
            let (dev, guest) = (user(tx, "dev")?, user(tx, "guest")?);
            let top = group(tx, &dev, None, "top")?;
            let sub = group(tx, &dev, Some(&top), "sub")?;
            let app = project_in(tx, &sub, &dev, "app")?;
            Ok::<_, Error>((app, dev, guest))
        })
        .await
        .unwrap();
    let level = |user: &users::User| {
        let (project, user) = (Source::Project(app.id), user.id);
        let db = db.clone();
        async move { db.read(move |tx| members::access_level(tx, project, user, at(0))).await.unwrap() }
    };
    assert_eq!(level(&dev).await, AccessLevel::Owner, "inherited from the group that dev made");
    assert_eq!(level(&guest).await, AccessLevel::NoAccess);

    let (project, group, user) = (Source::Project(app.id), Source::Group(app.namespace_id), guest.id);
    db.write(move |tx| {
        members::insert(tx, project, user, AccessLevel::Guest, None, None, at(0))?;
        members::insert(tx, group, user, AccessLevel::Developer, None, None, at(0))
    })
    .await
    .unwrap();
    assert_eq!(level(&guest).await, AccessLevel::Developer);
    let both = db.read(move |tx| members::direct_and_group_level(tx, app.id, user, at(0))).await.unwrap();
    assert_eq!(both, (Some(AccessLevel::Guest), Some(AccessLevel::Developer)));
    let all = members::Filter { inherited: true, ..members::Filter::default() };
    let listed = db.read(move |tx| members::list(tx, project, &all, Page::first(9))).await.unwrap();
    let listed: Vec<_> =
        listed.iter().map(|member| (member.user.username.as_str(), member.access_level)).collect();
    assert_eq!(listed, [("dev", AccessLevel::Owner), ("guest", AccessLevel::Developer)]);

    let today = at(0).date();
    db.write(move |tx| members::update(tx, group, user, AccessLevel::Developer, Some(&today))).await.unwrap();
    assert_eq!(level(&guest).await, AccessLevel::Guest, "an expired membership does not count");
}

async fn everyone_owns_the_own_namespace(db: Db) {
    let app = db.write(|tx| project(tx, "dev")).await.unwrap();
    let (source, user) = (Source::Project(app.id), app.creator_id.unwrap());
    let level = db.read(move |tx| members::access_level(tx, source, user, at(0))).await.unwrap();
    assert_eq!(level, AccessLevel::Owner);
}

async fn projects_are_listed_for_who_sees_them(db: Db) {
    let (dev, other) = db
        .write(|tx| {
            let app = project(tx, "dev")?;
            let mut open = project(tx, "open")?;
            open.visibility = Visibility::Public;
            projects::update(tx, &open, at(1))?;
            Ok::<_, Error>((app.creator_id.unwrap(), user(tx, "other")?.id))
        })
        .await
        .unwrap();
    let every = Filter::default();
    for (filter, expected) in [
        (every.clone(), vec!["open/project", "dev/project"]),
        (Filter { visible_to: Some(dev), ..every.clone() }, vec!["open/project", "dev/project"]),
        (Filter { visible_to: Some(other), ..every.clone() }, vec!["open/project"]),
        (Filter { public_only: true, ..every.clone() }, vec!["open/project"]),
        (Filter { member: Some((dev, AccessLevel::Owner)), ..every.clone() }, vec!["dev/project"]),
        (Filter { search: Some("DEV/".to_owned()), ..every.clone() }, vec!["dev/project"]),
    ] {
        let name = format!("{filter:?}");
        let (listed, count) = db
            .read(move |tx| {
                Ok::<_, Error>((projects::list(tx, &filter, Page::first(9))?, projects::count(tx, &filter)?))
            })
            .await
            .unwrap();
        let paths: Vec<_> = listed.iter().map(|project| project.full_path.as_str()).collect();
        assert_eq!(paths, expected, "{name}");
        assert_eq!(count, i64::try_from(expected.len()).unwrap(), "{name}");
    }
}

async fn settings_that_a_project_lacks_have_their_defaults(db: Db) {
    let app = db
        .write(|tx| {
            let app = project(tx, "dev")?;
            tx.execute(
                "UPDATE projects SET settings = '{\"build_timeout\":60}' WHERE id = $1",
                weir_store::params![app.id],
            )?;
            projects::find(tx, app.id)
        })
        .await
        .unwrap()
        .unwrap();
    assert_eq!((app.settings.build_timeout, app.settings.ci_default_git_depth), (60, Some(20)));
}

async fn refs_are_protected_once(db: Db) {
    let app = db.write(|tx| project(tx, "dev")).await.unwrap();
    let branch = protected_refs::ProtectedBranch {
        id: 0,
        name: "release/*".to_owned(),
        push_access_level: AccessLevel::Maintainer,
        merge_access_level: AccessLevel::Developer,
        allow_force_push: false,
    };
    let again = branch.clone();
    let stored = db.write(move |tx| protected_refs::insert_branch(tx, app.id, &branch)).await.unwrap();
    let second = db.write(move |tx| protected_refs::insert_branch(tx, app.id, &again)).await;
    assert!(matches!(second, Err(Error::Conflict { .. })));
    assert_eq!(db.read(move |tx| protected_refs::branches(tx, app.id)).await.unwrap(), [stored]);
    assert!(db.write(move |tx| protected_refs::delete_branch(tx, app.id, "release/*")).await.unwrap());
}

async fn a_push_stays_until_it_is_done(db: Db) {
    let id = db
        .write(|tx| {
            let app = project(tx, "dev")?;
            let new = pushes::NewPush {
                project_id: app.id,
                user_id: app.creator_id.unwrap(),
                ref_name: "refs/heads/main".to_owned(),
                before_sha: "0".repeat(40),
                after_sha: "b".repeat(40),
                options: vec!["ci.skip".to_owned()],
            };
            pushes::insert(tx, &new, at(0), at(60))
        })
        .await
        .unwrap();
    let take = |now| {
        let db = db.clone();
        async move { db.write(move |tx| pushes::take_due(tx, at(now), at(now + 60), 9)).await.unwrap() }
    };
    assert!(take(0).await.is_empty(), "whoever recorded it is at it");
    let taken = take(61).await;
    assert_eq!((taken.len(), taken[0].options.as_slice()), (1, ["ci.skip".to_owned()].as_slice()));
    assert!(take(62).await.is_empty(), "someone is at it");
    assert!(db.write(move |tx| pushes::done(tx, id)).await.unwrap());
    assert!(
        !db.write(move |tx| pushes::done(tx, id)).await.unwrap(),
        "a second pipeline would be one too many"
    );
    assert!(take(999).await.is_empty());
}

async fn a_setting_is_made_once(db: Db) {
    let first = db.write(|tx| settings::get_or_set(tx, "uuid", "1")).await.unwrap();
    let second = db.write(|tx| settings::get_or_set(tx, "uuid", "2")).await.unwrap();
    assert_eq!((first.as_str(), second.as_str()), ("1", "1"));
    db.write(|tx| settings::set(tx, "uuid", "3")).await.unwrap();
    assert_eq!(db.read(|tx| settings::get(tx, "uuid")).await.unwrap().as_deref(), Some("3"));
}

weir_store::on_each_database!(
    names_of_users_are_unique_whatever_the_case,
    a_token_is_found_with_its_user_by_its_digest,
    a_web_session_lasts_until_it_expires_or_is_deleted,
    groups_and_projects_share_one_name_space_of_paths,
    a_renamed_group_moves_all_below_it,
    the_highest_membership_counts,
    everyone_owns_the_own_namespace,
    projects_are_listed_for_who_sees_them,
    settings_that_a_project_lacks_have_their_defaults,
    refs_are_protected_once,
    a_push_stays_until_it_is_done,
    a_setting_is_made_once,
);
