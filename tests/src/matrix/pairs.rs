//! Combinations in which every pair of values meets: far fewer than the full product, and most faults
//! need no more than two values to meet.

/// A value of an axis: the axis, then the value, both counted from 0.
pub type Value = (usize, usize);

/// Combinations, one value for each axis, in which each pair of values of two axes meets at least once,
/// except the pairs that `forbidden` names, which never meet. `axes` tells how many values each axis has.
///
/// The same axes give the same combinations, always.
///
/// # Panics
///
/// When the forbidden pairs leave no value for some axis.
pub fn cover(axes: &[usize], forbidden: &[(Value, Value)]) -> Vec<Vec<usize>> {
    let allowed = |a: Value, b: Value| !forbidden.contains(&(a, b)) && !forbidden.contains(&(b, a));
    let mut open: Vec<(Value, Value)> = pairs(axes).filter(|(a, b)| allowed(*a, *b)).collect();
    let mut rows = Vec::new();
    let mut turn = 1_u32;
    while let Some(&(one, other)) = open.first() {
        let mut chosen = vec![one, other];
        for (axis, &count) in axes.iter().enumerate() {
            if axis == one.0 || axis == other.0 {
                continue;
            }
            let gain = |value: Value| {
                let meets =
                    |c: &&Value| open.contains(&(**c, value)) || open.contains(&(value, **c));
                chosen.iter().filter(meets).count()
            };
            // Ties go to any value, so that where all pairs have met the combinations still differ.
            turn = turn.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let first = (turn >> 16) as usize;
            let turned = (0..count).map(|value| (axis, (value + first) % count));
            let best = turned
                .filter(|value| chosen.iter().all(|c| allowed(*c, *value)))
                .max_by_key(|value| gain(*value))
                .unwrap_or_else(|| panic!("no value of axis {axis} may meet {chosen:?}"));
            chosen.push(best);
        }
        chosen.sort_unstable();
        open.retain(|(a, b)| !(chosen.contains(a) && chosen.contains(b)));
        rows.push(chosen.into_iter().map(|(_, value)| value).collect());
    }
    rows
}

/// Every pair of values of two different axes, once.
fn pairs(axes: &[usize]) -> impl Iterator<Item = (Value, Value)> {
    let values = move || {
        let of_axis = |(axis, &count): (usize, &usize)| (0..count).map(move |value| (axis, value));
        axes.iter().enumerate().flat_map(of_axis)
    };
    values().flat_map(move |a| values().filter(move |b| a.0 < b.0).map(move |b| (a, b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meet(row: &[usize], (a, b): (Value, Value)) -> bool {
        row[a.0] == a.1 && row[b.0] == b.1
    }

    #[test]
    fn every_pair_meets_and_no_forbidden_one_does() {
        let axes = [2, 2, 3, 7, 5, 3, 2, 2, 3];
        let forbidden = [((0, 1), (1, 1)), ((3, 6), (4, 4))];
        let rows = cover(&axes, &forbidden);
        for pair in pairs(&axes) {
            let count = rows.iter().filter(|row| meet(row, pair)).count();
            assert_eq!(count == 0, forbidden.contains(&pair), "{pair:?}");
        }
        assert!(rows.iter().all(|row| row.len() == axes.len()));
        // The two longest axes alone need 34.
        assert!(rows.len() <= 50, "{} rows", rows.len());
        assert_eq!(rows, cover(&axes, &forbidden), "drawn from nothing");
    }

    #[test]
    fn two_axes_are_their_product() {
        let mut rows = cover(&[2, 3], &[]);
        rows.sort();
        let all = [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]];
        assert_eq!(rows, all.map(Vec::from));
    }
}
