//! `parallel`: one job becomes several, and whoever names it means all of them. Source:
//! `lib/gitlab/ci/config/normalizer.rb` and `normalizer/*.rb`.

use std::collections::HashMap;

use crate::keywords::job::Job;
use crate::keywords::needs::{Need, Needs};
use crate::keywords::parallel::{Parallel, Row};
use crate::limits::JOBS;
use crate::plan;

/// One job of the pipeline to be: a job of the file, or one instance of it.
#[derive(Debug, Clone)]
pub(crate) struct Instance<'j> {
    pub(crate) job: &'j Job,
    pub(crate) name: String,
    pub(crate) parallel: Option<plan::Parallel>,
    /// The values of its row of the matrix.
    pub(crate) matrix: Vec<(String, String)>,
    pub(crate) needs: Option<Vec<Need>>,
    pub(crate) dependencies: Option<Vec<(String, weir_yaml::Span)>>,
}

/// All jobs with their `parallel` expanded; equal names fall together, the later instance wins.
pub(crate) fn expand(jobs: &[Job]) -> Result<Vec<Instance<'_>>, String> {
    let mut names: HashMap<&str, Vec<String>> = HashMap::new();
    let mut instances: Vec<Instance<'_>> = Vec::with_capacity(jobs.len());
    let mut known: HashMap<String, usize> = HashMap::with_capacity(jobs.len());
    for job in jobs {
        let expanded = instances_of(job);
        if job.parallel.is_some() {
            let mut all: Vec<String> = expanded.iter().map(|instance| instance.name.clone()).collect();
            all.dedup();
            names.insert(&job.name, all);
        }
        for instance in expanded {
            if let Some(index) = known.get(&instance.name) {
                instances[*index] = instance;
            } else {
                known.insert(instance.name.clone(), instances.len());
                instances.push(instance);
            }
        }
        if instances.len() > JOBS {
            return Err(format!("The pipeline has more than {JOBS} jobs"));
        }
    }
    for instance in &mut instances {
        if let Some(needs) = &instance.job.needs {
            instance.needs = Some(fan_out(needs, &names, &instance.matrix, &instance.job.name)?);
        }
        instance.dependencies = instance.job.dependencies.as_ref().map(|dependencies| {
            dependencies
                .iter()
                .flat_map(|(name, span)| match names.get(name.as_str()) {
                    Some(all) => all.iter().map(|name| (name.clone(), *span)).collect(),
                    None => vec![(name.clone(), *span)],
                })
                .collect()
        });
    }
    // Rules may bring needs of their own; they are resolved by the same names when a rule matches.
    Ok(instances)
}

/// The names of all parallel jobs' instances, for the needs of rules.
pub(crate) fn instance_names(jobs: &[Job]) -> HashMap<&str, Vec<String>> {
    jobs.iter()
        .filter(|job| job.parallel.is_some())
        .map(|job| (job.name.as_str(), instances_of(job).into_iter().map(|instance| instance.name).collect()))
        .collect()
}

fn instances_of(job: &Job) -> Vec<Instance<'_>> {
    let plain = |name: String| Instance {
        job,
        name,
        parallel: None,
        matrix: Vec::new(),
        needs: None,
        dependencies: None,
    };
    match &job.parallel {
        None => vec![plain(job.name.clone())],
        Some(Parallel::Number(total)) => (1..=*total)
            .map(|index| Instance {
                parallel: Some(place(job, index, *total)),
                ..plain(format!("{} {index}/{total}", job.name))
            })
            .collect(),
        Some(Parallel::Matrix(rows)) => {
            let combinations: Vec<Vec<(String, String)>> = rows.iter().flat_map(product).collect();
            let total = combinations.len();
            combinations
                .into_iter()
                .enumerate()
                .map(|(index, matrix)| Instance {
                    parallel: Some(place(job, index + 1, total)),
                    ..Instance { matrix: matrix.clone(), ..plain(matrix_name(&job.name, &matrix)) }
                })
                .collect()
        }
    }
}

fn place(job: &Job, index: usize, total: usize) -> plan::Parallel {
    let number = |number| u32::try_from(number).unwrap_or(u32::MAX);
    plan::Parallel { group: job.name.clone(), index: number(index), total: number(total) }
}

fn matrix_name(name: &str, values: &[(String, String)]) -> String {
    let values: Vec<&str> = values.iter().map(|(_, value)| value.as_str()).collect();
    format!("{name}: [{}]", values.join(", "))
}

