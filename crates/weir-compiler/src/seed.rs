//! From the checked configuration to the plan: rules and policies with the pipeline's facts. Source:
//! `lib/gitlab/ci/pipeline/seed/{build,stage,pipeline}.rb`.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use sha1::{Digest, Sha1};

use crate::compile::{Answer, Facts, FileId, Refusal, Request};
use crate::entry::Findings;
use crate::include::wildcard;
use crate::keywords::environment;
use crate::keywords::job::Job;
use crate::keywords::needs::Need;
use crate::keywords::root::Config;
use crate::keywords::rules::Rule;
use crate::keywords::stages::{POST, PRE};
use crate::limits::{NEEDS, PLAN_VARIABLES};
use crate::matrix::{self, Instance};
use crate::plan::{
    Action, AllowFailure, AutoCancel, Dependencies, Environment, Plan, Run, Scheduling, Variable, When,
};
use crate::regexp::Regexp;
use crate::rules::{Expanded, Outcome, Rules};
use crate::vars::predefined::{self, JobFacts};
use crate::vars::{Expansion, Level, References, Variables};
use crate::{Context, plan, policy};

/// The plan or why there is none; `None` while facts are missing.
pub(crate) fn plan(
    config: &Config,
    instances: &[Instance<'_>],
    context: &Context,
    facts: &mut Facts,
    findings: &mut Findings,
) -> Option<Result<Plan, Refusal>> {
    let mut variables = context.workflow_variables();
    variables.extend(Level::YamlGlobal, config.variables.iter().map(Into::into));
    let mut globals = config.variables.clone();
    let mut auto_cancel = config.workflow.auto_cancel;
    if let Some(rules) = &config.workflow.rules {
        match (Rules { facts, variables: &variables }).evaluate(rules) {
            Outcome::Missing => return None,
            Outcome::Match(rule) if rule.when.as_deref() != Some("never") => {
                put_all(&mut globals, &rule.variables);
                auto_cancel.on_new_commit = rule.auto_cancel.on_new_commit.or(auto_cancel.on_new_commit);
                auto_cancel.on_job_failure_all =
                    rule.auto_cancel.on_job_failure_all.or(auto_cancel.on_job_failure_all);
            }
            Outcome::Match(_) | Outcome::NoMatch => return Some(Err(Refusal::FilteredByWorkflowRules)),
            Outcome::Error(message) => {
                findings.error("rule", None, format!("Failed to parse rule for workflow: {message}"));
                return Some(Err(Refusal::ConfigError));
            }
        }
    }
    let mut seeder = Seeder {
        context,
        globals,
        variables: 0,
        names: matrix::instance_names(&config.jobs),
        facts,
        findings,
    };
    let mut seeds = Vec::with_capacity(instances.len());
    let mut missing = false;
    for instance in instances {
        match seeder.seed(instance) {
            Seeded::Missing => missing = true,
            Seeded::Out => {}
            Seeded::In(seed) => seeds.push(*seed),
        }
        if seeder.variables > PLAN_VARIABLES {
            let message = format!("The jobs of the pipeline have more than {PLAN_VARIABLES} variables");
            seeder.findings.error("variables", None, message);
            return Some(Err(Refusal::ConfigError));
        }
    }
    if missing {
        return None;
    }
    seeder.check_needs(&seeds);
    if seeder.findings.has_errors() {
        return Some(Err(Refusal::ConfigError));
    }
    if seeds.iter().all(|seed| seed.stage == PRE || seed.stage == POST) {
        return Some(Err(Refusal::FilteredByRules));
    }
    let mut plan = assemble(&config.stages, seeds);
    plan.auto_cancel = AutoCancel {
        on_new_commit: auto_cancel.on_new_commit,
        on_job_failure_all: auto_cancel.on_job_failure_all.unwrap_or(false),
    };
    plan.name = config.workflow.name.as_ref().and_then(|name| {
        let mut variables = context.workflow_variables();
        variables.extend(Level::YamlGlobal, seeder.globals.iter().map(Into::into));
        let name = Expanded::new(&variables, References::Blank).expand(name).trim().to_owned();
        (!name.is_empty()).then_some(name)
    });
    Some(Ok(plan))
}

/// A job that is in the pipeline, its stage by name.
struct Seed {
    stage: String,
    job: plan::Job,
    needs: Option<Vec<Need>>,
    span: weir_yaml::Span,
}

enum Seeded {
    Missing,
    Out,
    In(Box<Seed>),
}

struct Seeder<'a> {
    context: &'a Context,
    /// Global variables, those of the matching workflow rule on top.
    globals: Vec<Variable>,
    /// How many variables all jobs have so far.
    variables: usize,
    names: HashMap<&'a str, Vec<String>>,
    facts: &'a mut Facts,
    findings: &'a mut Findings,
}

