//! What can go wrong between a folder and its tensors.

use std::path::PathBuf;

/// Errors of this crate. Each names the thing that is wrong and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The folder is not there, or is no folder.
    #[error(
        "{} is not a folder; give the folder that holds your images, or a .csv, .jsonl or .parquet file",
        .0.display()
    )]
    NotAFolder(PathBuf),
    /// A folder or file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The folder or file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A folder without class folders.
    #[error(
        "{folder} holds no classes; put the images of each class into a folder of its own, e.g. {folder}/cat and {folder}/dog",
        folder = .0.display()
    )]
    NoClasses(PathBuf),
    /// A training part without a test part, or the other way round.
    #[error(
        "{path} has a part `{has}` but no `{lacks}`; add {path}/{lacks}, or give {path}/{has} to have that split",
        path = path.display()
    )]
    MissingPart {
        /// The folder of the parts.
        path: PathBuf,
        /// The part that is there.
        has: &'static str,
        /// The part that is not.
        lacks: &'static str,
    },
    /// A single class.
    #[error(
        "{} holds only the class `{class}`; telling classes apart needs two or more folders",
        path.display()
    )]
    OneClass {
        /// The folder of classes.
        path: PathBuf,
        /// The only class.
        class: String,
    },
    /// A class without images.
    #[error("the class folder {} holds no images; add some or remove the folder", .0.display())]
    EmptyClass(PathBuf),
    /// A class of a folder that is split has too few images to be on both sides.
    #[error("the class `{class}` has {count} image(s); splitting needs {least} or more")]
    TooFewToSplit {
        /// The class.
        class: String,
        /// Its images.
        count: usize,
        /// How many it needs.
        least: usize,
    },
    /// Test or validation classes are not the training classes.
    #[error("the classes of {} differ from those of training: {}; make them the same", path.display(), differences(missing, extra))]
    ClassesDiffer {
        /// The folder that differs.
        path: PathBuf,
        /// Training classes that it lacks.
        missing: Vec<String>,
        /// Classes that training lacks.
        extra: Vec<String>,
    },
    /// An image that cannot be decoded.
    #[error("cannot decode the image {name}: {reason}; replace or remove it")]
    Image {
        /// The file.
        name: String,
        /// The decoder's reason.
        reason: String,
    },
    /// An image with more pixels than the limit.
    #[error(
        "the image {name} has {width}×{height} pixels, more than the limit of {limit} in all; reduce it"
    )]
    TooLarge {
        /// The file.
        name: String,
        /// Width, pixels.
        width: u32,
        /// Height, pixels.
        height: u32,
        /// Most pixels that are accepted.
        limit: u64,
    },
    /// All images of a class are among those that cannot be used.
    #[error("no image of the class `{class}` can be used; the first reason: {reason}")]
    NoneLeft {
        /// The class.
        class: String,
        /// Why the first image was left out.
        reason: String,
    },
    /// The file of decoded images cannot be written or read.
    #[error("cannot keep decoded images in {}: {source}", path.display())]
    Cache {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file that holds what was computed cannot be written or read.
    #[error(
        "cannot keep the features of frozen layers in a file of {}: {source}; make room there, or keep them in memory or not at all",
        folder.display()
    )]
    Shelf {
        /// The file's folder; it has no name.
        folder: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The threads that read images could not be started, or one broke down.
    #[error("the threads that read images do not work: {0}")]
    Workers(String),
    /// A manifest that cannot be used.
    #[error("{place}: {reason}")]
    Manifest {
        /// The file, and the line.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A label that no training image has.
    #[error("{place}: no training image has the label `{label}`; labels: {classes}")]
    UnknownLabel {
        /// The file, and the line or row.
        place: String,
        /// The label.
        label: String,
        /// The labels that training images have.
        classes: String,
    },
    /// A list of images without training images.
    #[error("{} names no training images", .0.display())]
    NoTraining(PathBuf),
    /// Folds of a data set that brings validation images along.
    #[error("{0} has validation images already; folds are for data sets without")]
    FoldsAndValid(String),
    /// A link to something outside of the data set's folder.
    #[error(
        "{} is a link to {}, outside of the folder; copy what it leads to, or name the files in a manifest (.csv)",
        path.display(), target.display()
    )]
    LinkLeaves {
        /// The link.
        path: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
    /// A class folder whose name is no text, and as one is another's.
    #[error("the name of the class folder {} is not UTF-8 and reads like another's; rename it", .0.display())]
    NotUtf8(PathBuf),
    /// A Parquet file that is not of images and labels.
    #[error("{}: {reason}", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file that is not the IDX file it should be.
    #[error("{} is not a readable IDX file: {reason}; fetch it again", path.display())]
    Idx {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

fn differences(missing: &[String], extra: &[String]) -> String {
    let part = |title: &str, names: &[String]| {
        (!names.is_empty()).then(|| format!("{title} {}", names.join(", ")))
    };
    let parts: Vec<_> = [part("missing", missing), part("unknown", extra)]
        .into_iter()
        .flatten()
        .collect();
    parts.join("; ")
}
