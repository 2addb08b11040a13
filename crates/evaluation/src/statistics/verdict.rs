//! What a comparison says of two methods, and when.

/// With fewer seeds of one of two methods, neither is called better.
///
/// The spread over two seeds is known from one difference, which is small by chance too often: in
/// simulations of five equal methods with two seeds, one was called better in up to 9 % of the
/// comparisons.
pub const MIN_SEEDS: usize = 3;

/// The probability, over a whole comparison, with which a method may be called better than one that
/// is equally good.
pub const LEVEL: f64 = 0.05;

/// Whether a comparison shows that one of two methods is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The first method is better.
    First,
    /// The second method is better.
    Second,
    /// Neither is shown to be better, which does not say that they are equally good.
    NotShown(Reason),
}

/// Why neither of two methods is shown to be better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// There are no test images, or a method has no seeds.
    Nothing,
    /// A method has fewer than [`MIN_SEEDS`] seeds.
    FewSeeds,
    /// The difference is not larger than what the choice of images and seeds explains.
    Small,
}
