//! The folder of a finished run or comparison: `config.json`, `report.json` and what they name.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use finetune_evaluation::{Report, write_atomically};
use serde::{Deserialize, Serialize};

use crate::config::RunConfig;
use crate::error::Usage;
use crate::run::stem;

mod finished;

pub use finished::Finished;

/// A path that means the same from any folder.
///
/// # Errors
///
/// Where the folder that one is in has gone.
pub fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("cannot resolve {}", path.display()))
}

/// The same of a path to something; another one may be a data set's name.
///
/// # Errors
///
/// Where the folder that one is in has gone.
pub fn pinned(path: PathBuf) -> Result<PathBuf> {
    if path.exists() {
        absolute(&path)
    } else {
        Ok(path)
    }
}

/// The whole plan of a folder, as long as it is not done.
const UNFINISHED: &str = "plan.json";

/// `config.json`: the runs of a folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Version of the format.
    pub version: u32,
    /// Whether file names carry the seed, because there are several.
    pub with_seed: bool,
    /// The runs.
    pub runs: Vec<RunConfig>,
}

impl Plan {
    /// Plans these runs.
    #[must_use]
    pub fn new(runs: Vec<RunConfig>) -> Self {
        let with_seed = runs.iter().any(|run| run.seed != runs[0].seed);
        Self {
            version: 1,
            with_seed,
            runs,
        }
    }

    /// Reads the plan of a finished run.
    ///
    /// # Errors
    ///
    /// Where the folder holds none.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("config.json");
        let text = std::fs::read_to_string(&path).with_context(|| {
            format!(
                "{} is not the folder of a finished run: it has no config.json",
                folder.display()
            )
        })?;
        Self::parse(&path, &text)
    }

    /// Reads the plan of a finished run; of one that is not where an epoch's checkpoint is meant.
    ///
    /// # Errors
    ///
    /// Where the folder holds none.
    pub fn read_for(folder: &Path, epoch: Option<usize>) -> Result<Self> {
        if epoch.is_some() && folder.join(UNFINISHED).exists() {
            return Self::read_unfinished(folder);
        }
        Self::read(folder)
    }

    /// The run of that method, or the only one, in its folder; `epoch` is the one whose checkpoint is
    /// meant.
    ///
    /// # Errors
    ///
    /// Where there is none, or several to choose from, or no checkpoint of that epoch.
    pub fn finished<'a>(
        &'a self,
        folder: &'a Path,
        method: Option<&str>,
        epoch: Option<usize>,
    ) -> Result<Finished<'a>> {
        let run = Finished {
            config: self.pick(method)?,
            folder,
            with_seed: self.with_seed,
            epoch,
        };
        run.check()?;
        Ok(run)
    }

    /// Reads the plan of a run that was broken off.
    ///
    /// # Errors
    ///
    /// Where the folder holds none.
    pub fn read_unfinished(folder: &Path) -> Result<Self> {
        let path = folder.join(UNFINISHED);
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::parse(&path, &text),
            Err(_) if folder.join("config.json").exists() => {
                bail!(Usage(format!(
                    "the run in {} is finished",
                    folder.display()
                )))
            }
            Err(_) => bail!(Usage(format!(
                "{} holds no run that was broken off: it has no {UNFINISHED}",
                folder.display()
            ))),
        }
    }

    /// The runs of a `config.json`, to be done again.
    ///
    /// # Errors
    ///
    /// Where it is none.
    pub fn again(path: &Path) -> Result<Vec<RunConfig>> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self::parse(path, &text)?.runs)
    }

    fn parse(path: &Path, text: &str) -> Result<Self> {
        serde_json::from_str(text)
            .with_context(|| format!("{} is not a configuration of finetune", path.display()))
    }

    /// Keeps it for [`read_unfinished`](Self::read_unfinished) until [`finish`](Self::finish).
    ///
    /// # Errors
    ///
    /// Where the file cannot be written.
    pub fn begin(&self, folder: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        Ok(write_atomically(&folder.join(UNFINISHED), text.as_bytes())?)
    }

    /// Says that all of it is done.
    ///
    /// # Errors
    ///
    /// Where the file cannot be removed.
    pub fn finish(folder: &Path) -> Result<()> {
        let path = folder.join(UNFINISHED);
        std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))
    }

    /// Writes it.
    ///
    /// # Errors
    ///
    /// Where the file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        Ok(write_atomically(
            &folder.join("config.json"),
            text.as_bytes(),
        )?)
    }

    /// The run of that method, or the only one.
    ///
    /// # Errors
    ///
    /// Where there is none, or several to choose from.
    pub fn pick(&self, method: Option<&str>) -> Result<&RunConfig> {
        let names: Vec<String> = self
            .runs
            .iter()
            .map(|run| stem(run, self.with_seed))
            .collect();
        match method {
            Some(method) => self
                .runs
                .iter()
                .zip(&names)
                .find(|(_, name)| name.as_str() == method)
                .map(|(run, _)| run)
                .with_context(|| format!("there is no run `{method}`; runs: {}", names.join(", "))),
            None if self.runs.len() == 1 => Ok(&self.runs[0]),
            None => bail!(Usage(format!(
                "say which run with --method: {}",
                names.join(", ")
            ))),
        }
    }
}

