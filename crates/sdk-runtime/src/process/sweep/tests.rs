//! That a sweep kills all it can: nobody who may not be killed, and no look that fails, stands before the others.

use std::sync::Arc;

use super::*;

const BOUND: Duration = Duration::from_secs(600);

fn mark() -> Mark {
    Mark::new("AGENT", "a")
}

fn identity(pid: i32) -> Identity {
    Identity { pid, start_ticks: 1 }
}

/// The marked process 10 and what it started.
fn table(pids: &[i32]) -> Table {
    let row = |pid: i32| Row {
        identity: identity(pid),
        parent: if pid == 10 { 1 } else { 10 },
        session: pid,
        cpu_ticks: 0,
        marks: if pid == 10 { Arc::from([mark().0]) } else { Arc::from([]) },
    };
    Table { rows: pids.iter().copied().map(row).collect(), spared: HashSet::new() }
}

/// Sweeps these processes; `end` says what comes of killing one, and who is killed is gone at the next look.
fn swept(pids: &[i32], end: impl Fn(i32) -> io::Result<End>) -> (io::Result<usize>, Vec<i32>) {
    let left = std::cell::RefCell::new(pids.to_vec());
    let look = || Ok(table(&left.borrow()));
    let killed = sweep_by(&mark(), &mut Known::default(), BOUND, look, |identity| {
        let end = end(identity.pid)?;
        if end == End::Killed {
            left.borrow_mut().retain(|pid| *pid != identity.pid);
        }
        Ok(end)
    });
    (killed, left.into_inner())
}

#[test]
fn who_may_not_be_killed_does_not_keep_the_others_alive() {
    // In whatever order they come.
    for pids in [[10, 11, 12], [12, 11, 10], [11, 10, 12]] {
        let root = |pid| Ok(if pid == 11 { End::OutOfReach } else { End::Killed });
        let (killed, left) = swept(&pids, root);
        assert_eq!(killed.unwrap(), 2, "{pids:?}");
        assert_eq!(left, [11], "{pids:?}");
    }
}

#[test]
fn a_process_that_could_not_be_looked_at_is_killed_at_a_later_look() {
    let is_first = std::cell::Cell::new(true);
    let (killed, left) = swept(&[10, 11], |pid| match pid {
        11 if is_first.replace(false) => Err(io::Error::from_raw_os_error(Errno::EMFILE as i32)),
        _ => Ok(End::Killed),
    });
    assert_eq!((killed.unwrap(), left), (2, Vec::new()));
}

#[test]
fn a_look_that_fails_is_tried_again() {
    let mut looks = 0;
    let look = || {
        looks += 1;
        match looks {
            1 => Err(io::Error::from_raw_os_error(Errno::EMFILE as i32)),
            2 => Ok(table(&[10])),
            _ => Ok(table(&[])),
        }
    };
    let killed = sweep_by(&mark(), &mut Known::default(), BOUND, look, |_| Ok(End::Killed));
    assert_eq!(killed.unwrap(), 1);
}

#[test]
fn a_look_that_never_succeeds_is_told_when_the_time_is_over() {
    let look = || Err(io::Error::from_raw_os_error(Errno::EMFILE as i32));
    let killed = sweep_by(&mark(), &mut Known::default(), Duration::ZERO, look, |_| Ok(End::Killed));
    assert_eq!(killed.unwrap_err().raw_os_error(), Some(Errno::EMFILE as i32));
}

#[test]
fn whoever_is_found_is_killed_and_looked_for_again_however_late_it_is() {
    let left = std::cell::RefCell::new(vec![10, 11]);
    let look = || Ok(table(&left.borrow()));
    let killed = sweep_by(&mark(), &mut Known::default(), Duration::ZERO, look, |identity| {
        left.borrow_mut().retain(|pid| *pid != identity.pid);
        Ok(End::Killed)
    });
    assert_eq!(killed.unwrap(), 2);
    let look = || Ok(table(&[10]));
    let killed = sweep_by(&mark(), &mut Known::default(), Duration::ZERO, look, |_| Ok(End::Killed));
    assert_eq!(killed.unwrap_err().kind(), io::ErrorKind::TimedOut, "it is still there");
}
