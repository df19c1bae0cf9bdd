//! Whatever the text, the compiler comes to an end and says something.

use proptest::prelude::*;
use weir_api::PipelineSource;
use weir_compiler::{Answer, Compilation, Compiled, Context, Step};

fn compile(text: &str) -> Compiled {
    let context = Context::new(PipelineSource::Push, "main", "group/project");
    let mut compilation = Compilation::new(".gitlab-ci.yml", Some(text), context);
    loop {
        match compilation.step() {
            Step::Done(compiled) => return *compiled,
            Step::Need(requests) => {
                compilation.supply(requests.iter().map(|_| Answer::Paths(None)).collect());
            }
        }
    }
}

fn check(text: &str) -> Result<(), TestCaseError> {
    let compiled = compile(text);
    prop_assert!(compiled.plan.is_some() != compiled.refusal.is_some());
    for diagnostic in &compiled.diagnostics {
        prop_assert!(!diagnostic.render(&compiled.sources, false).is_empty());
        prop_assert!(!diagnostic.to_string().is_empty());
    }
    Ok(())
}

/// Keywords and values as they stand in files, in any combination.
fn word() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "script",
        "stage",
        "stages",
        "needs",
        "rules",
        "if",
        "when",
        "only",
        "except",
        "default",
        "include",
        "extends",
        "variables",
        "parallel",
        "matrix",
        "cache",
        "key",
        "files",
        "artifacts",
        "paths",
        "reports",
        "retry",
        "max",
        "workflow",
        "image",
        "services",
        "environment",
        "name",
        "on_stop",
        "trigger",
        "project",
        "allow_failure",
        "exit_codes",
        "dependencies",
        "tags",
        "job",
        "optional",
        ".hidden",
        "rspec",
        "$CI",
        "1",
        "yes",
        "null",
        "2 days",
        "/a.b/",
        "build",
        "'$A == \"b\"'",
        "manual",
        "delayed",
        "*",
        "[a, b]",
        "{}",
        "[]",
        "!reference [rspec, script]",
        "local",
        "pages",
    ])
}

fn yaml(depth: u32) -> impl Strategy<Value = String> {
    let leaf = word().prop_map(str::to_owned);
    leaf.prop_recursive(depth, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(", "))),
            prop::collection::vec((word(), inner), 0..5).prop_map(|pairs| {
                let pairs: Vec<String> =
                    pairs.into_iter().map(|(key, value)| format!("? {key}\n: {value}")).collect();
                format!("{{{}}}", pairs.join(", "))
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_text_is_compiled(text in "\\PC*") {
        check(&text)?;
    }

    #[test]
    fn any_lines_are_compiled(lines in prop::collection::vec("[ -]{0,4}[a-z:*&!\\[\\]{}#|>'\"$, ]{0,12}", 0..12)) {
        check(&lines.join("\n"))?;
    }

    #[test]
    fn any_configuration_is_compiled(pairs in prop::collection::vec((word(), yaml(4)), 0..6)) {
        let lines: Vec<String> = pairs.iter().map(|(key, value)| format!("{key}: {value}")).collect();
        check(&lines.join("\n"))?;
    }

    #[test]
    fn any_job_is_compiled(pairs in prop::collection::vec((word(), yaml(3)), 0..6)) {
        let lines: Vec<String> = pairs.iter().map(|(key, value)| format!("  {key}: {value}")).collect();
        check(&format!("rspec:\n  script: x\n{}", lines.join("\n")))?;
    }
}
