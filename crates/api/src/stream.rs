//! What watchers see, whatever carries it: an event stream or a WebSocket.

pub mod event;
pub mod frames;
pub mod journal_event;
pub mod line;
pub mod talk;
