//! A relay between an SDK and the CLI: passes lines on as they are, and writes down when it saw them. Any SDK can be
//! told that this program is the CLI, so all are measured alike.

use std::{
    env,
    ffi::OsString,
    fs::File,
    io::{self, BufRead, BufReader, Write},
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Command, ExitCode, Stdio},
    sync::Mutex,
    thread,
    time::Instant,
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// The CLI to relay to. That this variable is there makes this program a relay.
pub(crate) const CLI: &str = "BENCH_RELAY_CLI";
/// Where the notes go, a line each.
pub(crate) const NOTES: &str = "BENCH_RELAY_NOTES";
const STREAM: &str = "stream-json";

/// One line that passed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Note {
    /// Since the relay began. What the host wrote is noted when it has been read, what the CLI wrote before it is
    /// passed on: between the two lies everything the host does.
    pub(crate) seconds: f64,
    pub(crate) is_from_host: bool,
    pub(crate) kind: String,
    pub(crate) request_id: Option<String>,
    pub(crate) subtype: Option<String>,
}

/// What a line says of itself.
#[derive(Deserialize)]
struct Line {
    #[serde(rename = "type")]
    kind: String,
    request_id: Option<String>,
    request: Option<Inner>,
    response: Option<Inner>,
}

#[derive(Deserialize)]
struct Inner {
    subtype: Option<String>,
    request_id: Option<String>,
}

struct Notes {
    began: Instant,
    file: Mutex<File>,
}

/// Relays until both sides are done, and ends as the CLI did.
pub(crate) fn run(cli: &Path) -> Result<ExitCode> {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    let mut command = Command::new(cli);
    command.args(&arguments);
    if !arguments.iter().any(|one| one.to_string_lossy().contains(STREAM)) {
        // Somebody asks for the version, which is not what this is about.
        return Err(command.exec().into());
    }
    let notes = env::var_os(NOTES).context("a relay writes notes")?;
    let file = File::options().create(true).append(true).open(notes).context("failed to open the notes")?;
    let notes = Notes { began: Instant::now(), file: Mutex::new(file) };
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let stdin = child.stdin.take().context("its input is piped")?;
    let stdout = child.stdout.take().context("its output is piped")?;
    thread::scope(|scope| {
        scope.spawn(|| relay(io::stdin().lock(), stdin, true, &notes));
        relay(BufReader::new(stdout), io::stdout(), false, &notes);
    });
    let status = child.wait()?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}

/// A side that has closed ends the relay in this direction, as it would end a pipe.
fn relay(mut from: impl BufRead, mut to: impl Write, is_from_host: bool, notes: &Notes) {
    let mut line = Vec::new();
    loop {
        line.clear();
        if !from.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            return;
        }
        let seconds = notes.began.elapsed().as_secs_f64();
        if to.write_all(&line).and_then(|()| to.flush()).is_err() {
            return;
        }
        notes.take(seconds, is_from_host, &line);
    }
}

impl Notes {
    fn take(&self, seconds: f64, is_from_host: bool, line: &[u8]) {
        let Ok(line) = serde_json::from_slice::<Line>(line) else { return };
        let inner = line.request.or(line.response);
        let (subtype, inner_id) = inner.map_or((None, None), |inner| (inner.subtype, inner.request_id));
        let request_id = line.request_id.or(inner_id);
        let note = Note { seconds, is_from_host, kind: line.kind, request_id, subtype };
        let text = serde_json::to_string(&note).unwrap_or_default();
        if let Ok(mut file) = self.file.lock() {
            // Without its notes the relay is still a pipe, and the lack of them is noticed by who reads them.
            let _written = writeln!(file, "{text}");
        }
    }
}
