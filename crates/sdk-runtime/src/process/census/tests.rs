//! Who is looked at anew and who is left alone, and that nobody who belongs to an agent is missed for it.

use std::{
    io::Write as _,
    process::{Child, Command, Stdio},
    time::Duration,
};

use super::*;

const LONG: Duration = Duration::from_secs(600);

/// A shell that does what it is told, line by line, and is gone at the end.
struct Shell(Child);

impl Shell {
    #[expect(clippy::disallowed_methods, reason = "processes are what this is about")]
    fn start(mark: Option<&str>) -> Self {
        let mut command = Command::new("sh");
        command.stdin(Stdio::piped());
        if let Some(mark) = mark {
            command.env(AGENT_MARKER, mark);
        }
        Self(command.spawn().unwrap())
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).unwrap()
    }

    fn say(&mut self, line: &str) {
        writeln!(self.0.stdin.as_mut().unwrap(), "{line}").unwrap();
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Looks until it is so.
fn until(mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !is_so() {
        assert!(Instant::now() < deadline, "it never came to be");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn row(census: &Census, pid: i32) -> Option<Row> {
    census.seen.get(&pid).map(|seen| seen.row.clone())
}

fn agents(census: &Census) -> Vec<i32> {
    census.table(|seen| seen.is_watched).rows.iter().map(|row| row.identity.pid).collect()
}

#[test]
fn who_has_to_do_with_no_agent_is_left_alone_and_looked_at_again_after_a_while() {
    let stranger = Shell::start(None);
    let mut census = Census::default();
    let began = Instant::now();
    census.count(began, Extent::Agents(None)).unwrap();
    // What was found would be found again, so it is falsified to tell a look from none.
    let falsify = |census: &mut Census| {
        census.seen.get_mut(&stranger.pid()).unwrap().row.session = -1;
    };
    falsify(&mut census);
    census.count(began + LEFT_ALONE / 2, Extent::Agents(None)).unwrap();
    assert_eq!(row(&census, stranger.pid()).unwrap().session, -1, "it was looked at");
    census.count(began + LEFT_ALONE, Extent::Agents(None)).unwrap();
    assert_ne!(row(&census, stranger.pid()).unwrap().session, -1, "it was never looked at again");
    falsify(&mut census);
    census.count(began + LEFT_ALONE, Extent::Whole).unwrap();
    assert_ne!(row(&census, stranger.pid()).unwrap().session, -1, "all is not all");
    falsify(&mut census);
    census.count(began + LEFT_ALONE, Extent::Agents(Some(stranger.pid()))).unwrap();
    assert_ne!(row(&census, stranger.pid()).unwrap().session, -1, "it was asked for");
    assert!(agents(&census).contains(&stranger.pid()));
}

#[test]
fn an_agents_processes_are_found_at_once_and_stay_its_own() {
    let mut agent = Shell::start(Some("a"));
    let mut census = Census::default();
    let now = Instant::now();
    until(|| {
        census.count(now, Extent::Whole).unwrap();
        agents(&census).contains(&agent.pid())
    });
    let mark = format!("{AGENT_MARKER}=a").into_bytes();
    assert!(row(&census, agent.pid()).unwrap().marks.contains(&mark));
    // It gives up its environment, not its parent, by whom it is found however late one looks; then its parent is gone
    // too, and it was seen before.
    agent.say("env -i sleep 60 & wait");
    let is_sleep = |pid: i32| stat(pid).unwrap().is_some_and(|stat| stat.comm == "sleep");
    let mut sleeper = None;
    until(|| {
        census.count(now, Extent::Agents(None)).unwrap();
        sleeper = agents(&census).into_iter().find(|pid| is_sleep(*pid));
        sleeper.is_some()
    });
    let sleeper = sleeper.unwrap();
    until(|| {
        census.count(now, Extent::Agents(None)).unwrap();
        row(&census, sleeper).is_some_and(|row| row.marks.is_empty())
    });
    drop(agent);
    census.count(now, Extent::Agents(None)).unwrap();
    assert!(agents(&census).contains(&sleeper), "it was forgotten with its parent");
    nix::sys::signal::kill(unistd::Pid::from_raw(sleeper), nix::sys::signal::Signal::SIGKILL).unwrap();
    until(|| {
        census.count(now, Extent::Agents(None)).unwrap();
        row(&census, sleeper).is_none()
    });
}

#[test]
fn the_environment_is_read_again_when_another_program_runs() {
    let mut shell = Shell::start(None);
    let mut census = Census::default();
    let now = Instant::now();
    census.count(now, Extent::Whole).unwrap();
    assert!(row(&census, shell.pid()).unwrap().marks.is_empty());
    shell.say(&format!("exec env {AGENT_MARKER}=b sleep 60"));
    until(|| {
        census.count(now, Extent::Whole).unwrap();
        !row(&census, shell.pid()).unwrap().marks.is_empty()
    });
}

#[test]
fn one_look_does_for_all_who_look_soon_after() {
    let agent = Shell::start(Some("c"));
    let of = |pid, age_max| of_agents(Some(pid), age_max).unwrap();
    let first = of(agent.pid(), Duration::ZERO);
    let rows = |table: &Table| table.rows.iter().map(|row| row.identity.pid).collect::<Vec<_>>();
    assert!(rows(&first).contains(&agent.pid()));
    let later = Shell::start(None);
    assert!(!rows(&of(agent.pid(), LONG)).contains(&later.pid()), "it was read anew");
    assert!(rows(&of(later.pid(), LONG)).contains(&later.pid()), "who is asked for is always there");
    let spared = unistd::getpid().as_raw();
    assert!(first.spared.contains(&spared) && first.spared.contains(&unistd::getppid().as_raw()));
}

#[test]
fn only_who_is_gone_or_closed_to_us_is_not_there() {
    let read = |errno: Errno| unless_absent::<()>(Err(io::Error::from_raw_os_error(errno as i32)));
    for errno in [Errno::ENOENT, Errno::ESRCH, Errno::EACCES, Errno::EPERM] {
        assert!(read(errno).unwrap().is_none(), "{errno}");
    }
    for errno in [Errno::EMFILE, Errno::ENFILE, Errno::ENOMEM, Errno::EIO] {
        assert_eq!(read(errno).unwrap_err().raw_os_error(), Some(errno as i32));
    }
    assert!(stat(i32::MAX).unwrap().is_none());
}
