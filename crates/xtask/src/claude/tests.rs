//! Finding and installing, with an npm and CLIs that are shell scripts.

use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::*;

/// A machine with a cache folder and a `bin` folder that alone is on `PATH`.
struct Machine(TempDir);

impl Machine {
    fn new() -> Self {
        let machine = Self(TempDir::new().unwrap());
        fs::create_dir(machine.path("bin")).unwrap();
        for tool in ["mkdir", "cat", "chmod"] {
            let real = ["/bin", "/usr/bin"].iter().map(|folder| Path::new(folder).join(tool));
            let real = real.into_iter().find(|file| file.exists()).unwrap();
            std::os::unix::fs::symlink(real, machine.path("bin").join(tool)).unwrap();
        }
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn script(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn cli(&self, name: &str, version: &str) -> PathBuf {
        self.script(name, &format!("echo '{version} (Claude Code)'"))
    }

    /// An npm that notes how it was called and installs a CLI which says it is `version`.
    fn npm(&self, version: &str) {
        let log = self.path("npm.log");
        let text = format!(
            "echo \"$@\" >> {log}\n\
             cli=\"$3/{inside}\"\n\
             mkdir -p \"${{cli%/*}}\"\n\
             cat > \"$cli\" <<'END'\n#!/bin/sh\necho '{version} (Claude Code)'\nEND\n\
             chmod +x \"$cli\"",
            log = log.display(),
            inside = cli_in(Path::new("")).display(),
        );
        self.script("bin/npm", &text);
    }

    fn npm_calls(&self) -> usize {
        fs::read_to_string(self.path("npm.log")).unwrap_or_default().lines().count()
    }

    fn settings(&self, more: &[(&str, &str)]) -> Settings {
        let bin = self.path("bin").to_str().unwrap().to_owned();
        let cache = self.path("cache").to_str().unwrap().to_owned();
        Settings::of(&[&[("PATH", &*bin), ("XDG_CACHE_HOME", &*cache)], more].concat())
    }

    fn pinned(&self) -> PathBuf {
        cli_in(&self.path("cache/steward").join(format!("claude-{PINNED_VERSION}")))
    }
}

#[test]
fn the_pinned_version_is_installed_once_and_asked_for_by_name() {
    let machine = Machine::new();
    machine.npm(PINNED_VERSION);
    for _ in 0..2 {
        assert_eq!(find_or_install(&machine.settings(&[])).unwrap(), machine.pinned());
    }
    assert_eq!(machine.npm_calls(), 1);
    let call = fs::read_to_string(machine.path("npm.log")).unwrap();
    assert!(call.contains(&format!("{PACKAGE}@{PINNED_VERSION}")), "{call}");
}

#[test]
fn an_install_that_was_cut_off_is_never_taken_for_whole() {
    let machine = Machine::new();
    machine.npm(PINNED_VERSION);
    let npm = fs::read_to_string(machine.path("bin/npm")).unwrap();
    machine.script("bin/npm", &format!("{npm}\nexit 1"));
    assert!(find_or_install(&machine.settings(&[])).is_err());
    assert!(!machine.pinned().exists());

    machine.npm(PINNED_VERSION);
    assert_eq!(find_or_install(&machine.settings(&[])).unwrap(), machine.pinned());
}

#[test]
fn a_broken_install_is_made_again() {
    let machine = Machine::new();
    machine.npm(PINNED_VERSION);
    find_or_install(&machine.settings(&[])).unwrap();
    fs::write(machine.pinned(), "#!/bin/sh\nexit 1\n").unwrap();
    find_or_install(&machine.settings(&[])).unwrap();
    assert_eq!(machine.npm_calls(), 2);
    check(&machine.pinned()).unwrap();
}

#[test]
fn an_npm_that_picks_another_version_is_found_out() {
    let machine = Machine::new();
    machine.npm("2.1.197");
    let error = format!("{:#}", find_or_install(&machine.settings(&[])).unwrap_err());
    assert!(error.contains("2.1.197"), "{error}");
    assert!(!machine.pinned().exists());
}

#[test]
fn without_npm_it_is_said_what_to_do() {
    let error = format!("{:#}", find_or_install(&Machine::new().settings(&[])).unwrap_err());
    assert!(error.contains("npm is missing") && error.contains("CLAUDE_CLI_PATH"), "{error}");
}

#[test]
fn one_on_path_is_taken_when_it_is_new_enough_but_not_for_tests() {
    let machine = Machine::new();
    machine.npm(PINNED_VERSION);
    let on_path = machine.cli("bin/claude", "99.0.0");
    assert_eq!(find_or_install(&machine.settings(&[])).unwrap(), on_path);
    assert_eq!(find_or_install_pinned(&machine.settings(&[])).unwrap(), machine.pinned());

    machine.cli("bin/claude", "2.1.197");
    assert_eq!(find_or_install(&machine.settings(&[])).unwrap(), machine.pinned());
}

#[test]
fn the_configured_one_is_taken_or_refused_but_never_replaced() {
    let machine = Machine::new();
    machine.npm(PINNED_VERSION);
    let configured = machine.cli("own", PINNED_VERSION);
    let settings = machine.settings(&[("CLAUDE_CLI_PATH", configured.to_str().unwrap())]);
    assert_eq!(find_or_install(&settings).unwrap(), configured);

    machine.cli("own", "2.1.197");
    let error = format!("{:#}", find_or_install(&settings).unwrap_err());
    assert!(error.contains("2.1.197") && error.contains(PINNED_VERSION), "{error}");
    fs::remove_file(&configured).unwrap();
    assert!(find_or_install(&settings).is_err());
    assert_eq!(machine.npm_calls(), 0);
}
