//! HTTP endpoints as people manage them, what hooks did in a session, and what was sent.

use crate::{
    Error, FieldError, Result, SessionManager,
    owned::{OWNED_MAX, unless_full},
    seen::changed_as_seen,
};
use domain::{
    Caller, Expected, FailMode, HookDelivery, HookDeliveryId, HookDeliveryStatus, HookEndpoint,
    HookEndpointId, HookEndpointKind, HookRun, Page, PageRequest, Role, SessionId,
    hook::{HookEndpointPatch, HookRunFilter, SecretRotation},
};
use hooks::{
    Matcher,
    limits::{ENDPOINT_TIMEOUT_MAX_MS, ENDPOINT_TIMEOUT_MIN_MS, LEASE, OLD_SECRET_LIFE},
    webhook::{fresh_secret, message},
};
use sdk_runtime::{HookEvent, HookOutput};
use secrecy::SecretString;
use serde_json::json;

/// The type of the message that tries an endpoint out.
const TEST_EVENT: &str = "test";
/// Events of which a host's hook never hears.
const NEVER_HEARD: [HookEvent; 2] = [HookEvent::SessionEnd, HookEvent::Setup];
/// Events whose hook does the work: an agent that has one waits for the worktree instead of making it.
const DONE_BY_THE_HOOK: [HookEvent; 2] = [HookEvent::WorktreeCreate, HookEvent::WorktreeRemove];

/// An endpoint as its owner wants it.
#[derive(Debug, Clone)]
pub struct HookDraft {
    pub name: String,
    pub url: String,
    pub kind: HookEndpointKind,
    pub event_types: Vec<String>,
    pub tool_matcher: Option<String>,
    pub timeout_ms: u32,
    pub order: i32,
    /// Left out, an endpoint that decides fails closed where that is possible.
    pub fail_mode: Option<FailMode>,
    pub is_enabled: bool,
    pub is_global: bool,
}

impl SessionManager {
    /// Makes an endpoint; the secret it is signed for is shown this once.
    pub async fn create_hook(
        &self,
        caller: &Caller,
        draft: HookDraft,
    ) -> Result<(HookEndpoint, SecretString)> {
        let inner = &self.inner;
        if !inner.hooks.switches().custom {
            return Err(Error::Forbidden("custom hooks are switched off on this server"));
        }
        only_admins_reach_everybody(caller, draft.is_global)?;
        let (id, secret, now) = (HookEndpointId::new(), fresh_secret(), inner.clock.now());
        let sealed = inner.hooks.sealer().seal(id, &secret);
        let can_refuse = draft.event_types.iter().all(|event| can_refuse(event));
        let default_mode = match draft.kind {
            HookEndpointKind::Decision if can_refuse => FailMode::Closed,
            HookEndpointKind::Decision | HookEndpointKind::Notification => FailMode::Open,
        };
        let endpoint = HookEndpoint {
            id,
            user_id: caller.user_id,
            name: draft.name,
            url: draft.url,
            kind: draft.kind,
            event_types: draft.event_types,
            tool_matcher: draft.tool_matcher,
            timeout_ms: draft.timeout_ms,
            order: draft.order,
            fail_mode: draft.fail_mode.unwrap_or(default_mode),
            is_enabled: draft.is_enabled,
            is_global: draft.is_global,
            secret: sealed.map_err(|_| Error::Internal("seal the secret of a hook"))?,
            old_secret: None,
            created_at: now,
            updated_at: now,
        };
        let endpoint = self.checked(endpoint)?;
        let stored = inner.stores.hooks.create_endpoint(&endpoint, OWNED_MAX, &caller.origin()).await?;
        unless_full(stored, "hooks", OWNED_MAX)?;
        self.renew_agents(&endpoint);
        Ok((endpoint, secret))
    }

    /// The caller's endpoints, newest first.
    pub async fn hooks(&self, caller: &Caller, page: &PageRequest) -> Result<Page<HookEndpoint>> {
        Ok(self.inner.stores.hooks.endpoints(caller.scope(), page).await?)
    }

    /// One of the caller's endpoints.
    pub async fn hook(&self, caller: &Caller, id: HookEndpointId) -> Result<HookEndpoint> {
        let found = self.inner.stores.hooks.endpoint(caller.scope(), id).await?;
        found.ok_or(Error::NotFound("hook"))
    }

