//! References, files and directories.

use futures_util::TryStreamExt;
use weir_git::{EntryKind, Error, ObjectId, RefName, RefOrder, RefUpdate, TagName, What};

use crate::{Place, ada, branch, change, create, git, path, update};

#[tokio::test]
async fn a_repository_is_created_once_and_deleted_whole() {
    let place = Place::empty().await;
    let repository = &place.repository;
    assert!(repository.exists().await);
    assert!(repository.is_empty().await.unwrap());
    assert_eq!(repository.default_branch().await.unwrap(), Some(branch("main")));
    assert!(matches!(repository.create(&branch("main")).await, Err(Error::RepositoryExists)));
    repository.set_default_branch(&branch("trunk")).await.unwrap();
    assert_eq!(repository.default_branch().await.unwrap(), Some(branch("trunk")));
    // Git itself finds nothing to complain about.
    git(repository.path(), &["fsck", "--strict"]).await;
    repository.delete().await.unwrap();
    repository.delete().await.unwrap();
    assert!(!repository.exists().await);
    assert!(matches!(repository.is_empty().await, Err(Error::NoRepository)));
    assert!(matches!(repository.resolve("main").await, Err(Error::NoRepository)));
}

#[tokio::test]
async fn a_revision_means_what_git_takes_it_for() {
    let (place, first) = Place::with(&[("a", "1")]).await;
    let repository = &place.repository;
    let second = repository.create_commit(&change("main", "2", vec![update("a", "2")])).await.unwrap();
    repository.create_branch(&branch("feature/x"), first.id.as_str()).await.unwrap();
    let tagger = ada();
    repository.create_tag(&TagName::new("v1").unwrap(), "main", Some(("One", &tagger))).await.unwrap();
    repository.create_tag(&TagName::new("light").unwrap(), "main~1", None).await.unwrap();
    for (revision, commit, name) in [
        ("main", &second, Some("refs/heads/main")),
        ("HEAD", &second, Some("refs/heads/main")),
        ("refs/heads/main", &second, Some("refs/heads/main")),
        ("heads/main", &second, Some("refs/heads/main")),
        ("feature/x", &first, Some("refs/heads/feature/x")),
        ("v1", &second, Some("refs/tags/v1")),
        ("light", &first, Some("refs/tags/light")),
        ("main~1", &first, None),
        ("main^", &first, None),
        (first.id.as_str(), &first, None),
        (&first.id.as_str()[..8], &first, None),
    ] {
        let resolved =
            repository.resolve(revision).await.unwrap().unwrap_or_else(|| panic!("{revision} is unknown"));
        assert_eq!(resolved.commit, commit.id, "{revision}");
        assert_eq!(resolved.name.as_ref().map(RefName::as_str), name, "{revision}");
    }
    for revision in [
        "",
        "nope",
        "--all",
        "--upload-pack=x",
        "main~9",
        "main:a",
        "main^{tree}",
        ":/First",
        "@{-1}",
        "main..v1",
        "../../etc/passwd",
        "a\nb",
        "HEAD missing\nx",
        "0000",
        "..",
        "main@{1}",
        "config",
        "refs/heads",
        "refs",
        "1111111111111111111111111111111111111111",
    ] {
        assert_eq!(repository.resolve(revision).await.unwrap(), None, "{revision:?}");
    }
}

#[tokio::test]
async fn packed_references_are_found_too() {
    let (place, first) = Place::with(&[("a", "1")]).await;
    let repository = &place.repository;
    repository.create_branch(&branch("x/main"), "main").await.unwrap();
    let tagger = ada();
    repository.create_tag(&TagName::new("v1").unwrap(), "main", Some(("One", &tagger))).await.unwrap();
    repository.maintain().await.unwrap();
    assert!(!repository.path().join("refs/heads/main").exists(), "the reference was not packed");
    for name in ["main", "x/main", "v1"] {
        assert_eq!(repository.resolve(name).await.unwrap().unwrap().commit, first.id, "{name}");
    }
    assert_eq!(repository.resolve("ain").await.unwrap(), None);
    assert!(!repository.is_empty().await.unwrap());
    for name in ["main", "x/main"] {
        repository.delete_branch(&branch(name)).await.unwrap();
    }
    assert!(repository.is_empty().await.unwrap());
}

