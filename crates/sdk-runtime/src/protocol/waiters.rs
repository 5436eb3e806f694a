//! Control requests of the host that wait for an answer of the agent.

use std::collections::HashMap;

use serde_json::{Value, json};

/// The host's own number for a control request; never used twice for one agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// Why a control request has no payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The agent said no.
    Said {
        /// Its code, such as `unsupported_request`.
        code: Option<String>,
        /// Its words.
        message: String,
    },
    /// The agent is gone.
    Ended,
}

/// The waiting requests by the id they carry on the wire.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    open: HashMap<String, Waiter>,
}

#[derive(Debug)]
struct Waiter {
    ticket: Ticket,
    subtype: String,
}

/// A request that got its answer.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) ticket: Ticket,
    pub(super) subtype: String,
    pub(super) answer: Result<Value, Refusal>,
}

impl Waiters {
    /// Opens a waiter: the id to put on the wire.
    pub(super) fn open(&mut self, ticket: Ticket, subtype: &str) -> String {
        let request_id = wire_id(ticket);
        let subtype = subtype.to_owned();
        self.open.insert(request_id.clone(), Waiter { ticket, subtype });
        request_id
    }

    pub(super) fn abandon(&mut self, ticket: Ticket) {
        self.open.remove(&wire_id(ticket));
    }

    /// Reads the inside of a `control_response`; `None` when nobody waits for it.
    pub(super) fn settle(&mut self, mut response: Value) -> Option<Settled> {
        let waiter = self.open.remove(response["request_id"].as_str()?)?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let answer = match response["subtype"].as_str() {
            Some("success") => Ok(match response["response"].take() {
                Value::Null => json!({}),
                payload => payload,
            }),
            _ => Err(Refusal::Said {
                code: text(&response["error_code"]),
                message: text(&response["error"]).unwrap_or_else(|| response.to_string()),
            }),
        };
        Some(Settled { ticket: waiter.ticket, subtype: waiter.subtype, answer })
    }

    pub(super) fn take_all(&mut self) -> Vec<Ticket> {
        self.open.drain().map(|(_, waiter)| waiter.ticket).collect()
    }
}

fn wire_id(ticket: Ticket) -> String {
    format!("req_{}", ticket.0)
}