    /// The same, if the caller may reach whomever it concerns: what it is sent holds what agents of others do.
    async fn reachable_hook(&self, caller: &Caller, id: HookEndpointId) -> Result<HookEndpoint> {
        let endpoint = self.hook(caller, id).await?;
        only_admins_reach_everybody(caller, endpoint.is_global)?;
        Ok(endpoint)
    }

    /// Changes an endpoint. It holds from the next prompt of a session on.
    pub async fn patch_hook(
        &self,
        caller: &Caller,
        id: HookEndpointId,
        patch: HookEndpointPatch,
        expected: &Expected,
    ) -> Result<HookEndpoint> {
        let (hooks, origin) = (&self.inner.stores.hooks, caller.origin());
        let (before, patched) = changed_as_seen(expected, async || {
            let before = self.hook(caller, id).await?;
            only_admins_reach_everybody(caller, before.is_global || patch.is_global == Some(true))?;
            let (seen, now) = (expected.as_seen(&before)?, self.inner.clock.now());
            let url = self.checked(patch.apply(before.clone(), now))?.url;
            let patch = HookEndpointPatch { url: patch.url.as_ref().map(|_| url), ..patch.clone() };
            let patched = hooks.patch_endpoint(caller.scope(), id, &patch, &seen, now, &origin).await?;
            Ok((before, patched.ok_or(Error::NotFound("hook"))?))
        })
        .await?;
        self.renew_agents(&before);
        self.renew_agents(&patched);
        Ok(patched)
    }

    /// Deletes an endpoint and what was to be sent to it. Sessions that name it do not start agents any more.
    pub async fn delete_hook(&self, caller: &Caller, id: HookEndpointId, expected: &Expected) -> Result<()> {
        let (hooks, origin) = (&self.inner.stores.hooks, caller.origin());
        let deleted = changed_as_seen(expected, async || {
            let endpoint = self.reachable_hook(caller, id).await?;
            let (seen, now) = (expected.as_seen(&endpoint)?, self.inner.clock.now());
            let is_deleted = hooks.delete_endpoint(caller.scope(), id, &seen, now, &origin).await?;
            if is_deleted { Ok(endpoint) } else { Err(Error::NotFound("hook")) }
        })
        .await?;
        self.renew_agents(&deleted);
        Ok(())
    }

    /// Gives an endpoint a new secret, shown this once; the one before it signs beside it for a day.
    pub async fn rotate_hook_secret(
        &self,
        caller: &Caller,
        id: HookEndpointId,
    ) -> Result<(HookEndpoint, SecretString)> {
        let (secret, any) = (fresh_secret(), Expected::ANY);
        let sealed = self.inner.hooks.sealer().seal(id, &secret);
        let sealed = sealed.map_err(|_| Error::Internal("seal the secret of a hook"))?;
        let (hooks, origin) = (&self.inner.stores.hooks, caller.origin());
        changed_as_seen(&any, async || {
            let endpoint = self.reachable_hook(caller, id).await?;
            let (seen, now) = (any.as_seen(&endpoint)?, self.inner.clock.now());
            let rotation = SecretRotation { secret: sealed.clone(), old_until: now + OLD_SECRET_LIFE };
            let is_rotated = hooks.rotate_secret(caller.scope(), id, &rotation, &seen, now, &origin).await?;
            if is_rotated { Ok(()) } else { Err(Error::NotFound("hook")) }
        })
        .await?;
        let rotated = self.hook(caller, id).await?;
        self.renew_agents(&rotated);
        Ok((rotated, secret))
    }

    /// Sends a message now that tries the endpoint out, whether it is enabled or not, and waits for what comes of it.
    pub async fn test_hook(&self, caller: &Caller, id: HookEndpointId) -> Result<HookDelivery> {
        let endpoint = self.reachable_hook(caller, id).await?;
        let now = self.inner.clock.now();
        let delivery = HookDelivery {
            id: HookDeliveryId::new(),
            endpoint_id: id,
            session_id: None,
            event_type: TEST_EVENT.to_owned(),
            payload: message(TEST_EVENT, now, &json!({ "hook_name": endpoint.name })),
            status: HookDeliveryStatus::Pending,
            attempts: 0,
            // Ours until then; if this server dies meanwhile, another attempt is as good.
            next_attempt_at: Some(now + LEASE),
            last_attempt_at: None,
            response_status: None,
            error: None,
            created_at: now,
        };
        self.inner.stores.hooks.record_hook_runs(vec![], vec![delivery.clone()], now).await?;
        // Whoever tries it out sees that it failed; to hear of it again later would only surprise.
        let attempt = self.inner.hooks.sender().attempt_once(&delivery, &endpoint).await;
        Ok(delivery.after(&attempt))
    }

