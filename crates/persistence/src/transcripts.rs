//! Transcripts: adding to them, each uuid once, and reading them in parts of bounded size.

use crate::{
    Store,
    entity::transcript_entry::{self, Column as C},
    error::failure,
    recording::{lock, locked},
    unit::{Answers, Batch, Rows, Shape, row},
    value::{Reader, micros, stored},
};
use async_trait::async_trait;
use domain::{
    Generation, SessionId,
    ports::{StoreError, StoreResult, Transcripts},
    transcript::{TranscriptEntry, TranscriptKey, TranscriptPart, TranscriptPlace, TranscriptSummary},
};
use jiff::Timestamp;
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    prelude::Uuid,
};
use std::collections::HashSet;

/// What one reading takes into memory, unless a single entry is larger.
const PART_BYTES_MAX: i64 = 4 << 20;
/// Entries that one reading looks at.
const PART_ENTRIES_MAX: u64 = 2_000;

#[async_trait]
impl Transcripts for Store {
    async fn append_transcript(
        &self,
        key: &TranscriptKey,
        by: Generation,
        entries: &[TranscriptEntry],
        at: Timestamp,
    ) -> StoreResult<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let mut reads = self.quick_batch();
        // The lock of the session's row queues those that add to its transcripts; whoever may not write any more is
        // refused by what the row says.
        let session = lock(&mut reads, key.session_id);
        let addition = Addition::find(&mut reads, key, entries);
        let (mut read, unit) = self.open(reads).await?;
        let Some(locked) = locked(&mut read, session)? else {
            return Err(StoreError::Inconsistent { table: "transcript_entries", column: "session_id" });
        };
        locked.admit(by)?;
        let mut writes = self.batch();
        match addition.put(&mut read, &mut writes, at)? {
            0 => Ok(()),
            _ => unit.commit(writes).await.map(drop),
        }
    }

    async fn transcript_after(&self, key: &TranscriptKey, position: u64) -> StoreResult<TranscriptPart> {
        let rest = transcript_entry::Entity::find().filter(of(key)).filter(C::Position.gt(stored(position)));
        let sizes = rest.clone().select_only().columns([C::Position, C::Bytes]).order_by_asc(C::Position);
        let sizes =
            sizes.limit(PART_ENTRIES_MAX).into_model::<Size>().all(&self.read).await.map_err(failure)?;
        let mut bytes = 0;
        let fits = sizes.iter().take_while(|size| {
            let is_first = bytes == 0;
            bytes += size.bytes.max(1);
            is_first || bytes <= PART_BYTES_MAX
        });
        let Some(last) = fits.last().map(|size| size.position) else { return Ok(TranscriptPart::default()) };
        let part = rest.filter(C::Position.lte(last)).order_by_asc(C::Position);
        let part = part.select_only().column(C::Entry).into_model::<Text>();
        let entries = part.all(&self.read).await.map_err(failure)?;
        let is_all =
            sizes.last().is_some_and(|size| size.position == last) && (sizes.len() as u64) < PART_ENTRIES_MAX;
        let next = Reader("transcript_entries").figure("position", last)?;
        Ok(TranscriptPart {
            entries: entries.into_iter().map(|row| row.entry).collect(),
            next: (!is_all).then_some(next),
        })
    }

    async fn transcripts(&self, session: SessionId) -> StoreResult<Vec<TranscriptSummary>> {
        let rows = transcript_entry::Entity::find()
            .filter(C::SessionId.eq(session.0))
            .select_only()
            .columns([C::Conversation, C::Subpath])
            .column_as(C::Position.max(), "length")
            .column_as(C::AddedAt.max(), "added_at")
            .group_by(C::Conversation)
            .group_by(C::Subpath)
            .order_by_asc(C::Conversation)
            .order_by_asc(C::Subpath)
            .into_model::<Summary>();
        let rows = rows.all(&self.read).await.map_err(failure)?;
        rows.into_iter().map(TranscriptSummary::try_from).collect()
    }

    async fn transcript_place(&self, session: SessionId, uuid: &str) -> StoreResult<Option<TranscriptPlace>> {
        let row = transcript_entry::Entity::find()
            .filter(C::SessionId.eq(session.0))
            .filter(C::Uuid.eq(uuid))
            .filter(C::Subpath.eq(""))
            .select_only()
            .columns([C::Conversation, C::Position])
            .into_model::<Place>();
        let row = row.one(&self.read).await.map_err(failure)?;
        row.map(|row| {
            let position = Reader("transcript_entries").figure("position", row.position)?;
            Ok(TranscriptPlace { conversation: row.conversation, position })
        })
        .transpose()
    }

    async fn delete_transcript(
        &self,
        session: SessionId,
        conversation: Uuid,
        subpath: Option<&str>,
    ) -> StoreResult<()> {
        let mut those =
            Condition::all().add(C::SessionId.eq(session.0)).add(C::Conversation.eq(conversation));
        if let Some(subpath) = subpath {
            those = those.add(C::Subpath.eq(subpath));
        }
        self.write_one(transcript_entry::Entity::delete_many().filter(those)).await.map(drop)
    }
}

