//! The command says where it listens and ends when it is told to, or when nobody is left to tell it.
#![expect(clippy::unwrap_used, reason = "helpers of a test may panic too")]
#![expect(clippy::disallowed_methods, reason = "the command under test is a process")]

use std::{
    io::{BufRead, BufReader},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const OFFLINE_MODEL: &str = env!("CARGO_BIN_EXE_offline-model");
const PATIENCE: Duration = Duration::from_secs(20);

fn start(command: &mut Command) -> (Child, u16) {
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let port = line.strip_prefix("LISTENING ").unwrap().trim().parse().unwrap();
    TcpStream::connect(("127.0.0.1", port)).unwrap();
    (child, port)
}

#[test]
fn a_signal_ends_it() {
    for signal in ["-TERM", "-INT"] {
        let (mut child, _) = start(Command::new(OFFLINE_MODEL).args(["--port", "0"]));
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        assert!(child.wait().unwrap().success(), "{signal}");
    }
}

#[test]
fn the_end_of_its_parent_ends_it() {
    // The shell starts the model in the background and ends as soon as its input does.
    let script = "\"$0\" --exit-with-parent & read -r line";
    let (mut shell, port) =
        start(Command::new("sh").args(["-c", script, OFFLINE_MODEL]).stdin(Stdio::piped()));
    drop(shell.stdin.take());
    shell.wait().unwrap();
    let started = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_ok() {
        assert!(started.elapsed() < PATIENCE, "the model outlived its parent");
        std::thread::yield_now();
    }
}

#[test]
fn help_explains_the_directives() {
    let help = Command::new(OFFLINE_MODEL).arg("--help").output().unwrap();
    assert!(String::from_utf8(help.stdout).unwrap().contains("[[tool:NAME {JSON}]]"));
}
