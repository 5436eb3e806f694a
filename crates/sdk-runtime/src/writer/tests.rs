//! What the pipe takes is in it at once, what it does not is kept in order, and no line is torn or repeated.

use std::time::Duration;

use futures::FutureExt as _;
use tokio::io::{AsyncReadExt as _, duplex};

use super::*;

fn writer(pipe_bytes: usize, lines_max: usize) -> (Writer, tokio::io::DuplexStream) {
    let (stdin, agent) = duplex(pipe_bytes);
    (Writer::new(Box::new(stdin), Rooms::new(lines_max)), agent)
}

fn write(writer: &mut Writer, line: &str) -> oneshot::Receiver<()> {
    let room = writer.rooms().room_now().unwrap();
    let (written, done) = oneshot::channel();
    writer.write(line.as_bytes().to_vec(), room, Some(written));
    done
}

#[tokio::test]
async fn a_line_the_pipe_takes_is_in_it_at_once() {
    let (mut writer, mut agent) = writer(64, 1);
    for line in ["one\n", "two\n"] {
        let mut written = write(&mut writer, line);
        assert_eq!(written.try_recv(), Ok(()));
    }
    assert!(!writer.has_work());
    let mut text = [0; 8];
    agent.read_exact(&mut text).now_or_never().expect("both are there").unwrap();
    assert_eq!(&text, b"one\ntwo\n");
}

#[tokio::test]
async fn what_the_pipe_does_not_take_is_written_in_order_while_somebody_waits() {
    let (mut writer, mut agent) = writer(4, 2);
    let mut first = write(&mut writer, "a long one\n");
    let mut second = write(&mut writer, "b\n");
    assert!(first.try_recv().is_err() && second.try_recv().is_err() && writer.has_work());
    assert!(writer.rooms().room_now().is_none(), "both take room until they are written");
    // Given up at every point, it loses and repeats nothing.
    let mut text = Vec::new();
    while text.len() < 13 {
        assert!(writer.run().now_or_never().is_none());
        let mut some = [0; 3];
        let read = agent.read(&mut some).await.unwrap();
        text.extend_from_slice(&some[..read]);
    }
    assert_eq!(text, b"a long one\nb\n");
    assert!(writer.run().now_or_never().is_none(), "there may be more");
    assert_eq!((first.try_recv(), second.try_recv()), (Ok(()), Ok(())));
    assert!(writer.rooms().room_now().is_some() && !writer.has_work());
}

#[tokio::test]
async fn a_close_lets_out_what_is_queued_and_lets_nothing_more_in() {
    let (mut writer, mut agent) = writer(4, 2);
    let spare = writer.rooms().room_now().unwrap();
    let written = write(&mut writer, "the last\n");
    writer.close();
    writer.write(b"late\n".to_vec(), spare, None);
    assert!(writer.rooms().room().now_or_never().is_some_and(|room| room.is_none()));
    let mut text = String::new();
    let (_, read) = tokio::join!(writer.run(), agent.read_to_string(&mut text));
    read.unwrap();
    assert_eq!(text, "the last\n");
    assert!(written.await.is_ok() && !writer.has_work());
}

#[tokio::test]
async fn a_pipe_is_closed_while_its_writer_lives() {
    let (stdin, mut agent) = tokio::net::unix::pipe::pipe().unwrap();
    let mut writer = Writer::new(Box::new(stdin), Rooms::new(1));
    writer.close();
    writer.run().await;
    let mut text = String::new();
    let read = tokio::time::timeout(Duration::from_secs(10), agent.read_to_string(&mut text)).await;
    assert_eq!(read.expect("the agent never reads its end").unwrap(), 0);
}

#[tokio::test]
async fn an_agent_that_closed_its_stdin_ends_it_and_who_waits_for_room() {
    let (mut writer, agent) = writer(4, 1);
    let written = write(&mut writer, "a long one\n");
    let rooms = writer.rooms().clone();
    let mut waiting = Box::pin(rooms.room());
    assert!(futures::poll!(&mut waiting).is_pending());
    drop(agent);
    tokio::time::timeout(Duration::from_secs(10), writer.run()).await.unwrap();
    assert!(written.await.is_err() && waiting.await.is_none() && !writer.has_work());
}

#[tokio::test]
async fn without_a_writer_there_is_no_room() {
    let (writer, _agent) = writer(4, 1);
    let rooms = writer.rooms().clone();
    drop(writer);
    assert!(rooms.room().await.is_none());
}
