//! Prompts that wait for their result. One result may end several, and none is ended twice.

use std::collections::{HashSet, VecDeque};

use uuid::Uuid;

use crate::event::DropReason;

/// Prompts in the order they were sent, and the ids used so far.
#[derive(Debug)]
pub(super) struct Prompts {
    open: Vec<Prompt>,
    used: HashSet<Uuid>,
    used_order: VecDeque<Uuid>,
    used_max: usize,
    passed: Passed,
}

/// Counts, so that "since this prompt started" can be asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Passed {
    results: u64,
    /// Lines that were lost and may have been results.
    losses: u64,
}

#[derive(Debug)]
struct Prompt {
    id: Uuid,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Sent, perhaps queued by the agent.
    Waiting,
    /// Part of the running turn.
    Started { passed: Passed },
    /// The agent says it is over, and its result is still to come: a prompt that was folded into a
    /// running turn is reported completed before the result that names it.
    Over,
    /// The same, and a line was lost that may have been that result.
    MaybeLost,
}

impl Prompts {
    pub(super) fn new(used_max: usize) -> Self {
        Self {
            open: Vec::new(),
            used: HashSet::new(),
            used_order: VecDeque::new(),
            used_max,
            passed: Passed::default(),
        }
    }

    /// Opens a prompt, or refuses an id that was used before.
    pub(super) fn open(&mut self, id: Uuid) -> bool {
        if !self.used.insert(id) {
            return false;
        }
        self.used_order.push_back(id);
        if self.used_order.len() > self.used_max
            && let Some(oldest) = self.used_order.pop_front()
        {
            self.used.remove(&oldest);
        }
        let stage = Stage::Waiting;
        self.open.push(Prompt { id, stage });
        true
    }

    /// A result came: the prompts it ends, and those whose own was lost, since this is not it.
    pub(super) fn finish(&mut self, named: &[Uuid], has_own_origin: bool) -> (Vec<Uuid>, Vec<Uuid>) {
        self.passed.results += 1;
        // A result that names nobody and was not started by the agent itself belongs to what is running.
        let is_anonymous = named.is_empty() && !has_own_origin;
        let finished = self.take(|prompt| match prompt.stage {
            Stage::Over => true,
            Stage::Started { .. } | Stage::MaybeLost => is_anonymous || named.contains(&prompt.id),
            Stage::Waiting => named.contains(&prompt.id),
        });
        (finished, self.take(|prompt| prompt.stage == Stage::MaybeLost))
    }

    /// A lifecycle frame came: the prompts that end by it without a result.
    pub(super) fn advance(&mut self, id: Uuid, state: &str) -> Option<(Vec<Uuid>, DropReason)> {
        let passed = self.passed;
        let is_started = |prompt: &Prompt| matches!(prompt.stage, Stage::Started { .. });
        let is_alone = !self.open.iter().any(|prompt| prompt.id != id && is_started(prompt));
        let prompt = self.open.iter_mut().find(|prompt| prompt.id == id)?;
        match (state, prompt.stage) {
            ("started", Stage::Waiting) => {
                prompt.stage = Stage::Started { passed };
                // A new turn, so the result of the last one does not come any more.
                is_alone.then(|| {
                    (self.take(|prompt| prompt.stage == Stage::MaybeLost), DropReason::ResultMissing)
                })
            }
            ("cancelled", Stage::Waiting) => Some((self.cancel(&[id]), DropReason::Cancelled)),
            ("completed", Stage::Waiting) => {
                prompt.stage = Stage::Over;
                None
            }
            ("completed" | "cancelled", Stage::Started { passed: then }) => {
                // The turn's result is already past and did not name it, or it was lost. A loss alone says little as
                // long as the turn goes on into which this prompt was folded: its result is still to come.
                let is_past = passed.results > then.results;
                let is_lost = passed.losses > then.losses;
                prompt.stage = if is_lost { Stage::MaybeLost } else { Stage::Over };
                (is_past || is_lost && is_alone).then(|| {
                    let over = self.take(|prompt| matches!(prompt.stage, Stage::Over | Stage::MaybeLost));
                    (over, DropReason::ResultMissing)
                })
            }
            _ => None,
        }
    }

    /// The agent gave these back: those that were still open.
    pub(super) fn cancel(&mut self, ids: &[Uuid]) -> Vec<Uuid> {
        self.take(|prompt| ids.contains(&prompt.id))
    }

    /// A line was lost that may have been a result.
    pub(super) fn note_possible_loss(&mut self) {
        self.passed.losses += 1;
    }

    /// Everything still open; nothing is afterwards.
    pub(super) fn take_open(&mut self) -> Vec<Uuid> {
        self.take(|_| true)
    }

    fn take(&mut self, is_taken: impl Fn(&Prompt) -> bool) -> Vec<Uuid> {
        let taken = self.open.extract_if(.., |prompt| is_taken(prompt));
        taken.map(|prompt| prompt.id).collect()
    }
}