impl Seeder<'_> {
    fn seed(&mut self, instance: &Instance<'_>) -> Seeded {
        let job = instance.job;
        let inherited =
            self.globals.iter().filter(|variable| job.inherit.variables.has(&variable.key)).cloned();
        let globals: Vec<Variable> = inherited.collect();
        let mut own = job.variables.clone();
        for (key, value) in &instance.matrix {
            put(&mut own, Variable { key: key.clone(), value: value.clone(), raw: false });
        }
        let complete = |mut variables: Variables| {
            variables.extend(Level::Job, predefined::job(&job_facts(instance)));
            variables.extend(Level::YamlGlobal, globals.iter().map(Into::into));
            variables.extend(Level::YamlJob, own.iter().map(Into::into));
            variables
        };
        let simple = complete(self.context.variables.clone());
        // The environment's name is expanded without what follows from it.
        let environment_name = job
            .environment
            .as_ref()
            .map(|environment| Expanded::new(&simple, References::Blank).expand(&environment.name));
        let mut of_environment = None;
        if let (Some(environment), Some(name)) = (&job.environment, &environment_name) {
            let scoped = self.context.variables_for(name);
            let variables = of_environment.insert(scoped.map_or_else(|| simple.clone(), complete));
            let facts = predefined::EnvironmentFacts {
                name: name.clone(),
                action: environment.action,
                tier: environment.deployment_tier.clone(),
                url: environment.url.clone(),
                ..predefined::EnvironmentFacts::default()
            };
            let facts = JobFacts { environment: Some(facts), ..JobFacts::default() };
            let more = predefined::job(&facts).into_iter();
            variables.extend(Level::Job, more.filter(|variable| variable.key.starts_with("CI_ENVIRONMENT_")));
        }

        let variables = of_environment.as_ref().unwrap_or(&simple);
        let mut rules = Rules { facts: self.facts, variables };
        let matched: Option<&Rule> = match &job.rules {
            Some(list) if list.is_empty() => None,
            Some(list) => match rules.evaluate(list) {
                Outcome::Missing => return Seeded::Missing,
                Outcome::NoMatch => return Seeded::Out,
                Outcome::Match(rule) if rule.when.as_deref() == Some("never") => return Seeded::Out,
                Outcome::Match(rule) => Some(rule),
                Outcome::Error(message) => {
                    let message = format!("Failed to parse rule for {}: {message}", instance.name);
                    self.findings.error("rule", Some(job.span), message);
                    return Seeded::Out;
                }
            },
            None => {
                match policy::includes(job.only.as_ref(), job.except.as_ref(), self.context, &mut rules) {
                    None => return Seeded::Missing,
                    Some(false) => return Seeded::Out,
                    Some(true) => None,
                }
            }
        };
        // Without a reference there is no circle; most jobs are done here.
        let refers = variables.iter().any(|variable| variable.text().contains(['$', '%']));
        if refers && let Err(error) = variables.expanded(Expansion::server(References::Keep)) {
            self.findings.error("variables", Some(job.span), format!("{}: {error}", instance.name));
        }
        let ruled = matched.filter(|rule| !rule.variables.is_empty()).map(|rule| {
            let with_rule = |mut variables: Variables| {
                variables.extend(Level::YamlJob, rule.variables.iter().map(Into::into));
                variables
            };
            (with_rule(simple.clone()), with_rule(variables.clone()))
        });
        let (simple, variables) =
            ruled.as_ref().map_or((&simple, variables), |(simple, variables)| (simple, variables));
        let keep = Expanded::new(variables, References::Keep);
        let blank = Expanded::new(variables, References::Blank);
        let mut yaml_variables = globals;
        put_all(&mut yaml_variables, &own);
        if let Some(rule) = matched {
            put_all(&mut yaml_variables, &rule.variables);
        }
        self.variables += yaml_variables.len();
        let needs = match matched.and_then(|rule| rule.needs.as_ref()) {
            Some(needs) if !needs.jobs.is_empty() => {
                matrix::fan_out(needs, &self.names, &instance.matrix, &job.name).ok()
            }
            _ => instance.needs.clone(),
        };
        let tags: std::collections::BTreeSet<String> = job
            .inheritable
            .tags
            .iter()
            .flatten()
            // Values stand here as written: GitLab expands tags once, not their values.
            .map(|tag| crate::vars::expand(tag, References::Keep, |name| variables.get(name)))
            .collect();
        let Some(caches) = caches(self.facts, job) else { return Seeded::Missing };
        let planned = plan::Job {
            name: instance.name.clone(),
            stage: 0,
            action: action(job, caches),
            when: when(matched.and_then(|rule| rule.when.as_deref()).or(job.when.as_deref())),
            start_in: matched.and_then(|rule| rule.start_in).or(job.start_in),
            allow_failure: allow_failure(job, matched),
            scheduling: Scheduling::Stage,
            dependencies: match &instance.dependencies {
                None => Dependencies::Default,
                Some(list) => Dependencies::Only(list.iter().map(|(name, _)| name.clone()).collect()),
            },
            variables: yaml_variables,
            tags: tags.into_iter().collect(),
            retry: job.inheritable.retry.clone(),
            timeout: job.inheritable.timeout,
            interruptible: matched
                .and_then(|rule| rule.interruptible)
                .or(job.inheritable.interruptible)
                .unwrap_or(false),
            resource_group: job
                .resource_group
                .as_deref()
                .map(|group| blank.expand(group))
                .filter(|group| environment::is_name(group)),
            environment: job.environment.as_ref().map(|environment| Environment {
                name: Expanded::new(simple, References::Blank).expand(&environment.name),
                auto_stop_in: environment.auto_stop_in.as_deref().map(|text| keep.expand(text)),
                deployment_tier: environment.deployment_tier.as_deref().map(|text| keep.expand(text)),
                ..environment.clone()
            }),
            parallel: instance.parallel.clone(),
            manual_confirmation: job.manual_confirmation.clone(),
            coverage: job.coverage.clone(),
        };
        Seeded::In(Box::new(Seed { stage: job.stage.clone(), job: planned, needs, span: job.span }))
    }

    /// Every need must be in the pipeline unless it is optional.
    fn check_needs(&mut self, seeds: &[Seed]) {
        let present: HashSet<&str> = seeds.iter().map(|seed| seed.job.name.as_str()).collect();
        for seed in seeds {
            let name = &seed.job.name;
            let needs = seed.needs.as_deref().unwrap_or_default();
            if needs.len() > NEEDS {
                let message = format!(
                    "{name}: one job can only need {NEEDS} others, but you have listed {}. See needs keyword \
                     documentation for more details",
                    needs.len()
                );
                self.findings.error("needs", Some(seed.span), message);
                continue;
            }
            for need in needs.iter().filter(|need| !need.optional && !present.contains(need.name.as_str())) {
                let target = &need.name;
                let message = format!(
                    "'{name}' job needs '{target}' job, but '{target}' does not exist in the pipeline. This might \
                     be because of the only, except, or rules keywords. To need a job that sometimes does not \
                     exist in the pipeline, use needs:optional."
                );
                let help = "set `optional: true` on this need, or give both jobs the same rules";
                self.findings.add(crate::Severity::Error, "needs", Some(need.span), message).help =
                    Some(help.to_owned());
            }
        }
    }
}

