//! The face of Steward: every route on one page, and the app that serves them.

// Whoever waits for a future has room for all of it, and is moved with it: each turn, each request.
#![deny(clippy::large_futures)]

mod access;
mod admin;
mod alerts;
mod approvals;
mod auth;
mod budgets;
mod caller;
mod contract;
mod cors;
mod costs;
mod docs;
mod encoding;
mod error;
mod etag;
mod executions;
mod health;
mod hooks;
mod idempotency;
mod limits;
mod mcp_servers;
mod metrics_page;
mod money;
mod monitoring_pages;
mod names;
mod page;
mod plain;
mod policies;
mod prefer;
mod prompt;
mod proxies;
mod rate_limit;
mod reports;
mod request;
mod session_templates;
mod sessions;
mod state;
mod stream;
mod tasks;
mod word;

pub use health::{MCP_SERVERS, S3_STORAGE, STORAGE};
pub use proxies::{ForwardingHeader, Proxies};
pub use rate_limit::{Counting, RateLimiter};
pub use state::{ApiSettings, ApiState, CorsOrigins, MetricsAccess};

use actix_web::{
    App, Error,
    body::MessageBody,
    dev::{ServiceFactory, ServiceRequest, ServiceResponse},
    middleware::{Compress, from_fn},
    web::Data,
};
use admin::{audit_log, sessions as all_sessions, stats, users};
use apidoc::{Head, SecurityScheme};
use auth::{api_keys, login, logout, oidc, user};
use executions::work;
use hooks::{create as new_hook, deliveries, list as hook_list, one as one_hook, secret};
use paperclip::actix::web::{ServiceConfig, delete, get, patch, post, put, resource, scope};
use reports::{create as new_report, download as report_file, list as report_list, one as one_report};
use serde_json::Value;
use session_templates::{find as template_list, one as one_template, sharing, write as template_write};
use sessions::{
    archive, audit_trail, control, create, events, files, fork, list, messages, metrics, one, permissions,
    query, stream as websocket, tool_calls, tree, turns,
};
use std::sync::OnceLock;

