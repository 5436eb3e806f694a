//! What an agent in the sandbox cannot see, reach, use up or leave behind. These tests need bubblewrap.

use crate::{
    client::Client,
    world::{PASSWORD, REAL_KEY, World, counting, eventually},
};
use serde_json::json;
use std::{fs, net::TcpListener, path::Path};

const SANDBOXED: (&str, &str) = ("SANDBOX", "bwrap");

/// Has a session's agent run this, from a file, so that no policy judges it and the sandbox alone has to hold. Gives what
/// the tool said.
async fn run(world: &World, user: &Client, session: &str, script: &str) -> String {
    let input = json!({ "command": world.script(session, script), "timeout": 60_000 });
    let answer = user.query(session, &format!("go [[tool:Bash {input}]][[next]][[text:done]]")).await;
    let calls = user.get(&format!("{session}/tool-calls")).await.ok();
    let calls = calls.as_array().or_else(|| calls["items"].as_array()).unwrap().clone();
    let call = calls.iter().find(|call| call["tool_input"]["command"] == input["command"]);
    call.unwrap_or_else(|| panic!("{answer:?}: {calls:?}"))["tool_output"].to_string()
}

pub fn with_bash() -> serde_json::Value {
    json!({ "allowed_tools": ["Bash"] })
}

