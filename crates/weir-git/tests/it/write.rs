//! Commits by actions, branches and tags.

use weir_git::{Action, Conflict, Error, NewCommit, ObjectId, RepoPath, Start, TagName};

use crate::{Place, ada, branch, change, create, git, path, update};

fn remove(at: &str) -> Action {
    Action::Delete { path: path(at), last_commit_id: None }
}

fn rename(from: &str, to: &str) -> Action {
    Action::Move { path: path(to), previous_path: path(from), content: None, last_commit_id: None }
}

fn chmod(at: &str) -> Action {
    Action::Chmod { path: path(at), executable: true }
}

#[tokio::test]
async fn every_action_leaves_the_files_that_it_says() {
    let base = [("a", "1"), ("dir/b", "2"), ("dir/c", "3")];
    for (actions, expected) in [
        (vec![create("x/y", "9")], "a=1 dir/b=2 dir/c=3 x/y=9"),
        (vec![update("a", "9")], "a=9 dir/b=2 dir/c=3"),
        (vec![remove("dir/b")], "a=1 dir/c=3"),
        (vec![rename("dir/b", "b")], "a=1 b=2 dir/c=3"),
        (vec![rename("a", "dir/a"), update("dir/a", "9")], "dir/a=9 dir/b=2 dir/c=3"),
        (vec![remove("a"), create("a", "9")], "a=9 dir/b=2 dir/c=3"),
        (vec![create("x", "8"), remove("x"), create("x", "9")], "a=1 dir/b=2 dir/c=3 x=9"),
        (vec![remove("a"), create("a/b", "9")], "a/b=9 dir/b=2 dir/c=3"),
        (vec![remove("dir/b"), remove("dir/c"), create("dir", "9")], "a=1 dir=9"),
        (vec![chmod("a")], "a=1* dir/b=2 dir/c=3"),
        (vec![chmod("a"), update("a", "9")], "a=9* dir/b=2 dir/c=3"),
        (vec![], "a=1 dir/b=2 dir/c=3"),
    ] {
        let (place, _) = Place::with(&base).await;
        let commit = place.repository.create_commit(&change("main", "x", actions.clone())).await.unwrap();
        let mut found = Vec::new();
        let mut paths = place.repository.paths(&commit.id).await.unwrap();
        paths.sort();
        for name in paths {
            let at = RepoPath::new(&*name).unwrap();
            let content = place.repository.file_content(&commit.id, &at, 100).await.unwrap().unwrap();
            let mark = if place.repository.file(&commit.id, &at).await.unwrap().unwrap().is_executable() {
                "*"
            } else {
                ""
            };
            found.push(format!("{name}={}{mark}", String::from_utf8(content).unwrap()));
        }
        assert_eq!(found.join(" "), expected, "{actions:?}");
        git(place.repository.path(), &["fsck", "--strict"]).await;
    }
}

#[tokio::test]
async fn impossible_actions_have_gitlabs_messages() {
    const EXISTS: &str = "A file with this name already exists";
    const DIRECTORY: &str = "A directory with this name already exists";
    const MISSING: &str = "A file with this name doesn't exist";
    let (place, first) = Place::with(&[("a", "1"), ("dir/b", "2")]).await;
    for (actions, message) in [
        (vec![create("a", "9")], EXISTS),
        (vec![create("a/b", "9")], EXISTS),
        (vec![create("dir", "9")], DIRECTORY),
        (vec![create("x/y", "9"), create("x", "9")], DIRECTORY),
        (vec![create("x", "9"), create("x", "9")], EXISTS),
        (vec![update("nope", "9")], MISSING),
        (vec![update("dir", "9")], MISSING),
        (vec![remove("nope")], MISSING),
        (vec![remove("a"), remove("a")], MISSING),
        (vec![rename("nope", "x")], MISSING),
        (vec![rename("a", "dir/b")], EXISTS),
        (vec![rename("a", "dir")], DIRECTORY),
        (vec![chmod("nope")], MISSING),
    ] {
        let refused = place.repository.create_commit(&change("main", "x", actions.clone())).await;
        assert_eq!(refused.unwrap_err().to_string(), message, "{actions:?}");
    }
    assert_eq!(place.head("main").await, Some(first.id));
}

#[tokio::test]
async fn a_commit_begins_a_branch_where_it_is_told() {
    let (place, first) = Place::with(&[("a", "1")]).await;
    let repository = &place.repository;
    let second = repository.create_commit(&change("main", "2", vec![update("a", "2")])).await.unwrap();
    let with = |on: &str, start: Option<Start>, force| NewCommit {
        start,
        force,
        ..change(on, "x", vec![update("a", "3")])
    };
    let main = || Some(Start::Branch(branch("main")));
    let parents =
        async |new: NewCommit| repository.create_commit(&new).await.map(|commit| commit.parents[0].clone());
    assert_eq!(parents(with("x", main(), false)).await.unwrap(), second.id);
    assert_eq!(parents(with("y", Some(Start::Commit(first.id.clone())), false)).await.unwrap(), first.id);
    assert_eq!(parents(with("main", main(), false)).await.unwrap(), second.id);
    let exists = parents(with("x", main(), false)).await.unwrap_err();
    assert_eq!(
        exists.to_string(),
        "A branch called 'x' already exists. Switch to that branch in order to make changes"
    );
    let head = place.head("main").await.unwrap();
    assert_eq!(parents(with("x", main(), true)).await.unwrap(), head);
    for new in [with("nope", None, false), with("z", Some(Start::Branch(branch("nope"))), false)] {
        let refused = parents(new).await.unwrap_err().to_string();
        assert_eq!(refused, "You can only create or edit files when you are on a branch");
    }
}

