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
mod batch;
mod check;
mod decode;
mod embedded;
mod error;
mod folder;
mod idx;
mod images;
mod jpeg;
mod loader;
mod manifest;
mod open;
mod order;
#[cfg(feature = "parquet")]
mod parquet;
mod parts;
mod pipeline;
mod place;
mod prepare;
mod random;
mod resize;
mod set;
mod shelf;
mod store;
mod survey;

pub use augment::{Augment, Crop, RandAugment};
pub use check::{Broken, Check, Duplicates, Part, check};
pub use embedded::{embedded_signs, embedded_signs_pretrain};
pub use error::DataError;
pub use folder::SplitOptions;
pub use idx::{IdxOptions, open_idx};
pub use images::{Batch, Images, Normalization};
pub use loader::Loader;
pub use open::{open, open_test, survey};
pub use order::{Order, Sampling};
pub use pipeline::{Cache, OnBadImage, Pipeline, free_memory};
pub use prepare::{Filter, Keep, Preprocess};
pub use set::{Fold, ImageSet, Sample, Source, Splits};
pub use shelf::Shelf;
pub use survey::{Fate, Ignored, Link, Survey, Why};
