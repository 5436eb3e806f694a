//! What a provider claims about somebody, in ID tokens and at its userinfo endpoint, made into what we keep.

use domain::identity::ClaimedEmail;
use openidconnect::{
    AdditionalClaims, EndUserEmail, EndUserName, IdTokenClaims, LocalizedClaim, UserInfoClaims,
    core::CoreGenderClaim,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Longest texts that are kept, in characters; those of the API.
const EMAIL_CHARS_MAX: usize = 254;
const NAME_CHARS_MAX: usize = 255;
/// Most groups that are looked at.
const GROUPS_MAX: usize = 1000;

/// The claims that OpenID Connect does not name.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct OtherClaims(Map<String, Value>);

impl AdditionalClaims for OtherClaims {}

/// What one source says of somebody; what it does not say is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) email: Option<ClaimedEmail>,
    pub(crate) full_name: Option<String>,
    pub(crate) groups: Option<Vec<String>>,
}

impl Said {
    pub(crate) fn of_token(claims: &IdTokenClaims<OtherClaims, CoreGenderClaim>, groups: &str) -> Self {
        Self {
            email: claims.email().and_then(|email| claimed(email, claims.email_verified())),
            full_name: claims.name().and_then(full_name),
            groups: claims.additional_claims().strings(groups),
        }
    }

    pub(crate) fn of_userinfo(claims: &UserInfoClaims<OtherClaims, CoreGenderClaim>, groups: &str) -> Self {
        Self {
            email: claims.email().and_then(|email| claimed(email, claims.email_verified())),
            full_name: claims.name().and_then(full_name),
            groups: claims.additional_claims().strings(groups),
        }
    }

    /// This, and where it is silent the other. An address and whether it was verified are never of two sources.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            email: self.email.or(other.email),
            full_name: self.full_name.or(other.full_name),
            groups: self.groups.or(other.groups),
        }
    }
}

impl OtherClaims {
    /// The texts of a claim, by its name or by a JSON pointer.
    fn strings(&self, claim: &str) -> Option<Vec<String>> {
        let (first, rest) = match claim.strip_prefix('/') {
            None => (claim.to_owned(), None),
            Some(path) => {
                let (first, rest) =
                    path.find('/').map_or((path, None), |at| (&path[..at], Some(&path[at..])));
                (first.replace("~1", "/").replace("~0", "~"), rest)
            }
        };
        let found = self.0.get(&first)?;
        let found = rest.map_or(Some(found), |rest| found.pointer(rest))?;
        let texts = match found {
            Value::String(text) => vec![text.clone()],
            Value::Array(items) => {
                items.iter().filter_map(Value::as_str).take(GROUPS_MAX).map(str::to_owned).collect()
            }
            _ => vec![],
        };
        Some(texts)
    }
}

/// An address that can be somebody's; whoever does not say that it is verified has not verified it.
fn claimed(email: &EndUserEmail, is_verified: Option<bool>) -> Option<ClaimedEmail> {
    let address = email.trim().to_lowercase();
    let is_plain = |c: char| !c.is_whitespace() && !c.is_control();
    let (local, host) = address.split_once('@')?;
    let is_address = !local.is_empty() && !host.is_empty() && !host.contains('@');
    let is_fit = is_address && address.chars().all(is_plain) && address.chars().count() <= EMAIL_CHARS_MAX;
    is_fit.then(|| ClaimedEmail { address, is_verified: is_verified == Some(true) })
}

/// One line of text.
fn full_name(name: &LocalizedClaim<EndUserName>) -> Option<String> {
    let name = name.get(None).or_else(|| name.iter().next().map(|(_, name)| name))?;
    let line: String = name.trim().chars().filter(|c| !c.is_control()).take(NAME_CHARS_MAX).collect();
    (!line.is_empty()).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn claims(value: Value) -> OtherClaims {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn groups_are_found_by_name_or_by_pointer() {
        let claims = claims(json!({
            "groups": ["a", 7, "b"],
            "role": "admin",
            "https://example.org/roles": ["c"],
            "realm_access": { "roles": ["d"], "a/b": ["e"] },
            "flag": true,
        }));
        let of = |claim: &str| claims.strings(claim);
        assert_eq!(of("groups"), Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(of("role"), Some(vec!["admin".to_owned()]));
        assert_eq!(of("https://example.org/roles"), Some(vec!["c".to_owned()]));
        assert_eq!(of("/realm_access/roles"), Some(vec!["d".to_owned()]));
        assert_eq!(of("/realm_access/a~1b"), Some(vec!["e".to_owned()]));
        assert_eq!(of("/groups"), of("groups"));
        assert_eq!(of("flag"), Some(vec![]), "what is no text is no group");
        assert_eq!(
            (of("nothing"), of("/realm_access/nothing"), of("realm_access.roles")),
            (None, None, None)
        );
    }

    #[test]
    fn an_address_is_verified_only_if_that_is_said() {
        let of = |text: &str, is_verified| claimed(&EndUserEmail::new(text.to_owned()), is_verified);
        let ada = |is_verified| Some(ClaimedEmail { address: "ada@example.org".to_owned(), is_verified });
        assert_eq!(of(" Ada@Example.ORG", Some(true)), ada(true));
        assert_eq!(of("ada@example.org", Some(false)), ada(false));
        assert_eq!(of("ada@example.org", None), ada(false));
        for nothing in ["", "ada", "@example.org", "ada@", "a@b@c", "a b@example.org", "a\0@example.org"] {
            assert_eq!(of(nothing, Some(true)), None, "{nothing:?}");
        }
        assert_eq!(of(&format!("{}@example.org", "a".repeat(250)), Some(true)), None);
    }

    #[test]
    fn what_one_source_does_not_say_the_other_may() {
        let email = |address: &str, is_verified| ClaimedEmail { address: address.to_owned(), is_verified };
        let token = Said { email: Some(email("a@x", false)), full_name: None, groups: None };
        let userinfo = Said {
            email: Some(email("b@x", true)),
            full_name: Some("Ada".to_owned()),
            groups: Some(vec!["g".to_owned()]),
        };
        let both = token.or(userinfo.clone());
        assert_eq!(both.email, Some(email("a@x", false)), "not verified by what is said of another one");
        assert_eq!((both.full_name, both.groups), (userinfo.full_name, userinfo.groups));
    }
}
