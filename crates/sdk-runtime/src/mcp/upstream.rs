//! The way from an in-process server to the agent: its own JSON-RPC messages.

use serde_json::Value;
use tokio::sync::{mpsc, watch};

use crate::{driver::Command, writer::Rooms};

/// Carries messages of servers to the agent. Clones share the way.
#[derive(Debug, Clone)]
pub(crate) struct Upstream {
    commands: mpsc::WeakUnboundedSender<Command>,
    rooms: Rooms,
    /// An agent that awaits `initialize` dies of any other line.
    is_ready: watch::Receiver<bool>,
}

impl Upstream {
    /// A way that opens when the sender is set.
    pub(crate) fn new(
        commands: mpsc::WeakUnboundedSender<Command>,
        rooms: Rooms,
    ) -> (Self, watch::Sender<bool>) {
        let (ready, is_ready) = watch::channel(false);
        (Self { commands, rooms, is_ready }, ready)
    }

    /// A way that leads nowhere.
    pub(super) fn nowhere() -> Self {
        let (commands, _) = mpsc::unbounded_channel();
        Self::new(commands.downgrade(), Rooms::new(1)).0
    }

    pub(super) fn is_ready(&self) -> bool {
        *self.is_ready.borrow()
    }

    /// Waits until the agent has answered `initialize`; forever, when it never will.
    pub(super) async fn ready(&self) {
        let mut is_ready = self.is_ready.clone();
        if is_ready.wait_for(|is_ready| *is_ready).await.is_err() {
            std::future::pending().await
        }
    }

    /// Sends one message; done when the driver has it. Messages of one sender keep their order, and precede
    /// what the sender answers later. Nothing happens when the agent is not ready or gone.
    pub(super) async fn tell(&self, server_name: &str, message: Value) {
        if !self.is_ready() {
            return;
        }
        let Some(room) = self.rooms.room().await else {
            return;
        };
        if let Some(commands) = self.commands.upgrade() {
            let server_name = server_name.to_owned();
            // A driver that is gone has no use for it.
            let _ = commands.send(Command::McpMessage { server_name, message, room });
        }
    }
}
