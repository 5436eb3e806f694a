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
    /// How many there are in all, whatever the page; `None` for lists that nobody counts.
    pub total: Option<Total>,
    /// `None` on the last page.
    pub next_cursor: Option<String>,
}

/// The length of a list. Counting costs more the longer a list is, so it ends somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Total {
    pub count: u64,
    /// Whether there are no more than that.
    pub is_exact: bool,
}

impl Total {
    /// That many.
    #[must_use]
    pub fn exactly(count: u64) -> Self {
        Self { count, is_exact: true }
    }
}

impl<T> Page<T> {
    /// The only page of a list that has nothing in it.
    #[must_use]
    pub fn empty() -> Self {
        Self { items: Vec::new(), total: Some(Total::exactly(0)), next_cursor: None }
    }

    /// The same page with each item turned into another shape.
    pub fn map<U>(self, shape: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(shape).collect(),
            total: self.total,
            next_cursor: self.next_cursor,
        }
    }
}
