//! The order in which those that wait are let in.

use domain::{TurnId, UserId, turn::WaitingTurn};
use jiff::Timestamp;
use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, VecDeque},
};

/// First whoever has the fewest sessions running, then who has waited longest. Who is let in counts as running, so users
/// take turns however many prompts one of them has.
pub fn line_up(mut waiting: Vec<WaitingTurn>, mut running: HashMap<UserId, usize>) -> Vec<WaitingTurn> {
    waiting.sort_by_key(age);
    let mut queues: HashMap<UserId, VecDeque<WaitingTurn>> = HashMap::new();
    for turn in waiting {
        queues.entry(turn.user_id).or_default().push_back(turn);
    }
    let rank = |user: UserId, running: &HashMap<UserId, usize>, queue: &VecDeque<WaitingTurn>| {
        let next = queue.front()?;
        Some(Reverse((running.get(&user).copied().unwrap_or_default(), age(next), user)))
    };
    let mut users: BinaryHeap<_> =
        queues.iter().filter_map(|(user, queue)| rank(*user, &running, queue)).collect();
    let mut line = Vec::new();
    while let Some(Reverse((_, _, user))) = users.pop() {
        let Some(queue) = queues.get_mut(&user) else { continue };
        line.extend(queue.pop_front());
        *running.entry(user).or_default() += 1;
        users.extend(rank(user, &running, queue));
    }
    line
}

fn age(turn: &WaitingTurn) -> (Timestamp, TurnId) {
    (turn.since, turn.id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{SessionId, SessionMode};

    fn turn(user: UserId, second: i64) -> WaitingTurn {
        WaitingTurn {
            generation: domain::Generation::FIRST,
            id: TurnId::new(),
            session_id: SessionId::new(),
            user_id: user,
            mode: SessionMode::Interactive,
            since: Timestamp::from_second(second).unwrap(),
        }
    }

    /// The line as users and ages.
    fn lined_up(waiting: &[WaitingTurn], running: &[(UserId, usize)]) -> Vec<(UserId, i64)> {
        let line = line_up(waiting.to_vec(), running.iter().copied().collect());
        line.iter().map(|turn| (turn.user_id, turn.since.as_second())).collect()
    }

    #[test]
    fn the_oldest_goes_first_among_equals() {
        let (ann, bob) = (UserId::new(), UserId::new());
        assert_eq!(lined_up(&[turn(ann, 2), turn(bob, 1)], &[]), [(bob, 1), (ann, 2)]);
    }

    #[test]
    fn whoever_has_fewer_running_goes_first() {
        let (ann, bob) = (UserId::new(), UserId::new());
        let waiting = [turn(ann, 1), turn(bob, 2)];
        assert_eq!(lined_up(&waiting, &[(ann, 1)]), [(bob, 2), (ann, 1)]);
        assert_eq!(lined_up(&waiting, &[(ann, 1), (bob, 1)]), [(ann, 1), (bob, 2)]);
    }

    #[test]
    fn users_take_turns_however_many_prompts_one_has() {
        let (ann, bob) = (UserId::new(), UserId::new());
        let mut waiting: Vec<_> = (0..4).map(|second| turn(ann, second)).collect();
        waiting.extend([turn(bob, 10), turn(bob, 11)]);
        let order = [(ann, 0), (bob, 10), (ann, 1), (bob, 11), (ann, 2), (ann, 3)];
        assert_eq!(lined_up(&waiting, &[]), order);
    }
}
