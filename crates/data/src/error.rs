//! Errors of this crate.

use std::path::PathBuf;

/// What can go wrong between a data set and its tensors. Each message names what is wrong and what to
/// do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A path is neither a directory nor a file of a known format.
    #[error(
        "{} is not a folder; give the folder that holds your images, or a {extensions} file",
        path.display()
    )]
    NotADataSet {
        /// The path.
        path: PathBuf,
        /// The extensions of all known formats.
        extensions: String,
    },
    /// A data set that is opened by its name cannot be read from where its package installs it.
    #[error("{name} is not installed (`{install}`)")]
    NotInstalled {
        /// What the data set is called.
        name: &'static str,
        /// The command that installs it.
        install: &'static str,
        /// The error that opening it gave.
        source: Box<DataError>,
    },
    /// A folder or file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The folder or file.
        path: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },
    /// A folder has no folders with images.
    #[error(
        "{folder} holds no classes; put the images of each class into a folder of its own, e.g. {folder}/cat and {folder}/dog",
        folder = .0.display()
    )]
    NoClasses(PathBuf),
    /// A folder has training images in a folder of their own but no test images, or the reverse.
    #[error(
        "{path} has a folder `{has}` but no folder `{lacks}`; add {path}/{lacks}, or give {path}/{has} to split it automatically",
        path = path.display()
    )]
    MissingPart {
        /// The folder of the data set.
        path: PathBuf,
        /// The folder that exists.
        has: &'static str,
        /// The folder that does not.
        lacks: &'static str,
    },
    /// There is only one class.
    #[error(
        "{} holds only the class `{class}`; a data set needs two classes or more",
        path.display()
    )]
    OneClass {
        /// The data set.
        path: PathBuf,
        /// The only class.
        class: String,
    },
    /// A class has no images.
    #[error("the class folder {} holds no images; add some or remove the folder", .0.display())]
    EmptyClass(PathBuf),
    /// A class has too few images to be split.
    #[error("the class `{class}` has {count} image(s); splitting needs {least} or more")]
    TooFewToSplit {
        /// The class.
        class: String,
        /// Number of its images.
        count: usize,
        /// Number of images that it needs.
        least: usize,
    },
    /// The test or validation images have other classes than the training images.
    #[error(
        "the classes of {} differ from those of training: {}; make them the same",
        path.display(),
        differences(missing, extra)
    )]
    ClassesDiffer {
        /// The folder of the test or validation images.
        path: PathBuf,
        /// Training classes that it lacks.
        missing: Vec<String>,
        /// Classes that training lacks.
        extra: Vec<String>,
    },
    /// An image cannot be decoded.
    #[error("cannot decode the image {name}: {reason}; replace or remove it")]
    Image {
        /// The name of the image.
        name: String,
        /// Why.
        reason: String,
    },
    /// An image has more pixels than the limit.
    #[error(
        "the image {name} has {width}×{height} pixels, more than the limit of {limit} in all; reduce it"
    )]
    TooLarge {
        /// The name of the image.
        name: String,
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Most pixels that are accepted.
        limit: u64,
    },
    /// All images of a class were left out because they cannot be used.
    #[error("no image of the class `{class}` can be used; the first reason: {reason}")]
    NoneLeft {
        /// The class.
        class: String,
        /// Why the first image that was left out cannot be used.
        reason: String,
    },
    /// The cache file of decoded images cannot be written or read.
    #[error("cannot cache decoded images in {}: {source}", path.display())]
    Cache {
        /// The cache file.
        path: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },
    /// A file of features that were computed from the images cannot be written or read.
    #[error(
        "cannot cache the features of frozen layers in a file of {}: {source}; free space there, or cache them in memory or not at all",
        folder.display()
    )]
    ByteStore {
        /// The folder of the file, which has no name.
        folder: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },
    /// The threads that read images cannot be started, or one of them panicked.
    #[error("the threads that read images have failed: {0}")]
    Workers(String),
    /// A manifest is not valid.
    #[error("{place}: {reason}")]
    Manifest {
        /// The file, and perhaps the line.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// A test or validation image has a label that no training image has.
    #[error("{place}: no training image has the label `{label}`; labels: {classes}")]
    UnknownLabel {
        /// The file, and the line or row.
        place: String,
        /// The label.
        label: String,
        /// The labels of the training images.
        classes: String,
    },
    /// A data set has no training images.
    #[error("{} has no training images", .0.display())]
    NoTraining(PathBuf),
    /// Folds are asked for, but the data set has validation images.
    #[error("{0} has validation images already; folds are for data sets without any")]
    FoldsAndValid(String),
    /// A link leads out of the folder of the data set.
    #[error(
        "{} is a link to {}, outside of the folder; copy the target into the folder, or name the files in a manifest (.csv)",
        path.display(), target.display()
    )]
    LinkLeaves {
        /// The link.
        path: PathBuf,
        /// Its target.
        target: PathBuf,
    },
    /// The name of a class folder is not UTF-8, and looks like that of another class when it is shown.
    #[error("the name of the class folder {} is not UTF-8 and cannot be told from another's; rename it", .0.display())]
    NotUtf8(PathBuf),
    /// A Parquet file does not have images and labels.
    #[error("{}: {reason}", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// An IDX file is not valid.
    #[error("{} is not a readable IDX file: {reason}; download it again", path.display())]
    Idx {
        /// The file.
        path: PathBuf,
        /// What is wrong.
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
