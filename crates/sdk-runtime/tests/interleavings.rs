//! The state machine under any interleaving of what agent and host may do.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has to fail")]

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;
use sdk_runtime::{
    Event, Exit, Limits, SkipReason,
    protocol::{Answer, Output, Protocol, Ticket},
    wire::Head,
};
use serde_json::{Value, json};
use uuid::Uuid;

/// Few numbers, so that steps meet each other.
const NUMBERS: u8 = 6;

#[derive(Debug, Clone)]
enum Step {
    Prompt(u8),
    Control(&'static str),
    Abandon(u8),
    Answer(u8),
    Lifecycle(u8, &'static str),
    Result {
        names: Vec<u8>,
        has_origin: bool,
        index: u64,
    },
    Request(u8, &'static str),
    Withdraw(u8),
    Response {
        ticket: u8,
        cancels: Vec<u8>,
        is_error: bool,
    },
    Noise(u8),
    Lost,
    /// A request on a line that cannot be read.
    LostRequest(u8),
    End,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let n = || 0..NUMBERS;
    let some = || prop::collection::vec(0..NUMBERS, 0..3);
    let step = prop_oneof![
        4 => n().prop_map(Step::Prompt),
        2 => prop::sample::select(vec!["interrupt", "set_model"]).prop_map(Step::Control),
        1 => n().prop_map(Step::Abandon),
        3 => n().prop_map(Step::Answer),
        5 => (n(), prop::sample::select(vec!["queued", "started", "completed", "cancelled", "new"]))
            .prop_map(|(prompt, state)| Step::Lifecycle(prompt, state)),
        4 => (some(), any::<bool>(), 0..4_u64)
            .prop_map(|(names, has_origin, index)| Step::Result { names, has_origin, index }),
        3 => (n(), prop::sample::select(vec!["can_use_tool", "hook_callback", "mcp_message", ""]))
            .prop_map(|(request, subtype)| Step::Request(request, subtype)),
        2 => n().prop_map(Step::Withdraw),
        3 => (n(), some(), any::<bool>())
            .prop_map(|(ticket, cancels, is_error)| Step::Response { ticket, cancels, is_error }),
        1 => any::<u8>().prop_map(Step::Noise),
        1 => Just(Step::Lost),
        1 => n().prop_map(Step::LostRequest),
        1 => Just(Step::End),
    ];
    prop::collection::vec(step, 0..80)
}

/// The rules, checked on every output.
struct World {
    protocol: Protocol,
    /// Prompts that were accepted, with how often each ended.
    prompts: HashMap<Uuid, usize>,
    /// Requests that were dispatched and are still to be answered, with a number per life of an id.
    open_requests: HashSet<String>,
    /// The request that was just lost and is to be refused.
    lost_request: Option<String>,
    /// Control requests, with how often each was settled.
    tickets: HashMap<Ticket, usize>,
    abandoned: HashSet<Ticket>,
    has_ended: bool,
    has_said_exited: bool,
}

fn prompt_id(number: u8) -> Uuid {
    Uuid::from_u128(u128::from(number) + 1)
}

fn prompt_ids(numbers: &[u8]) -> Vec<Uuid> {
    numbers.iter().copied().map(prompt_id).collect()
}

impl World {
    fn new() -> Self {
        let mut limits = Limits::default();
        limits.requests_max = 3;
        Self {
            protocol: Protocol::new(&limits),
            prompts: HashMap::new(),
            open_requests: HashSet::new(),
            lost_request: None,
            tickets: HashMap::new(),
            abandoned: HashSet::new(),
            has_ended: false,
            has_said_exited: false,
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Prompt(number) => {
                let id = prompt_id(*number);
                let is_new = !self.prompts.contains_key(&id);
                let sent = self.protocol.prompt(id, "x");
                assert_eq!(sent.is_ok(), is_new && !self.has_ended);
                if sent.is_ok() {
                    self.prompts.insert(id, 0);
                }
            }
            Step::Control(subtype) => {
                let ticket = Ticket(self.tickets.len() as u64);
                self.tickets.insert(ticket, 0);
                let written = self.protocol.control(ticket, subtype, json!({}));
                assert_eq!(written.is_some(), !self.has_ended);
            }
            Step::Abandon(number) => {
                let ticket = Ticket(u64::from(*number));
                if self.tickets.get(&ticket) == Some(&0) {
                    self.abandoned.insert(ticket);
                }
                self.protocol.abandon(ticket);
            }
            Step::Answer(number) => {
                let id = format!("r{number}");
                let written = self.protocol.answer(&id, Answer::Success(json!({})));
                // Written exactly when it was asked, not withdrawn and not answered yet.
                assert_eq!(written.is_some(), self.open_requests.remove(&id));
            }
            Step::Withdraw(number) => {
                let id = format!("r{number}");
                let frame = json!({ "type": "control_cancel_request", "request_id": id });
                self.protocol.frame(frame);
            }
            Step::Lost => self.protocol.skipped(SkipReason::Oversized, 1, &Head::default()),
            Step::LostRequest(number) => {
                let id = format!("r{number}");
                let head = Head { kind: Some("control_request".to_owned()), request_id: Some(id.clone()) };
                self.lost_request = Some(id.clone()).filter(|id| !self.open_requests.contains(id));
                self.protocol.skipped(SkipReason::InvalidJson, 1, &head);
                self.check();
                assert!(self.lost_request.take().is_none() || self.has_ended, "{id} waits for ever");
            }
            Step::End => self.end(),
            said => self.protocol.frame(frame(said)),
        }
        self.check();
    }

    fn end(&mut self) {
        let said = self.protocol.ended(Exit::default());
        for id in &said.open_prompts {
            *self.prompts.get_mut(id).unwrap() += 1;
        }
        self.check();
        self.has_ended = true;
    }

    fn check(&mut self) {
        for output in self.protocol.take_outputs() {
            match output {
                Output::Deliver(event) => self.event(&event),
                Output::Dispatch(request) => {
                    assert!(!self.has_ended);
                    assert!(self.open_requests.insert(request.request_id), "asked twice");
                    assert!(self.open_requests.len() <= 3, "bounded");
                }
                Output::Abort { request_id } => {
                    assert!(self.open_requests.remove(&request_id), "aborted what was not open");
                }
                Output::Refuse(frame) => {
                    let id = frame["response"]["request_id"].as_str().unwrap();
                    let is_lost = self.lost_request.take_if(|lost| lost == id).is_some();
                    assert!(is_lost || self.open_requests.len() == 3, "refused although there was room");
                    assert!(!self.open_requests.contains(id), "refused what is being asked");
                    assert_eq!(frame["response"]["subtype"], "error");
                }
                Output::Settle { ticket, .. } => {
                    assert!(!self.abandoned.contains(&ticket), "settled though abandoned");
                    *self.tickets.get_mut(&ticket).unwrap() += 1;
                }
            }
        }
    }

    fn event(&mut self, event: &Event) {
        assert!(!self.has_said_exited, "nothing comes after the exit");
        match event {
            Event::Finished { prompts, .. } | Event::Dropped { prompts, .. } => {
                for id in prompts {
                    *self.prompts.get_mut(id).unwrap() += 1;
                }
            }
            Event::Exited(_) => self.has_said_exited = true,
            Event::Frame(_) | Event::Skipped { .. } | Event::MirrorFailed(_) | Event::Overrun { .. } => {}
        }
    }
}

fn frame(step: &Step) -> Value {
    match step {
        Step::Lifecycle(prompt, state) => {
            json!({ "type": "command_lifecycle", "command_uuid": prompt_id(*prompt), "state": state })
        }
        Step::Result { names, has_origin, index } => {
            let mut result = json!({
                "type": "result", "subtype": "success", "is_error": index % 2 == 1,
                "user_message_uuids": prompt_ids(names), "result_index": index,
            });
            if *has_origin {
                result["origin"] = json!({ "kind": "task-notification" });
            }
            result
        }
        Step::Request(number, subtype) => json!({
            "type": "control_request", "request_id": format!("r{number}"),
            "request": { "subtype": subtype, "tool_name": "Bash", "callback_id": "hook_0" },
        }),
        Step::Response { ticket, cancels, is_error } => {
            let subtype = if *is_error { "error" } else { "success" };
            json!({ "type": "control_response", "response": {
                "subtype": subtype, "request_id": format!("req_{ticket}"), "error": "no",
                "response": { "cancelled": prompt_ids(cancels) },
            } })
        }
        Step::Noise(kind) => match kind % 6 {
            0 => json!([1, 2]),
            1 => json!({ "type": 7 }),
            2 => json!({ "type": "control_request" }),
            3 => json!({ "type": "control_response", "response": "what" }),
            4 => json!({ "type": "control_cancel_request" }),
            _ => json!({ "type": "something_new", "message": null }),
        },
        other => panic!("{other:?} is not said by the agent"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn everything_ends_once(steps in steps()) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
        }
        world.end();
        world.check();
        prop_assert!(world.prompts.values().all(|ended| *ended == 1), "{:?}", world.prompts);
        for (ticket, settled) in &world.tickets {
            let wanted = usize::from(!world.abandoned.contains(ticket));
            prop_assert_eq!(*settled, wanted);
        }
        prop_assert!(world.open_requests.is_empty());
        prop_assert!(world.has_said_exited);
    }
}

#[test]
fn a_lost_result_does_not_leave_its_prompt_waiting() {
    let mut world = World::new();
    world.step(&Step::Prompt(0));
    world.step(&Step::Lifecycle(0, "started"));
    world.step(&Step::Lost);
    world.step(&Step::Lifecycle(0, "completed"));
    assert_eq!(world.prompts[&prompt_id(0)], 1);
}

/// A prompt that runs, and a second one that is folded into its turn.
fn folded() -> World {
    let mut world = World::new();
    for number in [0, 1] {
        world.step(&Step::Prompt(number));
        world.step(&Step::Lifecycle(number, "started"));
    }
    world
}

#[test]
fn a_lost_line_does_not_take_its_result_from_a_folded_prompt() {
    let mut world = folded();
    world.step(&Step::Lost);
    world.step(&Step::Lifecycle(1, "completed"));
    let ended = |world: &World| [0, 1].map(|number| world.prompts[&prompt_id(number)]);
    assert_eq!(ended(&world), [0, 0], "its turn goes on");
    world.protocol.frame(frame(&Step::Result { names: vec![0, 1], has_origin: false, index: 0 }));
    let outputs = world.protocol.take_outputs();
    let [Output::Deliver(Event::Finished { prompts, .. })] = &outputs[..] else {
        panic!("{outputs:?}");
    };
    assert_eq!(*prompts, prompt_ids(&[0, 1]));
}

#[test]
fn a_folded_prompt_whose_result_was_lost_ends_with_its_turn() {
    let ended = |world: &World| [0, 1].map(|number| world.prompts[&prompt_id(number)]);
    let mut lost = folded();
    for step in [Step::Lost, Step::Lifecycle(1, "completed"), Step::Lifecycle(0, "completed")] {
        lost.step(&step);
    }
    assert_eq!(ended(&lost), [1, 1]);
    let mut not_named = folded();
    for step in [
        Step::Lost,
        Step::Lifecycle(1, "completed"),
        Step::Result { names: vec![0], has_origin: false, index: 0 },
    ] {
        not_named.step(&step);
    }
    assert_eq!(ended(&not_named), [1, 1]);
}

#[test]
fn what_was_no_result_is_not_taken_for_a_lost_one() {
    let head = |kind: &str| Head { kind: Some(kind.to_owned()), request_id: None };
    for (reason, head, is_loss) in [
        (SkipReason::NotAnObject, Head::default(), false),
        (SkipReason::Oversized, head("user"), false),
        (SkipReason::InvalidJson, head("control_request"), false),
        (SkipReason::Oversized, head("result"), true),
        (SkipReason::InvalidJson, Head::default(), true),
    ] {
        let mut world = World::new();
        world.step(&Step::Prompt(0));
        world.step(&Step::Lifecycle(0, "started"));
        world.protocol.skipped(reason.clone(), 1, &head);
        world.step(&Step::Lifecycle(0, "completed"));
        assert_eq!(world.prompts[&prompt_id(0)], usize::from(is_loss), "{reason:?} {head:?}");
    }
}

#[test]
fn a_gap_between_results_is_reported() {
    let mut protocol = Protocol::new(&Limits::default());
    for index in [0, 2] {
        protocol.frame(json!({ "type": "result", "result_index": index }));
    }
    let gap = SkipReason::ResultGap { expected: 1, found: 2 };
    let outputs = protocol.take_outputs();
    let reported = outputs
        .iter()
        .any(|output| matches!(output, Output::Deliver(Event::Skipped { reason, .. }) if *reason == gap));
    assert!(reported, "{outputs:?}");
}

#[test]
fn a_result_ends_what_it_names_even_if_nothing_was_said_before() {
    let mut world = World::new();
    world.step(&Step::Prompt(0));
    world.step(&Step::Prompt(1));
    world.step(&Step::Result { names: vec![0], has_origin: false, index: 0 });
    assert_eq!((world.prompts[&prompt_id(0)], world.prompts[&prompt_id(1)]), (1, 0));
}

#[test]
fn a_result_that_names_nobody_ends_what_is_running_unless_the_agent_woke_by_itself() {
    for (has_origin, ended) in [(false, 1), (true, 0)] {
        let mut world = World::new();
        world.step(&Step::Prompt(0));
        world.step(&Step::Lifecycle(0, "started"));
        world.step(&Step::Result { names: vec![], has_origin, index: 0 });
        assert_eq!(world.prompts[&prompt_id(0)], ended);
    }
}
