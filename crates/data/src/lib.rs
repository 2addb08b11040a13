//! An image folder as checked, decoded, augmented and batched tensors.
//!
//! ```
//! use burn::tensor::Device;
//! use finetune_data::{Augment, Loader, Normalization, Order, Preprocess, embedded_signs};
//!
//! let signs = embedded_signs(); // or finetune_data::open(path, &SplitOptions::default())?
//! let few = signs.train.take_per_class(2, 0).decode(&Preprocess::square(64))?;
//! let batches = Loader::new(&few, 4, Order::Shuffled { seed: 0, epoch: 1 })
//!     .normalization(Normalization::HALF)
//!     .augment(Augment { flip: true, ..Augment::default() })
//!     .device(&Device::flex());
//! for batch in batches {
//!     assert_eq!(batch?.images.dims()[1..], [3, 64, 64]);
//! }
//! # Ok::<(), finetune_data::DataError>(())
//! ```

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation
    )
)]

mod augment;
mod batches;
mod check;
mod error;
mod images;
mod positioned;
mod random;
mod sources;
mod store;

pub use augment::{Augment, Crop, RandAugment};
pub use batches::images::{Batch, Images, Normalization};
pub use batches::loader::Loader;
pub use batches::order::{Order, Sampling};
pub use check::survey::{Fate, Ignored, Link, Survey, Why};
pub use check::{Broken, Check, Duplicates, Part, check};
pub use error::DataError;
pub use images::prepare::{Filter, Keep, Preprocess};
pub use sources::embedded::{embedded_signs, embedded_signs_pretrain};
pub use sources::folder::SplitOptions;
pub use sources::idx::{IdxOptions, open_idx};
pub use sources::set::{Fold, ImageSet, Sample, Source, Splits};
pub use sources::{open, open_test, survey};
pub use store::pipeline::{Cache, OnBadImage, Pipeline, free_memory};
pub use store::shelf::Shelf;
