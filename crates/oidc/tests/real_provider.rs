//! The code flow against a provider process: what it accepts, and what it must not.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "provider/process.rs"]
mod process;

use domain::{
    Clock, SystemClock,
    identity::{ClaimedEmail, Identity, LoginProofs},
    ports::{IdentityProvider as _, ProviderError},
};
use jiff::SignedDuration;
use oidc::{Issuer, Provider, ProviderSettings};
use process::{Browser, CALLBACK, CLIENT, ProviderProcess, SECRET, parameter, with_parameter};
use serde_json::json;
use std::{sync::Arc, time::Duration};
use testkit::TestClock;

/// A provider, this server as its client, and the time.
struct World {
    process: ProviderProcess,
    client: Provider,
    clock: TestClock,
}

/// Another client of the same provider, with the same secret.
const OTHER_CLIENT: &str = "another";
const SKEW: Duration = Duration::from_secs(30);

fn settings(issuer: &str) -> ProviderSettings {
    ProviderSettings {
        issuer: Issuer::parse(issuer).unwrap(),
        client_id: CLIENT.to_owned(),
        client_secret: Some(SECRET.into()),
        redirect_url: CALLBACK.parse().unwrap(),
        scopes: vec!["email".to_owned(), "profile".to_owned()],
        groups_claim: "groups".to_owned(),
        wants_groups: true,
        clock_skew: SKEW,
    }
}

impl World {
    async fn new() -> Self {
        Self::of(ProviderProcess::start().await, |_| {})
    }

    fn of(process: ProviderProcess, change: impl FnOnce(&mut ProviderSettings)) -> Self {
        let mut settings = settings(&process.issuer);
        change(&mut settings);
        let clock = TestClock::at(SystemClock.now());
        let client = Provider::new(settings, Arc::new(clock.clone())).unwrap();
        Self { process, client, clock }
    }

    /// Begins a login and has a browser come back from the address, as `on_the_way` leaves it.
    async fn code_by(&self, on_the_way: impl FnOnce(String) -> String) -> (String, LoginProofs) {
        let begun = self.client.begin().await.unwrap();
        let back = Browser::default().log_in(&on_the_way(begun.address)).await;
        (parameter(&back, "code").unwrap(), begun.proofs)
    }

    async fn code(&self) -> (String, LoginProofs) {
        self.code_by(|address| address).await
    }

    async fn log_in(&self) -> Result<Identity, ProviderError> {
        let (code, proofs) = self.code().await;
        self.client.identify(&code, &proofs).await
    }
}

