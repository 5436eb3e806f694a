//! A row of `reports`.

use crate::value::{Reader, micros, stored};
use domain::{Report, ReportFormat, ReportId, ReportParts, SessionId, UserId, ports::StoreError};
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "reports")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub user_id: Uuid,
    pub session_id: Uuid,
    pub session_name: Option<String>,
    pub format: String,
    pub has_messages: bool,
    pub has_tool_calls: bool,
    pub has_metrics: bool,
    pub size_bytes: i64,
    pub is_shortened: bool,
    pub created_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl From<&Report> for Model {
    fn from(report: &Report) -> Self {
        Self {
            id: report.id.0,
            user_id: report.user_id.0,
            session_id: report.session_id.0,
            session_name: report.session_name.clone(),
            format: report.format.as_str().to_owned(),
            has_messages: report.parts.messages,
            has_tool_calls: report.parts.tool_calls,
            has_metrics: report.parts.metrics,
            size_bytes: stored(report.size_bytes),
            is_shortened: report.is_shortened,
            created_at: micros(report.created_at),
        }
    }
}

impl TryFrom<Model> for Report {
    type Error = StoreError;
    fn try_from(row: Model) -> Result<Self, StoreError> {
        let reader = Reader("reports");
        Ok(Self {
            id: ReportId(row.id),
            user_id: UserId(row.user_id),
            session_id: SessionId(row.session_id),
            session_name: row.session_name,
            format: reader.word("format", ReportFormat::parse, &row.format)?,
            parts: ReportParts {
                messages: row.has_messages,
                tool_calls: row.has_tool_calls,
                metrics: row.has_metrics,
            },
            size_bytes: reader.figure("size_bytes", row.size_bytes)?,
            is_shortened: row.is_shortened,
            created_at: reader.instant("created_at", row.created_at)?,
        })
    }
}
