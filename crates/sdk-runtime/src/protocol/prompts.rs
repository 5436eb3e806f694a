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
    /// Counts results and lost lines, so that "since this prompt started" can be asked.
    results_passed: u64,
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
    Started { results_passed: u64 },
    /// The agent says it is over, and its result is still to come: a prompt that was folded into a
    /// running turn is reported completed before the result that names it.
    Over,
}

impl Prompts {
    pub(super) fn new(used_max: usize) -> Self {
        Self {
            open: Vec::new(),
            used: HashSet::new(),
            used_order: VecDeque::new(),
            used_max,
            results_passed: 0,
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

    /// A result came: the prompts it ends.
    pub(super) fn finish(&mut self, named: &[Uuid], has_own_origin: bool) -> Vec<Uuid> {
        self.results_passed += 1;
        // A result that names nobody and was not started by the agent itself belongs to what is running.
        let is_anonymous = named.is_empty() && !has_own_origin;
        self.take(|prompt| match prompt.stage {
            Stage::Over => true,
            Stage::Started { .. } => is_anonymous || named.contains(&prompt.id),
            Stage::Waiting => named.contains(&prompt.id),
        })
    }

    /// A lifecycle frame came: the prompts that end by it without a result.
    pub(super) fn advance(&mut self, id: Uuid, state: &str) -> Option<(Vec<Uuid>, DropReason)> {
        let results_passed = self.results_passed;
        let prompt = self.open.iter_mut().find(|prompt| prompt.id == id)?;
        match (state, prompt.stage) {
            ("started", Stage::Waiting) => {
                prompt.stage = Stage::Started { results_passed };
                None
            }
            ("cancelled", Stage::Waiting) => Some((self.cancel(&[id]), DropReason::Cancelled)),
            ("completed", Stage::Waiting) => {
                prompt.stage = Stage::Over;
                None
            }
            ("completed" | "cancelled", Stage::Started { results_passed: then }) => {
                prompt.stage = Stage::Over;
                // The turn's result is already past and did not name it, or it was lost.
                let is_missing = results_passed > then;
                is_missing.then(|| {
                    let over = self.take(|prompt| prompt.stage == Stage::Over);
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
        self.results_passed += 1;
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
