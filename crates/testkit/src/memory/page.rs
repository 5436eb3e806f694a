//! Keyset pages over plain lists.

use domain::{
    Page, PageRequest, Total,
    ports::{StoreError, StoreResult},
};
use jiff::Timestamp;
use uuid::Uuid;

/// Which way a list is sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Ascending,
    Descending,
}

/// What a list is sorted by: a number, then the id.
pub(super) type Key = (i64, Uuid);

/// The key of something that happened at an instant.
pub(super) fn instant_key(at: Timestamp, id: Uuid) -> Key {
    (at.as_microsecond(), id)
}

/// The part of `items` that the page asks for; `list` names the list in its cursors.
pub(super) fn read_page<T>(
    list: &str,
    mut items: Vec<T>,
    key: impl Fn(&T) -> Key,
    direction: Direction,
    page: &PageRequest,
) -> StoreResult<Page<T>> {
    let total = Some(Total::exactly(items.len() as u64));
    items.sort_by_key(&key);
    if direction == Direction::Descending {
        items.reverse();
    }
    match &page.cursor {
        Some(cursor) => {
            let after = parse(list, cursor).ok_or(StoreError::BadCursor)?;
            items.retain(|item| match direction {
                Direction::Ascending => key(item) > after,
                Direction::Descending => key(item) < after,
            });
        }
        None => drop(items.drain(..items.len().min(page.skip as usize))),
    }
    let more = items.len() > page.limit as usize;
    items.truncate(page.limit as usize);
    let next_cursor = items.last().filter(|_| more).map(|item| {
        let (number, id) = key(item);
        format!("{list}/{number}/{id}")
    });
    Ok(Page { items, total, next_cursor })
}

fn parse(list: &str, cursor: &str) -> Option<Key> {
    let (number, id) = cursor.strip_prefix(list)?.strip_prefix('/')?.split_once('/')?;
    Some((number.parse().ok()?, id.parse().ok()?))
}
