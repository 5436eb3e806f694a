//! Logging in by way of an identity provider, as a browser and a user interface see it. The provider answers by script;
//! that a real one is understood is tested where the provider is spoken to.

use crate::{
    client::{Client, Received},
    world::{PASSWORD, Plan, World},
};
use async_trait::async_trait;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use domain::{
    Role,
    identity::{BegunLogin, ClaimedEmail, Identity, IdentityKey, LoginProofs},
    ports::{IdentityProvider, ProviderError},
};
use engine::{OidcSettings, oidc::RoleRules};
use jiff::SignedDuration;
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

const ISSUER: &str = "https://id.example.org";
const UI: &str = "https://app.example.com/signed-in";
const VERIFIER: &str = "a-verifier-that-is-long-enough-for-rfc-7636-and-then-some";

/// Says that a browser with the code `ada` is ada; other codes are failures of their name.
#[derive(Default)]
struct ScriptedProvider(Mutex<BTreeMap<String, Identity>>);

impl ScriptedProvider {
    fn knows(&self, code: &str, identity: Identity) {
        self.0.lock().unwrap().insert(code.to_owned(), identity);
    }
}

#[async_trait]
impl IdentityProvider for ScriptedProvider {
    fn issuer(&self) -> &str {
        ISSUER
    }

    async fn begin(&self) -> Result<BegunLogin, ProviderError> {
        let state = uuid::Uuid::new_v4().to_string();
        let proofs = LoginProofs {
            nonce: format!("n-{state}"),
            code_verifier: format!("v-{state}"),
            state: state.clone(),
        };
        Ok(BegunLogin { address: format!("{ISSUER}/auth?state={state}"), proofs })
    }

    async fn identify(&self, code: &str, proofs: &LoginProofs) -> Result<Identity, ProviderError> {
        assert!(proofs.nonce.ends_with(&proofs.state) && proofs.code_verifier.ends_with(&proofs.state));
        let known = self.0.lock().unwrap().get(code).cloned();
        match (known, code) {
            (Some(identity), _) => Ok(identity),
            (None, "unavailable") => Err(ProviderError::Unavailable("away".into())),
            (None, "failed") => Err(ProviderError::Failed("nonsense".into())),
            (None, _) => Err(ProviderError::Refused("no such code".into())),
        }
    }
}

fn settings() -> OidcSettings {
    OidcSettings {
        creates_users: true,
        links_by_email: false,
        wants_verified_email: true,
        roles: RoleRules { admins: vec![], members: vec![], viewers: vec![], otherwise: Some(Role::Member) },
        ui_url: Some(UI.to_owned()),
        is_over_tls: false,
    }
}

fn person(subject: &str, email: &str, is_verified: bool) -> Identity {
    Identity {
        key: IdentityKey { issuer: ISSUER.to_owned(), subject: subject.to_owned() },
        email: Some(ClaimedEmail { address: email.to_owned(), is_verified }),
        full_name: Some("Ada Lovelace".to_owned()),
        groups: vec![],
    }
}

/// A server with a provider that knows ada.
async fn world(settings: OidcSettings) -> (World, Arc<ScriptedProvider>) {
    let provider = Arc::new(ScriptedProvider::default());
    provider.knows("ada", person("1", "ada@example.org", true));
    let plan = Plan { oidc: Some((provider.clone(), settings)), ..Plan::default() };
    (World::of(plan).await, provider)
}

/// A browser that has begun a login: what it keeps, and by what the provider will answer.
struct Begun {
    cookie: String,
    state: String,
}

fn begun(answer: &Received) -> Begun {
    assert_eq!(answer.status, 302, "{}", answer.text());
    let cookie = answer.header("set-cookie").split(';').next().unwrap().to_owned();
    let state = answer.header("location").strip_prefix(&format!("{ISSUER}/auth?state=")).unwrap().to_owned();
    Begun { cookie, state }
}

