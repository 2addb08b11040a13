//! The Pareto front: what no other choice beats in both value and cost.

/// Means are rounded: values that differ by no more than this are equal.
const SAME: f64 = 1e-9;

/// The indices of the `(cost, value)` pairs on the Pareto front, the cheapest first.
///
/// A pair is on the front unless another one costs no more and has no smaller value, and is better in one of
/// the two. Equal pairs are on the front together. Pairs with a number that is not finite are not on it.
#[must_use]
pub fn pareto_front(pairs: &[(f64, f64)]) -> Vec<usize> {
    let finite = |index: &usize| pairs[*index].0.is_finite() && pairs[*index].1.is_finite();
    let mut order: Vec<usize> = (0..pairs.len()).filter(finite).collect();
    order.sort_by(|a, b| {
        let ((cost, value), (other_cost, other_value)) = (pairs[*a], pairs[*b]);
        cost.total_cmp(&other_cost)
            .then(other_value.total_cmp(&value))
    });
    let mut front: Vec<usize> = Vec::new();
    for index in order {
        let (cost, value) = pairs[index];
        let better = front.last().is_none_or(|last| {
            let (last_cost, last_value) = pairs[*last];
            let equal = (value - last_value).abs() <= SAME && cost.total_cmp(&last_cost).is_eq();
            value > last_value + SAME || equal
        });
        if better {
            front.push(index);
        }
    }
    front
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_one_beats_in_both_is_not_on_the_front() {
        // The third costs more than the second and has a smaller value; the fifth costs as much as the
        // fourth.
        let mut pairs = [(1.0, 0.5), (2.0, 0.8), (3.0, 0.7), (4.0, 0.9), (4.0, 0.85)];
        assert_eq!(pareto_front(&pairs), [0, 1, 3]);
        pairs.reverse();
        assert_eq!(pareto_front(&pairs), [4, 3, 1]);
    }

    #[test]
    fn of_equal_values_the_cheapest_is_on_the_front_and_equal_pairs_are_together() {
        assert_eq!(pareto_front(&[(2.0, 0.9), (1.0, 0.9)]), [1]);
        assert_eq!(pareto_front(&[(1.0, 0.9), (1.0, 0.9), (2.0, 0.9)]), [0, 1]);
        // 0.1 + 0.2 is larger than 0.3 by rounding alone.
        assert_eq!(pareto_front(&[(1.0, 0.3), (2.0, 0.1 + 0.2)]), [0]);
    }

    #[test]
    fn numbers_that_were_not_measured_are_not_on_the_front() {
        assert_eq!(pareto_front(&[(f64::NAN, 0.9), (1.0, 0.5)]), [1]);
        assert_eq!(pareto_front(&[(1.0, f64::NAN)]), [0; 0]);
        assert_eq!(pareto_front(&[]), [0; 0]);
    }
}
