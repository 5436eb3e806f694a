//! Containment: what a contained agent cannot write, read, reach, use up or leave behind. These tests need
//! bubblewrap, and as root they try the bridge into its network too.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Stdio,
    time::Duration,
};

use procfs::process::all_processes;
use sdk_runtime::{
    Agent, AgentOptions, Containment, Error, Event, Events, Exceeded, Jail, Network, Outcome, Outside,
    ProcessLauncher, ProcessLimits, RunAs, Said,
};
use serde_json::json;
use tokio::process::Command;

use crate::bench::{self, Bench, next, result_of, say, start_error, tool_results, variable, wait_until};

fn jailed(options: AgentOptions, jail: Jail) -> AgentOptions {
    let containment = Containment::default().with_jail(Some(jail));
    options.with_containment(containment).with_allowed_tools(vec!["Bash".to_owned()])
}

fn limited(bench: &Bench, limits: ProcessLimits) -> AgentOptions {
    let containment = Containment::default().with_limits(limits);
    bench.options().with_containment(containment).with_allowed_tools(vec!["Bash".to_owned()])
}

/// A prompt that has the agent run this.
fn bash(command: &str) -> String {
    let input = json!({ "command": command, "timeout": 60_000 });
    format!("go [[tool:Bash {input}]][[next]][[text:done]]")
}

async fn run(agent: &Agent, events: &mut Events, command: &str) -> String {
    let id = say(agent, &bash(command)).await;
    tool_results(events, id).await.concat()
}

/// Living processes with this in their command line, whatever else they have given up. Shells that only
/// carry it in a script are not meant.
fn tails(of: &Path) -> usize {
    let of = of.to_string_lossy().into_owned();
    let is_meant = |process: &procfs::process::Process| {
        process.cmdline().is_ok_and(|line| {
            line.first().is_some_and(|program| program.ends_with("tail")) && line.last() == Some(&of)
        })
    };
    all_processes().unwrap().flatten().filter(is_meant).count()
}

/// Leaves its session, its parent and its environment behind.
fn detached(file: &Path) -> String {
    format!("(setsid env -i sh -c 'tail -f {} &' >/dev/null 2>&1 &); true", file.display())
}

async fn exited(events: &mut Events) -> std::sync::Arc<Said> {
    loop {
        if let Event::Exited(said) = next(events).await {
            return said;
        }
    }
}

#[tokio::test]
async fn a_jailed_agent_writes_where_it_may_and_takes_what_it_detached_along() {
    let bench = Bench::new().await;
    let (outside, extra) = (bench.path("outside"), bench.path("extra"));
    fs::create_dir(&outside).unwrap();
    fs::create_dir(&extra).unwrap();
    fs::write(bench.path("work/log"), "").unwrap();
    let options = jailed(bench.options(), Jail::default()).with_add_dirs(vec![extra.clone()]);
    let (agent, mut events) = bench.start(options).await;
    let name = format!("steward-test-{}", uuid::Uuid::new_v4());
    let (etc, tmp) = (format!("/etc/{name}"), format!("/tmp/{name}"));
    let command = format!(
        "touch in.txt; touch {}/in.txt; touch {etc} 2>&1; touch {}/a.txt 2>&1; echo written > {tmp} && cat {tmp}; \
         mount -o remount,rw / 2>&1 | tail -1; ls /proc | grep -c '^[0-9]'; {}",
        extra.display(),
        outside.display(),
        detached(&bench.path("work/log")),
    );
    let told = run(&agent, &mut events, &command).await;
    assert!(bench.path("work/in.txt").exists() && extra.join("in.txt").exists(), "{told}");
    assert!(!Path::new(&etc).exists() && told.contains("Read-only file system"), "{told}");
    assert!(!outside.join("a.txt").exists(), "a folder in the host's /tmp is not there: {told}");
    assert!(!Path::new(&tmp).exists() && told.contains("written"), "the host's /tmp is another: {told}");
    wait_until(|| tails(&bench.path("work/log")) == 1).await;
    let exit = agent.close().await;
    assert_eq!(tails(&bench.path("work/log")), 0, "nothing is left when the close returns");
    assert_eq!(exit.code, Some(0), "it ended by itself: {exit:?}");
    let transcripts = bench.path("config/projects");
    assert!(transcripts.exists(), "the configuration is the host's");
    bench.assert_nothing_left().await;
}