async fn begin(client: &Client) -> Begun {
    begun(&client.get("/api/v1/auth/oidc/login").await)
}

async fn begin_for_ui(client: &Client) -> Begun {
    let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
    begun(&client.get(&format!("/api/v1/auth/oidc/login?code_challenge={challenge}")).await)
}

async fn back(client: &Client, cookie: Option<&str>, query: &str) -> Received {
    let request = client.request(Method::GET, &format!("/api/v1/auth/oidc/callback?{query}"));
    let request = match cookie {
        Some(cookie) => request.header("cookie", cookie),
        None => request,
    };
    client.send(request).await
}

/// The whole way of somebody with this code.
async fn log_in(client: &Client, code: &str) -> Received {
    let Begun { cookie, state } = begin(client).await;
    back(client, Some(&cookie), &format!("code={code}&state={state}")).await
}

async fn me(client: &Client, tokens: &Received) -> Value {
    assert_eq!(tokens.status, 200, "{}", tokens.text());
    client.with_token(tokens.json()["access_token"].as_str().unwrap()).get("/api/v1/auth/me").await.json()
}

fn refused(answer: &Received, status: u16, error_code: &str) {
    assert_eq!((answer.status, answer.error_code().as_str()), (status, error_code), "{}", answer.text());
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(answer.header("set-cookie"), "", "what failed keeps nothing and takes nothing");
}

#[actix_web::test]
async fn without_a_provider_there_is_no_such_login() {
    let world = World::new().await;
    refused(&world.anonymous.get("/api/v1/auth/oidc/login").await, 404, "OIDC_OFF");
    refused(&back(&world.anonymous, None, "code=a&state=b").await, 404, "OIDC_OFF");
    let body = json!({ "code": "a", "code_verifier": VERIFIER });
    refused(&world.anonymous.post("/api/v1/auth/oidc/token", body).await, 404, "OIDC_OFF");
}

#[actix_web::test]
async fn a_login_has_the_tokens_that_a_password_gets() {
    let (world, _) = world(settings()).await;
    let to = world.anonymous.get("/api/v1/auth/oidc/login").await;
    let cookie = to.header("set-cookie").to_owned();
    assert!(cookie.starts_with("steward-oidc="), "{cookie}");
    for part in ["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=600"] {
        assert!(cookie.contains(part), "{part} is not in {cookie}");
    }
    assert!(!cookie.contains("Secure"), "plain HTTP on one machine");
    let Begun { cookie, state } = begun(&to);
    let plain =
        String::from_utf8_lossy(&BASE64_URL_SAFE_NO_PAD.decode(cookie.split_once('=').unwrap().1).unwrap())
            .into_owned();
    assert!(!plain.contains(&state), "nobody reads what is in it");

    let tokens =
        back(&world.anonymous, Some(&cookie), &format!("code=ada&state={state}&iss={ISSUER}&more=1")).await;
    let user = me(&world.anonymous, &tokens).await;
    assert_eq!(user["email"], "ada@example.org");
    assert_eq!((&user["role"], &user["full_name"]), (&json!("member"), &json!("Ada Lovelace")));
    assert!(user["last_login_at"].is_string());
    assert!(tokens.header("set-cookie").contains("Max-Age=0"), "{}", tokens.header("set-cookie"));
    assert_eq!(tokens.header("cache-control"), "no-store");
    let body = tokens.json();
    assert_eq!((&body["token_type"], &body["expires_in"]), (&json!("bearer"), &json!(3600)));

    let refresh = json!({ "refresh_token": body["refresh_token"] });
    let fresh = world.anonymous.post("/api/v1/auth/refresh", refresh).await;
    let client = world.anonymous.with_token(fresh.json()["access_token"].as_str().unwrap());
    assert_eq!(client.post("/api/v1/auth/logout", json!({})).await.status, 204);
    assert_eq!(client.get("/api/v1/auth/me").await.status, 401);

    let again = me(&world.anonymous, &log_in(&world.anonymous, "ada").await).await;
    assert_eq!(again["id"], user["id"], "known again");
    let by_password = json!({ "email": "ada@example.org", "password": PASSWORD });
    assert_eq!(world.anonymous.post("/api/v1/auth/login", by_password).await.status, 401);
    let log = world.admin.get("/api/v1/admin/audit-log?limit=100").await.json();
    let actions: Vec<&str> =
        log.as_array().unwrap().iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    for action in ["user.registered", "identity.linked", "login.succeeded"] {
        assert!(actions.contains(&action), "{action} is not in {actions:?}");
    }
}

