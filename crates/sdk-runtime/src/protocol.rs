//! The control protocol as a state machine: frames and host commands in, outputs out, no I/O and no clock.
//!
//! The driver feeds it and does what the outputs say, in their order. What holds whatever the order of
//! the inputs: a prompt ends once, a request of the agent is answered at most once and never after it
//! was withdrawn, a control request of the host is settled once.

mod prompts;
mod requests;
mod waiters;

use std::{mem, sync::Arc};

use serde_json::{Value, json};
use uuid::Uuid;

use self::{prompts::Prompts, requests::Requests, waiters::Waiters};
pub use self::{
    requests::{Answer, Request, RequestKind},
    waiters::{Refusal, Ticket},
};
use crate::{
    error::{Exit, Said},
    event::{DropReason, Event},
    frame::Frame,
    limits::Limits,
    prompt::Prompt,
    turn_result::{TurnResult, prompt_ids},
    wire::{Head, SkipReason},
};

/// What the driver has to do.
#[derive(Debug)]
pub enum Output {
    /// Tell the host.
    Deliver(Event),
    /// Ask the host's seams, and bring the answer back.
    Dispatch(Box<Request>),
    /// Stop asking: the agent withdrew the request with this id.
    Abort {
        /// Id of the request.
        request_id: String,
    },
    /// Write this frame as soon as there is room: a request was refused before anybody was asked.
    Refuse(Value),
    /// A control request of the host has its answer.
    Settle {
        /// Which one.
        ticket: Ticket,
        /// What the agent said, or that it is gone.
        answer: Result<Value, Refusal>,
    },
}

/// Why a prompt is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PromptRefusal {
    /// The id was used before, and the agent would drop the prompt without a word.
    Duplicate,
    /// The agent is gone.
    Ended,
}

/// The state of the conversation with one agent.
#[derive(Debug)]
pub struct Protocol {
    prompts: Prompts,
    requests: Requests,
    waiters: Waiters,
    result_index_next: Option<u64>,
    mcp_message_next: u64,
    last_error_result: Option<Box<TurnResult>>,
    has_ended: bool,
    outputs: Vec<Output>,
}

impl Protocol {
    /// A conversation in which nothing was said yet.
    pub fn new(limits: &Limits) -> Self {
        Self {
            prompts: Prompts::new(limits.prompt_ids_max),
            requests: Requests::new(limits.requests_max),
            waiters: Waiters::default(),
            result_index_next: None,
            mcp_message_next: 0,
            last_error_result: None,
            has_ended: false,
            outputs: Vec::new(),
        }
    }

    /// What is to be done since the last call.
    #[must_use]
    pub fn take_outputs(&mut self) -> Vec<Output> {
        mem::take(&mut self.outputs)
    }

    /// The host sends a prompt: the frame to write.
    pub fn prompt(&mut self, id: Uuid, prompt: impl Into<Prompt>) -> Result<Value, PromptRefusal> {
        if self.has_ended {
            return Err(PromptRefusal::Ended);
        }
        if !self.prompts.open(id) {
            return Err(PromptRefusal::Duplicate);
        }
        Ok(prompt.into().into_frame(id))
    }

    /// The host sends a control request: the frame to write, or `None` when the agent is gone. `ticket`
    /// is settled once, unless it is abandoned.
    pub fn control(&mut self, ticket: Ticket, subtype: &str, body: Value) -> Option<Value> {
        if self.has_ended {
            let answer = Err(Refusal::Ended);
            self.outputs.push(Output::Settle { ticket, answer });
            return None;
        }
        let mut request = match body {
            Value::Object(fields) => fields,
            _ => serde_json::Map::new(),
        };
        request.insert("subtype".into(), subtype.into());
        let request_id = self.waiters.open(ticket, subtype);
        Some(json!({ "type": "control_request", "request_id": request_id, "request": request }))
    }

    /// A server inside the host speaks to the agent: the frame to write, or `None` when the agent is gone. The
    /// agent acknowledges it, which nobody waits for.
    pub fn mcp_message(&mut self, server_name: &str, message: Value) -> Option<Value> {
        if self.has_ended {
            return None;
        }
        self.mcp_message_next += 1;
        let request_id = format!("mcp_{}", self.mcp_message_next);
        let request = json!({ "subtype": "mcp_message", "server_name": server_name, "message": message });
        Some(json!({ "type": "control_request", "request_id": request_id, "request": request }))
    }

    /// The host no longer waits for this ticket.
    pub fn abandon(&mut self, ticket: Ticket) {
        self.waiters.abandon(ticket);
    }

    /// The seams answered: the frame to write, unless the request was withdrawn meanwhile.
    pub fn answer(&mut self, request_id: &str, answer: Answer) -> Option<Value> {
        if self.has_ended || !self.requests.close(request_id) {
            return None;
        }
        Some(answer.into_frame(request_id))
    }

    /// The agent said something.
    pub fn frame(&mut self, raw: Value) {
        if self.has_ended {
            return;
        }
        match raw["type"].as_str() {
            Some("control_request") => self.request(raw),
            Some("control_response") => self.response(raw),
            Some("control_cancel_request") => self.withdrawal(&raw),
            Some("keep_alive") => {}
            Some("result") => self.result(raw),
            _ => self.report(Frame::read(raw)),
        }
    }