fn id_of(session: &str) -> &str {
    session.rsplit('/').next().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_sees_its_own_and_no_secret_of_anybody_else() {
    let world = World::with(&[SANDBOXED]).await;
    assert_cannot_see(&world).await;
}

async fn assert_cannot_see(world: &World) {
    let user = world.admin().await;
    let (own, other) = (user.session(with_bash()).await, user.session(with_bash()).await);
    run(world, &user, &other, "echo plum > secret.txt").await;
    let data = world.data_dir();
    let secrets = [
        data.join("steward.db"),
        data.join("secret_key"),
        data.join("agents").join(id_of(&other)),
        data.join("agents").join(id_of(&other)).join("projects"),
        find(&data.join("workspaces"), "secret.txt").unwrap(),
    ];
    for secret in &secrets {
        assert!(secret.exists(), "{}", secret.display());
    }
    let listed: Vec<String> = secrets.iter().map(|path| path.display().to_string()).collect();
    let command = format!(
        "for p in {} ~root/.ssh /root /home/* /etc/shadow /var/lib /proc/1/root/root; do \
         if [ -d $p ] && [ -n \"$(ls -A $p 2>/dev/null)\" ] || [ -s $p ] && cat $p >/dev/null 2>&1; \
         then echo SEEN $p; fi; done; \
         cat /proc/*/environ 2>/dev/null | tr '\\0' '\\n' | grep -c {REAL_KEY}; \
         cat /proc/*/cmdline | tr '\\0' ' ' | grep -c '[s]teward-under-test'; \
         echo mine > own.txt && cat own.txt; ls ~/projects >/dev/null && echo HOME-IS-THERE; \
         touch /usr/x /etc/x /x ~root/x 2>&1 | grep -c touch",
        listed.join(" "),
    );
    let told = run(world, &user, &own, &command).await;
    assert!(!told.contains("SEEN"), "{told}");
    assert!(told.contains("mine") && told.contains("HOME-IS-THERE"), "what is its own is there: {told}");
    let counts: Vec<&str> = told.trim_matches('"').split("\\n").collect();
    assert_eq!((counts[0], counts[1]), ("0", "0"), "neither the key nor the server: {told}");
    let password_and_key = [PASSWORD, REAL_KEY];
    let env = run(world, &user, &own, "env; cat /proc/*/environ").await;
    assert!(!password_and_key.iter().any(|secret| env.contains(secret)), "{env}");
    assert!(user.get(&format!("{own}/files/content?path=own.txt")).await.ok().to_string().contains("mine"));
}

fn find(folder: &Path, name: &str) -> Option<std::path::PathBuf> {
    fs::read_dir(folder).ok()?.flatten().find_map(|entry| {
        let path = entry.path();
        if path.is_dir() { find(&path, name) } else { (entry.file_name() == name).then_some(path) }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_network_that_was_named_is_reached() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = elsewhere.local_addr().unwrap().port();
    let knock = format!("(exec 3<>/dev/tcp/127.0.0.1/{port}) 2>&1 && echo REACHED; ls /sys/class/net 2>&1");
    for (network, reached) in [("gateway", false), ("open", true)] {
        let world = World::with(&[SANDBOXED, ("SANDBOX_NETWORK", network)]).await;
        let user = world.admin().await;
        let session = user.session(with_bash()).await;
        let told = run(&world, &user, &session, &knock).await;
        assert_eq!(told.contains("REACHED"), reached, "{network}: {told}");
        let health = user.get("/monitoring/health").await.ok();
        assert_eq!(
            health["checks"]["sandbox"]["detail"],
            format!("bubblewrap, network {network}"),
            "{health}"
        );
    }
    let world = World::with(&[SANDBOXED, ("SANDBOX_NETWORK", "off"), ("CLAUDE_SDK_MAX_RETRIES", "0")]).await;
    let user = world.admin().await;
    let session = user.session(json!({})).await;
    user.query(&session, "hello").await.problem(502, "MODEL_FAILED");
    assert!(world.model.requests().is_empty(), "not even the model is reached");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_to_the_model_has_no_name_outside_of_the_sandbox() {
    let mut world = World::with(&[SANDBOXED]).await;
    let user = world.admin().await;
    let session = user.session(with_bash()).await;
    user.ask(&session, "remember the pier").await;
    let processes = world.agent_processes().into_iter();
    let mounts = processes.filter_map(|(pid, _)| fs::read_to_string(format!("/proc/{pid}/mountinfo")).ok());
    let sockets: Vec<String> = mounts
        .flat_map(|mounts| mounts.lines().map(str::to_owned).collect::<Vec<_>>())
        .filter_map(|line| line.split(' ').nth(3).map(str::to_owned))
        .filter(|root| root.contains("/agent-") && root.contains("/s"))
        .collect();
    assert!(!sockets.is_empty(), "the agent has a socket");
    assert!(sockets.iter().all(|root| root.ends_with("//deleted")), "{sockets:?}");
    assert!(user.ask(&session, "[[recall]]").await.contains("pier"), "and it goes on working");
    world.kill().await;
    for root in sockets {
        let name = root.split('/').find(|part| part.starts_with("agent-")).unwrap().to_owned();
        assert!(!Path::new("/tmp").join(&name).exists(), "{name} is left");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_sees_no_other_process_and_leaves_none_behind() {
    let mut world = World::with(&[SANDBOXED]).await;
    let user = world.admin().await;
    let (one, two) = (user.session(with_bash()).await, user.session(with_bash()).await);
    // Leaves its session, its parent and its environment behind.
    let detach = "touch own.log; (setsid env -i sh -c 'exec tail -f own.log' >/dev/null 2>&1 &); true";
    run(&world, &user, &one, detach).await;
    let tails = || processes_with("own.log");
    eventually("it runs", async || (tails() == 1).then_some(())).await;
    let told =
        run(&world, &user, &two, "cat /proc/*/cmdline | tr '\\0' ' '; kill -9 -1 2>&1; echo still here")
            .await;
    assert!(!told.contains("own.log"), "{told}");
    assert_eq!(tails(), 1, "another session's process is out of reach");
    user.delete(&one).await;
    eventually("it is gone with its session", async || (tails() == 0).then_some(())).await;
    run(&world, &user, &two, detach).await;
    eventually("it runs", async || (tails() == 1).then_some(())).await;
    world.stop().await;
    assert_eq!(tails(), 0, "nothing is left when the server has ended");
}

/// Living processes that were started as `tail -f` on this file, whatever they have given up since.
fn processes_with(argument: &str) -> usize {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    lines
        .filter(|line| line.starts_with(b"tail\0") && line.ends_with(format!("{argument}\0").as_bytes()))
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_goes_on_in_the_next_sandbox() {
    let mut world = World::with(&[SANDBOXED]).await;
    let user = world.admin().await;
    let session = user.session(with_bash()).await;
    user.ask(&session, "remember the orchard").await;
    world.stop().await;
    world.launch().await;
    let user = world.admin().await;
    let answer = user.ask(&session, "[[recall]]").await;
    assert!(answer.contains("orchard"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_of_an_mcp_server_are_in_the_sandbox_too() {
    let world = World::with(&[SANDBOXED]).await;
    let user = world.admin().await;
    let script = format!(
        "{{ ls {0}; cd {0}; cat steward.db secret_key; echo LOOKED; }} > found 2>&1; exec cat",
        world.data_dir().display()
    );
    let server = json!({ "probe": { "type": "stdio", "command": "/bin/sh", "args": ["-c", script] } });
    let session = user.session(json!({ "sdk_options": { "mcp_servers": server } })).await;
    user.query(&session, "hello [[text:hi]]").await;
    let told = eventually("it has looked", async || {
        let answer = user.get(&format!("{session}/files/content?path=found")).await;
        (answer.status == 200).then(|| answer.body.to_string()).filter(|told| told.contains("LOOKED"))
    })
    .await;
    assert!(told.contains("steward.db: No such file") && told.contains("secret_key: No such file"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_asked_for_and_cannot_be_had_keeps_the_server_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    let start = async |settings: &[(&str, &str)]| {
        #[expect(clippy::disallowed_methods, reason = "the server under test is a process of its own")]
        let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_steward"))
            .env_clear()
            .envs(counting())
            .env("PATH", folder.path())
            .env("DATA_DIR", folder.path().join("data"))
            .env("API_PORT", "0")
            .envs(settings.iter().copied())
            .current_dir(folder.path())
            .output()
            .await
            .unwrap();
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let said = start(&[SANDBOXED]).await;
    assert!(said.contains("SANDBOX=bwrap") && said.contains("install bubblewrap"), "{said}");
    let said = start(&[("SANDBOX_READABLE", "/nowhere")]).await;
    assert!(said.contains("SANDBOX_READABLE names /nowhere"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_a_sandbox_says_why_and_that_it_is_degraded() {
    let folder = tempfile::tempdir().unwrap();
    // A PATH with everything an agent needs, and no bubblewrap that works.
    let refusing = folder.path().join("bwrap");
    fs::write(&refusing, "#!/bin/sh\necho 'bwrap: No permissions to create a new namespace' >&2\nexit 1\n")
        .unwrap();
    fs::set_permissions(&refusing, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", folder.path().display(), std::env::var_os("PATH").unwrap().display());
    let world = World::with(&[("PATH", &path)]).await;
    let user = world.admin().await;
    let health = user.get("/monitoring/health").await.ok();
    assert_eq!(health["status"], "degraded", "{health}");
    let check = &health["checks"]["sandbox"];
    assert!(check["detail"].as_str().unwrap().contains("No permissions"), "{health}");
    assert!(world.log().contains("AGENTS RUN WITHOUT A SANDBOX"));
    let session = user.session(json!({})).await;
    assert_eq!(user.ask(&session, "[[text:works]]").await, "works");

    let world = World::with(&[("SANDBOX", "off")]).await;
    let health = world.admin().await.get("/monitoring/health").await.ok();
    assert_eq!(
        (&health["status"], &health["checks"]["sandbox"]["healthy"]),
        (&json!("healthy"), &json!(true))
    );
}

/// The first user there is that may own the server's files, if this machine lets us be it.
const NOBODY: u32 = 65_534;

#[tokio::test(flavor = "multi_thread")]
async fn an_ordinary_users_server_has_the_same_sandbox() {
    match World::as_user(NOBODY, &[SANDBOXED]).await {
        Ok(world) => assert_cannot_see(&world).await,
        // Visible in the output of the test; whoever is root, as CI is, does not come here.
        Err(why) => eprintln!("SKIPPED: the server cannot be run as another user here: {why}"),
    }
}
