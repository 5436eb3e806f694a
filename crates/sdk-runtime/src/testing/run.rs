//! The task behind a scripted agent: reads the host's lines, runs one script at a time, ends when told.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, atomic::AtomicU64},
};

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream},
    sync::{Notify, mpsc, watch},
    task::JoinHandle,
    time::{Instant, sleep_until},
};
use uuid::Uuid;

use super::{
    Scene, Start, frames,
    say::{Say, ScriptedPrompt},
    scripted_agent::{Inner, ScriptedAgent, lock},
};
use crate::{
    clock,
    error::Exit,
    framing::{LineSplitter, Piece},
    launcher::{Haste, Invocation, Life, Transport},
    task, wire,
};

/// Size of the pipes, that of a real one.
const PIPE_BYTES: usize = 64 << 10;
/// Exit code of the CLI after SIGTERM.
const TERMINATED: i32 = 143;

struct ScriptedLife {
    pid: u32,
    haste: watch::Sender<Option<Haste>>,
    ended: watch::Receiver<Option<Exit>>,
}

/// The state of the task.
struct Run {
    agent: ScriptedAgent,
    scene: Scene,
    waiting: VecDeque<Value>,
    turn: Option<(Say, JoinHandle<()>)>,
    is_last_result_error: bool,
}

/// Starts an agent; `number` serves as its pid.
pub(super) fn start(scene: Scene, invocation: &Invocation, number: usize) -> (ScriptedAgent, Transport) {
    let (stdin, host_lines) = tokio::io::duplex(PIPE_BYTES);
    let (agent_lines, stdout) = tokio::io::duplex(PIPE_BYTES);
    let (out, out_lines) = mpsc::unbounded_channel();
    let (haste, wanted) = watch::channel(None);
    let (ended, exit) = watch::channel(None);
    let agent = ScriptedAgent(Arc::new(Inner {
        invocation: invocation.clone(),
        session_id: session_id(invocation),
        received: watch::Sender::new(Vec::new()),
        ended,
        out: Mutex::new(Some(out)),
        asked: Mutex::new(HashMap::new()),
        leave: watch::Sender::new(None),
        turn_over: Notify::new(),
        request_next: AtomicU64::new(0),
        result_next: AtomicU64::new(0),
    }));
    let pump = task::spawn(pump(agent_lines, out_lines));
    let run = Run {
        agent: agent.clone(),
        scene,
        waiting: VecDeque::new(),
        turn: None,
        is_last_result_error: false,
    };
    task::spawn(run.run(host_lines, wanted, pump));
    let life = ScriptedLife { pid: u32::try_from(number).unwrap_or(u32::MAX), haste, ended: exit };
    let transport = Transport { stdin: Box::new(stdin), stdout: Box::new(stdout), life: Box::new(life) };
    (agent, transport)
}

#[async_trait]
impl Life for ScriptedLife {
    fn pid(&self) -> Option<u32> {
        Some(self.pid)
    }

    fn end(&self, haste: Haste) {
        self.haste.send_modify(|wanted| {
            *wanted = (*wanted).max(Some(haste));
        });
    }

    async fn ended(&self) -> Exit {
        let mut ended = self.ended.clone();
        let exit = ended.wait_for(Option::is_some).await;
        exit.ok().and_then(|exit| exit.clone()).unwrap_or_default()
    }
}

impl Drop for ScriptedLife {
    fn drop(&mut self) {
        self.end(Haste::Now);
    }
}

impl Run {
    async fn run(
        mut self,
        mut host_lines: DuplexStream,
        mut wanted: watch::Receiver<Option<Haste>>,
        pump: JoinHandle<()>,
    ) {
        let mut leave = self.agent.0.leave.subscribe();
        let mut splitter = LineSplitter::new(usize::MAX);
        let mut chunk = Vec::new();
        let mut is_open = true;
        let mut term_at: Option<Instant> = None;
        let grace = self.agent.0.invocation.limits.close_grace;
        let exit = loop {
            if !is_open && self.turn.is_none() {
                break exit_code(i32::from(self.is_last_result_error));
            }
            let agent = self.agent.clone();
            tokio::select! {
                read = host_lines.read_buf(&mut chunk), if is_open => {
                    is_open = matches!(read, Ok(1..));
                    let mut lines = Vec::new();
                    splitter.push(&chunk, |piece| {
                        if let Piece::Line(line) = piece {
                            lines.push(line.to_vec());
                        }
                    });
                    chunk.clear();
                    for line in lines {
                        self.line(&line);
                    }
                }
                () = turn_end(&mut self.turn) => self.turn_ended(),
                () = agent.0.turn_over.notified() => self.turn_aborted(),
                exit = left(&mut leave) => break exit,
                haste = hastened(&mut wanted, term_at.is_some()) => match haste {
                    Haste::AfterGrace => term_at = Some(clock::from_now(grace)),
                    Haste::Now => {
                        pump.abort();
                        break Exit { signal: Some(nix::libc::SIGKILL), ..Exit::default() };
                    }
                },
                () = sleep_until(term_at.unwrap_or_else(Instant::now)), if term_at.is_some() => {
                    break exit_code(TERMINATED);
                }
            }
        };
        self.end(exit, pump).await;
    }

    /// What was said is still written; then the pipe closes, then the agent is gone.
    async fn end(mut self, exit: Exit, pump: JoinHandle<()>) {
        if let Some((_, script)) = self.turn.take() {
            script.abort();
        }
        lock(&self.agent.0.asked).clear();
        lock(&self.agent.0.out).take();
        // An aborted pump has nothing more to write.
        let _ = pump.await;
        self.agent.0.ended.send_replace(Some(exit));
    }

