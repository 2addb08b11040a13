//! What a comparison says of two methods, and when.

/// With fewer seeds of one of two methods, neither is called better.
///
/// One seed says nothing of its method's spread. Two would do if the effects of seeds were normal, but
/// not if runs fail now and then: if one in five does, both seeds of some method among five fail, and
/// agree, in 18 % of comparisons; three seeds do in 4 %.
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
