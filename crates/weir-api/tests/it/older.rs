//! Answers of older GitLab versions, and their abridged examples in the documentation, still read.

use weir_api::jobs::Job;
use weir_api::{JobStatus, Word};

#[test]
fn a_job_as_the_documentation_of_2020_shows_it() {
    let job: Job = serde_json::from_str(
        r#"{
            "commit": {
                "author_email": "admin@example.com", "author_name": "Administrator",
                "created_at": "2015-12-24T16:51:14.000+01:00", "id": "0ff3ae19", "message": "Test the CI integration.",
                "short_id": "0ff3ae19", "title": "Test the CI integration."
            },
            "coverage": null, "allow_failure": false,
            "created_at": "2015-12-24T15:51:21.802Z", "started_at": "2015-12-24T17:54:27.722Z",
            "finished_at": "2015-12-24T17:54:27.895Z", "duration": 0.173,
            "artifacts_file": {"filename": "artifacts.zip", "size": 1000},
            "artifacts": [{"file_type": "trace", "size": 1500, "filename": "job.log", "file_format": "raw"}],
            "artifacts_expire_at": "2016-01-23T17:54:27.895Z", "id": 7, "name": "teaspoon",
            "pipeline": {"id": 6, "ref": "master", "sha": "0ff3ae19", "status": "pending"},
            "ref": "master", "runner": null, "stage": "test", "status": "failed", "tag": false,
            "web_url": "https://example.com/foo/bar/-/jobs/7",
            "user": {
                "id": 1, "name": "Administrator", "username": "root", "state": "active", "avatar_url": null,
                "web_url": "http://gitlab.dev/root", "created_at": "2015-12-21T13:14:24.077Z", "bio": null,
                "location": null, "public_email": "", "skype": "", "linkedin": "", "twitter": "",
                "website_url": "", "organization": ""
            }
        }"#,
    )
    .expect("reads");
    assert_eq!(job.status, JobStatus::Failed);
    assert_eq!(job.pipeline.as_ref().map(|pipeline| pipeline.ref_name.as_str()), Some("master"));
    assert_eq!(job.user.as_ref().map(|user| user.profile.bio.as_str()), Some(""));
}

#[test]
fn a_played_job_with_a_status_that_never_was() {
    let job: Job = serde_json::from_str(
        r#"{
            "commit": null, "coverage": null, "allow_failure": false, "created_at": "2016-01-11T10:13:33.506Z",
            "started_at": null, "finished_at": null, "duration": 8, "id": 42, "name": "rubocop", "ref": "master",
            "artifacts": [], "runner": null, "stage": "test", "status": "started", "tag": false,
            "web_url": "https://example.com/foo/bar/-/jobs/42", "user": null
        }"#,
    )
    .expect("reads");
    assert_eq!(job.status, Word::Other("started".to_owned()));
    assert_eq!(job.duration, Some(8.0));
}

#[test]
fn an_erased_job_with_members_that_are_gone_today() {
    let job: Job = serde_json::from_str(
        r#"{
            "commit": null, "coverage": null, "allow_failure": false, "download_url": null, "id": 42,
            "name": "rubocop", "ref": "master", "artifacts": [], "runner": null, "stage": "test",
            "created_at": "2016-01-11T10:13:33.506Z", "started_at": "2016-01-11T10:13:33.506Z",
            "finished_at": "2016-01-11T10:15:10.506Z", "duration": 97.0, "status": "failed", "tag": false,
            "web_url": "https://example.com/foo/bar/-/jobs/42", "user": null
        }"#,
    )
    .expect("reads");
    assert_eq!(job.extra.get("download_url"), Some(&serde_json::Value::Null));
}
