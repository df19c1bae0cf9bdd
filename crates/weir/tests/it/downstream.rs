//! A parent with a child whose configuration a job writes, and a pipeline of another project below.

use weir_api::{JobStatus, PipelineSource};

use crate::harness::{Place, ended, job, trace};

const PARENT: &str = "
stages: [generate, trigger, after]
generate:
  stage: generate
  script:
    - mkdir made
    - echo from the parent > made/word
    - |
      cat > made/child.yml <<END
      read:
        needs:
          - {pipeline: \\$PARENT, job: generate}
        script:
          - cat made/word
          - echo \"asked by \\$CI_PIPELINE_SOURCE for \\$PARENT\"
      END
  artifacts:
    paths: [made]
child:
  stage: trigger
  variables:
    PARENT: $CI_PIPELINE_ID
  trigger:
    include: [{artifact: made/child.yml, job: generate}]
    strategy: depend
other:
  stage: trigger
  variables:
    WORD: for $CI_PROJECT_NAME
  trigger:
    project: root/other
    strategy: depend
last:
  stage: after
  script: echo all ended
";

#[tokio::test]
async fn a_generated_child_and_another_project_hold_up_their_upstream() {
    let place = Place::new();
    let server = place.start();
    let other = server.project("other", "say:\n  script: echo \"word $WORD\"\n").await;
    let project = server.project("parent", PARENT).await;
    let parent = project.create_pipeline("main").send().await.unwrap();
    let parent = project.pipeline(parent.id);
    assert_eq!(ended(&parent).await.status, JobStatus::Success);

    let bridges = parent.bridges().all().await.unwrap();
    let below = |name: &str| {
        let bridge = bridges.iter().find(|bridge| bridge.name == name).unwrap();
        assert_eq!(bridge.status, JobStatus::Success, "{name}");
        bridge.downstream_pipeline.clone().unwrap()
    };
    let child = below("child");
    assert_eq!(child.source.unwrap(), PipelineSource::ParentPipeline);
    let read = job(&project.pipeline(child.id), "read").await;
    let said = trace(&project, &read).await;
    assert!(said.contains("from the parent"), "{said}");
    assert!(
        said.contains(&format!("asked by parent_pipeline for {}", bridges[0].pipeline.as_ref().unwrap().id)),
        "{said}"
    );

    let multi = below("other");
    assert_eq!(multi.source.unwrap(), PipelineSource::Pipeline);
    let say = job(&other.pipeline(multi.id), "say").await;
    assert!(trace(&other, &say).await.contains("word for parent"));
    let last = job(&parent, "last").await;
    assert!(last.started_at >= read.finished_at && last.started_at >= say.finished_at);
}
