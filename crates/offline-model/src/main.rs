//! The `offline-model` command: a server that says where it listens and runs until it is told to end.

use std::{
    io::{self, Write},
    os::unix::process::parent_id,
    time::Duration,
};

use clap::Parser;
use offline_model::{Options, REFERENCE, Server};
use tokio::signal::unix::{SignalKind, signal};

const PARENT_CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// A stand-in for the Anthropic Messages API, scripted by directives in the prompt.
#[derive(Debug, Parser)]
#[command(version, after_long_help = REFERENCE)]
struct Arguments {
    /// Port on 127.0.0.1; 0 takes a free one. The line "LISTENING <port>" on stdout tells which.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Wait before each answer, in milliseconds.
    #[arg(long, default_value_t = 0, value_name = "MS")]
    delay: u64,
    /// Wait after each delta, in milliseconds.
    #[arg(long, default_value_t = 0, value_name = "MS")]
    chunk_delay: u64,
    /// Characters per delta.
    #[arg(long, default_value_t = Options::default().chunk_chars, value_name = "N")]
    chunk: usize,
    /// Input tokens to report; a quarter of the body's bytes unless given.
    #[arg(long, value_name = "N")]
    input_tokens: Option<u64>,
    /// Answer to prompts without directives; the prompt is repeated unless given.
    #[arg(long, value_name = "TEXT")]
    default_text: Option<String>,
    /// Answer when the steps of a prompt have run out.
    #[arg(long, default_value_t = Options::default().final_text, value_name = "TEXT")]
    final_text: String,
    /// Requests kept for GET /_offline/requests.
    #[arg(long, default_value_t = Options::default().kept_requests, value_name = "N")]
    keep: usize,
    /// End when the process that started this one does.
    #[arg(long)]
    exit_with_parent: bool,
}

impl Arguments {
    fn options(&self) -> Options {
        Options {
            port: self.port,
            delay: Duration::from_millis(self.delay),
            chunk_delay: Duration::from_millis(self.chunk_delay),
            chunk_chars: self.chunk,
            input_tokens: self.input_tokens,
            default_text: self.default_text.clone(),
            final_text: self.final_text.clone(),
            kept_requests: self.keep,
            ..Options::default()
        }
    }
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let parent = parent_id();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let server = Server::start(arguments.options()).await?;
    writeln!(io::stdout(), "LISTENING {}", server.port())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = end_of(parent), if arguments.exit_with_parent => {}
    }
    server.shutdown().await;
    Ok(())
}

/// Returns when the parent has ended: the process then gets another one.
async fn end_of(parent: u32) {
    let mut ticks = tokio::time::interval(PARENT_CHECK_INTERVAL);
    while parent_id() == parent {
        ticks.tick().await;
    }
}
