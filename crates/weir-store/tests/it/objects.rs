//! What an object store promises, on files and, where there is an endpoint to test on, on S3.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use weir_api::Timestamp;
use weir_store::digest::sha256;
use weir_store::objects::{Objects, ObjectsUrl};
use weir_store::{Error, testing};

const NO_LIMIT: u64 = u64::MAX;

/// Content that repeats nowhere near.
fn content(size: usize) -> Bytes {
    (0..size).map(|n| u8::try_from((n * n / 7 + n / 251) % 256).unwrap()).collect()
}

fn chunks(
    content: &Bytes,
    size: usize,
) -> impl futures_util::Stream<Item = Result<Bytes, std::io::Error>> + use<> {
    let content = content.clone();
    let starts = (0..content.len()).step_by(size);
    stream::iter(starts.map(move |at| Ok(content.slice(at..content.len().min(at + size)))))
}

async fn read(objects: &Objects, key: &str, range: Option<std::ops::Range<u64>>) -> Result<Vec<u8>, Error> {
    let object = objects.get_stream(key, range).await?;
    object
        .body
        .try_fold(Vec::new(), async |mut all, chunk| {
            all.extend_from_slice(&chunk);
            Ok(all)
        })
        .await
}

fn files_under(directory: &Path) -> usize {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { files_under(&path) } else { 1 }).sum()
}

/// Polls until what a dropped upload left behind is gone.
async fn emptied(directory: &Path) {
    while files_under(directory) > 0 {
        tokio::task::yield_now().await;
    }
}

macro_rules! on_each_store {
    ($($case:ident),* $(,)?) => {
        mod on_files {
            use super::*;
            $(#[tokio::test]
            async fn $case() {
                let directory = tempfile::tempdir().unwrap();
                super::$case(Objects::open(&ObjectsUrl::Directory(directory.path().into())).unwrap()).await;
            })*
        }

        mod on_s3 {
            use super::*;
            $(#[tokio::test]
            async fn $case() {
                let Some(url) = testing::s3() else {
                    println!("skipped: {} names no endpoint to test on", testing::S3_VARIABLE);
                    return;
                };
                super::$case(Objects::open(&url).unwrap()).await;
            })*
        }
    };
}

on_each_store![
    what_is_stored_is_read_whatever_its_size,
    a_range_is_read,
    what_is_missing_is_said_to_be,
    an_upload_over_its_limit_stores_nothing,
    an_upload_that_breaks_off_stores_nothing,
    a_failed_upload_keeps_the_older_object,
    deleting_twice_is_no_error,
    many_are_deleted_at_once,
    a_list_gives_what_lies_under_a_folder,
    a_reader_reads_anywhere,
];

async fn what_is_stored_is_read_whatever_its_size(objects: Objects) {
    // Nothing, one part, parts of both stores exactly full, and more.
    for size in [0, 1, 1 << 20, (1 << 20) + 1, 8 << 20, (17 << 20) + 3] {
        let content = content(size);
        let stored = objects.put_stream("a/b/object", chunks(&content, 70_001), NO_LIMIT).await.unwrap();
        assert_eq!(stored.size, size as u64);
        assert_eq!(stored.sha256, sha256(&content));
        assert_eq!(objects.size("a/b/object").await.unwrap(), size as u64);
        assert!(read(&objects, "a/b/object", None).await.unwrap() == content, "{size} bytes");
    }
}

async fn a_range_is_read(objects: Objects) {
    let content = content(300_000);
    objects.put("object", content.clone()).await.unwrap();
    for range in [0..1, 1..300_000, 128_000..260_000, 299_999..300_000] {
        let (start, end) = (usize::try_from(range.start).unwrap(), usize::try_from(range.end).unwrap());
        assert!(read(&objects, "object", Some(range)).await.unwrap() == content[start..end]);
    }
    let cut = objects.get_stream("object", Some(299_990..400_000)).await.unwrap();
    assert_eq!((cut.size, cut.range), (300_000, 299_990..300_000));
    assert!(objects.get_stream("object", Some(300_000..300_001)).await.is_err());
}

