//! `weir demo`.

use crate::harness::{text, weir};

#[test]
fn shows_every_job_and_ends_with_the_pipeline() {
    let output = weir().args(["demo", "--exit"]).output().unwrap();
    let said = text(&output.stdout);
    assert!(output.status.success(), "{said}{}", text(&output.stderr));
    for change in [
        "build / compile: success",
        "build / docs: success",
        "test / test: [sh, unit]: success",
        "test / test: [sh, integration]: success",
        "test / test: [dash, unit]: success",
        "test / test: [dash, integration]: success",
        "test / lint: failed (allowed)",
        "package / package: success",
        "deploy / smoke: success",
        "deploy / production: manual",
        "✔ The pipeline succeeded",
    ] {
        assert!(said.contains(change), "`{change}` is missing in\n{said}");
    }
    assert!(!said.contains('\x1b'), "escapes in a pipe: {said:?}");
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn leaves_no_folder_unless_asked_to() {
    let folder = tempfile::tempdir().unwrap();
    let demo = |arguments: &[&str]| {
        let output = weir().arg("demo").args(arguments).env("TMPDIR", folder.path()).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        let left = std::fs::read_dir(folder.path()).unwrap();
        left.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("weir-demo"))
            .count()
    };
    assert_eq!(demo(&["--exit"]), 0);
    assert_eq!(demo(&["--exit", "--keep"]), 1);
}
