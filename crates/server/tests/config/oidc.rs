//! An identity provider is whole and safe, or it is a mistake.

use super::{config, map};
use domain::Role;
use server::config::Config;

const WHOLE: [(&str, &str); 3] = [
    ("OIDC_ISSUER", "https://id.example.org/"),
    ("OIDC_CLIENT_ID", "steward"),
    ("OIDC_REDIRECT_URL", "https://steward.example.org/api/v1/auth/oidc/callback"),
];

/// The settings that are mistaken, beside a whole provider.
fn mistaken(others: &[(&str, &str)]) -> Vec<String> {
    let errors = Config::from_map(&map(&[&WHOLE, others].concat())).unwrap_err();
    errors.mistakes().iter().map(|mistake| mistake.name.clone()).collect()
}

#[test]
fn a_provider_is_there_when_it_is_named() {
    assert!(config(&[]).oidc.is_none());
    assert!(config(&[("OIDC_CREATE_USERS", "true")]).oidc.is_none(), "nobody comes from nowhere");
    let oidc = config(&WHOLE).oidc.unwrap();
    assert_eq!(oidc.provider.issuer.as_str(), "https://id.example.org/", "with its slash");
    assert_eq!(oidc.provider.scopes, ["email", "profile"]);
    assert!(oidc.provider.client_secret.is_none() && !oidc.provider.wants_groups);
    assert!(oidc.logins.is_over_tls && oidc.logins.ui_url.is_none());
    assert!(!oidc.logins.creates_users && !oidc.logins.links_by_email && oidc.logins.wants_verified_email);
    assert_eq!(oidc.logins.roles.role_of(&[]), None, "nobody is let in until somebody says so");

    let more = [
        ("OIDC_REDIRECT_URL", "http://127.0.0.1:8000/api/v1/auth/oidc/callback"),
        ("OIDC_CLIENT_SECRET", "s3cret"),
        ("OIDC_SCOPES", "email,groups openid"),
        ("OIDC_ADMIN_GROUPS", "ops, sre"),
        ("OIDC_DEFAULT_ROLE", "viewer"),
    ];
    let all = config(&[&WHOLE[..2], &more].concat());
    let oidc = all.oidc.as_ref().unwrap();
    assert_eq!(oidc.provider.scopes, ["email", "groups"]);
    assert!(oidc.provider.wants_groups && !oidc.logins.is_over_tls);
    assert_eq!(oidc.logins.roles.role_of(&["sre".to_owned()]), Some(Role::Admin));
    assert_eq!(oidc.logins.roles.role_of(&[]), Some(Role::Viewer));
    assert!(!format!("{all:?}").contains("s3cret"));
}

#[test]
fn a_part_of_a_provider_is_a_mistake_and_all_are_told_at_once() {
    let errors = Config::from_map(&map(&[("OIDC_CLIENT_SECRET", "s3cret")])).unwrap_err();
    let names: Vec<&str> = errors.mistakes().iter().map(|mistake| mistake.name.as_str()).collect();
    assert_eq!(names, ["OIDC_ISSUER", "OIDC_CLIENT_ID", "OIDC_REDIRECT_URL"]);
    assert!(!errors.to_string().contains("s3cret"));
    let errors = Config::from_map(&map(&[
        ("OIDC_ISSUER", "http://id.example.org"),
        ("OIDC_SCOPES", "a\"b"),
        ("OIDC_DEFAULT_ROLE", "admin"),
        ("OIDC_CLOCK_SKEW_SECONDS", "3600"),
    ]))
    .unwrap_err();
    let names: Vec<&str> = errors.mistakes().iter().map(|mistake| mistake.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "OIDC_ISSUER",
            "OIDC_SCOPES",
            "OIDC_DEFAULT_ROLE",
            "OIDC_CLOCK_SKEW_SECONDS",
            "OIDC_CLIENT_ID",
            "OIDC_REDIRECT_URL"
        ]
    );
}

#[test]
fn addresses_are_safe() {
    for (name, value) in [
        ("OIDC_ISSUER", "http://10.0.0.1"),
        ("OIDC_ISSUER", "id.example.org"),
        ("OIDC_ISSUER", "https://id.example.org/?tenant=1"),
        ("OIDC_REDIRECT_URL", "http://steward.example.org/api/v1/auth/oidc/callback"),
        ("OIDC_UI_URL", "javascript:alert(1)"),
        ("OIDC_UI_URL", "https://app.example.com/#here"),
    ] {
        assert_eq!(mistaken(&[(name, value)]), [name], "{value}");
    }
}

#[test]
fn what_does_not_go_together_is_refused() {
    let create = ("OIDC_CREATE_USERS", "true");
    assert_eq!(mistaken(&[create]), ["OIDC_DEFAULT_ROLE"]);
    let member = ("OIDC_DEFAULT_ROLE", "member");
    let whole = |others: &[(&str, &str)]| Config::from_map(&map(&[&WHOLE, others].concat())).is_ok();
    assert!(whole(&[create, member]) && whole(&[create, ("OIDC_VIEWER_GROUPS", "all")]));

    // Somebody could have made the account before its owner came.
    let link = ("OIDC_LINK_BY_EMAIL", "true");
    let unverified = ("OIDC_REQUIRE_VERIFIED_EMAIL", "false");
    assert!(whole(&[link]) && whole(&[link, create, member]) && whole(&[link, unverified]));
    assert_eq!(mistaken(&[link, ("ALLOW_REGISTRATION", "true")]), ["OIDC_LINK_BY_EMAIL"]);
    assert_eq!(mistaken(&[link, create, member, unverified]), ["OIDC_LINK_BY_EMAIL"]);
}
