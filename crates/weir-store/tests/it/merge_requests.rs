//! Merge requests and the approvals of their commits.

use weir_api::id::ProjectId;
use weir_api::{AccessLevel, MergeRequestState, MergeStatus};
use weir_store::merge_requests::{self, Filter, NewMergeRequest, OrderBy};
use weir_store::{Db, Error, Page, Result, Sort, Tx, projects};

use crate::world::{at, project, user};

fn new(target: ProjectId, source: ProjectId, author: weir_api::id::UserId, branch: &str) -> NewMergeRequest {
    NewMergeRequest {
        target_project_id: target,
        source_project_id: source,
        source_branch: branch.to_owned(),
        target_branch: "main".to_owned(),
        title: format!("Bring {branch}"),
        description: None,
        author_id: author,
        assignee_id: None,
        labels: vec!["a b".to_owned(), "c".to_owned()],
        sha: "1".repeat(40),
        base_sha: Some("0".repeat(40)),
        remove_source_branch: false,
    }
}

/// A parent, its fork, and merge requests 1 (of the parent) and 2 (of the fork) in the parent, 1 in the fork.
fn world(tx: &mut Tx<'_>) -> Result<(ProjectId, ProjectId, Vec<merge_requests::MergeRequest>)> {
    let (parent, fork) = (project(tx, "parent")?, project(tx, "fork")?);
    projects::set_forked_from(tx, fork.id, Some(parent.id))?;
    let author = parent.creator_id.ok_or(Error::NoRow)?;
    let made = [
        new(parent.id, parent.id, author, "own"),
        new(parent.id, fork.id, author, "foreign"),
        new(fork.id, fork.id, author, "own"),
    ];
    let made = (0..).zip(&made).map(|(second, new)| merge_requests::insert(tx, new, at(second)));
    Ok((parent.id, fork.id, made.collect::<Result<_>>()?))
}

async fn each_project_numbers_its_own(db: Db) {
    let (_, fork, made) = db.write(world).await.unwrap();
    assert_eq!(made.iter().map(|it| it.iid).collect::<Vec<_>>(), [1, 2, 1]);
    assert_eq!(
        made.iter().map(merge_requests::MergeRequest::is_for_fork).collect::<Vec<_>>(),
        [false, true, false]
    );
    assert_eq!((made[0].state, made[0].merge_status), (MergeRequestState::Opened, MergeStatus::Unchecked));
    assert_eq!(made[0].labels, ["a b", "c"]);
    assert!(made[0].diff_id > 0 && made[1].diff_id > made[0].diff_id);
    let found = db.read(move |tx| merge_requests::find_by_iid(tx, fork, 1)).await.unwrap();
    assert_eq!(found.as_ref(), Some(&made[2]));
}

async fn lists_are_filtered_and_ordered(db: Db) {
    let (parent, fork, _) = db.write(world).await.unwrap();
    let stranger = db.write(|tx| user(tx, "stranger")).await.unwrap().id;
    let author = db.read(move |tx| projects::find(tx, parent)).await.unwrap().unwrap().creator_id;
    for (filter, expected) in [
        (Filter::default(), vec![1, 2, 1]),
        (Filter { target_project_id: Some(parent), ..Filter::default() }, vec![2, 1]),
        (Filter { source_project_id: Some(fork), sort: Sort::Asc, ..Filter::default() }, vec![2, 1]),
        (Filter { iids: vec![2], ..Filter::default() }, vec![2]),
        (Filter { source_branch: Some("own".to_owned()), ..Filter::default() }, vec![1, 1]),
        (Filter { target_branch: Some("own".to_owned()), ..Filter::default() }, vec![]),
        (Filter { search: Some("FOREIGN".to_owned()), ..Filter::default() }, vec![2]),
        (Filter { author_id: author, order_by: OrderBy::Title, ..Filter::default() }, vec![1, 1, 2]),
        (Filter { assignee_id: author, ..Filter::default() }, vec![]),
        (Filter { state: Some(MergeRequestState::Merged), ..Filter::default() }, vec![]),
        (Filter { visible_to: author, ..Filter::default() }, vec![2, 1]),
        (Filter { visible_to: Some(stranger), ..Filter::default() }, vec![]),
        (Filter { public_only: true, ..Filter::default() }, vec![]),
    ] {
        let told = format!("{filter:?}");
        let (listed, count) = db
            .read(move |tx| {
                let listed = merge_requests::list(tx, &filter, Page::first(9))?;
                Ok::<_, Error>((listed, merge_requests::count(tx, &filter)?))
            })
            .await
            .unwrap();
        let mut iids: Vec<_> = listed.iter().map(|it| it.iid).collect();
        let mut expected = expected;
        if told.contains("order_by: Title") {
            // Equal titles are ordered by id.
            iids.sort_unstable();
            expected.sort_unstable();
        }
        assert_eq!(iids, expected, "{told}");
        assert_eq!(usize::try_from(count).unwrap(), iids.len(), "{told}");
    }
}

