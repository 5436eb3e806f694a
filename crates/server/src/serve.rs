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
use api::{ApiSettings, ApiState};
use domain::SystemClock;
use socket2::SockRef;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    compose::{Parts, compose},
    config::{self, Config},
};

/// How long the listener waits for open requests once all turns have ended.
const CLOSE_SECONDS: u64 = 5;

/// Runs a server until it is told to end. Says where it listens on stdout, for people and for scripts.
pub async fn serve(config: Config) -> anyhow::Result<()> {
    // Bound before anything is started: if the port is taken, nothing has happened.
    let listener = TcpListener::bind((config.http.host, config.http.port))
        .with_context(|| format!("could not listen on {}:{}", config.http.host, config.http.port))?;
    let address = listener.local_addr()?;
    let mut signals = Signals::new()?;
    let parts = compose(&config).await?;
    let streams = TaskTracker::new();
    let server = http_server(&config, &parts, streams.clone(), listener)?;
    let handle = server.handle();
    announce(&config, address, parts.new_admin_password.as_deref())?;

    let (house, housekeeping) = (CancellationToken::new(), TaskTracker::new());
    let sessions = parts.sessions.clone();
    housekeeping.spawn({
        let house = house.clone();
        async move { sessions.keep_house(house).await }
    });
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
    housekeeping.spawn({
        let house = house.clone();
        async move { sessions.hear_others(&others, house).await }
    });
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
        house.cancel();
        parts.sessions.shut_down(config.shutdown_grace).await;
        streams.close();
        tokio::join!(handle.stop(true), server, streams.wait()).1.context("the listener failed")?;
        parts.gateway.shutdown().await;
        housekeeping.wait().await;
        parts.audit.server_stopped().await.context("could not write the audit log")?;
        parts.database.close().await.context("could not close the database")
    };
    tokio::select! {
        ended = ending => ended,
        () = signals.next() => Err(anyhow::anyhow!("ended at once, as a second signal asked")),
    }
}

fn http_server(
    config: &Config,
    parts: &Parts,
    streams: TaskTracker,
    listener: TcpListener,
) -> anyhow::Result<Server> {
    let state = Data::new(ApiState {
        accounts: parts.accounts.clone(),
        policies: engine::PolicyManager::new(parts.sessions.clone()),
        sessions: parts.sessions.clone(),
        audit: parts.audit.clone(),
        costs: parts.cost_manager.clone(),
        alerts: parts.alerts.clone(),
        health: parts.health.clone(),
        clock: Arc::new(SystemClock),
        settings: ApiSettings {
            body_bytes_max: config.http.max_request_body_bytes,
            cors_origins: match &config.http.cors {
                config::CorsOrigins::Any => api::CorsOrigins::Any,
                config::CorsOrigins::These(origins) => api::CorsOrigins::These(origins.clone()),
            },
            stream_send_timeout: config.http.stream_send_timeout,
            ..ApiSettings::default()
        },
        streams,
    });
    let send_timeout = config.http.stream_send_timeout;
    let server = HttpServer::new(move || api::app(state.clone()))
        .on_connect(move |connection, _| drop_when_stalled(connection, send_timeout))
        .disable_signals()
        .shutdown_timeout(CLOSE_SECONDS)
        .listen(listener)
        .context("could not serve")?;
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

/// One line with the address, one with the login of an admin that was made just now.
fn announce(config: &Config, address: SocketAddr, new_admin_password: Option<&str>) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    if let Some(password) = new_admin_password {
        writeln!(stdout, "ADMIN {} {password}", config.auth.admin_email)?;
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
