//! Whose artifacts a job downloads.

use weir_compiler::plan::{Dependencies, Job, Scheduling};
use weir_engine::dependencies;

use crate::scenario::{Keywords, Scenario, bridge, job, plan};

fn only(names: &[&str]) -> Dependencies {
    Dependencies::Only(names.iter().map(|&name| name.to_owned()).collect())
}

fn without_artifacts(job: Job) -> Job {
    job.with(|job| {
        if let Scheduling::Needs(needs) = &mut job.scheduling {
            for need in needs {
                need.artifacts = false;
            }
        }
    })
}

#[test]
fn needs_or_else_earlier_stages_are_narrowed_by_dependencies() {
    let last = || job("last").stage(2);
    for (last, expected) in [
        (last(), &["a", "b", "c"][..]),
        (last().with(|job| job.dependencies = only(&["b", "c"])), &["b", "c"]),
        (last().with(|job| job.dependencies = only(&[])), &[]),
        (last().needs(&["a", "c"]), &["a", "c"]),
        (last().needs(&["beside"]), &["beside"]),
        (last().needs(&[]), &[]),
        (without_artifacts(last().needs(&["a"])), &[]),
        (last().needs(&["a", "c"]).with(|job| job.dependencies = only(&["c"])), &["c"]),
        (last().needs(&["a"]).with(|job| job.dependencies = only(&[])), &[]),
    ] {
        let plan = plan([
            job("a"),
            job("b"),
            bridge("bridge"),
            job("c").stage(1),
            last.clone(),
            job("beside").stage(2),
            job("later").stage(3),
        ]);
        let scenario = Scenario::from(&plan);
        let found = dependencies::of(&scenario.state, scenario.index("last"), &last);
        let names: Vec<&str> = found.iter().map(|&index| scenario.state.job(index).name.as_str()).collect();
        assert_eq!(names, expected, "{last:?}");
    }
}

#[test]
fn only_the_newest_attempt_is_downloaded() {
    let last = job("last").stage(1);
    let scenario = Scenario::of([job("a"), last.clone()]).after("success a").after("retry a");
    assert_eq!(dependencies::of(&scenario.state, scenario.index("last"), &last), [scenario.index("a")]);
}

#[test]
fn erased_and_expired_artifacts_are_missed_and_absent_ones_are_not() {
    let scenario = Scenario::of([job("a")]).after("success a");
    assert!(dependencies::is_valid(scenario.job("a"), false));
    assert!(!dependencies::is_valid(scenario.job("a"), true));
    assert!(!dependencies::is_valid(scenario.after("erase a").job("a"), false));
}
