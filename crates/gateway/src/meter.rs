//! Follows one request from when it asks for money until it is booked, whichever way it ends.

use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};

use domain::{RequestUsage, RequestUsageId, TurnId};
use http::HeaderMap;
use jiff::Timestamp;
use monitoring::{
    Ask,
    spans::{self, ChatSpan},
};
use tokio::{
    sync::{OwnedSemaphorePermit, oneshot},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::{
    agents::Agent,
    books::Books,
    headers,
    limits::{NOTE_DELAY, NOTE_INTERVAL},
    prices::{Bound, PriceTable},
    progress::{self, Progress},
    reading::Reading,
};

/// Ends its request exactly once, when told to or when it is dropped because the agent went away: what was not sent is
/// given back, what was sent is booked.
#[derive(Debug)]
pub(crate) struct Meter {
    books: Arc<Books>,
    pub(crate) agent: Arc<Agent>,
    open: Option<Open>,
    // Both are given back only after the booking has begun, which holds a token of its own.
    _in_flight: TaskTrackerToken,
    _slot: OwnedSemaphorePermit,
}

/// How far a request has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// No money is held for it.
    Asking,
    Held,
    Sent,
}

/// What is known of a request that is not booked yet.
#[derive(Debug)]
struct Open {
    id: RequestUsageId,
    stage: Stage,
    turn_id: Option<TurnId>,
    asked_model: String,
    /// Those that held when it began: what is held and what is settled are reckoned alike.
    prices: Arc<PriceTable>,
    body_bytes: usize,
    started_at: Timestamp,
    started: Instant,
    status: u16,
    /// From the beginning until the upstream began to answer.
    first_byte: Option<Duration>,
    /// It is known that nothing was used.
    is_free: bool,
    reading: Reading,
    progress: Progress,
    /// From when the whole answer was seen: whoever waits for the agent's bookings waits for this one too.
    due: Option<TaskTrackerToken>,
    /// When what was seen was noted last, and the noting.
    noted: Option<Instant>,
    noting: Option<JoinHandle<()>>,
    /// Without it a request that was not under way for long is not noted any more.
    under_way: Option<oneshot::Sender<Infallible>>,
    chat: Option<ChatSpan>,
}

impl Meter {
    pub(crate) fn new(
        books: Arc<Books>,
        agent: Arc<Agent>,
        slot: OwnedSemaphorePermit,
        asked_model: Option<String>,
        body_bytes: usize,
    ) -> Self {
        let open = Open {
            id: RequestUsageId::new(),
            stage: Stage::Asking,
            turn_id: agent.turn(),
            asked_model: asked_model.unwrap_or_default(),
            prices: books.prices.current(),
            body_bytes,
            started_at: books.now(),
            started: Instant::now(),
            status: 0,
            first_byte: None,
            is_free: false,
            reading: Reading::default(),
            progress: Progress::default(),
            due: None,
            noted: None,
            noting: None,
            under_way: None,
            chat: None,
        };
        Self { _in_flight: agent.requests.token(), _slot: slot, books, agent, open: Some(open) }
    }

    /// A model without a price that may answer, or advise the one that does.
    pub(crate) fn without_price<'a>(&'a self, bound: &'a Bound) -> Option<&'a str> {
        let open = self.open.as_ref()?;
        let advisors = bound.advisors.iter().map(|advisor| advisor.model.as_str());
        std::iter::once(open.asked_model.as_str()).chain(advisors).find(|model| !open.prices.knows(model))
    }

    /// What is asked of the budgets before it is sent.
    pub(crate) fn ask(&self, bound: &Bound) -> Option<Ask> {
        let open = self.open.as_ref()?;
        Some(Ask {
            id: open.id,
            session_id: self.agent.scope.session_id,
            user_id: self.agent.scope.user_id,
            turn_id: open.turn_id,
            most: open.prices.most(&open.asked_model, bound),
            model: open.asked_model.clone(),
            price_version: open.prices.version().to_owned(),
            at: open.started_at,
        })
    }

    /// Notes that the money is held: from now on it is given back or spent.
    pub(crate) fn held(&mut self) {
        self.enter(Stage::Held);
    }

    /// Takes over a hold that was made before the request came, and is booked under its id.
    pub(crate) fn take_over(&mut self, hold: RequestUsageId) {
        if let Some(open) = &mut self.open {
            (open.id, open.stage) = (hold, Stage::Held);
        }
    }

    /// Notes that the request is being sent: from now on it is booked, and its span ends with that. If it is under way for
    /// a while, it is put on record with an estimate.
    pub(crate) fn sent(&mut self, headers: &HeaderMap) {
        self.enter(Stage::Sent);
        let scope = self.agent.scope;
        if let Some(open) = &mut self.open {
            let traceparent = headers::traceparent(headers);
            open.chat = Some(spans::chat(scope, open.turn_id, Some(&open.asked_model), traceparent));
            let (under_way, over) = oneshot::channel();
            let (books, asked) = (self.books.clone(), usage(&self.agent, open));
            let noting = async move {
                if timeout(NOTE_DELAY, over).await.is_err() {
                    books.costs.note_seen(&asked).await;
                }
            };
            open.noting = Some(self.agent.requests.spawn_on(noting, &self.books.runtime));
            open.under_way = Some(under_way);
        }
    }

