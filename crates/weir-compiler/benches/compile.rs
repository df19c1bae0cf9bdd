//! What it costs to compile the configuration of a project of some size.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use weir_api::PipelineSource;
use weir_compiler::vars::{Level, Variable};
use weir_compiler::{Compilation, Compiled, Context, Step};

const PATH: &str = ".gitlab-ci.yml";
/// 300 lines: defaults, workflow, hidden jobs, references, matrices, rules, needs, caches, artifacts, environments.
const TEXT: &str = include_str!("project.gitlab-ci.yml");

fn compile() -> Compiled {
    let mut context = Context::new(PipelineSource::Push, "main", "group/project");
    context.default_branch = Some("main".to_owned());
    let known = [
        ("CI_PIPELINE_SOURCE", "push"),
        ("CI_COMMIT_BRANCH", "main"),
        ("CI_COMMIT_REF_SLUG", "main"),
        ("CI_DEFAULT_BRANCH", "main"),
        ("CI_COMMIT_MESSAGE", "Change something"),
        ("CI_PROJECT_PATH", "group/project"),
    ];
    context.variables.extend(Level::Predefined, known.map(|(key, value)| Variable::public(key, value)));
    let mut compilation = Compilation::new(PATH, Some(TEXT), context);
    match compilation.step() {
        Step::Done(compiled) => *compiled,
        Step::Need(requests) => panic!("the file needs {requests:?}"),
    }
}

fn benches(criterion: &mut Criterion) {
    let compiled = compile();
    let jobs = compiled.plan.as_ref().map(|plan| plan.jobs.len());
    assert!(jobs.is_some_and(|jobs| jobs >= 30), "{jobs:?} {:?}", compiled.diagnostics);
    criterion.bench_function("a file of 300 lines", |bencher| bencher.iter(|| black_box(compile())));
}

criterion_group!(all, benches);
criterion_main!(all);
