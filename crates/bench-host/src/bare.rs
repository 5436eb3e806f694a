//! The least a host can be: a thread that reads lines and answers each request at once with a line made before. What it
//! takes is what pipes and wake-ups take; whatever a host takes beyond is its own.

use std::{
    io::{self, BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, bail, ensure};
use bench_host::orders::{Answer, Order, Session};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

/// How such a host is called.
pub(super) const NAME: &str = "bare";

/// What a line says of itself; nothing else is read.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    request_id: Option<&'a str>,
    #[serde(borrow)]
    request: Option<Asked<'a>>,
    is_error: Option<bool>,
}

#[derive(Deserialize)]
struct Asked<'a> {
    subtype: &'a str,
}

struct Pipe {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

/// Obeys until its input ends.
pub(crate) fn run() -> Result<()> {
    let mut pipe = None;
    say(&Answer::default())?;
    for line in io::stdin().lock().lines() {
        say(&obey(&mut pipe, serde_json::from_str(&line?)?)?)?;
    }
    let Some(Pipe { mut child, stdin, .. }) = pipe else { return Ok(()) };
    drop(stdin);
    child.wait().context("failed to wait for the CLI").map(drop)
}

fn say(answer: &Answer) -> Result<()> {
    println!("{}", serde_json::to_string(answer)?);
    Ok(())
}

fn obey(held: &mut Option<Pipe>, order: Order) -> Result<Answer> {
    let (mut pipe, prompt) = match (order, held.take()) {
        (Order::Open { mut sessions, prompt }, None) if sessions.len() == 1 => {
            (Pipe::open(sessions.remove(0))?, prompt)
        }
        (Order::Turn { prompt }, Some(pipe)) => (pipe, prompt),
        _ => bail!("a bare host knows one session and its turns"),
    };
    let asked = Instant::now();
    pipe.turn(&prompt)?;
    let seconds = Some(asked.elapsed().as_secs_f64());
    *held = Some(pipe);
    Ok(Answer { seconds, ..Answer::default() })
}

impl Pipe {
    fn open(session: Session) -> Result<Self> {
        let mut child = Command::new(&session.cli)
            .args(["--output-format=stream-json", "--input-format=stream-json", "--verbose"])
            .args(["--permission-prompt-tool=stdio", "--setting-sources=", "--permission-mode=default"])
            .arg(format!("--session-id={}", Uuid::now_v7()))
            .arg(format!("--model={}", session.model))
            .arg(format!("--tools={}", session.tools.join(",")))
            .current_dir(&session.cwd)
            .env_clear()
            .envs(&session.env)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("failed to start the CLI")?;
        let stdin = child.stdin.take().context("its input is piped")?;
        let stdout = BufReader::new(child.stdout.take().context("its output is piped")?);
        let mut pipe = Self { child, stdin, stdout };
        let hooks = json!({ "PreToolUse": [{ "matcher": "Write", "hookCallbackIds": ["h"] }] });
        pipe.write(&json!({
            "type": "control_request", "request_id": "1",
            "request": { "subtype": "initialize", "hooks": hooks, "systemPrompt": [session.system_prompt] },
        }))?;
        Ok(pipe)
    }

    fn turn(&mut self, prompt: &str) -> Result<()> {
        self.write(&json!({
            "type": "user", "message": { "role": "user", "content": prompt },
            "parent_tool_use_id": null, "uuid": Uuid::now_v7(),
        }))?;
        let mut text = String::new();
        loop {
            text.clear();
            ensure!(self.stdout.read_line(&mut text)? > 0, "the CLI ended without a result");
            let Ok(line) = serde_json::from_str::<Line>(&text) else { continue };
            match (line.kind, line.request_id, line.request) {
                ("control_request", Some(id), Some(asked)) => self.answer(id, asked.subtype)?,
                ("result", ..) => {
                    ensure!(line.is_error == Some(false), "the turn failed: {text}");
                    return Ok(());
                }
                _ => {}
            }
        }
    }

    fn answer(&mut self, id: &str, subtype: &str) -> Result<()> {
        let response = match subtype {
            "can_use_tool" => r#"{"behavior":"allow"}"#,
            "hook_callback" => "{}",
            other => bail!("a bare host knows no {other}"),
        };
        let line = format!(
            r#"{{"type":"control_response","response":{{"subtype":"success","request_id":"{id}","response":{response}}}}}"#
        );
        self.stdin.write_all(format!("{line}\n").as_bytes()).context("failed to write to the CLI")
    }

    fn write(&mut self, line: &Value) -> Result<()> {
        self.stdin.write_all(format!("{line}\n").as_bytes()).context("failed to write to the CLI")
    }
}