async fn what_is_missing_is_said_to_be(objects: Objects) {
    let missing = |error: Error| matches!(error, Error::NoObject { key } if key == "a/missing");
    assert!(missing(objects.get_stream("a/missing", None).await.unwrap_err()));
    assert!(missing(objects.size("a/missing").await.unwrap_err()));
    assert!(missing(objects.reader("a/missing").await.unwrap_err()));
}

async fn an_upload_over_its_limit_stores_nothing(objects: Objects) {
    for size in [100, 20 << 20] {
        let content = content(size);
        let limit = size as u64;
        assert!(objects.put_stream("object", chunks(&content, 65_536), limit).await.is_ok());
        objects.delete("object").await.unwrap();
        let refused = objects.put_stream("object", chunks(&content, 65_536), limit - 1).await;
        assert!(matches!(refused, Err(Error::TooLarge { limit: said }) if said == limit - 1));
        assert!(matches!(objects.size("object").await, Err(Error::NoObject { .. })));
    }
}

async fn an_upload_that_breaks_off_stores_nothing(objects: Objects) {
    for size in [100, 20 << 20] {
        let broken = stream::once(async { Err(std::io::Error::other("the peer went away")) });
        let upload = chunks(&content(size), 65_536).chain(broken);
        let failed = objects.put_stream("object", upload, NO_LIMIT).await;
        assert!(matches!(failed, Err(Error::Body(error)) if error.to_string() == "the peer went away"));
        assert!(matches!(objects.size("object").await, Err(Error::NoObject { .. })));
    }
}

async fn a_failed_upload_keeps_the_older_object(objects: Objects) {
    objects.put("object", "old").await.unwrap();
    let failed = objects.put_stream("object", chunks(&content(20 << 20), 65_536), 19 << 20).await;
    assert!(matches!(failed, Err(Error::TooLarge { .. })));
    assert_eq!(read(&objects, "object", None).await.unwrap(), b"old");
}

async fn deleting_twice_is_no_error(objects: Objects) {
    objects.put("a/object", "text").await.unwrap();
    objects.delete("a/object").await.unwrap();
    objects.delete("a/object").await.unwrap();
    assert!(matches!(objects.size("a/object").await, Err(Error::NoObject { .. })));
}

async fn many_are_deleted_at_once(objects: Objects) {
    let keys: Vec<String> = (0..30).map(|n| format!("a/{n}")).collect();
    for key in &keys {
        objects.put(key, "text").await.unwrap();
    }
    objects.put("a/kept", "text").await.unwrap();
    objects.delete_many(keys.iter().map(String::as_str).chain(["a/never-there"])).await.unwrap();
    let left: Vec<_> = objects.list("a").map_ok(|listed| listed.key).try_collect().await.unwrap();
    assert_eq!(left, ["a/kept"]);
}

async fn a_list_gives_what_lies_under_a_folder(objects: Objects) {
    for (key, text) in [("a/1", "1"), ("a/b/2", "22"), ("c/3", "333")] {
        objects.put(key, text).await.unwrap();
    }
    let mut found: Vec<_> =
        objects.list("a").map_ok(|listed| (listed.key, listed.size)).try_collect().await.unwrap();
    found.sort();
    assert_eq!(found, [("a/1".to_owned(), 1), ("a/b/2".to_owned(), 2)]);
}