#[tokio::test]
async fn a_name_that_is_branch_and_tag_is_ambiguous_for_pipelines() {
    let (place, first) = Place::with(&[("a", "1")]).await;
    let repository = &place.repository;
    repository.create_tag(&TagName::new("main").unwrap(), "main", None).await.unwrap();
    let ambiguous = repository.resolve_ref("main").await;
    assert_eq!(ambiguous.unwrap_err().to_string(), "Ref is ambiguous");
    let branch = repository.resolve_ref("refs/heads/main").await.unwrap().unwrap();
    assert!(branch.is_branch() && branch.commit == first.id);
    assert!(repository.resolve_ref("refs/tags/main").await.unwrap().unwrap().is_tag());
    assert_eq!(repository.resolve_ref(first.id.as_str()).await.unwrap(), None);
    assert_eq!(repository.resolve_ref("HEAD").await.unwrap(), None);
}

#[tokio::test]
async fn branches_are_listed_searched_and_paged() {
    let (place, first) = Place::with(&[("a", "1")]).await;
    let repository = &place.repository;
    for name in ["feature/b", "feature/a", "other"] {
        repository.create_branch(&branch(name), "main").await.unwrap();
    }
    repository.create_commit(&change("other", "2", vec![update("a", "2")])).await.unwrap();
    let names = async |search, order, page| {
        let listing = repository.branches(search, order, page).await.unwrap();
        (
            listing.items.iter().map(|branch| branch.name.to_string()).collect::<Vec<_>>().join(" "),
            listing.total,
        )
    };
    assert_eq!(names(None, RefOrder::Name, 0..20).await, ("feature/a feature/b main other".to_owned(), 4));
    assert_eq!(names(None, RefOrder::NameDescending, 1..3).await, ("main feature/b".to_owned(), 4));
    assert_eq!(names(Some("^Feature"), RefOrder::Name, 0..20).await, ("feature/a feature/b".to_owned(), 2));
    assert_eq!(names(Some("er$"), RefOrder::Name, 0..20).await, ("other".to_owned(), 1));
    assert_eq!(names(None, RefOrder::Name, 9..20).await, (String::new(), 4));
    let merged = repository.branches_merged_into(&first.id).await.unwrap();
    assert!(merged.contains(&branch("feature/a")) && !merged.contains(&branch("other")));
    let missing = repository.branch(&branch("nope")).await;
    assert!(matches!(missing, Err(Error::NotFound(What::Branch))));
}

#[tokio::test]
async fn tags_tell_target_message_and_date() {
    let (place, first) = Place::with(&[("a", "1")]).await;
    let repository = &place.repository;
    let tagger = ada();
    for name in ["v1.10", "v1.9"] {
        let tag = TagName::new(name).unwrap();
        repository.create_tag(&tag, "main", Some((" One\n\ntwo ", &tagger))).await.unwrap();
    }
    let light = repository.create_tag(&TagName::new("light").unwrap(), "main", None).await.unwrap();
    assert_eq!((&light.target, &light.annotation), (&first.id, &None));
    let listing = repository.tags(Some("^v"), RefOrder::VersionDescending, 0..20).await.unwrap();
    let names: Vec<_> = listing.items.iter().map(|tag| tag.name.as_str()).collect();
    assert_eq!(names, ["v1.10", "v1.9"]);
    let heavy = &listing.items[0];
    let annotation = heavy.annotation.as_ref().unwrap();
    assert_eq!(annotation.message, "One\n\ntwo");
    assert_eq!(annotation.tagger.as_ref().unwrap().date().as_str(), "2023-11-15T03:43:20.000+05:30");
    assert_eq!(heavy.commit.as_ref().unwrap().id, first.id);
    assert_ne!(heavy.target, first.id);
    let holding = repository.refs_containing(&first.id).await.unwrap();
    let holding: Vec<_> = holding.iter().map(RefName::as_str).collect();
    assert_eq!(holding, ["refs/heads/main", "refs/tags/light", "refs/tags/v1.10", "refs/tags/v1.9"]);
}

