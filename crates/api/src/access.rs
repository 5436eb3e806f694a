//! What a credential must reach for each address: the one table of it, which the document shows for each operation.

use actix_web::http::Method;
use domain::{Access, Area, Caller, Credential, Reach};

/// What an operation needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// This scope.
    Scope(Area, Reach),
    /// A login, which everybody may end, whatever they may do beside that. An API key needs the scope to end logins.
    OwnLogin,
}

/// Addresses that are not of the area they begin with, or do not do what their method says. The first match counts.
const EXCEPTIONS: &[(&str, &str, Need)] = &[
    ("POST", "/auth/logout", Need::OwnLogin),
    ("POST", "/auth/logout-all", Need::OwnLogin),
    ("GET", "/sessions/{id}/approvals", Need::Scope(Area::Approvals, Reach::Read)),
    ("POST", "/sessions/{id}/approvals/{approval_id}", Need::Scope(Area::Approvals, Reach::Write)),
    // A search and a question, with more to say than fits into an address.
    ("POST", "/session-templates/search", Need::Scope(Area::SessionTemplates, Reach::Read)),
    ("POST", "/policies/evaluate", Need::Scope(Area::Policies, Reach::Read)),
];

/// Where the areas are.
const BASE: &str = "/api/v1";

/// What is needed for a method at an address as the routes word it. `None` where there is no area: whoever asks there
/// must reach everything.
pub fn need(method: &Method, route: &str) -> Option<Need> {
    let path = route.strip_prefix(BASE)?;
    let exception = EXCEPTIONS.iter().find(|(of, at, _)| method == *of && path == *at);
    if let Some((_, _, need)) = exception {
        return Some(*need);
    }
    let area = Area::parse(path.strip_prefix('/')?.split('/').next()?)?;
    let reads = [Method::GET, Method::HEAD].contains(method);
    Some(Need::Scope(area, if reads { Reach::Read } else { Reach::Write }))
}

impl Need {
    /// The least that meets it, by whatever credential.
    pub fn access(self) -> Access {
        match self {
            Self::Scope(area, reach) => Access::to(area, reach),
            Self::OwnLogin => Access::to(Area::Auth, Reach::Write),
        }
    }

    fn is_met_by(self, caller: &Caller) -> bool {
        let is_login = matches!(caller.credential, Credential::Login(_));
        self == Self::OwnLogin && is_login || caller.access.covers(self.access())
    }
}

/// What this caller lacks for what they ask.
pub fn lack(caller: &Caller, method: &Method, route: Option<&str>) -> Option<Access> {
    match route.and_then(|route| need(method, route)) {
        Some(need) if need.is_met_by(caller) => None,
        Some(need) => Some(need.access()),
        None if caller.access.covers(Access::READ) && *method == Method::GET => None,
        None if caller.access == Access::WRITE => None,
        None => Some(Access::WRITE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{ApiKeyId, FamilyId, Role, Source, UserId};

    fn caller(access: &str, credential: Credential) -> Caller {
        let access = Access::parse(access).unwrap();
        let (user_id, source) = (UserId::new(), Source::default());
        Caller { user_id, role: Role::Member, access, credential, source }
    }

    fn lacks(caller: &Caller, method: Method, route: &str) -> Option<String> {
        lack(caller, &method, Some(&format!("/api/v1{route}"))).map(|lacks| lacks.to_string())
    }

    #[test]
    fn an_address_needs_the_scope_of_its_area() {
        let key = Credential::ApiKey(ApiKeyId::new());
        let sessions = caller("sessions:write", key);
        assert_eq!(lacks(&sessions, Method::GET, "/sessions"), None);
        assert_eq!(lacks(&sessions, Method::DELETE, "/sessions/{id}"), None);
        assert_eq!(lacks(&sessions, Method::GET, "/tasks").as_deref(), Some("tasks:read"));
        assert_eq!(lacks(&sessions, Method::POST, "/tasks").as_deref(), Some("tasks:write"));
        let answer = "/sessions/{id}/approvals/{approval_id}";
        assert_eq!(lacks(&sessions, Method::POST, answer).as_deref(), Some("approvals:write"));
        assert_eq!(lacks(&sessions, Method::GET, "/nowhere").as_deref(), Some("write"));
        assert_eq!(
            lack(&sessions, &Method::GET, None).map(|lacks| lacks.to_string()).as_deref(),
            Some("write")
        );
        assert_eq!(lacks(&caller("read", key), Method::POST, "/session-templates/search"), None);
    }

    #[test]
    fn everybody_ends_their_own_login_and_a_key_needs_to_be_let() {
        let login = Credential::Login(FamilyId::new());
        assert_eq!(lacks(&caller("read", login), Method::POST, "/auth/logout-all"), None);
        assert_eq!(lacks(&caller("read", login), Method::PATCH, "/auth/me").as_deref(), Some("auth:write"));
        let key = caller("read", Credential::ApiKey(ApiKeyId::new()));
        assert_eq!(lacks(&key, Method::POST, "/auth/logout-all").as_deref(), Some("auth:write"));
    }
}
