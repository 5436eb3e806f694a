//! What root may do and nobody else, and what the CLI refuses to do as root: found out before it is started.

use nix::unistd::{getegid, geteuid};

use crate::{containment::RunAs, error::Error, launcher::Invocation, options::EnvMode};

/// Set to `1`, it tells the CLI that root is no more than the owner of a sandbox.
const SANDBOX_MARK: &str = "IS_SANDBOX";

/// Refuses to bypass permissions as root, and to run as somebody else unless the host is root. With
/// `EnvMode::Merge` the mark may be inherited; then the CLI itself refuses, as `Error::Startup`.
pub(super) fn check(invocation: &Invocation) -> Result<(), Error> {
    let host = RunAs { uid: geteuid().as_raw(), gid: getegid().as_raw() };
    let agent = invocation.containment.user.unwrap_or(host);
    if agent != host && host.uid != 0 {
        let why = "only root may run an agent as another user";
        return Err(Error::InvalidOption { field: "containment.user", why: why.to_owned() });
    }
    if may_bypass(invocation) && agent.uid == 0 { Err(refusal()) } else { Ok(()) }
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
