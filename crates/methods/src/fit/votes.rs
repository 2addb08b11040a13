//! Votes of nearest neighbours, as in DINO's evaluation (Caron et al. 2021, arXiv:2104.14294, section 4.1;
//! Wu et al. 2018, arXiv:1805.01978, section 3.4).

use std::cmp::Ordering;

use finetune_kernels::host::Matrix;

use super::examples::Examples;
use super::score::Score;

/// Images whose similarities to all others are computed at once.
const ROWS: usize = 256;

/// How the neighbours of an image vote for its class.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Vote {
    pub(crate) classes: usize,
    /// `τ`: a neighbour of similarity `s` has `exp(s / τ)` votes.
    pub(crate) temperature: f64,
}

impl Vote {
    /// Logarithms of the probabilities of the classes, for the classes of neighbours and their
    /// similarities, the most similar first.
    ///
    /// A class that no neighbour has would have the probability 0. One more neighbour of average weight,
    /// whose votes all classes share, changes no order and gives each class a probability above 0.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn logarithms(&self, neighbours: &[(usize, f64)]) -> Vec<f64> {
        let most = neighbours
            .first()
            .map_or(0.0, |(_, similarity)| *similarity);
        let mut votes = vec![0.0; self.classes];
        let mut all = 0.0;
        for (class, similarity) in neighbours {
            let weight = ((similarity - most) / self.temperature).exp();
            if let Some(votes) = votes.get_mut(*class) {
                *votes += weight;
                all += weight;
            }
        }
        let count = neighbours.len().max(1) as f64;
        let for_each = 1.0 / (count * self.classes as f64);
        let scale = if all > 0.0 { 1.0 / all } else { 0.0 };
        let shares = votes.iter().map(|votes| votes * scale + for_each);
        let shares: Vec<f64> = shares.collect();
        let total: f64 = shares.iter().sum();
        shares
            .into_iter()
            .map(|share| (share / total).ln())
            .collect()
    }
}

/// Scales rows to the length 1; a row of zeros stays as it is.
#[allow(clippy::cast_possible_truncation)]
pub(crate) fn normalized(features: &[f32], width: usize) -> Vec<f32> {
    let mut scaled = Vec::with_capacity(features.len());
    for row in features.chunks_exact(width.max(1)) {
        let squares: f64 = row.iter().map(|value| f64::from(*value).powi(2)).sum();
        let length = if squares > 0.0 { squares.sqrt() } else { 1.0 };
        scaled.extend(row.iter().map(|value| (f64::from(*value) / length) as f32));
    }
    scaled
}

/// The `count` largest of these similarities with their indices, the largest first; of equal ones, the
/// first comes first.
pub(crate) fn nearest(similarities: impl Iterator<Item = f64>, count: usize) -> Vec<(usize, f64)> {
    let order = |a: &(usize, f64), b: &(usize, f64)| -> Ordering {
        b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
    };
    let mut all: Vec<(usize, f64)> = similarities.enumerate().collect();
    if count < all.len() {
        all.select_nth_unstable_by(count, order);
        all.truncate(count);
    }
    all.sort_unstable_by(order);
    all
}

