//! Errors of this crate.

use std::path::PathBuf;

use finetune_files::{quoted, quoted_path};

/// What can go wrong between a data set and its tensors. Each message names what is wrong and what to
/// do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A path does not exist.
    #[error(
        "{} does not exist{}; give the folder that holds your images, or a {extensions} file",
        quoted_path(path),
        nearest(near.as_deref())
    )]
    Missing {
        /// The path.
        path: PathBuf,
        /// The path that exists and is most like it.
        near: Option<PathBuf>,
        /// The extensions of all known formats.
        extensions: String,
    },
    /// A path is a file of no known format.
    #[error(
        "{} is not a folder; give the folder that holds your images, or a {extensions} file",
        quoted_path(path)
    )]
    NotADataSet {
        /// The path.
        path: PathBuf,
        /// The extensions of all known formats.
        extensions: String,
    },
    /// A folder can be understood in several ways.
    #[error("{}: {reason}", quoted_path(path))]
    Ambiguous {
        /// The folder.
        path: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
    /// The test images have no labels.
    #[error(
        "{} has {images} image(s) but no class folders, so that they have no labels; put the images of each class into a folder of its own, or give {} to split it automatically",
        quoted_path(path),
        quoted_path(train)
    )]
    Unlabelled {
        /// The folder of the test images.
        path: PathBuf,
        /// Number of images directly in it.
        images: usize,
        /// The folder of the training images.
        train: PathBuf,
    },
    /// There is no such fold.
    #[error(
        "there is no fold {index} of {of}: there must be at least 2 folds, and they count from 1"
    )]
    NoSuchFold {
        /// Its number, from 1.
        index: usize,
        /// The number of folds.
        of: usize,
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
    #[error("cannot read {}: {source}", quoted_path(path))]
    Io {
        /// The folder or file.
        path: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },
    /// A folder has no folders with images.
    #[error(
        "{} holds no classes; put the images of each class into a folder of its own, e.g. {} and {}",
        quoted_path(.0),
        quoted_path(&.0.join("cat")),
        quoted_path(&.0.join("dog"))
    )]
    NoClasses(PathBuf),
    /// A folder has training images in a folder of their own but no test images, or the reverse.
    #[error(
        "{} has a folder {} but no folder {}; add {}, or give {} to split it automatically",
        quoted_path(path),
        quoted(has),
        quoted(lacks),
        quoted_path(&path.join(lacks)),
        quoted_path(&path.join(has))
    )]
    MissingPart {
        /// The folder of the data set.
        path: PathBuf,
        /// The folder that exists.
        has: String,
        /// The folder that does not.
        lacks: String,
    },
    /// There is only one class.
    #[error(
        "{} holds only the class {}; a data set needs two classes or more",
        quoted_path(path),
        quoted(class)
    )]
    OneClass {
        /// The data set.
        path: PathBuf,
        /// The only class.
        class: String,
    },
    /// A class has no images.
    #[error("the class folder {} holds no images; add some or remove the folder", quoted_path(.0))]
    EmptyClass(PathBuf),
    /// A class has too few images to be split.
    #[error(
        "the class {} has {count} image(s); splitting needs {least} or more",
        quoted(class)
    )]
    TooFewToSplit {
        /// The class.
        class: String,
        /// Number of its images.
        count: usize,
        /// Number of images that it needs.
        least: usize,
    },
    /// A class has too few groups to be split.
    #[error(
        "the images of the class {} are of {count} group(s); splitting needs {least} or more, since \
         a group is not divided",
        quoted(class)
    )]
    TooFewGroups {
        /// The class.
        class: String,
        /// Number of its groups.
        count: usize,
        /// Number of groups that it needs.
        least: usize,
    },
    /// A pattern is no regular expression, or matches nothing.
    #[error("--group-by {}: {reason}", quoted(pattern))]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The test or validation images have other classes than the training images.
    #[error(
        "the classes of {} differ from those of training: {}; make them the same",
        quoted_path(path),
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
    #[error(
        "cannot decode the image {}: {reason}; replace or remove it",
        quoted(name)
    )]
    Image {
        /// The name of the image.
        name: String,
        /// Why.
        reason: String,
    },
    /// An image has more pixels than the limit.
    #[error(
        "the image {} has {width}×{height} pixels, more than the limit of {limit} in all; reduce it",
        quoted(name)
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
    /// The images of a model would be too large, or have no pixels.
    #[error("the image size is {side}, but must be from 1 to {most} pixels")]
    ImageSize {
        /// A side in pixels.
        side: usize,
        /// The longest side.
        most: usize,
    },
    /// All images of a class were left out because they cannot be used.
    #[error(
        "no image of the class {} can be used; the first reason: {reason}",
        quoted(class)
    )]
    NoneLeft {
        /// The class.
        class: String,
        /// Why the first image that was left out cannot be used.
        reason: String,
    },
    /// The cache file of decoded images cannot be written or read.
    #[error("cannot cache decoded images in {}: {source}", quoted_path(path))]
    Cache {
        /// The cache file.
        path: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },
    /// A file of features that were computed from the images cannot be written or read.
    #[error(
        "cannot cache the features of frozen layers in a file of {}: {source}; free space there, or cache them in memory or not at all",
        quoted_path(folder)
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
    #[error(
        "{place}: no training image has the label {}; labels: {}",
        quoted(label),
        listed(classes)
    )]
    UnknownLabel {
        /// The file, and the line or row.
        place: String,
        /// The label.
        label: String,
        /// The labels of the training images.
        classes: Vec<String>,
    },
    /// A data set has no training images.
    #[error("{} has no training images", quoted_path(.0))]
    NoTraining(PathBuf),
    /// Folds are asked for, but the data set has validation images.
    #[error("{} has validation images already; folds are for data sets without any", quoted(.0))]
    FoldsAndValid(String),
    /// A link leads out of the folder of the data set.
    #[error(
        "{} is a link to {}, outside of the folder; copy the target into the folder, or name the files in a manifest (.csv)",
        quoted_path(path),
        quoted_path(target)
    )]
    LinkLeaves {
        /// The link.
        path: PathBuf,
        /// Its target.
        target: PathBuf,
    },
    /// The name of a class folder is not UTF-8, and looks like that of another class when it is shown.
    #[error("the name of the class folder {} is not UTF-8 and cannot be told from another's; rename it", quoted_path(.0))]
    NotUtf8(PathBuf),
    /// A Parquet file does not have images and labels.
    #[error("{}: {reason}", quoted_path(path))]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// An IDX file is not valid.
    #[error(
        "{} is not a readable IDX file: {reason}; download it again",
        quoted_path(path)
    )]
    Idx {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

fn differences(missing: &[String], extra: &[String]) -> String {
    let part = |title: &str, names: &[String]| {
        (!names.is_empty()).then(|| format!("{title} {}", listed(names)))
    };
    let parts: Vec<_> = [part("missing", missing), part("unknown", extra)]
        .into_iter()
        .flatten()
        .collect();
    parts.join("; ")
}

fn nearest(near: Option<&std::path::Path>) -> String {
    near.map_or_else(String::new, |near| {
        format!(" (the nearest name is {})", quoted_path(near))
    })
}

/// The first names of a list that may be long.
pub(crate) fn listed(names: &[String]) -> String {
    finetune_files::listed(names, 10, |name| quoted(name))
}
