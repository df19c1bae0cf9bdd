//! References to variables in texts and in the values of other variables.
//!
//! GitLab has two ways. A text of the configuration is replaced once ([`expand`], `lib/expand_variables.rs`).
//! A list of variables is sorted by dependency and then replaced value by value ([`expand_all`],
//! `lib/gitlab/ci/variables/collection.rb`); there `$$` and `%%` stay, for the runner to read.

use super::Variable;
use crate::limits;
use std::collections::HashMap;

/// What becomes of a reference to a variable that does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum References {
    /// It becomes nothing.
    Blank,
    /// It stays as written.
    Keep,
}

/// How a list of variables is expanded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expansion {
    /// What becomes of references to nothing.
    pub unknown: References,
    /// Whether references to file variables become their content; otherwise they stay.
    pub files: bool,
    /// Whether references to raw variables become their value; otherwise they stay.
    pub raws: bool,
}

impl Expansion {
    /// For the server's own use: all references become values.
    pub const fn server(unknown: References) -> Self {
        Self { unknown, files: true, raws: true }
    }

    /// For the payload of a job: the runner knows files by their path, and it must know which part of a value
    /// is raw, so those references are left to it.
    pub const RUNNER: Self = Self { unknown: References::Keep, files: false, raws: false };
}

/// Why variables cannot be expanded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpandError {
    /// Variables need each other's values. Each list is one circle, in the order in which it was walked.
    #[error("circular variable reference detected: {}", inspect(.0))]
    Circular(Vec<Vec<String>>),
    /// Values that contain each other several times over grow beyond all bounds.
    #[error("the expanded variables are larger than {} bytes", limits::EXPANDED_BYTES)]
    TooLarge,
}

/// Ruby's `inspect` of lists of names.
fn inspect(circles: &[Vec<String>]) -> String {
    circles.iter().map(|circle| format!("{circle:?}")).collect::<Vec<_>>().join(", ")
}

/// Replaces the references in a text once, without looking into the values.
///
/// `$$NAME` is a dollar sign and a reference here.
pub fn expand<'v>(text: &str, unknown: References, lookup: impl Fn(&str) -> Option<&'v Variable>) -> String {
    replace(text, Escapes::No, |reference, name| {
        match (lookup(name).and_then(|variable| variable.value.as_deref()), unknown) {
            (Some(value), _) => value,
            (None, References::Blank) => "",
            (None, References::Keep) => reference,
        }
    })
}

/// Expands the values of all variables, each by those that it refers to.
///
/// The result is in the order of dependency, otherwise of the list. Of several variables with one name the
/// last one counts. A variable may refer to a weaker one of its own name: `PATH: $PATH:/opt/bin`.
pub fn expand_all<'v>(
    variables: impl IntoIterator<Item = &'v Variable>,
    expansion: Expansion,
) -> Result<Vec<Variable>, ExpandError> {
    let variables: Vec<&Variable> = variables.into_iter().collect();
    let order = Sort::new(&variables).run()?;
    let mut expanded: Vec<Variable> = Vec::with_capacity(variables.len());
    let mut latest: HashMap<&str, usize> = HashMap::with_capacity(variables.len());
    let mut bytes = 0;
    for index in order {
        let variable = variables[index];
        let value = match &variable.value {
            Some(value) if refers(variable) => {
                Some(replace(value, Escapes::Stay, |reference, name| match latest.get(name) {
                    Some(&at) => {
                        let target = &expanded[at];
                        // A file that is raw too counts as a file.
                        let stays =
                            if target.file { !expansion.files } else { target.raw && !expansion.raws };
                        if stays { reference } else { target.text() }
                    }
                    None if expansion.unknown == References::Keep => reference,
                    None => "",
                }))
            }
            value => value.clone(),
        };
        bytes += value.as_ref().map_or(0, String::len);
        if bytes > limits::EXPANDED_BYTES {
            return Err(ExpandError::TooLarge);
        }
        latest.insert(&variable.key, expanded.len());
        expanded.push(Variable { value, ..variable.clone() });
    }
    Ok(expanded)
}

/// Whether a value may hold references that are to be expanded.
fn refers(variable: &Variable) -> bool {
    !variable.raw && variable.text().contains(['$', '%'])
}

/// Whether `$$` and `%%` are read as one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Escapes {
    /// Each sign counts for itself.
    No,
    /// Both stay and start no reference.
    Stay,
}

/// One piece of a text.
enum Piece<'t> {
    Text(&'t str),
    Reference { text: &'t str, name: &'t str },
}

