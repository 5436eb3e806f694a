//! What of a jail the supervisor holds on to: its first process, and the bridge into its network.

use std::{
    io,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use procfs::process::ProcState;
use tokio::process::Child;

use super::{
    bridge::{self, Bridge},
    census,
    sweep::{self, Known, Mark},
};
use crate::{
    containment::{Jail, Network},
    error::Error,
};

/// Wait for the jail's first process.
const INIT_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two looks for it.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);

/// The inside of a jail; empty without one.
#[derive(Debug, Default)]
pub(super) struct Inside {
    init: Option<i32>,
    bridge: Bridge,
}

impl Inside {
    /// What has to be there before the jail is.
    pub(super) fn prepare(jail: &Jail, host_marker: Option<&str>) -> Result<Self, Error> {
        let bridge = match jail.network {
            Network::Gateway { host_port, .. } => {
                Bridge::gateway(host_port, host_marker).map_err(|error| bridge_error(&error))?
            }
            Network::Open | Network::Loopback { .. } | Network::Off => Bridge::default(),
        };
        Ok(Self { init: None, bridge })
    }

    /// The socket file to show to the agent.
    pub(super) fn gateway(&self) -> Option<PathBuf> {
        self.bridge.socket()
    }

    /// Sends a signal to the agent itself, which the jail's monitor would not pass on. `None` when it is
    /// not there.
    pub(super) fn signal(&self, signal: Signal) -> Option<()> {
        let init = u32::try_from(self.init?).ok()?;
        let agent = sweep::child_of(init).ok()??;
        kill(Pid::from_raw(agent), signal).ok()
    }
}

/// Waits until a started jail stands and its network is bridged. What belongs to it is remembered in
/// `known`: its first process is gone only when all the others are.
///
/// A jail that went down by itself is no error here: its words are on its stderr.
pub(super) async fn enter(
    prepared: Inside,
    child: &Child,
    jail: &Jail,
    mark: &Mark,
    known: &mut Known,
) -> Result<Inside, Error> {
    let Some(monitor) = child.id() else {
        return Ok(prepared);
    };
    let (mark, mut seen) = (mark.clone(), known.clone());
    let found =
        tokio::task::spawn_blocking(move || find_init(monitor, &mark, &mut seen).map(|init| (init, seen)));
    let (init, seen) = match found.await.map_err(io::Error::other).flatten() {
        Ok(found) => found,
        Err(error) => {
            let why = format!("its first process was not found: {error}");
            return Err(Error::NotContained { why });
        }
    };
    *known = seen;
    let bridge = match (&jail.network, init) {
        (Network::Loopback { host_ports }, Some(init)) => {
            bridge::open(init, host_ports.clone()).await.map_err(|error| bridge_error(&error))?
        }
        (Network::Gateway { host_port, also_as_port }, Some(init)) => {
            let mut bridge = prepared.bridge;
            let stands = tokio::task::spawn_blocking(move || stands(init)).await;
            // If it went down, its words say so; the file goes with the bridge.
            if stands.is_ok_and(|stands| stands) {
                bridge.unlink();
            }
            if *also_as_port {
                match bridge::open(init, vec![*host_port]).await {
                    Ok(opened) => bridge = bridge.with(opened),
                    Err(error) => {
                        tracing::debug!(%error, "the gateway's port is not one of the jail's loopback");
                    }
                }
            }
            bridge
        }
        (Network::Loopback { .. } | Network::Gateway { .. } | Network::Open | Network::Off, _) => {
            prepared.bridge
        }
    };
    Ok(Inside { init, bridge })
}

fn bridge_error(error: &io::Error) -> Error {
    let hint = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "; Network::Loopback needs a host with CAP_SYS_ADMIN, Network::Gateway does not"
        }
        _ => "",
    };
    Error::NotContained { why: format!("its network could not be bridged: {error}{hint}") }
}

/// `None` when the monitor ended first.
fn find_init(monitor: u32, mark: &Mark, known: &mut Known) -> io::Result<Option<i32>> {
    let deadline = Instant::now() + INIT_TIMEOUT;
    loop {
        if let Some(init) = sweep::child_of(monitor)? {
            sweep::remember(mark, u32::try_from(init).map_err(io::Error::other)?, known)?;
            return Ok(Some(init));
        }
        if is_gone(monitor)? {
            return Ok(None);
        }
        if Instant::now() >= deadline {
            return Err(io::ErrorKind::TimedOut.into());
        }
        thread::sleep(LOOK_INTERVAL);
    }
}

/// Waits until the jail's first process has started the agent, which it does when all is mounted; false if that did not come.
fn stands(init: i32) -> bool {
    let deadline = Instant::now() + INIT_TIMEOUT;
    let Ok(init) = u32::try_from(init) else { return false };
    while Instant::now() < deadline && is_gone(init).is_ok_and(|is_gone| !is_gone) {
        match sweep::child_of(init) {
            Ok(Some(_)) => return true,
            Ok(None) => thread::sleep(LOOK_INTERVAL),
            Err(_) => return false,
        }
    }
    false
}

fn is_gone(pid: u32) -> io::Result<bool> {
    let stat = census::stat(i32::try_from(pid).map_err(io::Error::other)?)?;
    Ok(stat.is_none_or(|stat| matches!(stat.state(), Ok(ProcState::Zombie | ProcState::Dead))))
}