    fn enter(&mut self, stage: Stage) {
        if let Some(open) = &mut self.open {
            open.stage = stage;
        }
    }

    /// Notes that the upstream has begun to answer.
    pub(crate) fn answered(&mut self, status: http::StatusCode) {
        if let Some(open) = &mut self.open {
            open.status = status.as_u16();
            open.first_byte = Some(open.started.elapsed());
        }
    }

    /// Notes that nothing can have been used.
    pub(crate) fn used_nothing(&mut self) {
        if let Some(open) = &mut self.open {
            open.is_free = true;
        }
    }

    /// Notes what has been read so far, for the case that nothing more comes.
    pub(crate) fn note(&mut self, reading: &Reading, progress: Progress) {
        if let Some(open) = &mut self.open {
            open.progress = progress;
            if open.reading != *reading {
                open.reading = reading.clone();
            }
        }
    }

    /// Notes that the whole answer was seen: its booking is put off until the agent has it.
    pub(crate) fn seen_whole(&mut self) {
        if let Some(open) = &mut self.open {
            open.due.get_or_insert_with(|| self.agent.bookings.token());
        }
    }

    /// Has what was seen so far put on record now and then, beside the stream: a server that is killed books that.
    pub(crate) fn note_for_the_worst(&mut self) {
        let now = Instant::now();
        let Some(open) = &mut self.open else { return };
        let is_early = open.noted.is_some_and(|noted| now.duration_since(noted) < NOTE_INTERVAL);
        if open.reading.model.is_none() || is_early {
            return;
        }
        // The estimate is not noted any more; if that is being done, this comes after it.
        let is_first = open.under_way.take().is_some();
        if !is_first && open.noting.as_ref().is_some_and(|noting| !noting.is_finished()) {
            return;
        }
        open.noted = Some(now);
        let (books, seen, before) = (self.books.clone(), usage(&self.agent, open), open.noting.take());
        let noting = async move {
            if let Some(before) = before {
                // Noting does not fail, and what is noted now holds in any case.
                let _ = before.await;
            }
            books.costs.note_seen(&seen).await;
        };
        open.noting = Some(self.agent.requests.spawn_on(noting, &self.books.runtime));
    }

    /// Whether the request is not booked yet.
    pub(crate) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Books the request and returns when that is durable. Dropping the future does not stop the booking.
    pub(crate) async fn settle(&mut self) {
        if let Some(booking) = self.begin_to_settle()
            && let Err(error) = booking.await
        {
            tracing::error!(error = &error as &dyn std::error::Error, "the booking of a request did not end");
        }
    }

    /// Has the request booked, or its money given back, beside what goes on: the money is held until that is durable, and
    /// whoever waits for the agent's bookings waits for this one.
    pub(crate) fn begin_to_settle(&mut self) -> Option<JoinHandle<()>> {
        let mut open = self.open.take()?;
        let books = self.books.clone();
        match open.stage {
            Stage::Asking => None,
            Stage::Held => Some(self.book(async move { books.costs.release(open.id).await })),
            Stage::Sent => {
                let usage = usage(&self.agent, &open);
                books.costs.metrics().record_model_request(&usage, open.first_byte);
                if let Some(chat) = open.chat.take() {
                    chat.end(&usage);
                }
                Some(self.book(async move { books.costs.settle(&usage).await }))
            }
        }
    }

    fn book(&self, booking: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        let booking = self.agent.bookings.track_future(booking);
        self.agent.requests.spawn_on(booking, &self.books.runtime)
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        let _tracked = self.begin_to_settle();
    }
}

/// What was used, as far as it is known now, and what is not known estimated.
fn usage(agent: &Agent, open: &Open) -> RequestUsage {
    let (reading, is_estimated) = filled_in(open);
    let model = reading.model.clone().unwrap_or_else(|| open.asked_model.clone());
    let quote = open.prices.quote(&model, &reading);
    RequestUsage {
        id: open.id,
        session_id: agent.scope.session_id,
        user_id: agent.scope.user_id,
        turn_id: open.turn_id,
        model,
        tokens: quote.tokens,
        thinking_tokens: reading.thinking_tokens.map_or_else(
            || open.progress.thinking_of(reading.tokens.output),
            |told| told.min(quote.tokens.output),
        ),
        tools: reading.tools,
        cost: quote.cost,
        price_version: open.prices.version().to_owned(),
        is_priced: quote.is_priced,
        is_complete: open.is_free || reading.is_complete,
        is_estimated,
        http_status: open.status,
        stop_reason: reading.stop_reason,
        started_at: open.started_at,
        duration_ms: millis(open.started.elapsed()),
    }
}

/// The reading with estimates where the upstream did not tell, and whether there are any. Too much rather than too
/// little: what was asked for and came is never free.
fn filled_in(open: &Open) -> (Reading, bool) {
    let mut reading = open.reading.clone();
    if open.is_free {
        return (reading, false);
    }
    if !reading.tells_input {
        reading.tokens.input = progress::input_tokens(open.body_bytes);
    }
    if !reading.tells_output {
        reading.tokens.output = reading.tokens.output.max(open.progress.output_tokens());
    }
    let is_estimated = !(reading.tells_input && reading.tells_output);
    (reading, is_estimated)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
