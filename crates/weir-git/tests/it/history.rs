//! Commits, their relations and differences.

use weir_api::Timestamp;
use weir_git::{Action, CommitFilter, Error, ObjectId, What};

use crate::{Place, ada, branch, change, create, path, update};

#[tokio::test]
async fn a_commit_tells_everything_about_itself() {
    let (place, first) = Place::with(&[("a", "1\n2\n")]).await;
    let message = "Change a\n\nBody\n\nSigned-off-by: Ada <ada@example.com>";
    let mut new = change("main", message, vec![update("a", "1\n3\n4\n")]);
    new.committer.name = "Committer".to_owned();
    new.committer.offset_minutes = -480;
    let commit = place.repository.create_commit(&new).await.unwrap();
    assert_eq!(commit, place.repository.commit(&commit.id).await.unwrap());
    assert_eq!(commit.parents, std::slice::from_ref(&first.id));
    assert_eq!((commit.title(), commit.message.trim_end()), ("Change a", message));
    assert_eq!(commit.trailers(), [("Signed-off-by".to_owned(), "Ada <ada@example.com>".to_owned())]);
    assert_eq!(commit.author, ada());
    assert_eq!(commit.committer.date().as_str(), "2023-11-14T14:13:20.000-08:00");
    let stats = place.repository.stats(&commit).await.unwrap();
    assert_eq!((stats.additions, stats.deletions, stats.total()), (2, 1, 3));
    let stats = place.repository.stats(&first).await.unwrap();
    assert_eq!((stats.additions, stats.deletions), (2, 0));
    let missing = place.repository.commit(&ObjectId::new("1".repeat(40)).unwrap()).await;
    assert!(matches!(missing, Err(Error::NotFound(What::Commit))));
}

#[tokio::test]
async fn a_push_is_told_by_its_new_commits_and_their_files() {
    let (place, first) = Place::with(&[("a", "1\n"), ("b", "2\n")]).await;
    let new = change("main", "Second", vec![update("a", "3\n"), create("c", "4\n")]);
    let second = place.repository.create_commit(&new).await.unwrap();
    let (new, total) = place.repository.new_commits(Some(&first.id), &second.id, 20).await.unwrap();
    assert_eq!((new, total), (vec![second.clone()], 1));
    let (newest, total) = place.repository.new_commits(None, &second.id, 1).await.unwrap();
    assert_eq!((newest.len(), total), (1, 2));
    let files = place.repository.changed_files(&second).await.unwrap();
    assert_eq!((files.added, files.modified), (vec!["c".to_owned()], vec!["a".to_owned()]));
    let files = place.repository.changed_files(&first).await.unwrap();
    assert_eq!((files.added.len(), files.modified.len(), files.removed.len()), (2, 0, 0));
}

#[tokio::test]
async fn history_is_listed_by_path_time_and_page() {
    let place = Place::empty().await;
    let mut last = None;
    for (number, file) in ["a", "b", "a", "c", "a"].into_iter().enumerate() {
        let action =
            if number < 2 || file == "c" { create(file, "0") } else { update(file, &number.to_string()) };
        let mut new = change("main", &number.to_string(), vec![action]);
        new.committer.seconds += i64::try_from(number).unwrap() * 100;
        last = Some(place.repository.create_commit(&new).await.unwrap().id);
    }
    let last = last.unwrap();
    let titles = async |filter: CommitFilter, page| {
        let commits = place.repository.commits(&last, &filter, page).await.unwrap();
        commits.iter().map(|commit| commit.title().to_owned()).collect::<String>()
    };
    let all = CommitFilter::default();
    assert_eq!(titles(all.clone(), 0..20).await, "43210");
    assert_eq!(titles(all.clone(), 1..3).await, "32");
    assert_eq!(place.repository.count_commits(&last, &all).await.unwrap(), 5);
    let of_a = CommitFilter { path: Some(path("a")), ..all.clone() };
    assert_eq!(titles(of_a.clone(), 0..20).await, "420");
    assert_eq!(place.repository.count_commits(&last, &of_a).await.unwrap(), 3);
    let at = |seconds: i64| Some(Timestamp::from_micros((ada().seconds + seconds) * 1_000_000));
    assert_eq!(titles(CommitFilter { since: at(100), until: at(300), ..all.clone() }, 0..20).await, "321");
    assert_eq!(titles(CommitFilter { all: true, ..all }, 0..20).await, "43210");
    let last_of_b = place.repository.last_commit_for_path(&last, &path("b")).await.unwrap().unwrap();
    assert_eq!(place.repository.commit(&last_of_b).await.unwrap().title(), "1");
    assert_eq!(place.repository.last_commit_for_path(&last, &path("nope")).await.unwrap(), None);
}

#[tokio::test]
async fn changed_paths_are_those_of_the_new_side() {
    let text = "a line that is long enough to be recognised again\n".repeat(5);
    let (place, first) =
        Place::with(&[("keep", "1"), ("old name", &text), ("gone", "2"), ("edit", "3")]).await;
    let actions = vec![
        Action::Move {
            path: path("new\nname"),
            previous_path: path("old name"),
            content: None,
            last_commit_id: None,
        },
        Action::Delete { path: path("gone"), last_commit_id: None },
        update("edit", "4"),
        create("dir/new", "5"),
    ];
    let second = place.repository.create_commit(&change("main", "2", actions)).await.unwrap();
    let mut changed = place.repository.changed_paths(&first.id, &second.id).await.unwrap().unwrap();
    changed.sort();
    assert_eq!(changed, ["dir/new", "edit", "gone", "new\nname"]);
    assert_eq!(place.repository.changed_paths(&second.id, &second.id).await.unwrap(), Some(vec![]));
}

#[tokio::test]
async fn a_new_branch_has_no_known_changes() {
    let (place, first) = Place::with(&[("a", "1")]).await;
    assert_eq!(place.repository.changed_paths(&ObjectId::zero(), &first.id).await.unwrap(), None);
}

#[tokio::test]
async fn ancestry_is_known() {
    let (place, first) = Place::with(&[("a", "1")]).await;
    let repository = &place.repository;
    repository.create_branch(&branch("side"), "main").await.unwrap();
    let ours = repository.create_commit(&change("main", "ours", vec![update("a", "2")])).await.unwrap().id;
    let theirs =
        repository.create_commit(&change("side", "theirs", vec![update("a", "3")])).await.unwrap().id;
    assert_eq!(repository.merge_base(&ours, &theirs).await.unwrap(), Some(first.id.clone()));
    assert!(repository.is_ancestor(&first.id, &ours).await.unwrap());
    assert!(repository.is_ancestor(&ours, &ours).await.unwrap());
    assert!(!repository.is_ancestor(&theirs, &ours).await.unwrap());
    let unknown = ObjectId::new("1".repeat(40)).unwrap();
    assert!(matches!(repository.is_ancestor(&unknown, &ours).await, Err(Error::Git { .. })));
}