/// Entries that a unit of work adds to a transcript, with the lock on the session's row: those that are new to it.
#[derive(Debug)]
pub(crate) struct Addition<'a> {
    key: &'a TranscriptKey,
    entries: &'a [TranscriptEntry],
    last: Rows<Position>,
    known: Rows<KnownUuid>,
}

impl<'a> Addition<'a> {
    pub(crate) fn find(reads: &mut Batch, key: &'a TranscriptKey, entries: &'a [TranscriptEntry]) -> Self {
        let all = || transcript_entry::Entity::find().filter(of(key)).select_only();
        let of_key = || {
            let subpath = key.subpath.as_deref().unwrap_or_default();
            [key.session_id.0.into(), key.conversation.into(), subpath.into()].into_iter()
        };
        let last = || all().column(C::Position).order_by_desc(C::Position).limit(1).into_query();
        let shape = Shape::named("the last position of a transcript");
        let last = reads.select_known(shape, of_key().chain([1_u64.into()]), last);
        let uuids: Vec<&str> = entries.iter().filter_map(|entry| entry.uuid.as_deref()).collect();
        let known = || all().column(C::Uuid).filter(C::Uuid.is_in(uuids.iter().copied())).into_query();
        let known = if uuids.is_empty() {
            // A list of nothing is worded otherwise, with values of its own.
            reads.select_built(&known())
        } else {
            let shape = Shape::named("entries of a transcript").with_count(uuids.len());
            reads.select_known(shape, of_key().chain(uuids.iter().map(|uuid| (*uuid).into())), known)
        };
        Self { key, entries, last, known }
    }

    /// How many are new.
    pub(crate) fn put(self, read: &mut Answers, writes: &mut Batch, at: Timestamp) -> StoreResult<usize> {
        let last = read.first(self.last)?.map_or(0, |row| row.position);
        let mut known: HashSet<String> = read.all(self.known)?.into_iter().map(|row| row.uuid).collect();
        let is_new =
            |entry: &&TranscriptEntry| entry.uuid.as_ref().is_none_or(|uuid| known.insert(uuid.clone()));
        let new = self.entries.iter().filter(is_new);
        let rows: Vec<transcript_entry::ActiveModel> =
            new.zip(last + 1..).map(|(entry, position)| row(self.key, entry, position, at).into()).collect();
        let count = rows.len();
        writes.insert_all(rows);
        Ok(count)
    }
}

fn of(key: &TranscriptKey) -> Condition {
    Condition::all()
        .add(C::SessionId.eq(key.session_id.0))
        .add(C::Conversation.eq(key.conversation))
        .add(C::Subpath.eq(key.subpath.as_deref().unwrap_or_default()))
}

fn row(
    key: &TranscriptKey,
    entry: &TranscriptEntry,
    position: i64,
    at: Timestamp,
) -> transcript_entry::Model {
    transcript_entry::Model {
        session_id: key.session_id.0,
        conversation: key.conversation,
        subpath: key.subpath.clone().unwrap_or_default(),
        position,
        uuid: entry.uuid.clone(),
        entry: entry.text.clone(),
        bytes: stored(entry.text.len()),
        added_at: micros(at),
    }
}

row! {
    struct Position {
        position: i64,
    }
}

row! {
    struct KnownUuid {
        uuid: String,
    }
}

#[derive(Debug, FromQueryResult)]
struct Size {
    position: i64,
    bytes: i64,
}

#[derive(Debug, FromQueryResult)]
struct Text {
    entry: String,
}

#[derive(Debug, FromQueryResult)]
struct Place {
    conversation: Uuid,
    position: i64,
}

#[derive(Debug, FromQueryResult)]
struct Summary {
    conversation: Uuid,
    subpath: String,
    length: i64,
    added_at: i64,
}

impl TryFrom<Summary> for TranscriptSummary {
    type Error = StoreError;
    fn try_from(row: Summary) -> Result<Self, StoreError> {
        let reader = Reader("transcript_entries");
        Ok(Self {
            conversation: row.conversation,
            subpath: Some(row.subpath).filter(|subpath| !subpath.is_empty()),
            length: reader.figure("position", row.length)?,
            added_at: reader.instant("added_at", row.added_at)?,
        })
    }
}
