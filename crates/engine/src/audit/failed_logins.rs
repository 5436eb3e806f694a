//! Bounds what failed logins write: strangers cause them, and must not be able to fill the disk.
//!
//! In each minute the first attempts at an account are recorded one by one and the rest is counted; attempts at
//! accounts that do not exist share one such count. So noise about nobody does not hide attempts at somebody.

use domain::{AuditEvent, UserId, audit::events};
use jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;

const WINDOW: SignedDuration = SignedDuration::from_mins(1);
/// Attempts recorded one by one in each window.
const RECORDED_MAX: u32 = 20;

/// The windows that are open, by account; all accounts that do not exist are one.
#[derive(Debug, Default)]
pub(super) struct FailedLogins(HashMap<Option<UserId>, Window>);

#[derive(Debug)]
struct Window {
    since: Timestamp,
    attempts: u32,
}

impl FailedLogins {
    /// Notes an attempt and answers with what is to be written now: the attempt itself, unless there were too many,
    /// and the counts of windows that are over.
    pub(super) fn note(
        &mut self,
        user: Option<UserId>,
        now: Timestamp,
        event: impl FnOnce() -> AuditEvent,
    ) -> Vec<AuditEvent> {
        let mut due = self.take_over(now);
        let window = self.0.entry(user).or_insert(Window { since: now, attempts: 0 });
        window.attempts = window.attempts.saturating_add(1);
        if window.attempts <= RECORDED_MAX {
            due.push(event());
        }
        due
    }

    /// Closes the windows that are over.
    pub(super) fn take_over(&mut self, now: Timestamp) -> Vec<AuditEvent> {
        // A clock that was set back ends a window too, lest it stay open until then.
        let over =
            |window: &Window| !(SignedDuration::ZERO..WINDOW).contains(&now.duration_since(window.since));
        let closed = self.0.extract_if(|_, window| over(window));
        closed.filter_map(|(user, window)| window.summary(user, now)).collect()
    }

    /// Closes every window.
    pub(super) fn take_all(&mut self, now: Timestamp) -> Vec<AuditEvent> {
        self.0.drain().filter_map(|(user, window)| window.summary(user, now)).collect()
    }
}

impl Window {
    fn summary(&self, user: Option<UserId>, now: Timestamp) -> Option<AuditEvent> {
        let counted = self.attempts.saturating_sub(RECORDED_MAX);
        (counted > 0).then(|| events::logins_failed(user, counted, self.since, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::audit::Fact;
    use domain::{Source, audit::events::LoginFailure};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_767_225_600 + second).unwrap()
    }

    fn attempt(logins: &mut FailedLogins, user: Option<UserId>, second: i64) -> Vec<AuditEvent> {
        let failure = LoginFailure::WrongPassword;
        logins.note(user, at(second), || events::login_failed(user, failure, &Source::default(), at(second)))
    }

    #[test]
    fn a_flood_is_counted_and_does_not_hide_attempts_at_somebody() {
        let mut logins = FailedLogins::default();
        let written: usize = (0..10_000).map(|_| attempt(&mut logins, None, 0).len()).sum();
        assert_eq!(written, 20);
        let ada = Some(UserId::new());
        assert_eq!(attempt(&mut logins, ada, 30).len(), 1, "somebody's account has a count of its own");

        assert_eq!(logins.take_over(at(59)), []);
        let after = attempt(&mut logins, None, 60);
        assert_eq!(after.len(), 2, "{after:?}");
        assert_eq!(after[0].data["attempts"], Fact::Number(9_980));
        assert_eq!(after[0].data["reason"], Fact::from("repeated"));
        assert_eq!(after[1].data["reason"], Fact::from("wrong_password"));
    }

    #[test]
    fn counts_are_written_when_nobody_tries_again_and_when_the_server_ends() {
        let mut logins = FailedLogins::default();
        let ada = UserId::new();
        for _ in 0..25 {
            attempt(&mut logins, Some(ada), 0);
        }
        let over = logins.take_over(at(3600));
        assert_eq!(
            over.iter().map(|event| event.data["attempts"].clone()).collect::<Vec<_>>(),
            [Fact::Number(5)]
        );
        assert_eq!(over[0].subject.as_ref().unwrap().id, ada.to_string());
        assert_eq!(logins.take_over(at(7200)), []);

        for _ in 0..21 {
            attempt(&mut logins, None, 7200);
        }
        assert_eq!(logins.take_all(at(7201)).len(), 1);
        assert_eq!(logins.take_all(at(7201)), []);
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_keep_a_window_open() {
        let mut logins = FailedLogins::default();
        for _ in 0..30 {
            attempt(&mut logins, None, 5000);
        }
        assert_eq!(attempt(&mut logins, None, 10).len(), 2);
    }
}
