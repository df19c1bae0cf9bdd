//! Clone and fetch by real clients.

use weir_git::{ObjectId, Protocol, RefName, Service};

use crate::server::Server;
use crate::{Place, change, create, git, processes, run, until_gone, update};

async fn with_history() -> (Place, Server, String) {
    let (place, _) = Place::with(&[("a.txt", "one\n"), ("dir/b.txt", "two\n")]).await;
    for text in ["2\n", "3\n"] {
        place.repository.create_commit(&change("main", text, vec![update("a.txt", text)])).await.unwrap();
    }
    let server = Server::new(&place.repository);
    let url = server.start().await;
    (place, server, url)
}

#[tokio::test]
async fn a_clone_has_history_and_files_in_every_protocol_version() {
    let (place, server, url) = with_history().await;
    for version in ["0", "1", "2"] {
        let name = format!("clone{version}");
        let setting = format!("protocol.version={version}");
        git(place.folder.path(), &["-c", &setting, "clone", "-q", &url, &name]).await;
        let clone = place.path(&name);
        assert_eq!(git(&clone, &["rev-list", "--count", "HEAD"]).await, "3");
        assert_eq!(std::fs::read_to_string(clone.join("dir/b.txt")).unwrap(), "two\n");
    }
    assert!(server.seen().protocols.contains(&"version=2".to_owned()));
}

#[tokio::test]
async fn a_shallow_clone_can_be_deepened() {
    let (place, _, url) = with_history().await;
    git(place.folder.path(), &["clone", "-q", "--depth=1", &url, "shallow"]).await;
    let clone = place.path("shallow");
    assert_eq!(git(&clone, &["rev-list", "--count", "HEAD"]).await, "1");
    git(&clone, &["fetch", "-q", "--deepen=1"]).await;
    assert_eq!(git(&clone, &["rev-list", "--count", "HEAD"]).await, "2");
    git(&clone, &["fetch", "-q", "--unshallow"]).await;
    assert_eq!(git(&clone, &["rev-list", "--count", "HEAD"]).await, "3");
}

#[tokio::test]
async fn a_partial_clone_fetches_blobs_when_needed() {
    let (place, _, url) = with_history().await;
    git(place.folder.path(), &["clone", "-q", "--no-checkout", "--filter=blob:none", &url, "partial"]).await;
    let clone = place.path("partial");
    let missing = git(&clone, &["rev-list", "--objects", "--all", "--missing=print"]).await;
    assert!(missing.lines().any(|line| line.starts_with('?')), "no blob was left out");
    git(&clone, &["checkout", "-q", "main"]).await;
    assert_eq!(std::fs::read_to_string(clone.join("a.txt")).unwrap(), "3\n");
}

#[tokio::test]
async fn a_runner_fetches_a_pipelines_reference_by_name_and_a_commit_by_id() {
    let (place, _, url) = with_history().await;
    let head = place.head("main").await.unwrap();
    let pipeline = RefName::pipeline(42);
    place.repository.set_refs(&[(pipeline.clone(), head.clone())]).await.unwrap();
    git(place.folder.path(), &["init", "-q", "work"]).await;
    let work = place.path("work");
    let refspec = format!("+{pipeline}:{pipeline}");
    git(&work, &["fetch", "-q", "--depth=1", &url, &refspec]).await;
    assert_eq!(git(&work, &["rev-parse", pipeline.as_str()]).await, head.as_str());
    let parent = place.repository.commit(&head).await.unwrap().parents[0].clone();
    git(&work, &["fetch", "-q", "--depth=1", &url, parent.as_str()]).await;
    assert_eq!(git(&work, &["rev-parse", "FETCH_HEAD"]).await, parent.as_str());
}

#[tokio::test]
async fn references_that_only_keep_objects_are_hidden() {
    let (place, _, url) = with_history().await;
    let head = place.head("main").await.unwrap();
    place.repository.set_refs(&[(RefName::keep_around(&head), head.clone())]).await.unwrap();
    let listed = git(place.folder.path(), &["ls-remote", &url]).await;
    assert!(listed.contains("refs/heads/main") && !listed.contains("keep-around"), "{listed}");
}

#[tokio::test]
async fn an_empty_repository_can_be_cloned() {
    let place = Place::empty().await;
    let url = Server::new(&place.repository).start().await;
    git(place.folder.path(), &["clone", "-q", &url, "clone"]).await;
    assert_eq!(git(&place.path("clone"), &["symbolic-ref", "HEAD"]).await, "refs/heads/main");
}

#[tokio::test]
async fn long_negotiations_come_packed() {
    let (place, server, url) = with_history().await;
    git(place.folder.path(), &["clone", "-q", &url, "clone"]).await;
    let clone = place.path("clone");
    // Many references of its own make the client's list of what it has long enough to be packed.
    for number in 0..60 {
        let message = format!("local {number}");
        git(&clone, &["commit", "-q", "--allow-empty", "-m", &message]).await;
    }
    place.repository.create_commit(&change("main", "4", vec![update("a.txt", "4\n")])).await.unwrap();
    git(&clone, &["-c", "protocol.version=0", "fetch", "-q"]).await;
    assert_eq!(git(&clone, &["log", "-1", "--format=%s", "origin/main"]).await, "4");
    assert!(server.seen().gzipped > 0, "the client packed nothing");
}

#[tokio::test]
async fn a_repository_that_does_not_exist_is_an_error_before_the_stream() {
    let place = Place::empty().await;
    let missing = place.repositories.repository(8);
    for service in [Service::UploadPack, Service::ReceivePack] {
        let answer = missing.advertise(service, &Protocol::default()).await;
        assert!(matches!(answer.err(), Some(weir_git::Error::NoRepository)));
    }
}

#[tokio::test]
async fn a_pack_bigger_than_any_buffer_arrives() {
    let place = Place::empty().await;
    // Text that does not compress, by a small generator.
    let mut state = 1u64;
    let noise: String = (0..400_000)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            char::from(b'!' + u8::try_from((state >> 33) % 90).unwrap())
        })
        .collect();
    place.repository.create_commit(&change("main", "Big", vec![create("big", &noise)])).await.unwrap();
    let url = Server::new(&place.repository).start().await;
    git(place.folder.path(), &["clone", "-q", &url, "clone"]).await;
    assert_eq!(std::fs::read_to_string(place.path("clone").join("big")).unwrap(), noise);
}

#[tokio::test]
async fn a_client_that_leaves_takes_the_processes_with_it() {
    let (place, _, _) = with_history().await;
    let body = futures_util::stream::pending();
    let answer = place.repository.upload_pack(body, weir_git::Encoding::Identity, &Protocol::default()).await;
    let needle = format!("upload-pack\0--stateless-rpc\0{}", place.repository.path().display());
    assert_eq!(processes(&needle), 1);
    drop(answer);
    until_gone(&needle).await;
}

#[tokio::test]
async fn a_fetch_of_an_unknown_object_fails_cleanly() {
    let (place, _, url) = with_history().await;
    git(place.folder.path(), &["init", "-q", "work"]).await;
    let unknown = ObjectId::new("1".repeat(40)).unwrap();
    let output = run(&place.path("work"), &["fetch", "-q", &url, unknown.as_str()]).await;
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("not our ref"));
}
