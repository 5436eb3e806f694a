//! Every recording of the real CLI, replayed through the state machine.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has to fail")]

use std::{
    collections::{HashMap, HashSet},
    fs,
    path::Path,
};

use sdk_runtime::{
    Event, Exit, Limits, PromptContent,
    protocol::{Answer, Output, Protocol, Ticket},
};
use serde_json::Value;
use uuid::Uuid;

/// What a replay saw.
#[derive(Debug, Default)]
struct Seen {
    sent: Vec<Uuid>,
    finished: HashMap<Uuid, usize>,
    dropped: HashMap<Uuid, usize>,
    open_at_end: Vec<Uuid>,
    results: usize,
    dispatched: HashSet<String>,
    aborted: HashSet<String>,
    answered: HashMap<String, usize>,
    settled: HashMap<Ticket, usize>,
}

/// Replays one recording: `out` frames as they came, the host's own frames as commands.
fn replay(lines: &str) -> Seen {
    let mut protocol = Protocol::new(&Limits::default());
    let mut seen = Seen::default();
    let mut tickets: HashMap<String, Ticket> = HashMap::new();
    for line in lines.lines() {
        let entry: Value = serde_json::from_str(line).unwrap();
        let frame = entry["msg"].clone();
        if entry["dir"] == "out" {
            protocol.frame(translate(frame, &tickets));
        } else {
            host(&mut protocol, &frame, &mut tickets, &mut seen);
        }
        take(&mut protocol, &mut seen);
    }
    let said = protocol.ended(Exit::default());
    seen.open_at_end = said.open_prompts.clone();
    take(&mut protocol, &mut seen);
    seen
}

/// The host's frame as a command; ids of control requests are the state machine's own.
fn host(protocol: &mut Protocol, frame: &Value, tickets: &mut HashMap<String, Ticket>, seen: &mut Seen) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match frame["type"].as_str() {
        Some("user") => {
            let id = frame["uuid"].as_str().and_then(|id| id.parse().ok());
            if let Some(id) = id
                && protocol.prompt(id, PromptContent::Blocks(frame["message"]["content"].clone())).is_ok()
            {
                seen.sent.push(id);
            }
        }
        Some("control_request") => {
            let ticket = Ticket(tickets.len() as u64 + 1);
            tickets.insert(text(&frame["request_id"]), ticket);
            let subtype = text(&frame["request"]["subtype"]);
            protocol.control(ticket, &subtype, frame["request"].clone());
            seen.settled.insert(ticket, 0);
        }
        Some("control_response") => {
            let request_id = text(&frame["response"]["request_id"]);
            let answer = Answer::Success(frame["response"]["response"].clone());
            if protocol.answer(&request_id, answer).is_some() {
                assert!(!seen.aborted.contains(&request_id), "answered after it was withdrawn");
                *seen.answered.entry(request_id).or_default() += 1;
            }
        }
        _ => {}
    }
}

fn translate(mut frame: Value, tickets: &HashMap<String, Ticket>) -> Value {
    let recorded = frame["response"]["request_id"].as_str();
    if let Some(ticket) = recorded.and_then(|id| tickets.get(id)) {
        frame["response"]["request_id"] = format!("req_{}", ticket.0).into();
    }
    frame
}

fn take(protocol: &mut Protocol, seen: &mut Seen) {
    for output in protocol.take_outputs() {
        match output {
            Output::Deliver(Event::Finished { prompts, .. }) => {
                seen.results += 1;
                for id in prompts {
                    *seen.finished.entry(id).or_default() += 1;
                }
            }
            Output::Deliver(Event::Dropped { prompts, .. }) => {
                for id in prompts {
                    *seen.dropped.entry(id).or_default() += 1;
                }
            }
            Output::Deliver(_) => {}
            Output::Dispatch(request) => {
                assert!(seen.dispatched.insert(request.request_id), "asked twice");
            }
            Output::Abort { request_id } => {
                seen.aborted.insert(request_id);
            }
            Output::Refuse(frame) => assert!(frame.is_null(), "refused: {frame}"),
            Output::Settle { ticket, .. } => *seen.settled.entry(ticket).or_default() += 1,
        }
    }
}

fn recording(name: &str) -> String {
    let folder = Path::new("tests/recordings");
    fs::read_to_string(folder.join(format!("{name}.jsonl"))).unwrap()
}

/// The prompts that results of a recording name, and how many results there are.
fn named(lines: &str) -> (HashSet<Uuid>, usize) {
    let mut ids = HashSet::new();
    let mut results = 0;
    for line in lines.lines() {
        let entry: Value = serde_json::from_str(line).unwrap();
        if entry["dir"] != "out" || entry["msg"]["type"] != "result" {
            continue;
        }
        results += 1;
        let list = entry["msg"]["user_message_uuids"].as_array().cloned();
        let list = list.unwrap_or_default();
        ids.extend(list.iter().filter_map(|id| id.as_str()?.parse::<Uuid>().ok()));
    }
    (ids, results)
}

#[test]
fn in_every_recording_each_prompt_ends_once() {
    let folder = Path::new("tests/recordings");
    let mut count = 0;
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let lines = fs::read_to_string(&path).unwrap();
        let (named, results) = named(&lines);
        let seen = replay(&lines);
        let context = format!("{}: {seen:#?}", path.display());
        assert_eq!(seen.results, results, "{context}");
        for id in &seen.sent {
            let finished = seen.finished.get(id).copied().unwrap_or_default();
            let dropped = seen.dropped.get(id).copied().unwrap_or_default();
            let open = seen.open_at_end.iter().filter(|open| *open == id).count();
            assert_eq!(finished + dropped + open, 1, "{context}");
            if named.contains(id) {
                assert_eq!(finished, 1, "a named prompt is finished: {context}");
            }
        }
        assert!(seen.answered.values().all(|times| *times == 1), "{context}");
        assert!(seen.settled.values().all(|times| *times == 1), "{context}");
        count += 1;
    }
    assert_eq!(count, 82, "all recordings are there");
}

#[test]
fn prompts_queued_together_share_a_result() {
    let seen = replay(&recording("queue_messages"));
    assert_eq!((seen.sent.len(), seen.results), (3, 2));
    assert_eq!(seen.finished.len(), 3);
}

#[test]
fn a_prompt_folded_into_a_running_turn_waits_for_its_result() {
    // The CLI reports it completed before the result that names it.
    let seen = replay(&recording("message_folded_mid_turn"));
    assert_eq!((seen.sent.len(), seen.results), (2, 1));
    assert_eq!(seen.finished.len(), 2);
    assert!(seen.dropped.is_empty());
}

#[test]
fn a_cancelled_prompt_is_dropped_and_the_interrupted_one_has_a_result() {
    let seen = replay(&recording("interrupt_cancel_queued"));
    assert_eq!(seen.finished.len(), 1);
    assert_eq!(seen.dropped.len(), 1);
    assert!(seen.open_at_end.is_empty());
}

#[test]
fn a_crash_leaves_the_prompt_open() {
    for name in ["crash_SIGKILL", "crash_SIGTERM"] {
        let seen = replay(&recording(name));
        assert_eq!(seen.open_at_end, seen.sent);
        assert_eq!(seen.sent.len(), 1);
    }
}
