//! Checks that need no agent: files, limits, the user.

use std::{
    fs,
    path::{Path, PathBuf},
};

use nix::{
    sys::{
        resource::{Resource, getrlimit},
        statvfs::statvfs,
    },
    unistd::{AccessFlags, Uid, access},
};

use super::report::{Check, Finding, Severity};
use crate::{
    invocation::invocation,
    options::{AgentOptions, EnvMode},
    process::home_dir,
};

/// What to do when there is no jail.
pub(super) const JAIL_ADVICE: &str = "install bubblewrap (`apt-get install bubblewrap`) and let the user have \
     namespaces, or do without AgentOptions::containment's jail";

/// Below this much room transcripts soon cannot be written.
const DISK_BYTES_MIN: u64 = 100 << 20;
/// Below this much room it is time to make some.
const DISK_BYTES_LOW: u64 = 1 << 30;
/// The CLI alone has about 40 files open, and each tool some more.
const OPEN_FILES_MIN: u64 = 128;
/// What a busy agent is comfortable with.
const OPEN_FILES_LOW: u64 = 1024;

/// All of them.
pub(super) fn all(options: &AgentOptions) -> Vec<Finding> {
    let mut findings = vec![cwd(&options.cwd)];
    let config = config_dir(options);
    findings.push(match &config {
        Some(config) => config_finding(config),
        None => Finding::new(
            Check::ConfigDir,
            Severity::Warning,
            "neither CLAUDE_CONFIG_DIR nor HOME is set, so transcripts and settings have no known place"
                .to_owned(),
            "set CLAUDE_CONFIG_DIR in AgentOptions::env",
        ),
    });
    if let Some(bytes) = config.as_deref().and_then(free_bytes) {
        findings.push(disk_space(bytes));
    }
    let args = invocation(options).args;
    let bypasses = args
        .iter()
        .filter_map(|arg| arg.to_str())
        .any(|arg| arg == "--permission-mode=bypassPermissions" || arg == "--dangerously-skip-permissions");
    let is_sandbox = options.env.get("IS_SANDBOX").map(String::as_str);
    findings.extend(root(is_root(), bypasses, is_sandbox));
    if let Ok((soft, _)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let limit = options.containment.limits.open_files_max.map_or(soft, |max| max.min(soft));
        findings.push(open_files(limit));
    }
    if let Some(path) = options.env.get("PATH") {
        findings.extend(programs(path));
    }
    findings
}

pub(super) fn is_root() -> bool {
    Uid::effective().is_root()
}

pub(super) fn find_program(name: &Path, path: &str) -> Option<PathBuf> {
    which::which_in(name, Some(path), "/").ok()
}

fn cwd(cwd: &Path) -> Finding {
    let shown = cwd.display();
    if !cwd.is_dir() {
        let what = format!("the working directory {shown} is not there, or is none");
        return Finding::new(Check::Cwd, Severity::Error, what, "make it, or correct AgentOptions::cwd");
    }
    match access(cwd, AccessFlags::W_OK | AccessFlags::X_OK) {
        Ok(()) => Finding::ok(Check::Cwd, format!("the working directory is {shown}")),
        Err(error) => Finding::new(
            Check::Cwd,
            Severity::Warning,
            format!("the working directory {shown} cannot be written ({error}), so the agent can only read"),
            "give the user the right to write there, if the agent is to change files",
        ),
    }
}

fn config_dir(options: &AgentOptions) -> Option<PathBuf> {
    let env = &options.env;
    let named = env.get("CLAUDE_CONFIG_DIR").map(PathBuf::from);
    let home = env.get("HOME").map(PathBuf::from);
    let home = home.or_else(|| (options.inherit_env == EnvMode::Merge).then(home_dir).flatten());
    named.or_else(|| Some(home?.join(".claude")))
}

fn config_finding(config: &Path) -> Finding {
    let shown = config.display();
    let writable = fs::create_dir_all(config).map_err(|error| error.to_string()).and_then(|()| {
        access(config, AccessFlags::W_OK | AccessFlags::X_OK).map_err(|error| error.to_string())
    });
    match writable {
        Ok(()) => Finding::ok(Check::ConfigDir, format!("the configuration directory is {shown}")),
        Err(error) => Finding::new(
            Check::ConfigDir,
            Severity::Error,
            format!(
                "the configuration directory {shown} cannot be written ({error}): no transcript, no session"
            ),
            "give the user the right to write there, or set CLAUDE_CONFIG_DIR to a place where it has it",
        ),
    }
}

fn free_bytes(path: &Path) -> Option<u64> {
    let stat = statvfs(path).ok()?;
    Some(stat.blocks_available().saturating_mul(stat.fragment_size()))
}

fn disk_space(bytes: u64) -> Finding {
    let mebibytes = bytes >> 20;
    let what = format!("{mebibytes} MiB are free for transcripts");
    let advice = "make room on the disk of the configuration directory";
    match bytes {
        ..DISK_BYTES_MIN => Finding::new(Check::DiskSpace, Severity::Error, what, advice),
        DISK_BYTES_MIN..DISK_BYTES_LOW => Finding::new(Check::DiskSpace, Severity::Warning, what, advice),
        DISK_BYTES_LOW.. => Finding::ok(Check::DiskSpace, what),
    }
}

