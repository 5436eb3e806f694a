//! Keyset pages and their opaque cursors.

use crate::error::failure;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{
    Page, PageRequest, Total,
    ports::{StoreError, StoreResult},
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, DbBackend, EntityTrait, Order, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait, Select,
    sea_query::{Asterisk, Expr, ExprTrait, Func, Query},
};
use uuid::Uuid;

/// Which list a cursor belongs to; the numbers are in cursors that clients hold, so they stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum ListName {
    SessionsByCreationDescending = 1,
    SessionsByCreationAscending = 2,
    SessionsByChangeDescending = 3,
    SessionsByChangeAscending = 4,
    Turns = 10,
    Messages = 20,
    ToolCalls = 21,
    Snapshots = 22,
    Requests = 30,
    Decisions = 31,
    DecisionsSince = 32,
    ApiKeys = 40,
    Users = 41,
    Policies = 50,
    PolicyVersions = 51,
    Approvals = 60,
    PendingApprovals = 61,
    Alerts = 70,
    HookRuns = 80,
    HookEndpoints = 81,
    HookDeliveries = 82,
    Tasks = 90,
    Executions = 91,
    SessionTemplates = 120,
    Reports = 130,
    McpServers = 140,
}

/// One kind of list and its order.
pub(crate) struct List<E: EntityTrait> {
    pub(crate) name: ListName,
    /// The column it is sorted by; equal values are sorted by id.
    pub(crate) key: E::Column,
    pub(crate) id: E::Column,
    pub(crate) order: Order,
    /// The key and id of a row.
    pub(crate) position: fn(&E::Model) -> (i64, Uuid),
}

/// Whether a list says how long it is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Counting {
    /// Nobody is told.
    No,
    /// As far as it costs little.
    Bounded,
    /// It is kept somewhere.
    Known(u64),
}

/// Where counting rows ends.
const COUNTED_MAX: u64 = 1000;
/// What rows that are read at once may weigh together, in bytes, if they are more than one.
const BYTES_MAX: i64 = 16 * 1024 * 1024;

/// As [`read_page`] of rows of which one may have megabytes in these columns: fewer rows than the page asks for, if those
/// are too much to have in memory at once.
pub(crate) async fn read_heavy_page<E, const N: usize>(
    db: &DatabaseConnection,
    rows: Select<E>,
    list: &List<E>,
    heavy: [E::Column; N],
    page: &PageRequest,
) -> StoreResult<Page<E::Model>>
where
    E: EntityTrait,
{
    let asked = placed(rows.clone(), list, page)?.limit(u64::from(page.limit));
    let limit = how_many(db, asked, weight(db, heavy), page.limit).await?;
    read_page(db, rows, list, Counting::No, &PageRequest { limit, ..page.clone() }).await
}

/// How many of these rows, of which there are at most `limit`, may be read at once: one at least.
pub(crate) async fn how_many<E: EntityTrait>(
    db: &DatabaseConnection,
    rows: Select<E>,
    weight: Expr,
    limit: u32,
) -> StoreResult<u32> {
    if limit <= 1 {
        return Ok(limit);
    }
    let weights = rows.select_only().expr_as(weight, "weight").into_tuple::<i64>();
    let weights = weights.all(db).await.map_err(failure)?;
    let mut sum = 0_i64;
    let too_much = weights.into_iter().position(|weight| {
        sum = sum.saturating_add(weight);
        sum > BYTES_MAX
    });
    Ok(too_much.map_or(limit, |fitting| u32::try_from(fitting.max(1)).unwrap_or(limit)))
}

/// What a row has in these columns, in bytes, as the database tells without sending it.
pub(crate) fn weight<C: ColumnTrait>(db: &DatabaseConnection, columns: impl IntoIterator<Item = C>) -> Expr {
    let is_sqlite = db.get_database_backend() == DbBackend::Sqlite;
    let weights = columns.into_iter().map(|column| {
        let column = column.into_expr();
        // Only as it is stored SQLite knows a value's length without reading it.
        let text = if is_sqlite { column } else { column.cast_as("text") };
        let bytes = Expr::expr(Func::cust("octet_length").arg(text)).cast_as("bigint");
        Expr::expr(Func::coalesce([bytes, Expr::val(0_i64)]))
    });
    weights.reduce(|sum, bytes| sum.add(bytes)).unwrap_or_else(|| Expr::val(0_i64))
}

