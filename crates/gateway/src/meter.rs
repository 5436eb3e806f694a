//! Follows one request from its start until it is booked, whichever way it ends.

use std::{sync::Arc, time::Instant};

use domain::{RequestUsage, RequestUsageId, TurnId};
use jiff::Timestamp;
use tokio::{sync::OwnedSemaphorePermit, task::JoinHandle};
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::{agents::Agent, books::Books, reading::Reading};

/// Books its request exactly once: when told to, or when it is dropped because the agent went away.
#[derive(Debug)]
pub(crate) struct Meter {
    books: Arc<Books>,
    pub(crate) agent: Arc<Agent>,
    open: Option<Open>,
    // Both are given back only after the booking has begun, which holds a token of its own.
    _in_flight: TaskTrackerToken,
    _slot: OwnedSemaphorePermit,
}

/// What is known of a request that is not booked yet.
#[derive(Debug)]
struct Open {
    turn_id: Option<TurnId>,
    asked_model: Option<String>,
    started_at: Timestamp,
    started: Instant,
    status: u16,
    reading: Reading,
}

impl Meter {
    pub(crate) fn start(
        books: Arc<Books>,
        agent: Arc<Agent>,
        slot: OwnedSemaphorePermit,
        asked_model: Option<String>,
    ) -> Self {
        let open = Open {
            turn_id: agent.turn(),
            asked_model,
            started_at: books.now(),
            started: Instant::now(),
            status: 0,
            reading: Reading::default(),
        };
        Self { _in_flight: agent.requests.token(), _slot: slot, books, agent, open: Some(open) }
    }

    /// Notes that the upstream has begun to answer.
    pub(crate) fn answered(&mut self, status: http::StatusCode) {
        if let Some(open) = &mut self.open {
            open.status = status.as_u16();
        }
    }

    /// Notes what has been read so far, for the case that nothing more comes.
    pub(crate) fn note(&mut self, reading: &Reading) {
        if let Some(open) = &mut self.open
            && open.reading != *reading
        {
            open.reading = reading.clone();
        }
    }

    /// Whether the request is not booked yet.
    pub(crate) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Books the request and returns when that is durable. Dropping the future does not stop the booking.
    pub(crate) async fn settle(&mut self) {
        if let Some(booking) = self.begin_booking()
            && let Err(error) = booking.await
        {
            tracing::error!(error = &error as &dyn std::error::Error, "the booking of a request did not end");
        }
    }

    fn begin_booking(&mut self) -> Option<JoinHandle<()>> {
        let usage = self.open.take().map(|open| self.usage(open))?;
        let books = self.books.clone();
        Some(self.agent.requests.spawn_on(async move { books.book(usage).await }, &self.books.runtime))
    }

    fn usage(&self, open: Open) -> RequestUsage {
        let Open { turn_id, asked_model, started_at, started, status, reading } = open;
        let model = reading.model.clone().or(asked_model).unwrap_or_default();
        let quote = self.books.prices.quote(&model, &reading);
        RequestUsage {
            id: RequestUsageId::new(),
            session_id: self.agent.scope.session_id,
            user_id: self.agent.scope.user_id,
            turn_id,
            model,
            tokens: reading.tokens,
            thinking_tokens: 0,
            tools: Vec::new(),
            cost: quote.cost,
            price_version: self.books.prices.version().to_owned(),
            is_priced: quote.is_priced,
            is_complete: reading.is_complete,
            is_estimated: false,
            http_status: status,
            stop_reason: reading.stop_reason,
            started_at,
            duration_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        // Tracked by the agent's tracker, which is what revoking and shutting down wait for.
        let _tracked = self.begin_booking();
    }
}
