//! Files that GitLab ships, and those it tests its pipelines and its editor with.

use std::path::{Path, PathBuf};

use weir_api::PipelineSource;
use weir_compiler::vars::{Level, Variable};
use weir_compiler::{Answer, Compilation, Compiled, Context, Request, Step};

/// The folder with the files; none where they are not at hand.
fn folder(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("WEIR_CONFORMANCE").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conformance"),
        PathBuf::from,
    );
    let folder = root.join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: there is no folder {name} of conformance files");
    None
}

fn yaml_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("the folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            yaml_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "yml") {
            files.push(path);
        }
    }
    files.sort();
}

/// Compiles a text for a push to `main`; templates come from `templates`, other files do not exist.
fn compile(text: &str, templates: Option<&Path>) -> Compiled {
    let mut context = Context::new(PipelineSource::Push, "main", "group/project");
    context.default_branch = Some("main".to_owned());
    context.variables.push(Level::Predefined, Variable::public("CI_COMMIT_BRANCH", "main"));
    context.variables.push(Level::Predefined, Variable::public("CI_DEFAULT_BRANCH", "main"));
    let mut compilation = Compilation::new(".gitlab-ci.yml", Some(text), context);
    loop {
        match compilation.step() {
            Step::Done(compiled) => return *compiled,
            Step::Need(requests) => {
                let answer = |request: &Request| match request {
                    Request::Template { name } => Answer::File(
                        templates.and_then(|folder| std::fs::read_to_string(folder.join(name)).ok()),
                    ),
                    Request::ChangedPaths { .. } | Request::RepositoryPaths => Answer::Paths(None),
                    _ => Answer::File(None),
                };
                compilation.supply(requests.iter().map(answer).collect());
            }
        }
    }
}

/// The old name of `stage` is gone from GitLab, too; a few of its templates still use it.
const TYPE: &str = "config contains unknown keys: type";

#[test]
fn templates_compile_or_say_what_they_lack() {
    let Some(folder) = folder("templates") else { return };
    let mut files = Vec::new();
    yaml_files(&folder, &mut files);
    let (mut compiled_files, mut other) = (0, Vec::new());
    for path in &files {
        let text = std::fs::read_to_string(path).expect("a template");
        let compiled = compile(&text, Some(&folder));
        let name = path.strip_prefix(&folder).expect("a path below the folder").display().to_string();
        assert!(!compiled.sources.files().is_empty(), "{name}");
        match compiled.errors().next() {
            None => compiled_files += 1,
            Some(error) => other.push(format!("{name}: {error}")),
        }
    }
    println!("{compiled_files} of {} templates compile; the others:\n{}", files.len(), other.join("\n"));
    for problem in &other {
        let lacks = [
            "is empty or does not exist!",
            "at least one visible job",
            "does not exist; available stages",
            TYPE,
        ];
        assert!(lacks.iter().any(|text| problem.contains(text)), "{problem}");
    }
}

#[test]
fn every_processing_case_compiles() {
    let Some(folder) = folder("processing") else { return };
    let mut files = Vec::new();
    yaml_files(&folder, &mut files);
    for path in &files {
        let text = std::fs::read_to_string(path).expect("a case");
        let root = weir_yaml::parse(weir_yaml::FileId(0), &text).expect("YAML").root;
        let config = root.as_mapping().and_then(|case| case.get("config")).expect("a config");
        let compiled = compile(&weir_yaml::write(config), None);
        assert_eq!(compiled.errors().collect::<Vec<_>>(), [""; 0], "{}", path.display());
        assert!(compiled.plan.is_some(), "{}", path.display());
    }
    println!("{} processing cases compile", files.len());
}

/// Files that GitLab's editor accepts and its compiler refuses, and why.
const POSITIVE_EXCEPTIONS: [(&str, &str); 17] = [
    ("artifacts.yml", "jobs without a script"),
    ("auto_cancel_pipeline/", "no job"),
    ("dast_configuration.yml", "jobs without a script"),
    ("filter.yml", "extends a job that is not there"),
    ("identity_provider.yml", "jobs without a script"),
    ("image.yml", "jobs without a script"),
    ("include.yml", "includes files that are not there"),
    ("needs_parallel_matrix.yml", "needs a job that is not there"),
    ("project_path.yml", "includes a file that is not there"),
    ("rules.yml", "jobs without a script"),
    ("run.yml", "steps are an experiment that this compiler refuses"),
    ("secrets.yml", "a keyword of the Premium tier"),
    ("services.yml", "jobs without a script"),
    ("spec_inputs.yml", "includes a file that is not there"),
    ("trigger.yml", "fetches a file of a job that is not there"),
    ("workflow/auto_cancel/", "jobs without a script"),
    ("workflow/rules/", "no job"),
];

/// Files that GitLab's editor refuses and its compiler accepts, and why.
const NEGATIVE_EXCEPTIONS: [(&str, &str); 10] = [
    ("project_path/trigger/trigger_include.yml", "the project is looked up when the job runs"),
    ("project_path/trigger/include/", "the project is looked up when the job runs"),
    ("project_path/trigger/minimal/invalid_variable.yml", "the project is looked up when the job runs"),
    ("project_path/trigger/minimal/leading_slash.yml", "the project is looked up when the job runs"),
    ("project_path/trigger/minimal/no_slash.yml", "the project is looked up when the job runs"),
    ("project_path/trigger/minimal/tailing_slash.yml", "the project is looked up when the job runs"),
    ("project_path/trigger/project/invalid_variable.yml", "the project is looked up when the job runs"),
    ("project_path/trigger/project/leading_slash.yml", "the project is looked up when the job runs"),
    ("project_path/trigger/project/no_slash.yml", "the project is looked up when the job runs"),
    ("project_path/trigger/project/tailing_slash.yml", "the project is looked up when the job runs"),
];

fn editor_files(folder_name: &str, exceptions: &[(&str, &str)], wants_errors: bool) {
    let Some(folder) = folder(folder_name) else { return };
    let mut files = Vec::new();
    yaml_files(&folder, &mut files);
    let mut surprises = Vec::new();
    for path in &files {
        let text = std::fs::read_to_string(path).expect("a file");
        let compiled = compile(&text, None);
        let name = path.strip_prefix(&folder).expect("a path below the folder").display().to_string();
        let has_errors = compiled.errors().next().is_some();
        let excepted = exceptions.iter().any(|(exception, _)| name.starts_with(exception));
        if (has_errors != wants_errors) != excepted {
            surprises.push(format!("{name}: {:?}", compiled.errors().collect::<Vec<_>>()));
        }
    }
    println!("{folder_name}: {} files, {} as named", files.len(), files.len() - surprises.len());
    assert!(surprises.is_empty(), "{}", surprises.join("\n"));
}

#[test]
fn what_the_editor_accepts_compiles() {
    editor_files("yaml_tests/positive_tests", &POSITIVE_EXCEPTIONS, false);
}

#[test]
fn what_the_editor_refuses_does_not_compile() {
    editor_files("yaml_tests/negative_tests", &NEGATIVE_EXCEPTIONS, true);
}
