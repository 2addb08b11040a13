//! `config.json` and `plan.json`: the runs of a folder.

use std::collections::BTreeMap;
use std::path::Path;

use finetune_evaluation::write_atomically;
use finetune_files::{quoted_path, read_text};
use serde::{Deserialize, Serialize};

use super::names::RunFolder;
use crate::config::RunConfig;
use crate::error::Error;
use crate::identity::Inputs;

/// The version of the format that is written and read.
const VERSION: u32 = 1;

/// Bytes that a plan may have: a run takes about 3 KiB, and names of classes follow.
const LIMIT: u64 = 64 << 20;

/// The runs of a folder.
///
/// `plan.json` holds all of them as long as some are unfinished, `config.json` those that are
/// finished.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Version of the format.
    pub version: u32,
    /// Whether file names carry the seed, because there are several.
    pub with_seed: bool,
    /// The runs.
    pub runs: Vec<RunConfig>,
    /// The smaller number of training images per class on which all of them are done as well, in a
    /// folder of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub few: Option<usize>,
    /// What they were started with.
    #[serde(default, skip_serializing_if = "Inputs::is_empty")]
    pub inputs: Inputs,
    /// SHA-256 of the files that the finished runs wrote, by name, in hexadecimal.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
}

impl Plan {
    /// Plans these runs.
    #[must_use]
    pub fn new(runs: Vec<RunConfig>) -> Self {
        let with_seed = runs.iter().any(|run| run.seed != runs[0].seed);
        Self {
            version: VERSION,
            with_seed,
            runs,
            few: None,
            inputs: Inputs::default(),
            files: BTreeMap::new(),
        }
    }

    /// The same plan with other runs.
    #[must_use]
    pub fn with_runs(&self, runs: Vec<RunConfig>) -> Self {
        Self {
            runs,
            ..self.clone()
        }
    }

    /// The names of the files of these runs, in a folder.
    #[must_use]
    pub fn folder(&self, path: &Path) -> RunFolder {
        RunFolder::new(path, self.with_seed)
    }

    /// Reads the finished runs of a folder.
    ///
    /// # Errors
    ///
    /// The folder has no valid `config.json`.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let path = names(folder).config();
        if path.exists() {
            return Self::read_file(&path);
        }
        if names(folder).plan().exists() {
            return Err(Error::Unfinished {
                folder: folder.to_owned(),
            });
        }
        let source = std::io::ErrorKind::NotFound.into();
        Err(Error::NoRun {
            folder: folder.to_owned(),
            source,
        })
    }

    /// Reads the runs of a folder that may be evaluated: the finished ones; all of them if the
    /// checkpoint of an `epoch` is wanted, which an unfinished run has as well.
    ///
    /// # Errors
    ///
    /// The folder has no valid `config.json`.
    pub fn read_for(folder: &Path, epoch: Option<usize>) -> Result<Self, Error> {
        if epoch.is_some() && names(folder).plan().exists() {
            return Self::read_unfinished(folder);
        }
        Self::read(folder)
    }

    /// Reads all runs of a folder in which some are unfinished.
    ///
    /// # Errors
    ///
    /// All runs are finished, or the folder has no valid `plan.json`.
    pub fn read_unfinished(folder: &Path) -> Result<Self, Error> {
        let names = names(folder);
        let path = names.plan();
        if path.exists() {
            return Self::read_file(&path);
        }
        let folder = folder.display();
        Err(Error::Usage(if names.config().exists() {
            format!("the run in {folder} is finished")
        } else {
            format!("{folder} holds no unfinished run: it has no plan.json")
        }))
    }

    /// Reads runs from a `config.json` or `plan.json`, and checks them as if they had been typed.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is not valid, or has a run with a setting out of its range.
    pub fn read_file(path: &Path) -> Result<Self, Error> {
        let text = read_text(path, LIMIT).map_err(Error::io("read", path))?;
        let plan: Self = serde_json::from_str(&text).map_err(|source| Error::Config {
            path: path.to_owned(),
            source,
        })?;
        plan.check().map_err(Error::during(|| {
            format!("{} cannot be used", quoted_path(path))
        }))?;
        Ok(plan)
    }

    fn check(&self) -> Result<(), Error> {
        if self.version != VERSION {
            return Err(Error::Version {
                found: self.version,
                read: VERSION,
            });
        }
        let folder = self.folder(Path::new(""));
        let mut names: Vec<String> = Vec::new();
        for run in &self.runs {
            run.check()?;
            let name = folder.name(run);
            if names.contains(&name) {
                return Err(Error::Twice { name });
            }
            names.push(name);
        }
        Ok(())
    }

    /// Writes `plan.json`: from now on, the runs can be resumed.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn begin(&self, folder: &RunFolder) -> Result<(), Error> {
        self.write_to(&folder.plan())
    }

    /// Removes `plan.json`: all runs are finished.
    ///
    /// # Errors
    ///
    /// The file cannot be removed.
    pub fn finish(folder: &RunFolder) -> Result<(), Error> {
        let path = folder.plan();
        std::fs::remove_file(&path).map_err(Error::io("remove", &path))
    }

    /// Writes `config.json`.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn write(&self, folder: &RunFolder) -> Result<(), Error> {
        self.write_to(&folder.config())
    }

    fn write_to(&self, path: &Path) -> Result<(), Error> {
        let text = serde_json::to_string_pretty(self)?;
        Ok(write_atomically(path, text.as_bytes())?)
    }

    /// The run of that name, or the only one if no name is given.
    ///
    /// # Errors
    ///
    /// There is no such run, or several to choose from.
    pub fn pick(&self, name: Option<&str>) -> Result<&RunConfig, Error> {
        // File names of runs do not depend on the folder's path.
        let folder = self.folder(Path::new(""));
        let names = || -> Vec<String> { self.runs.iter().map(|run| folder.name(run)).collect() };
        match (name, self.runs.as_slice()) {
            (Some(name), runs) => {
                let run = runs.iter().find(|run| folder.name(run) == name);
                run.ok_or_else(|| Error::UnknownRun {
                    name: name.to_owned(),
                    known: names(),
                })
            }
            (None, [run]) => Ok(run),
            (None, []) => Err(Error::NoRuns),
            (None, _) => Err(Error::Usage(format!(
                "choose a run with --method: {}",
                names().join(", ")
            ))),
        }
    }
}

/// The names of a folder's files that belong to no run.
fn names(folder: &Path) -> RunFolder {
    RunFolder::new(folder, false)
}