#[tokio::test]
async fn references_change_together_or_not_at_all() {
    let (place, first) = Place::with(&[("a", "1")]).await;
    let repository = &place.repository;
    let (one, two) = (RefName::pipeline(1), RefName::keep_around(&first.id));
    repository.set_refs(&[(one.clone(), first.id.clone()), (two.clone(), first.id.clone())]).await.unwrap();
    assert_eq!(repository.read_ref(&two).await.unwrap(), Some(first.id.clone()));
    let updates = [
        RefUpdate { old: first.id.clone(), new: ObjectId::zero(), name: one.clone() },
        RefUpdate { old: ObjectId::zero(), new: first.id.clone(), name: two.clone() },
    ];
    let refused = repository.update_refs(&updates).await.unwrap_err();
    assert!(matches!(refused, Error::Conflict(_)), "{refused}");
    assert_eq!(repository.read_ref(&one).await.unwrap(), Some(first.id.clone()));
    repository.delete_refs(&[one.clone(), two, RefName::pipeline(9)]).await.unwrap();
    assert_eq!(repository.read_ref(&one).await.unwrap(), None);
}

#[tokio::test]
async fn directories_list_trees_before_files() {
    let (place, commit) =
        Place::with(&[("b.txt", "1"), ("a/x", "2"), ("a/deep/y", "3"), ("z/q", "4"), ("ü \"\n", "5")]).await;
    let repository = &place.repository;
    let names = async |at: Option<&str>, recursive| {
        let at = at.map(path);
        let entries = repository.tree(&commit.id, at.as_ref(), recursive).await.unwrap();
        entries.into_iter().map(|entry| entry.path).collect::<Vec<_>>()
    };
    assert_eq!(names(None, false).await, ["a", "z", "b.txt", "ü \"\n"]);
    assert_eq!(names(None, true).await, ["a", "a/deep", "z", "a/deep/y", "a/x", "b.txt", "z/q", "ü \"\n"]);
    assert_eq!(names(Some("a"), false).await, ["a/deep", "a/x"]);
    assert_eq!(names(Some("a"), true).await, ["a/deep", "a/deep/y", "a/x"]);
    let entries = repository.tree(&commit.id, None, false).await.unwrap();
    assert_eq!((entries[0].kind, entries[0].mode_text().as_str()), (EntryKind::Tree, "040000"));
    for missing in ["nope", "b.txt", "a/x/y"] {
        let missing = repository.tree(&commit.id, Some(&path(missing)), false).await;
        assert!(matches!(missing, Err(Error::NotFound(What::Tree))));
    }
    let mut paths = repository.paths(&commit.id).await.unwrap();
    paths.sort();
    assert_eq!(paths, ["a/deep/y", "a/x", "b.txt", "z/q", "ü \"\n"]);
}

