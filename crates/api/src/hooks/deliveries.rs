//! `POST /hooks/{id}/test`, `GET /hooks/{id}/deliveries` and `POST …/deliveries/{delivery_id}/redeliver`.

use super::response::HookDeliveryResponse;
use crate::{ApiState, caller::Caller, error::problem, page::Here, sessions::HistoryQuery};
use actix_web::web::Data;
use apidoc::{
    Accepted, Fail, Fetched, Forbidden, Invalid, Linked, NotFound, PathParams, Unavailable, ValidQuery,
};
use domain::{HookDeliveryId, HookEndpointId};
use paperclip::actix::api_v2_operation;
use uuid::Uuid;

/// Try a hook out
///
/// Sends a message of type `test` at once, and answers with what came of it.
#[api_v2_operation(tags(Hooks), operation_id = "testHook")]
pub async fn test(
    state: Data<ApiState>,
    caller: Caller,
    id: PathParams<Uuid>,
) -> Result<Fetched<HookDeliveryResponse>, Fail<(Forbidden, NotFound, Unavailable)>> {
    let sent = state.sessions.test_hook(&caller.0, HookEndpointId(id.0)).await.map_err(problem)?;
    Ok(Fetched::new(sent.into()))
}

/// List what was sent to a hook
///
/// Newest first. Questions to a hook that decides are not messages; they are with the runs of their session.
#[api_v2_operation(tags(Hooks), operation_id = "listHookDeliveries")]
pub async fn list(
    state: Data<ApiState>,
    caller: Caller,
    id: PathParams<Uuid>,
    here: Here,
    query: ValidQuery<HistoryQuery>,
) -> Result<Linked<Fetched<Vec<HookDeliveryResponse>>>, Fail<(Forbidden, NotFound, Invalid, Unavailable)>> {
    let request = query.0.request();
    let page = state.sessions.hook_deliveries(&caller.0, HookEndpointId(id.0), &request).await;
    let page = page.map_err(problem)?;
    let next = here.next(page.next_cursor.as_deref());
    let deliveries = page.items.into_iter().map(HookDeliveryResponse::from).collect();
    Ok(Linked::next(Fetched::new(deliveries), next.as_deref()))
}

/// Send a message again
///
/// Under the same `webhook-id`, whatever came of it before.
#[api_v2_operation(tags(Hooks), operation_id = "redeliverHookDelivery")]
pub async fn redeliver(
    state: Data<ApiState>,
    caller: Caller,
    path: PathParams<(Uuid, Uuid)>,
) -> Result<Accepted<HookDeliveryResponse>, Fail<(Forbidden, NotFound, Unavailable)>> {
    let (id, delivery_id) = path.0;
    let due = state.sessions.redeliver(&caller.0, HookEndpointId(id), HookDeliveryId(delivery_id)).await;
    let location = format!("/api/v1/hooks/{id}/deliveries");
    Ok(Accepted::at(due.map_err(problem)?.into(), location))
}
