//! `kill -9` at any moment: what was answered for lasts.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use weir_api::{FailureReason, JobStatus};
use weir_client::ProjectHandle;

use crate::harness::{Place, commit, ended, eventually, git, git_ok, job, trace};

const STAGES: &str = "
stages: [one, two]

first:
  stage: one
  script:
    - mkdir out
    - echo \"made by $CI_JOB_ID\" > out/file
    - echo \"all said\"
  artifacts:
    paths: [out/]

# Left alone when the server dies: the second time, it finds that it was here.
stubborn:
  stage: two
  retry: {max: 1, when: runner_system_failure}
  script:
    - echo begun
    - test -e ~/stubborn || { touch ~/stubborn; sleep 20; }
    - echo the end

fragile:
  stage: two
  script:
    - echo begun
    - sleep 20
    - echo the end

patient:
  stage: two
  script:
    - echo at last
";

#[tokio::test]
async fn a_crash_fails_or_retries_running_jobs_and_keeps_the_others() {
    // Two at a time, so that the third of the second stage waits.
    let place = Place::new().with("--concurrent=2");
    let server = place.start();
    let project = server.project("crashed", STAGES).await;
    let id = project.create_pipeline("main").send().await.unwrap().id;
    let pipeline = project.pipeline(id);
    for name in ["stubborn", "fragile"] {
        eventually("both jobs run", async || {
            let running = job(&pipeline, name).await;
            trace(&project, &running).await.contains("begun\n").then_some(())
        })
        .await;
    }
    assert_eq!(job(&pipeline, "patient").await.status, JobStatus::Pending);
    let acknowledged = trace(&project, &job(&pipeline, "fragile").await).await;
    server.kill();

    let server = place.start();
    let project = server.client().project("root/crashed");
    let pipeline = project.pipeline(id);
    assert_eq!(ended(&pipeline).await.status, JobStatus::Failed);

    let first = job(&pipeline, "first").await;
    assert_eq!(first.status, JobStatus::Success);
    assert!(trace(&project, &first).await.contains("all said"));
    let artifact = project.job(first.id).artifact("out/file").bytes().await.unwrap();
    assert_eq!(artifact, format!("made by {}\n", first.id));

    let fragile = job(&pipeline, "fragile").await;
    assert_eq!(fragile.status, JobStatus::Failed);
    assert!(
        fragile.failure_reason.clone().is_some_and(|reason| reason == FailureReason::RunnerSystemFailure)
    );
    let said = trace(&project, &fragile).await;
    assert!(said.starts_with(&acknowledged) && !said.contains("the end\n"), "{said}");

    let every = pipeline.jobs().include_retried(true).per_page(100).all().await.unwrap();
    let stubborn: Vec<_> = every.iter().filter(|job| job.name == "stubborn").collect();
    let [second, first] = stubborn.as_slice() else { panic!("stubborn ran {} times", stubborn.len()) };
    assert_eq!(
        (first.basic.status.known(), second.basic.status.known()),
        (Some(JobStatus::Failed), Some(JobStatus::Success))
    );
    assert!(first.failure_reason.clone().is_some_and(|reason| reason == FailureReason::RunnerSystemFailure));

    assert_eq!(job(&pipeline, "patient").await.status, JobStatus::Success);
}

const MANY: &str = "
stages: [one, two]
default:
  retry: {max: 2, when: runner_system_failure}
counting:
  stage: one
  parallel: 4
  script:
    - for i in 1 2 3 4 5 6; do echo \"line $i of $CI_JOB_ID\"; sleep 0.05; done
    - mkdir out
    - echo \"made by $CI_JOB_ID\" > out/file
  artifacts:
    paths: [out/]
last:
  stage: two
  when: always
  script: [echo the end]
";

/// A moment up to `limit` from now, another in each run.
async fn some_moment(limit: u64) {
    let moment = RandomState::new().hash_one(()) % limit;
    println!("kills after {moment} ms");
    tokio::time::sleep(Duration::from_millis(moment)).await;
}

/// What the server has answered about a job.
#[derive(Debug, Default)]
struct Known {
    status: Option<JobStatus>,
    trace: Vec<u8>,
    artifact: Option<Vec<u8>>,
}

