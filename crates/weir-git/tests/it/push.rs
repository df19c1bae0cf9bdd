//! Pushes by real clients.

use std::path::PathBuf;

use futures_util::{StreamExt, TryStreamExt};
use weir_git::{Encoding, Error, ObjectId, TagName};

use crate::server::Server;
use crate::{Place, branch, git, processes, run, until_gone};

async fn cloned(server: impl FnOnce(Server) -> Server) -> (Place, Server, PathBuf) {
    let (place, _) = Place::with(&[("a.txt", "one\n")]).await;
    let server = server(Server::new(&place.repository));
    let url = server.start().await;
    git(place.folder.path(), &["clone", "-q", &url, "clone"]).await;
    let clone = place.path("clone");
    git(&clone, &["commit", "-q", "--allow-empty", "-m", "Second"]).await;
    (place, server, clone)
}

#[tokio::test]
async fn a_push_moves_the_branch_and_tells_what_changed() {
    let (place, server, clone) = cloned(|server| server).await;
    let before = place.head("main").await.unwrap();
    git(&clone, &["push", "-q", "origin", "main"]).await;
    let after = git(&clone, &["rev-parse", "HEAD"]).await;
    assert_eq!(place.head("main").await.unwrap().as_str(), after);
    let applied = server.seen().applied;
    assert_eq!(applied.len(), 1);
    assert_eq!((&applied[0].old, applied[0].new.as_str()), (&before, after.as_str()));
    assert_eq!(applied[0].name.as_str(), "refs/heads/main");
}

#[tokio::test]
async fn branches_and_tags_come_and_go() {
    let (place, server, clone) = cloned(|server| server).await;
    git(&clone, &["tag", "light"]).await;
    git(&clone, &["tag", "-m", "Annotated", "heavy"]).await;
    git(&clone, &["push", "-q", "--atomic", "origin", "main:feature/x", "light", "heavy"]).await;
    let heavy = place.repository.tag(&TagName::new("heavy").unwrap()).await.unwrap();
    assert_eq!(heavy.annotation.unwrap().message, "Annotated");
    assert!(place.head("feature/x").await.is_some());
    assert_eq!(server.seen().applied.len(), 3);
    git(&clone, &["push", "-q", "origin", ":feature/x", ":light", ":main"]).await;
    assert_eq!(place.head("feature/x").await, None);
    assert_eq!(place.head("main").await, None);
    assert!(server.seen().applied[3..].iter().all(|update| update.new.is_zero()));
}

#[tokio::test]
async fn push_options_reach_the_caller() {
    let (_place, server, clone) = cloned(|server| server).await;
    git(&clone, &["push", "-q", "-o", "ci.skip", "-o", "ci.variable=A=b c", "origin", "main"]).await;
    assert_eq!(server.seen().options, ["ci.skip", "ci.variable=A=b c"]);
}

#[tokio::test]
async fn a_rejected_push_says_why_and_changes_nothing() {
    let (place, server, clone) =
        cloned(|server| server.rejecting("You are not allowed to push code to this project.")).await;
    let before = place.head("main").await;
    for args in [&["push", "origin", "main"][..], &["push", "--atomic", "origin", "main", "main:other"]] {
        let output = run(&clone, args).await;
        assert!(!output.status.success());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("remote: GitLab: You are not allowed to push code to this project."), "{said}");
        assert!(said.contains("! [remote rejected] main -> main (pre-receive hook declined)"), "{said}");
    }
    assert_eq!(place.head("main").await, before);
    assert_eq!(server.seen().applied, []);
}

#[tokio::test]
async fn a_forced_push_can_be_denied() {
    let (place, server, clone) = cloned(Server::denying_non_fast_forwards).await;
    let before = place.head("main").await;
    git(&clone, &["commit", "-q", "--amend", "--allow-empty", "-m", "Other"]).await;
    git(&clone, &["checkout", "-q", "--orphan", "fresh"]).await;
    git(&clone, &["commit", "-q", "-m", "Unrelated"]).await;
    let output = run(&clone, &["push", "-f", "origin", "fresh:main", "fresh:new"]).await;
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("non-fast-forward"));
    assert_eq!(place.head("main").await, before);
    // What took effect is told, what did not is not.
    let names: Vec<_> = server.seen().applied.iter().map(|update| update.name.to_string()).collect();
    assert_eq!(names, ["refs/heads/new"]);
}

#[tokio::test]
async fn a_forced_push_is_allowed_otherwise() {
    let (place, _, clone) = cloned(|server| server).await;
    git(&clone, &["checkout", "-q", "--orphan", "fresh"]).await;
    git(&clone, &["commit", "-q", "-m", "Unrelated"]).await;
    git(&clone, &["push", "-q", "-f", "origin", "fresh:main"]).await;
    assert_eq!(place.head("main").await.unwrap().as_str(), git(&clone, &["rev-parse", "HEAD"]).await);
}

#[tokio::test]
async fn a_big_push_comes_in_pieces() {
    let (place, _, clone) = cloned(|server| server).await;
    let noise: Vec<u8> =
        (0..3_000_000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    std::fs::write(clone.join("big.bin"), noise).unwrap();
    git(&clone, &["add", "big.bin"]).await;
    git(&clone, &["commit", "-q", "-m", "Big"]).await;
    git(&clone, &["-c", "http.postBuffer=65536", "push", "-q", "origin", "main"]).await;
    assert_eq!(place.head("main").await.unwrap().as_str(), git(&clone, &["rev-parse", "HEAD"]).await);
}

#[tokio::test]
async fn a_rejected_big_push_is_read_to_its_end() {
    let (place, _, clone) = cloned(|server| server.rejecting("No.")).await;
    std::fs::write(clone.join("big.bin"), vec![7u8; 3_000_000]).unwrap();
    git(&clone, &["add", "big.bin"]).await;
    git(&clone, &["commit", "-q", "-m", "Big"]).await;
    let output =
        run(&clone, &["-c", "http.postBuffer=65536", "-c", "core.compression=0", "push", "origin", "main"])
            .await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("remote: GitLab: No."), "{said}");
    assert_ne!(place.head("main").await.unwrap().as_str(), git(&clone, &["rev-parse", "HEAD"]).await);
}

