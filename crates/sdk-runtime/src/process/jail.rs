//! The jail: the bubblewrap command line around an agent's own, and what has to be there first.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use super::masks::{Kind, Mask};
use crate::{
    containment::{Jail, Network, Outside},
    error::Error,
    launcher::Invocation,
    options::EnvMode,
};

/// What is read-only in the jail when the rest is hidden: programs, libraries and their settings.
pub(super) const SYSTEM_DIRS: [&str; 8] =
    ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc"];
/// Where a name server's address may hide behind a link of `/etc/resolv.conf`.
const RESOLVER_DIRS: [&str; 2] = ["/run/systemd/resolve", "/run/resolvconf"];
/// The CLI's folder for configuration, credentials and transcripts.
const CONFIG_DIR_KEY: &str = "CLAUDE_CONFIG_DIR";

/// Tells the CLI to reach the model over a socket file.
const GATEWAY_KEY: &str = "ANTHROPIC_UNIX_SOCKET";
/// Where that is inside.
const GATEWAY_PATH: &str = "/run/gateway.sock";

/// The command that runs a program inside.
#[derive(Debug)]
pub(super) struct Wrapped {
    pub(super) program: PathBuf,
    pub(super) args: Vec<OsString>,
}

/// Finds the program, or says that there is none.
pub(super) fn find_bwrap(jail: &Jail) -> Result<PathBuf, Error> {
    which::which(&jail.bwrap).map_err(|error| {
        let why = format!(
            "{} cannot be run ({error}); install bubblewrap or name it in Jail::bwrap",
            jail.bwrap.display()
        );
        Error::NotContained { why }
    })
}

/// Puts the jail around an invocation, with this socket of the host's to reach the model over. Makes the
/// configuration directory when it is missing.
pub(super) fn wrap(
    jail: &Jail,
    masks: &[Mask],
    invocation: &Invocation,
    gateway: Option<&Path>,
) -> Result<Wrapped, Error> {
    let program = find_bwrap(jail)?;
    let mut args = Args(Vec::new());
    let cwd = real(&invocation.cwd)?;
    let (home, config) = config_dir(invocation)?;
    args.outside(jail, masks)?;
    if let Some(gateway) = gateway {
        args.pair("--bind", gateway, GATEWAY_PATH.as_ref());
        args.set(GATEWAY_KEY, GATEWAY_PATH.as_ref());
    }
    // A home that is hidden still has to be a place.
    if let (Outside::Hidden, Some(home)) = (jail.outside, home) {
        args.one("--dir", home);
    }
    if let Some(cli) = cli_file(&invocation.program) {
        args.bind("--ro-bind", &cli);
        args.pair("--ro-bind-try", &cli, &invocation.program);
    }
    for path in jail.writable.iter().chain(&invocation.add_dirs) {
        args.bind("--bind", &real(path)?);
    }
    if let Some(config) = config {
        args.bind("--bind", &config);
        args.set(CONFIG_DIR_KEY, &config);
    }
    args.bind("--bind", &cwd);
    args.seal(jail, masks);
    if !has_own_tmp(jail, invocation) {
        args.set("TMPDIR", "/tmp".as_ref());
    }
    args.one("--chdir", &cwd);
    args.0.push("--".into());
    args.0.push(invocation.program.clone().into_os_string());
    args.0.extend(invocation.args.iter().cloned());
    Ok(Wrapped { program, args: args.0 })
}

/// The jail around `true`, to learn whether it can be had here.
pub(super) fn wrap_nothing(jail: &Jail, masks: &[Mask]) -> Result<Wrapped, Error> {
    let program = find_bwrap(jail)?;
    let mut args = Args(Vec::new());
    args.outside(jail, masks)?;
    args.seal(jail, masks);
    args.0.extend(["--".into(), "true".into()]);
    Ok(Wrapped { program, args: args.0 })
}

struct Args(Vec<OsString>);

