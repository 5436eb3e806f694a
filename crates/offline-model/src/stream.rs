//! Sends an answer as server-sent events, at the pace its step asks for.

use std::{
    num::NonZeroU32,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::{
    Options,
    answer::{Answer, Part, SIGNATURE},
    reply::Cut,
    step::Step,
};

/// Bytes of events that are gathered before they are handed to the connection.
const FLUSH_BYTES: usize = 16 * 1024;
/// Flushes that may wait for a slow client before the answer waits too.
pub(crate) const QUEUED_FLUSHES: usize = 8;
/// Pace of an endless answer that was given none.
const ENDLESS_CHUNK_DELAY: Duration = Duration::from_millis(20);
/// What was sent before a cut must reach the socket first, and nothing tells when it has.
const CUT_LINGER: Duration = Duration::from_millis(25);

/// Why a stream ended before its message did.
enum Stopped {
    ClientGone,
    Cut,
}

/// Sends the whole answer, or as much of it as the step and the client allow; whether that was all.
pub(crate) async fn send(
    answer: Answer,
    step: Step,
    options: &Options,
    out: mpsc::Sender<Result<Bytes, Cut>>,
) -> bool {
    let mut sender = EventSender::new(&step, options, out);
    match sender.send_message(&answer, &step).await {
        Ok(()) => step.sse_error.is_none(),
        Err(Stopped::ClientGone) => false,
        Err(Stopped::Cut) => {
            tokio::time::sleep(CUT_LINGER).await;
            // The receiver is gone only when the client is, and then there is nothing left to cut.
            let _client_gone = sender.out.send(Err(Cut)).await;
            false
        }
    }
}

struct EventSender {
    out: mpsc::Sender<Result<Bytes, Cut>>,
    buffer: BytesMut,
    pause: Duration,
    /// Deltas between two pauses, and how many are left until the next.
    burst: u32,
    burst_left: u32,
    chunk_chars: usize,
    deltas_left: Option<u64>,
}

impl EventSender {
    fn new(step: &Step, options: &Options, out: mpsc::Sender<Result<Bytes, Cut>>) -> Self {
        let pause = match step.chunk_delay_ms {
            0 => options.chunk_delay,
            asked_ms => Duration::from_millis(asked_ms),
        };
        let burst = step.burst.map_or(1, NonZeroU32::get);
        Self {
            out,
            buffer: BytesMut::with_capacity(FLUSH_BYTES + FLUSH_BYTES / 4),
            pause,
            burst,
            burst_left: burst,
            chunk_chars: step.chunk_chars.unwrap_or(options.chunk_chars).max(1),
            deltas_left: step.cut_after,
        }
    }

    async fn send_message(&mut self, answer: &Answer, step: &Step) -> Result<(), Stopped> {
        self.event("message_start", &json!({"type": "message_start", "message": answer.start_json()}));
        self.event("ping", &json!({"type": "ping"}));
        if step.first_ms > 0 {
            self.flush().await?;
            tokio::time::sleep(Duration::from_millis(step.first_ms)).await;
        }
        if let Some(kind) = &step.sse_error {
            let error = json!({"type": kind, "message": format!("offline model: {kind}")});
            self.event("error", &json!({"type": "error", "error": error}));
            return self.flush().await;
        }
        if self.deltas_left == Some(0) {
            self.flush().await?;
            return Err(Stopped::Cut);
        }
        for (index, part) in answer.parts.iter().enumerate() {
            self.send_part(index, part).await?;
        }
        let delta = json!({"stop_reason": answer.stop_reason, "stop_sequence": null});
        let mut end = json!({"type": "message_delta", "delta": delta});
        answer.usage.put_into(&mut end);
        self.event("message_delta", &end);
        self.event("message_stop", &json!({"type": "message_stop"}));
        self.flush().await
    }

    async fn send_part(&mut self, index: usize, part: &Part) -> Result<(), Stopped> {
        match part {
            Part::Text(text) => {
                self.start(index, &json!({"type": "text", "text": ""}));
                self.deltas(index, "text_delta", "text", text).await?;
            }
            Part::Thinking(thinking) => {
                self.start(index, &json!({"type": "thinking", "thinking": "", "signature": ""}));
                self.deltas(index, "thinking_delta", "thinking", thinking).await?;
                self.delta(index, "signature_delta", "signature", SIGNATURE).await?;
            }
            Part::ToolUse { id, name, input } => {
                self.start(index, &json!({"type": "tool_use", "id": id, "name": name, "input": {}}));
                self.delta(index, "input_json_delta", "partial_json", "").await?;
                self.deltas(index, "input_json_delta", "partial_json", &input.to_string()).await?;
            }
            Part::Clock(count) => {
                self.start(index, &json!({"type": "text", "text": ""}));
                for _ in 0..*count {
                    self.delta(index, "text_delta", "text", &format!("t={}; ", micros_since_1970())).await?;
                }
            }
            Part::Endless => {
                self.start(index, &json!({"type": "text", "text": ""}));
                if self.pause.is_zero() {
                    self.pause = ENDLESS_CHUNK_DELAY;
                }
                for tick in 0_u64.. {
                    self.delta(index, "text_delta", "text", &format!("tick {tick} ")).await?;
                }
            }
        }
        self.event("content_block_stop", &json!({"type": "content_block_stop", "index": index}));
        Ok(())
    }

    fn start(&mut self, index: usize, block: &Value) {
        let start = json!({"type": "content_block_start", "index": index, "content_block": block});
        self.event("content_block_start", &start);
    }

    async fn deltas(&mut self, index: usize, kind: &str, field: &str, text: &str) -> Result<(), Stopped> {
        let mut rest = text;
        while !rest.is_empty() {
            let end = rest.char_indices().nth(self.chunk_chars).map_or(rest.len(), |(at, _)| at);
            let (piece, after) = rest.split_at(end);
            self.delta(index, kind, field, piece).await?;
            rest = after;
        }
        Ok(())
    }

    /// Written by hand rather than through `json!`: benchmarks ask for a hundred thousand of these a second.
    async fn delta(&mut self, index: usize, kind: &str, field: &str, text: &str) -> Result<(), Stopped> {
        let index = index.to_string();
        for piece in [
            "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":",
            &index,
            ",\"delta\":{\"type\":\"",
            kind,
            "\",\"",
            field,
            "\":",
        ] {
            self.buffer.extend_from_slice(piece.as_bytes());
        }
        self.json(text);
        self.buffer.extend_from_slice(b"}}\n\n");
        if let Some(left) = &mut self.deltas_left {
            *left -= 1;
            if *left == 0 {
                self.flush().await?;
                return Err(Stopped::Cut);
            }
        }
        if !self.pause.is_zero() {
            self.burst_left -= 1;
            if self.burst_left == 0 {
                self.burst_left = self.burst;
                self.flush().await?;
                tokio::time::sleep(self.pause).await;
            }
        } else if self.buffer.len() >= FLUSH_BYTES {
            self.flush().await?;
        }
        Ok(())
    }

    fn event(&mut self, kind: &str, data: &Value) {
        for piece in ["event: ", kind, "\ndata: "] {
            self.buffer.extend_from_slice(piece.as_bytes());
        }
        self.json(data);
        self.buffer.extend_from_slice(b"\n\n");
    }

    fn json<T: serde::Serialize + ?Sized>(&mut self, value: &T) {
        use bytes::BufMut;
        // Strings and JSON values always serialise, and a BytesMut takes whatever is written to it.
        let written = serde_json::to_writer((&mut self.buffer).writer(), value);
        debug_assert!(written.is_ok());
    }

    async fn flush(&mut self) -> Result<(), Stopped> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let events = self.buffer.split().freeze();
        self.out.send(Ok(events)).await.map_err(|_| Stopped::ClientGone)
    }
}

fn micros_since_1970() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros())
}
