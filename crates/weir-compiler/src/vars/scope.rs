//! Which of several variables of one name wins, and which stored ones a job may see.
//!
//! The order is that of GitLab's `lib/gitlab/ci/variables/builder.rb` and `Ci::Build#variables`.

use super::{ExpandError, Expansion, Variable, expand_all};
use std::sync::Arc;

/// Where a variable comes from, from the weakest to the strongest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// What exists once the job runs, like `CI_JOB_ID` and `CI_JOB_TOKEN`, and its id tokens.
    Started,
    /// The job's predefined variables, which its rules see and `include` and `workflow` do not.
    Job,
    /// The predefined variables of server, project, pipeline and commit, which everything sees.
    Predefined,
    /// The runner that took the job.
    Runner,
    /// The cluster or agent that the job deploys to.
    Deployment,
    /// `variables` at the top of the file, with those of matched `workflow:rules`.
    YamlGlobal,
    /// `variables` of the job, then its matrix, then its matched rule.
    YamlJob,
    /// The user who started it: `GITLAB_USER_*`.
    User,
    /// Dotenv reports of earlier jobs.
    Dotenv,
    /// The instance's settings.
    Instance,
    /// Groups, from the root to the nearest.
    Group,
    /// The project's settings.
    Project,
    /// Given when the pipeline was started, by a trigger, the API or an upstream job.
    Pipeline,
    /// The schedule's.
    Schedule,
    /// The release of the tag.
    Release,
    /// Given when the manual job was played.
    ManualJob,
    /// What nobody can override: `CI_ENVIRONMENT_SLUG`, `CI_ENVIRONMENT_URL`, `CI_PAGES_URL`.
    Final,
}

/// Variables of all levels, from the weakest to the strongest.
///
/// Copies share their variables: the ones of a pipeline are collected once, and every job adds its own to a
/// copy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Variables {
    entries: Vec<(Level, Arc<Variable>)>,
}

impl Variables {
    /// No variables.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a variable on top of those of its level.
    pub fn push(&mut self, level: Level, variable: Variable) {
        let at = self.entries.partition_point(|(other, _)| *other <= level);
        self.entries.insert(at, (level, Arc::new(variable)));
    }

    /// Adds variables on top of those of their level, the last one strongest.
    pub fn extend(&mut self, level: Level, variables: impl IntoIterator<Item = Variable>) {
        let at = self.entries.partition_point(|(other, _)| *other <= level);
        self.entries.splice(at..at, variables.into_iter().map(|variable| (level, Arc::new(variable))));
    }

    /// The strongest variable of a name.
    pub fn get(&self, key: &str) -> Option<&Variable> {
        self.entries.iter().rev().find(|(_, variable)| variable.key == key).map(|(_, variable)| &**variable)
    }

    /// The value that an expression sees: unexpanded, none for a null or undefined variable.
    pub fn value(&self, key: &str) -> Option<String> {
        self.get(key)?.value.clone()
    }

    /// All variables, weaker ones of a name included, from the weakest to the strongest.
    pub fn iter(&self) -> impl Iterator<Item = &Variable> {
        self.entries.iter().map(|(_, variable)| &**variable)
    }

    /// All variables with their levels.
    pub fn levels(&self) -> impl Iterator<Item = (Level, &Variable)> {
        self.entries.iter().map(|(level, variable)| (*level, &**variable))
    }

    /// The variables with their values expanded, in the order in which the runner gets them.
    pub fn expanded(&self, expansion: Expansion) -> Result<Vec<Variable>, ExpandError> {
        expand_all(self.iter(), expansion)
    }
}

/// A variable of the settings of an instance, a group or a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredVariable {
    /// The variable; such ones are not public.
    pub variable: Variable,
    /// The environments it is for; `*` stands for any text, also for jobs without environment.
    pub environment_scope: String,
    /// Whether only protected refs get it.
    pub protected: bool,
}

/// The stored variables of one project, group or instance that a job gets, the strongest last.
///
/// `environment` is the name of the job's environment; without one only the scope `*` applies. The scope that
/// is the name wins, then patterns, longer ones before shorter ones, then `*`
/// (`app/models/concerns/has_environment_scope.rb`).
pub fn applicable(
    stored: impl IntoIterator<Item = StoredVariable>,
    environment: Option<&str>,
    protected_ref: bool,
) -> Vec<Variable> {
    let mut ranked: Vec<_> = stored
        .into_iter()
        .filter(|stored| protected_ref || !stored.protected)
        .filter_map(|stored| {
            let scope = stored.environment_scope.as_str();
            let rank = match environment {
                _ if scope == "*" => (0, 0),
                Some(name) if scope == name => (2, 0),
                Some(name) if environment_scope_matches(scope, name) => (1, scope.len()),
                _ => return None,
            };
            Some((rank, stored.variable))
        })
        .collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().map(|(_, variable)| variable).collect()
}

