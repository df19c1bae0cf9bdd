//! Values for `spec:inputs`, given with a pipeline.

use serde_json::json;

use crate::harness::World;

const CONFIG: &str = "spec:\n  inputs:\n    word: {options: [hello, bye]}\n    times: {type: number, default: 1}\n---\n\
                      'say $[[ inputs.word ]]': {script: x, parallel: '$[[ inputs.times ]]'}\n";

async fn a_pipeline_is_compiled_with_the_given_inputs(world: World) {
    let alice = world.user("alice").await;
    let id = alice.project("p", json!({})).await;
    let action = json!({ "action": "create", "file_path": ".gitlab-ci.yml", "content": CONFIG });
    let commit = json!({ "branch": "main", "commit_message": "[skip ci]", "actions": [action] });
    alice.post(&format!("/projects/{id}/repository/commits"), commit).await.is(201);

    let path = format!("/projects/{id}/pipeline");
    let inputs = json!({ "word": "hello", "times": 2 });
    let made = alice.post(&path, json!({ "ref": "main", "inputs": inputs })).await.is(201);
    let mut names = alice.get(&format!("/projects/{id}/pipelines/{}/jobs", made["id"])).await.column("name");
    names.sort_by_key(ToString::to_string);
    assert_eq!(names, ["say hello 1/2", "say hello 2/2"]);

    for (inputs, message) in [
        (json!({}), "`word` input: required value has not been provided"),
        (json!({ "word": "hello", "x": 1 }), "unknown input arguments: x"),
        (
            json!({ "word": "no" }),
            "`word` input: `no` cannot be used because it is not in the list of allowed options",
        ),
    ] {
        let answer = alice.post(&path, json!({ "ref": "main", "inputs": inputs })).await;
        let said = answer.is(400)["message"]["base"][0].to_string();
        assert!(said.contains(message), "{said}");
    }
    alice.post(&path, json!({ "ref": "main", "inputs": "word" })).await.complains("inputs is invalid");
}

on_each_database!(a_pipeline_is_compiled_with_the_given_inputs);
