//! `parallel`: a number or a matrix. Source: `entry/product/{parallel,matrix,variables}.rb`.

use weir_yaml::Value;

use crate::entry::{Entry, Findings};
use crate::limits::PARALLEL;

/// `parallel`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Parallel {
    /// So many equal jobs.
    Number(usize),
    /// One job for each combination; every row is a product of lists.
    Matrix(Vec<Row>),
}

/// Variables and their values, in order.
pub(crate) type Row = Vec<(String, Vec<String>)>;

/// `parallel`; bridges and `needs` allow the matrix only.
pub(crate) fn parse(entry: &Entry<'_>, findings: &mut Findings, number_allowed: bool) -> Option<Parallel> {
    match &entry.node.value {
        Value::Int(number) => {
            let before = findings.count();
            if *number < 1 {
                findings.invalid(entry, "config", "must be greater than or equal to 1");
            }
            let limit = i64::try_from(PARALLEL).unwrap_or(i64::MAX);
            if *number > limit {
                findings.invalid(entry, "config", &format!("must be less than or equal to {PARALLEL}"));
            }
            if !number_allowed {
                findings.invalid(entry, "config", "cannot use \"parallel: <number>\".");
            }
            let number = usize::try_from(*number).ok()?;
            (findings.count() == before).then_some(Parallel::Number(number))
        }
        Value::Float(_) | Value::BigInt(_) => {
            findings.invalid(entry, "config", "must be an integer");
            None
        }
        Value::Mapping(_) => {
            let before = findings.count();
            entry.allowed_keys(findings, &["matrix"]);
            entry.required_keys(findings, &["matrix"]);
            if findings.count() > before {
                return None;
            }
            matrix(&entry.child("matrix")?, findings).map(Parallel::Matrix)
        }
        _ => {
            findings.unsupported(entry, "should be an integer or a hash");
            None
        }
    }
}

fn matrix(entry: &Entry<'_>, findings: &mut Findings) -> Option<Vec<Row>> {
    let before = findings.count();
    let items = entry.node.as_sequence().filter(|items| items.iter().all(|item| item.as_mapping().is_some()));
    let Some(items) = items else {
        findings.invalid(entry, "config", "should be an array of hashes");
        return None;
    };
    let rows: Vec<Row> =
        items.iter().filter_map(|item| row(&entry.item("variables", item), findings)).collect();
    if findings.count() > before {
        return None;
    }
    let jobs = rows
        .iter()
        .map(|row| row.iter().fold(1_usize, |jobs, (_, values)| jobs.saturating_mul(values.len())))
        .fold(0, usize::saturating_add);
    if jobs > PARALLEL {
        findings.invalid(entry, "config", &format!("generates too many jobs (maximum is {PARALLEL})"));
        return None;
    }
    Some(rows)
}

fn row(entry: &Entry<'_>, findings: &mut Findings) -> Option<Row> {
    let mapping = entry.mapping()?;
    if mapping.is_empty() {
        findings.invalid(entry, "config", "requires at least 1 items");
        return None;
    }
    let values = |value: &Value| match value {
        Value::Sequence(items) => {
            items.iter().map(|item| item.to_text().filter(|_| !item.is_null())).collect::<Option<Vec<_>>>()
        }
        Value::Null => None,
        scalar => scalar.to_text().map(|text| vec![text]),
    };
    let row: Option<Row> =
        mapping.iter().map(|item| Some((item.key.to_text()?, values(&item.value.value)?))).collect();
    if row.is_none() {
        findings.invalid(entry, "config", "should be a hash of key value pairs, value can be an array");
    }
    row
}

#[cfg(test)]
mod tests {
    use crate::testing::{compile, errors};

    fn names(parallel: &str) -> Vec<String> {
        let plan = compile(&format!("rspec: {{script: x, parallel: {parallel}}}"));
        plan.jobs.into_iter().map(|job| job.name).collect()
    }

    #[test]
    fn instances_are_named_by_number_or_by_values() {
        assert_eq!(names("1"), ["rspec 1/1"]);
        assert_eq!(names("2"), ["rspec 1/2", "rspec 2/2"]);
        assert_eq!(
            names("{matrix: [{A: [1, 2], B: x}, {A: y}]}"),
            ["rspec: [1, x]", "rspec: [2, x]", "rspec: [y]"]
        );
        assert_eq!(names("{matrix: [{A: 1}, {A: 1}]}"), ["rspec: [1]"], "equal rows fall together");
    }

    #[test]
    fn matrix_values_are_variables_above_the_job_s_own() {
        let plan =
            compile("rspec: {script: x, variables: {A: own, C: c}, parallel: {matrix: [{A: [a], B: b}]}}");
        let job = &plan.jobs[0];
        let variables: Vec<(&str, &str)> =
            job.variables.iter().map(|v| (v.key.as_str(), v.value.as_str())).collect();
        assert_eq!(variables, [("A", "a"), ("C", "c"), ("B", "b")]);
        let parallel = job.parallel.as_ref().expect("parallel");
        assert_eq!((parallel.group.as_str(), parallel.index, parallel.total), ("rspec", 1, 1));
    }

    #[test]
    fn other_values_are_refused() {
        let many: Vec<String> = (0..15).map(|n| n.to_string()).collect();
        let many = many.join(", ");
        let at = "jobs:rspec:parallel";
        for (parallel, expected) in [
            ("'5'".to_owned(), " should be an integer or a hash"),
            ("0".to_owned(), " config must be greater than or equal to 1"),
            ("201".to_owned(), " config must be less than or equal to 200"),
            ("1.5".to_owned(), " config must be an integer"),
            ("{}".to_owned(), " config missing required keys: matrix"),
            ("{matrix: x}".to_owned(), ":matrix config should be an array of hashes"),
            ("{matrix: [{}]}".to_owned(), ":matrix:variables config requires at least 1 items"),
            (
                "{matrix: [{A: {b: c}}]}".to_owned(),
                ":matrix:variables config should be a hash of key value pairs, value can be an array",
            ),
            (
                format!("{{matrix: [{{A: [{many}], B: [{many}]}}]}}"),
                ":matrix config generates too many jobs (maximum is 200)",
            ),
        ] {
            let text = format!("script: x\nparallel: {parallel}");
            assert_eq!(errors(&text), [format!("{at}{expected}")], "{parallel}");
        }
    }
}