/// The app that serves everything. The server runs one for each worker, on one shared state; tests call it directly.
pub fn app(
    state: Data<ApiState>,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = Error,
        InitError = (),
    >,
> {
    let cors = cors::middleware(&state.settings);
    App::new()
        .app_data(state)
        // Before the routes, whose scope would take its addresses for unknown ones of its own.
        .configure(docs::configure)
        .configure(metrics_page::configure)
        .configure(|config| routes(&mut ServiceConfig::from(config)))
        // The last one wraps all before it.
        .wrap(from_fn(idempotency::once))
        .wrap(from_fn(limits::bound))
        .wrap(from_fn(prefer::minimal))
        .wrap(from_fn(rate_limit::limit))
        .wrap(from_fn(caller::check_credential))
        .wrap(from_fn(encoding::choose))
        .wrap(Compress::default())
        .wrap(cors)
        .wrap(from_fn(request::follow))
}

/// The app of a listener that has the metrics and nothing else. Its state says who may read them.
pub fn metrics_app(
    state: Data<ApiState>,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = Error,
        InitError = (),
    >,
> {
    App::new().app_data(state).configure(metrics_page::configure).wrap(from_fn(request::follow))
}

/// The app of a server that works and takes no requests: probes, and the metrics.
pub fn probe_app(
    state: Data<ApiState>,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = Error,
        InitError = (),
    >,
> {
    App::new()
        .app_data(state)
        .configure(metrics_page::configure)
        .configure(|config| probes(&mut ServiceConfig::from(config)))
        .wrap(from_fn(request::follow))
}

fn probes(config: &mut ServiceConfig) {
    config
        .service(resource("/health/live").route(get().to(health::live)))
        .service(resource("/health/ready").route(get().to(health::ready)));
}

/// Every operation of the API.
fn routes(config: &mut ServiceConfig) {
    let at = |path: &str| resource(path);
    let auth = scope("/auth")
        .service(at("/login").route(post().to(login::login)))
        .service(at("/oidc/login").route(get().to(oidc::begin)))
        .service(at("/oidc/callback").route(get().to(oidc::finish)))
        .service(at("/oidc/token").route(post().to(oidc::redeem)))
        .service(at("/refresh").route(post().to(login::refresh)))
        .service(at("/logout").route(post().to(logout::logout)))
        .service(at("/logout-all").route(post().to(logout::logout_all)))
        .service(at("/register").route(post().to(user::register)))
        .service(at("/me").route(get().to(user::me)).route(patch().to(user::patch_me)))
        .service(at("/api-keys").route(get().to(api_keys::list)).route(post().to(api_keys::create)))
        .service(at("/api-keys/{id}").route(delete().to(api_keys::delete)));

    let sessions = scope("/sessions")
        .service(at("").route(get().to(list::list)).route(post().to(create::create)))
        // Asked for most, and so before what an address is compared with in vain.
        .service(at("/{id}/query").route(post().to(query::query)))
        .service(
            at("/{id}")
                .route(get().to(one::get))
                .route(patch().to(one::patch))
                .route(delete().to(one::delete)),
        )
        .service(at("/{id}/turns").route(get().to(turns::list)))
        .service(at("/{id}/turns/{turn_id}").route(get().to(turns::get)).route(delete().to(turns::cancel)))
        .service(at("/{id}/pause").route(post().to(control::pause)))
        .service(at("/{id}/resume").route(post().to(control::resume)))
        .service(at("/{id}/wake").route(post().to(control::wake)))
        .service(at("/{id}/interrupt").route(post().to(control::interrupt)))
        .service(at("/{id}/fork").route(post().to(fork::fork)))
        .service(at("/{id}/tree").route(get().to(tree::tree)))
        .service(at("/{id}/messages").route(get().to(messages::list)))
        .service(at("/{id}/tool-calls").route(get().to(tool_calls::list)))
        .service(at("/{id}/permissions").route(get().to(permissions::list)))
        .service(at("/{id}/hooks").route(get().to(sessions::hooks::list)))
        .service(at("/{id}/approvals").route(get().to(approvals::list)))
        .service(at("/{id}/approvals/{approval_id}").route(post().to(approvals::answer)))
        .service(at("/{id}/audit-trail").route(get().to(audit_trail::list)))
        .service(at("/{id}/metrics/current").route(get().to(metrics::current)))
        .service(at("/{id}/metrics/history").route(get().to(metrics::history)))
        .service(at("/{id}/metrics/snapshots").route(get().to(metrics::snapshots)))
        .service(at("/{id}/files").route(get().to(files::list)))
        .service(at("/{id}/files/content").route(get().to(files::content)))
        .service(at("/{id}/workdir/download").route(get().to(files::download)))
        .service(at("/{id}/archive").route(get().to(archive::read)).route(post().to(archive::create)))
        .service(at("/{id}/archive/download").route(get().to(archive::download::download)))
        .service(at("/{id}/archive/manifest").route(get().to(archive::download::manifest)))
        .service(at("/{id}/archive/restore").route(post().to(archive::restore)))
        .service(at("/{id}/events").route(get().to(events::watch)))
        .service(at("/{id}/stream").route(get().to(websocket::stream)));

    let policies = scope("/policies")
        .service(at("").route(get().to(policies::list::list)).route(post().to(policies::write::create)))
        .service(at("/schema").route(get().to(policies::schema::read)))
        .service(at("/evaluate").route(post().to(policies::evaluate::evaluate)))
        .service(
            at("/{name}")
                .route(get().to(policies::one::get))
                .route(put().to(policies::write::replace))
                .route(delete().to(policies::write::delete)),
        )
        .service(at("/{name}/versions").route(get().to(policies::list::versions)))
        .service(at("/{name}/versions/{version}").route(get().to(policies::one::version)))
        .service(at("/{name}/dry-run").route(post().to(policies::dry_run::run)));
    let hooks = scope("/hooks")
        .service(at("").route(get().to(hook_list::list)).route(post().to(new_hook::create)))
        .service(
            at("/{id}")
                .route(get().to(one_hook::get))
                .route(patch().to(one_hook::patch))
                .route(delete().to(one_hook::delete)),
        )
        .service(at("/{id}/rotate-secret").route(post().to(secret::rotate)))
        .service(at("/{id}/test").route(post().to(deliveries::test)))
        .service(at("/{id}/deliveries").route(get().to(deliveries::list)))
        .service(at("/{id}/deliveries/{delivery_id}/redeliver").route(post().to(deliveries::redeliver)));

    let reports = scope("/reports")
        .service(at("").route(get().to(report_list::list)).route(post().to(new_report::create)))
        .service(at("/{id}").route(get().to(one_report::get)).route(delete().to(one_report::delete)))
        .service(at("/{id}/download").route(get().to(report_file::download)));

    let mcp_servers = scope("/mcp-servers")
        .service(
            at("").route(get().to(mcp_servers::list::list)).route(post().to(mcp_servers::create::create)),
        )
        .service(at("/templates").route(get().to(mcp_servers::catalogue::list)))
        .service(at("/import").route(post().to(mcp_servers::transfer::import)))
        .service(at("/export").route(get().to(mcp_servers::transfer::export)))
        .service(
            at("/{id}")
                .route(get().to(mcp_servers::one::get))
                .route(patch().to(mcp_servers::one::patch))
                .route(delete().to(mcp_servers::one::delete)),
        )
        .service(at("/{id}/health-check").route(post().to(mcp_servers::check::check)));

    let templates = scope("/session-templates")
        .service(at("").route(get().to(template_list::list)).route(post().to(template_write::create)))
        .service(at("/search").route(post().to(template_list::search)))
        .service(at("/popular/top").route(get().to(template_list::popular)))
        .service(
            at("/{id}")
                .route(get().to(one_template::get))
                .route(put().to(template_write::replace))
                .route(delete().to(one_template::delete)),
        )
        .service(at("/{id}/sharing").route(patch().to(sharing::share)));

    let tasks = scope("/tasks")
        .service(at("").route(get().to(tasks::list::list)).route(post().to(tasks::create::create)))
        .service(at("/executions/{execution_id}").route(get().to(executions::one::get)))
        .service(at("/executions/{execution_id}/cancel").route(post().to(executions::control::cancel)))
        .service(at("/executions/{execution_id}/retry").route(post().to(executions::control::retry)))
        .service(at("/executions/{execution_id}/tool-calls").route(get().to(work::tool_calls)))
        .service(at("/executions/{execution_id}/files").route(get().to(work::files)))
        .service(at("/executions/{execution_id}/files/download").route(get().to(work::download)))
        .service(
            at("/executions/{execution_id}/archive")
                .route(get().to(work::archive))
                .route(post().to(work::put_away)),
        )
        .service(
            at("/{id}")
                .route(get().to(tasks::one::get))
                .route(patch().to(tasks::one::patch))
                .route(delete().to(tasks::one::delete)),
        )
        .service(at("/{id}/rotate-secret").route(post().to(tasks::secret::rotate)))
        .service(at("/{id}/execute").route(post().to(tasks::execute::execute)))
        .service(at("/{id}/executions").route(get().to(executions::list::list)));

    let monitoring = scope("/monitoring")
        .service(at("/health").route(get().to(health::health)))
        .service(at("/alerts").route(get().to(alerts::list)))
        .service(at("/costs/user/{user_id}").route(get().to(costs::user::read)))
        .service(at("/costs/team/{name}").route(get().to(costs::team::read)))
        .service(at("/costs/session/{session_id}").route(get().to(costs::session::read)))
        .service(at("/costs/total").route(get().to(costs::total::read)))
        .service(at("/costs/budgets").route(get().to(budgets::list::list)))
        .service(
            at("/costs/budget/{user_id}")
                .route(get().to(budgets::user::read))
                .route(put().to(budgets::user::set))
                .route(delete().to(budgets::user::remove)),
        )
        .service(
            at("/costs/budget/team/{name}")
                .route(get().to(budgets::team::read))
                .route(put().to(budgets::team::set))
                .route(delete().to(budgets::team::remove)),
        )
        .service(
            at("/costs/budget/session/{session_id}")
                .route(get().to(budgets::session::read))
                .route(put().to(budgets::session::set))
                .route(delete().to(budgets::session::remove)),
        )
        .service(at("/performance").route(get().to(monitoring_pages::performance)))
        .service(at("/metrics/session/{id}").route(get().to(monitoring_pages::of_session)))
        .service(at("/health/database").route(get().to(health::parts::database)))
        .service(at("/health/sdk").route(get().to(health::parts::sdk)))
        .service(at("/health/storage").route(get().to(health::parts::storage)));

    let admin = scope("/admin")
        .service(at("/stats").route(get().to(stats::read)))
        .service(at("/sessions").route(get().to(all_sessions::list)))
        .service(at("/audit-log").route(get().to(audit_log::list)))
        .service(at("/audit-log/export").route(get().to(audit_log::export)))
        .service(at("/users").route(get().to(users::list)).route(post().to(users::create)))
        .service(
            at("/users/{user_id}")
                .route(get().to(users::get))
                .route(patch().to(users::patch))
                .route(delete().to(users::delete)),
        );

    config.service(
        scope("/api/v1")
            .service(auth)
            .service(sessions)
            .service(at("/approvals").route(get().to(approvals::pending)))
            .service(policies)
            .service(hooks)
            .service(reports)
            .service(mcp_servers)
            .service(templates)
            .service(tasks)
            .service(monitoring)
            .service(admin),
    );
    probes(config);
}

fn head() -> Head {
    Head {
        title: "Steward".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        description: "Runs, governs and accounts for Claude agent sessions.".to_owned(),
        security: vec![
            (
                caller::BEARER,
                SecurityScheme::Bearer {
                    about: "An access token from `/auth/login`, or an API key. What each operation lists here is the \
                            scope that a key needs for it; a login has them all, as far as its owner's role allows.",
                },
            ),
            (
                caller::TOKEN,
                SecurityScheme::Query {
                    parameter: caller::TOKEN,
                    about: "The same credential, for browsers, which cannot set headers on a stream.",
                },
            ),
        ],
        tags: vec![
            ("Auth", "Logins, accounts and API keys."),
            ("Sessions", "Conversations with agents."),
            ("Templates", "What new sessions are to be like."),
            ("Tasks", "Work that is done in the background, by hand or on a schedule, and what came of it."),
            ("Approvals", "What waits for a person's word."),
            ("Streams", "Sessions as they happen."),
            ("Files", "What agents work on."),
            ("Archives", "Sessions that are put away, and come back."),
            ("Policies", "What agents may do, in rules of your own."),
            ("Hooks", "Endpoints that are asked or told when something happens in a session."),
            ("Reports", "Sessions as they were, as files to keep and pass on."),
            ("McpServers", "Tools of others that agents may use, registered once and named by sessions."),
            ("Costs", "What was spent, what may be spent, and what people are told about it."),
            ("Health", "For probes and operators."),
            ("Monitoring", "How the server and its sessions do."),
            ("Admin", "For those who answer for the server."),
        ],
        parameters: names::parameters(),
        samples: names::samples(),
    }
}

/// The OpenAPI document of every operation.
pub fn document() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| contract::complete(apidoc::build(head(), routes)))
}

/// The document as it is served and committed.
pub fn spec_text() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| apidoc::text(document()))
}