/// Splits a text into references and what stands between.
fn pieces(text: &str, escapes: Escapes) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut from = 0;
        loop {
            let Some(at) = rest[from..].find(['$', '%']).map(|at| from + at) else {
                return Some(Piece::Text(std::mem::take(&mut rest)));
            };
            let sign = &rest[at..];
            if escapes == Escapes::Stay && (sign.starts_with("$$") || sign.starts_with("%%")) {
                from = at + 2;
            } else if let Some((name, len)) = reference(sign) {
                if at > 0 {
                    let (before, after) = rest.split_at(at);
                    rest = after;
                    return Some(Piece::Text(before));
                }
                let (text, after) = rest.split_at(len);
                rest = after;
                return Some(Piece::Reference { text, name });
            } else {
                from = at + 1;
            }
        }
    })
}

/// The names in a text's references, in their order.
pub(super) fn references(text: &str) -> impl Iterator<Item = &str> {
    pieces(text, Escapes::No).filter_map(|piece| match piece {
        Piece::Reference { name, .. } => Some(name),
        Piece::Text(_) => None,
    })
}

/// The name and the length of `$NAME`, `${NAME}` or `%NAME%` at the start of a text.
fn reference(text: &str) -> Option<(&str, usize)> {
    let (open, close) = match text.as_bytes() {
        [b'$', b'{', ..] => (2, "}"),
        [b'%', ..] => (1, "%"),
        _ => (1, ""),
    };
    let inner = &text[open..];
    let name = &inner[..inner.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inner.len())];
    let named = name.starts_with(|c: char| !c.is_ascii_digit());
    (named && inner[name.len()..].starts_with(close)).then_some((name, open + name.len() + close.len()))
}

/// Puts values in the place of references; `value` gets a reference and the name in it.
///
/// Stops once the result is larger than all values together may be.
fn replace<'s>(text: &'s str, escapes: Escapes, value: impl Fn(&'s str, &'s str) -> &'s str) -> String {
    let mut out = String::with_capacity(text.len());
    for piece in pieces(text, escapes) {
        out.push_str(match piece {
            Piece::Text(text) => text,
            Piece::Reference { text, name } => value(text, name),
        });
        if out.len() > limits::EXPANDED_BYTES {
            break;
        }
    }
    out
}

/// Tarjan's strongly connected components, as Ruby's `TSort` walks them, without recursion.
struct Sort<'v> {
    variables: &'v [&'v Variable],
    by_key: HashMap<&'v str, Vec<usize>>,
    /// When a variable was found, and the earliest one on the stack that it reaches.
    found: Vec<Option<usize>>,
    low: Vec<usize>,
    on_stack: Vec<bool>,
    stack: Vec<usize>,
    order: Vec<usize>,
    circles: Vec<Vec<String>>,
}

