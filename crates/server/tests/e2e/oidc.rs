//! Logging in at a real OpenID provider, a process of its own, with the server as its operators set it up.

use crate::{
    client::{Answer, Client, send},
    provider::{Browser, CALLBACK, CLIENT, ProviderProcess, SECRET, parameter, with_parameter},
    world::World,
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use reqwest::{Method, Url, redirect::Policy};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const UI: &str = "https://app.example.com/signed-in";

/// A server that lets in whoever comes from this provider, with settings beside that.
async fn server(provider: &ProviderProcess, settings: &[(&str, &str)]) -> World {
    let usual = [
        ("OIDC_ISSUER", provider.issuer.as_str()),
        ("OIDC_CLIENT_ID", CLIENT),
        ("OIDC_CLIENT_SECRET", SECRET),
        ("OIDC_REDIRECT_URL", CALLBACK),
        ("OIDC_UI_URL", UI),
        ("OIDC_CREATE_USERS", "true"),
        ("OIDC_MEMBER_GROUPS", "dev"),
        ("OIDC_ADMIN_GROUPS", "ops"),
    ];
    World::with(&[&usual, settings].concat()).await
}

/// Somebody's browser at the server, which follows nothing by itself.
struct Visit {
    http: reqwest::Client,
    server: String,
    cookie: String,
    /// Where the server sent it.
    to: String,
}

impl Visit {
    async fn begin(stranger: &Client, query: &str) -> Self {
        let http = reqwest::Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
        let answer = send(http.get(format!("{}/api/v1/auth/oidc/login{query}", stranger.url))).await;
        assert_eq!(answer.status, 302, "{answer:?}");
        let header = |name: &str| answer.headers[name].to_str().unwrap().to_owned();
        let cookie = header("set-cookie").split(';').next().unwrap().to_owned();
        Self { http, server: stranger.url.clone(), cookie, to: header("location") }
    }

    /// Takes what the provider sent to where the server really listens.
    async fn back(&self, from: &Url) -> Answer {
        let address = from.as_str().replace("http://127.0.0.1:1/", &format!("{}/", self.server));
        send(self.http.get(address).header("cookie", &self.cookie)).await
    }
}

async fn log_in(stranger: &Client) -> Answer {
    let visit = Visit::begin(stranger, "").await;
    let back = Browser::default().log_in(&visit.to).await;
    visit.back(&back).await
}

fn as_somebody(stranger: &Client, tokens: &Value) -> Client {
    let mut client = Client::anonymous(&stranger.url);
    client.token = Some(tokens["access_token"].as_str().unwrap().to_owned());
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_logs_in_works_and_logs_out_as_with_a_password() {
    let provider = ProviderProcess::start().await;
    let mut world = server(&provider, &[]).await;
    let stranger = world.stranger();
    let tokens = log_in(&stranger).await.ok();
    let ada = as_somebody(&stranger, &tokens);
    let me = ada.get("/auth/me").await.ok();
    assert_eq!((&me["email"], &me["full_name"]), (&json!("ada@example.org"), &json!("Ada Lovelace")));
    assert_eq!(me["role"], "member");
    let session = ada.session(json!({})).await;
    assert_eq!(ada.ask(&session, "[[text:hi]]").await, "hi");

    let fresh =
        stranger.post("/auth/refresh", json!({ "refresh_token": tokens["refresh_token"] })).await.ok();
    let again = as_somebody(&stranger, &fresh);
    assert_eq!(again.post("/auth/logout", json!({})).await.status, 204);
    again.get("/auth/me").await.problem(401, "CREDENTIALS_REFUSED");
    ada.get("/auth/me").await.problem(401, "CREDENTIALS_REFUSED");

    // Another life of the server knows them again, by whatever address, and in the role of their groups now.
    world.stop().await;
    world.launch().await;
    let stranger = world.stranger();
    let claims = json!({ "email": "lovelace@example.org", "email_verified": false, "groups": ["ops"] });
    provider.claims("ada", claims).await;
    let admin = as_somebody(&stranger, &log_in(&stranger).await.ok());
    let now = admin.get("/auth/me").await.ok();
    assert_eq!((&now["id"], &now["email"], &now["role"]), (&me["id"], &me["email"], &json!("admin")));
    let log = admin.get("/admin/audit-log?limit=200").await.ok();
    let by_oidc = log.as_array().unwrap().iter().filter(|entry| entry["data"]["method"] == "oidc");
    assert_eq!(by_oidc.count(), 2, "{log}");
    assert!(world.audit(&["verify"]).await.status.success(), "the log is whole");
    for secret in [SECRET, tokens["refresh_token"].as_str().unwrap()] {
        assert!(!world.log().contains(secret), "the server's log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_of_this_login_is_refused() {
    let provider = ProviderProcess::start().await;
    let world = server(&provider, &[]).await;
    let stranger = world.stranger();

    // The code and the state of somebody else, brought to this browser.
    let (mine, theirs) = (Visit::begin(&stranger, "").await, Visit::begin(&stranger, "").await);
    let stolen = Browser::default().log_in(&theirs.to).await;
    mine.back(&stolen).await.problem(400, "OIDC_STATE_MISMATCH");
    // The code of somebody else with the state of this browser: PKCE.
    let state = parameter(&Url::parse(&mine.to).unwrap(), "state").unwrap();
    let injected = Url::parse(&with_parameter(stolen.as_str(), "state", &state)).unwrap();
    mine.back(&injected).await.problem(401, "OIDC_REFUSED");
    // An ID token of another login.
    let visit = Visit::begin(&stranger, "").await;
    let back = Browser::default().log_in(&with_parameter(&visit.to, "nonce", "another")).await;
    visit.back(&back).await.problem(401, "OIDC_REFUSED");
    // An answer that says it is another provider's.
    let visit = Visit::begin(&stranger, "").await;
    let back = Browser::default().log_in(&visit.to).await;
    let mixed = Url::parse(&with_parameter(back.as_str(), "iss", "https://evil.example.org")).unwrap();
    visit.back(&mixed).await.problem(400, "OIDC_STATE_MISMATCH");
    // A code that was used.
    visit.back(&back).await.ok();
    visit.back(&back).await.problem(401, "OIDC_REFUSED");
    // A browser that brings nothing.
    let bare = Visit { cookie: "other=1".to_owned(), ..visit };
    bare.back(&back).await.problem(400, "OIDC_LOGIN_NOT_BEGUN");
    // A person who says no.
    provider.person(None).await;
    log_in(&stranger).await.problem(403, "OIDC_DENIED");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_come_in_does_not() {
    let provider = ProviderProcess::start().await;
    let world = server(&provider, &[]).await;
    let (stranger, admin) = (world.stranger(), world.admin().await);
    provider.person(Some("eve")).await;
    log_in(&stranger).await.problem(403, "OIDC_EMAIL_NOT_VERIFIED");
    provider.claims("eve", json!({ "email": "eve@example.org", "email_verified": true, "groups": [] })).await;
    log_in(&stranger).await.problem(403, "OIDC_NO_ROLE");
    let as_admin = json!({ "email": "admin@example.com", "email_verified": true, "groups": ["ops"] });
    provider.claims("eve", as_admin).await;
    log_in(&stranger).await.problem(409, "OIDC_EMAIL_TAKEN");

    provider.person(Some("ada")).await;
    let ada = as_somebody(&stranger, &log_in(&stranger).await.ok());
    let id = ada.get("/auth/me").await.ok()["id"].as_str().unwrap().to_owned();
    let disable =
        admin.request(Method::PATCH, &format!("/admin/users/{id}")).json(&json!({ "is_active": false }));
    assert_eq!(send(disable).await.status, 200);
    ada.get("/auth/me").await.problem(401, "CREDENTIALS_REFUSED");
    log_in(&stranger).await.problem(403, "ACCOUNT_DISABLED");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_subject_of_another_provider_is_somebody_else() {
    let first = ProviderProcess::start().await;
    let second = ProviderProcess::start().await;
    let mut world = server(&first, &[]).await;
    let stranger = world.stranger();
    let ada = as_somebody(&stranger, &log_in(&stranger).await.ok()).get("/auth/me").await.ok();
    world.stop().await;
    world.set("OIDC_ISSUER", &second.issuer);
    world.launch().await;
    let stranger = world.stranger();
    log_in(&stranger).await.problem(409, "OIDC_EMAIL_TAKEN");
    let claims = json!({ "email": "another-ada@example.org", "email_verified": true, "groups": ["dev"] });
    second.claims("ada", claims).await;
    let other = as_somebody(&stranger, &log_in(&stranger).await.ok()).get("/auth/me").await.ok();
    assert_ne!(other["id"], ada["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_may_be_away_at_start_and_may_change_its_keys() {
    let mut provider = ProviderProcess::start().await;
    let world = server(&provider, &[]).await;
    let stranger = world.stranger();
    let discovery = "/.well-known/openid-configuration";
    assert_eq!(provider.asked(discovery).await, 0, "it is not needed to start");
    log_in(&stranger).await.ok();
    provider.rotate_keys().await;
    log_in(&stranger).await.ok();
    assert_eq!(provider.asked(discovery).await, 1);
    for (answer, status, code) in [
        (json!({ "status": 500, "body": {} }), 503, "OIDC_PROVIDER_UNAVAILABLE"),
        (json!({ "body": "nonsense" }), 502, "OIDC_PROVIDER_FAILED"),
    ] {
        provider.answer("/token", answer).await;
        log_in(&stranger).await.problem(status, code);
    }
    let visit = Visit::begin(&stranger, "").await;
    let back = Browser::default().log_in(&visit.to).await;
    provider.stop().await;
    let away = visit.back(&back).await;
    away.problem(503, "OIDC_PROVIDER_UNAVAILABLE");
    assert!(away.headers.contains_key("retry-after"));

    // Nobody listens there any more.
    let world = server(&provider, &[]).await;
    assert!(world.admin().await.token.is_some(), "passwords need no provider");
    let begun = world.stranger().get("/auth/oidc/login").await;
    begun.problem(503, "OIDC_PROVIDER_UNAVAILABLE");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_interface_gets_tokens_by_a_code_and_its_verifier() {
    let provider = ProviderProcess::start().await;
    let world = server(&provider, &[]).await;
    let stranger = world.stranger();
    let verifier = "0123456789012345678901234567890123456789012345";
    let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(verifier));
    let visit = Visit::begin(&stranger, &format!("?code_challenge={challenge}")).await;
    let back = Browser::default().log_in(&visit.to).await;
    let answer = visit.back(&back).await;
    assert_eq!(answer.status, 302, "{answer:?}");
    let code =
        answer.headers["location"].to_str().unwrap().strip_prefix(&format!("{UI}#code=")).unwrap().to_owned();
    let body = json!({ "code": code, "code_verifier": verifier });
    let tokens = stranger.post("/auth/oidc/token", body.clone()).await.ok();
    assert_eq!(as_somebody(&stranger, &tokens).get("/auth/me").await.ok()["email"], "ada@example.org");
    stranger.post("/auth/oidc/token", body).await.problem(401, "CREDENTIALS_REFUSED");
}
