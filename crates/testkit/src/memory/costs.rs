//! Sums over the ledger.

use super::{MemoryStore, State};
use async_trait::async_trait;
use domain::{
    MicroUsd, RequestUsage, SessionId, UserId,
    cost::{Activity, CostKey, CostQuery, CostScope, CostSum},
    ports::{Costs, StoreResult},
};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

const QUARTER_HOUR_MICROS: i64 = 15 * 60 * 1_000_000;

#[async_trait]
impl Costs for MemoryStore {
    async fn cost(&self, query: &CostQuery) -> StoreResult<CostSum> {
        let state = self.state();
        Ok(state.requests_of(query).map(sum_of).fold(CostSum::default(), CostSum::plus))
    }

    async fn costs_by(
        &self,
        query: &CostQuery,
        key: CostKey,
        limit: u32,
    ) -> StoreResult<Vec<(String, CostSum)>> {
        let state = self.state();
        if key == CostKey::QuarterHour {
            let sums = summed(state.requests_of(query), |usage| {
                usage.started_at.as_microsecond() / QUARTER_HOUR_MICROS
            });
            return Ok(sums.into_iter().map(|(quarter, sum)| (quarter.to_string(), sum)).collect());
        }
        let sums = match key {
            CostKey::Tool => {
                let by_tools = summed(state.requests_of(query), |usage| usage.tools.clone());
                by_tools.into_iter().flat_map(|(tools, sum)| sum.shares(tools)).fold(
                    BTreeMap::new(),
                    |mut sums, (tool, share)| {
                        let sum: &mut CostSum = sums.entry(tool).or_default();
                        *sum = sum.plus(share);
                        sums
                    },
                )
            }
            CostKey::Session => summed(state.requests_of(query), |usage| {
                let is_there = state.sessions.contains_key(&usage.session_id);
                if is_there { usage.session_id.to_string() } else { String::new() }
            }),
            CostKey::Model | CostKey::QuarterHour => {
                summed(state.requests_of(query), |usage| usage.model.clone())
            }
        };
        let mut sums: Vec<_> = sums.into_iter().collect();
        sums.sort_by(|(key, sum), (other_key, other)| other.cost.cmp(&sum.cost).then(key.cmp(other_key)));
        sums.truncate(limit as usize);
        Ok(sums)
    }

    async fn activity(&self, query: &CostQuery) -> StoreResult<Activity> {
        let state = self.state();
        let sessions: BTreeSet<_> = state
            .requests_of(query)
            .map(|usage| usage.session_id)
            .filter(|id| state.sessions.contains_key(id))
            .collect();
        let covered = |id: SessionId| {
            let owner = state.sessions.get(&id).map(|session| session.user_id);
            owner.is_some_and(|owner| state.covers(&query.scope, id, owner))
        };
        let is_in = |at: Timestamp| query.from <= at && at < query.until;
        // Copies that a fork has of its parent's happened there.
        let messages = state.sessions.values().filter(|session| covered(session.id)).flat_map(|session| {
            state.messages(session.id).filter(|message| message.created_at >= session.created_at)
        });
        let calls = state.tool_calls.iter().filter(|call| is_in(call.created_at) && covered(call.session_id));
        Ok(Activity {
            sessions: sessions.len() as u64,
            messages: messages.filter(|message| is_in(message.created_at)).count() as u64,
            tool_calls: calls.count() as u64,
        })
    }
}

impl State {
    fn requests_of(&self, query: &CostQuery) -> impl Iterator<Item = &RequestUsage> {
        self.requests.iter().filter(move |usage| {
            let is_in = query.from <= usage.started_at && usage.started_at < query.until;
            is_in && self.covers(&query.scope, usage.session_id, usage.user_id)
        })
    }

    fn covers(&self, scope: &CostScope, session: SessionId, owner: UserId) -> bool {
        match scope {
            CostScope::All => true,
            CostScope::User(user) => *user == owner,
            CostScope::Session(id) => *id == session && self.sessions.contains_key(id),
            CostScope::Team(team) => self
                .users
                .iter()
                .any(|known| known.user.id == owner && known.user.team.as_ref() == Some(team)),
        }
    }
}

fn summed<'u, K: Ord>(
    requests: impl Iterator<Item = &'u RequestUsage>,
    key: impl Fn(&RequestUsage) -> K,
) -> BTreeMap<K, CostSum> {
    let mut sums = BTreeMap::new();
    for usage in requests {
        let sum: &mut CostSum = sums.entry(key(usage)).or_default();
        *sum = sum.plus(sum_of(usage));
    }
    sums
}

fn sum_of(usage: &RequestUsage) -> CostSum {
    let of_it = |counts: bool| if counts { usage.cost } else { MicroUsd::ZERO };
    CostSum {
        requests: 1,
        cost: usage.cost,
        tokens: usage.tokens,
        thinking_tokens: usage.thinking_tokens,
        estimated_cost: of_it(usage.is_estimated),
        unpriced_cost: of_it(!usage.is_priced),
    }
}