    /// What was sent to an endpoint, newest first.
    pub async fn hook_deliveries(
        &self,
        caller: &Caller,
        id: HookEndpointId,
        page: &PageRequest,
    ) -> Result<Page<HookDelivery>> {
        self.reachable_hook(caller, id).await?;
        Ok(self.inner.stores.hooks.deliveries(id, page).await?)
    }

    /// Sends a message again, under the same id.
    pub async fn redeliver(
        &self,
        caller: &Caller,
        id: HookEndpointId,
        delivery: HookDeliveryId,
    ) -> Result<HookDelivery> {
        self.reachable_hook(caller, id).await?;
        let now = self.inner.clock.now();
        let due = self.inner.stores.hooks.redeliver(id, delivery, now).await?;
        self.inner.hooks.sender().news.notify_one();
        due.ok_or(Error::NotFound("delivery"))
    }

    /// What hooks did in a session, newest first.
    pub async fn hook_runs(
        &self,
        caller: &Caller,
        id: SessionId,
        filter: &HookRunFilter,
        page: &PageRequest,
    ) -> Result<Page<HookRun>> {
        self.load(caller.scope(), id).await?;
        Ok(self.inner.stores.hooks.hook_runs(id, filter, page).await?)
    }

    /// The endpoint, if its fields make sense together.
    fn checked(&self, mut endpoint: HookEndpoint) -> Result<HookEndpoint> {
        let mut faults = vec![];
        let mut fault =
            |pointer: &str, code, message: &str| faults.push(FieldError::new(pointer, code, message));
        if self.inner.hooks.is_reserved(&endpoint.name) {
            fault("/name", "reserved", "is the name of a hook of this server");
        }
        match self.inner.hooks.client().check_url(&endpoint.url) {
            Ok(url) => endpoint.url = url,
            Err(refused) => fault("/url", "url", refused.0),
        }
        if let Err(bad) = Matcher::parse(endpoint.tool_matcher.as_deref()) {
            fault("/tool_matcher", "pattern", &format!("could not {bad}"));
        }
        if !(ENDPOINT_TIMEOUT_MIN_MS..=ENDPOINT_TIMEOUT_MAX_MS).contains(&endpoint.timeout_ms) {
            let message = format!("must be from {ENDPOINT_TIMEOUT_MIN_MS} to {ENDPOINT_TIMEOUT_MAX_MS}");
            fault("/timeout_ms", "range", &message);
        }
        for (index, word) in endpoint.event_types.iter().enumerate() {
            let event = HookEvent::from(word.as_str());
            let pointer = format!("/event_types/{index}");
            if matches!(event, HookEvent::Other(_)) || NEVER_HEARD.contains(&event) {
                fault(&pointer, "enum", "is no event that a hook can hear of");
            } else if endpoint.kind == HookEndpointKind::Notification && DONE_BY_THE_HOOK.contains(&event) {
                fault(&pointer, "unsupported", "is an event whose hook does the work");
            } else if endpoint.fail_mode == FailMode::Closed && !can_refuse(word) {
                let message = "is an event that cannot be refused, so a hook of it cannot fail closed";
                fault(&pointer, "unsupported", message);
            }
        }
        if endpoint.kind == HookEndpointKind::Notification {
            if endpoint.fail_mode == FailMode::Closed {
                fault("/fail_mode", "unsupported", "is only for hooks that decide");
            }
            if !self.inner.hooks.switches().notification {
                fault("/kind", "unsupported", "notifications are switched off on this server");
            }
        }
        if faults.is_empty() { Ok(endpoint) } else { Err(Error::Invalid(faults)) }
    }

    fn renew_agents(&self, endpoint: &HookEndpoint) {
        self.renew_agents_of(endpoint.concerns());
    }
}

fn can_refuse(event: &str) -> bool {
    HookOutput::refuse(&HookEvent::from(event), "").is_some()
}

fn only_admins_reach_everybody(caller: &Caller, is_global: bool) -> Result<()> {
    match caller.role {
        Role::Admin => Ok(()),
        Role::Member | Role::Viewer if !is_global => Ok(()),
        Role::Member | Role::Viewer => {
            Err(Error::Forbidden("only admins may make hooks for everybody, and manage them"))
        }
    }
}