#[tokio::test]
async fn files_are_read_whole_with_a_limit_and_as_streams() {
    let big = "0123456789abcdef".repeat(20_000);
    let (place, commit) = Place::with(&[("dir/a.txt", "hello\n"), ("empty", ""), ("big", &big)]).await;
    let repository = &place.repository;
    let content = async |at: &str, limit| repository.file_content(&commit.id, &path(at), limit).await;
    assert_eq!(content("dir/a.txt", 100).await.unwrap().as_deref(), Some(&b"hello\n"[..]));
    assert_eq!(content("empty", 100).await.unwrap().as_deref(), Some(&b""[..]));
    assert!(matches!(content("big", 100).await, Err(Error::TooLarge { limit: 100, .. })));
    assert_eq!(content("dir", 1000).await.unwrap(), None);
    assert_eq!(content("nope", 100).await.unwrap(), None);

    let info = repository.file(&commit.id, &path("dir/a.txt")).await.unwrap().unwrap();
    assert_eq!((info.size, info.mode, info.is_executable()), (6, 0o100_644, false));
    assert_eq!(repository.file(&commit.id, &path("dir")).await.unwrap(), None);

    let (info, stream) = repository.file_stream(&commit.id, &path("big")).await.unwrap();
    let pieces: Vec<_> = stream.try_collect().await.unwrap();
    assert!(pieces.len() > 1);
    assert_eq!(pieces.concat(), big.as_bytes());
    let (again, stream) = repository.blob_stream(&info.id).await.unwrap();
    assert_eq!(again, info);
    // A stream that is dropped half read leaves the next reader alone.
    drop(stream);
    assert_eq!(content("dir/a.txt", 100).await.unwrap().as_deref(), Some(&b"hello\n"[..]));
    assert!(matches!(repository.blob_stream(&commit.id).await.err(), Some(Error::NotFound(What::Blob))));
}

#[tokio::test]
async fn a_path_that_imitates_an_answer_does_not_confuse_the_reader() {
    let (place, commit) = Place::with(&[("a", "hello")]).await;
    let blob = place.repository.file(&commit.id, &path("a")).await.unwrap().unwrap().blob;
    for hostile in [
        "x missing\ny",
        "x\ny",
        "x\n\ny missing",
        "x missing\n",
        &format!("x\n{blob} blob 5\nhello"),
        "-z",
        " ",
    ] {
        let content = place.repository.file_content(&commit.id, &path(hostile), 100).await.unwrap();
        assert_eq!(content, None, "{hostile:?}");
        let content = place.repository.file_content(&commit.id, &path("a"), 100).await.unwrap();
        assert_eq!(content.as_deref(), Some(&b"hello"[..]), "after {hostile:?}");
    }
}

#[tokio::test]
async fn a_file_name_may_hold_any_character() {
    let names = ["x missing\ny", "-rf", "--x", "a\"b", "a\\b", "ünï", " lead", "tab\there", "D a"];
    let files: Vec<_> = names.iter().map(|name| (*name, *name)).collect();
    let (place, commit) = Place::with(&files).await;
    for name in names {
        let content = place.repository.file_content(&commit.id, &path(name), 100).await.unwrap();
        assert_eq!(content.as_deref(), Some(name.as_bytes()), "{name:?}");
        let last = place.repository.last_commit_for_path(&commit.id, &path(name)).await.unwrap();
        assert_eq!(last, Some(commit.id.clone()), "{name:?}");
    }
}

#[tokio::test]
async fn readers_see_what_is_written_after_they_began() {
    let (place, first) = Place::with(&[("a", "0")]).await;
    let mut last = first;
    for number in 1..5 {
        let text = number.to_string();
        last =
            place.repository.create_commit(&change("main", &text, vec![update("a", &text)])).await.unwrap();
        let content = place.repository.file_content(&last.id, &path("a"), 100).await.unwrap();
        assert_eq!(content.as_deref(), Some(text.as_bytes()));
    }
    place.repository.maintain().await.unwrap();
    let content = place.repository.file_content(&last.id, &path("a"), 100).await.unwrap();
    assert_eq!(content.as_deref(), Some(&b"4"[..]));
    let next = place.repository.create_commit(&change("main", "5", vec![create("b", "5")])).await.unwrap();
    assert!(place.repository.file_content(&next.id, &path("b"), 100).await.unwrap().is_some());
}

#[tokio::test]
async fn many_readers_at_once_all_get_their_answer() {
    let (place, commit) = Place::with(&[("a", "hello")]).await;
    let tasks = (0..200).map(|_| {
        let (repository, commit) = (place.repository.clone(), commit.id.clone());
        tokio::spawn(async move { repository.file_content(&commit, &path("a"), 100).await.unwrap().unwrap() })
    });
    for task in tasks.collect::<Vec<_>>() {
        assert_eq!(task.await.unwrap(), b"hello");
    }
}
