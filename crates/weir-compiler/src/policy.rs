//! `only` and `except`: whether a job is in the pipeline. Source: `lib/gitlab/ci/build/policy/*.rb`.

use weir_api::PipelineSource;

use crate::Context;
use crate::keywords::only::{Policy, looks_like_regexp};
use crate::keywords::rules::Changes;
use crate::regexp::Regexp;
use crate::rules::Rules;

/// Whether the job is in: every part of `only` holds and no part of `except`. None while facts are missing.
pub(crate) fn includes(
    only: Option<&Policy>,
    except: Option<&Policy>,
    context: &Context,
    rules: &mut Rules<'_>,
) -> Option<bool> {
    if let Some(only) = only {
        for part in Part::ALL {
            if !part.holds(only, context, rules, true)? {
                return Some(false);
            }
        }
    }
    if let Some(except) = except {
        for part in Part::ALL {
            if part.holds(except, context, rules, false)? {
                return Some(false);
            }
        }
    }
    Some(true)
}

#[derive(Clone, Copy)]
enum Part {
    Refs,
    Kubernetes,
    Variables,
    Changes,
}

impl Part {
    const ALL: [Self; 4] = [Self::Refs, Self::Kubernetes, Self::Variables, Self::Changes];

    /// Whether this part of a policy holds, `absent` if the policy does not have it. None while facts are
    /// missing.
    fn holds(self, policy: &Policy, context: &Context, rules: &mut Rules<'_>, absent: bool) -> Option<bool> {
        let held = match self {
            Self::Refs => {
                policy.refs.as_ref().map(|refs| refs.iter().any(|pattern| matches_ref(pattern, context)))
            }
            Self::Kubernetes => policy
                .kubernetes
                .then(|| rules.variables.value("CI_KUBERNETES_ACTIVE").as_deref() == Some("true")),
            Self::Variables => policy.variables.as_ref().map(|expressions| {
                let lookup = |name: &str| rules.variables.value(name);
                expressions.iter().any(|expression| expression.eval(&lookup).is_truthful())
            }),
            Self::Changes => match &policy.changes {
                // Without `compare_to` no ref can be wrong.
                Some(paths) => {
                    let changes = Changes { paths: paths.clone(), compare_to: None };
                    Some(rules.changes(&changes).unwrap_or(Some(true))?)
                }
                None => None,
            },
        };
        Some(held.unwrap_or(absent))
    }
}

fn matches_ref(pattern: &str, context: &Context) -> bool {
    let (pattern, project) = match pattern.split_once('@') {
        Some((pattern, project)) => (pattern, Some(project)),
        None => (pattern, None),
    };
    if project.is_some_and(|project| project != context.project_path) {
        return false;
    }
    let merge_request = context.source == PipelineSource::MergeRequestEvent;
    let source = context.source.as_str().trim_end_matches("_event");
    let plural = if source.ends_with("sh") { format!("{source}es") } else { format!("{source}s") };
    if pattern == source || pattern == plural {
        return true;
    }
    if merge_request {
        return false;
    }
    match pattern {
        "tags" if context.tag => true,
        "branches" if !context.tag => true,
        _ if looks_like_regexp(pattern) => {
            Regexp::from_literal(pattern).is_ok_and(|regexp| regexp.is_match(&context.ref_name))
        }
        _ => pattern == context.ref_name,
    }
}

#[cfg(test)]
mod tests {
    use weir_api::PipelineSource;

    use crate::testing::{Facts, compile_with, job_names};

    fn runs(policy: &str, source: PipelineSource, ref_name: &'static str, tag: bool) -> bool {
        let facts = Facts { source, ref_name, tag, ..Facts::default() };
        let text =
            format!("rspec: {{script: x, {policy}}}\nother: {{script: x, rules: [{{when: on_success}}]}}");
        job_names(&compile_with(&text, &facts)).contains(&"rspec".to_owned())
    }

    #[test]
    fn only_and_except_look_at_ref_source_and_variables() {
        use PipelineSource::{MergeRequestEvent, Pipeline, Push, Schedule};
        for (policy, source, ref_name, tag, expected) in [
            ("", Push, "main", false, true),
            ("", Push, "v1", true, true),
            ("", MergeRequestEvent, "main", false, false),
            ("only: [tags]", Push, "main", false, false),
            ("only: [tags]", Push, "v1", true, true),
            ("only: [main]", Push, "main", false, true),
            ("only: [main]", Push, "other", false, false),
            ("only: ['/^ma/']", Push, "main", false, true),
            ("only: ['/^MA/i']", Push, "main", false, true),
            ("only: ['/^x/']", Push, "main", false, false),
            ("only: [main@group/project]", Push, "main", false, true),
            ("only: [main@other/project]", Push, "main", false, false),
            ("only: [schedules]", Schedule, "main", false, true),
            ("only: [schedules]", Push, "main", false, false),
            ("only: [pushes]", Push, "main", false, true),
            ("only: [pipelines]", Pipeline, "main", false, true),
            ("only: [merge_requests]", MergeRequestEvent, "main", false, true),
            ("except: [main]", Push, "main", false, false),
            ("except: [main]", Push, "other", false, true),
            ("except: [branches]", Push, "v1", true, true),
            ("only: {variables: ['$CI_COMMIT_BRANCH == \"main\"']}", Push, "main", false, true),
            ("only: {variables: ['$NEVER', '$CI_COMMIT_BRANCH']}", Push, "main", false, true),
            ("only: {variables: ['$NEVER']}", Push, "main", false, false),
            ("only: {refs: [main], variables: ['$NEVER']}", Push, "main", false, false),
            ("except: {refs: [other], variables: ['$CI_COMMIT_BRANCH']}", Push, "main", false, false),
            ("only: {kubernetes: active}", Push, "main", false, false),
            ("only: null", Push, "main", false, true),
        ] {
            assert_eq!(runs(policy, source, ref_name, tag), expected, "{policy} {source} {ref_name}");
        }
    }
}