#[tokio::test]
async fn closing_a_jail_in_a_tool_ends_the_agent_itself_first() {
    let bench = Bench::new().await;
    fs::write(bench.path("work/log"), "").unwrap();
    let mut options = jailed(bench.options(), Jail::default());
    options.limits.close_grace = Duration::from_millis(300);
    let (agent, _events) = bench.start(options).await;
    say(&agent, &bash(&format!("tail -f {}", bench.path("work/log").display()))).await;
    wait_until(|| tails(&bench.path("work/log")) == 1).await;
    let exit = agent.close().await;
    assert_eq!(exit.code, Some(143), "SIGTERM reached the agent, not only its jail: {exit:?}");
    assert_eq!(tails(&bench.path("work/log")), 0);
    bench.assert_nothing_left().await;
}

/// Entering the network of a jail takes `CAP_SYS_ADMIN`; without it the bridge has to be refused.
fn has_netns() -> bool {
    nix::unistd::geteuid().is_root()
}

#[tokio::test]
async fn what_is_hidden_is_not_there_and_only_bridged_ports_are_reached() {
    let bench = Bench::new().await;
    let secret = bench.path("home/secret");
    fs::write(&secret, "plum").unwrap();
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = |url: &str| url.rsplit(':').next().unwrap().trim_end_matches('/').parse::<u16>().unwrap();
    let network = Network::Loopback { host_ports: vec![port(&bench.model.url())] };
    let jail = Jail::default().with_outside(Outside::Hidden).with_network(network);
    let options = jailed(bench.options(), jail);
    if !has_netns() {
        let error = start_error(options).await;
        assert!(matches!(&error, Error::NotContained { why } if why.contains("CAP_SYS_ADMIN")), "{error:?}");
        return;
    }
    let (agent, mut events) = bench.start(options).await;
    let command = format!(
        "cat {} 2>&1; (exec 3<>/dev/tcp/127.0.0.1/{}) 2>&1; ls /root /home 2>&1; touch /x 2>&1; touch in.txt",
        secret.display(),
        other.local_addr().unwrap().port(),
    );
    // That there is an answer at all shows that the bridge carries.
    let told = run(&agent, &mut events, &command).await;
    assert!(!told.contains("plum") && told.contains("No such file"), "{told}");
    assert!(told.contains("Connection refused"), "{told}");
    assert!(told.contains("Read-only file system"), "{told}");
    assert!(bench.path("work/in.txt").exists());
    agent.close().await;
    bench.assert_nothing_left().await;
}

#[tokio::test]
async fn a_gateway_is_reached_over_a_socket_file_and_no_port_is() {
    let bench = Bench::new().await;
    let url = bench.model.url();
    let host_port = url.rsplit(':').next().unwrap().trim_end_matches('/').parse::<u16>().unwrap();
    let jail = Jail::default()
        .with_outside(Outside::Hidden)
        .with_network(Network::Gateway { host_port, also_as_port: false });
    let (agent, mut events) = bench.start(jailed(bench.options(), jail)).await;
    let told = run(&agent, &mut events, &format!("(exec 3<>/dev/tcp/127.0.0.1/{host_port}) 2>&1")).await;
    assert!(told.contains("Connection refused"), "{told}");
    agent.close().await;
    bench.assert_nothing_left().await;
}

#[tokio::test]
async fn what_is_masked_is_empty_although_its_folder_is_shown() {
    let bench = Bench::new().await;
    let (shown, masked) = (bench.path("shown"), bench.path("shown/masked"));
    fs::create_dir_all(&masked).unwrap();
    for (file, text) in [("tool", "hammer"), ("masked/key", "plum"), ("token", "pear")] {
        fs::write(shown.join(file), text).unwrap();
    }
    let jail = Jail::default()
        .with_outside(Outside::Hidden)
        .with_readable(vec![shown.clone()])
        .with_masked(vec![masked.clone(), shown.join("token"), bench.path("nowhere")]);
    let (agent, mut events) = bench.start(jailed(bench.options(), jail)).await;
    // What everybody may read of /etc is there, what root alone may read is empty also for root.
    let command = format!(
        "cat {0}/tool; cat {0}/masked/key {0}/token 2>&1; touch {0}/masked/x 2>&1; wc -l < /etc/passwd; \
         cat /etc/shadow /etc/gshadow 2>/dev/null | wc -c",
        shown.display(),
    );
    let told = run(&agent, &mut events, &command).await;
    assert!(told.contains("hammer") && !told.contains("plum") && !told.contains("pear"), "{told}");
    assert!(told.contains("Read-only file system") && told.trim_end_matches('"').ends_with("\\n0"), "{told}");
    agent.close().await;
    bench.assert_nothing_left().await;
}

