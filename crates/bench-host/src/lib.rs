//! What the host and those who measure it have in common: the orders, and the agents that both start.

pub mod agents;
pub mod orders;