#[actix_web::test]
async fn an_answer_counts_for_the_browser_and_the_login_it_belongs_to() {
    let (world, _) = world(settings()).await;
    let client = &world.anonymous;
    let (mine, other) = (begin(client).await, begin(client).await);
    let code = "code=ada";
    refused(&back(client, None, &format!("{code}&state={}", mine.state)).await, 400, "OIDC_LOGIN_NOT_BEGUN");
    for planted in ["steward-oidc=", "steward-oidc=AAAA", "other=1", &format!("{}A", mine.cookie)] {
        let answer = back(client, Some(planted), &format!("{code}&state={}", mine.state)).await;
        refused(&answer, 400, "OIDC_LOGIN_NOT_BEGUN");
    }
    for query in [
        format!("{code}&state={}", other.state),
        code.to_owned(),
        format!("{code}&state="),
        format!("{code}&state={}x", mine.state),
        format!("{code}&state={}&iss=https://evil.example.org", mine.state),
    ] {
        refused(&back(client, Some(&mine.cookie), &query).await, 400, "OIDC_STATE_MISMATCH");
    }
    world.clock.advance(SignedDuration::from_secs(599));
    assert_eq!(back(client, Some(&mine.cookie), &format!("{code}&state={}", mine.state)).await.status, 200);
    world.clock.advance(SignedDuration::from_secs(1));
    let late = back(client, Some(&other.cookie), &format!("{code}&state={}", other.state)).await;
    refused(&late, 400, "OIDC_LOGIN_EXPIRED");
}

#[actix_web::test]
async fn what_the_provider_does_not_do_is_told() {
    let (world, _) = world(settings()).await;
    let client = &world.anonymous;
    for (code, status, error_code) in [
        ("stolen", 401, "OIDC_REFUSED"),
        ("unavailable", 503, "OIDC_PROVIDER_UNAVAILABLE"),
        ("failed", 502, "OIDC_PROVIDER_FAILED"),
    ] {
        let answer = log_in(client, code).await;
        refused(&answer, status, error_code);
        assert_eq!(answer.headers.contains_key("retry-after"), status == 503);
    }
    for (word, status, error_code) in [
        ("access_denied", 403, "OIDC_DENIED"),
        ("temporarily_unavailable", 503, "OIDC_PROVIDER_UNAVAILABLE"),
        ("invalid_scope", 502, "OIDC_PROVIDER_FAILED"),
        ("%3Cscript%3E", 502, "OIDC_PROVIDER_FAILED"),
        ("access_denied&code=ada", 403, "OIDC_DENIED"),
    ] {
        let Begun { cookie, state } = begin(client).await;
        let answer = back(client, Some(&cookie), &format!("error={word}&state={state}")).await;
        refused(&answer, status, error_code);
        assert!(!answer.text().contains("<script>"));
    }
    let Begun { cookie, state } = begin(client).await;
    refused(&back(client, Some(&cookie), &format!("state={state}")).await, 502, "OIDC_PROVIDER_FAILED");
    let long = "x".repeat(5000);
    let answer = back(client, Some(&cookie), &format!("state={state}&code={long}")).await;
    assert_eq!((answer.status, answer.violations()), (422, vec!["?code length".to_owned()]));
}

