//! The bridge into a network namespace: listeners inside, made from outside, whose connections the host
//! carries to its own loopback; or a socket file that leads there. No process of ours has to live in the jail for it.

use std::{
    fs::{DirEntry, File},
    io,
    net::{Ipv4Addr, TcpListener as StdListener},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use nix::sched::{CloneFlags, setns};
use tokio::{
    io::{AsyncRead, AsyncWrite, copy_bidirectional},
    net::{TcpListener, TcpStream, UnixListener},
    task::JoinHandle,
};

use crate::task;

/// Wait for the jail to have its namespace and its loopback.
const READY_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);
/// Folders of socket files are made here, under names that begin so.
const FOLDERS: &str = "/tmp";
const PREFIX: &str = "agent-";
const SOCKET: &str = "s";
/// A socket's path may have 107 bytes.
const MARKER_BYTES_MAX: usize = 48;
/// Connections that are carried at once, per port.
const CONNECTIONS_MAX: usize = 256;

/// Carries connections until it is dropped.
#[derive(Debug, Default)]
pub(super) struct Bridge {
    carrying: Vec<JoinHandle<()>>,
    /// Folder of a socket file, until it is removed.
    folder: Option<PathBuf>,
}

impl Bridge {
    /// A socket file whose connections are carried to this port of the host's loopback.
    pub(super) fn gateway(port: u16, host_marker: Option<&str>) -> io::Result<Self> {
        // A short path, because that of a socket is bounded; a name nobody can guess, in a folder that
        // nobody else can enter.
        let prefix = host_marker.and_then(prefix_of).unwrap_or_else(|| PREFIX.to_owned());
        let folder = Path::new(FOLDERS).join(format!("{prefix}{}", uuid::Uuid::new_v4().simple()));
        std::fs::DirBuilder::new().mode(0o700).create(&folder)?;
        let mut bridge = Self { carrying: Vec::new(), folder: Some(folder) };
        if let Some(socket) = bridge.socket() {
            let listener = UnixListener::bind(socket)?;
            bridge.carrying.push(task::spawn(carry(Door::Unix(listener), port)));
        }
        Ok(bridge)
    }

    /// Removes the socket file, which the jail has by now: a mount holds what it shows, also when that has no name any more.
    /// So nobody else can reach it, and a host that is killed leaves nothing behind.
    pub(super) fn unlink(&mut self) {
        if let Some(folder) = self.folder.take()
            && let Err(error) = std::fs::remove_dir_all(folder)
        {
            tracing::warn!(%error, "the folder of a gateway's socket is left");
        }
    }

    /// This one and what another carries.
    pub(super) fn with(mut self, mut other: Self) -> Self {
        self.carrying.append(&mut other.carrying);
        self
    }

    /// The socket file, as long as it has one.
    pub(super) fn socket(&self) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join(SOCKET))
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        for carrying in &self.carrying {
            carrying.abort();
        }
        self.unlink();
    }
}

/// Removes what a host with this mark left that was killed between making a socket file and unlinking it.
pub(super) fn sweep(host_marker: &str) {
    let Some(prefix) = prefix_of(host_marker) else { return };
    let is_left = |entry: &DirEntry| entry.file_name().to_str().is_some_and(|name| name.starts_with(&prefix));
    for entry in std::fs::read_dir(FOLDERS).into_iter().flatten().flatten().filter(is_left) {
        // Others may write there too, so nothing goes but what is made here; a socket that stays keeps its folder.
        let _ = std::fs::remove_file(entry.path().join(SOCKET));
        if let Err(error) = std::fs::remove_dir(entry.path()) {
            tracing::warn!(%error, "the folder of a gateway's socket is left");
        }
    }
}

/// What the names of a host's folders begin with, if its mark can be part of a name.
fn prefix_of(host_marker: &str) -> Option<String> {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let can_be = !host_marker.is_empty() && host_marker.len() <= MARKER_BYTES_MAX;
    (can_be && host_marker.bytes().all(is_part)).then(|| format!("{PREFIX}{host_marker}-"))
}