fn refused(outcome: Result<Identity, ProviderError>) -> String {
    match outcome {
        Err(ProviderError::Refused(why)) => why.to_string(),
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn who_logs_in_is_told_by_issuer_and_subject() {
    let world = World::new().await;
    let ada = world.log_in().await.unwrap();
    assert_eq!((ada.key.issuer.as_str(), ada.key.subject.as_str()), (world.process.issuer.as_str(), "ada"));
    assert_eq!(ada.email, Some(ClaimedEmail { address: "ada@example.org".to_owned(), is_verified: true }));
    assert_eq!((ada.full_name.as_deref(), ada.groups), (Some("Ada Lovelace"), vec!["dev".to_owned()]));
    world.process.person(Some("eve")).await;
    let eve = world.log_in().await.unwrap();
    assert_eq!(eve.key.subject, "eve");
    assert_eq!(eve.email.map(|email| email.is_verified), Some(false));
    assert_eq!(world.process.asked("/.well-known/openid-configuration").await, 1, "it is looked up once");
    assert_eq!(world.process.asked("/me").await, 0, "the ID token says it all");
}

#[tokio::test]
async fn what_the_id_token_does_not_say_is_asked_for() {
    let process = ProviderProcess::with(json!({ "thin": true })).await;
    let world = World::of(process, |settings| settings.groups_claim = "/realm_access/roles".to_owned());
    let claims =
        json!({ "email": "Ada@Example.org", "email_verified": true, "realm_access": { "roles": ["dev"] } });
    world.process.claims("ada", claims).await;
    let ada = world.log_in().await.unwrap();
    assert_eq!(ada.email, Some(ClaimedEmail { address: "ada@example.org".to_owned(), is_verified: true }));
    assert_eq!(ada.groups, ["dev"]);
    assert_eq!(world.process.asked("/me").await, 1);

    // Of somebody else: not believed.
    let answer = json!({ "body": { "sub": "eve", "email": "eve@example.org", "email_verified": true } });
    world.process.answer("/me", answer).await;
    refused(world.log_in().await);
}

#[tokio::test]
async fn signatures_of_other_kinds_and_a_posted_secret_are_understood() {
    for settings in [json!({ "signing": "ES256" }), json!({ "auth_method": "client_secret_post" })] {
        let world = World::of(ProviderProcess::with(settings.clone()).await, |_| {});
        let ada = world.log_in().await;
        assert_eq!(ada.unwrap_or_else(|error| panic!("{settings}: {error:?}")).key.subject, "ada");
    }
}

#[tokio::test]
async fn a_token_with_another_nonce_is_refused() {
    let world = World::new().await;
    let (code, proofs) = world.code_by(|address| with_parameter(&address, "nonce", "another")).await;
    let why = refused(world.client.identify(&code, &proofs).await);
    assert!(why.contains("nonce"), "{why}");
}

#[tokio::test]
async fn a_code_is_good_once_and_for_its_login_only() {
    let world = World::new().await;
    let (code, proofs) = world.code().await;
    world.client.identify(&code, &proofs).await.unwrap();
    refused(world.client.identify(&code, &proofs).await);
    refused(world.client.identify("no code at all", &proofs).await);

    let (stolen, _) = world.code().await;
    let (_, own) = world.code().await;
    refused(world.client.identify(&stolen, &own).await);
    // And that is the verifier, not the nonce: a code without a challenge of ours is not even traded.
    let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    let (code, proofs) = world.code_by(|address| with_parameter(&address, "code_challenge", challenge)).await;
    refused(world.client.identify(&code, &proofs).await);
}

#[tokio::test]
async fn an_id_token_of_another_client_is_refused() {
    let world = World::new().await;
    let settings = ProviderSettings { client_id: OTHER_CLIENT.to_owned(), ..settings(&world.process.issuer) };
    let other = Provider::new(settings, Arc::new(world.clock.clone())).unwrap();
    let begun = other.begin().await.unwrap();
    let back = Browser::default().log_in(&begun.address).await;
    // The provider's own answer to the other client, signed and with the nonce, is given to us.
    let trade = [
        ("grant_type", "authorization_code".to_owned()),
        ("code", parameter(&back, "code").unwrap()),
        ("code_verifier", begun.proofs.code_verifier.clone()),
        ("redirect_uri", CALLBACK.to_owned()),
    ];
    let form = trade.map(|(name, value)| format!("{name}={}", value.replace(':', "%3A"))).join("&");
    let request = reqwest::Client::new().post(format!("{}/token", world.process.issuer));
    let secret: String = url::form_urlencoded::byte_serialize(SECRET.as_bytes()).collect();
    let request = request.basic_auth(OTHER_CLIENT, Some(secret));
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
    let tokens: serde_json::Value = request.send().await.unwrap().json().await.unwrap();
    assert!(tokens["id_token"].is_string(), "{tokens}");
    world.process.answer("/token", json!({ "body": tokens })).await;
    assert_eq!(
        other.identify("any code", &begun.proofs).await.unwrap().key.subject,
        "ada",
        "it is good there"
    );
    let why = refused(world.client.identify("any code", &begun.proofs).await);
    assert!(why.contains("audience"), "{why}");
}

#[tokio::test]
async fn keys_may_change_between_logins_and_before_the_code_is_traded() {
    let world = World::new().await;
    world.log_in().await.unwrap();
    world.process.rotate_keys().await;
    assert_eq!(world.log_in().await.unwrap().key.subject, "ada");
    assert_eq!(world.process.asked("/jwks").await, 2);
    world.log_in().await.unwrap();
    assert_eq!(world.process.asked("/jwks").await, 2, "new keys are kept");

    // A provider that signs with a key that it does not show is not believed, however often it is asked.
    let keys: serde_json::Value =
        reqwest::get(format!("{}/jwks", world.process.issuer)).await.unwrap().json().await.unwrap();
    world.process.answer("/jwks", json!({ "body": keys })).await;
    world.process.rotate_keys().await;
    refused(world.log_in().await);
}

#[tokio::test]
async fn clocks_may_differ_a_little() {
    let world = World::new().await;
    let now = world.clock.now();
    let at = async |seconds: i64| {
        world.clock.set(now);
        let (code, proofs) = world.code().await;
        world.clock.set(SystemClock.now() + SignedDuration::from_secs(seconds));
        world.client.identify(&code, &proofs).await
    };
    // A token is good for a minute.
    assert!(at(80).await.is_ok(), "over, and our clock may be early");
    let why = refused(at(100).await);
    assert!(why.contains("Expired"), "{why}");
    assert!(at(-20).await.is_ok(), "not issued yet, and our clock may be late");
    let why = refused(at(-40).await);
    assert!(why.contains("future"), "{why}");
}

#[tokio::test]
async fn a_provider_that_is_away_or_talks_nonsense_is_told_apart() {
    let mut world = World::new().await;
    let discovery = "/.well-known/openid-configuration";
    let document: serde_json::Value =
        reqwest::get(format!("{}{discovery}", world.process.issuer)).await.unwrap().json().await.unwrap();
    let with = |name: &str, value: &str| {
        let mut changed = document.clone();
        changed[name] = json!(value);
        json!({ "body": changed })
    };
    for (what, answer, is_passing) in [
        ("a server error", json!({ "status": 500, "body": {} }), true),
        ("a page", json!({ "headers": { "content-type": "text/html" }, "body": "<html>" }), false),
        ("no JSON", json!({ "body": "{" }), false),
        ("a redirect", json!({ "status": 302, "headers": { "location": "/" }, "body": {} }), false),
        ("another issuer", with("issuer", "https://id.example.org"), false),
        ("keys in the open", with("jwks_uri", "http://id.example.org/jwks"), false),
        ("tokens in the open", with("token_endpoint", "http://id.example.org/token"), false),
        ("claims in the open", with("userinfo_endpoint", "http://10.0.0.1/me"), false),
        ("a page that is a script", with("authorization_endpoint", "javascript:alert(1)"), false),
    ] {
        world.process.answer(discovery, answer).await;
        world.clock.advance(SignedDuration::from_secs(5));
        match world.client.begin().await {
            Err(ProviderError::Unavailable(_)) => assert!(is_passing, "{what}"),
            Err(ProviderError::Failed(_)) => assert!(!is_passing, "{what}"),
            other => panic!("{what}: {other:?}"),
        }
    }
    let asked = world.process.asked(discovery).await;
    let again = world.client.begin().await;
    assert!(matches!(again, Err(ProviderError::Unavailable(_))), "{again:?}");
    assert_eq!(world.process.asked(discovery).await, asked, "it is left alone for a moment");

    world.process.answer(discovery, json!(null)).await;
    world.clock.advance(SignedDuration::from_secs(5));
    let (code, proofs) = world.code().await;
    for (what, answer, is_passing) in [
        ("a server error", json!({ "status": 503, "body": {} }), true),
        ("no JSON", json!({ "body": "secret-token" }), false),
        ("no tokens", json!({ "body": { "token_type": "Bearer" } }), false),
        ("no ID token", json!({ "body": { "token_type": "Bearer", "access_token": "a" } }), false),
        ("another client", json!({ "status": 401, "body": { "error": "invalid_client" } }), false),
    ] {
        world.process.answer("/token", answer).await;
        match world.client.identify(&code, &proofs).await {
            Err(ProviderError::Unavailable(_)) => assert!(is_passing, "{what}"),
            Err(ProviderError::Failed(why)) => {
                assert!(!is_passing, "{what}");
                assert!(!format!("{why:?}").contains("secret-token"), "what may be a token is not shown");
            }
            other => panic!("{what}: {other:?}"),
        }
    }
    world.process.stop().await;
    let away = world.client.identify(&code, &proofs).await;
    assert!(matches!(away, Err(ProviderError::Unavailable(_))), "{away:?}");
}

#[tokio::test]
async fn an_unsigned_token_and_one_by_the_shared_secret_are_refused() {
    use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
    let world = World::new().await;
    let (_, proofs) = world.code().await;
    let now = world.clock.now().as_second();
    let claims = json!({
        "iss": world.process.issuer, "sub": "ada", "aud": CLIENT, "nonce": proofs.nonce,
        "iat": now, "exp": now + 60, "email": "ada@example.org", "email_verified": true,
    });
    for algorithm in ["none", "HS256"] {
        let part = |json: serde_json::Value| BASE64_URL_SAFE_NO_PAD.encode(json.to_string());
        let signed = format!("{}.{}", part(json!({ "alg": algorithm })), part(claims.clone()));
        let signature = match algorithm {
            "none" => String::new(),
            _ => {
                let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, SECRET.as_bytes());
                BASE64_URL_SAFE_NO_PAD.encode(aws_lc_rs::hmac::sign(&key, signed.as_bytes()))
            }
        };
        let token = format!("{signed}.{signature}");
        let answer = json!({ "body": { "token_type": "Bearer", "access_token": "a", "id_token": token } });
        world.process.answer("/token", answer).await;
        let tried = world.client.identify("a code", &proofs).await;
        assert!(
            matches!(tried, Err(ProviderError::Refused(_) | ProviderError::Failed(_))),
            "{algorithm}: {tried:?}"
        );
    }
}