/// Looks at all jobs until dropped, and remembers what was seen.
async fn observe(project: &ProjectHandle, known: &mut BTreeMap<i64, Known>) {
    loop {
        let Ok(jobs) = project.jobs().per_page(100).all().await else { return };
        for job in jobs {
            let handle = project.job(job.id);
            let Ok(trace) = handle.trace().bytes().await else { return };
            let artifact = match job.artifacts_file {
                Some(_) => handle.artifact("out/file").bytes().await.ok(),
                None => None,
            };
            let seen = known.entry(job.id.0).or_default();
            seen.trace = trace.to_vec();
            seen.artifact = artifact.map(|bytes| bytes.to_vec()).or(seen.artifact.take());
            seen.status = job.status.known();
        }
    }
}

#[tokio::test]
async fn nothing_that_was_answered_is_lost_at_any_moment() {
    let place = Place::new().with("--concurrent=3");
    let mut known = BTreeMap::new();
    let mut pipelines = Vec::new();
    {
        let server = place.start();
        server.project("rounds", MANY).await;
        server.kill();
    }
    for _ in 0..4 {
        let server = place.start();
        let project = server.client().project("root/rounds");
        pipelines.push(project.create_pipeline("main").send().await.unwrap().id);
        tokio::select! {
            () = observe(&project, &mut known) => panic!("the server stopped answering before it was killed"),
            () = some_moment(1500) => {}
        }
        server.kill();

        let server = place.start();
        let project = server.client().project("root/rounds");
        for (&id, seen) in &known {
            let job = project.job(id).get().await.unwrap();
            let trace = project.job(id).trace().bytes().await.unwrap();
            assert!(trace.starts_with(&seen.trace), "job {id} lost a part of its trace");
            if matches!(seen.status, Some(JobStatus::Success | JobStatus::Failed)) {
                assert_eq!(job.status.known(), seen.status, "job {id}");
            }
            if let Some(artifact) = &seen.artifact {
                assert_eq!(project.job(id).artifact("out/file").bytes().await.unwrap(), artifact, "job {id}");
            }
        }
        server.kill();
    }

    let server = place.start();
    let project = server.client().project("root/rounds");
    for id in pipelines {
        ended(&project.pipeline(id)).await;
        for job in project.pipeline(id).jobs().per_page(100).all().await.unwrap() {
            let lost = job
                .failure_reason
                .as_ref()
                .is_some_and(|reason| *reason == FailureReason::RunnerSystemFailure);
            // Whoever is cut off more often than it may be retried, fails for that alone.
            assert!(job.status == JobStatus::Success || lost, "{} {:?}", job.name, job.failure_reason);
        }
    }
}

#[tokio::test]
async fn every_push_that_arrived_gets_its_pipeline() {
    let place = Place::new().with("--no-runner");
    let mut server = place.start();
    server.project("pushed", "job: {script: [x]}").await;
    git_ok(&place.folder(""), &["clone", "--quiet", &server.remote("root", &server.token, "pushed"), "work"]);
    let work = place.folder("work");
    for round in 0..6 {
        let branch = format!("round-{round}");
        git_ok(&work, &["switch", "--quiet", "--create", &branch]);
        commit(&work, "file", &branch, "Change");
        let remote = server.remote("root", &server.token, "pushed");
        let (folder, refs) = (work.clone(), branch.clone());
        let push = tokio::task::spawn_blocking(move || git(&folder, &["push", &remote, &refs]));
        some_moment(200).await;
        server.kill();
        let pushed = push.await.unwrap().status.success();

        server = place.start();
        let project = server.client().project("root/pushed");
        let remote = server.remote("root", &server.token, "pushed");
        let arrived = !git_ok(&work, &["ls-remote", "--heads", &remote, &branch]).is_empty();
        assert!(arrived || !pushed, "{branch} was pushed and is gone");
        println!("{branch}: pushed {pushed}, arrived {arrived}");
        if arrived {
            let found = eventually("the pipeline of the push", async || {
                let found = project.pipelines().ref_(&branch).await.unwrap().items;
                (!found.is_empty()).then_some(found)
            })
            .await;
            assert_eq!(found.len(), 1, "{branch}");
        }
    }
}