#[actix_web::test]
async fn who_is_new_gets_an_account_only_as_the_operator_says() {
    let (world, provider) = world(settings()).await;
    let client = &world.anonymous;
    provider.knows("unverified", person("2", "eve@example.org", false));
    provider.knows("nameless", Identity { email: None, ..person("3", "", false) });
    provider.knows("namesake", person("4", "alice@example.com", true));
    refused(&log_in(client, "unverified").await, 403, "OIDC_EMAIL_NOT_VERIFIED");
    refused(&log_in(client, "nameless").await, 403, "OIDC_NO_EMAIL");
    refused(&log_in(client, "namesake").await, 409, "OIDC_EMAIL_TAKEN");
    let first = me(client, &log_in(client, "ada").await).await;
    // The same address, but another person: known by subject, not by address.
    provider.knows("successor", person("5", "ada@example.org", true));
    refused(&log_in(client, "successor").await, 409, "OIDC_EMAIL_TAKEN");
    provider.knows("ada", person("1", "ada@other.example.org", false));
    assert_eq!(
        me(client, &log_in(client, "ada").await).await["id"],
        first["id"],
        "whatever the address is now"
    );

    let (world, provider) = self::world(OidcSettings { creates_users: false, ..settings() }).await;
    provider.knows("namesake", person("4", "alice@example.com", true));
    for code in ["ada", "namesake"] {
        refused(&log_in(&world.anonymous, code).await, 403, "OIDC_NO_ACCOUNT");
    }
    let (world, provider) = self::world(OidcSettings { wants_verified_email: false, ..settings() }).await;
    provider.knows("unverified", person("2", "eve@example.org", false));
    let eve = me(&world.anonymous, &log_in(&world.anonymous, "unverified").await).await;
    assert_eq!(eve["email"], "eve@example.org");
}

#[actix_web::test]
async fn an_account_is_linked_by_an_address_that_is_verified_and_only_where_that_is_wanted() {
    let rules = OidcSettings { links_by_email: true, creates_users: false, ..settings() };
    let (world, provider) = world(rules).await;
    let (client, alice) = (&world.anonymous, world.id(&world.alice).await);
    provider.knows("unverified", person("6", "alice@example.com", false));
    provider.knows("verified", person("7", "alice@example.com", true));
    refused(&log_in(client, "unverified").await, 403, "OIDC_NO_ACCOUNT");
    assert_eq!(me(client, &log_in(client, "verified").await).await["id"], alice);
    refused(&log_in(client, "unverified").await, 403, "OIDC_NO_ACCOUNT");
    let by_password = json!({ "email": "alice@example.com", "password": PASSWORD });
    assert_eq!(client.post("/api/v1/auth/login", by_password).await.status, 200, "and the password stays");
}

#[actix_web::test]
async fn an_address_that_changed_hands_takes_no_account_along() {
    let rules = OidcSettings { links_by_email: true, ..settings() };
    let (world, provider) = world(rules).await;
    let client = &world.anonymous;
    let ada = me(client, &log_in(client, "ada").await).await["id"].clone();
    provider.knows("newcomer", person("2", "ada@example.org", true));
    refused(&log_in(client, "newcomer").await, 403, "OIDC_NO_ACCOUNT");
    assert_eq!(me(client, &log_in(client, "ada").await).await["id"], ada);
    // At another issuer she may be known by whatever subject.
    let elsewhere = IdentityKey { issuer: "https://other.example.org".to_owned(), subject: "2".to_owned() };
    provider.knows("elsewhere", Identity { key: elsewhere, ..person("2", "ada@example.org", true) });
    assert_eq!(me(client, &log_in(client, "elsewhere").await).await["id"], ada);
}

