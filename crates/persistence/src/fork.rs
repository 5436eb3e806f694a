//! Forks: copies that the database makes by itself, so that a long conversation never passes through memory; and the
//! family that they make.

use crate::{
    Store, audit,
    entity::{
        journal, message, session,
        transcript_entry::{self, Column as T},
    },
    error::failure,
    sessions::inside,
    unit::Batch,
    value::{micros, stored},
};
use domain::{
    Event, EventBody, EventKind, MessageId, Origin, Scope, Session, SessionId,
    audit::events,
    fork::{NewFork, Relative},
    journal::data,
    ports::{Sessions, StoreError, StoreResult},
    transcript::{TranscriptPlace, conversation_field},
};
use sea_orm::{
    ColumnTrait, EntityTrait, Iterable, QueryFilter, QueryOrder, QuerySelect,
    prelude::Uuid,
    sea_query::{Expr, ExprTrait, Func, Query, SelectStatement},
};

/// Messages that one statement copies.
const MESSAGES_PER_INSERT: usize = 1_000;
/// How many generations of a family are looked at, up and down.
const GENERATIONS_MAX: usize = 100;

pub(crate) async fn fork(store: &Store, fork: &NewFork, origin: &Origin) -> StoreResult<()> {
    let mut reads = store.batch();
    let head = audit::lock_head(&mut reads);
    let (mut read, unit) = store.open(reads).await?;
    let mut writes = store.batch();
    let mut row = session::Model::new(&fork.session)?;
    row.last_seq = 1;
    writes.insert::<session::ActiveModel>(row.into());
    let notice = Event {
        session_id: fork.session.id,
        seq: 1,
        turn_id: None,
        kind: EventKind::Notice,
        at: fork.session.created_at,
        body: EventBody::Data(data::forked(
            fork.parent,
            fork.session.counters.messages,
            fork.session.spec.directory_source,
        )),
    };
    writes.insert::<journal::ActiveModel>(journal::Model::from(&notice).into());
    copy_messages(&mut writes, fork)?;
    if let (Some(cut), Some(conversation)) = (fork.cut, fork.session.agent) {
        copy_transcripts(&mut writes, fork, cut, conversation.id)?;
    }
    let head = audit::head(&mut read, head)?;
    store.chain(&mut writes, head, [events::session_forked(fork, origin)])?;
    unit.commit(writes).await.map(drop)
}

/// Copies the parent's messages up to the fork, under ids of their own. Their turns stay with the parent.
fn copy_messages(writes: &mut Batch, fork: &NewFork) -> StoreResult<()> {
    use message::Column as M;
    let numbers: Vec<u64> = (1..=fork.session.counters.messages).collect();
    for numbers in numbers.chunks(MESSAGES_PER_INSERT) {
        let ids = numbers.iter().map(|number| (stored(*number), MessageId::new().0));
        // What a list of values calls its columns on both databases.
        let (number, id) = (Expr::col(("ids", "column1")), Expr::col(("ids", "column2")));
        let of_parent = Expr::col((message::Entity, M::SessionId)).eq(fork.parent.0);
        let mut copies = Query::select();
        for column in M::iter() {
            copies.expr(match column {
                M::Id => id.clone(),
                M::SessionId => Expr::value(fork.session.id.0),
                M::TurnId => Expr::value(None::<Uuid>),
                _ => Expr::col((message::Entity, column)),
            });
        }
        copies.from_values(ids, "ids").inner_join(
            message::Entity,
            of_parent.and(Expr::col((message::Entity, M::SequenceNumber)).eq(number)),
        );
        insert(writes, message::Entity, M::iter(), copies)?;
    }
    Ok(())
}

/// Copies the conversation's main transcript up to the cut, and those beside it: of a subagent that the fork knows
/// nothing of nobody will ask. The entries name the conversation they are of, and so must the copies.
fn copy_transcripts(
    writes: &mut Batch,
    fork: &NewFork,
    cut: TranscriptPlace,
    conversation: Uuid,
) -> StoreResult<()> {
    let [old, new] = [cut.conversation, conversation].map(|id| Expr::value(conversation_field(id)));
    let renamed = Func::cust("replace").args([Expr::col(T::Entry), old, new]);
    let mut copies = Query::select();
    for column in T::iter() {
        copies.expr(match column {
            T::SessionId => Expr::value(fork.session.id.0),
            T::Conversation => Expr::value(conversation),
            T::Entry => renamed.clone().into(),
            T::AddedAt => Expr::value(micros(fork.session.created_at)),
            column => Expr::col(column),
        });
    }
    let is_kept = T::Subpath.ne("").or(T::Position.lte(stored(cut.position)));
    let of_parent = T::SessionId.eq(fork.parent.0).and(T::Conversation.eq(cut.conversation));
    copies.from(transcript_entry::Entity).and_where(of_parent.and(is_kept));
    insert(writes, transcript_entry::Entity, T::iter(), copies)
}

fn insert<E: EntityTrait>(
    writes: &mut Batch,
    table: E,
    columns: impl IntoIterator<Item = E::Column>,
    rows: SelectStatement,
) -> StoreResult<()> {
    let mut insert = Query::insert();
    insert.into_table(table).columns(columns);
    insert.select_from(rows).map_err(|error| StoreError::Failed(Box::new(error)))?;
    writes.run_built(&insert);
    Ok(())
}

pub(crate) async fn family(
    store: &Store,
    scope: Scope,
    id: SessionId,
    limit: u32,
) -> StoreResult<Vec<Relative>> {
    let limit = limit as usize;
    let Some(mut root) = store.get(scope, id).await? else { return Ok(Vec::new()) };
    for _ in 0..GENERATIONS_MAX {
        let Some(parent) = root.parent_session_id else { break };
        // Somebody else's session is where a family ends, as one that is gone is.
        let Some(parent) = store.get(scope, parent).await? else { break };
        root = parent;
    }
    let mut family = vec![Relative::from(root)];
    let mut parents = vec![family[0].id];
    for _ in 0..2 * GENERATIONS_MAX {
        if parents.is_empty() || family.len() >= limit {
            break;
        }
        let room = limit - family.len();
        let ids = parents.iter().map(|id| id.0);
        let rows = inside(scope, session::Entity::find())
            .filter(session::Column::ParentSessionId.is_in(ids))
            .order_by_asc(session::Column::CreatedAt)
            .order_by_asc(session::Column::Id)
            .limit(room as u64);
        let rows = rows.all(&store.read).await.map_err(failure)?;
        let children = rows.into_iter().map(|row| Session::try_from(row).map(Relative::from));
        let children = children.collect::<StoreResult<Vec<_>>>()?;
        parents = children.iter().map(|child| child.id).collect();
        family.extend(children);
    }
    Ok(family)
}