fn root(is_root: bool, bypasses: bool, is_sandbox: Option<&str>) -> Option<Finding> {
    if !is_root {
        return None;
    }
    let finding = match (bypasses, is_sandbox) {
        (true, Some("1")) => Finding::new(
            Check::Root,
            Severity::Warning,
            "permissions are bypassed as root, because IS_SANDBOX=1 says that this is a sandbox".to_owned(),
            "make sure that it is one, or run as another user",
        ),
        (true, _) => Finding::new(
            Check::Root,
            Severity::Error,
            "the CLI refuses to bypass permissions as root, and exits".to_owned(),
            "run as another user, choose another permission mode, or set IS_SANDBOX=1 (exactly 1) where the \
             machine is a sandbox",
        ),
        (false, _) => Finding::new(
            Check::Root,
            Severity::Note,
            "this process is root, and so are its agents".to_owned(),
            "run as a user who may do no more than the agents should",
        ),
    };
    Some(finding)
}

fn open_files(limit: u64) -> Finding {
    let what = format!("{limit} files may be open in each process");
    let advice = "raise the limit of open files: `ulimit -n 4096`, or LimitNOFILE= in the service";
    match limit {
        ..OPEN_FILES_MIN => Finding::new(Check::OpenFiles, Severity::Error, what, advice),
        OPEN_FILES_MIN..OPEN_FILES_LOW => Finding::new(Check::OpenFiles, Severity::Warning, what, advice),
        OPEN_FILES_LOW.. => Finding::ok(Check::OpenFiles, what),
    }
}

/// Programs the CLI does without, though not as well. It brings its own search.
fn programs(path: &str) -> Vec<Finding> {
    let git = match find_program("git".as_ref(), path) {
        Some(git) => Finding::ok(Check::Programs, format!("git is {}", git.display())),
        None => Finding::new(
            Check::Programs,
            Severity::Note,
            "git is not in the agent's PATH, so it knows nothing of the history of what it works on"
                .to_owned(),
            "install git, if the agents work on repositories",
        ),
    };
    let shell = ["bash", "zsh"].iter().any(|shell| find_program(shell.as_ref(), path).is_some());
    let shell = (!shell).then(|| {
        Finding::new(
            Check::Programs,
            Severity::Warning,
            "neither bash nor zsh is in the agent's PATH, so its Bash tool cannot work".to_owned(),
            "install bash, or correct PATH in AgentOptions::env",
        )
    });
    [Some(git), shell].into_iter().flatten().collect()
}

/// `max`, `clone` and `apparmor` are what the kernel says in the files of these names; empty for none.
pub(super) fn user_namespaces(
    [max, clone, apparmor]: [String; 3],
    is_root: bool,
    severity: Severity,
) -> Vec<Finding> {
    let reason = if max.trim() == "0" {
        Some(("the kernel allows no user namespaces", "sysctl user.max_user_namespaces=10000"))
    } else if clone.trim() == "0" && !is_root {
        Some(("only root may have user namespaces", "sysctl kernel.unprivileged_userns_clone=1"))
    } else if apparmor.trim() == "1" && !is_root {
        let allow = "sysctl kernel.apparmor_restrict_unprivileged_userns=0, or a profile for bwrap";
        Some(("AppArmor keeps users from having namespaces", allow))
    } else {
        None
    };
    let finding = match reason {
        None => Finding::ok(Check::UserNamespaces, "user namespaces can be had".to_owned()),
        Some((what, advice)) => Finding::new(
            Check::UserNamespaces,
            severity,
            format!("{what}; a jail needs them unless the host is root"),
            advice,
        ),
    };
    vec![finding]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bypassing_as_root_is_refused_unless_the_sandbox_says_one() {
        let severity = |bypasses, is_sandbox| root(true, bypasses, is_sandbox).map(|found| found.severity());
        assert_eq!(severity(true, None), Some(Severity::Error));
        assert_eq!(severity(true, Some("yes")), Some(Severity::Error));
        assert_eq!(severity(true, Some("1")), Some(Severity::Warning));
        assert_eq!(severity(false, None), Some(Severity::Note));
        assert!(root(false, true, None).is_none());
    }

    #[test]
    fn little_room_and_few_files_are_told_in_time() {
        assert_eq!(disk_space(1 << 20).severity(), Severity::Error);
        assert_eq!(disk_space(500 << 20).severity(), Severity::Warning);
        assert_eq!(disk_space(5 << 30).severity(), Severity::Ok);
        assert_eq!(open_files(64).severity(), Severity::Error);
        assert_eq!(open_files(512).severity(), Severity::Warning);
        assert_eq!(open_files(4096).severity(), Severity::Ok);
    }

    #[test]
    fn why_there_are_no_user_namespaces() {
        let found = |max: &str, clone: &str, apparmor: &str, is_root| {
            let said = [max, clone, apparmor].map(str::to_owned);
            let findings = user_namespaces(said, is_root, Severity::Warning);
            (findings[0].severity(), findings[0].advice().unwrap_or_default().to_owned())
        };
        assert_eq!(found("100\n", "", "", false).0, Severity::Ok);
        assert!(found("0\n", "1", "", true).1.contains("max_user_namespaces"));
        assert!(found("100", "0\n", "", false).1.contains("unprivileged_userns_clone"));
        assert!(found("100", "1", "1\n", false).1.contains("apparmor"));
        assert_eq!(found("100", "0", "1", true).0, Severity::Ok, "root needs none");
    }

    #[test]
    fn programs_are_looked_for_where_the_agent_would() {
        let empty = programs("/nowhere");
        assert_eq!(empty.iter().map(Finding::severity).max(), Some(Severity::Warning));
        assert!(empty.iter().any(|finding| finding.what().contains("git")));
        assert!(!programs("/usr/bin:/bin").iter().any(|finding| finding.what().contains("bash")));
    }
}
