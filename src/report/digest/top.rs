//! The few rows of a table that are worth showing.

/// The rows with the greatest keys, in descending order, and how many there were at all.
#[derive(Clone, Debug)]
pub(in crate::report) struct Listing<T> {
    /// Rows that were there, shown or not.
    pub(in crate::report) total: u64,
    /// Those to show.
    pub(in crate::report) rows: Vec<T>,
}

/// Collects a [`Listing`]. Of equal keys the earlier row is kept.
#[derive(Clone, Debug)]
pub(super) struct Top<T> {
    limit: usize,
    total: u64,
    rows: Vec<(i64, u64, T)>,
    /// Rows with a lesser key, or an equal one, are not among the first any more.
    floor: Option<i64>,
}

impl<T> Top<T> {
    pub(super) const fn new(limit: usize) -> Self {
        Self {
            limit,
            total: 0,
            rows: Vec::new(),
            floor: None,
        }
    }

    /// Counts a row, and makes its value only if it may be among the first.
    pub(super) fn push(&mut self, key: i64, make: impl FnOnce() -> T) {
        self.total += 1;
        if self.floor.is_some_and(|floor| key <= floor) {
            return;
        }
        self.rows.push((key, self.total, make()));
        if self.rows.len() >= self.limit * 2 + 16 {
            self.cut();
        }
    }

    fn cut(&mut self) {
        self.rows
            .sort_unstable_by(|(a, m, _), (b, n, _)| b.cmp(a).then(m.cmp(n)));
        self.rows.truncate(self.limit);
        if self.rows.len() == self.limit {
            self.floor = self.rows.last().map(|(key, ..)| *key);
        }
    }

    pub(super) fn finish(mut self) -> Listing<T> {
        self.cut();
        Listing {
            total: self.total,
            rows: self.rows.into_iter().map(|(.., row)| row).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greatest_are_kept_in_order() {
        let mut top = Top::new(3);
        for value in (0..1_000_i64).map(|n| (n * 7_919) % 1_000) {
            top.push(value, || value);
        }
        let listing = top.finish();
        assert_eq!((listing.total, listing.rows), (1_000, vec![999, 998, 997]));
    }

    #[test]
    fn of_equal_ones_the_earlier() {
        let mut top = Top::new(2);
        for row in 0..100 {
            top.push(5, || row);
        }
        assert_eq!(top.finish().rows, [0, 1]);
    }
}