/// The part of `rows` that the page asks for. It costs the same however many rows there are, if they are few that pass
/// the filter without an index of it; only a `skip` costs what it passes over.
pub(crate) async fn read_page<E>(
    db: &DatabaseConnection,
    rows: Select<E>,
    list: &List<E>,
    counting: Counting,
    page: &PageRequest,
) -> StoreResult<Page<E::Model>>
where
    E: EntityTrait,
{
    let placed = placed(rows.clone(), list, page)?;
    let total = match counting {
        Counting::No => None,
        Counting::Bounded => Some(count(db, rows.select_only().column(list.id)).await?),
        Counting::Known(count) => Some(Total::exactly(count)),
    };
    let limit = page.limit as usize;
    let mut items = placed.limit(u64::from(page.limit) + 1).all(db).await.map_err(failure)?;
    let more = items.len() > limit;
    items.truncate(limit);
    let last = items.last().filter(|_| more);
    let next_cursor = last.map(|row| encode(list.name, (list.position)(row)));
    Ok(Page { items, total, next_cursor })
}

/// The rows in their order, from where the page begins.
fn placed<E: EntityTrait>(rows: Select<E>, list: &List<E>, page: &PageRequest) -> StoreResult<Select<E>> {
    let after = page.cursor.as_deref().map(|cursor| decode(list.name, cursor)).transpose()?;
    let rows = rows.order_by(list.key, list.order.clone()).order_by(list.id, list.order.clone());
    Ok(match after {
        Some((key, id)) => {
            let position = Expr::tuple([list.key.into_expr(), list.id.into_expr()]);
            let after = Expr::tuple([Expr::val(key), Expr::val(id)]);
            rows.filter(match list.order {
                Order::Desc => position.lt(after),
                _ => position.gt(after),
            })
        }
        None => rows.offset(u64::from(page.skip)),
    })
}

async fn count<E: EntityTrait>(db: &DatabaseConnection, ids: Select<E>) -> StoreResult<Total> {
    let counted = ids.limit(COUNTED_MAX + 1).into_query();
    let mut query = Query::select();
    query.expr_as(Func::count(Expr::col(Asterisk)), "total").from_subquery(counted, "counted");
    let row = db.query_one(&query).await.map_err(failure)?;
    let count: i64 = row.map_or(Ok(0), |row| row.try_get("", "total")).map_err(failure)?;
    let count = count.unsigned_abs();
    Ok(Total { count: Ord::min(count, COUNTED_MAX), is_exact: count <= COUNTED_MAX })
}

/// Turns every item of a page into another shape, or fails as the first that cannot be.
pub(crate) fn try_map<T, U>(page: Page<T>, shape: impl FnMut(T) -> StoreResult<U>) -> StoreResult<Page<U>> {
    let items = page.items.into_iter().map(shape).collect::<StoreResult<_>>()?;
    Ok(Page { items, total: page.total, next_cursor: page.next_cursor })
}

/// List, key and id.
const CURSOR_BYTES: usize = 1 + 8 + 16;

fn encode(list: ListName, (key, id): (i64, Uuid)) -> String {
    let mut bytes = Vec::with_capacity(CURSOR_BYTES);
    bytes.push(list as u8);
    bytes.extend(key.to_be_bytes());
    bytes.extend(id.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn decode(list: ListName, cursor: &str) -> StoreResult<(i64, Uuid)> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| StoreError::BadCursor)?;
    let bytes: [u8; CURSOR_BYTES] = bytes.try_into().map_err(|_| StoreError::BadCursor)?;
    let [found, rest @ ..] = bytes;
    if found != list as u8 {
        return Err(StoreError::BadCursor);
    }
    let (key, id) = rest.split_at(8);
    let key = key.try_into().map(i64::from_be_bytes).map_err(|_| StoreError::BadCursor)?;
    let id = Uuid::from_slice(id).map_err(|_| StoreError::BadCursor)?;
    Ok((key, id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_back_to_its_position_and_only_in_its_list() {
        let position = (-7, Uuid::from_u128(0x0192_aaaa_bbbb));
        let cursor = encode(ListName::Turns, position);
        assert_eq!(decode(ListName::Turns, &cursor).unwrap(), position);
        assert!(matches!(decode(ListName::Messages, &cursor), Err(StoreError::BadCursor)));
        for garbage in ["", "A", "!!!", "AAAA", &cursor[1..], &format!("{cursor}AA")] {
            assert!(matches!(decode(ListName::Turns, garbage), Err(StoreError::BadCursor)), "{garbage}");
        }
    }
}
