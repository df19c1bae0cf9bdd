//! Artifacts and caches of one job in another.

use std::io::Read;

use serde_json::{Value, json};

use crate::server::{World, add_variable, job};

fn with(mut payload: Value, key: &str, value: Value) -> Value {
    payload[key] = value;
    payload
}

fn clean(mut payload: Value) -> Value {
    payload["variables"][0]["value"] = json!("empty");
    payload
}

#[tokio::test]
async fn artifacts_go_from_job_to_job() {
    let world = World::new().await;
    let artifacts = json!([
        {"name": "out-$CI_CONCURRENT_ID", "paths": ["build/", "missing"], "exclude": ["build/*.o"], "when": "on_success",
         "expire_in": "1 week", "artifact_type": "archive", "artifact_format": "zip"},
        {"name": "junit.xml", "paths": ["*.xml"], "when": "always", "artifact_type": "junit", "artifact_format": "gzip"},
        {"name": ".env", "paths": ["vars.env"], "when": "always", "artifact_type": "dotenv", "artifact_format": "raw"},
    ]);
    let script = [
        "mkdir build; echo tool > build/tool; chmod 755 build/tool; ln -s tool build/link; touch build/x.o",
        "echo '<a/>' > a.xml; echo K=v > vars.env",
    ];
    let seen = world.run(with(clean(job(1, &script)), "artifacts", artifacts)).await;
    let text = seen.text();
    assert_eq!(seen.state(), "success", "{text}");
    for line in [
        "Uploading artifacts for successful job",
        "build/: found 3 matching artifact files and directories",
        "WARNING: missing: no matching files. Ensure that the artifact path is relative to the working directory",
        "build/*.o: excluded 1 files",
        "Uploading artifacts as \"archive\" to coordinator... 201 Created",
        "Uploading artifacts as \"junit\" to coordinator... 201 Created",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let (name, format, expire_in, _) = &seen.artifacts["archive"];
    assert_eq!((name.as_str(), format.as_str(), expire_in.as_deref()), ("out-0.zip", "zip", Some("1 week")));
    let (name, format, _, content) = &seen.artifacts["junit"];
    assert_eq!((name.as_str(), format.as_str()), ("junit.xml.gz", "gzip"));
    let mut junit = String::new();
    flate2::read::GzDecoder::new(content.as_slice()).read_to_string(&mut junit).unwrap();
    assert_eq!(junit, "<a/>\n");
    assert_eq!(seen.artifacts["dotenv"].3, b"K=v\n");

    let dependencies = json!([{"id": 1, "name": "build", "token": "glcbt-job-token", "artifacts_file": {"filename": "a.zip", "size": 1}}]);
    let script = ["cat build/link; stat -c %a build/tool; ls build"];
    let seen = world.run(with(clean(job(2, &script)), "dependencies", dependencies)).await;
    let text = seen.text();
    assert!(text.contains("Downloading artifacts for build (1)..."), "{text}");
    assert!(text.contains("Downloading artifacts from coordinator... ok"), "{text}");
    assert!(text.contains("\ntool\n755\nlink\ntool\n"), "{text}");
}

#[tokio::test]
async fn a_failed_job_uploads_what_is_meant_for_failures() {
    let world = World::new().await;
    let entry = |kind: &str, when: &str| json!({"paths": ["log"], "when": when, "artifact_type": kind, "artifact_format": "raw"});
    let artifacts =
        json!([entry("archive", "on_success"), entry("junit", "on_failure"), entry("dotenv", "always")]);
    let seen = world.run(with(job(1, &["touch log", "false"]), "artifacts", artifacts)).await;
    let mut kinds: Vec<_> = seen.artifacts.keys().map(String::as_str).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["dotenv", "junit"]);
    assert!(seen.text().contains("Uploading artifacts for failed job"));
}

#[tokio::test]
async fn artifacts_that_do_not_exist_fail_only_who_depends_on_them() {
    let world = World::new().await;
    let artifacts = json!([{"paths": ["nothing"], "artifact_type": "archive", "artifact_format": "zip"}]);
    let seen = world.run(with(job(1, &["true"]), "artifacts", artifacts)).await;
    assert!(seen.text().contains("ERROR: No files to upload"));
    assert_eq!(seen.state(), "success");
    let dependencies = json!([{"id": 1, "name": "build", "token": "glcbt-job-token", "artifacts_file": {"filename": "a.zip", "size": 1}}]);
    let seen = world.run(with(job(2, &["echo run"]), "dependencies", dependencies)).await;
    assert_eq!(seen.state(), "failed");
    assert!(!seen.text().contains("$ echo run"), "{}", seen.text());
}

#[tokio::test]
async fn a_cache_is_kept_for_later_jobs() {
    let world = World::new().await;
    let cache = |policy: &str, key: &str| json!([{"key": key, "paths": ["deps"], "policy": policy, "fallback_keys": ["main-1"]}]);
    let script = ["ls deps 2>/dev/null || mkdir deps; echo x >> deps/file; wc -l < deps/file"];
    let text = world.run(with(clean(job(1, &script)), "cache", cache("pull-push", "$REF-1"))).await.text();
    assert!(text.contains("Checking cache for -1..."), "{text}");

    let run = async |id, policy: &str, key: &str| {
        let mut payload = with(clean(job(id, &script)), "cache", cache(policy, key));
        add_variable(&mut payload, json!({"key": "REF", "value": "main"}));
        world.run(payload).await.text()
    };
    let text = run(2, "pull-push", "$REF-1").await;
    assert!(text.contains("WARNING: Failed to extract cache"), "{text}");
    assert!(text.contains("Creating cache main-1...") && text.contains("Created cache"), "{text}");
    let text = run(3, "pull", "main-1").await;
    assert!(text.contains("Successfully extracted cache"), "{text}");
    assert!(text.contains("\n2\n"), "{text}");
    assert!(text.contains("Not uploading cache main-1 due to policy"), "{text}");
    let text = run(4, "push", "main-1").await;
    assert!(text.contains("Not downloading cache main-1 due to policy") && text.contains("\n1\n"), "{text}");
    let text = run(5, "pull", "other").await;
    assert!(text.contains("Checking cache for main-1...") && text.contains("\n2\n"), "{text}");
}
