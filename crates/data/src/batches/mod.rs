//! Images in the order of an epoch, augmented, as batches of tensors.

mod batch;
mod images;
mod loader;
mod order;

pub use self::batch::Batch;
pub use self::images::Images;
pub use self::loader::Loader;
pub use self::order::{Order, Sampling};