    /// The agent reported something that was read already and is neither control traffic nor a result.
    pub fn report(&mut self, frame: Frame) {
        if self.has_ended {
            return;
        }
        let dropped = match &frame {
            Frame::Lifecycle { prompt: Some(id), state, .. } => self.prompts.advance(*id, state),
            Frame::Lifecycle { prompt: None, .. }
            | Frame::System { .. }
            | Frame::Assistant { .. }
            | Frame::User { .. }
            | Frame::StreamEvent { .. }
            | Frame::Unknown(_) => None,
        };
        self.deliver(Event::Frame(frame));
        if let Some((prompts, why)) = dropped {
            self.drop_prompts(prompts, why);
        }
    }

    /// A line of the agent could not be read; `head` is what it says of itself all the same.
    pub fn skipped(&mut self, reason: SkipReason, bytes: u64, head: &Head) {
        if self.has_ended {
            return;
        }
        // Prompts that are over must not wait for a result that will not come.
        if reason != SkipReason::NotAnObject && head.kind.as_deref().is_none_or(|kind| kind == "result") {
            self.prompts.note_possible_loss();
        }
        let refusal = format!("the host could not read this request: {reason}");
        self.deliver(Event::Skipped { reason, bytes });
        if let Head { kind: Some(kind), request_id: Some(request_id) } = head
            && kind == "control_request"
            && !self.requests.is_open(request_id)
        {
            self.refuse(request_id, refusal);
        }
    }

    /// Its output ended and its process is gone: everything open fails with what it said.
    pub fn ended(&mut self, exit: Exit) -> Arc<Said> {
        let said = Arc::new(Said {
            exit,
            last_error_result: self.last_error_result.take(),
            open_prompts: self.prompts.take_open(),
        });
        if mem::replace(&mut self.has_ended, true) {
            return said;
        }
        for ticket in self.waiters.take_all() {
            let answer = Err(Refusal::Ended);
            self.outputs.push(Output::Settle { ticket, answer });
        }
        for request_id in self.requests.take_all() {
            self.outputs.push(Output::Abort { request_id });
        }
        self.deliver(Event::Exited(Arc::clone(&said)));
        said
    }

    fn request(&mut self, raw: Value) {
        let Some(request_id) = raw["request_id"].as_str().map(str::to_owned) else {
            return self.report(Frame::read(raw));
        };
        match self.requests.open(&request_id) {
            requests::Opened::Yes => {
                let kind = RequestKind::read(raw);
                let request = Request { request_id, kind };
                self.outputs.push(Output::Dispatch(Box::new(request)));
            }
            requests::Opened::AlreadyOpen => {}
            requests::Opened::TooMany => {
                self.refuse(&request_id, "the host has too many requests open".to_owned());
                self.deliver(Event::Skipped { reason: SkipReason::TooManyRequests, bytes: 0 });
            }
        }
    }

    /// Left alone the agent would wait for ever, and the tool call it is about with it. An error is a no.
    fn refuse(&mut self, request_id: &str, why: String) {
        self.outputs.push(Output::Refuse(Answer::Error(why).into_frame(request_id)));
    }

    fn withdrawal(&mut self, raw: &Value) {
        let Some(request_id) = raw["request_id"].as_str() else {
            return;
        };
        if self.requests.close(request_id) {
            self.outputs.push(Output::Abort { request_id: request_id.to_owned() });
        }
    }

    fn response(&mut self, mut raw: Value) {
        let Some(settled) = self.waiters.settle(raw["response"].take()) else {
            return;
        };
        if settled.subtype == "interrupt"
            && let Ok(receipt) = &settled.answer
        {
            let cancelled = prompt_ids(&receipt["cancelled"]);
            let dropped = self.prompts.cancel(&cancelled);
            self.drop_prompts(dropped, DropReason::Cancelled);
        }
        let (ticket, answer) = (settled.ticket, settled.answer);
        self.outputs.push(Output::Settle { ticket, answer });
    }

    fn result(&mut self, raw: Value) {
        self.check_result_index(&raw);
        let result = TurnResult::read(raw);
        let (prompts, missing) = self.prompts.finish(&result.named_prompts(), result.has_own_origin());
        self.drop_prompts(missing, DropReason::ResultMissing);
        if result.is_error {
            self.last_error_result = Some(Box::new(result.clone()));
        } else {
            self.last_error_result = None;
        }
        self.deliver(Event::Finished { prompts, result: Box::new(result) });
    }

    fn check_result_index(&mut self, raw: &Value) {
        let Some(found) = raw["result_index"].as_u64() else {
            return;
        };
        let expected = self.result_index_next.unwrap_or(found);
        self.result_index_next = Some(found.saturating_add(1));
        if found != expected {
            let reason = SkipReason::ResultGap { expected, found };
            self.deliver(Event::Skipped { reason, bytes: 0 });
        }
    }

    fn drop_prompts(&mut self, prompts: Vec<Uuid>, why: DropReason) {
        if !prompts.is_empty() {
            self.deliver(Event::Dropped { prompts, why });
        }
    }

    fn deliver(&mut self, event: Event) {
        self.outputs.push(Output::Deliver(event));
    }
}
