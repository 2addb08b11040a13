//! Fashion-MNIST (Xiao et al. 2017, arXiv:1708.07747) from Debian's package `dataset-fashion-mnist`.
//!
//! Five classes that are hard to tell apart are the data set; the five others are to pretrain with.

use std::path::Path;

use super::idx::{IdxOptions, open_idx};
use super::named::NamedSet;
use super::splits::Splits;
use crate::error::DataError;

pub(super) const FASHION_MNIST: NamedSet = NamedSet {
    name: "fashion-mnist",
    pretraining_description: "its five other classes",
    open: || read(HARD, 200),
    pretraining: || Ok(read(OTHERS, 1000)?.train),
};

/// Where the package installs its files.
const FOLDER: &str = "/usr/share/datasets/fashion-mnist";

const HARD: &[(u8, &str)] = &[
    (0, "T-shirt"),
    (2, "pullover"),
    (3, "dress"),
    (4, "coat"),
    (6, "shirt"),
];

const OTHERS: &[(u8, &str)] = &[
    (1, "trouser"),
    (5, "sandal"),
    (7, "sneaker"),
    (8, "bag"),
    (9, "boot"),
];

/// Opens so many training images and 100 test images of each of these classes.
fn read(classes: &[(u8, &str)], train_per_class: usize) -> Result<Splits, DataError> {
    let options = IdxOptions {
        classes,
        train_per_class,
        test_per_class: 100,
        seed: 0,
    };
    open_idx(Path::new(FOLDER), &options).map_err(|source| DataError::NotInstalled {
        name: "Fashion-MNIST",
        install: "apt-get install dataset-fashion-mnist",
        source: Box::new(source),
    })
}
