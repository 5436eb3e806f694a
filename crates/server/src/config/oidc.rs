//! Logging in by way of an identity provider.

use domain::Role;
use engine::{OidcSettings, oidc::RoleRules};
use oidc::{Issuer, ProviderSettings, is_safe};
use url::Url;

use super::{
    parse::{boolean, list, non_empty},
    reader::Reader,
    seconds,
};

/// The scope that every request has, whether it is listed or not.
const OPENID: &str = "openid";
const SAFE_URL: &str =
    "an https:// URL without user and fragment; http:// only for this machine (127.0.0.1, ::1, localhost)";

/// The provider, and who is let in that comes from there.
#[derive(Debug, Clone)]
pub struct OidcConfig {
    pub provider: ProviderSettings,
    pub logins: OidcSettings,
}

impl OidcConfig {
    /// `Some(None)` without a provider. Strangers who make themselves accounts give addresses that nobody has verified.
    pub(super) fn read(reader: &mut Reader<'_>, is_registration_open: bool) -> Option<Option<Self>> {
        let issuer = reader.option("OIDC_ISSUER", |text| {
            Issuer::parse(text).ok_or_else(|| format!("the issuer as the provider spells it, {SAFE_URL}"))
        });
        let client_id = reader.option("OIDC_CLIENT_ID", non_empty);
        let client_secret = reader.secret("OIDC_CLIENT_SECRET", |_| Ok(()));
        let redirect_url = reader.option("OIDC_REDIRECT_URL", safe_url);
        let scopes = reader.value("OIDC_SCOPES", "openid email profile", scopes);
        let ui_url = reader.option("OIDC_UI_URL", safe_url);
        let creates_users = reader.value("OIDC_CREATE_USERS", "false", boolean);
        let wants_verified_email = reader.value("OIDC_REQUIRE_VERIFIED_EMAIL", "true", boolean);
        let links_by_email = reader.value("OIDC_LINK_BY_EMAIL", "false", boolean);
        let groups_claim = reader.value("OIDC_GROUPS_CLAIM", "groups", non_empty);
        let admins = reader.option("OIDC_ADMIN_GROUPS", groups);
        let members = reader.option("OIDC_MEMBER_GROUPS", groups);
        let viewers = reader.option("OIDC_VIEWER_GROUPS", groups);
        let otherwise = reader.value("OIDC_DEFAULT_ROLE", "none", default_role);
        let clock_skew = reader.value("OIDC_CLOCK_SKEW_SECONDS", "60", seconds(0..=600));

        let needed = [
            ("OIDC_ISSUER", matches!(issuer, Some(None))),
            ("OIDC_CLIENT_ID", matches!(client_id, Some(None))),
            ("OIDC_REDIRECT_URL", matches!(redirect_url, Some(None))),
        ];
        if needed.iter().all(|(_, is_missing)| *is_missing) && matches!(client_secret, Some(None)) {
            return Some(None);
        }
        for (name, _) in needed.iter().filter(|(_, is_missing)| *is_missing) {
            reader.mistake(name, "all of OIDC_ISSUER, OIDC_CLIENT_ID and OIDC_REDIRECT_URL, or none");
        }
        let roles = RoleRules {
            admins: admins?.unwrap_or_default(),
            members: members?.unwrap_or_default(),
            viewers: viewers?.unwrap_or_default(),
            otherwise: otherwise?,
        };
        let wants_groups = roles.decide();
        let is_over_tls = redirect_url.iter().flatten().any(|url| url.scheme() == "https");
        let logins = OidcSettings {
            creates_users: creates_users?,
            links_by_email: links_by_email?,
            wants_verified_email: wants_verified_email?,
            ui_url: ui_url?.map(String::from),
            is_over_tls,
            roles,
        };
        look_at(reader, &logins, is_registration_open);
        let provider = ProviderSettings {
            issuer: issuer??,
            client_id: client_id??,
            client_secret: client_secret?,
            redirect_url: redirect_url??,
            scopes: scopes?,
            groups_claim: groups_claim?,
            wants_groups,
            clock_skew: clock_skew?,
        };
        Some(Some(Self { provider, logins }))
    }
}

/// Notes which of these decisions do not go together.
fn look_at(reader: &mut Reader<'_>, logins: &OidcSettings, is_registration_open: bool) {
    // Whoever made an account with an address that is not theirs would share it with whose address it is.
    let may_be_squatted = is_registration_open || logins.creates_users && !logins.wants_verified_email;
    if logins.links_by_email && may_be_squatted {
        reader.mistake(
            "OIDC_LINK_BY_EMAIL",
            "false while accounts can have addresses that nobody verified: with ALLOW_REGISTRATION=true, or \
             OIDC_CREATE_USERS=true and OIDC_REQUIRE_VERIFIED_EMAIL=false",
        );
    }
    if logins.creates_users && !logins.roles.decide() && logins.roles.otherwise.is_none() {
        reader.mistake(
            "OIDC_DEFAULT_ROLE",
            "member or viewer, or groups in OIDC_ADMIN_GROUPS, OIDC_MEMBER_GROUPS or OIDC_VIEWER_GROUPS, while \
             OIDC_CREATE_USERS is true",
        );
    }
}

fn safe_url(text: &str) -> Result<Url, String> {
    let is_fit = |url: &Url| {
        is_safe(url) && url.fragment().is_none() && url.username().is_empty() && url.password().is_none()
    };
    Url::parse(text).ok().filter(is_fit).ok_or_else(|| SAFE_URL.to_owned())
}

/// As OAuth 2.0 lists them, between spaces; commas do too.
fn scopes(text: &str) -> Result<Vec<String>, String> {
    // RFC 6749: visible ASCII but quotes and backslashes.
    let is_plain = |c: char| c.is_ascii_graphic() && !['"', '\\'].contains(&c);
    let words = text.split([' ', ',']).filter(|word| !word.is_empty());
    let is_scope = |word: &&str| word.chars().all(is_plain);
    match words.clone().all(|word| is_scope(&word)) {
        true => Ok(words.filter(|word| *word != OPENID).map(str::to_owned).collect()),
        false => Err("scopes such as openid email profile, with spaces between".to_owned()),
    }
}

fn groups(text: &str) -> Result<Vec<String>, String> {
    Ok(list(text).into_iter().map(str::to_owned).collect())
}

fn default_role(text: &str) -> Result<Option<Role>, String> {
    match text {
        "none" => Ok(None),
        "viewer" => Ok(Some(Role::Viewer)),
        "member" => Ok(Some(Role::Member)),
        _ => Err("member, viewer or none; admins are made by OIDC_ADMIN_GROUPS or by admins".to_owned()),
    }
}
