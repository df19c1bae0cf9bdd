//! Copies of a repository, and commits taken from one.

use weir_git::{BranchName, RefName, RefOrder, TagName};

use crate::{Place, branch, change, create, update};

#[tokio::test]
async fn a_fork_has_the_branches_and_tags_and_lives_on_its_own() {
    let (place, first) = Place::with(&[("a", "1")]).await;
    let parent = &place.repository;
    parent.create_branch(&branch("next"), "main").await.unwrap();
    parent.create_tag(&TagName::new("v1").unwrap(), "main", None).await.unwrap();
    parent.set_refs(&[(RefName::pipeline(1), first.id.clone())]).await.unwrap();
    parent.set_default_branch(&branch("next")).await.unwrap();

    let fork = place.repositories.repository(8);
    fork.create_fork(parent, None).await.unwrap();
    let names = |listing: weir_git::Listing<weir_git::Branch>| -> Vec<String> {
        listing.items.into_iter().map(|it| it.name.to_string()).collect()
    };
    assert_eq!(names(fork.branches(None, RefOrder::Name, 0..9).await.unwrap()), ["main", "next"]);
    assert_eq!(fork.default_branch().await.unwrap(), Some(branch("next")));
    assert!(fork.tag_exists(&TagName::new("v1").unwrap()).await.unwrap());
    assert_eq!(fork.read_ref(&RefName::pipeline(1)).await.unwrap(), None, "not the parent's own refs");

    let one = place.repositories.repository(9);
    let only: BranchName = branch("main");
    one.create_fork(parent, Some(&only)).await.unwrap();
    assert_eq!(names(one.branches(None, RefOrder::Name, 0..9).await.unwrap()), ["main"]);
    assert_eq!(one.default_branch().await.unwrap(), Some(only));

    parent.delete().await.unwrap();
    assert_eq!(fork.commit(&first.id).await.unwrap().id, first.id);
}

#[tokio::test]
async fn an_empty_repository_is_forked_too() {
    let place = Place::empty().await;
    let fork = place.repositories.repository(8);
    fork.create_fork(&place.repository, None).await.unwrap();
    assert!(fork.is_empty().await.unwrap());
}

#[tokio::test]
async fn a_commit_of_a_fork_is_taken_whole() {
    let (place, _) = Place::with(&[("a", "1")]).await;
    let fork = place.repositories.repository(8);
    fork.create_fork(&place.repository, None).await.unwrap();
    fork.create_commit(&change("main", "Second", vec![update("a", "2")])).await.unwrap();
    let third = fork.create_commit(&change("main", "Third", vec![create("b", "3")])).await.unwrap();
    // The branch has moved on: the commit is asked for by its name.
    fork.create_commit(&change("main", "Fourth", vec![create("c", "4")])).await.unwrap();
    let head = RefName::merge_request_head(1);
    place.repository.take(&third.id, &fork, &head).await.unwrap();
    assert_eq!(place.repository.read_ref(&head).await.unwrap(), Some(third.id.clone()));
    assert_eq!(place.repository.paths(&third.id).await.unwrap(), ["a", "b"]);
}