/// The folder for the results, made now: the one asked for, or `runs/<time>-<command>`.
///
/// # Errors
///
/// Where it cannot be made, or holds another run already.
pub fn create(out: Option<&Path>, command: &str) -> Result<PathBuf> {
    let folder = out.map_or_else(
        || {
            let time = jiff::ZonedDateTime::now();
            Path::new("runs").join(format!("{}-{command}", time.strftime("%Y-%m-%d-%H%M%S")))
        },
        Path::to_owned,
    );
    if folder.join(UNFINISHED).exists() {
        bail!(Usage(format!(
            "{0} holds a run that was broken off; go on with --resume {0}, or choose another --out",
            folder.display()
        )));
    }
    if folder.join("config.json").exists() {
        bail!(Usage(format!(
            "{} holds a run already; choose another --out",
            folder.display()
        )));
    }
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot create the folder {}", folder.display()))?;
    Ok(folder)
}

/// Removes what a killed run was writing.
///
/// # Errors
///
/// Where the folder cannot be read, or a file not be removed.
pub fn sweep(folder: &Path) -> Result<()> {
    let files = std::fs::read_dir(folder)
        .with_context(|| format!("cannot read the folder {}", folder.display()))?;
    for file in files {
        let path = file?.path();
        // As `tempfile` calls them.
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(".tmp") && name.len() == 10 {
            std::fs::remove_file(&path)
                .with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}

/// Writes `report.json`, `report.html` and `metrics.csv`.
///
/// # Errors
///
/// Where a file cannot be written.
pub fn write_report(report: &Report, folder: &Path) -> Result<()> {
    report.write(folder)?;
    write_atomically(
        &folder.join("report.html"),
        finetune_evaluation::html(report)?.as_bytes(),
    )?;
    for run in &report.runs {
        if let Some(test) = &run.range_test {
            let picture = finetune_evaluation::sweep(&run.method, test)?;
            let name = format!("learning_rate_{}_seed{}.svg", run.method, run.seed);
            write_atomically(&folder.join(name), picture.as_bytes())?;
        }
    }
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record([
        "method",
        "seed",
        "epoch",
        "train_loss",
        "train_accuracy",
        "valid_loss",
        "valid_accuracy",
        "learning_rate",
        "seconds",
        "images_per_second",
        "peak_memory_bytes",
    ])?;
    let optional = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
    for run in &report.runs {
        for epoch in &run.epochs {
            table.write_record([
                run.method.clone(),
                run.seed.to_string(),
                epoch.epoch.to_string(),
                epoch.train_loss.to_string(),
                epoch.train_accuracy.to_string(),
                optional(epoch.valid_loss),
                optional(epoch.valid_accuracy),
                epoch.learning_rate.to_string(),
                epoch.seconds.to_string(),
                epoch.images_per_second.to_string(),
                epoch
                    .memory_bytes
                    .map_or_else(String::new, |bytes| bytes.to_string()),
            ])?;
        }
    }
    let table = table
        .into_inner()
        .context("cannot put metrics.csv together")?;
    Ok(write_atomically(&folder.join("metrics.csv"), &table)?)
}
