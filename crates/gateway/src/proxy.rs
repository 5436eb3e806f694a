//! Takes one request of an agent to the upstream and its answer back.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header::CONTENT_TYPE, request::Parts};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use monitoring::Refused;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use crate::{
    agents::{Agent, Agents},
    books::{Books, UnknownModel},
    headers,
    limits::{
        ANSWER_BODY_BYTES_MAX, REFUSED_BODY_BYTES_MAX, REFUSED_BODY_TIMEOUT, REQUEST_BODY_BYTES_MAX,
        REQUEST_BODY_TIMEOUT,
    },
    meter::Meter,
    progress::Progress,
    reading::Reading,
    refusal::{Refusal, Reply, whole},
    rehearsal::{self, Rehearsals},
    relay,
    reports::Reports,
    upstream::Upstream,
};

mod asked;

use asked::Asked;

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) agents: Agents,
    pub(crate) rehearsals: Rehearsals,
    pub(crate) reports: Reports,
    pub(crate) upstream: Upstream,
    pub(crate) books: Arc<Books>,
}

/// What the gateway passes on; everything else is not for agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Endpoint {
    /// The one that costs money.
    Messages,
    CountTokens,
    Models,
}

impl Endpoint {
    fn of(method: &Method, path: &str) -> Option<Self> {
        match (method, path) {
            (&Method::POST, "/v1/messages") => Some(Self::Messages),
            (&Method::POST, "/v1/messages/count_tokens") => Some(Self::CountTokens),
            (&Method::GET, "/v1/models") => Some(Self::Models),
            (&Method::GET, path) => {
                let id = path.strip_prefix("/v1/models/")?;
                let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:@".contains(&byte);
                (!id.is_empty() && !id.starts_with('.') && id.bytes().all(is_plain)).then_some(Self::Models)
            }
            _ => None,
        }
    }
}

impl Proxy {
    pub(crate) async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Reply, Infallible> {
        Ok(self.pass(request).await.unwrap_or_else(Refusal::reply))
    }

    async fn pass(&self, request: Request<Incoming>) -> Result<Reply, Refusal> {
        // The CLI knocks like this before its first request, without a token.
        if request.method() == Method::HEAD && request.uri().path() == "/" {
            return Ok(Response::new(whole(Bytes::new())));
        }
        let token = headers::token(request.headers()).ok_or(Refusal::UnknownToken)?;
        if let Some(call) = self.rehearsals.find(token) {
            return rehearsal::answer(&call, request).await;
        }
        let agent = self.agents.find(token).ok_or(Refusal::UnknownToken)?;
        if let Some(signal) = Reports::signal(request.method(), request.uri().path()) {
            let (head, body) = request.into_parts();
            return self.reports.take(&agent, signal, &head.headers, body).await;
        }
        let endpoint = Endpoint::of(request.method(), request.uri().path()).ok_or(Refusal::NoSuchEndpoint)?;
        let slot = agent.slots.clone().try_acquire_owned().map_err(|_| Refusal::TooManyRequests)?;
        let (head, body) = request.into_parts();
        let body = read_body(body).await?;
        match endpoint {
            Endpoint::Messages => {
                self.upstream.key().ok_or(Refusal::NoUpstreamKey)?;
                let meter = self.admitted(agent, slot, &body).await?;
                self.pass_message(head, body, meter).await
            }
            Endpoint::CountTokens | Endpoint::Models => {
                let answer = self.ask(&agent, head, body).await?;
                let (answer, body) = read_answer(&agent, answer).await?;
                Ok(answer.map(|()| whole(body)))
            }
        }
    }

    /// The meter of a request that has its money, or why it is not sent.
    async fn admitted(
        &self,
        agent: Arc<Agent>,
        slot: OwnedSemaphorePermit,
        body: &[u8],
    ) -> Result<Meter, Refusal> {
        let asked = Asked::of(body);
        let bound = asked.bound();
        let mut meter = Meter::new(self.books.clone(), agent.clone(), slot, asked.model, body.len());
        if self.books.unknown_model == UnknownModel::Deny
            && let Some(model) = meter.without_price(&bound)
        {
            return Err(Refusal::UnknownModel(model.to_owned()));
        }
        let Some(ask) = meter.ask(&bound) else { return Err(Refusal::MoneyUnknown) };
        agent.note_asked(&ask.model, &bound);
        let (books, gone) = (self.books.clone(), CancellationToken::new());
        let _here = gone.clone().drop_guard();
        let cut = agent.cut.clone();
        // In a task of its own: an agent that goes away must not leave a hold that nobody knows of. When the answer comes
        // to nobody, the meter is dropped, and gives it back.
        let asking = async move {
            if let Some(ahead) = meter.agent.take_ahead()
                && let Some(hold) = ahead.take(&ask.model, ask.most).await
            {
                meter.take_over(hold);
                return Ok(meter);
            }
            let either = async {
                tokio::select! {
                    () = gone.cancelled() => {}
                    () = cut.cancelled() => {}
                }
            };
            books.costs.admit(ask, either).await?;
            meter.held();
            Ok::<_, Refused>(meter)
        };
        let answer = agent.requests.spawn_on(asking, &self.books.runtime).await;
        match answer {
            Ok(Ok(meter)) => {
                agent.note_used_up(None);
                Ok(meter)
            }
            Ok(Err(refused)) => Err(not_sent(&agent, refused)),
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "asking the budgets did not end");
                Err(Refusal::MoneyUnknown)
            }
        }
    }

    async fn pass_message(&self, head: Parts, body: Bytes, mut meter: Meter) -> Result<Reply, Refusal> {
        let agent = meter.agent.clone();
        meter.sent(&head.headers);
        let answer = match self.ask(&agent, head, body).await {
            Ok(answer) => answer,
            Err(refusal) => {
                // A request that never arrived cannot have used anything.
                if refusal == Refusal::UpstreamUnreachable {
                    meter.used_nothing();
                }
                meter.settle().await;
                return Err(refusal);
            }
        };
        meter.answered(answer.status());
        if !answer.status().is_success() {
            meter.used_nothing();
        }
        if answer.status().is_success() && is_event_stream(answer.headers().get(CONTENT_TYPE)) {
            let (head, upstream) = split(answer);
            return Ok(head.map(|()| relay::stream(Box::pin(upstream.bytes_stream()), meter)));
        }
        match read_answer(&agent, answer).await {
            Ok((answer, body)) => {
                if answer.status().is_success() {
                    meter.note(&whole_reading(&body), Progress::whole(&body));
                }
                Ok(answer.map(|()| relay::whole(body, meter)))
            }
            Err(refusal) => {
                meter.settle().await;
                Err(refusal)
            }
        }
    }

    async fn ask(&self, agent: &Agent, head: Parts, body: Bytes) -> Result<reqwest::Response, Refusal> {
        let key = self.upstream.key().ok_or(Refusal::NoUpstreamKey)?;
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let sent = self.upstream.send(head.method, path, head.headers, body, key);
        unless_cut(agent, sent).await?.map_err(|error| upstream_failed(&error))
    }
}

