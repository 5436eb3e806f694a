//! The programs that read what is in `deploy/`, which `cargo xtask test` installs.

use std::{
    env,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

/// One of them, ready to be told what to do.
pub fn tool(name: &str) -> Command {
    #[expect(clippy::disallowed_methods, reason = "the program that reads the files under test")]
    Command::new(folder().join(name))
}

fn folder() -> PathBuf {
    let folder = env::var_os("STEWARD_TEST_DEPLOY_TOOLS");
    let folder =
        folder.unwrap_or_else(|| panic!("STEWARD_TEST_DEPLOY_TOOLS is not set: run cargo xtask test"));
    Path::new(&folder).to_owned()
}

/// Runs it on this input.
pub fn fed(command: &mut Command, input: &str) -> Output {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// Everything it said.
pub fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned()).concat()
}
