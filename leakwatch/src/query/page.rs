//! Paging. A cursor names the last item of the page before and its position: if the item has left the list since, paging
//! goes on at the position.

/// Where a page ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Items up to there.
    pub position: usize,
    /// Id of the last one.
    pub last: String,
}

/// A part of a list.
#[derive(Debug, PartialEq, Eq)]
pub struct Part<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next part starts; none after the last item.
    pub next: Option<Cursor>,
}

/// The items of a list after a cursor, at most `limit`.
pub fn part<T>(list: Vec<T>, after: Option<&Cursor>, limit: usize, id: impl Fn(&T) -> String) -> Part<T> {
    let start = after.map_or(0, |cursor| {
        let last = list.iter().position(|item| id(item) == cursor.last);
        last.map_or(cursor.position, |found| found + 1)
    });
    let total = list.len();
    let items: Vec<T> = list.into_iter().skip(start).take(limit).collect();
    let position = start.saturating_add(items.len());
    let next = items.last().filter(|_| position < total).map(|last| Cursor {
        position,
        last: id(last),
    });
    Part { items, next }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_go_on_after_the_last_item_or_at_its_position_when_it_has_left() {
        let list = |numbers: std::ops::Range<u32>| numbers.collect::<Vec<_>>();
        let id = |number: &u32| number.to_string();
        let first = part(list(0..5), None, 2, id);
        assert_eq!(first.items, [0, 1]);
        let cursor = first.next.unwrap();
        for (now, expected) in [
            (list(0..5), &[2, 3][..]),
            // Something came in front.
            (vec![9, 0, 1, 2, 3, 4], &[2, 3]),
            // The last item is gone.
            (vec![0, 2, 3, 4], &[3, 4]),
            (vec![0], &[]),
        ] {
            assert_eq!(part(now, Some(&cursor), 2, id).items, expected);
        }
        assert_eq!(part(list(0..2), None, 2, id).next, None);
    }
}