/// Puts the jobs into their stages; stages without a job fall away.
fn assemble(stages: &[String], seeds: Vec<Seed>) -> Plan {
    let used: HashSet<&str> = seeds.iter().map(|seed| seed.stage.as_str()).collect();
    let stages: Vec<String> = stages.iter().filter(|stage| used.contains(stage.as_str())).cloned().collect();
    let present: HashSet<String> = seeds.iter().map(|seed| seed.job.name.clone()).collect();
    let jobs = seeds
        .into_iter()
        .map(|seed| {
            let mut job = seed.job;
            job.stage = stages.iter().position(|stage| *stage == seed.stage).unwrap_or(0);
            if let Dependencies::Only(names) = &mut job.dependencies {
                names.retain(|name| present.contains(name));
            }
            if let Some(needs) = seed.needs {
                let needs = needs.into_iter().filter(|need| present.contains(&need.name));
                job.scheduling = Scheduling::Needs(
                    needs
                        .map(|need| plan::Need {
                            job: need.name,
                            artifacts: need.artifacts,
                            optional: need.optional,
                        })
                        .collect(),
                );
            }
            job
        })
        .collect();
    Plan { name: None, stages, jobs, auto_cancel: AutoCancel::default() }
}

/// The caches with their keys; none while facts are missing.
fn caches(facts: &mut Facts, job: &Job) -> Option<Vec<plan::Cache>> {
    let mut caches = Vec::new();
    for unkeyed in job.inheritable.cache.iter().flatten() {
        let mut cache = unkeyed.cache.clone();
        if let Some((files, of)) = &unkeyed.files {
            let digest = digest(facts, files, *of)?;
            cache.key = format!("{}-{digest}", cache.key);
        }
        caches.push(cache);
    }
    Some(caches)
}

