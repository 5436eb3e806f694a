//! The scribe: a thread per recorded agent that writes, so that a slow disk holds nobody up.

use std::{
    io::{self, Write},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Instant,
};

use serde_json::{Map, Value, json};
use tokio::sync::watch;

use super::{Direction, exit_message, redaction::Redaction};
use crate::{error::Exit, launcher::Invocation, wire};

/// What may wait for the disk, in bytes. Beyond it lines are counted instead of kept.
const QUEUED_BYTES_MAX: usize = 64 << 20;

/// The recordings of one recorder.
#[derive(Debug, Default)]
pub(super) struct Notebook {
    /// How many are being written.
    open: Arc<watch::Sender<usize>>,
    failure: Arc<Mutex<Option<io::Error>>>,
}

/// Writes down what is said in one conversation. Clones write into the same recording; when the last is
/// dropped, it is complete.
#[derive(Clone)]
pub(super) struct Scribe {
    notes: mpsc::Sender<(f64, Note)>,
    started: Instant,
    backlog: Arc<Backlog>,
}

#[derive(Default)]
struct Backlog {
    bytes: AtomicUsize,
    lost_lines: AtomicU64,
}

pub(super) enum Note {
    Start(Box<Invocation>),
    Line(Direction, Vec<u8>),
    Oversized(Direction, u64),
    End(Direction),
    Exit(Exit),
}

impl Notebook {
    pub(super) async fn finished(&self) -> io::Result<()> {
        let mut open = self.open.subscribe();
        // The sender lives in self, so the wait can only end with success.
        let _ = open.wait_for(|open| *open == 0).await;
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.take().map_or(Ok(()), Err)
    }
}

impl Scribe {
    /// Starts writing, unless there is nowhere to write to.
    pub(super) fn start(
        notebook: &Notebook,
        sink: io::Result<Box<dyn Write + Send>>,
        redaction: Redaction,
        started: Instant,
    ) -> Option<Self> {
        let (notes, notes_in) = mpsc::channel();
        let backlog = Arc::new(Backlog::default());
        let open = Arc::clone(&notebook.open);
        let failure = Arc::clone(&notebook.failure);
        open.send_modify(|open| *open += 1);
        let (counting, closing, telling) = (Arc::clone(&backlog), Arc::clone(&open), Arc::clone(&failure));
        let spawned = sink.and_then(|sink| {
            thread::Builder::new().name("sdk-recording".to_owned()).spawn(move || {
                // The sink and the redaction are the host's.
                let written = AssertUnwindSafe(|| write(sink, &notes_in, &redaction, &counting));
                let broke_down = || Err(io::Error::other("what writes the recording broke down"));
                tell(&telling, catch_unwind(written).unwrap_or_else(|_panic| broke_down()));
                closing.send_modify(|open| *open -= 1);
            })
        });
        match spawned {
            Ok(_detached) => Some(Self { notes, started, backlog }),
            Err(error) => {
                tell(&failure, Err(error));
                open.send_modify(|open| *open -= 1);
                None
            }
        }
    }

    pub(super) fn start_of(&self, invocation: &Invocation) {
        self.note(Note::Start(Box::new(invocation.clone())));
    }

    /// Never waits.
    pub(super) fn note(&self, note: Note) {
        if let Note::Line(_, line) = &note {
            let waiting = self.backlog.bytes.fetch_add(line.len(), Ordering::Relaxed);
            if waiting > QUEUED_BYTES_MAX {
                self.backlog.bytes.fetch_sub(line.len(), Ordering::Relaxed);
                self.backlog.lost_lines.fetch_add(1, Ordering::Relaxed);
                return;
            }
        }
        // A writer that failed has said so.
        let _ = self.notes.send((self.started.elapsed().as_secs_f64(), note));
    }
}

fn tell(failure: &Mutex<Option<io::Error>>, written: io::Result<()>) {
    if let Err(error) = written {
        tracing::warn!(%error, "a recording is incomplete");
        failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }
}

fn write(
    mut sink: Box<dyn Write + Send>,
    notes: &mpsc::Receiver<(f64, Note)>,
    redaction: &Redaction,
    backlog: &Backlog,
) -> io::Result<()> {
    // Whoever reads a recording of an agent that hangs wants the last line.
    let mut next = notes.recv().ok();
    while let Some((t, note)) = next {
        if let Note::Line(_, line) = &note {
            backlog.bytes.fetch_sub(line.len(), Ordering::Relaxed);
        }
        let lost = backlog.lost_lines.swap(0, Ordering::Relaxed);
        if lost > 0 {
            put(&mut sink, "lost", t, "lines", lost.into())?;
        }
        entry(&mut sink, t, note, redaction)?;
        next = match notes.try_recv() {
            Ok(note) => Some(note),
            Err(_) => {
                sink.flush()?;
                notes.recv().ok()
            }
        };
    }
    sink.flush()
}

fn entry(sink: &mut impl Write, t: f64, note: Note, redaction: &Redaction) -> io::Result<()> {
    match note {
        Note::Start(invocation) => {
            let args = invocation.args.iter().map(|arg| redaction.argument(&arg.to_string_lossy()));
            let mut message = json!({
                "program": invocation.program, "args": args.collect::<Vec<_>>(), "cwd": invocation.cwd,
                "env": invocation.env.keys().collect::<Vec<_>>(), "version": env!("CARGO_PKG_VERSION"),
            });
            redaction.apply(Direction::Aside, &mut message);
            put(sink, "start", t, "msg", message)
        }
        Note::Line(direction, line) => {
            let dir = name(direction);
            match (wire::read_line(&line), String::from_utf8(line)) {
                (Ok(mut message), _) => {
                    redaction.apply(direction, &mut message);
                    put(sink, dir, t, "msg", message)
                }
                (Err(_), Ok(text)) => {
                    let mut text = Value::String(text);
                    redaction.apply(direction, &mut text);
                    put(sink, dir, t, "text", text)
                }
                (Err(_), Err(error)) => {
                    let hex: String = error.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
                    put(sink, dir, t, "hex", hex.into())
                }
            }
        }
        Note::Oversized(direction, bytes) => put(sink, name(direction), t, "oversized", bytes.into()),
        Note::End(direction) => put(sink, name(direction), t, "end", true.into()),
        Note::Exit(exit) => {
            let mut message = exit_message(&exit);
            redaction.apply(Direction::Aside, &mut message);
            put(sink, "exit", t, "msg", message)
        }
    }
}

fn name(direction: Direction) -> &'static str {
    match direction {
        Direction::In => "in",
        Direction::Out => "out",
        Direction::Aside => "aside",
    }
}

fn put(sink: &mut impl Write, dir: &str, t: f64, key: &str, value: Value) -> io::Result<()> {
    // Tenths of a millisecond are enough to see what waited for what.
    let t = (t * 10_000.0).round() / 10_000.0;
    let entry = Map::from_iter([
        ("dir".to_owned(), Value::from(dir)),
        ("t".to_owned(), t.into()),
        (key.to_owned(), value),
    ]);
    sink.write_all(&wire::write_line(&Value::Object(entry)))
}
