//! Jobs must fit together: stages, needs, dependencies, `on_stop`, no circles. Source:
//! `lib/gitlab/ci/yaml_processor.rb` and `yaml_processor/dag.rb`.

use std::collections::{HashMap, HashSet};

use weir_api::environments::EnvironmentAction;
use weir_yaml::Span;

use crate::keywords::job::Job;
use crate::keywords::needs::Need;
use crate::matrix::{self, Instance};

/// The first mistake: GitLab's message and where.
#[derive(Debug)]
pub(crate) struct GraphError {
    pub(crate) message: String,
    pub(crate) span: Option<Span>,
}

/// Checks all jobs in the order of the file, then their needs for circles.
pub(crate) fn check(stages: &[String], jobs: &[Job], instances: &[Instance<'_>]) -> Result<(), GraphError> {
    let graph = Graph {
        stages,
        by_name: instances.iter().map(|instance| (instance.name.as_str(), instance)).collect(),
        names: matrix::instance_names(jobs),
    };
    for instance in instances {
        graph.job(instance)?;
    }
    graph.circles(instances)
}

struct Graph<'g> {
    stages: &'g [String],
    by_name: HashMap<&'g str, &'g Instance<'g>>,
    names: HashMap<&'g str, Vec<String>>,
}

impl Graph<'_> {
    fn stage_of(&self, instance: &Instance<'_>) -> Option<usize> {
        self.stages.iter().position(|stage| *stage == instance.job.stage)
    }

    fn job(&self, instance: &Instance<'_>) -> Result<(), GraphError> {
        let name = &instance.name;
        let fail = |message: String, span: Span| Err(GraphError { message, span: Some(span) });
        if self.stage_of(instance).is_none() {
            let message = format!(
                "{name} job: chosen stage {} does not exist; available stages are {}",
                instance.job.stage,
                self.stages.join(", ")
            );
            return fail(message, instance.job.stage_span);
        }
        for (dependency, span) in instance.dependencies.iter().flatten() {
            self.earlier(instance, dependency, "dependency", false, *span)?;
        }
        if let Some(needs) = &instance.needs {
            self.needs(instance, needs)?;
        }
        for rule in instance.job.rules.iter().flatten() {
            if let Some(needs) = &rule.needs {
                let needs = matrix::fan_out(needs, &self.names, &instance.matrix, &instance.job.name)
                    .map_err(|message| GraphError { message, span: Some(instance.job.span) })?;
                self.needs(instance, &needs)?;
            }
        }
        for include in instance.job.trigger.iter().flat_map(|trigger| &trigger.include) {
            let job = include.get("artifact").and_then(|_| include.get("job")?.as_str());
            if let Some(job) = job {
                self.earlier(instance, job, "dependency", false, instance.job.span)?;
            }
        }
        self.on_stop(instance)
    }

    fn needs(&self, instance: &Instance<'_>, needs: &[Need]) -> Result<(), GraphError> {
        let mut seen = HashSet::new();
        let mut twice: Vec<&str> =
            needs.iter().map(|need| need.name.as_str()).filter(|name| !seen.insert(*name)).collect();
        twice.dedup();
        if !twice.is_empty() {
            let message =
                format!("{} has the following needs duplicated: {}.", instance.name, twice.join(", "));
            return Err(GraphError { message, span: Some(instance.job.span) });
        }
        for need in needs {
            self.earlier(instance, &need.name, "need", need.optional, need.span)?;
        }
        Ok(())
    }

    /// The target must exist, in the same or an earlier stage.
    fn earlier(
        &self,
        instance: &Instance<'_>,
        target: &str,
        what: &str,
        optional: bool,
        span: Span,
    ) -> Result<(), GraphError> {
        let name = &instance.name;
        let Some(found) = self.by_name.get(target) else {
            if optional {
                return Ok(());
            }
            let message = format!("{name} job: undefined {what}: {target}");
            return Err(GraphError { message, span: Some(span) });
        };
        let (own, other) = (self.stage_of(instance), self.stage_of(found));
        if other.is_some() && other <= own {
            return Ok(());
        }
        let message = format!("{name} job: {what} {target} is not defined in current or prior stages");
        Err(GraphError { message, span: Some(span) })
    }

    fn on_stop(&self, instance: &Instance<'_>) -> Result<(), GraphError> {
        let Some(environment) = &instance.job.environment else { return Ok(()) };
        let Some(target) = &environment.on_stop else { return Ok(()) };
        let problem = match self.by_name.get(target.as_str()).map(|found| &found.job.environment) {
            None => "is not defined",
            Some(None) => "does not have environment defined",
            Some(Some(other)) if other.name != environment.name => "have different environment name",
            Some(Some(other)) if other.action != EnvironmentAction::Stop => {
                "needs to have action stop defined"
            }
            Some(Some(_)) => return Ok(()),
        };
        let message = format!("{} job: on_stop job {target} {problem}", instance.name);
        Err(GraphError { message, span: Some(instance.job.span) })
    }

    /// Ruby's `TSort`: depth first, in order; the stack from the repeated job on is the circle.
    fn circles(&self, instances: &[Instance<'_>]) -> Result<(), GraphError> {
        let mut done: HashSet<&str> = HashSet::new();
        for start in instances {
            // Each frame: a job and how many of its needs are visited.
            let mut stack: Vec<(&Instance<'_>, usize)> = Vec::new();
            let mut open: HashSet<&str> = HashSet::new();
            if !done.contains(start.name.as_str()) {
                stack.push((start, 0));
                open.insert(&start.name);
            }
            while let Some((instance, visited)) = stack.last_mut() {
                let instance = *instance;
                let needs = instance.needs.as_deref().unwrap_or_default();
                let Some(need) = needs.get(*visited) else {
                    open.remove(instance.name.as_str());
                    done.insert(&instance.name);
                    stack.pop();
                    continue;
                };
                *visited += 1;
                let circle = if need.name == instance.name {
                    Some(format!("self-dependency: {}", need.name))
                } else if open.contains(need.name.as_str()) {
                    let names: Vec<&str> = stack
                        .iter()
                        .map(|(instance, _)| instance.name.as_str())
                        .skip_while(|name| *name != need.name)
                        .collect();
                    Some(format!("topological sort failed: {names:?}"))
                } else {
                    None
                };
                if let Some(circle) = circle {
                    let message = format!("The pipeline has circular dependencies: {circle}");
                    return Err(GraphError { message, span: Some(need.span) });
                }
                if !done.contains(need.name.as_str())
                    && let Some(next) = self.by_name.get(need.name.as_str())
                {
                    open.insert(&next.name);
                    stack.push((next, 0));
                }
            }
        }
        Ok(())
    }
}
