//! Keyset pages: where to go on is an opaque cursor, so pages neither skip nor repeat while rows are added.

/// Which part of a list is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// Rows at most; the caller has checked its range.
    pub limit: u32,
    /// Where the page before ended, from [`Page::next_cursor`].
    pub cursor: Option<String>,
    /// Rows to pass over; kept for old clients and ignored beside a cursor.
    pub skip: u32,
}

impl PageRequest {
    /// The first `limit` rows.
    #[must_use]
    pub fn first(limit: u32) -> Self {
        Self { limit, cursor: None, skip: 0 }
    }
}

/// One part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// How many there are in all, whatever the page.
    pub total: u64,
    /// `None` on the last page.
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// The same page with each item turned into another shape.
    pub fn map<U>(self, shape: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(shape).collect(),
            total: self.total,
            next_cursor: self.next_cursor,
        }
    }
}