/// Whether an environment scope covers an environment; `*` stands for any text, slashes included.
pub fn environment_scope_matches(scope: &str, environment: &str) -> bool {
    let mut parts = scope.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = environment.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn stronger_levels_win_whatever_the_order_of_insertion() {
        let weak_to_strong = [
            Level::Started,
            Level::Job,
            Level::Predefined,
            Level::Runner,
            Level::Deployment,
            Level::YamlGlobal,
            Level::YamlJob,
            Level::User,
            Level::Dotenv,
            Level::Instance,
            Level::Group,
            Level::Project,
            Level::Pipeline,
            Level::Schedule,
            Level::Release,
            Level::ManualJob,
            Level::Final,
        ];
        for pair in weak_to_strong.windows(2) {
            for order in [[0, 1], [1, 0]] {
                let mut variables = Variables::new();
                for at in order {
                    variables.push(pair[at], Variable::public("A", format!("{:?}", pair[at])));
                }
                assert_eq!(variables.value("A"), Some(format!("{:?}", pair[1])));
            }
        }
    }

    #[test]
    fn within_a_level_the_last_one_wins() {
        let mut variables = Variables::new();
        variables.extend(Level::Group, [Variable::private("A", "root"), Variable::private("A", "nearest")]);
        variables.push(Level::Instance, Variable::private("A", "instance"));
        variables.push(Level::Group, Variable::private("B", "b"));
        assert_eq!(variables.value("A").as_deref(), Some("nearest"));
        assert_eq!(
            variables.iter().map(Variable::text).collect::<Vec<_>>(),
            ["instance", "root", "nearest", "b"]
        );
        assert_eq!(variables.value("C"), None);
    }

    #[test]
    fn a_null_variable_hides_a_weaker_one() {
        let mut variables = Variables::new();
        variables.push(Level::Started, Variable::public("A", "a"));
        variables.push(Level::Predefined, Variable::nullable("A", None));
        assert_eq!(variables.value("A"), None);
    }

    #[test]
    fn the_payload_lists_weak_before_strong() {
        let mut variables = Variables::new();
        variables.push(Level::Project, Variable::private("A", "strong"));
        variables.push(Level::YamlJob, Variable::public("A", "weak"));
        variables.push(Level::YamlGlobal, Variable::public("B", "<$A>"));
        let payload = variables.expanded(Expansion::RUNNER).unwrap();
        let payload: Vec<_> =
            payload.iter().map(|variable| (variable.key.as_str(), variable.text())).collect();
        assert_eq!(payload, [("A", "weak"), ("A", "strong"), ("B", "<strong>")]);
    }

    #[test]
    fn environment_scopes_match_with_wildcards() {
        for (scope, environment, expected) in [
            ("*", "", true),
            ("*", "production", true),
            ("production", "production", true),
            ("production", "Production", false),
            ("prod", "production", false),
            ("review/*", "review/app/1", true),
            ("review/*", "review", false),
            ("*/app", "review/app", true),
            ("*/app", "review/app/1", false),
            ("review/*/db", "review/a/db", true),
            ("review/*/db", "review/db", false),
            ("a*b*c", "abc", true),
            ("a*b*c", "acb", false),
            ("aa*aa", "aaa", false),
            ("a_c", "abc", false),
            ("a%", "abc", false),
            ("", "", true),
            ("**", "x", true),
        ] {
            assert_eq!(environment_scope_matches(scope, environment), expected, "{scope} {environment}");
        }
    }

    #[test]
    fn jobs_get_the_variables_of_their_environment_and_protection() {
        let stored = |scope: &str, protected| StoredVariable {
            variable: Variable::private("A", scope),
            environment_scope: scope.to_owned(),
            protected,
        };
        let all = [
            stored("review/app", false),
            stored("review/*", false),
            stored("*", false),
            stored("*", true),
            stored("r*", false),
            stored("staging", false),
        ];
        for (environment, protected_ref, expected) in [
            (None, false, &["*"][..]),
            (None, true, &["*", "*"]),
            (Some("review/app"), false, &["*", "r*", "review/*", "review/app"]),
            (Some("review/2"), false, &["*", "r*", "review/*"]),
            (Some("staging"), false, &["*", "staging"]),
            (Some("production"), true, &["*", "*"]),
        ] {
            let scopes: Vec<_> = applicable(all.clone(), environment, protected_ref)
                .iter()
                .map(|variable| variable.text().to_owned())
                .collect();
            assert_eq!(scopes, expected, "{environment:?} {protected_ref}");
        }
    }

    proptest! {
        #[test]
        fn a_scope_made_from_a_name_matches_it(parts in proptest::collection::vec("[ab/]{0,4}", 1..5), gaps in proptest::collection::vec("[ab/]{0,4}", 4)) {
            let scope = parts.join("*");
            let name: String = parts.iter().enumerate().flat_map(|(at, part)| {
                let gap = if at == 0 { "" } else { gaps[at - 1].as_str() };
                [gap.to_owned(), part.clone()]
            }).collect();
            prop_assert!(environment_scope_matches(&scope, &name), "{scope} {name}");
        }
    }
}