#[actix_web::test]
async fn who_is_disabled_stays_out_and_who_is_erased_is_forgotten() {
    let (world, _) = world(settings()).await;
    let client = &world.anonymous;
    let tokens = log_in(client, "ada").await;
    let ada = me(client, &tokens).await["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/admin/users/{ada}");
    assert_eq!(world.admin.patch(&path, json!({ "is_active": false })).await.status, 200);
    let token = tokens.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(client.with_token(&token).get("/api/v1/auth/me").await.status, 401);
    refused(&log_in(client, "ada").await, 403, "ACCOUNT_DISABLED");
    let failed = world.admin.get("/api/v1/admin/audit-log?action=login.failed").await.json();
    let last = failed.as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["data"]["reason"], &last["subject"]["id"]), (&json!("account_disabled"), &json!(ada)));
    assert_eq!(world.admin.delete(&path).await.status, 204);
    let new = me(client, &log_in(client, "ada").await).await;
    assert_ne!(new["id"], json!(ada), "a new account, and nothing of the old one");
}

#[actix_web::test]
async fn roles_follow_groups_at_every_login() {
    let list = |name: &str| vec![name.to_owned()];
    let roles =
        RoleRules { admins: list("ops"), members: list("dev"), viewers: list("all"), otherwise: None };
    let (world, provider) = world(OidcSettings { roles, ..settings() }).await;
    let client = &world.anonymous;
    let in_groups = |groups: &[&str]| {
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        provider.knows("ada", Identity { groups, ..person("1", "ada@example.org", true) });
    };
    refused(&log_in(client, "ada").await, 403, "OIDC_NO_ROLE");
    let mut last = String::new();
    for (groups, role) in
        [(vec!["all", "ops"], "admin"), (vec!["all"], "viewer"), (vec!["dev", "all"], "member")]
    {
        in_groups(&groups);
        let tokens = log_in(client, "ada").await;
        assert_eq!(me(client, &tokens).await["role"], role);
        last = tokens.json()["access_token"].as_str().unwrap().to_owned();
    }
    in_groups(&["strangers"]);
    refused(&log_in(client, "ada").await, 403, "OIDC_NO_ROLE");
    assert_eq!(
        client.with_token(&last).get("/api/v1/auth/me").await.status,
        200,
        "a login that was begun goes on"
    );

    // Without an admin nobody could undo it: the last one stays.
    in_groups(&["ops"]);
    log_in(client, "ada").await;
    let admin = world.id(&world.admin).await;
    let demoted =
        world.admin.patch(&format!("/api/v1/admin/users/{admin}"), json!({ "role": "member" })).await;
    assert_eq!(demoted.status, 200, "{}", demoted.text());
    in_groups(&["dev"]);
    assert_eq!(me(client, &log_in(client, "ada").await).await["role"], "admin");
}

#[actix_web::test]
async fn a_user_interface_trades_a_code_for_tokens_once() {
    let (world, _) = world(settings()).await;
    let client = &world.anonymous;
    let code_of = async || {
        let Begun { cookie, state } = begin_for_ui(client).await;
        let answer = back(client, Some(&cookie), &format!("code=ada&state={state}")).await;
        assert_eq!(answer.status, 302, "{}", answer.text());
        assert!(answer.header("set-cookie").contains("Max-Age=0"));
        let code = answer.header("location").strip_prefix(&format!("{UI}#code=")).unwrap().to_owned();
        assert!(!code.contains("stwr_"), "no token is in an address");
        code
    };
    let redeem = async |code: &str, verifier: &str| {
        let body = json!({ "code": code, "code_verifier": verifier });
        client.post("/api/v1/auth/oidc/token", body).await
    };
    let code = code_of().await;
    let other = "another-verifier-that-is-long-enough-for-rfc-7636";
    refused(&redeem(&code, other).await, 401, "CREDENTIALS_REFUSED");
    let tokens = redeem(&code, VERIFIER).await;
    assert_eq!(me(client, &tokens).await["email"], "ada@example.org");
    refused(&redeem(&code, VERIFIER).await, 401, "CREDENTIALS_REFUSED");
    let token = tokens.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(
        client.with_token(&token).get("/api/v1/auth/me").await.status,
        401,
        "its login ended: two had it"
    );

    let late = code_of().await;
    world.clock.advance(SignedDuration::from_secs(60));
    refused(&redeem(&late, VERIFIER).await, 401, "CREDENTIALS_REFUSED");
    for nonsense in ["x", &late[..20]] {
        refused(&redeem(nonsense, VERIFIER).await, 401, "CREDENTIALS_REFUSED");
    }
    let Begun { cookie, .. } = begin_for_ui(client).await;
    let ticket = cookie.split_once('=').unwrap().1;
    refused(&redeem(ticket, VERIFIER).await, 401, "CREDENTIALS_REFUSED");
}

