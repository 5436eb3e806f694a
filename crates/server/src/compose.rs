//! Puts the parts together: the only place that knows them all.

use std::sync::Arc;

use anyhow::Context;
use domain::{AuditKey, Clock, SystemClock, ports::ArchiveStore};
use engine::{
    AccountManager, Aftercare, AuditLog, CostManager, Idempotency, OidcLogins, Overview, Registration,
    ReportManager, ServerSettings, SessionManager, Stores, TaskManager, Tokens,
};
use gateway::{Gateway, Prices};
use jiff::SignedDuration;
use monitoring::{
    Alerter, CostSettings, CostStores, CostTracker, HealthChecker, MetricsCollector, Telemetry,
    telemetry::Drops,
};
use persistence::{Database, DatabaseOptions};
use reports::{Renderer, RendererSettings};
use sdk_runtime::ProcessLauncher;
use secrecy::{ExposeSecret, SecretString};
use tokio::runtime::Handle;

use crate::{
    alerts, archives,
    cli::SearchPlaces,
    config::{Config, CostsConfig, ReportsConfig},
    data_dir::DataDir,
    engine_settings::engine_settings,
    health::{self, Subjects},
    keyring, oidc, sandbox, secret_key,
};

/// Every part of a running server, apart from its listener.
#[derive(Debug)]
pub struct Parts {
    pub accounts: Arc<AccountManager>,
    pub oidc: Option<OidcLogins>,
    pub sessions: SessionManager,
    pub tasks: TaskManager,
    pub costs: Arc<CostTracker>,
    pub cost_manager: CostManager,
    pub reports: ReportManager,
    pub overview: Overview,
    pub alerts: Alerter,
    pub audit: Arc<AuditLog>,
    pub idempotency: Idempotency,
    pub gateway: Arc<Gateway>,
    pub database: Database,
    pub health: Arc<HealthChecker>,
    pub metrics: Arc<MetricsCollector>,
    pub figured: Figured,
    /// The password of the first admin, if it was made up just now.
    pub new_admin_password: Option<String>,
    /// Held as long as the server lives.
    pub data_dir: DataDir,
}

/// Those that only the server can see into, for the metrics.
#[derive(Debug, Clone)]
pub struct Figured {
    pub database: Database,
    pub metrics: Arc<MetricsCollector>,
    pub prices: Arc<Prices>,
    pub drops: Drops,
}

/// Opens what has to be open and starts what has to run before the first request.
pub async fn compose(
    config: &Config,
    telemetry: &Telemetry,
    lease_runtime: &Handle,
) -> anyhow::Result<Parts> {
    let data_dir = DataDir::open(&config.data_dir).context("could not open the data folder")?;
    // Before anything of this life starts, nothing of the last one may still run.
    let marker = data_dir.host_marker.clone();
    let sweep = tokio::task::spawn_blocking(move || sdk_runtime::sweep_host(&marker));

    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let metrics = metrics(config, telemetry)?;
    let secret = secret(config, &data_dir)?;
    let database = open_database(config, &secret).await?;
    let store = Arc::new(database.store());
    let audit = Arc::new(AuditLog::new(store.clone(), clock.clone()));
    audit.server_started(env!("CARGO_PKG_VERSION")).await.context("could not write the audit log")?;
    let accounts = accounts(config, &secret, &store, &clock, &audit);
    let idempotency = Idempotency::new(store.clone(), clock.clone(), secret.expose_secret().as_bytes())
        .context("could not set up idempotency keys")?;
    let costs = costs(&config.costs, &data_dir, &store, &clock, &metrics);
    let prices = Arc::new(prices(&config.costs).await?);
    let options = gateway::Options {
        agent_telemetry: telemetry.receiver().map(|receiver| receiver as _),
        unknown_model: config.costs.unknown_model,
        ..gateway::Options::new(&config.upstream.url, config.upstream.api_key.clone())
    };
    let gateway = Gateway::start(&options, costs.clone(), prices.clone(), clock.clone());
    let sandbox = sandbox::decide(&config.containment, &data_dir.path);
    let (accounts, gateway, sandbox) = tokio::join!(accounts, gateway, sandbox);
    let sandbox = sandbox?;
    let (accounts, new_admin_password) = accounts?;
    let accounts = Arc::new(accounts);
    let oidc = oidc::logins(config.oidc.as_ref(), &accounts, &store, &clock, &secret)?;
    let gateway = Arc::new(gateway.context("could not start the gateway")?);

    let swept = sweep.await?.context("could not look for processes of an earlier life")?;
    if swept > 0 {
        tracing::warn!(swept, "killed processes that an earlier life of this server left behind");
    }
    let cli = SearchPlaces::of_process().find(config.agent.cli_path.as_deref());
    let server = ServerSettings {
        id: data_dir.server_id,
        lease: config.sessions.server_lease,
        lease_runtime: lease_runtime.clone(),
    };
    let cli = cli.map_err(|error| error.to_string());
    let settings = engine_settings(config, &data_dir, &secret, server, cli, &sandbox)?;
    keyring::look(&store, &settings.mcp.keyring).await?;
    let archive_store = archives::open(&config.storage, &data_dir)?;
    let tellers = alerts::tellers(&config.alerts, &settings.hooks.client, store.clone(), clock.clone())?;
    let alerts = Alerter::new(store.clone(), clock.clone(), tellers, metrics.clone());
    let stores = stores(&store, archive_store);
    let reports = reports(&config.reports, stores.clone(), &store, clock.clone());
    let overview = Overview::new(store.clone(), clock.clone());
    let sessions = SessionManager::new(
        stores,
        clock,
        settings,
        Arc::new(ProcessLauncher),
        gateway.clone(),
        costs.clone(),
        metrics.clone(),
    );
    let cost_manager = CostManager::new(costs.clone(), sessions.clone());
    let closed = sessions.recover().await.context("could not take up after an earlier life")?;
    if closed > 0 {
        tracing::warn!(closed, "closed turns that an earlier life of this server left open");
    }
    let health = health::checker(&Subjects {
        config,
        store: &store,
        audit: &audit,
        sessions: &sessions,
        sandbox: &sandbox,
        data_dir: &data_dir,
        prices: &prices,
    })?;
    let figured =
        Figured { database: database.clone(), metrics: metrics.clone(), prices, drops: telemetry.drops() };
    let tasks = TaskManager::new(
        sessions.clone(),
        store.clone(),
        config.tasks.settings,
        Arc::new(Aftercare::new(store.clone(), reports.clone())),
    );
    Ok(Parts {
        accounts,
        oidc,
        sessions,
        tasks,
        costs,
        cost_manager,
        reports,
        overview,
        alerts,
        audit,
        idempotency,
        gateway,
        database,
        health: Arc::new(health),
        figured,
        metrics,
        new_admin_password,
        data_dir,
    })
}

