use crate::server::{World, job};

#[tokio::test]
async fn a_script_runs_and_its_output_is_in_the_trace() {
    let world = World::new().await;
    let seen = world.run(job(1, &["echo hello; echo error >&2", "pwd"])).await;
    let text = seen.text();
    assert_eq!(seen.state(), "success", "{text}");
    let dir = world.project_dir("g/p").display().to_string();
    assert!(text.contains("\x1b[32;1m$ echo hello; echo error >&2\x1b[0;m\nhello\nerror\n"), "{text}");
    assert!(text.contains(&format!("$ pwd\x1b[0;m\n{dir}\n")), "{text}");
    assert!(text.ends_with("\x1b[32;1mJob succeeded\x1b[0;m\n"), "{text}");
}
