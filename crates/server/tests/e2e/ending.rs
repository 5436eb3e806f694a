//! The end of a server under load, and clients that are slow or come again.

use crate::{
    client::{Client, send},
    world::{PATIENCE, World, eventually},
};
use futures::{StreamExt, future::join_all};
use reqwest::Method;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    time::{Duration, sleep, timeout},
};
use tokio_tungstenite::tungstenite::Message;

/// Reads until the server is gone, and answers with every status but 200.
async fn keep_reading(user: &Client, session: &str, mut over: watch::Receiver<bool>) -> Vec<u16> {
    let mut others = vec![];
    while !*over.borrow_and_update() {
        // Whoever comes when the listener is closed is not accepted.
        let Ok(answer) = user.request(Method::GET, session).send().await else { break };
        if answer.status() != 200 {
            others.push(answer.status().as_u16());
        }
    }
    others
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ends_under_load_fails_nobody_it_let_in() {
    let settings = [("SHUTDOWN_DELAY_SECONDS", "2"), ("SHUTDOWN_GRACE_SECONDS", "60")];
    let mut world = World::with(&settings).await;
    let user = world.admin().await;
    let session = user.session(json!({ "include_partial_messages": true })).await;
    user.ask(&session, "hello").await;

    // One turn that is waited for, its watchers, talkers, and readers.
    let mut watchers = vec![];
    for _ in 0..30 {
        watchers.push(user.events(&session, 0).await);
    }
    let token = user.token.as_ref().unwrap();
    let url = format!("{}/api/v1{session}/stream?token={token}", user.url.replace("http", "ws"));
    let mut sockets = vec![];
    for _ in 0..5 {
        sockets.push(tokio_tungstenite::connect_async(&url).await.unwrap().0);
    }
    let (told, over) = watch::channel(false);
    let prompt = "[[words:200]][[chunk_delay:20]]";
    let turn = async {
        let answer = user.query(&session, prompt).await;
        assert_eq!((answer.status, &answer.body["status"]), (200, &json!("completed")), "{answer:?}");
    };
    let readers = join_all((0..14).map(|_| keep_reading(&user, &session, over.clone())));
    let mut probe = user.events(&session, 0).await;
    let ending = async {
        probe.until("partial_message").await;
        let mut seen_unready = false;
        let pid = world.server_pid();
        crate::world::signal(pid, "TERM");
        while let Ok(answer) = user.request(Method::GET, "/health/ready").send().await {
            if answer.status() == 503 {
                seen_unready = true;
                break;
            }
        }
        assert!(seen_unready, "it is not ready before it stops listening");
        let admitted = user.request(Method::GET, "/auth/me").send().await.unwrap();
        assert_eq!(admitted.status(), 200, "and works as before meanwhile");
        eventually("the listener is closed", async || {
            user.request(Method::GET, "/health/live").send().await.is_err().then_some(())
        })
        .await;
        told.send(true).unwrap();
    };
    let ((), others, ()) = tokio::join!(turn, readers, ending);
    assert_eq!(others.concat(), Vec::<u16>::new(), "nobody who was let in was failed");
    for watcher in &mut watchers {
        let seen = watcher.until("closing").await;
        assert!(seen.iter().any(|one| one.event == "result"), "the turn's end came first");
        assert_eq!(seen.last().unwrap().data["reason"], "server_ends");
        assert!(watcher.next().await.is_none());
    }
    for socket in &mut sockets {
        let closed = async {
            while let Some(Ok(message)) = socket.next().await {
                if let Message::Close(Some(frame)) = message {
                    return Some(u16::from(frame.code));
                }
            }
            None
        };
        assert_eq!(timeout(PATIENCE, closed).await.unwrap(), Some(1001), "going away");
    }
    world.ended().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_sends_letter_by_letter_is_let_go() {
    let world = World::with(&[("HTTP_HEAD_TIMEOUT_SECONDS", "1")]).await;
    let stranger = world.stranger();
    let address = stranger.url.strip_prefix("http://").unwrap();
    let mut slow = TcpStream::connect(address).await.unwrap();
    slow.write_all(b"GET /health/live HTTP/1.1\r\nHost: x\r\nX-Slow: ").await.unwrap();
    let dripping = async {
        let mut answer = vec![];
        let (mut read, mut write) = slow.split();
        let drip = async {
            while write.write_all(b"x").await.is_ok() {
                sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::select! {
            end = read.read_to_end(&mut answer) => drop(end),
            () = drip => {}
        }
        String::from_utf8_lossy(&answer).into_owned()
    };
    let answer = timeout(PATIENCE, dripping).await.unwrap();
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert_eq!(stranger.get("/health/live").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_known_to_the_next_life_of_the_server() {
    let mut world = World::start().await;
    let ask = async |user: &Client| {
        let request = user.request(Method::POST, "/sessions").header("Idempotency-Key", "a-key");
        send(request.json(&json!({ "name": "once" }))).await
    };
    let first = ask(&world.admin().await).await;
    assert_eq!(first.status, 201);
    world.stop().await;
    world.launch().await;
    let user = world.admin().await;
    let again = ask(&user).await;
    assert_eq!((again.status, &again.headers["idempotent-replayed"]), (201, &"true".parse().unwrap()));
    assert_eq!(again.body, first.body);
    assert_eq!(again.headers["location"], first.headers["location"]);
    assert_eq!(user.get("/sessions").await.ok()["total"], 1);
}
