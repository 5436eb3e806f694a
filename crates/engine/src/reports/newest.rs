//! The newest of many, as far as they fit: a report that has to leave something out leaves out the beginning.

use std::collections::VecDeque;

/// Keeps what is pushed last, up to a number of items and of bytes.
#[derive(Debug)]
pub(super) struct Newest<T> {
    items: VecDeque<(usize, T)>,
    bytes: usize,
    items_max: usize,
    bytes_max: usize,
    /// What came before the first one that is kept.
    left_out: u64,
}

impl<T> Newest<T> {
    /// `passed_over` came before and will not be pushed.
    pub(super) fn new(items_max: usize, bytes_max: usize, passed_over: u64) -> Self {
        Self { items: VecDeque::new(), bytes: 0, items_max, bytes_max, left_out: passed_over }
    }

    /// Adds one that takes so many bytes. The last one is kept whatever it takes.
    pub(super) fn push(&mut self, item: T, bytes: usize) {
        self.items.push_back((bytes, item));
        self.bytes += bytes;
        while self.items.len() > 1 && (self.items.len() > self.items_max || self.bytes > self.bytes_max) {
            let Some((bytes, _)) = self.items.pop_front() else { break };
            self.bytes -= bytes;
            self.left_out += 1;
        }
    }

    /// What is kept, oldest first, and how many came before.
    pub(super) fn into_parts(self) -> (Vec<T>, u64) {
        (self.items.into_iter().map(|(_, item)| item).collect(), self.left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_make_room() {
        let mut newest = Newest::new(3, 10, 7);
        for (item, bytes) in [("a", 1), ("b", 1), ("c", 1), ("d", 1)] {
            newest.push(item, bytes);
        }
        newest.push("e", 9);
        assert_eq!(newest.into_parts(), (vec!["d", "e"], 10));
    }

    #[test]
    fn the_last_one_is_kept_whatever_it_takes() {
        let mut newest = Newest::new(3, 10, 0);
        newest.push("a", 1);
        newest.push("b", 100);
        assert_eq!(newest.into_parts(), (vec!["b"], 1));
    }
}