/// Collects figures, if the operator wants them, and shows what agents report of themselves.
fn metrics(config: &Config, telemetry: &Telemetry) -> anyhow::Result<Arc<MetricsCollector>> {
    if !config.metrics.is_enabled {
        return Ok(Arc::new(MetricsCollector::off()));
    }
    let metrics =
        MetricsCollector::new(env!("CARGO_PKG_VERSION"), |builder| telemetry.export_metrics(builder));
    let metrics = metrics.context("could not set up the metrics")?;
    if let Some(receiver) = telemetry.receiver() {
        metrics.show_agents(receiver.series()).context("could not show the metrics of agents")?;
    }
    Ok(Arc::new(metrics))
}

/// Signs tokens and, by way of a key that is made of it, the audit log.
fn secret(config: &Config, data_dir: &DataDir) -> anyhow::Result<SecretString> {
    match &config.auth.secret_key {
        Some(key) => Ok(key.clone()),
        None => secret_key::SECRET.read_or_create(&data_dir.path).context("could not get the secret key"),
    }
}

/// Holds and settles what requests cost.
fn costs(
    config: &CostsConfig,
    data_dir: &DataDir,
    store: &Arc<persistence::Store>,
    clock: &Arc<dyn Clock>,
    metrics: &Arc<MetricsCollector>,
) -> Arc<CostTracker> {
    let stores = CostStores { budgets: store.clone(), costs: store.clone(), accounts: store.clone() };
    let settings = CostSettings {
        is_enabled: config.is_enabled,
        server: data_dir.server_id,
        user_budget: config.user_budget,
    };
    Arc::new(CostTracker::new(stores, clock.clone(), settings).counted_by(metrics.clone()))
}

async fn prices(config: &CostsConfig) -> anyhow::Result<Prices> {
    match &config.price_file {
        Some(file) => Prices::from_file(file.clone()).await.context("could not set the prices"),
        None => Prices::built_in().context("could not set the prices"),
    }
}

async fn open_database(config: &Config, secret: &SecretString) -> anyhow::Result<Database> {
    let options = DatabaseOptions {
        pool_size: config.database.pool_size,
        audit_key: Some(AuditKey::derive(secret.expose_secret().as_bytes())),
        ..DatabaseOptions::new(&config.database.url)
    };
    Database::open(&options, migration::up).await.context("could not open the database")
}

async fn accounts(
    config: &Config,
    secret: &SecretString,
    store: &Arc<persistence::Store>,
    clock: &Arc<dyn Clock>,
    audit: &Arc<AuditLog>,
) -> anyhow::Result<(AccountManager, Option<String>)> {
    let auth = &config.auth;
    let tokens =
        Tokens::new(secret.expose_secret().as_bytes(), SignedDuration::try_from(auth.access_token_lifetime)?);
    let registration = if auth.allow_registration { Registration::Open } else { Registration::Closed };
    let refresh_lifetime = SignedDuration::try_from(auth.refresh_token_lifetime)?;
    let accounts = AccountManager::new(
        store.clone(),
        clock.clone(),
        tokens,
        refresh_lifetime,
        registration,
        audit.clone(),
    );
    let password = auth.admin_password.as_ref().map(|password| password.expose_secret().to_owned());
    let generated =
        accounts.ensure_admin(&auth.admin_email, password).await.context("could not make the first admin")?;
    Ok((accounts, generated))
}

/// One store, behind each of its ports.
fn stores(store: &Arc<persistence::Store>, archive_store: Arc<dyn ArchiveStore>) -> Stores {
    Stores {
        sessions: store.clone(),
        servers: store.clone(),
        turns: store.clone(),
        journal: store.clone(),
        history: store.clone(),
        ledger: store.clone(),
        decisions: store.clone(),
        policies: store.clone(),
        hooks: store.clone(),
        mcp_servers: store.clone(),
        approvals: store.clone(),
        transcripts: store.clone(),
        archives: store.clone(),
        archive_store,
        snapshots: store.clone(),
        templates: store.clone(),
    }
}

fn reports(
    config: &ReportsConfig,
    stores: Stores,
    store: &Arc<persistence::Store>,
    clock: Arc<dyn Clock>,
) -> ReportManager {
    let settings = RendererSettings {
        at_once_max: config.at_once_max,
        timeout: config.timeout,
        fonts: config.fonts.clone(),
        ..RendererSettings::default()
    };
    ReportManager::new(stores, store.clone(), store.clone(), Arc::new(Renderer::new(settings)), clock)
}

/// An error and what led to it, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