/// In words for the agent, and noted for whoever runs its turn.
fn not_sent(agent: &Agent, refused: Refused) -> Refusal {
    match refused {
        Refused::UsedUp(used_up) => {
            agent.note_used_up(Some(used_up.clone()));
            Refusal::UsedUp(Box::new(used_up))
        }
        Refused::Crowded => Refusal::MoneyHeld,
        Refused::Gone => Refusal::Revoked,
        Refused::Unknown(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "a request was not sent");
            Refusal::MoneyUnknown
        }
    }
}

/// What an answer that came whole used.
fn whole_reading(body: &[u8]) -> Reading {
    Reading::of_message(body).unwrap_or_else(|error| {
        tracing::warn!(error = &error as &dyn std::error::Error, "the usage of an answer could not be read");
        Reading::default()
    })
}

pub(crate) async fn read_body(mut body: Incoming) -> Result<Bytes, Refusal> {
    if body.size_hint().lower() > REQUEST_BODY_BYTES_MAX as u64 {
        return Err(Refusal::BodyTooLarge);
    }
    let collected = Limited::new(&mut body, REQUEST_BODY_BYTES_MAX).collect();
    match tokio::time::timeout(REQUEST_BODY_TIMEOUT, collected).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            take_rest(body).await;
            Err(Refusal::BodyTooLarge)
        }
        Ok(Err(_)) => Err(Refusal::BodyUnreadable),
        Err(_) => Err(Refusal::BodyTooSlow),
    }
}

/// Takes what is on its way already: a connection that is closed with input unread is reset, and the refusal is lost.
async fn take_rest(mut body: Incoming) {
    let taking = async {
        let mut bytes_left = REFUSED_BODY_BYTES_MAX;
        while let Some(Ok(frame)) = body.frame().await {
            let Some(left) = bytes_left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else { break };
            bytes_left = left;
        }
    };
    // Whoever still sends after this does not listen either.
    let _ = tokio::time::timeout(REFUSED_BODY_TIMEOUT, taking).await;
}

/// Reads an answer that is no stream to its end.
async fn read_answer(agent: &Agent, answer: reqwest::Response) -> Result<(Response<()>, Bytes), Refusal> {
    let (head, upstream) = split(answer);
    let collected = Limited::new(reqwest::Body::from(upstream), ANSWER_BODY_BYTES_MAX).collect();
    match unless_cut(agent, collected).await? {
        Ok(body) => Ok((head, body.to_bytes())),
        Err(error) if error.is::<LengthLimitError>() => Err(Refusal::AnswerTooLarge),
        Err(error) => Err(error.downcast_ref().map_or(Refusal::UpstreamBroke, upstream_failed)),
    }
}

/// The head of an answer as the agent will get it, and the answer for its body.
fn split(answer: reqwest::Response) -> (Response<()>, reqwest::Response) {
    let mut head = Response::new(());
    *head.status_mut() = answer.status();
    *head.headers_mut() = answer.headers().clone();
    headers::strip_answer(head.headers_mut());
    (head, answer)
}

async fn unless_cut<F: Future>(agent: &Agent, work: F) -> Result<F::Output, Refusal> {
    tokio::select! {
        biased;
        () = agent.cut.cancelled() => Err(Refusal::Revoked),
        done = work => Ok(done),
    }
}

fn upstream_failed(error: &reqwest::Error) -> Refusal {
    tracing::warn!(error = error as &dyn std::error::Error, "the upstream did not answer");
    match (error.is_connect(), error.is_timeout()) {
        (true, _) => Refusal::UpstreamUnreachable,
        (false, true) => Refusal::UpstreamSilent,
        (false, false) => Refusal::UpstreamBroke,
    }
}

fn is_event_stream(content_type: Option<&HeaderValue>) -> bool {
    content_type.is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"))
}

#[cfg(test)]
mod tests;