async fn a_new_head_is_a_new_diff_that_nobody_has_checked(db: Db) {
    let (_, _, made) = db.write(world).await.unwrap();
    let id = made[1].id;
    let head = "2".repeat(40);
    db.write(move |tx| {
        merge_requests::set_merge_status(tx, id, MergeStatus::CanBeMerged)?;
        merge_requests::set_head(tx, id, &head, None, at(9))
    })
    .await
    .unwrap();
    let now = db.read(move |tx| merge_requests::find(tx, id)).await.unwrap().unwrap();
    assert_eq!((now.sha.as_str(), now.base_sha), ("2".repeat(40).as_str(), None));
    assert_eq!((now.merge_status, now.updated_at), (MergeStatus::Unchecked, at(9)));
    assert!(now.diff_id > made[2].diff_id);
}

async fn an_approval_is_of_one_commit_of_one_merge_request(db: Db) {
    let (_, _, made) = db.write(world).await.unwrap();
    let (one, other) = (made[1].id, made[0].id);
    let maintainer = db.write(|tx| user(tx, "maintainer")).await.unwrap().id;
    let sha = "1".repeat(40);
    db.write({
        let sha = sha.clone();
        move |tx| {
            merge_requests::approve(tx, one, &sha, maintainer, AccessLevel::Developer, at(1))?;
            merge_requests::approve(tx, one, &sha, maintainer, AccessLevel::Maintainer, at(2))
        }
    })
    .await
    .unwrap();
    let of = |id, sha: &str| {
        let (db, sha) = (db.clone(), sha.to_owned());
        async move { db.read(move |tx| merge_requests::approvals(tx, id, &sha)).await.unwrap() }
    };
    let approvals = of(one, &sha).await;
    assert_eq!(approvals.len(), 1);
    assert_eq!((approvals[0].user_id, approvals[0].access_level), (maintainer, AccessLevel::Maintainer));
    assert_eq!(approvals[0].created_at, at(2));
    assert_eq!(of(one, &"2".repeat(40)).await, []);
    assert_eq!(of(other, &sha).await, []);
}

async fn a_fork_outlives_its_parent_and_its_merge_requests_their_source(db: Db) {
    let (parent, fork, made) = db.write(world).await.unwrap();
    let forks = db.read(move |tx| projects::count_forks(tx, &[parent, fork])).await.unwrap();
    assert_eq!(forks, [(parent, 1)]);
    db.write(move |tx| projects::delete(tx, fork, at(9))).await.unwrap();
    let left = made[1].id;
    let left = db.read(move |tx| merge_requests::find(tx, left)).await.unwrap().unwrap();
    assert_eq!(left.source_project_id, None);
    assert!(left.is_for_fork(), "its commits are still another's");
    let gone = made[2].id;
    assert_eq!(db.read(move |tx| merge_requests::find(tx, gone)).await.unwrap(), None);
}

weir_store::on_each_database!(
    each_project_numbers_its_own,
    lists_are_filtered_and_ordered,
    a_new_head_is_a_new_diff_that_nobody_has_checked,
    an_approval_is_of_one_commit_of_one_merge_request,
    a_fork_outlives_its_parent_and_its_merge_requests_their_source,
);
