//! What the CLI refuses to do as root, found out before it is started.

use crate::{error::Error, launcher::Invocation, options::EnvMode};

/// Set to `1`, it tells the CLI that root is no more than the owner of a sandbox.
const SANDBOX_MARK: &str = "IS_SANDBOX";

/// Refuses to bypass permissions as root. With `EnvMode::Merge` the mark may be inherited; then the CLI
/// itself refuses, as `Error::Startup`.
pub(super) fn check(invocation: &Invocation) -> Result<(), Error> {
    if may_bypass(invocation) && nix::unistd::geteuid().is_root() { Err(refusal()) } else { Ok(()) }
}

fn may_bypass(invocation: &Invocation) -> bool {
    let is_marked = invocation.env.get(SANDBOX_MARK).is_some_and(|mark| mark == "1");
    let is_unknown = invocation.env_mode == EnvMode::Merge && !invocation.env.contains_key(SANDBOX_MARK);
    let bypasses = invocation.args.iter().any(|arg| {
        arg == "--permission-mode=bypassPermissions"
            || arg == "--dangerously-skip-permissions"
            || arg == "--allow-dangerously-skip-permissions"
    });
    bypasses && !is_marked && !is_unknown
}

fn refusal() -> Error {
    let why = "the agent does not bypass permissions as root, unless its environment has IS_SANDBOX=1";
    Error::InvalidOption { field: "permission_mode", why: why.to_owned() }
}