#[actix_web::test]
async fn a_user_interface_is_told_what_failed() {
    let (world, _) = world(settings()).await;
    let client = &world.anonymous;
    for (query, error) in [
        ("code=stolen", "OIDC_REFUSED"),
        ("error=access_denied", "OIDC_DENIED"),
        ("code=unavailable", "OIDC_PROVIDER_UNAVAILABLE"),
    ] {
        let Begun { cookie, state } = begin_for_ui(client).await;
        let answer = back(client, Some(&cookie), &format!("{query}&state={state}")).await;
        assert_eq!((answer.status, answer.header("location")), (302, format!("{UI}#error={error}").as_str()));
    }
    // Whoever has not shown that it is their browser is sent nowhere.
    let Begun { cookie, .. } = begin_for_ui(client).await;
    refused(&back(client, Some(&cookie), "code=ada&state=x").await, 400, "OIDC_STATE_MISMATCH");
    for bad in ["short", &"x".repeat(44), &"%2B".repeat(43)] {
        let answer = client.get(&format!("/api/v1/auth/oidc/login?code_challenge={bad}")).await;
        assert_eq!(answer.status, 422, "{bad}: {}", answer.text());
    }
    let (world, _) = self::world(OidcSettings { ui_url: None, ..settings() }).await;
    let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
    let answer = world.anonymous.get(&format!("/api/v1/auth/oidc/login?code_challenge={challenge}")).await;
    assert_eq!((answer.status, answer.violations()), (422, vec!["?code_challenge no_ui".to_owned()]));
}

#[actix_web::test]
async fn over_tls_the_cookie_is_of_this_host_alone() {
    let (world, _) = world(OidcSettings { is_over_tls: true, ..settings() }).await;
    let client = &world.anonymous;
    let to = client.get("/api/v1/auth/oidc/login").await;
    let set = to.header("set-cookie");
    assert!(
        set.starts_with("__Host-steward-oidc=") && set.contains("Secure") && set.contains("Path=/"),
        "{set}"
    );
    assert!(!set.contains("Domain"), "{set}");
    let Begun { cookie, state } = begun(&to);
    let query = format!("code=ada&state={state}");
    let planted = cookie.replace("__Host-", "");
    refused(&back(client, Some(&planted), &query).await, 400, "OIDC_LOGIN_NOT_BEGUN");
    assert_eq!(back(client, Some(&format!("{planted}; {cookie}")), &query).await.status, 200);
}

#[actix_web::test]
async fn guessing_is_slowed_down_and_failures_of_the_provider_are_nobodys_guess() {
    let (world, _) = world(settings()).await;
    let client = &world.anonymous;
    for _ in 0..60 {
        refused(&log_in(client, "unavailable").await, 503, "OIDC_PROVIDER_UNAVAILABLE");
    }
    for attempt in 0..50 {
        assert_eq!(log_in(client, "stolen").await.status, 401, "attempt {attempt}");
    }
    let waiting = log_in(client, "ada").await;
    refused(&waiting, 429, "TOO_MANY_LOGINS");
    assert!(waiting.headers.contains_key("retry-after"));
    world.clock.advance(SignedDuration::from_secs(60));
    assert_eq!(log_in(client, "ada").await.status, 200);
}
