//! A row of `journal`: an event, with its message by reference.

use crate::value::{Reader, micros, stored};
use domain::{Event, EventBody, EventKind, SessionId, TurnId, ports::StoreResult};
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "journal")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub session_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub seq: i64,
    pub turn_id: Option<Uuid>,
    pub kind: String,
    pub message_id: Option<Uuid>,
    pub data: Option<Json>,
    pub at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(
        belongs_to = "super::message::Entity",
        from = "Column::MessageId",
        to = "super::message::Column::Id"
    )]
    Message,
}

impl Related<super::message::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Message.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}

impl From<&Event> for Model {
    fn from(event: &Event) -> Self {
        let (message_id, data) = match &event.body {
            EventBody::Message(message) => (Some(message.id.0), None),
            EventBody::Data(data) => (None, Some(data.clone())),
        };
        Self {
            session_id: event.session_id.0,
            seq: stored(event.seq),
            turn_id: event.turn_id.map(|id| id.0),
            kind: event.kind.as_str().to_owned(),
            message_id,
            data,
            at: micros(event.at),
        }
    }
}

impl Model {
    /// The event, together with the message it refers to.
    pub(crate) fn into_event(self, message: Option<super::message::Model>) -> StoreResult<Event> {
        let reader = Reader("journal");
        let body = match (message, self.data) {
            (Some(message), _) => EventBody::Message(Box::new(message.try_into()?)),
            (None, Some(data)) => EventBody::Data(data),
            (None, None) => return Err(reader.inconsistent("message_id")),
        };
        Ok(Event {
            session_id: SessionId(self.session_id),
            seq: reader.figure("seq", self.seq)?,
            turn_id: self.turn_id.map(TurnId),
            kind: reader.word("kind", EventKind::parse, &self.kind)?,
            at: reader.instant("at", self.at)?,
            body,
        })
    }
}
