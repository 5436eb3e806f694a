//! The router: which turn a message belongs to. It never waits for a reader.

use std::{collections::HashSet, sync::Arc};

use serde_json::Value;
use uuid::Uuid;

use super::{TurnError, desk::Desk, outside::Outside};
use crate::{
    error::Error,
    event::{DropReason, Event, Events, Receipt},
    frame::Frame,
    message::{Lost, Message},
    turn_result::prompt_ids,
};

/// Runs until the agent is gone.
pub(super) async fn run(mut events: Events, desk: Arc<Desk>, outside: Outside) {
    let mut router = Router { desk, outside, running: Vec::new(), calls: HashSet::new() };
    while let Some((event, receipt)) = events.next_with_receipt().await {
        router.route(event, receipt);
    }
    // A driver that went down with its runtime said no last word.
    router.desk.end(&router.desk.all(), Err(Error::Closed.into()), None);
}

struct Router {
    desk: Arc<Desk>,
    outside: Outside,
    /// The prompts the running turn answers.
    running: Vec<Uuid>,
    /// Tool calls and tasks of the running turn. A subagent of an earlier turn may speak beside it.
    calls: HashSet<String>,
}

impl Router {
    fn route(&mut self, event: Event, receipt: Receipt) {
        match event {
            Event::Frame(frame) => self.frame(frame, receipt),
            Event::Finished { prompts, result } => {
                let message = Message::Result(result);
                if prompts.iter().any(|id| self.desk.is_open(*id)) {
                    self.end(&prompts, Ok(message), Some(receipt));
                } else {
                    self.tell_outside(message, receipt);
                }
            }
            Event::Dropped { prompts, why } => {
                let error = match why {
                    DropReason::Cancelled => TurnError::Cancelled,
                    DropReason::ResultMissing => TurnError::ResultMissing,
                };
                self.end(&prompts, Err(error), Some(receipt));
            }
            Event::Skipped { reason, bytes } => {
                self.tell_running(Message::Lost(Lost::skipped(&reason, bytes)), receipt);
            }
            Event::Overrun { unread_bytes } => {
                // Everybody loses by it, whoever did not read.
                let message = Message::Lost(Lost::overrun(unread_bytes));
                self.desk.tell(&self.desk.all(), Ok(message.clone()), None);
                self.tell_outside(message, receipt);
            }
            Event::MirrorFailed(loss) => self.tell_outside(Message::Lost(Lost::unmirrored(&loss)), receipt),
            Event::Exited(said) => {
                let error = TurnError::Agent(Error::Exited { said });
                self.end(&self.desk.all(), Err(error), Some(receipt));
            }
        }
    }

    fn frame(&mut self, frame: Frame, receipt: Receipt) {
        for id in taken_up(&frame) {
            if self.desk.is_open(id) && !self.running.contains(&id) {
                self.running.push(id);
            }
        }
        if let Frame::Lifecycle { prompt: Some(id), .. } = &frame
            && self.desk.is_open(*id)
        {
            let id = *id;
            self.desk.tell(&[id], Ok(frame.into_message()), Some(receipt));
            return;
        }
        if self.running.is_empty() || self.is_of_an_earlier_turn(&frame) {
            return self.tell_outside(frame.into_message(), receipt);
        }
        self.note_calls(&frame);
        self.tell_running(frame.into_message(), receipt);
    }

    fn is_of_an_earlier_turn(&self, frame: &Frame) -> bool {
        let cause = match task(frame) {
            Some(raw) => raw["tool_use_id"].as_str().or_else(|| raw["task_id"].as_str()),
            None => frame.parent_tool_use_id(),
        };
        cause.is_some_and(|cause| !self.calls.contains(cause))
    }

    fn note_calls(&mut self, frame: &Frame) {
        let id = |value: &Value| value.as_str().map(str::to_owned);
        if let Frame::Assistant { .. } = frame {
            let calls = frame.blocks().iter().filter(|block| block["type"] == "tool_use");
            self.calls.extend(calls.filter_map(|call| id(&call["id"])));
        } else if let Some(raw) = task(frame) {
            self.calls.extend(id(&raw["task_id"]));
        }
    }

    fn tell_running(&mut self, message: Message, receipt: Receipt) {
        if self.running.is_empty() {
            self.tell_outside(message, receipt);
        } else {
            self.desk.tell(&self.running, Ok(message), Some(receipt));
        }
    }

    /// From here on it is bounded elsewhere, and the receipt is given back.
    fn tell_outside(&mut self, message: Message, receipt: Receipt) {
        self.outside.put(message, receipt.bytes());
    }

    fn end(&mut self, ids: &[Uuid], item: Result<Message, TurnError>, receipt: Option<Receipt>) {
        self.desk.end(ids, item, receipt);
        self.running.retain(|id| !ids.contains(id));
        if self.running.is_empty() {
            self.calls.clear();
        }
    }
}

/// The prompts the agent takes up with this frame. It says so twice, and either may be lost.
fn taken_up(frame: &Frame) -> Vec<Uuid> {
    match frame {
        Frame::Lifecycle { prompt, state, .. } if state == "started" => prompt.iter().copied().collect(),
        Frame::System { subtype, raw } if subtype == "init" => prompt_ids(&raw["user_message_uuids"]),
        Frame::Assistant { prompts, .. } => prompts.clone(),
        _ => Vec::new(),
    }
}

/// A frame about a task.
fn task(frame: &Frame) -> Option<&Value> {
    match frame {
        Frame::System { subtype, raw } if subtype.starts_with("task_") => Some(raw),
        _ => None,
    }
}
