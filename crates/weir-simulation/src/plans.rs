//! Random pipelines.

use weir_api::FailureReason;
use weir_compiler::Plan;
use weir_compiler::plan::{
    Action, AllowFailure, AutoCancel, Dependencies, Job, Need, OnNewCommit, Retry, RetryWhen, Run,
    Scheduling, Strategy, Trigger, When,
};

use crate::random::Random;

/// The tags that runners and jobs have.
pub(crate) const TAGS: [&str; 3] = ["docker", "gpu", "linux"];
/// The exit code that jobs allow, or are retried for.
pub(crate) const EXIT_CODE: i32 = 3;
/// The resource groups of each project.
pub(crate) const RESOURCE_GROUPS: [&str; 2] = ["production", "staging"];
const STAGES: u64 = 4;

/// A pipeline of at most `most` jobs. Bridges stand only where a child pipeline may.
pub(crate) fn plan(random: &mut Random, most: u64, bridges: bool) -> Plan {
    let mut places: Vec<u64> = (0..=random.below(most)).map(|_| random.below(STAGES)).collect();
    places.sort_unstable();
    let mut used = places.clone();
    used.dedup();
    let mut jobs: Vec<Job> = Vec::new();
    for (number, place) in places.iter().enumerate() {
        let stage = used.iter().position(|it| it == place).unwrap_or_default();
        let scheduling = scheduling(random, &jobs);
        jobs.push(job(random, format!("job{number}"), stage, scheduling, bridges));
    }
    // The order of the file is not the order of the stages.
    let turn = random.index(jobs.len()).unwrap_or_default();
    jobs.rotate_left(turn);
    Plan {
        name: None,
        stages: used.iter().map(|stage| format!("stage{stage}")).collect(),
        jobs,
        auto_cancel: AutoCancel {
            on_new_commit: random
                .one(&[
                    None,
                    Some(OnNewCommit::Conservative),
                    Some(OnNewCommit::Interruptible),
                    Some(OnNewCommit::None),
                ])
                .flatten(),
            on_job_failure_all: random.percent(10),
        },
    }
}

/// Needs point at jobs of earlier stages and of the same one.
fn scheduling(random: &mut Random, earlier: &[Job]) -> Scheduling {
    if random.percent(60) {
        return Scheduling::Stage;
    }
    let mut names: Vec<&str> = Vec::new();
    for _ in 0..random.below(4) {
        names.extend(random.index(earlier.len()).map(|index| earlier[index].name.as_str()));
    }
    names.sort_unstable();
    names.dedup();
    let need = |name: &&str| Need { job: (*name).to_owned(), artifacts: true, optional: false };
    Scheduling::Needs(names.iter().map(need).collect())
}

fn job(random: &mut Random, name: String, stage: usize, scheduling: Scheduling, bridges: bool) -> Job {
    let bridge = bridges && random.percent(20);
    let when = [
        (60, When::OnSuccess),
        (10, When::OnFailure),
        (10, When::Always),
        (10, When::Manual),
        (if bridge { 0 } else { 10 }, When::Delayed),
    ];
    let when = random.weighted(&when).unwrap_or_default();
    let allow_failure = match random.below(10) {
        0 | 1 => AllowFailure::Yes,
        2 => AllowFailure::ExitCodes(vec![EXIT_CODE]),
        _ => AllowFailure::No,
    };
    let action = if bridge {
        let strategy = random.one(&[None, Some(Strategy::Depend), Some(Strategy::Mirror)]).flatten();
        Action::Trigger(Box::new(Trigger { strategy, ..Trigger::default() }))
    } else {
        Action::Run(Box::new(Run { script: vec!["make".to_owned()], ..Run::default() }))
    };
    let tags = match random.below(10) {
        0 => vec![TAGS[0].to_owned()],
        1 => vec![TAGS[0].to_owned(), TAGS[2].to_owned()],
        2 => vec![TAGS[1].to_owned()],
        _ => Vec::new(),
    };
    Job {
        name,
        stage,
        action,
        when,
        start_in: (when == When::Delayed && random.percent(85)).then(|| 30 + random.below(7200)),
        allow_failure,
        scheduling,
        dependencies: Dependencies::Default,
        variables: Vec::new(),
        tags,
        retry: if bridge { None } else { retry(random) },
        timeout: random.percent(30).then(|| 300 + random.below(7200)),
        interruptible: random.percent(30),
        resource_group: (random.percent(12))
            .then(|| random.one(&RESOURCE_GROUPS).unwrap_or_default().to_owned()),
        environment: None,
        parallel: None,
        manual_confirmation: None,
        coverage: None,
    }
}

fn retry(random: &mut Random) -> Option<Retry> {
    if random.percent(65) {
        return None;
    }
    let reasons = [
        FailureReason::ScriptFailure,
        FailureReason::RunnerSystemFailure,
        FailureReason::StuckOrTimeoutFailure,
        FailureReason::JobExecutionTimeout,
    ];
    let when = match random.below(4) {
        0 => Vec::new(),
        1 => vec![RetryWhen::Always],
        _ => random.one(&reasons).map(RetryWhen::Reason).into_iter().collect(),
    };
    let exit_codes = if random.percent(20) { vec![EXIT_CODE] } else { Vec::new() };
    Some(Retry { max: u8::try_from(random.below(3)).unwrap_or_default(), when, exit_codes })
}
