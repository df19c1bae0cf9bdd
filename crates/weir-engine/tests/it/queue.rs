//! What a job needs of its runner.

use weir_api::runner::RunnerFeature::{
    ArtifactsExclude, FallbackCacheKeys, Refspecs, ReturnExitCode, UploadMultipleArtifacts,
};
use weir_compiler::plan::{Action, Artifacts, ArtifactsWhen, Cache, Job, Retry, Run};
use weir_engine::queue::required_features;

use crate::scenario::{Keywords, bridge, job};

fn running(change: impl FnOnce(&mut Run)) -> Job {
    let mut run = Run::default();
    change(&mut run);
    job("a").with(|job| job.action = Action::Run(Box::new(run)))
}

#[test]
fn a_job_needs_the_features_that_its_keywords_use() {
    let artifacts = |artifacts| running(|run| run.artifacts = Some(artifacts));
    let cache = |fallback_keys: &[&str]| {
        let fallback_keys = fallback_keys.iter().map(|&key| key.to_owned()).collect();
        let entry = Cache {
            key: "key".to_owned(),
            paths: Vec::new(),
            untracked: false,
            policy: "pull".to_owned(),
            when: ArtifactsWhen::OnSuccess,
            unprotect: false,
            fallback_keys,
        };
        running(|run| run.cache = vec![entry])
    };
    let by_code =
        |exit_codes| job("a").with(|job| job.retry = Some(Retry { max: 1, when: Vec::new(), exit_codes }));
    let paths = || vec!["a".to_owned()];
    for (job, merge_request, needed) in [
        (job("a").retry(2).allowed(), false, &[][..]),
        (job("a"), true, &[Refspecs]),
        (bridge("a"), true, &[]),
        (artifacts(Artifacts { paths: paths(), ..Artifacts::default() }), false, &[]),
        (
            artifacts(Artifacts { reports: vec![("junit".to_owned(), paths())], ..Artifacts::default() }),
            false,
            &[UploadMultipleArtifacts],
        ),
        (artifacts(Artifacts { exclude: paths(), ..Artifacts::default() }), false, &[ArtifactsExclude]),
        (cache(&[]), false, &[]),
        (cache(&["main"]), false, &[FallbackCacheKeys]),
        (job("a").allowed_codes(&[1]), false, &[ReturnExitCode]),
        (by_code(vec![1]), false, &[ReturnExitCode]),
        (by_code(vec![]), false, &[]),
    ] {
        let features: Vec<_> = required_features(&job, merge_request).iter().collect();
        assert_eq!(features, needed, "{job:?}");
    }
}