/// All combinations of a row, the last variable fastest. Their number is checked with the keyword.
fn product(row: &Row) -> Vec<Vec<(String, String)>> {
    let mut combinations = vec![Vec::new()];
    for (key, values) in row {
        combinations = combinations
            .into_iter()
            .flat_map(|before: Vec<(String, String)>| {
                values.iter().map(move |value| {
                    let mut with = before.clone();
                    with.push((key.clone(), value.clone()));
                    with
                })
            })
            .collect();
    }
    combinations
}

/// The needs by full names.
pub(crate) fn fan_out(
    needs: &Needs,
    names: &HashMap<&str, Vec<String>>,
    matrix: &[(String, String)],
    job: &str,
) -> Result<Vec<Need>, String> {
    let mut all = Vec::with_capacity(needs.jobs.len());
    for need in &needs.jobs {
        let name = interpolate(&need.name, matrix, job)?;
        let targets: Vec<String> = match (names.get(name.as_str()), &need.matrix) {
            (Some(_), Some(rows)) => {
                let mut targets = Vec::new();
                for row in rows {
                    for values in product(row) {
                        let values = values
                            .into_iter()
                            .map(|(key, value)| Ok((key, interpolate(&value, matrix, job)?)))
                            .collect::<Result<Vec<_>, String>>()?;
                        targets.push(matrix_name(&name, &values));
                    }
                }
                targets
            }
            (Some(instances), None) => instances.clone(),
            (None, _) => vec![name],
        };
        all.extend(targets.into_iter().map(|name| Need { name, matrix: None, ..need.clone() }));
    }
    Ok(all)
}

/// Puts the job's own matrix values in the place of `$[[ matrix.NAME ]]`.
fn interpolate(text: &str, matrix: &[(String, String)], job: &str) -> Result<String, String> {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("$[[") {
        let Some((block, behind)) = after.split_once("]]") else { break };
        let Some(name) = block.trim().strip_prefix("matrix.") else {
            result.push_str(before);
            result.push_str("$[[");
            rest = after;
            continue;
        };
        let Some((_, value)) = matrix.iter().find(|(key, _)| key == name) else {
            return Err(format!("{job} job: '{name}' does not exist in matrix configuration"));
        };
        result.push_str(before);
        result.push_str(value);
        rest = behind;
    }
    result.push_str(rest);
    Ok(result)
}

#[cfg(test)]
mod tests {
    use crate::plan::Scheduling;
    use crate::testing::{compile, errors_of};

    #[test]
    fn a_matrix_value_can_choose_the_needed_instance() {
        let text = |name: &str| {
            format!(
                "a: {{stage: build, script: x, parallel: {{matrix: [{{P: [1, 2]}}]}}}}\n\
                 b: {{script: x, parallel: {{matrix: [{{P: [1, 2]}}]}}, needs: [{{job: a, parallel: {{matrix: \
                 [{{P: ['$[[ matrix.{name} ]]']}}]}}}}]}}"
            )
        };
        let plan = compile(&text("P"));
        let needs: Vec<(&str, String)> = plan
            .jobs
            .iter()
            .filter_map(|job| match &job.scheduling {
                Scheduling::Needs(needs) => Some((job.name.as_str(), needs[0].job.clone())),
                Scheduling::Stage => None,
            })
            .collect();
        assert_eq!(needs, [("b: [1]", "a: [1]".to_owned()), ("b: [2]", "a: [2]".to_owned())]);
        assert_eq!(errors_of(&text("Q")), ["b job: 'Q' does not exist in matrix configuration"]);
    }

    #[test]
    fn a_pipeline_has_a_limited_number_of_jobs() {
        let text = (0..=crate::limits::JOBS / crate::limits::PARALLEL)
            .fold(String::new(), |text, n| format!("{text}j{n}: {{script: x, parallel: 200}}\n"));
        assert_eq!(errors_of(&text), ["The pipeline has more than 10000 jobs"]);
    }

    #[test]
    fn dependencies_mean_all_instances() {
        let plan = compile("a: {stage: build, script: x, parallel: 2}\nb: {script: x, dependencies: [a]}");
        let expected = crate::plan::Dependencies::Only(vec!["a 1/2".to_owned(), "a 2/2".to_owned()]);
        assert_eq!(plan.jobs[2].dependencies, expected);
    }
}