#[tokio::test]
async fn hidden_references_cannot_be_pushed() {
    let (_place, server, clone) = cloned(|server| server).await;
    let output = run(&clone, &["push", "origin", "main:refs/pipelines/1"]).await;
    assert!(!output.status.success());
    assert_eq!(server.seen().applied, []);
}

#[tokio::test]
async fn hooks_in_the_repository_do_not_run() {
    use std::os::unix::fs::PermissionsExt as _;
    let (place, _, clone) = cloned(|server| server).await;
    let hooks = place.repository.path().join("hooks");
    std::fs::create_dir_all(&hooks).unwrap();
    let hook = hooks.join("pre-receive");
    std::fs::write(&hook, "#!/bin/sh\nexit 1\n").unwrap();
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).unwrap();
    git(&clone, &["push", "-q", "origin", "main"]).await;
}

fn body(text: String) -> impl futures_util::Stream<Item = std::io::Result<bytes::Bytes>> + Send + 'static {
    futures_util::stream::iter([Ok(bytes::Bytes::from(text))])
}

#[tokio::test]
async fn what_is_no_push_is_refused_before_anything_runs() {
    let place = Place::empty().await;
    let option = format!("{} {} --upload-pack=x\0report-status", ObjectId::zero(), "1".repeat(40));
    let option = format!("{:04x}{option}0000", option.len() + 4);
    for text in ["", "zzzz", "0001", "0010abc", &option] {
        let refused = place.repository.receive_pack(body(text.to_owned()), Encoding::Identity).await;
        assert!(matches!(refused, Err(Error::Protocol(_) | Error::InvalidName(_))), "{text:?}");
    }
}

#[tokio::test]
async fn an_endless_list_of_commands_is_refused() {
    let place = Place::empty().await;
    let command = format!("{} {} refs/heads/a", ObjectId::zero(), "1".repeat(40));
    let command = format!("{:04x}{command}", command.len() + 4);
    let endless = futures_util::stream::repeat_with(move || Ok(bytes::Bytes::from(command.repeat(100))));
    let refused = place.repository.receive_pack(endless, Encoding::Identity).await;
    assert!(matches!(refused, Err(Error::TooLarge { .. })));
}

#[tokio::test]
async fn a_client_that_leaves_after_its_pack_has_pushed() {
    let (place, first) = Place::with(&[("a", "1")]).await;
    place.repository.create_branch(&branch("gone"), "main").await.unwrap();
    // A deletion needs no pack.
    let command = format!("{} {} refs/heads/gone\0report-status delete-refs", first.id, ObjectId::zero());
    let push = body(format!("{:04x}{command}0000", command.len() + 4));
    let push = place.repository.receive_pack(push, Encoding::Identity).await.unwrap();
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let (go_on, may_go_on) = tokio::sync::oneshot::channel();
    let (done, is_done) = tokio::sync::oneshot::channel();
    let answer = push.run(async move |applied| {
        begun.send(()).unwrap();
        may_go_on.await.unwrap();
        done.send(applied).unwrap();
    });
    has_begun.await.unwrap();
    drop(answer);
    go_on.send(()).unwrap();
    assert_eq!(is_done.await.unwrap()[0].name.as_str(), "refs/heads/gone");
    assert_eq!(place.head("gone").await, None);
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_its_pack_has_not() {
    let (place, first) = Place::with(&[("a", "1")]).await;
    let command = format!("{} {} refs/heads/main\0report-status", first.id, "1".repeat(40));
    let head = format!("{:04x}{command}0000PACK", command.len() + 4);
    let endless = body(head).chain(futures_util::stream::pending());
    let push = place.repository.receive_pack(endless, Encoding::Identity).await.unwrap();
    let answer = push.run(async |_| panic!("nothing was pushed")).unwrap();
    let needle = format!("receive-pack\0--stateless-rpc\0{}", place.repository.path().display());
    assert_eq!(processes(&needle), 1);
    drop(answer);
    until_gone(&needle).await;
    assert_eq!(place.head("main").await, Some(first.id));
}

#[tokio::test]
async fn success_is_told_only_after_it_was_written_down() {
    use futures_util::FutureExt as _;
    let (place, first) = Place::with(&[("a", "1")]).await;
    place.repository.create_branch(&branch("gone"), "main").await.unwrap();
    let command = format!("{} {} refs/heads/gone\0report-status delete-refs", first.id, ObjectId::zero());
    let push = body(format!("{:04x}{command}0000", command.len() + 4));
    let push = place.repository.receive_pack(push, Encoding::Identity).await.unwrap();
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let (go_on, may_go_on) = tokio::sync::oneshot::channel::<()>();
    let mut answer = push
        .run(async move |_| {
            begun.send(()).unwrap();
            may_go_on.await.unwrap();
        })
        .unwrap();
    has_begun.await.unwrap();
    assert!(answer.next().now_or_never().is_none(), "the client was told too early");
    go_on.send(()).unwrap();
    let told: Vec<_> = answer.try_collect().await.unwrap();
    assert!(String::from_utf8(told.concat()).unwrap().contains("ok refs/heads/gone"));
}