/// The score of each number of neighbours in `counts`, if each image is classified by the others. `None`
/// if it was stopped.
///
/// `index` are the examples' features as rows of length 1.
pub(crate) fn leave_one_out(
    examples: &Examples,
    index: &[f32],
    vote: Vote,
    counts: &[usize],
    stop: &dyn Fn() -> bool,
) -> Option<Vec<Score>> {
    let images = examples.len();
    let most = counts.iter().copied().max().unwrap_or(0);
    let values = index.iter().map(|value| f64::from(*value)).collect();
    let all = Matrix::new(values, [images, examples.width]);
    let others = all.transposed();
    // One list of probabilities per number of neighbours.
    let mut answers: Vec<Vec<(Vec<f64>, usize)>> = vec![Vec::with_capacity(images); counts.len()];
    for first in (0..images).step_by(ROWS) {
        if stop() {
            return None;
        }
        let rows = ROWS.min(images - first);
        let similarities = all.rows(first, rows).times(&others).into_values();
        for (row, image) in similarities.chunks_exact(images).zip(first..) {
            let others = row.iter().enumerate();
            let others = others.map(|(other, similarity)| {
                if other == image {
                    f64::NEG_INFINITY
                } else {
                    *similarity
                }
            });
            let neighbours: Vec<(usize, f64)> = nearest(others, most)
                .into_iter()
                .filter(|(other, _)| *other != image)
                .map(|(other, similarity)| (examples.labels[other], similarity))
                .collect();
            for (count, answers) in counts.iter().zip(&mut answers) {
                let voting = &neighbours[..neighbours.len().min(*count)];
                answers.push((vote.logarithms(voting), examples.labels[image]));
            }
        }
    }
    let scores = answers.iter().map(|answers| {
        let rows = answers.iter().map(|(row, label)| (row.as_slice(), *label));
        Score::of(rows)
    });
    Some(scores.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_similar_come_first_and_equal_ones_in_their_order() {
        let of = |count| nearest([0.5, 0.9, 0.5, -1.0, 0.9, 0.5].into_iter(), count);
        assert_eq!(of(0), []);
        assert_eq!(of(3), [(1, 0.9), (4, 0.9), (0, 0.5)]);
        assert_eq!(of(4), [(1, 0.9), (4, 0.9), (0, 0.5), (2, 0.5)]);
        let all: Vec<usize> = of(9).into_iter().map(|(index, _)| index).collect();
        assert_eq!(all, [1, 4, 0, 2, 5, 3]);
    }

    #[test]
    fn rows_get_the_length_1() {
        assert_eq!(
            normalized(&[3.0, -4.0, 0.0, 0.0, 1e-30, 0.0], 2),
            [0.6, -0.8, 0.0, 0.0, 1.0, 0.0]
        );
    }

    #[test]
    fn similar_neighbours_have_more_votes_and_no_class_is_impossible() {
        let vote = Vote {
            classes: 3,
            temperature: 0.1,
        };
        let shares: Vec<f64> = vote
            .logarithms(&[(2, 0.9), (0, 0.8), (2, 0.7)])
            .into_iter()
            .map(f64::exp)
            .collect();
        // exp(9), exp(8) and exp(7) votes, and a third of the average of them for each class.
        let (a, b, c) = (9.0_f64.exp(), 8.0_f64.exp(), 7.0_f64.exp());
        let average = (a + b + c) / 9.0;
        let all = (a + b + c) * 4.0 / 3.0;
        for (found, votes) in shares.iter().zip([b, 0.0, a + c]) {
            assert!(
                (found - (votes + average) / all).abs() < 1e-12,
                "{shares:?}"
            );
        }
        // A tiny temperature does not overflow, and without neighbours all classes are equal.
        let cold = Vote {
            temperature: 1e-6,
            ..vote
        };
        let of_two = cold.logarithms(&[(1, 1.0), (0, 0.5)]);
        assert!((of_two[1].exp() - (1.0 + 1.0 / 6.0) / 1.5).abs() < 1e-12);
        assert!(
            vote.logarithms(&[])
                .iter()
                .all(|log| (log.exp() - 1.0 / 3.0).abs() < 1e-12)
        );
    }

    #[test]
    fn an_image_is_not_its_own_neighbour() {
        // Two pairs of equal images, each of two classes: the nearest other image is always wrong.
        let examples = Examples {
            features: vec![1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0],
            width: 2,
            labels: vec![0, 1, 0, 1],
            classes: 2,
        };
        let vote = Vote {
            classes: 2,
            temperature: 0.07,
        };
        let scores = |counts: &[usize]| {
            leave_one_out(&examples, &examples.features, vote, counts, &|| false).unwrap()
        };
        let alone = scores(&[1])[0];
        assert!(alone.accuracy.abs() < 1e-12);
        // The other class has (1 + 1/2)/2, the own one 1/4.
        assert!((alone.loss - 4.0_f64.ln()).abs() < 1e-12);
        assert_eq!(scores(&[1, 3])[0], alone);
        assert!(leave_one_out(&examples, &examples.features, vote, &[1], &|| true).is_none());
    }
}