/// The digest of what identifies files. Source: `lib/gitlab/ci/pipeline/seed/build/cache.rb`.
fn digest(facts: &mut Facts, files: &[String], of: FileId) -> Option<String> {
    let mut paths: Vec<String> = Vec::new();
    for file in files {
        if !file.contains('*') {
            paths.push(file.clone());
            continue;
        }
        let Answer::Paths(Some(all)) = facts.get(&Request::RepositoryPaths)? else { continue };
        let Ok(pattern) = Regexp::new(&wildcard(file)) else { continue };
        paths.extend(all.iter().filter(|path| pattern.is_match(path)).cloned());
    }
    paths.sort_unstable();
    paths.dedup();
    if paths.is_empty() {
        return Some("default".to_owned());
    }
    let Answer::Ids(ids) = facts.get(&Request::FileIds { paths, of })? else {
        return Some("default".to_owned());
    };
    let mut ids = ids.clone();
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        return Some("default".to_owned());
    }
    Some(sha1(&ids.join("-")))
}

/// The digest of a text in hexadecimal digits.
pub(crate) fn sha1(text: &str) -> String {
    let mut hex = String::with_capacity(40);
    for byte in Sha1::digest(text) {
        // Writing to a text cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

fn action(job: &Job, cache: Vec<plan::Cache>) -> Action {
    if job.is_bridge {
        return Action::Trigger(Box::new(job.trigger.clone().unwrap_or_default()));
    }
    let inheritable = &job.inheritable;
    let mut artifacts = inheritable.artifacts.clone();
    if let Some(folder) = &job.published {
        let paths = &mut artifacts.get_or_insert_default().paths;
        if !paths.contains(folder) {
            paths.push(folder.clone());
        }
    }
    Action::Run(Box::new(Run {
        before_script: inheritable.before_script.clone().unwrap_or_default(),
        script: job.script.clone(),
        after_script: inheritable.after_script.clone().unwrap_or_default(),
        pre_get_sources_script: inheritable.hooks.clone().unwrap_or_default(),
        image: inheritable.image.clone(),
        services: inheritable.services.clone().unwrap_or_default(),
        artifacts,
        cache,
        cross_needs: job.needs.as_ref().map(|needs| needs.cross.clone()).unwrap_or_default(),
    }))
}

fn when(word: Option<&str>) -> When {
    match word {
        Some("on_failure") => When::OnFailure,
        Some("always") => When::Always,
        Some("manual") => When::Manual,
        Some("delayed") => When::Delayed,
        _ => When::OnSuccess,
    }
}

/// A rule's word goes first; a job that is manual by itself may fail, one that a rule makes manual may not.
fn allow_failure(job: &Job, rule: Option<&Rule>) -> AllowFailure {
    match (rule.and_then(|rule| rule.allow_failure), &job.allow_failure) {
        (None, Some(own)) => own.clone(),
        (None, None) if job.when.as_deref() == Some("manual") => AllowFailure::Yes,
        (Some(true), _) => AllowFailure::Yes,
        (Some(false), _) | (None, None) => AllowFailure::No,
    }
}

/// What the job's predefined variables are made of, but for its environment.
fn job_facts(instance: &Instance<'_>) -> JobFacts {
    let job = instance.job;
    JobFacts {
        name: instance.name.clone(),
        stage: job.stage.clone(),
        manual: matches!(job.when.as_deref(), Some("manual" | "delayed")),
        node_index: instance.parallel.as_ref().map(|parallel| parallel.index),
        node_total: instance.parallel.as_ref().map(|parallel| parallel.total),
        ..JobFacts::default()
    }
}

fn put(variables: &mut Vec<Variable>, variable: Variable) {
    match variables.iter_mut().find(|known| known.key == variable.key) {
        Some(known) => *known = variable,
        None => variables.push(variable),
    }
}

/// Puts many variables on top; those that are there keep their position.
fn put_all(variables: &mut Vec<Variable>, more: &[Variable]) {
    let mut places: HashMap<String, usize> =
        variables.iter().enumerate().map(|(index, variable)| (variable.key.clone(), index)).collect();
    for variable in more {
        if let Some(index) = places.get(&variable.key) {
            variables[*index] = variable.clone();
        } else {
            places.insert(variable.key.clone(), variables.len());
            variables.push(variable.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::limits;
    use crate::testing::{compile, errors_of};

    #[test]
    fn rule_variables_lie_over_matrix_job_and_global_ones() {
        let plan = compile(
            "variables: {A: global, B: global, C: global, D: global}\n\
             rspec: {script: x, variables: {B: job, C: job, D: job}, parallel: {matrix: [{C: matrix, D: matrix}]}, \
             rules: [{if: $CI_COMMIT_BRANCH, variables: {D: rule}}]}",
        );
        let variables: Vec<(&str, &str)> =
            plan.jobs[0].variables.iter().map(|v| (v.key.as_str(), v.value.as_str())).collect();
        assert_eq!(variables, [("A", "global"), ("B", "job"), ("C", "matrix"), ("D", "rule")]);
    }

    #[test]
    fn variables_in_a_circle_are_refused_in_jobs_that_are_in() {
        let text = |rule: &str| {
            format!(
                "rspec: {{script: x, variables: {{A: $B, B: $A}}, rules: [{{{rule}}}]}}\nother: {{script: x}}"
            )
        };
        assert_eq!(
            errors_of(&text("if: $CI_COMMIT_BRANCH")),
            ["rspec: circular variable reference detected: [\"A\", \"B\"]"]
        );
        assert!(errors_of(&text("if: $NEVER")).is_empty());
    }

    #[test]
    fn needs_and_variables_have_limits() {
        let jobs: String =
            (0..=limits::NEEDS).fold(String::new(), |text, n| format!("{text}j{n}: {{script: x}}\n"));
        let needs: Vec<String> = (0..=limits::NEEDS).map(|n| format!("j{n}")).collect();
        let text = format!("{jobs}rspec: {{script: x, needs: [{}]}}", needs.join(", "));
        assert_eq!(
            errors_of(&text),
            [
                "rspec: one job can only need 50 others, but you have listed 51. See needs keyword documentation for \
              more details"
            ]
        );
        let variables: Vec<String> = (0..6_000).map(|n| format!("V{n}: {n}")).collect();
        let jobs = "{script: x, parallel: 200}";
        let text = format!("variables: {{{}}}\na: {jobs}\nb: {jobs}", variables.join(", "));
        assert_eq!(errors_of(&text), ["The jobs of the pipeline have more than 1000000 variables"]);
    }

    #[test]
    fn a_resource_group_is_expanded_and_dropped_if_it_cannot_be() {
        for (group, expected) in [
            ("production", Some("production")),
            ("$WHERE/x y.z", Some("there/x y.z")),
            ("$EMPTY", None),
            ("/$WHERE", None),
            ("$WHERE/", None),
            ("'a:b'", None),
        ] {
            let text =
                format!("variables: {{WHERE: there, EMPTY: ''}}\na: {{script: x, resource_group: {group}}}");
            let plan = crate::testing::compile(&text);
            assert_eq!(plan.jobs[0].resource_group.as_deref(), expected, "{group}");
        }
    }

    #[test]
    fn a_pipeline_of_edge_stages_alone_is_refused() {
        let compiled = crate::testing::compiled("a: {stage: .pre, script: x}\nb: {stage: .post, script: x}");
        assert_eq!(compiled.refusal, Some(crate::Refusal::FilteredByRules));
        assert!(compiled.plan.is_none() && compiled.errors().next().is_none());
    }
}