#[tokio::test]
async fn without_network_not_even_the_model_is_reached() {
    let bench = Bench::new().await;
    let options = jailed(bench.options(), Jail::default().with_network(Network::Off));
    let (agent, mut events) = bench.start(options).await;
    let id = say(&agent, "go [[text:reached]]").await;
    let result = result_of(&mut events, id).await;
    assert!(matches!(result.outcome(), Outcome::ApiError { .. }), "{result:?}");
    assert!(bench.model.requests().is_empty());
    agent.close().await;
}

#[tokio::test]
async fn a_jail_that_cannot_be_had_is_an_error_and_never_none() {
    let bench = Bench::new().await;
    let missing = Jail::default().with_bwrap("/nowhere/bwrap");
    let error = start_error(jailed(bench.options(), missing)).await;
    assert!(matches!(&error, Error::NotContained { why } if why.contains("install bubblewrap")), "{error}");

    // What bubblewrap says where user namespaces are forbidden.
    let refusing = bench.path("bwrap");
    let script = "#!/bin/sh\necho 'bwrap: No permissions to create a new namespace' >&2\nexit 1\n";
    fs::write(&refusing, script).unwrap();
    fs::set_permissions(&refusing, fs::Permissions::from_mode(0o755)).unwrap();
    let error = start_error(jailed(bench.options(), Jail::default().with_bwrap(refusing))).await;
    assert!(matches!(&error, Error::NotContained { why } if why.contains("No permissions")), "{error}");

    let unshared = Jail::default().with_writable(vec!["/nowhere".into()]);
    let error = start_error(jailed(bench.options(), unshared)).await;
    assert!(matches!(&error, Error::NotContained { why } if why.contains("/nowhere")), "{error}");
    bench.assert_nothing_left().await;
}

/// Set for the process that plays the host in the next test.
const HOST_FOLDER: &str = "TEST_JAIL_FOLDER";

#[tokio::test]
async fn a_killed_host_takes_a_jail_along_with_all_it_detached() {
    if let Some(folder) = variable(HOST_FOLDER) {
        return play_host(folder.as_ref()).await;
    }
    let bench = Bench::new().await;
    fs::write(bench.path("work/log"), "").unwrap();
    #[expect(
        clippy::disallowed_methods,
        reason = "the host to be killed is this test in a process of its own"
    )]
    let mut host = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "containment::a_killed_host_takes_a_jail_along_with_all_it_detached"])
        .env(HOST_FOLDER, bench.folder.path())
        .env("TEST_HOST_URL", bench.model.url())
        .env("TEST_HOST_MARKER", &bench.host_marker)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    wait_until(|| tails(&bench.path("work/log")) == 1).await;
    host.kill().await.unwrap();
    // No sweep: the kernel ends the namespace.
    wait_until(|| tails(&bench.path("work/log")) == 0).await;
    bench.assert_nothing_left().await;
}

async fn play_host(folder: &Path) {
    let url = variable("TEST_HOST_URL").unwrap();
    let marker = variable("TEST_HOST_MARKER").unwrap();
    let options = jailed(bench::options(folder, &url, &marker), Jail::default());
    let (agent, _events) = Agent::start(&ProcessLauncher, options).await.unwrap();
    say(&agent, &bash(&detached(&folder.join("work/log")))).await;
    std::future::pending().await
}

#[tokio::test]
async fn a_fork_bomb_in_a_jail_is_ended_with_its_agent() {
    let bench = Bench::new().await;
    let limits =
        ProcessLimits::default().with_processes_max(Some(60)).with_look_interval(Duration::from_millis(50));
    let containment = Containment::default().with_limits(limits).with_jail(Some(Jail::default()));
    let options = limited(&bench, ProcessLimits::default()).with_containment(containment);
    let (agent, mut events) = bench.start(options).await;
    // Grows without end, though not at once, so that this machine has something left for others.
    say(&agent, &bash("while true; do setsid tail -f /dev/null & sleep 0.005; done")).await;
    let said = exited(&mut events).await;
    let Some(Exceeded::Processes { used, max: 60 }) = said.exit.exceeded else {
        panic!("{said:?}");
    };
    assert!((61..1000).contains(&used), "{used}");
    assert!(said.words().contains("60 allowed"), "{}", said.words());
    bench.assert_nothing_left().await;
}