    fn line(&mut self, line: &[u8]) {
        let Ok(frame) = wire::read_line(line) else {
            // The real CLI dies of a torn line too.
            self.agent.exit(1, "Error parsing streaming input line");
            return;
        };
        self.agent.0.received.send_modify(|received| received.push(frame.clone()));
        match frame["type"].as_str() {
            Some("user") => self.prompt(frame),
            Some("control_request") => self.control(&frame),
            Some("control_response") => self.agent.answered(&frame["response"]),
            _ => {}
        }
    }

    fn prompt(&mut self, frame: Value) {
        self.agent.say(&frames::lifecycle(&frame["uuid"], "queued"));
        self.waiting.push_back(frame);
        self.next_turn();
    }

    fn next_turn(&mut self) {
        if self.turn.is_some() {
            return;
        }
        let Some(frame) = self.waiting.pop_front() else {
            return;
        };
        let prompt = frame["uuid"].clone();
        self.agent.say(&frames::lifecycle(&prompt, "started"));
        let session_id = self.agent.session_id();
        self.agent.say(&frames::init(session_id, &prompt));
        let say = Say::new(self.agent.clone(), prompt);
        let script = (self.scene.script)(ScriptedPrompt { frame }, say.clone());
        self.turn = Some((say, task::spawn(script)));
    }

    fn turn_ended(&mut self) {
        if let Some((say, _)) = self.turn.take() {
            if !say.has_result() {
                say.result();
            }
            self.is_last_result_error = false;
            self.agent.say(&frames::lifecycle(say.prompt_id(), "completed"));
        }
        self.next_turn();
    }

    fn turn_aborted(&mut self) {
        if let Some((say, script)) = self.turn.take() {
            script.abort();
            if !say.has_result() {
                self.agent.say(&frames::interrupted(self.agent.session_id()));
                say.result_with(frames::interruption());
            }
            self.is_last_result_error = true;
            self.agent.say(&frames::lifecycle(say.prompt_id(), "cancelled"));
        }
        self.next_turn();
    }

    fn control(&mut self, frame: &Value) {
        let request = &frame["request"];
        let subtype = request["subtype"].as_str().unwrap_or_default();
        let answer = match (subtype, self.scene.controls.get(subtype)) {
            (_, Some(control)) => control(request),
            ("initialize", None) => match &self.scene.start {
                Start::Answers | Start::Fails(_) => Ok(self.scene.initialize.clone()),
                Start::IsSilent => return,
                Start::Exits { code, stderr } => return self.agent.exit(*code, stderr),
            },
            ("interrupt", None) => return self.interrupt(frame),
            (_, None) => Ok(json!({})),
        };
        self.respond(frame, answer);
    }

    fn interrupt(&mut self, frame: &Value) {
        self.agent.withdraw_all();
        let ids: Vec<Value> = self.waiting.iter().map(|p| p["uuid"].clone()).collect();
        let receipt = if frame["request"]["cancel_queued"] == true {
            self.waiting.clear();
            for id in &ids {
                self.agent.say(&frames::lifecycle(id, "cancelled"));
            }
            json!({ "still_queued": [], "cancelled": ids })
        } else {
            json!({ "still_queued": ids })
        };
        self.respond(frame, Ok(receipt));
        self.turn_aborted();
    }

    fn respond(&self, frame: &Value, answer: Result<Value, String>) {
        let request_id = &frame["request_id"];
        let response = match answer {
            Ok(payload) => {
                json!({ "subtype": "success", "request_id": request_id, "response": payload })
            }
            Err(error) => {
                json!({ "subtype": "error", "request_id": request_id, "error": error })
            }
        };
        self.agent.say(&json!({ "type": "control_response", "response": response }));
    }
}

async fn pump(mut pipe: DuplexStream, mut lines: mpsc::UnboundedReceiver<Vec<u8>>) {
    while let Some(line) = lines.recv().await {
        if pipe.write_all(&line).await.is_err() {
            return;
        }
    }
}

async fn turn_end(turn: &mut Option<(Say, JoinHandle<()>)>) {
    match turn {
        Some((_, script)) => {
            // A script that panics fails its test through the missing frames; the panic is printed.
            let _ = script.await;
        }
        None => std::future::pending().await,
    }
}

async fn left(leave: &mut watch::Receiver<Option<Exit>>) -> Exit {
    let exit = leave.wait_for(Option::is_some).await;
    // The sender lives in the agent the task holds, so there is always a value.
    exit.ok().and_then(|exit| exit.clone()).unwrap_or_default()
}

async fn hastened(wanted: &mut watch::Receiver<Option<Haste>>, is_closing: bool) -> Haste {
    let least = if is_closing { Haste::Now } else { Haste::AfterGrace };
    let haste = wanted.wait_for(|haste| haste.is_some_and(|haste| haste >= least));
    match haste.await {
        Ok(haste) => haste.unwrap_or(Haste::Now),
        Err(_) => Haste::Now,
    }
}

fn exit_code(code: i32) -> Exit {
    Exit { code: Some(code), ..Exit::default() }
}

/// The session the arguments ask for, else a new one.
fn session_id(invocation: &Invocation) -> String {
    let value = |flag: &str| {
        let mut args = invocation.args.iter().filter_map(|arg| arg.to_str());
        args.find_map(|arg| arg.strip_prefix(flag).map(str::to_owned))
    };
    value("--session-id=").or_else(|| value("--resume=")).unwrap_or_else(|| Uuid::new_v4().to_string())
}
