//! Merges without a work tree.

use weir_git::{NewMerge, RefName, Start};

use crate::{Place, ada, branch, change, create, git, update};

#[tokio::test]
async fn a_merge_commit_has_both_parents_and_the_changes_of_both() {
    let (place, _) = Place::with(&[("a", "1"), ("b", "1")]).await;
    let repository = &place.repository;
    let mut side = change("side", "Side", vec![update("b", "2")]);
    side.start = Some(Start::Branch(branch("main")));
    let side = repository.create_commit(&side).await.unwrap();
    let main = repository.create_commit(&change("main", "Main", vec![update("a", "2")])).await.unwrap();

    assert!(repository.merges_cleanly(&main.id, &side.id).await.unwrap());
    let new = NewMerge {
        into: main.id.clone(),
        commit: side.id.clone(),
        message: "Merge side\n\nBody".to_owned(),
        author: ada(),
    };
    let merged = repository.prepare_merge(&new).await.unwrap().unwrap();
    let commit = repository.commit(&merged).await.unwrap();
    assert_eq!(commit.parents, [main.id.clone(), side.id.clone()]);
    assert_eq!((commit.message.as_str(), commit.author), ("Merge side\n\nBody", ada()));
    repository.set_refs(&[(RefName::merge_request_merge(1), merged.clone())]).await.unwrap();
    let show = |path: &str| format!("{merged}:{path}");
    assert_eq!(git(repository.path(), &["show", &show("a")]).await, "2");
    assert_eq!(git(repository.path(), &["show", &show("b")]).await, "2");
    git(repository.path(), &["fsck", "--strict"]).await;

    let between = repository.commits_between(&main.id, &merged, 9).await.unwrap();
    let titles: Vec<_> = between.iter().map(|commit| commit.title().to_owned()).collect();
    assert_eq!(titles.len(), 2);
    assert!(titles.contains(&"Merge side".to_owned()) && titles.contains(&"Side".to_owned()));
}

#[tokio::test]
async fn a_conflict_makes_no_commit() {
    let (place, _) = Place::with(&[("a", "1")]).await;
    let repository = &place.repository;
    let mut side = change("side", "Side", vec![update("a", "2")]);
    side.start = Some(Start::Branch(branch("main")));
    let side = repository.create_commit(&side).await.unwrap();
    let main = repository.create_commit(&change("main", "Main", vec![update("a", "3")])).await.unwrap();
    assert!(!repository.merges_cleanly(&main.id, &side.id).await.unwrap());
    let new = NewMerge { into: main.id, commit: side.id, message: "x".to_owned(), author: ada() };
    assert_eq!(repository.prepare_merge(&new).await.unwrap(), None);
}

#[tokio::test]
async fn histories_without_a_common_commit_do_not_merge() {
    let (place, first) = Place::with(&[("a", "1")]).await;
    let (other, second) = Place::with(&[("b", "1")]).await;
    other.repository.create_commit(&change("main", "More", vec![create("c", "1")])).await.unwrap();
    place.repository.take(&second.id, &other.repository, &RefName::merge_request_head(1)).await.unwrap();
    assert!(!place.repository.merges_cleanly(&first.id, &second.id).await.unwrap());
}
