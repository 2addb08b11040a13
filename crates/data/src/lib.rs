//! From a data set to batches of tensors: names and labels, decoding, caches, augmentation, batches.
//!
//! ```
//! use burn::tensor::Device;
//! use finetune_data::{Augment, Loader, Normalization, Order, Preprocess, embedded_signs};
//!
//! let signs = embedded_signs(); // or finetune_data::open(path, &SplitOptions::default())?
//! let images = signs.train.take_per_class(2, 0).decode(&Preprocess::square(64))?;
//! let batches = Loader::new(&images, 4, Order::Shuffled { seed: 0, epoch: 1 })
//!     .normalization(Normalization::HALF)
//!     .augment(Augment { flip: true, ..Augment::default() })
//!     .device(&Device::flex());
//! for batch in batches {
//!     assert_eq!(batch?.images.dims()[1..], [3, 64, 64]);
//! }
//! # Ok::<(), finetune_data::DataError>(())
//! ```
//!
//! A data set passes through the modules in this order: [`sources`], [`images`], [`store`],
//! [`augment`], [`batches`]; [`check`] looks for what is wrong with it.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation
    )
)]

pub mod augment;
pub mod batches;
pub mod check;
mod error;
mod guard;
pub mod images;
mod positioned;
mod random;
pub mod sources;
pub mod store;

pub use self::augment::Augment;
pub use self::batches::{Batch, Images, Loader, Order, Sampling};
pub use self::error::DataError;
pub use self::images::{Filter, Fit, FittedImage, Normalization, Picture, Preprocess, StoredSize};
pub use self::sources::embedded::{embedded_signs, embedded_signs_pretrain};
pub use self::sources::{
    Fingerprint, Fold, ImageSet, Sample, Source, SplitOptions, Splits, Understood, named, open,
    open_test,
};
pub use self::store::{Cache, OnBadImage, Pipeline};