#[tokio::test]
async fn the_first_commit_begins_an_empty_repository() {
    let place = Place::empty().await;
    let commit = place.repository.initialize_with_readme("Project", &ada()).await.unwrap();
    assert!(commit.parents.is_empty());
    let readme = place.repository.file_content(&commit.id, &path("README.md"), 100).await.unwrap();
    assert_eq!(readme.as_deref(), Some(&b"# Project\n"[..]));
    assert!(!place.repository.is_empty().await.unwrap());
}

#[tokio::test]
async fn an_editor_with_an_old_view_is_told() {
    let (place, first) = Place::with(&[("a", "1"), ("b", "1")]).await;
    let seen = |at: &str| Action::Update {
        path: path(at),
        content: b"3".to_vec(),
        last_commit_id: Some(first.id.clone()),
    };
    place.repository.create_commit(&change("main", "2", vec![update("a", "2")])).await.unwrap();
    let refused = place.repository.create_commit(&change("main", "3", vec![seen("a")])).await.unwrap_err();
    assert_eq!(refused.to_string(), "The file has changed since you started editing it: a");
    place.repository.create_commit(&change("main", "3", vec![seen("b")])).await.unwrap();
}

#[tokio::test]
async fn of_commits_at_the_same_time_none_is_lost() {
    let (place, _) = Place::with(&[("a", "1")]).await;
    let tasks = (0..8).map(|number| {
        let repository = place.repository.clone();
        tokio::spawn(async move {
            let new = change("main", "x", vec![create(&format!("f{number}"), "x")]);
            match repository.create_commit(&new).await {
                Ok(_) => 1,
                Err(Error::Conflict(Conflict::RefMoved(name))) => {
                    assert_eq!(name, "refs/heads/main");
                    0
                }
                Err(error) => panic!("{error}"),
            }
        })
    });
    let mut made = 0;
    for task in tasks.collect::<Vec<_>>() {
        made += task.await.unwrap();
    }
    let head = place.head("main").await.unwrap();
    assert!(made > 0);
    assert_eq!(place.repository.paths(&head).await.unwrap().len(), made + 1);
    let left = git(place.repository.path(), &["for-each-ref", "refs/weir/"]).await;
    assert_eq!(left, "");
}

#[tokio::test]
async fn hostile_authors_and_messages_stay_inside_their_fields() {
    let (place, first) = Place::with(&[("a", "1")]).await;
    let mut new =
        change("main", "x\ndone\nD a\n\0reset refs/heads/evil\n", vec![create("b", "blob\ndone\n")]);
    new.author.name = "Eve\nfrom refs/heads/evil <x>".to_owned();
    new.author.email = String::new();
    let commit = place.repository.create_commit(&new).await.unwrap();
    assert_eq!(commit.parents, [first.id]);
    assert_eq!(commit.author.name, "Evefrom refs/heads/evil x");
    assert_eq!(commit.message.trim_end(), "x\ndone\nD a\nreset refs/heads/evil");
    assert_eq!(place.head("evil").await, None);
}

#[tokio::test]
async fn branches_and_tags_are_created_and_deleted() {
    let (place, first) = Place::with(&[("a", "1")]).await;
    let repository = &place.repository;
    let made = repository.create_branch(&branch("x"), "main").await.unwrap();
    assert_eq!(made.commit.id, first.id);
    let message = |error: Error| error.to_string();
    assert_eq!(
        repository.create_branch(&branch("x"), "main").await.map_err(message).unwrap_err(),
        "Branch already exists"
    );
    assert_eq!(
        repository.create_branch(&branch("y"), "--all").await.map_err(message).unwrap_err(),
        "Failed to create branch 'y': invalid reference name '--all'"
    );
    assert_eq!(
        repository.create_branch(&branch("x/y"), "main").await.map_err(message).unwrap_err(),
        "Failed to create branch 'x/y': Branch name conflicts with existing branch hierarchy."
    );
    assert_eq!(repository.delete_branch(&branch("x")).await.unwrap(), first.id);
    assert_eq!(
        repository.delete_branch(&branch("x")).await.map_err(message).unwrap_err(),
        "Branch not found"
    );
    let tag = TagName::new("v1").unwrap();
    repository.create_tag(&tag, "main", None).await.unwrap();
    assert_eq!(
        repository.create_tag(&tag, "main", None).await.map_err(message).unwrap_err(),
        "Tag v1 already exists"
    );
    let other = TagName::new("v2").unwrap();
    assert_eq!(
        repository.create_tag(&other, "nope", None).await.map_err(message).unwrap_err(),
        "Target nope is invalid"
    );
    assert_eq!(repository.delete_tag(&tag).await.unwrap(), first.id);
    assert_eq!(repository.delete_tag(&tag).await.map_err(message).unwrap_err(), "Tag not found");
}

#[tokio::test]
async fn too_many_actions_are_refused() {
    let (place, _) = Place::with(&[("a", "1")]).await;
    let new = change("main", "x", vec![update("a", "2"); weir_git::limits::MAX_ACTIONS + 1]);
    assert!(matches!(place.repository.create_commit(&new).await, Err(Error::TooLarge { .. })));
    let unknown = ObjectId::new("1".repeat(40)).unwrap();
    let new = NewCommit { start: Some(Start::Commit(unknown)), ..change("z", "x", vec![]) };
    assert!(matches!(place.repository.create_commit(&new).await, Err(Error::NotFound(_))));
}
