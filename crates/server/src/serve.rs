//! The life of a server: bind, start, serve until told to end, end softly and then hard.

use std::{
    any::Any,
    io::Write,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use actix_web::{HttpServer, dev::Server, rt::net::TcpStream, web::Data};
use anyhow::Context;
use api::{ApiSettings, ApiState, Counting, MetricsAccess, RateLimiter};
use domain::SystemClock;
use monitoring::{HealthWatch, Telemetry};
use persistence::Database;
use socket2::SockRef;
use tokio::{
    runtime::Handle,
    signal::unix::{SignalKind, signal},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    compose::{Parts, compose},
    config::{self, Config, Environment, ServerRole},
    figures,
};

/// How long the listener waits for open requests once all turns have ended.
const CLOSE_SECONDS: u64 = 5;

/// Runs a server until it is told to end. Says where it listens on stdout, for people and for scripts.
///
/// What is exported is sent to its end when the server has ended, whichever way.
pub async fn serve(config: Config, telemetry: Arc<Telemetry>, lease_runtime: Handle) -> anyhow::Result<()> {
    let served = serve_until_told(config, &telemetry, &lease_runtime).await;
    // It blocks, for a bounded time.
    tokio::task::spawn_blocking(move || telemetry.shutdown()).await.context("could not end telemetry")?;
    served
}

async fn serve_until_told(
    config: Config,
    telemetry: &Telemetry,
    lease_runtime: &Handle,
) -> anyhow::Result<()> {
    let role = config.tasks.role;
    if role != ServerRole::All && !config.has_shared_database() {
        // With SQLite the one process that has the file does everything: there is nobody to share the work with.
        anyhow::bail!(
            "an api or worker server needs DATABASE_URL=postgres://…; SQLite is for one server alone"
        );
    }
    // Bound before anything is started: if the port is taken, nothing has happened.
    let listener = TcpListener::bind((config.http.host, config.http.port))
        .with_context(|| format!("could not listen on {}:{}", config.http.host, config.http.port))?;
    let address = listener.local_addr()?;
    let for_metrics = metrics_listener(&config)?;
    let metrics_address = for_metrics.as_ref().map(TcpListener::local_addr).transpose()?;
    let mut signals = Signals::new()?;
    let parts = compose(&config, telemetry, lease_runtime).await?;
    if !role.works() {
        let left =
            parts.tasks.leave_to_others().await.context("could not leave executions to the workers")?;
        if left > 0 {
            tracing::info!(
                left,
                "this server works on no tasks any more: executions that it had are the workers'"
            );
        }
    }
    let streams = TaskTracker::new();
    let state = Data::new(api_state(&config, &parts, streams.clone()));
    let server = match role.answers() {
        true => http_server(&config, state.clone(), listener)?,
        false => probe_server(&state, listener)?,
    };
    let handle = server.handle();
    let scraped = for_metrics.map(|listener| metrics_server(&config, &state, listener)).transpose()?;
    let scraped_handle = scraped.as_ref().map(Server::handle);
    announce(&config, address, metrics_address, parts.new_admin_password.as_deref())?;

    let (house, housekeeping) = (CancellationToken::new(), TaskTracker::new());
    let sessions = parts.sessions.clone();
    housekeeping.spawn({
        let house = house.clone();
        async move { sessions.keep_house(house).await }
    });
    if role.works() {
        let (tasks, house) = (parts.tasks.clone(), house.clone());
        housekeeping.spawn(async move { tasks.work(house).await });
    }
    let audit = parts.audit.clone();
    housekeeping.spawn({
        let house = house.clone();
        async move { audit.keep_house(house).await }
    });
    let alerts = parts.alerts.clone();
    housekeeping.spawn({
        let house = house.clone();
        async move { alerts.run(house).await }
    });
    let (sessions, others) = (parts.sessions.clone(), parts.database.store());
    let revocations = parts.accounts.revocations().clone();
    housekeeping.spawn({
        let house = house.clone();
        async move { sessions.hear_others(&others, &revocations, house).await }
    });
    let accounts = parts.accounts.clone();
    housekeeping.spawn({
        let house = house.clone();
        async move { accounts.keep_house(house).await }
    });
    let idempotency = parts.idempotency.clone();
    housekeeping.spawn({
        let house = house.clone();
        async move { idempotency.keep_house(house).await }
    });
    if let Some(limiter) = state.limiter.clone() {
        let (reports, server, house) = (parts.database.store(), parts.data_dir.server_id, house.clone());
        housekeeping.spawn(async move { limiter.keep(server, &reports, &SystemClock, house).await });
    }
    housekeeping.spawn(figures::keep(parts.figured.clone(), house.clone()));
    housekeeping.spawn(health_watch(&config, &parts).keep(house.clone()));
    if let Some(scraped) = scraped {
        housekeeping.spawn(async move {
            if let Err(error) = scraped.await {
                tracing::error!(%error, "the listener for the metrics failed");
            }
        });
    }
    housekeeping.close();
    let mut server = std::pin::pin!(server);
    tokio::select! {
        ended = &mut server => return Err(match ended {
            Ok(()) => anyhow::anyhow!("the listener ended by itself"),
            Err(error) => anyhow::Error::new(error).context("the listener failed"),
        }),
        () = signals.next() => {}
    }
    tracing::info!("ending: no new work is taken; a second signal ends at once");
    let ending = async {
        // Nothing is sent here any more once whoever sends it has seen that.
        state.leaving.cancel();
        tokio::time::sleep(config.shutdown_delay).await;
        house.cancel();
        parts.sessions.shut_down(config.shutdown_grace).await;
        streams.close();
        tokio::join!(handle.stop(true), server, streams.wait()).1.context("the listener failed")?;
        parts.gateway.shutdown().await;
        // To the last, so that the end can be watched too.
        if let Some(handle) = scraped_handle {
            handle.stop(true).await;
        }
        housekeeping.wait().await;
        let metrics = parts.metrics.clone();
        tokio::task::spawn_blocking(move || metrics.shut_down()).await?;
        parts.audit.server_stopped().await.context("could not write the audit log")?;
        parts.database.close().await.context("could not close the database")
    };
    tokio::select! {
        ended = ending => ended,
        () = signals.next() => Err(anyhow::anyhow!("ended at once, as a second signal asked")),
    }
}

/// Where the metrics have a listener of their own, it is bound as early as the other.
fn metrics_listener(config: &Config) -> anyhow::Result<Option<TcpListener>> {
    let Some((host, port)) = config.metrics.listener.filter(|_| config.metrics.is_enabled) else {
        return Ok(None);
    };
    let listener = TcpListener::bind((host, port));
    listener.map(Some).with_context(|| format!("could not listen on {host}:{port} for the metrics"))
}

fn api_state(config: &Config, parts: &Parts, streams: TaskTracker) -> ApiState {
    ApiState {
        accounts: parts.accounts.clone(),
        oidc: parts.oidc.clone(),
        policies: engine::PolicyManager::new(parts.sessions.clone()),
        mcp: engine::McpRegistry::new(parts.sessions.clone()),
        sessions: parts.sessions.clone(),
        tasks: parts.tasks.clone(),
        audit: parts.audit.clone(),
        idempotency: parts.idempotency.clone(),
        limiter: limiter(config, &parts.database),
        leaving: CancellationToken::new(),
        costs: parts.cost_manager.clone(),
        reports: parts.reports.clone(),
        overview: parts.overview.clone(),
        alerts: parts.alerts.clone(),
        health: parts.health.clone(),
        metrics: parts.metrics.clone(),
        clock: Arc::new(SystemClock),
        settings: ApiSettings {
            body_bytes_max: config.http.max_request_body_bytes,
            cors_origins: match &config.http.cors {
                config::CorsOrigins::Any => api::CorsOrigins::Any,
                config::CorsOrigins::These(origins) => api::CorsOrigins::These(origins.clone()),
            },
            stream_send_timeout: config.traffic.stream_send_timeout,
            metrics_access: metrics_access(config),
            proxies: config.traffic.proxies.clone(),
            hsts_max_age: config.traffic.hsts_max_age,
            ..ApiSettings::default()
        },
        streams,
    }
}

/// Counts requests, together with the other servers where there may be some.
fn limiter(config: &Config, database: &Database) -> Option<Arc<RateLimiter>> {
    let limit = config.traffic.rate_limit?;
    let counting = if database.is_shared() { Counting::Together } else { Counting::Alone };
    Some(Arc::new(RateLimiter::new(limit.per_minute, limit.per_hour, counting)))
}

/// Who may scrape the API's listener. One that only this machine reaches may be what a proxy leads the world to, so in
/// production somebody has to have said who may.
fn metrics_access(config: &Config) -> MetricsAccess {
    let is_private = config.http.host.is_loopback() && config.environment == Environment::Development;
    match (&config.metrics.listener, &config.metrics.token) {
        (Some(_), _) => MetricsAccess::Elsewhere,
        (None, Some(token)) => MetricsAccess::Token(token.clone()),
        (None, None) if is_private => MetricsAccess::Open,
        (None, None) => MetricsAccess::Refused,
    }
}

/// Has failing checks told, and shows how all are.
fn health_watch(config: &Config, parts: &Parts) -> HealthWatch {
    let (store, metrics) = (Arc::new(parts.database.store()), parts.metrics.clone());
    let watch = HealthWatch::new(parts.health.clone(), store, Arc::new(SystemClock), config.health.watch);
    watch.telling(move |report| {
        for (name, check) in &report.checks {
            metrics.note_health(name, check.required, check.healthy);
        }
    })
}

fn http_server(config: &Config, state: Data<ApiState>, listener: TcpListener) -> anyhow::Result<Server> {
    let send_timeout = config.traffic.stream_send_timeout;
    let server = HttpServer::new(move || api::app(state.clone()))
        .on_connect(move |connection, _| drop_when_stalled(connection, send_timeout))
        .keep_alive(config.traffic.keep_alive)
        // Whoever sends a request letter by letter holds a connection, and not for long.
        .client_request_timeout(config.traffic.head_timeout)
        .disable_signals()
        .shutdown_timeout(CLOSE_SECONDS)
        .listen(listener)
        .context("could not serve")?;
    Ok(server.run())
}

/// The listener of a server that works and answers nobody but probes and scrapers.
fn probe_server(state: &Data<ApiState>, listener: TcpListener) -> anyhow::Result<Server> {
    let state = state.clone();
    let server = HttpServer::new(move || api::probe_app(state.clone()))
        .workers(1)
        .disable_signals()
        .shutdown_timeout(CLOSE_SECONDS)
        .listen(listener)
        .context("could not serve probes")?;
    Ok(server.run())
}

/// The metrics by themselves: whoever reaches that listener was meant to, and still needs the token if there is one.
fn metrics_server(config: &Config, state: &Data<ApiState>, listener: TcpListener) -> anyhow::Result<Server> {
    let access = config.metrics.token.clone().map_or(MetricsAccess::Open, MetricsAccess::Token);
    let settings = ApiSettings { metrics_access: access, ..state.settings.clone() };
    let state = Data::new(ApiState { settings, ..ApiState::clone(state) });
    let server = HttpServer::new(move || api::metrics_app(state.clone()))
        .workers(1)
        .disable_signals()
        .shutdown_timeout(CLOSE_SECONDS)
        .listen(listener)
        .context("could not serve the metrics")?;
    Ok(server.run())
}

/// Has the kernel end a connection whose client takes nothing for `timeout`.
///
/// Answers are pulled by the socket, so a client that stops reading holds nobody up; but nobody would look at it
/// again either. With this option the kernel counts an unread window as it counts unacknowledged data.
fn drop_when_stalled(connection: &dyn Any, timeout: Duration) {
    let Some(stream) = connection.downcast_ref::<TcpStream>() else { return };
    if let Err(error) = SockRef::from(stream).set_tcp_user_timeout(Some(timeout)) {
        tracing::warn!(%error, "a connection goes without its send time-out");
    }
}

/// One line with each address, one with the login of an admin that was made just now.
fn announce(
    config: &Config,
    address: SocketAddr,
    metrics_address: Option<SocketAddr>,
    new_admin_password: Option<&str>,
) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    if let Some(password) = new_admin_password {
        writeln!(stdout, "ADMIN {} {password}", config.auth.admin_email)?;
    }
    if let Some(address) = metrics_address {
        writeln!(stdout, "METRICS http://{address}/metrics")?;
    }
    writeln!(stdout, "LISTENING http://{address}")?;
    stdout.flush()
}

/// The signals that ask a server to end.
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