async fn a_reader_reads_anywhere(objects: Objects) {
    let content = content(1_000_000);
    objects.put("object", content.clone()).await.unwrap();
    let mut reader = objects.reader("object").await.unwrap();
    assert_eq!(reader.size(), 1_000_000);
    tokio::task::spawn_blocking(move || {
        let mut buffer = vec![0; 22];
        // As an archive is read: its end, then backwards, then from the front.
        for place in [999_978, 940_000, 700_000, 0, 65_530, 65_536] {
            assert_eq!(reader.seek(SeekFrom::Start(place)).unwrap(), place);
            reader.read_exact(&mut buffer).unwrap();
            let place = usize::try_from(place).unwrap();
            assert_eq!(buffer, content[place..place + 22], "at {place}");
        }
        assert_eq!(reader.seek(SeekFrom::End(-22)).unwrap(), 999_978);
        assert_eq!(reader.seek(SeekFrom::Current(10)).unwrap(), 999_988);
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, content[999_988..]);
        reader.rewind().unwrap();
        let mut all = Vec::new();
        reader.read_to_end(&mut all).unwrap();
        assert!(all == content);
        assert!(reader.seek(SeekFrom::Current(-2_000_000)).is_err());
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn an_unfinished_upload_shows_no_object_and_leaves_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let objects = Objects::open(&ObjectsUrl::Directory(directory.path().into())).unwrap();
    let (parts, sent) = (content(5 << 20), std::sync::atomic::AtomicBool::new(false));
    let waiting = stream::once(async {
        sent.store(true, std::sync::atomic::Ordering::SeqCst);
        std::future::pending().await
    });
    let mut upload = Box::pin(objects.put_stream("object", chunks(&parts, 65_536).chain(waiting), NO_LIMIT));
    while !sent.load(std::sync::atomic::Ordering::SeqCst) {
        assert!(futures_util::poll!(&mut upload).is_pending());
        tokio::task::yield_now().await;
    }
    assert!(files_under(directory.path()) > 0, "parts are on the way");
    assert!(matches!(objects.size("object").await, Err(Error::NoObject { .. })));
    assert_eq!(objects.list("").count().await, 0);
    drop(upload);
    emptied(directory.path()).await;
}

#[tokio::test]
async fn a_key_stays_in_its_directory() {
    let directory = tempfile::tempdir().unwrap();
    let inner = directory.path().join("objects");
    let objects = Objects::open(&ObjectsUrl::Directory(inner)).unwrap();
    for key in ["../outside", "a/../../outside", "/..", "a//b", "."] {
        assert!(objects.put(key, "text").await.is_err(), "{key}");
    }
    assert_eq!(files_under(directory.path()), 0);
}

#[test]
fn urls_of_object_stores() {
    let s3 = |bucket: &str, prefix: &str, endpoint: Option<&str>, region: Option<&str>, allow_http| {
        ObjectsUrl::S3 {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            endpoint: endpoint.map(str::to_owned),
            region: region.map(str::to_owned),
            allow_http,
        }
    };
    for (text, expected) in [
        ("/srv/weir", ObjectsUrl::Directory("/srv/weir".into())),
        ("file:/srv/weir", ObjectsUrl::Directory("/srv/weir".into())),
        ("s3://bucket", s3("bucket", "", None, None, false)),
        ("s3://bucket/a/b/?region=eu-west-1", s3("bucket", "a/b", None, Some("eu-west-1"), false)),
        (
            "s3://bucket/a?endpoint=http://127.0.0.1:9000/&allow_http=true",
            s3("bucket", "a", Some("http://127.0.0.1:9000"), None, true),
        ),
    ] {
        assert_eq!(text.parse::<ObjectsUrl>().unwrap(), expected, "{text}");
    }
    for text in ["s3://", "s3:///prefix", "s3://bucket?zone=1", "s3://bucket?allow_http=yes"] {
        assert!(matches!(text.parse::<ObjectsUrl>(), Err(Error::Url { .. })), "{text}");
    }
}

#[tokio::test]
async fn what_a_crash_left_of_uploads_is_removed_once_it_is_old() {
    let directory = tempfile::tempdir().unwrap();
    let objects = Objects::open(&ObjectsUrl::Directory(directory.path().into())).unwrap();
    objects.put("a/object", "text").await.unwrap();
    assert!(objects.put("a/object#1", "text").await.is_err(), "no object has the name of a staged file");
    let parts = content(5 << 20);
    let waiting = chunks(&parts, 65_536).chain(stream::pending());
    let mut upload = Box::pin(objects.put_stream("a/object", waiting, NO_LIMIT));
    while files_under(directory.path()) < 2 {
        assert!(futures_util::poll!(&mut upload).is_pending());
        tokio::task::yield_now().await;
    }
    // Neither dropped nor completed, as if the process had ended here.
    std::mem::forget(upload);
    let (past, future) = (Timestamp::from_micros(0), Timestamp::from_micros(4_000_000_000_000_000));
    assert_eq!(objects.remove_unfinished(past).await.unwrap(), 0);
    assert_eq!(objects.remove_unfinished(future).await.unwrap(), 1);
    assert_eq!(files_under(directory.path()), 1);
    assert_eq!(read(&objects, "a/object", None).await.unwrap(), b"text");
}
