//! Fewer points where a drawing cannot show them all: what is left out stands where others stand.
//!
//! Of the answered operations of a column of the drawing the fastest, the slowest and some between them stay, by rank.
//! Operations that failed or have no known outcome all stay, except those that would stand on the very same spot.

use std::collections::{BTreeMap, BTreeSet};

use super::scale::Px;

/// The most points of a column that stay.
const MOST: usize = 8;

/// A point of the drawing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Point {
    pub(super) x: Px,
    pub(super) y: Px,
}

/// Points, and how many are not drawn.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Thinned {
    pub(super) points: Vec<Point>,
    pub(super) left_out: usize,
}

/// Keeps the lowest, the highest and some between them of every column.
pub(super) fn by_rank(points: impl Iterator<Item = Point>) -> Thinned {
    let mut columns: BTreeMap<i64, Vec<Point>> = BTreeMap::new();
    for point in points {
        columns.entry(point.x.0 / 10).or_default().push(point);
    }
    let mut thinned = Thinned::default();
    for mut column in columns.into_values() {
        column.sort_unstable_by_key(|point| (point.y, point.x));
        let all = column.len();
        if all <= MOST {
            thinned.points.extend(column);
        } else {
            thinned.points.extend((0..MOST).map(|rank| column[rank * (all - 1) / (MOST - 1)]));
            thinned.left_out += all - MOST;
        }
    }
    thinned
}

/// Keeps one point of each spot.
pub(super) fn by_spot(points: impl Iterator<Item = Point>) -> Thinned {
    let mut spots: BTreeSet<(i64, i64)> = BTreeSet::new();
    let mut thinned = Thinned::default();
    for point in points {
        if spots.insert((point.x.0 / 10, point.y.0 / 10)) {
            thinned.points.push(point);
        } else {
            thinned.left_out += 1;
        }
    }
    thinned
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(x: i64, y: i64) -> Point {
        Point { x: Px(x), y: Px(y) }
    }

    #[test]
    fn the_fastest_and_the_slowest_of_a_column_stay() {
        let many = (0..1000).map(|y| point(100 + y % 10, y));
        let thinned = by_rank(many);
        assert_eq!((thinned.points.len(), thinned.left_out), (MOST, 1000 - MOST));
        assert_eq!((thinned.points[0].y, thinned.points[MOST - 1].y), (Px(0), Px(999)));
    }

    #[test]
    fn few_points_all_stay() {
        let few = [point(5, 1), point(6, 2), point(400, 3)];
        assert_eq!(by_rank(few.into_iter()), Thinned { points: few.to_vec(), left_out: 0 });
    }

    #[test]
    fn only_what_stands_on_the_same_spot_is_left_out() {
        let points = [point(10, 10), point(11, 12), point(10, 30), point(30, 10)];
        let thinned = by_spot(points.into_iter());
        assert_eq!((thinned.points.len(), thinned.left_out), (3, 1));
    }
}
