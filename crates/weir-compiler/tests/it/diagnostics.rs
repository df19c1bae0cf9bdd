//! What people see: the message in GitLab's words, the lines it is about, and what to do.

use weir_api::PipelineSource;
use weir_compiler::{Answer, Compilation, Context, Request, Step};

const INCLUDED: &str = "include: gone.yml\n";

/// All diagnostics as drawn.
fn drawn(text: &str) -> String {
    let context = Context::new(PipelineSource::Push, "main", "group/project");
    let mut compilation = Compilation::new(".gitlab-ci.yml", Some(text), context);
    loop {
        match compilation.step() {
            Step::Done(compiled) => {
                let drawn =
                    compiled.diagnostics.iter().map(|diagnostic| diagnostic.render(&compiled.sources, false));
                return drawn.collect::<Vec<_>>().join("\n");
            }
            Step::Need(requests) => {
                let answer = |request: &Request| match request {
                    Request::LocalFile { path } if path == "ci/more.yml" => {
                        Answer::File(Some(INCLUDED.to_owned()))
                    }
                    _ => Answer::File(None),
                };
                compilation.supply(requests.iter().map(answer).collect());
            }
        }
    }
}

#[test]
fn a_misspelt_key_has_a_suggestion() {
    insta::assert_snapshot!(drawn("rspec:\n  stage: test\n  script: ls\n  artefacts:\n    paths: [a]\n"));
}

#[test]
fn a_command_with_a_colon_is_a_mapping() {
    insta::assert_snapshot!(drawn("rspec:\n  script:\n    - echo one\n    - echo \"a\": b\n"));
}

#[test]
fn a_syntax_error_points_at_the_mistake_and_not_at_its_surroundings() {
    insta::assert_snapshot!(drawn("rspec:\n  script:\n    - ls\n   - pwd\n"));
}

#[test]
fn an_expression_says_what_is_wrong_with_it() {
    insta::assert_snapshot!(drawn("rspec:\n  script: ls\n  rules:\n    - if: $CI_COMMIT_BRANCH == main\n"));
}

#[test]
fn an_error_in_an_included_file_names_that_file() {
    insta::assert_snapshot!(drawn("include: ci/more.yml\nrspec:\n  script: ls\n"));
}

#[test]
fn a_need_that_rules_remove_points_at_the_need() {
    insta::assert_snapshot!(drawn(
        "build:\n  stage: build\n  script: make\n  rules:\n    - if: $RELEASE\n\ntest:\n  script: make test\n  \
         needs: [build]\n"
    ));
}

#[test]
fn a_lost_value_is_a_remark() {
    insta::assert_snapshot!(drawn("rspec:\n  script: one\n  script: two\n"));
}