impl<'v> Sort<'v> {
    fn new(variables: &'v [&'v Variable]) -> Self {
        let mut by_key: HashMap<&str, Vec<usize>> = HashMap::with_capacity(variables.len());
        for (index, variable) in variables.iter().enumerate() {
            by_key.entry(&variable.key).or_default().push(index);
        }
        let len = variables.len();
        Self {
            variables,
            by_key,
            found: vec![None; len],
            low: vec![0; len],
            on_stack: vec![false; len],
            stack: Vec::new(),
            order: Vec::with_capacity(len),
            circles: Vec::new(),
        }
    }

    /// The variables that a value refers to, all of each name, each name once.
    fn dependencies(&self, index: usize) -> Vec<usize> {
        let variable = self.variables[index];
        if !refers(variable) {
            return Vec::new();
        }
        let mut names: Vec<&str> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for piece in pieces(variable.text(), Escapes::Stay) {
            if let Piece::Reference { name, .. } = piece
                && seen.insert(name)
            {
                names.push(name);
            }
        }
        names.iter().filter_map(|name| self.by_key.get(name)).flatten().copied().collect()
    }

    fn run(mut self) -> Result<Vec<usize>, ExpandError> {
        for root in 0..self.variables.len() {
            if self.found[root].is_none() {
                self.walk(root);
            }
        }
        if self.circles.is_empty() { Ok(self.order) } else { Err(ExpandError::Circular(self.circles)) }
    }

    fn walk(&mut self, root: usize) {
        let mut path = vec![self.enter(root)];
        while let Some((index, dependencies)) = path.last_mut() {
            let index = *index;
            if let Some(next) = dependencies.next() {
                match self.found[next] {
                    None => path.push(self.enter(next)),
                    Some(found) if self.on_stack[next] => self.low[index] = self.low[index].min(found),
                    Some(_) => {}
                }
                continue;
            }
            path.pop();
            if let Some((parent, _)) = path.last() {
                self.low[*parent] = self.low[*parent].min(self.low[index]);
            }
            if self.found[index] == Some(self.low[index]) {
                self.leave(index);
            }
        }
    }

    fn enter(&mut self, index: usize) -> (usize, std::vec::IntoIter<usize>) {
        let found = self.order.len() + self.stack.len();
        self.found[index] = Some(found);
        self.low[index] = found;
        self.on_stack[index] = true;
        self.stack.push(index);
        (index, self.dependencies(index).into_iter())
    }

    /// Takes a component, whose first variable is `index`, from the stack.
    fn leave(&mut self, index: usize) {
        let from = self.stack.iter().rposition(|on_stack| *on_stack == index).unwrap_or_default();
        let component = self.stack.split_off(from);
        if component.len() > 1 {
            self.circles.push(component.iter().map(|member| self.variables[*member].key.clone()).collect());
        }
        for member in component {
            self.on_stack[member] = false;
            self.order.push(member);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn variables(pairs: &[(&str, &str)]) -> Vec<Variable> {
        pairs.iter().map(|(key, value)| Variable::public(*key, *value)).collect()
    }

    fn values(expanded: &[Variable]) -> Vec<String> {
        expanded.iter().map(|variable| format!("{}={}", variable.key, variable.text())).collect()
    }

    #[test]
    fn references_in_a_text_are_replaced_once() {
        let known = variables(&[("A", "1"), ("B", "$A"), ("_x9", "y"), ("EMPTY", "")]);
        let lookup = |name: &str| known.iter().find(|variable| variable.key == name);
        for (text, blank, keep) in [
            ("", "", ""),
            ("plain", "plain", "plain"),
            ("$A", "1", "1"),
            ("${A}", "1", "1"),
            ("%A%", "1", "1"),
            ("$A$A%A%${A}", "1111", "1111"),
            ("$B", "$A", "$A"),
            ("$_x9-${_x9}", "y-y", "y-y"),
            ("$EMPTY|", "|", "|"),
            ("$NO|${NO}|%NO%", "||", "$NO|${NO}|%NO%"),
            ("$AB", "", "$AB"),
            ("$$A", "$1", "$1"),
            ("%%A%", "%1", "%1"),
            ("100%", "100%", "100%"),
            ("%A", "%A", "%A"),
            ("%A %A%", "%A 1", "%A 1"),
            ("$", "$", "$"),
            ("${", "${", "${"),
            ("${}", "${}", "${}"),
            ("${A", "${A", "${A"),
            ("${A-x}", "${A-x}", "${A-x}"),
            ("$1", "$1", "$1"),
            ("$(A)", "$(A)", "$(A)"),
            ("é$Aé", "é1é", "é1é"),
        ] {
            assert_eq!(expand(text, References::Blank, lookup), blank, "{text}, blank");
            assert_eq!(expand(text, References::Keep, lookup), keep, "{text}, keep");
        }
    }

    #[test]
    fn a_null_variable_is_kept_like_an_unknown_one() {
        let null = Variable::nullable("A", None);
        assert_eq!(expand("$A", References::Keep, |_| Some(&null)), "$A");
        assert_eq!(expand("$A", References::Blank, |_| Some(&null)), "");
    }

    #[test]
    fn values_are_expanded_in_the_order_of_dependency() {
        let list = variables(&[("C", "$B-c"), ("A", "a"), ("B", "${A}b"), ("D", "%C%%A%")]);
        let expanded = expand_all(&list, Expansion::RUNNER).unwrap();
        assert_eq!(values(&expanded), ["A=a", "B=ab", "C=ab-c", "D=ab-ca"]);
    }

    #[test]
    fn doubled_signs_stay_in_values() {
        let list = variables(&[("A", "a"), ("B", "$$A %%A% $A $$$A ${} %%")]);
        let expanded = expand_all(&list, Expansion::server(References::Blank)).unwrap();
        assert_eq!(expanded[1].text(), "$$A %%A% a $$a ${} %%");
    }

    #[test]
    fn unknown_references_stay_or_vanish() {
        let list = variables(&[("A", "<$NO>")]);
        assert_eq!(expand_all(&list, Expansion::RUNNER).unwrap()[0].text(), "<$NO>");
        assert_eq!(expand_all(&list, Expansion::server(References::Blank)).unwrap()[0].text(), "<>");
    }

    #[test]
    fn the_last_variable_of_a_name_counts() {
        let list = variables(&[("A", "weak"), ("B", "$A"), ("A", "strong")]);
        let expanded = expand_all(&list, Expansion::RUNNER).unwrap();
        assert_eq!(values(&expanded), ["A=weak", "A=strong", "B=strong"]);
    }

    #[test]
    fn a_variable_may_extend_a_weaker_one_of_its_name() {
        let list = variables(&[("PATH", "/bin"), ("PATH", "$PATH:/opt/bin"), ("ALONE", "$ALONE:x")]);
        let expanded = expand_all(&list, Expansion::RUNNER).unwrap();
        assert_eq!(values(&expanded), ["PATH=/bin", "PATH=/bin:/opt/bin", "ALONE=$ALONE:x"]);
    }

    #[test]
    fn raw_values_stay_and_the_runner_resolves_references_to_them() {
        let raw = Variable { raw: true, ..Variable::public("RAW", "$A") };
        let list = [Variable::public("A", "a"), raw, Variable::public("B", "<$RAW>")];
        let for_runner = expand_all(&list, Expansion::RUNNER).unwrap();
        assert_eq!(values(&for_runner), ["A=a", "RAW=$A", "B=<$RAW>"]);
        let for_server = expand_all(&list, Expansion::server(References::Keep)).unwrap();
        assert_eq!(values(&for_server), ["A=a", "RAW=$A", "B=<$A>"]);
    }

    #[test]
    fn file_variables_are_their_content_only_on_the_server() {
        let file = Variable { file: true, ..Variable::private("KEY", "secret") };
        let list = [file, Variable::public("B", "<$KEY>")];
        assert_eq!(expand_all(&list, Expansion::RUNNER).unwrap()[1].text(), "<$KEY>");
        assert_eq!(expand_all(&list, Expansion::server(References::Keep)).unwrap()[1].text(), "<secret>");
    }

    #[test]
    fn circles_are_reported_in_the_order_of_the_walk() {
        let error = |pairs| expand_all(&variables(pairs), Expansion::RUNNER).unwrap_err().to_string();
        insta::assert_snapshot!(
            error(&[("A", "$B"), ("B", "$A")]),
            @r#"circular variable reference detected: ["A", "B"]"#
        );
        insta::assert_snapshot!(
            error(&[("X", "$A"), ("A", "$B"), ("B", "${C}$X"), ("C", "c"), ("P", "%Q%"), ("Q", "$P")]),
            @r#"circular variable reference detected: ["X", "A", "B"], ["P", "Q"]"#
        );
        insta::assert_snapshot!(
            error(&[("A", "$A"), ("A", "$A")]),
            @r#"circular variable reference detected: ["A", "A"]"#
        );
    }

    #[test]
    fn a_raw_variable_breaks_a_circle() {
        let list = [Variable { raw: true, ..Variable::public("A", "$B") }, Variable::public("B", "$A")];
        assert_eq!(values(&expand_all(&list, Expansion::RUNNER).unwrap()), ["A=$B", "B=$A"]);
    }

    #[test]
    fn values_that_double_each_other_are_refused() {
        let list: Vec<Variable> = (1..=40)
            .map(|n| Variable::public(format!("A{n}"), format!("$A{0}$A{0}", n - 1)))
            .chain([Variable::public("A0", "x")])
            .collect();
        assert_eq!(expand_all(&list, Expansion::RUNNER), Err(ExpandError::TooLarge));
    }

    #[test]
    fn a_long_chain_needs_no_deep_stack() {
        let chain: Vec<Variable> =
            (0..20_000).map(|n| Variable::public(format!("A{n}"), format!("$A{}", n + 1))).collect();
        assert_eq!(expand_all(&chain, Expansion::RUNNER).unwrap()[0].text(), "$A20000");
    }

    proptest! {
        #[test]
        fn any_text_expands(text in r"([$%{}A-C_]|\PC){0,32}") {
            let kept = expand(&text, References::Keep, |_| None);
            prop_assert_eq!(kept, text);
        }

        #[test]
        fn any_list_expands_or_is_refused(list in proptest::collection::vec(("[A-E]", r"([$%{}A-E ]|\$[A-E]|\PC){0,12}", any::<bool>()), 0..12)) {
            let list: Vec<Variable> = list
                .into_iter()
                .map(|(key, value, raw)| Variable { raw, ..Variable::public(key, value) })
                .collect();
            match expand_all(&list, Expansion::RUNNER) {
                Ok(expanded) => prop_assert_eq!(expanded.len(), list.len()),
                Err(error) => prop_assert!(matches!(error, ExpandError::Circular(_)), "{error}"),
            }
        }
    }
}
