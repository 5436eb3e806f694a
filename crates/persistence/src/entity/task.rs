//! A row of `tasks`.

use crate::{
    entity::session::search_text,
    value::{Reader, micros, stored, to_json},
};
use domain::{
    Task, TaskId, UserId,
    hook::SealedSecret,
    ports::{StoreError, StoreResult},
};
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "tasks")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub user_id: Uuid,
    pub name: String,
    pub description: Option<String>,
    pub search_text: String,
    pub spec: Json,
    pub webhook_secret: Option<Vec<u8>>,
    pub tags: String,
    pub is_scheduled: bool,
    pub schedule_cron: Option<String>,
    pub timezone: String,
    pub schedule_enabled: bool,
    pub next_run_at: Option<i64>,
    pub priority: i64,
    pub max_retries: i64,
    pub retry_delay_ms: i64,
    pub created_at: i64,
    pub updated_at: i64,
    pub deleted_at: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// What separates tags, and stands before the first and after the last one.
const SEPARATOR: char = '\n';

/// A tag as the column has it.
pub(crate) fn tagged(tag: &str) -> String {
    format!("{SEPARATOR}{tag}{SEPARATOR}")
}

impl Model {
    /// The row of a task that is not deleted.
    pub(crate) fn new(task: &Task) -> StoreResult<Self> {
        Ok(Self {
            id: task.id.0,
            user_id: task.user_id.0,
            name: task.name.clone(),
            description: task.description.clone(),
            search_text: search_text(Some(&task.name), task.description.as_deref()),
            spec: to_json(&task.spec)?,
            webhook_secret: task.webhook_secret.clone().map(|secret| secret.0),
            tags: if task.tags.is_empty() { String::new() } else { tagged(&task.tags.join("\n")) },
            is_scheduled: task.is_scheduled,
            schedule_cron: task.schedule_cron.clone(),
            timezone: task.timezone.clone(),
            schedule_enabled: task.schedule_enabled,
            next_run_at: task.next_run_at.map(micros),
            priority: task.priority.into(),
            max_retries: task.max_retries.into(),
            retry_delay_ms: stored(task.retry_delay_ms),
            created_at: micros(task.created_at),
            updated_at: micros(task.updated_at),
            deleted_at: None,
        })
    }
}

impl TryFrom<Model> for Task {
    type Error = StoreError;
    fn try_from(row: Model) -> Result<Self, StoreError> {
        let reader = Reader("tasks");
        Ok(Self {
            id: TaskId(row.id),
            user_id: UserId(row.user_id),
            name: row.name,
            description: row.description,
            spec: reader.json("spec", row.spec)?,
            webhook_secret: row.webhook_secret.map(SealedSecret),
            tags: row.tags.split(SEPARATOR).filter(|tag| !tag.is_empty()).map(str::to_owned).collect(),
            is_scheduled: row.is_scheduled,
            schedule_cron: row.schedule_cron,
            timezone: row.timezone,
            schedule_enabled: row.schedule_enabled,
            next_run_at: reader.instant_if("next_run_at", row.next_run_at)?,
            priority: reader.figure("priority", row.priority)?,
            max_retries: reader.figure("max_retries", row.max_retries)?,
            retry_delay_ms: reader.figure("retry_delay_ms", row.retry_delay_ms)?,
            created_at: reader.instant("created_at", row.created_at)?,
            updated_at: reader.instant("updated_at", row.updated_at)?,
        })
    }
}
