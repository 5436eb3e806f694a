//! Decides whether agents run in a sandbox, and keeps looking whether they still can.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use engine::SandboxSettings;
use monitoring::Check;
use sdk_runtime::try_jail;

use crate::config::{ContainmentConfig, Sandbox};

/// The name of the check.
const CHECK: &str = "sandbox";
const CHECK_FRESH_FOR: Duration = Duration::from_secs(60);
/// A trial has no gateway; the jail is the same with any port.
const NO_PORT: u16 = 0;

/// What was decided at start.
#[derive(Debug, Clone)]
pub enum Decided {
    /// Every agent runs in one, and none starts without.
    On(SandboxSettings),
    /// The operator wants none.
    Off,
    /// The operator left it to us, and none can be had for this reason.
    CannotBeHad(String),
}

/// Tries the sandbox that agents would get. What the operator asked for and cannot be had is an error.
pub async fn decide(config: &ContainmentConfig, data_dir: &Path) -> anyhow::Result<Decided> {
    for path in &config.readable {
        path.canonicalize().with_context(|| format!("SANDBOX_READABLE names {}", path.display()))?;
    }
    let settings = SandboxSettings {
        bwrap: "bwrap".into(),
        network: config.network,
        readable: config.readable.clone(),
        masked: secrets(data_dir),
    };
    match config.sandbox {
        Some(Sandbox::Off) => Ok(Decided::Off),
        Some(Sandbox::Bubblewrap) => match tried(&settings).await {
            Ok(()) => Ok(Decided::On(settings)),
            Err(why) => bail!("SANDBOX=bwrap, but agents cannot be contained here: {why}"),
        },
        None => match tried(&settings).await {
            Ok(()) => Ok(Decided::On(settings)),
            Err(why) => {
                tracing::warn!(
                    why,
                    "AGENTS RUN WITHOUT A SANDBOX: they can read what this server's user can. Install bubblewrap and \
                     let this user have namespaces, or set SANDBOX=off to have said so"
                );
                Ok(Decided::CannotBeHad(why))
            }
        },
    }
}

impl Decided {
    /// The sandbox of every agent, if they get one.
    #[must_use]
    pub fn settings(&self) -> Option<SandboxSettings> {
        match self {
            Self::On(settings) => Some(settings.clone()),
            Self::Off | Self::CannotBeHad(_) => None,
        }
    }

    /// The check that says whether it is on, and why not. While it is on it is required: without it no agent starts.
    #[must_use]
    pub fn check(&self) -> Check {
        match self.clone() {
            Self::On(settings) => {
                let check = Check::required(CHECK, move || {
                    let settings = settings.clone();
                    async move {
                        let network = settings.network.as_str();
                        tried(&settings).await.map(|()| Some(format!("bubblewrap, network {network}")))
                    }
                });
                check.fresh_for(CHECK_FRESH_FOR).slow()
            }
            Self::Off => Check::optional(CHECK, || async { Ok(Some("off, as SANDBOX says".to_owned())) }),
            Self::CannotBeHad(why) => Check::optional(CHECK, move || {
                let why = format!("agents run without a sandbox: {why}");
                async move { Err(why) }
            }),
        }
    }
}

async fn tried(settings: &SandboxSettings) -> Result<(), String> {
    try_jail(&settings.jail(NO_PORT)).await.map_err(|error| match error {
        sdk_runtime::Error::NotContained { why } => why,
        other => format!("could not {other}"),
    })
}

/// What holds secrets of this server, wherever it lies.
fn secrets(data_dir: &Path) -> Vec<PathBuf> {
    let settings_file = std::env::var_os("STEWARD_CONFIG").map(PathBuf::from);
    let dotenv = std::env::current_dir().ok().map(|dir| dir.join(".env"));
    [Some(data_dir.to_owned()), settings_file, dotenv].into_iter().flatten().collect()
}