impl Args {
    /// Everything that does not depend on what runs inside.
    fn outside(&mut self, jail: &Jail, masks: &[Mask]) -> Result<(), Error> {
        self.namespaces(jail);
        match jail.outside {
            Outside::ReadOnly => self.pair("--ro-bind", "/".as_ref(), "/".as_ref()),
            Outside::Hidden => {
                for dir in SYSTEM_DIRS {
                    self.pair("--ro-bind-try", dir.as_ref(), dir.as_ref());
                }
            }
        }
        self.one("--dev", "/dev");
        self.one("--proc", "/proc");
        if let Some(bytes) = jail.tmp_bytes_max {
            self.one("--size", bytes.to_string());
        }
        self.one("--tmpfs", "/tmp");
        self.one("--tmpfs", "/run");
        if jail.network.is_open() {
            for dir in RESOLVER_DIRS {
                self.pair("--ro-bind-try", dir.as_ref(), dir.as_ref());
            }
        }
        for path in &jail.readable {
            self.bind("--ro-bind", &real(path)?);
        }
        // After what can be read and before what can be written, which shows through.
        for mask in masks {
            match mask.kind {
                Kind::Directory => self.one("--tmpfs", &mask.path),
                Kind::File => self.pair("--ro-bind", "/dev/null".as_ref(), &mask.path),
            }
        }
        Ok(())
    }

    /// Takes back the right to write that was needed to put things in their places.
    fn seal(&mut self, jail: &Jail, masks: &[Mask]) {
        for mask in masks.iter().filter(|mask| mask.kind == Kind::Directory) {
            self.one("--remount-ro", &mask.path);
        }
        if jail.outside == Outside::Hidden {
            self.one("--remount-ro", "/");
        }
    }

    fn namespaces(&mut self, jail: &Jail) {
        let flags = ["--die-with-parent", "--new-session", "--unshare-pid", "--unshare-ipc", "--unshare-uts"];
        self.0.extend(flags.map(OsString::from));
        self.0.push("--unshare-cgroup-try".into());
        // Root would keep all of them, and could then undo the mounts.
        self.one("--cap-drop", "ALL");
        match jail.network {
            Network::Open => {}
            Network::Loopback { .. } | Network::Gateway { .. } | Network::Off => {
                self.0.push("--unshare-net".into())
            }
        }
    }

    fn one(&mut self, flag: &str, value: impl Into<OsString>) {
        self.0.push(flag.into());
        self.0.push(value.into());
    }

    fn pair(&mut self, flag: &str, from: &Path, to: &Path) {
        self.one(flag, from);
        self.0.push(to.into());
    }

    fn bind(&mut self, flag: &str, path: &Path) {
        self.pair(flag, path, path);
    }

    fn set(&mut self, key: &str, value: &Path) {
        self.one("--setenv", key);
        self.0.push(value.into());
    }
}

/// Links are followed here, because inside they may lead nowhere.
fn real(path: &Path) -> Result<PathBuf, Error> {
    fs::canonicalize(path).map_err(|error| Error::NotContained {
        why: format!("{} cannot be shown to it: {error}", path.display()),
    })
}

/// Whether `TMPDIR` is a place of the host's that is there inside as well.
fn has_own_tmp(jail: &Jail, invocation: &Invocation) -> bool {
    let named = invocation.env.get("TMPDIR").map(Path::new);
    named.is_some_and(|named| jail.writable.iter().any(|dir| named.starts_with(dir)))
}

/// The CLI's own file, when it is given as a path. A name is looked up inside.
fn cli_file(program: &Path) -> Option<PathBuf> {
    let is_path = program.components().count() > 1;
    is_path.then(|| fs::canonicalize(program).ok()).flatten()
}

/// The agent's home and its configuration directory, which exists afterwards.
fn config_dir(invocation: &Invocation) -> Result<(Option<PathBuf>, Option<PathBuf>), Error> {
    let home = match (invocation.env.get("HOME"), invocation.env_mode) {
        (Some(home), _) => Some(PathBuf::from(home)),
        (None, EnvMode::Merge) => super::home_dir(),
        (None, EnvMode::Replace) => None,
    };
    let named = invocation.env.get(CONFIG_DIR_KEY).map(PathBuf::from);
    let Some(config) = named.or_else(|| Some(home.as_ref()?.join(".claude"))) else {
        return Ok((home, None));
    };
    fs::create_dir_all(&config).map_err(|error| Error::NotContained {
        why: format!("its configuration directory {} cannot be made: {error}", config.display()),
    })?;
    let config = real(&config)?;
    Ok((home, Some(config)))
}
