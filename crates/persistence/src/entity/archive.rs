//! A row of `archives`.

use crate::value::{Reader, micros, stored};
use domain::{
    Archive, ArchiveId, ArchivePlace, ArchiveStatus, Compression, ServerId, SessionId,
    archive::{ArchiveContent, keys_of_attempts},
    ports::{ArchiveObject, StoreError, StoreResult},
};
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "archives")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// None once the session is gone.
    pub session_id: Option<Uuid>,
    pub status: String,
    pub compression: String,
    pub place: String,
    /// Whose disk a local one is on.
    pub server_id: Option<Uuid>,
    pub object_key: String,
    pub at_message: i64,
    pub size_bytes: Option<i64>,
    pub sha256: Option<Vec<u8>>,
    pub manifest_sha256: Option<Vec<u8>>,
    pub file_count: Option<i64>,
    pub unpacked_bytes: Option<i64>,
    pub excluded_count: Option<i64>,
    pub error_message: Option<String>,
    pub attempt: i64,
    pub due_at: i64,
    pub has_object: bool,
    pub has_files: bool,
    pub created_at: i64,
    pub updated_at: i64,
    pub archived_at: Option<i64>,
    pub removed_at: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl From<&Archive> for Model {
    fn from(archive: &Archive) -> Self {
        let content = archive.content.as_ref();
        Self {
            id: archive.id.0,
            session_id: Some(archive.session_id.0),
            status: archive.status.as_str().to_owned(),
            compression: archive.compression.as_str().to_owned(),
            place: archive.place.as_str().to_owned(),
            server_id: archive.server_id.map(|id| id.0),
            object_key: archive.key.clone(),
            at_message: stored(archive.at_message),
            size_bytes: content.map(|content| stored(content.size_bytes)),
            sha256: content.map(|content| content.sha256.to_vec()),
            manifest_sha256: content.map(|content| content.manifest_sha256.to_vec()),
            file_count: content.map(|content| stored(content.file_count)),
            unpacked_bytes: content.map(|content| stored(content.unpacked_bytes)),
            excluded_count: content.map(|content| stored(content.excluded_count)),
            error_message: archive.error_message.clone(),
            attempt: i64::from(archive.attempt),
            due_at: micros(archive.due_at),
            has_object: false,
            has_files: true,
            created_at: micros(archive.created_at),
            updated_at: micros(archive.updated_at),
            archived_at: archive.archived_at.map(micros),
            removed_at: archive.removed_at.map(micros),
        }
    }
}

impl Model {
    /// Where it was put.
    pub(crate) fn object(self) -> StoreResult<ArchiveObject> {
        let place = Reader("archives").word("place", ArchivePlace::parse, &self.place)?;
        let (archive, attempts) = (ArchiveId(self.id), Reader("archives").figure("attempt", self.attempt)?);
        Ok(ArchiveObject { archive, place, keys: keys_of_attempts(archive, &self.object_key, attempts) })
    }

    fn content(&self, reader: Reader) -> StoreResult<Option<ArchiveContent>> {
        let Some(size_bytes) = self.size_bytes else { return Ok(None) };
        let figure = |column, figure: Option<i64>| {
            reader.figure(column, figure.ok_or_else(|| reader.inconsistent(column))?)
        };
        let hash = |column, bytes: Option<&Vec<u8>>| {
            reader.sha256(column, bytes.ok_or_else(|| reader.inconsistent(column))?)
        };
        Ok(Some(ArchiveContent {
            size_bytes: reader.figure("size_bytes", size_bytes)?,
            sha256: hash("sha256", self.sha256.as_ref())?,
            manifest_sha256: hash("manifest_sha256", self.manifest_sha256.as_ref())?,
            file_count: figure("file_count", self.file_count)?,
            unpacked_bytes: figure("unpacked_bytes", self.unpacked_bytes)?,
            excluded_count: figure("excluded_count", self.excluded_count)?,
        }))
    }
}

impl TryFrom<Model> for Archive {
    type Error = StoreError;
    fn try_from(row: Model) -> Result<Self, StoreError> {
        let reader = Reader("archives");
        Ok(Self {
            id: ArchiveId(row.id),
            session_id: SessionId(row.session_id.ok_or_else(|| reader.inconsistent("session_id"))?),
            status: reader.word("status", ArchiveStatus::parse, &row.status)?,
            compression: reader.word("compression", Compression::parse, &row.compression)?,
            place: reader.word("place", ArchivePlace::parse, &row.place)?,
            server_id: row.server_id.map(ServerId),
            at_message: reader.figure("at_message", row.at_message)?,
            content: row.content(reader)?,
            key: row.object_key,
            error_message: row.error_message,
            attempt: reader.figure("attempt", row.attempt)?,
            due_at: reader.instant("due_at", row.due_at)?,
            created_at: reader.instant("created_at", row.created_at)?,
            updated_at: reader.instant("updated_at", row.updated_at)?,
            archived_at: reader.instant_if("archived_at", row.archived_at)?,
            removed_at: reader.instant_if("removed_at", row.removed_at)?,
        })
    }
}
