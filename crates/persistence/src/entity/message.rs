//! A row of `messages`.

use crate::value::{Reader, micros, stored};
use domain::{Message, MessageId, MessageType, SessionId, TurnId, ports::StoreError};
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "messages")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub session_id: Uuid,
    pub turn_id: Option<Uuid>,
    pub sequence_number: i64,
    pub message_type: String,
    pub content: Json,
    pub model: Option<String>,
    pub thinking: Option<String>,
    pub parent_tool_use_id: Option<String>,
    pub entry_uuid: Option<Uuid>,
    pub created_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl From<&Message> for Model {
    fn from(message: &Message) -> Self {
        Self {
            id: message.id.0,
            session_id: message.session_id.0,
            turn_id: message.turn_id.map(|id| id.0),
            sequence_number: stored(message.sequence_number),
            message_type: message.message_type.as_str().to_owned(),
            content: message.content.clone(),
            model: message.model.clone(),
            thinking: message.thinking.clone(),
            parent_tool_use_id: message.parent_tool_use_id.clone(),
            entry_uuid: message.entry_uuid,
            created_at: micros(message.created_at),
        }
    }
}

impl TryFrom<Model> for Message {
    type Error = StoreError;
    fn try_from(row: Model) -> Result<Self, StoreError> {
        let reader = Reader("messages");
        Ok(Self {
            id: MessageId(row.id),
            session_id: SessionId(row.session_id),
            turn_id: row.turn_id.map(TurnId),
            sequence_number: reader.figure("sequence_number", row.sequence_number)?,
            message_type: reader.word("message_type", MessageType::parse, &row.message_type)?,
            content: row.content,
            model: row.model,
            thinking: row.thinking,
            parent_tool_use_id: row.parent_tool_use_id,
            entry_uuid: row.entry_uuid,
            created_at: reader.instant("created_at", row.created_at)?,
        })
    }
}
