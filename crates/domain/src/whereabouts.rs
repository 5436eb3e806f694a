//! On which server's disk a session's own working directory is, and who has an older one.

use crate::ServerId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Older directories that are remembered; of more, the oldest is forgotten.
const LEFT_MAX: usize = 16;

/// Where the working directory is that a session has for itself. A session that goes on at another server leaves its
/// directory behind there, and a server that has one need not have the one that counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whereabouts {
    /// The server that has it; `None` for a directory that is shared, or was made before this was noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    server: Option<ServerId>,
    /// Servers that the session has left, and how many messages it had then.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    left: BTreeMap<ServerId, u64>,
}

impl Whereabouts {
    /// On this server's disk, and nowhere else.
    #[must_use]
    pub fn at(server: ServerId) -> Self {
        Self { server: Some(server), left: BTreeMap::new() }
    }

    /// Nothing is known about it.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.server.is_none() && self.left.is_empty()
    }

    /// Whether what this server has is the directory that counts.
    #[must_use]
    pub fn is_at(&self, server: ServerId) -> bool {
        self.server.is_none_or(|at| at == server)
    }

    /// How many messages the session had when it left this server, as far as is known; what the server has is as old.
    #[must_use]
    pub fn left_at(&self, server: ServerId) -> u64 {
        self.left.get(&server).copied().unwrap_or_default()
    }

    /// From now on it is on this server's disk. The session has so many messages.
    pub fn move_to(&mut self, server: ServerId, messages: u64) {
        if let Some(before) = self.server.replace(server).filter(|before| *before != server) {
            self.left.insert(before, messages);
        }
        self.left.remove(&server);
        if self.left.len() > LEFT_MAX
            && let Some(oldest) = self.left.iter().min_by_key(|(_, messages)| **messages).map(|(at, _)| *at)
        {
            self.left.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_has_counts_until_the_session_goes_on_elsewhere() {
        let (one, other) = (ServerId::new(), ServerId::new());
        let mut whereabouts = Whereabouts::at(one);
        assert!(whereabouts.is_at(one) && !whereabouts.is_at(other));
        whereabouts.move_to(other, 7);
        assert!(whereabouts.is_at(other) && !whereabouts.is_at(one));
        assert_eq!((whereabouts.left_at(one), whereabouts.left_at(other)), (7, 0));
        let read: Whereabouts = serde_json::from_str(&serde_json::to_string(&whereabouts).unwrap()).unwrap();
        assert_eq!(read, whereabouts);
        whereabouts.move_to(one, 9);
        assert_eq!((whereabouts.left_at(one), whereabouts.left_at(other)), (0, 9));
        whereabouts.move_to(one, 12);
        assert_eq!(whereabouts.left_at(one), 0, "it did not leave");
    }

    #[test]
    fn the_oldest_is_forgotten_first() {
        let servers: Vec<ServerId> = (0..20).map(|_| ServerId::new()).collect();
        let mut whereabouts = Whereabouts::at(servers[0]);
        for (messages, server) in (1..).zip(&servers[1..]) {
            whereabouts.move_to(*server, messages);
        }
        assert_eq!(whereabouts.left.len(), LEFT_MAX);
        assert_eq!((whereabouts.left_at(servers[2]), whereabouts.left_at(servers[3])), (0, 4));
    }
}
