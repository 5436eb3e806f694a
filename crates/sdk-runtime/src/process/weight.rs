//! The weight of an agent's sessions.
//!
//! Where the kernel gives each session a share of the processors (`autogroup`, see `sched(7)`), a nice value counts only
//! inside it. An agent in a jail has a session of its own, and so has each shell it runs: whatever their nice values, each
//! of them would have as much of the processors as the whole host.

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    io::ErrorKind,
    path::Path,
};

use nix::unistd;

/// The kernel refuses more for a session, where it takes it for less in a process.
const NICENESS_MAX: u8 = 19;

/// The sessions of one agent, and which of them weigh less.
#[derive(Debug)]
pub(super) struct Sessions {
    niceness: u8,
    /// Shared with the agent where there is no jail.
    of_host: i32,
    lowered: HashSet<i32>,
}

impl Sessions {
    /// None where there is nothing to lower.
    pub(super) fn new(niceness: u8) -> Option<Self> {
        let is_wanted = niceness > 0 && Path::new("/proc/self/autogroup").exists();
        let of_host = unistd::getsid(None).ok()?.as_raw();
        is_wanted.then(|| Self { niceness: niceness.min(NICENESS_MAX), of_host, lowered: HashSet::new() })
    }

    /// Lowers those that are new; of each session a process that is in it.
    pub(super) fn lower(&mut self, sessions: &BTreeMap<i32, i32>) {
        self.lowered.retain(|session| sessions.contains_key(session));
        for (&session, member) in sessions {
            if session == self.of_host || self.lowered.contains(&session) {
                continue;
            }
            match fs::write(format!("/proc/{member}/autogroup"), self.niceness.to_string()) {
                Ok(()) => drop(self.lowered.insert(session)),
                // Who is not root may change one in a tenth of a second; the others are for the next look.
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // It is gone, or another user's.
                Err(error) => tracing::debug!(%error, member, "the weight of a session stays as it is"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_much_is_lowered_as_the_kernel_takes_and_nothing_for_nothing() {
        assert!(Sessions::new(0).is_none());
        let groups = Path::new("/proc/self/autogroup").exists();
        let lowered = [5, u8::MAX].map(|niceness| Sessions::new(niceness).map(|sessions| sessions.niceness));
        assert_eq!(lowered, [groups.then_some(5), groups.then_some(NICENESS_MAX)]);
    }
}
