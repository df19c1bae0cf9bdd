//! Protected branches and tags, and what they mean for whoever wants to run something on them.

use weir_api::AccessLevel;
use weir_compiler::fnmatch::Glob;
use weir_git::RefName;
use weir_store::pipelines::Pipeline;
use weir_store::projects::Project;
use weir_store::{Tx, protected_refs};

use super::access::Access;
use super::pipelines::NewVariable;
use crate::error::{Error, Result};

/// What the protection of one ref demands; several rules may cover it, then the mildest counts.
/// Source: `app/models/concerns/protected_ref.rb`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protection {
    /// The least level to push.
    pub push: AccessLevel,
    /// The least level to merge, which also allows to run pipelines.
    pub merge: AccessLevel,
    /// Whether history may be rewritten.
    pub force_push: bool,
}

impl Protection {
    /// Whether somebody with this level may push. What is kept from everyone is kept from administrators too.
    pub fn lets_push(self, level: AccessLevel) -> bool {
        self.push < AccessLevel::Admin && level >= self.push
    }

    /// Whether somebody with this level may merge.
    pub fn lets_merge(self, level: AccessLevel) -> bool {
        self.merge < AccessLevel::Admin && level >= self.merge
    }
}

/// The protection of a branch or tag; none if nothing covers it.
pub fn of_ref(tx: &mut Tx<'_>, project: &Project, name: &RefName) -> Result<Option<Protection>> {
    Ok(of_refs(tx, project, std::slice::from_ref(name))?.pop().flatten())
}

/// The protections of branches and tags, in their order.
pub fn of_refs(tx: &mut Tx<'_>, project: &Project, names: &[RefName]) -> Result<Vec<Option<Protection>>> {
    let (mut branches, mut tags) = (Vec::new(), Vec::new());
    if names.iter().any(|name| name.branch().is_some()) {
        branches = protected_refs::branches(tx, project.id)?;
    }
    if names.iter().any(|name| name.tag().is_some()) {
        tags = protected_refs::tags(tx, project.id)?;
    }
    let protection = |name: &RefName| {
        if let Some(branch) = name.branch() {
            let rules = branches.iter().filter(|rule| covers(&rule.name, branch.as_ref()));
            mildest(rules.map(|rule| Protection {
                push: rule.push_access_level,
                merge: rule.merge_access_level,
                force_push: rule.allow_force_push,
            }))
        } else if let Some(tag) = name.tag() {
            let rules = tags.iter().filter(|rule| covers(&rule.name, tag.as_ref()));
            mildest(rules.map(|rule| Protection {
                push: rule.create_access_level,
                merge: rule.create_access_level,
                force_push: false,
            }))
        } else {
            None
        }
    };
    Ok(names.iter().map(protection).collect())
}

fn mildest(rules: impl Iterator<Item = Protection>) -> Option<Protection> {
    // No access is the strictest level of all, not the mildest.
    let level = |level: AccessLevel| if level == AccessLevel::NoAccess { AccessLevel::Admin } else { level };
    rules.map(|rule| Protection { push: level(rule.push), merge: level(rule.merge), ..rule }).reduce(
        |one, other| Protection {
            push: one.push.min(other.push),
            merge: one.merge.min(other.merge),
            force_push: one.force_push || other.force_push,
        },
    )
}

/// Whether a rule's name, which may hold `*`, covers a ref's name. A `*` covers slashes too.
fn covers(rule: &str, name: &str) -> bool {
    if !rule.contains('*') {
        return rule == name;
    }
    // `fnmatch` stops `*` at a slash; refs are not paths, so slashes become something plain.
    Glob::new(&rule.replace('/', "\u{1}")).matches(&name.replace('/', "\u{1}"))
}

/// Demands that the caller may give variables to what runs; 403 if not.
/// Source: `app/services/ci/play_build_service.rb`.
pub fn demand_variables(access: &Access, given: &[NewVariable]) -> Result<()> {
    let minimum = access.project.settings.ci_pipeline_variables_minimum_override_role;
    let allowed = minimum.is_some_and(|minimum| access.standing.level >= minimum);
    if given.is_empty() || allowed { Ok(()) } else { Err(Error::Forbidden(None)) }
}

/// The full name of a pipeline's branch or tag, or of its merge request's ref.
pub fn full_name(pipeline: &Pipeline) -> Option<RefName> {
    if pipeline.ref_name.starts_with("refs/") {
        return RefName::new(pipeline.ref_name.as_str()).ok();
    }
    let kind = if pipeline.tag { "tags" } else { "heads" };
    RefName::new(format!("refs/{kind}/{}", pipeline.ref_name)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_covers_any_text_and_nothing_else_is_special() {
        for (rule, name, covered) in [
            ("main", "main", true),
            ("main", "main2", false),
            ("release/*", "release/1", true),
            ("release/*", "release/1/x", true),
            ("*-stable", "a/b-stable", true),
            ("*", "anything/at/all", true),
            ("release/*", "releases", false),
        ] {
            assert_eq!(covers(rule, name), covered, "{rule} {name}");
        }
    }
}