#[tokio::test]
async fn what_uses_too_much_memory_or_time_is_ended_and_its_error_says_so() {
    let bench = Bench::new().await;
    let limits = ProcessLimits::default().with_memory_bytes_max(Some(600 << 20));
    let (agent, mut events) = bench.start(limited(&bench, limits)).await;
    // Two hogs that are below any limit of one process.
    let hog = "head -c 400m /dev/zero | tail -c 400m & ";
    say(&agent, &bash(&format!("{hog}{hog} tail -f /dev/null"))).await;
    let said = exited(&mut events).await;
    assert!(matches!(said.exit.exceeded, Some(Exceeded::Memory { .. })), "{said:?}");
    bench.assert_nothing_left().await;

    let bench = Bench::new().await;
    let limits = ProcessLimits::default().with_cpu_time_max(Some(Duration::from_secs(4)));
    let (agent, mut events) = bench.start(limited(&bench, limits)).await;
    say(&agent, &bash("while true; do :; done")).await;
    let said = exited(&mut events).await;
    assert!(matches!(said.exit.exceeded, Some(Exceeded::CpuTime { .. })), "{said:?}");
    let error = agent.control("anything", json!({})).await.unwrap_err();
    assert!(error.to_string().contains("of CPU time used"), "{error}");
    bench.assert_nothing_left().await;
}

#[tokio::test]
async fn limits_of_each_process_reach_the_tools_and_leave_the_agent_working() {
    let bench = Bench::new().await;
    let limits = ProcessLimits::default()
        .with_open_files_max(Some(128))
        .with_process_memory_bytes_max(Some(1 << 30))
        .with_process_cpu_time_max(Some(Duration::from_secs(600)))
        .with_file_bytes_max(Some(64 << 20));
    let (agent, mut events) = bench.start(limited(&bench, limits)).await;
    let command = "ulimit -n; ulimit -d; ulimit -t; head -c 100m /dev/zero > big; stat -c %s big; \
                   dd if=/dev/zero of=/dev/null bs=1500M count=1 2>&1";
    let told = run(&agent, &mut events, command).await;
    for wanted in ["128", "1048576", "600", "67108864", "memory exhausted"] {
        assert!(told.contains(wanted), "{wanted}: {told}");
    }
    let id = say(&agent, "go [[text:still well]]").await;
    let result = result_of(&mut events, id).await;
    assert_eq!(result.text.as_deref(), Some("still well"));
    agent.close().await;
}

#[tokio::test]
async fn what_an_agent_runs_has_a_lower_priority_than_the_host_and_the_host_keeps_its_own() {
    let own_share = || fs::read_to_string("/proc/self/autogroup").ok();
    let before = own_share();
    for jail in [None, Some(Jail::default())] {
        let bench = Bench::new().await;
        // A shell has a session of its own, and so has an agent in a jail.
        let sessions = 1 + usize::from(jail.is_some());
        let limits = ProcessLimits::default().with_niceness(7);
        let containment = Containment::default().with_limits(limits).with_jail(jail);
        let options = bench.options().with_containment(containment);
        let (agent, mut events) = bench.start(options.with_allowed_tools(vec!["Bash".to_owned()])).await;
        let command = "sleep 2; echo at $(nice): $(cat /proc/self/autogroup /proc/$PPID/autogroup 2>&1)";
        let told = run(&agent, &mut events, command).await;
        assert!(told.contains("at 7:"), "{told}");
        // Kernels that do not group by session have no such file.
        let lowered = if before.is_some() { sessions } else { 0 };
        assert_eq!(told.matches("nice 7").count(), lowered, "{told}");
        agent.close().await;
        bench.assert_nothing_left().await;
    }
    assert_eq!(own_share(), before);
}

#[tokio::test]
async fn an_agent_runs_as_another_user_if_the_host_is_root() {
    let nobody = RunAs { uid: 65_534, gid: 65_534 };
    let bench = Bench::new().await;
    let contained = |jail| Containment::default().with_user(Some(nobody)).with_jail(jail);
    let both = contained(Some(Jail::default()));
    let error = start_error(bench.options().with_containment(both)).await;
    assert!(matches!(error, Error::InvalidOption { field: "containment.user", .. }), "{error}");

    if !nix::unistd::geteuid().is_root() {
        let error = start_error(bench.options().with_containment(contained(None))).await;
        assert!(matches!(error, Error::InvalidOption { field: "containment.user", .. }), "{error}");
        return;
    }
    let options = bench.options_for(nobody).with_allowed_tools(vec!["Bash".to_owned()]);
    let (agent, mut events) = bench.start(options).await;
    let said = run(&agent, &mut events, "id -u; id -G; touch made; stat -c %u made").await;
    assert!(said.contains(r"65534\n65534\n65534"), "{said}");
    let exit = agent.close().await;
    assert_eq!(exit.code, Some(0), "{exit}");
    bench.assert_nothing_left().await;
}