/// Where connections come from.
enum Door {
    Tcp(TcpListener),
    Unix(UnixListener),
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Door {
    async fn accept(&self) -> io::Result<Box<dyn Stream>> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                undelayed(&stream);
                Ok(Box::new(stream))
            }
            Self::Unix(listener) => listener.accept().await.map(|(stream, _)| Box::new(stream) as _),
        }
    }
}

/// Listens on these ports of the loopback that the process `inside` has, for as long as the bridge lives.
pub(super) async fn open(inside: i32, ports: Vec<u16>) -> io::Result<Bridge> {
    // A thread of its own, because it stays in the namespace it entered.
    let listening =
        thread::Builder::new().name("agent-netns".to_owned()).spawn(move || listen(inside, &ports));
    let joined = tokio::task::spawn_blocking(move || listening.map(thread::JoinHandle::join)).await;
    let listeners = match joined.map_err(io::Error::other)?? {
        Ok(listeners) => listeners?,
        Err(_panic) => return Err(io::Error::other("the thread that listens broke down")),
    };
    let mut bridge = Bridge::default();
    for (port, listener) in listeners {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        bridge.carrying.push(task::spawn(carry(Door::Tcp(listener), port)));
    }
    Ok(bridge)
}

fn listen(inside: i32, ports: &[u16]) -> io::Result<Vec<(u16, StdListener)>> {
    let deadline = Instant::now() + READY_TIMEOUT;
    let path = PathBuf::from(format!("/proc/{inside}/ns/net"));
    until(deadline, || is_foreign(&path))?;
    setns(File::open(&path)?, CloneFlags::CLONE_NEWNET)?;
    let mut listeners = Vec::new();
    for &port in ports {
        // Before its loopback is up there is no such address.
        let listener = until(deadline, || match StdListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(listener) => Ok(Some(listener)),
            Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => Ok(None),
            Err(error) => Err(error),
        })?;
        listeners.push((port, listener));
    }
    Ok(listeners)
}

/// Whether the process has left the host's network.
fn is_foreign(path: &Path) -> io::Result<Option<()>> {
    let own = std::fs::read_link("/proc/thread-self/ns/net")?;
    Ok((std::fs::read_link(path)? != own).then_some(()))
}

fn until<T>(deadline: Instant, mut look: impl FnMut() -> io::Result<Option<T>>) -> io::Result<T> {
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if Instant::now() >= deadline {
            return Err(io::ErrorKind::TimedOut.into());
        }
        thread::sleep(LOOK_INTERVAL);
    }
}

/// Without it, the second piece of a request waits until the first is acknowledged, which takes the kernel up to 40 ms.
fn undelayed(stream: &TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection out of a jail is slower than it could be");
    }
}

async fn carry(door: Door, port: u16) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = door.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok(mut near) => {
                    connections.spawn(async move {
                        let Ok(mut far) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else {
                            return;
                        };
                        undelayed(&far);
                        if let Err(error) = copy_bidirectional(&mut near, &mut far).await {
                            tracing::debug!(%error, port, "a connection out of a jail broke");
                        }
                    });
                }
                Err(error) => {
                    tracing::debug!(%error, port, "a connection out of a jail was not taken");
                    tokio::time::sleep(LOOK_INTERVAL).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_killed_host_left_goes_and_nobody_elses() {
        let [killed, other] = [(); 2].map(|()| uuid::Uuid::new_v4().simple().to_string());
        let made = |host: Option<&str>| Bridge::gateway(1, host).unwrap();
        let (left, others, nobodys) = (made(Some(&killed)), made(Some(&other)), made(None));
        let folders = [&left, &others, &nobodys].map(|bridge| bridge.folder.clone().unwrap());
        std::mem::forget(left);
        sweep(&killed);
        assert_eq!(folders.map(|folder| folder.exists()), [false, true, true]);
    }

    #[test]
    fn a_mark_that_is_no_name_leads_nowhere() {
        for marker in ["", "../x", "a-b", "a b", &"x".repeat(MARKER_BYTES_MAX + 1)] {
            assert_eq!(prefix_of(marker), None, "{marker}");
        }
        assert_eq!(prefix_of("69d5f87f").as_deref(), Some("agent-69d5f87f-"));
    }
}
