//! What can go wrong in a run or a comparison.

use std::error::Error as StdError;
use std::io;
use std::path::{Path, PathBuf};

use finetune_data::DataError;
use finetune_evaluation::EvaluationError;
use finetune_files::{listed, nearest, quoted, quoted_path};
use finetune_methods::MethodError;
use finetune_model::ModelError;
use finetune_onnx::OnnxError;
use finetune_training::TrainingError;

/// Errors of this crate. Each message names what is wrong and, if it can, what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The caller asked for something that does not exist or cannot be done: an unknown device, a
    /// feature that is not built in, a folder that is in use.
    #[error("{0}")]
    Usage(String),
    /// The images cannot be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The method cannot be attached, or its files cannot be used.
    #[error(transparent)]
    Method(#[from] MethodError),
    /// The model or its weights cannot be used.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Training failed.
    #[error(transparent)]
    Training(#[from] TrainingError),
    /// A report cannot be read or written.
    #[error(transparent)]
    Evaluation(#[from] EvaluationError),
    /// A model cannot be written as ONNX.
    #[error(transparent)]
    Onnx(#[from] OnnxError),
    /// A file or folder cannot be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// For example `read` or `create the folder`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A folder without `config.json`.
    #[error("{} is not the folder of a finished run: it has no config.json", folder.display())]
    NoRun {
        /// The folder.
        folder: PathBuf,
        /// Why `config.json` cannot be read.
        source: io::Error,
    },
    /// A folder whose runs have written nothing yet but perhaps checkpoints.
    #[error(
        "no run in {0} is finished; resume it with --resume, or use a retained checkpoint with --epoch",
        quoted_path(folder)
    )]
    Unfinished {
        /// The folder.
        folder: PathBuf,
    },
    /// A configuration without runs.
    #[error("it has no runs")]
    NoRuns,
    /// Two runs of a configuration would write the same files.
    #[error("it has the run {} twice", quoted(name))]
    Twice {
        /// The name of the run.
        name: String,
    },
    /// A configuration of another version of the program.
    #[error("it has version {found}; this program reads version {read}")]
    Version {
        /// Its version.
        found: u32,
        /// The version that is read.
        read: u32,
    },
    /// A folder has no run of that name.
    #[error("there is no run `{name}`; runs: {}", known.join(", "))]
    UnknownRun {
        /// The name.
        name: String,
        /// The names of the folder's runs.
        known: Vec<String>,
    },
    /// A file that should hold the configuration of runs does not.
    #[error("{} is not a configuration of finetune: {source}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// Weights of an unknown model.
    #[error("{0}")]
    UnknownWeights(String),
    /// Weights that no model can be trained from.
    #[error(
        "{origin} has values that are not finite (NaN or infinite) in {count} of its tensors, the first \
         is {first}: the run that wrote it diverged, or it is damaged; use other weights"
    )]
    NotFinite {
        /// The file.
        origin: String,
        /// How many tensors have such values.
        count: usize,
        /// The first of them, between backticks.
        first: String,
    },
    /// A weights file of another program.
    #[error("{origin} was not written by finetune")]
    NoMetadata {
        /// The file.
        origin: String,
    },
    /// A weights file whose description of itself cannot be read.
    #[error("{origin}: the metadata is not valid: {source}")]
    Metadata {
        /// The file.
        origin: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// Test images have classes that the model was not trained on.
    #[error("{}", unknown_classes(unknown, trained))]
    UnknownClasses {
        /// Those classes.
        unknown: Vec<String>,
        /// The classes that the model was trained on.
        trained: Vec<String>,
    },
    /// Runs that were trained on different classes cannot answer together.
    #[error("{}", other_classes(run, missing, unknown))]
    OtherClasses {
        /// Names of the two runs.
        run: [String; 2],
        /// Classes of the first that the second does not have.
        missing: Vec<String>,
        /// Classes of the second that the first does not have.
        unknown: Vec<String>,
    },
    /// No file fits a name with wildcards.
    #[error("no file fits {}", quoted_path(pattern))]
    NoMatch {
        /// The name.
        pattern: PathBuf,
    },
    /// The base weights of a run do not exist any more.
    #[error("the base weights {} are missing{}", quoted_path(path), restore(path, sha256.as_deref()))]
    NoBase {
        /// The file.
        path: PathBuf,
        /// The SHA-256 of the file that the run started from, if it is recorded.
        sha256: Option<String>,
    },
    /// The base weights of a run are others than at its start.
    #[error(
        "the base weights {} are no longer those that the run started from: their SHA-256 is \
         {found}, it was {expected}; restore that file or train again",
        quoted(origin)
    )]
    OtherBase {
        /// The file, or `shipped`.
        origin: String,
        /// Their SHA-256.
        found: String,
        /// The SHA-256 at the start of the run.
        expected: String,
    },
    /// A file that should be the base weights of a run at a new place is another one.
    #[error(
        "{} is not the file that the run started from: its SHA-256 is {found}, not {expected}; give the \
         file that has this one",
        quoted_path(path)
    )]
    MovedBase {
        /// The file.
        path: PathBuf,
        /// Its SHA-256.
        found: String,
        /// The SHA-256 at the start of the run.
        expected: String,
    },
    /// A file of a run folder is not the one that the run wrote.
    #[error(
        "{} is not the file that the run wrote: it was changed, or belongs to another run (its \
         SHA-256 is {found}, config.json says {expected}); restore it or train again",
        quoted_path(path)
    )]
    OtherFile {
        /// The file.
        path: PathBuf,
        /// Its SHA-256.
        found: String,
        /// The SHA-256 when the run wrote it.
        expected: String,
    },
    /// The images of a run are others than at its start.
    #[error(
        "the images in {} are not those that the run was started with: {difference}; undo this to \
         resume the run, or start another one",
        quoted_path(path)
    )]
    OtherData {
        /// The data set.
        path: PathBuf,
        /// What differs.
        difference: String,
    },
    /// A checkpoint belongs to a run with other base weights or images.
    #[error("{} belongs to another run: {difference}", quoted_path(path))]
    OtherRun {
        /// The checkpoint.
        path: PathBuf,
        /// What differs.
        difference: String,
    },
    /// Another process works in the folder.
    #[error(
        "{} is in use by {process}; wait until it ends, or stop it",
        quoted_path(folder)
    )]
    InUse {
        /// The folder.
        folder: PathBuf,
        /// The process: `process 123`, or `another process`.
        process: String,
    },
    /// A setting of a run is out of range.
    #[error("{name} is {value}, but must be {wanted}")]
    Setting {
        /// The flag that sets it.
        name: &'static str,
        /// Its value.
        value: String,
        /// What is accepted.
        wanted: &'static str,
    },
    /// A file has another SHA-256 than it should have.
    #[error(
        "{} has the SHA-256 {found}, not {expected}; it is another file or damaged",
        path.display()
    )]
    Hash {
        /// The file.
        path: PathBuf,
        /// Its SHA-256.
        found: String,
        /// The SHA-256 that it should have.
        expected: String,
    },
    /// A file cannot be fetched from the Hugging Face Hub.
    #[error("{what}: {source}")]
    Hub {
        /// What could not be done, and what to do instead.
        what: String,
        /// The client's reason.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The system names no folder for caches.
    #[error("the system names no cache folder; set FINETUNE_CACHE to one")]
    NoCacheFolder,
    /// The thread pool cannot be set up.
    #[error("cannot compute with {threads} threads: {source}")]
    Threads {
        /// The number of threads.
        threads: usize,
        /// Rayon's reason.
        source: rayon::ThreadPoolBuildError,
    },
    /// No GPU can be used.
    #[error("no GPU can be used through wgpu: {0}; use --device cpu")]
    NoGpu(String),
    /// A tensor of the model exceeds the device's largest buffer.
    #[error(
        "{device} holds at most {} MiB in one tensor, but `{tensor}` of {model} has {} MiB; use \
         --device cpu",
        limit >> 20,
        bytes >> 20
    )]
    TensorTooLarge {
        /// The device's name.
        device: String,
        /// The largest buffer, bytes.
        limit: u64,
        /// The tensor's path.
        tensor: String,
        /// The model's name.
        model: &'static str,
        /// The tensor's size, bytes.
        bytes: u64,
    },
    /// The loss is no longer a number.
    #[error("{reason}; {}", left(checkpoint.as_ref()))]
    Diverged {
        /// What training says.
        reason: TrainingError,
        /// The run's last checkpoint and its epoch, if there is one.
        checkpoint: Option<(usize, PathBuf)>,
    },
    /// A stop was requested before there was a result.
    #[error("{0}")]
    Stopped(&'static str),
    /// A run in another process failed; the message is that process's.
    #[error("{0}")]
    Process(String),
    /// A value cannot be written as JSON.
    #[error("cannot write JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// `metrics.csv` cannot be written.
    #[error("cannot write metrics.csv: {0}")]
    Csv(#[from] csv::Error),
    /// What was being done when another error occurred.
    #[error("{what}: {source}")]
    While {
        /// For example `cannot resume from FILE`.
        what: String,
        /// The other error.
        source: Box<Error>,
    },
}

/// Says which classes a model does not know, and which of its own they resemble.
fn unknown_classes(unknown: &[String], trained: &[String]) -> String {
    let asked = |name: &String| match nearest(name, trained.iter().map(String::as_str)) {
        Some(nearest) => format!("{} (did you mean {}?)", quoted(name), quoted(nearest)),
        None => quoted(name),
    };
    format!(
        "the test images have {} that the model was not trained on: {}; it knows {}",
        if unknown.len() == 1 {
            "a class"
        } else {
            "classes"
        },
        listed(unknown, 5, asked),
        listed(trained, 20, |name| quoted(name))
    )
}

/// Says how the classes of two runs differ.
fn other_classes(run: &[String; 2], missing: &[String], unknown: &[String]) -> String {
    let names = |classes: &[String]| listed(classes, 5, |name| quoted(name));
    let [first, second] = run;
    let lacks = (!missing.is_empty()).then(|| format!("does not have {}", names(missing)));
    let has = (!unknown.is_empty()).then(|| format!("also has {}", names(unknown)));
    let difference: Vec<String> = lacks.into_iter().chain(has).collect();
    format!(
        "{first} and {second} were trained on different classes, so that they cannot answer together: {second} {}",
        difference.join(" and ")
    )
}

/// What to do about base weights that are missing.
fn restore(path: &Path, sha256: Option<&str>) -> String {
    let file = match sha256 {
        Some(sha256) => format!("that the run started from back there (its SHA-256 is {sha256})"),
        None => "back there".to_owned(),
    };
    let hub = from_hub(path).map_or_else(String::new, |name| {
        let name = quoted(&format!("--weights {name}"));
        format!("; it came from the Hugging Face Hub, from where {name} gets it again")
    });
    format!("; put the file {file}, or say with --weights FILE where it is now{hub}")
}

/// What a file in the cache of the Hugging Face Hub is called there: `hf:OWNER/NAME@REVISION/FILE`. It lies
/// in `models--OWNER--NAME/snapshots/REVISION`.
fn from_hub(path: &Path) -> Option<String> {
    let mut parts = path.components().map(|part| part.as_os_str().to_str());
    let repository = parts.find_map(|part| part?.strip_prefix("models--"))?;
    let (owner, name) = repository.split_once("--")?;
    let rest: Vec<&str> = parts.collect::<Option<_>>()?;
    match rest.as_slice() {
        ["snapshots", revision, file @ ..] if !file.is_empty() => {
            Some(format!("hf:{owner}/{name}@{revision}/{}", file.join("/")))
        }
        _ => None,
    }
}

/// What is left of a run that diverged.
fn left(checkpoint: Option<&(usize, PathBuf)>) -> String {
    match checkpoint {
        Some((epoch, path)) => format!("the weights after epoch {epoch} are in {}", path.display()),
        None => "there is no checkpoint yet (see --checkpoint-seconds)".to_owned(),
    }
}

impl Error {
    /// For `map_err` on operations on `path`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }

    /// For `map_err`: says what was being done.
    pub(crate) fn during<E: Into<Self>>(what: impl FnOnce() -> String) -> impl FnOnce(E) -> Self {
        move |error| Self::While {
            what: what(),
            source: Box::new(error.into()),
        }
    }
}

/// An error and its causes on one line, separated by colons. A cause that the message before it
/// already ends with is not repeated.
#[must_use]
pub fn one_line(error: &(dyn StdError + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        // Blanks within a line stay: they may be part of a name.
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let text = lines.collect::<Vec<_>>().join(" ");
        if !parts.last().is_some_and(|last| last.ends_with(&text)) {
            parts.push(text);
        }
        next = error.source();
    }
    parts.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_base_weights_are_named_with_their_hash_and_where_they_came_from() {
        let of = |path: &str| {
            let (path, sha256) = (PathBuf::from(path), Some("abc".to_owned()));
            Error::NoBase { path, sha256 }.to_string()
        };
        let own = "the base weights `a/base.pth` are missing; put the file that the run started from back \
                   there (its SHA-256 is abc), or say with --weights FILE where it is now";
        assert_eq!(of("a/base.pth"), own);
        let cached = of("/c/hub/models--timm--resnet18.a1_in1k/snapshots/0f1e/model.safetensors");
        assert!(
            cached.ends_with(
                "it came from the Hugging Face Hub, from where `--weights \
                 hf:timm/resnet18.a1_in1k@0f1e/model.safetensors` gets it again"
            ),
            "{cached}"
        );
        assert!(!of("/c/models--timm/snapshots/0f1e/a").contains("Hub"));
        assert!(!of("/c/models--timm--a/blobs/0f1e").contains("Hub"));
    }

    #[test]
    fn a_cause_is_printed_only_once() {
        let error = Error::during(|| "cannot resume".to_owned())(
            Error::io("read", Path::new("a"))(io::Error::other("`b ` is\n  gone")),
        );
        assert_eq!(
            one_line(&error),
            "cannot resume: cannot read a: `b ` is gone"
        );
    }
}
