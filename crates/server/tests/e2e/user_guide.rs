//! The commands of docs/user-guide.md, run as one script against a server: what people copy works.

use crate::{
    files::repository,
    world::{PASSWORD, World},
};
use std::{fs, path::Path, process::Stdio, time::Duration};
use tokio::{process::Command, time::timeout};

/// Of a dozen turns on a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);

/// The blocks that are marked as `sh`, one after the other.
fn script() -> String {
    let guide = fs::read_to_string(repository("docs/user-guide.md")).unwrap();
    let mut script = String::new();
    let mut is_inside = false;
    for line in guide.lines() {
        match line {
            "```sh" => is_inside = true,
            "```" => is_inside = false,
            _ if is_inside => script.extend([line, "\n"]),
            _ => {}
        }
    }
    script
}

async fn run(script: &str, folder: &Path, url: &str) -> std::process::Output {
    #[expect(clippy::disallowed_methods, reason = "the shell of whoever follows the guide")]
    let mut command = Command::new("bash");
    command
        .args(["-o", "errexit", "-o", "nounset", "-o", "pipefail", "-o", "xtrace", "-c", script])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("STEWARD_URL", url)
        .env("STEWARD_EMAIL", "admin@example.com")
        .env("STEWARD_PASSWORD", PASSWORD)
        .current_dir(folder)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    timeout(PATIENCE, command.output()).await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_user_guide_works() {
    let script = script();
    assert!(script.lines().count() > 70, "the guide has lost its commands");
    let world = World::start().await;
    let folder = tempfile::tempdir().unwrap();
    let output = run(&script, folder.path(), &world.stranger().url).await;
    let said =
        [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned()).concat();
    assert!(output.status.success(), "{said}\n{}", world.log());
    let events = fs::read_to_string(folder.path().join("events.txt")).unwrap();
    assert!(events.contains("event: result"), "{events}");
}
