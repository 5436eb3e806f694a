//! Messages and tool calls, as people read them.

use crate::{
    Store,
    entity::{message, tool_call},
    error::failure,
    page::{List, ListName, read_heavy_page, try_map},
    value::{Reader, stored},
};
use async_trait::async_trait;
use domain::{
    Message, Page, PageRequest, SessionId, ToolCall, TurnId,
    fork::MessageEntry,
    ports::{History, StoreError, StoreResult},
};
use sea_orm::{
    ColumnTrait, EntityTrait, FromQueryResult, Order, QueryFilter, QueryOrder, QuerySelect, prelude::Uuid,
};

#[async_trait]
impl History for Store {
    async fn messages(&self, session: SessionId, page: &PageRequest) -> StoreResult<Page<Message>> {
        use message::Column as C;
        let list = List {
            name: ListName::Messages,
            key: C::SequenceNumber,
            id: C::Id,
            order: Order::Asc,
            position: |row: &message::Model| (row.sequence_number, row.id),
        };
        let rows = message::Entity::find().filter(C::SessionId.eq(session.0));
        let heavy = [C::Content, C::Thinking];
        try_map(read_heavy_page(&self.read, rows, &list, heavy, page).await?, Message::try_from)
    }

    async fn entries_before(
        &self,
        session: SessionId,
        at_message: u64,
        limit: u32,
    ) -> StoreResult<Vec<MessageEntry>> {
        use message::Column as C;
        let rows = message::Entity::find()
            .filter(C::SessionId.eq(session.0))
            .filter(C::SequenceNumber.lte(stored(at_message)))
            .filter(C::ParentToolUseId.is_null())
            .order_by_desc(C::SequenceNumber)
            .limit(u64::from(limit));
        let rows = rows.select_only().columns([C::SequenceNumber, C::EntryUuid]);
        let rows = rows.into_model::<EntryRow>().all(&self.read).await.map_err(failure)?;
        rows.into_iter().map(MessageEntry::try_from).collect()
    }

    async fn tool_calls(&self, session: SessionId, page: &PageRequest) -> StoreResult<Page<ToolCall>> {
        use tool_call::Column as C;
        let list = List {
            name: ListName::ToolCalls,
            key: C::CreatedAt,
            id: C::Id,
            order: Order::Asc,
            position: |row: &tool_call::Model| (row.created_at, row.id),
        };
        let rows = tool_call::Entity::find().filter(C::SessionId.eq(session.0));
        let heavy = [C::ToolInput, C::ToolOutput];
        try_map(read_heavy_page(&self.read, rows, &list, heavy, page).await?, ToolCall::try_from)
    }

    async fn turn_tool_calls(&self, turn: TurnId, limit: u32) -> StoreResult<Vec<ToolCall>> {
        use tool_call::Column as C;
        let rows = tool_call::Entity::find()
            .filter(C::TurnId.eq(turn.0))
            .order_by_asc(C::CreatedAt)
            .order_by_asc(C::Id)
            .limit(u64::from(limit));
        let rows = rows.all(&self.read).await.map_err(failure)?;
        rows.into_iter().map(ToolCall::try_from).collect()
    }
}

/// What of a message's row says where it is in the transcript.
#[derive(Debug, FromQueryResult)]
struct EntryRow {
    sequence_number: i64,
    entry_uuid: Option<Uuid>,
}

impl TryFrom<EntryRow> for MessageEntry {
    type Error = StoreError;
    fn try_from(row: EntryRow) -> Result<Self, StoreError> {
        let sequence_number = Reader("messages").figure("sequence_number", row.sequence_number)?;
        Ok(Self { sequence_number, entry: row.entry_uuid })
    }
}
