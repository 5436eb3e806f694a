//! A server apart from the one that a person has configured here: with a folder, a port and an admin of its own, and
//! nothing of `.env` and the environment but what it cannot do without.

use std::{env, fs::File, io::Read, path::Path, process::Command};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::settings::Settings;

const EMAIL: &str = "admin@localhost";
/// What programs on this machine need. Anything else may be a setting of the server.
const OF_THE_MACHINE: [&str; 9] =
    ["PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE"];
/// Which model answers, and whether this machine has a sandbox, is as the person says.
const OF_THE_PERSON: [&str; 4] =
    ["ANTHROPIC_API_KEY", "ANTHROPIC_UPSTREAM_URL", "CLAUDE_SDK_DEFAULT_MODEL", "SANDBOX"];

/// Where such a server keeps its data, until this is dropped, and who its admin is.
#[derive(Debug)]
pub(crate) struct Apart {
    folder: TempDir,
    pub(crate) email: &'static str,
    pub(crate) password: String,
}

impl Apart {
    pub(crate) fn new(name: &str) -> Result<Self> {
        let folder = TempDir::with_prefix(format!("steward-{name}-"))?;
        // Others on this machine reach its port, and it may have a real key.
        let mut random = [0; 16];
        File::open("/dev/urandom")
            .and_then(|mut file| file.read_exact(&mut random))
            .context("no password")?;
        let password = random.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { folder, email: EMAIL, password })
    }

    /// Tells a server so. What the command was told before is forgotten.
    pub(crate) fn configure(&self, command: &mut Command, settings: &Settings) {
        let folder: &Path = self.folder.path();
        command.env_clear();
        command.envs(OF_THE_MACHINE.iter().filter_map(|name| Some((name, env::var_os(name)?))));
        command.envs(OF_THE_PERSON.iter().filter_map(|name| Some((name, settings.get(name)?))));
        command
            // Not the folder of the repository: a person's `.env` lies there.
            .current_dir(folder)
            .env("DATA_DIR", folder)
            .env("API_HOST", "127.0.0.1")
            .env("API_PORT", "0")
            .env("ADMIN_EMAIL", self.email)
            .env("ADMIN_PASSWORD", &self.password)
            .env("LOG_LEVEL", settings.get("LOG_LEVEL").unwrap_or("warn"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_configured_does_not_reach_it() {
        let person = [
            ("ADMIN_EMAIL", "me@example.com"),
            ("ADMIN_PASSWORD", "what a person chose"),
            ("METRICS_PORT", "9464"),
            ("DATABASE_URL", "postgres://localhost/mine"),
            ("ANTHROPIC_API_KEY", "a key"),
        ];
        let apart = Apart::new("test").unwrap();
        let mut command = Command::new("/usr/bin/env");
        // As if it stood in the environment.
        command.envs(person);
        apart.configure(&mut command, &Settings::of(&person));
        let said = String::from_utf8(command.output().unwrap().stdout).unwrap();
        for (name, value) in &person[..4] {
            assert!(!said.contains(value), "{name}: {said}");
        }
        for name in ["METRICS_PORT", "DATABASE_URL", "CARGO_MANIFEST_DIR"] {
            assert!(!said.lines().any(|line| line.starts_with(&format!("{name}="))), "{name}: {said}");
        }
        for line in [
            "ANTHROPIC_API_KEY=a key",
            "API_PORT=0",
            &format!("ADMIN_EMAIL={}", apart.email),
            &format!("ADMIN_PASSWORD={}", apart.password),
        ] {
            assert!(said.lines().any(|told| told == line), "{line}: {said}");
        }
        assert_eq!(command.get_current_dir(), Some(apart.folder.path()), "`.env` is read where it runs");
        assert_ne!(Apart::new("test").unwrap().password, apart.password);
    }
}
