//! How much more would show a difference.

use super::variance::Variance;
use super::verdict::MIN_SEEDS;

/// How many more test images, or else seeds, would probably show a difference of the size that was
/// observed; [`Pair`](crate::statistics::Pair) describes the estimate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Wanted {
    /// The observed difference, as an absolute value.
    pub(crate) difference: f64,
    /// The p-value that shows it.
    pub(crate) level: f64,
    /// Its variance with the images and seeds at hand.
    pub(crate) variance: Variance,
}

impl Wanted {
    /// The normal quantile of a power of 80 %.
    const POWER: f64 = 0.841_621_233_572_914_3;

    /// More images or seeds than this are not worth recommending, and would not be estimated well.
    const MOST_IMAGES: usize = 10_000_000;
    const MOST_SEEDS: usize = 1000;

    /// Images to add to `images`, with the seeds at hand.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn images(&self, images: usize) -> Option<usize> {
        if self.variance.fewest_seeds() < MIN_SEEDS {
            return None;
        }
        smallest(1, Self::MOST_IMAGES, |more| {
            let share = images as f64 / (images + more) as f64;
            let methods = self.variance.methods;
            self.shown(Variance {
                images: self.variance.images * share,
                methods: methods.map(|method| method.with_rest_times(share)),
            })
        })
    }

    /// Seeds to add to each method, with the images at hand.
    pub(crate) fn seeds(&self) -> Option<usize> {
        let fewest = self.variance.fewest_seeds();
        if fewest < 2 {
            return None;
        }
        smallest(
            MIN_SEEDS.saturating_sub(fewest).max(1),
            Self::MOST_SEEDS,
            |more| {
                let methods = self.variance.methods;
                let methods = methods.map(|method| method.with_more_seeds(more));
                let [first, second] = methods;
                self.shown(Variance {
                    images: self.variance.images_alone() + first.rest + second.rest,
                    methods,
                })
            },
        )
    }

    /// Whether a difference that is observed with this variance would be shown with a probability of
    /// at least 80 %: even if it comes out smaller by 0.84 standard deviations.
    fn shown(&self, variance: Variance) -> bool {
        let probably = self.difference - Self::POWER * variance.total().sqrt();
        probably > 0.0 && variance.errors().two_sided(probably) <= self.level
    }
}

/// The smallest number from `least` to `most` with a property that larger numbers keep.
fn smallest(least: usize, most: usize, has: impl Fn(usize) -> bool) -> Option<usize> {
    let (mut below, mut above) = (least - 1, least);
    while !has(above) {
        if above >= most {
            return None;
        }
        (below, above) = (above, (2 * above).min(most));
    }
    while above - below > 1 {
        let middle = usize::midpoint(below, above);
        if has(middle) {
            above = middle;
        } else {
            below = middle;
        }
    }
    Some(above)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::variance::SeedVariance;

    fn wanted(difference: f64, images: f64, all: f64) -> Wanted {
        let method = SeedVariance {
            seeds: 5,
            all,
            rest: 0.0,
        };
        Wanted {
            difference,
            level: 0.05,
            variance: Variance {
                images,
                methods: [method; 2],
            },
        }
    }

    #[test]
    fn images_follow_the_usual_formula_if_seeds_agree() {
        // n = σ² · (1.96 + 0.8416)² / d², with σ² = 100 · 0.0025: 784.9 images in all, 684.9 more.
        assert_eq!(wanted(0.05, 0.0025, 0.0).images(100), Some(685));
    }

    #[test]
    fn no_number_of_images_makes_up_for_seeds_that_scatter() {
        assert_eq!(wanted(0.05, 0.0, 0.00125).images(100), None);
        assert_eq!(wanted(0.05, 0.0025, 0.0).seeds(), None);
        assert_eq!(wanted(0.0, 0.0025, 0.0025).seeds(), None);
        // statsmodels' TTestIndPower for an effect of 0.05 / (√5 · √0.00125) needs 40.2 seeds.
        let more = wanted(0.05, 0.0, 0.00125).seeds();
        assert!(
            more.is_some_and(|more| (35..=37).contains(&more)),
            "{more:?}"
        );
    }

    #[test]
    fn the_smallest_number_is_found() {
        for number in [3, 4, 7, 99, 100] {
            assert_eq!(smallest(3, 100, |n| n >= number), Some(number));
        }
        assert_eq!(smallest(3, 100, |_| false), None);
    }
}
