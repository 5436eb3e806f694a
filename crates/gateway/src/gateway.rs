//! The listener: starts, admits agents, lets them go, stops.

use std::{io, net::Ipv4Addr, sync::Arc, time::Duration};

use domain::{
    AgentScope, Clock, ModelAccess, ModelEndpoint, RehearsedCall, TurnId, budget::UsedUp,
    ports::AgentTelemetry,
};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use monitoring::CostTracker;
use secrecy::SecretString;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    agents::{Agent, Agents},
    books::{Books, UnknownModel},
    limits::{
        ACCEPT_RETRY_DELAY, BOOKING_TIMEOUT, CONNECTIONS_MAX, DRAIN_TIMEOUT, HEAD_TIMEOUT,
        UPSTREAM_IDLE_TIMEOUT,
    },
    prices::Prices,
    proxy::Proxy,
    rehearsal::Rehearsals,
    reports::Reports,
    upstream::Upstream,
};

/// Why the gateway could not start.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The upstream's address is no HTTP address.
    #[error("use {0:?} as the address of the model")]
    UpstreamUrl(String),
    /// The key has characters that a header cannot carry.
    #[error("use the API key: it has characters that a header cannot carry")]
    UpstreamKey,
    /// The client for the upstream could not be set up, for want of certificates for example.
    #[error("set up the client for the model")]
    Client(#[source] reqwest::Error),
    /// There is no port to listen on.
    #[error("listen on the loopback address")]
    Listen(#[source] io::Error),
}

/// Where requests go and with what.
#[derive(Debug, Clone)]
pub struct Options {
    /// Address of the Messages API, with or without a path before `/v1`.
    pub upstream_url: String,
    /// The real key; without one, agents are told so with 401.
    pub upstream_key: Option<SecretString>,
    /// How long the upstream may be silent.
    pub upstream_idle_timeout: Duration,
    /// What is done with requests for models without a price.
    pub unknown_model: UnknownModel,
    /// Takes in what agents report about themselves; `None` when nobody wants that.
    pub agent_telemetry: Option<Arc<dyn AgentTelemetry>>,
}

impl Options {
    /// Usual time-outs for this upstream.
    pub fn new(upstream_url: impl Into<String>, upstream_key: Option<SecretString>) -> Self {
        Self {
            upstream_url: upstream_url.into(),
            upstream_key,
            upstream_idle_timeout: UPSTREAM_IDLE_TIMEOUT,
            unknown_model: UnknownModel::default(),
            agent_telemetry: None,
        }
    }
}

/// A running gateway. Dropping it stops it; [`Gateway::shutdown`] also waits until everything is booked.
#[derive(Debug)]
pub struct Gateway {
    base_url: String,
    proxy: Arc<Proxy>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Gateway {
    /// Listens on a free port of the loopback address. Requests are held and settled with `costs`, at these prices.
    pub async fn start(
        options: &Options,
        costs: Arc<CostTracker>,
        prices: Arc<Prices>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, GatewayError> {
        let books = Books::new(costs, clock, prices.clone(), options.unknown_model);
        let proxy = Proxy {
            agents: Agents::default(),
            rehearsals: Rehearsals::default(),
            reports: Reports::new(options.agent_telemetry.clone()),
            upstream: Upstream::new(options)?,
            books: Arc::new(books),
        };
        let proxy = Arc::new(proxy);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(GatewayError::Listen)?;
        let port = listener.local_addr().map_err(GatewayError::Listen)?.port();
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let accepting = accept(listener, proxy.clone(), tasks.clone(), stop.clone());
        tasks.spawn(stop.clone().run_until_cancelled_owned(accepting));
        tasks.spawn(stop.clone().run_until_cancelled_owned(async move { prices.watch().await }));
        Ok(Self { base_url: format!("http://127.0.0.1:{port}"), proxy, tasks, stop })
    }

    /// Waits until no request of this token is in flight and all are booked, however long that takes.
    pub async fn drained(&self, token: &str) {
        if let Some(agent) = self.proxy.agents.find(token) {
            agent.requests.wait().await;
        }
    }

    /// Cuts off what is in flight, closes all connections and waits, for a bounded time, until everything is booked.
    pub async fn shutdown(&self) {
        let agents = self.proxy.agents.all();
        for agent in &agents {
            agent.cut.cancel();
            drop(agent.take_ahead());
        }
        self.stop.cancel();
        self.tasks.close();
        let booked = async {
            self.tasks.wait().await;
            for agent in &agents {
                agent.requests.wait().await;
            }
        };
        if timeout(BOOKING_TIMEOUT, booked).await.is_err() {
            tracing::error!("the gateway stopped before every request was booked");
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[async_trait::async_trait]
impl ModelAccess for Gateway {
    fn admit(&self, scope: AgentScope) -> ModelEndpoint {
        ModelEndpoint { base_url: self.base_url.clone(), token: self.proxy.agents.admit(scope) }
    }

    fn attribute(&self, token: &str, turn: Option<TurnId>) {
        match self.proxy.agents.find(token) {
            Some(agent) => agent.attribute(turn),
            None => tracing::debug!("a turn was attributed to an agent whose access has ended"),
        }
    }

    fn expect_request(&self, token: &str) {
        if let Some(agent) = self.proxy.agents.find(token) {
            agent.expect_request(&self.proxy.books);
        }
    }

    fn used_up(&self, token: &str) -> Option<UsedUp> {
        self.proxy.agents.find(token)?.used_up()
    }

    fn rehearse(&self, call: RehearsedCall) -> ModelEndpoint {
        ModelEndpoint { base_url: self.base_url.clone(), token: self.proxy.rehearsals.admit(call) }
    }

    async fn booked(&self, token: &str) {
        let Some(agent) = self.proxy.agents.find(token) else { return };
        if timeout(BOOKING_TIMEOUT, agent.bookings.wait()).await.is_err() {
            tracing::error!(session_id = %agent.scope.session_id, "requests of an agent are still not booked");
        }
    }

    async fn revoke(&self, token: &str) {
        self.proxy.rehearsals.remove(token);
        let Some(agent) = self.proxy.agents.remove(token) else { return };
        drop(agent.take_ahead());
        drain(&agent, DRAIN_TIMEOUT).await;
    }
}

/// Waits for an agent's last requests, then cuts off those that are left and waits for their booking.
async fn drain(agent: &Agent, patience: Duration) {
    if timeout(patience, agent.requests.wait()).await.is_ok() {
        return;
    }
    agent.cut.cancel();
    if timeout(BOOKING_TIMEOUT, agent.requests.wait()).await.is_err() {
        tracing::error!(session_id = %agent.scope.session_id, "requests of an agent are still not booked");
    }
}

async fn accept(listener: TcpListener, proxy: Arc<Proxy>, tasks: TaskTracker, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        // The semaphore is never closed, so there is always a place sooner or later.
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((socket, _)) => {
                let serving = serve(socket, proxy.clone(), place);
                tasks.spawn(stop.clone().run_until_cancelled_owned(serving));
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a connection could not be accepted"
                );
                tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
            }
        }
    }
}

async fn serve(socket: TcpStream, proxy: Arc<Proxy>, _place: OwnedSemaphorePermit) {
    // Without it a delta may wait for the acknowledgement of the one before.
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(error = &error as &dyn std::error::Error, "a connection was gone at once");
        return;
    }
    let service = service_fn(move |request| proxy.clone().answer(request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(socket), service);
    if let Err(error) = connection.await {
        tracing::debug!(error = &error as &dyn std::error::Error, "a connection of an agent broke off");
    }
}
