//! Looking for what is wrong with a data set before training on it.

mod duplicates;
mod images;
mod sides;
mod survey;

pub use self::duplicates::Duplicates;
pub use self::images::{Check, Part, check};
pub use self::sides::shorter_sides;
pub use self::survey::{Fate, Ignored, Link, Survey, survey};
pub use crate::images::UnusableImage;
pub use crate::sources::{LeftOut, Why};
