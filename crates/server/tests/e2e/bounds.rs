//! What an agent may use: memory, processes, CPU time and disk, with a sandbox and without.

use crate::{
    client::Client,
    sandbox::with_bash,
    world::{World, eventually},
};
use serde_json::{Value, json};

/// With a sandbox and without.
const EACH: [(&str, &str); 2] = [("SANDBOX", "off"), ("SANDBOX", "bwrap")];

/// From a file, so that no policy judges it.
async fn turn(world: &World, user: &Client, session: &str, script: &str) -> Value {
    let input = json!({ "command": world.script(session, script), "timeout": 60_000 });
    let turn = user.query_async(session, &format!("go [[tool:Bash {input}]][[next]][[text:done]]")).await;
    user.turn_over(&turn).await
}

/// Runs what uses too much, and checks how its turn ends, that nothing is left, and that the session goes on.
async fn is_ended(bound: (&str, &str), command: &str, said: &str) {
    for sandbox in EACH {
        let world = World::with(&[sandbox, bound]).await;
        let user = world.admin().await;
        let session = user.session(with_bash()).await;
        let over = turn(&world, &user, &session, command).await;
        assert_eq!(over["error_code"], "AGENT_LIMIT_EXCEEDED", "{sandbox:?}: {over}");
        assert!(over["error_message"].as_str().unwrap().contains(said), "{over}");
        eventually("nothing is left", async || world.agent_processes().is_empty().then_some(())).await;
        assert_eq!(user.ask(&session, "[[text:still here]]").await, "still here");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn too_much_memory_ends_the_turn() {
    // Several, each below the bound of one.
    let hog = "head -c 300m /dev/zero | tail -c 300m & ";
    is_ended(("SANDBOX_MEMORY_MB", "700"), &format!("{hog}{hog}{hog} tail -f /dev/null"), "memory").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_processes_end_the_turn() {
    let bomb = "while true; do setsid tail -f /dev/null & sleep 0.005; done";
    is_ended(("SANDBOX_PROCESSES_MAX", "60"), bomb, "60 allowed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_much_cpu_time_ends_the_turn() {
    is_ended(("SANDBOX_CPU_SECONDS", "6"), "while true; do :; done", "CPU time").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_full_a_disk_ends_the_turn() {
    let fill = "for i in 1 2 3 4 5 6 7 8; do head -c 8m /dev/zero > $i; done; tail -f /dev/null";
    is_ended(("MAX_WORKING_DIR_SIZE_MB", "40"), fill, "allowed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cpu_time_is_counted_by_the_turn() {
    let world = World::with(&[("SANDBOX_CPU_SECONDS", "8")]).await;
    let user = world.admin().await;
    let session = user.session(with_bash()).await;
    // Four seconds of work each; all together is more than one turn may have.
    let work = "end=$(($(cut -d. -f1 /proc/uptime)+4)); while [ $(($(cut -d. -f1 /proc/uptime))) -lt $end ]; do :; done";
    for _ in 0..3 {
        let over = turn(&world, &user, &session, work).await;
        assert_eq!(over["status"], "completed", "{over}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_session_can_be_cleaned_up_and_one_file_is_bounded_by_itself() {
    let world = World::with(&[("MAX_WORKING_DIR_SIZE_MB", "40")]).await;
    let user = world.admin().await;
    let session = user.session(with_bash()).await;
    let fill = "head -c 100m /dev/zero > big; echo $? > exit-code; tail -f /dev/null";
    let over = turn(&world, &user, &session, fill).await;
    assert_eq!(over["error_code"], "AGENT_LIMIT_EXCEEDED", "{over}");
    let files = user.get(&format!("{session}/files")).await.ok();
    let files = files["items"].as_array().unwrap();
    let big = files.iter().find(|file| file["path"] == "big").unwrap();
    assert_eq!(big["size_bytes"], 40 << 20, "the kernel stopped it: {files:?}");
    let over = turn(&world, &user, &session, "head -c 30m /dev/zero > more; tail -f /dev/null").await;
    assert_eq!(over["error_code"], "AGENT_LIMIT_EXCEEDED", "{over}");
    let over = turn(&world, &user, &session, "rm big more; echo clean").await;
    assert_eq!(over["status"], "completed", "{over}");
}
