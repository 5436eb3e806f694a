//! Nothing is lost on the way into a burst, in it, and out of it, and a quiet pipe is waited for.

use std::process::Stdio;

use tokio::{
    io::AsyncReadExt as _,
    process::{Child, Command},
};

use super::*;

#[expect(clippy::disallowed_methods, reason = "a shell writes into the pipe as an agent would")]
fn writer(script: &str) -> (Child, PacedPipe) {
    let mut command = Command::new("sh");
    command.args(["-c", script]).stdout(Stdio::piped()).stdin(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let pipe = PacedPipe::new(child.stdout.take().unwrap()).unwrap();
    (child, pipe)
}

#[tokio::test]
async fn every_byte_of_a_burst_arrives_in_order_and_its_end_is_seen() {
    // A builtin writes each line by itself.
    let (_child, mut pipe) = writer("i=0; while [ $i -lt 20000 ]; do echo $i; i=$((i+1)); done");
    let (mut text, mut was_ticking) = (Vec::new(), false);
    let mut chunk = vec![0; 4096];
    loop {
        let bytes = pipe.read(&mut chunk).await.unwrap();
        if bytes == 0 {
            break;
        }
        text.extend_from_slice(&chunk[..bytes]);
        was_ticking |= matches!(pipe.state, State::Ticking { .. });
    }
    let expected: String = (0..20_000).map(|i| format!("{i}\n")).collect();
    assert!(text == expected.as_bytes(), "{} of {} bytes", text.len(), expected.len());
    assert!(was_ticking, "the burst was not noticed");
}

#[tokio::test]
async fn after_a_burst_the_pipe_is_waited_for_again() {
    let script = "i=0; while [ $i -lt 5000 ]; do echo $i; i=$((i+1)); done; read _; echo end";
    let (mut child, mut pipe) = writer(script);
    let (mut text, mut chunk) = (Vec::new(), vec![0; 4096]);
    while !text.ends_with(b"\n4999\n") {
        let bytes = pipe.read(&mut chunk).await.unwrap();
        text.extend_from_slice(&chunk[..bytes]);
    }
    let reading = pipe.read(&mut chunk);
    tokio::pin!(reading);
    // Longer than a tick: the burst is over by then.
    assert!(tokio::time::timeout(TICK * 50, &mut reading).await.is_err());
    tokio::io::AsyncWriteExt::write_all(child.stdin.as_mut().unwrap(), b"\n").await.unwrap();
    let bytes = reading.await.unwrap();
    assert_eq!(&chunk[..bytes], b"end\n");
    assert!(matches!(pipe.state, State::Waiting(_)));
}
