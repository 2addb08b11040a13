//! The names of all files in the folder of a run or comparison.

use std::path::{Path, PathBuf};

use finetune_evaluation::{CHARTS, confusion_chart};

use crate::config::RunConfig;
use crate::error::Error;

/// The folder of a run or comparison, which knows the name of every file in it.
///
/// A run's files carry the name of its method, and its seed as well if the folder has runs of
/// several seeds: `adapter_lora.safetensors` or `adapter_lora_seed1.safetensors`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFolder {
    path: PathBuf,
    seeds_in_names: bool,
}

impl RunFolder {
    /// A folder, and whether file names carry the seed.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, seeds_in_names: bool) -> Self {
        Self {
            path: path.into(),
            seeds_in_names,
        }
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether file names carry the seed.
    #[must_use]
    pub fn seeds_in_names(&self) -> bool {
        self.seeds_in_names
    }

    /// The run's name in this folder: `lora` or `lora_seed1`.
    #[must_use]
    pub fn name(&self, run: &RunConfig) -> String {
        if self.seeds_in_names {
            format!("{}_seed{}", run.method_name(), run.seed)
        } else {
            run.method_name().to_owned()
        }
    }

    /// The run's whole model, adapters merged.
    #[must_use]
    pub fn model(&self, run: &RunConfig) -> PathBuf {
        self.of_run("finetuned_model", run, ".safetensors")
    }

    /// The run's whole model in PyTorch's format.
    #[must_use]
    pub fn pytorch_model(&self, run: &RunConfig) -> PathBuf {
        self.of_run("finetuned_model", run, ".pth")
    }

    /// What the run trained (adapter and head); `None` if it writes the whole model only.
    #[must_use]
    pub fn adapter(&self, run: &RunConfig) -> Option<PathBuf> {
        run.saves_adapter()
            .then(|| self.of_run("adapter", run, ".safetensors"))
    }

    /// The newest checkpoint of an unfinished run, from which it resumes.
    #[must_use]
    pub fn checkpoint(&self, run: &RunConfig) -> PathBuf {
        self.of_run("checkpoint", run, ".safetensors")
    }

    /// The checkpoint that an epoch retains.
    #[must_use]
    pub fn epoch_checkpoint(&self, run: &RunConfig, epoch: usize) -> PathBuf {
        self.of_run("checkpoint", run, &format!("_epoch{epoch}.safetensors"))
    }

    /// The epochs that have a checkpoint of their own, in order.
    #[must_use]
    pub fn checkpointed_epochs(&self, run: &RunConfig) -> Vec<usize> {
        let files = std::fs::read_dir(&self.path)
            .into_iter()
            .flatten()
            .flatten();
        let prefix = format!("checkpoint_{}_epoch", self.name(run));
        let mut epochs: Vec<usize> = files
            .filter_map(|file| {
                let name = file.file_name().into_string().ok()?;
                let number = name.strip_prefix(&prefix)?.strip_suffix(".safetensors")?;
                number.parse().ok()
            })
            .collect();
        epochs.sort_unstable();
        epochs
    }

    /// The folder of the run's event files for TensorBoard.
    #[must_use]
    pub fn events(&self, run: &RunConfig) -> PathBuf {
        self.path.join("events").join(self.name(run))
    }

    /// The picture of the learning rate range test of a method and seed.
    #[must_use]
    pub fn range_test(&self, method: &str, seed: u64) -> PathBuf {
        self.path
            .join(format!("learning_rate_{method}_seed{seed}.svg"))
    }

    /// The folder of the report's charts.
    #[must_use]
    pub fn charts(&self) -> PathBuf {
        self.path.join("pictures")
    }

    /// A chart of the report, by [its name](CHARTS).
    #[must_use]
    pub fn chart(&self, name: &str) -> PathBuf {
        self.charts().join(format!("{name}.svg"))
    }

    /// The folder of the same runs on so many images per class.
    #[must_use]
    pub fn few(&self, per_class: usize) -> PathBuf {
        self.path.join(format!("few-{per_class}"))
    }

    /// The configuration of the finished runs.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.path.join("config.json")
    }

    /// The configuration of all runs, as long as some are unfinished.
    #[must_use]
    pub fn plan(&self) -> PathBuf {
        self.path.join("plan.json")
    }

    /// The report as JSON.
    #[must_use]
    pub fn report(&self) -> PathBuf {
        self.path.join("report.json")
    }

    /// The report as a page.
    #[must_use]
    pub fn page(&self) -> PathBuf {
        self.path.join("report.html")
    }

    /// The report as Markdown.
    #[must_use]
    pub fn markdown(&self) -> PathBuf {
        self.path.join("report.md")
    }

    /// The metrics of all epochs.
    #[must_use]
    pub fn metrics(&self) -> PathBuf {
        self.path.join("metrics.csv")
    }

    /// The card of a run's model: `MODEL_CARD.md` if the run is `alone` in its folder, else with its name.
    #[must_use]
    pub fn card(&self, run: &RunConfig, alone: bool) -> PathBuf {
        if alone {
            return self.path.join("MODEL_CARD.md");
        }
        self.of_run("MODEL_CARD", run, ".md")
    }

    /// What was printed while the runs were done, with times.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.path.join("log.txt")
    }

    /// The lock of the folder, as long as a process works in it.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.path.join(".lock")
    }

    /// All files that the runs of a folder write, those that may be missing included; their event
    /// files are in [`events`](Self::events).
    #[must_use]
    pub fn files<'a>(&self, runs: impl IntoIterator<Item = &'a RunConfig>) -> Vec<PathBuf> {
        let mut files = vec![
            self.config(),
            self.plan(),
            self.report(),
            self.page(),
            self.markdown(),
            self.metrics(),
            self.log(),
        ];
        files.extend(CHARTS.map(|name| self.chart(name)));
        for run in runs {
            files.extend([
                self.model(run),
                self.pytorch_model(run),
                self.checkpoint(run),
                self.range_test(run.method_name(), run.seed),
                self.card(run, true),
                self.card(run, false),
                self.chart(&confusion_chart(run.method_name())),
            ]);
            files.extend(self.adapter(run));
            let epochs = self.checkpointed_epochs(run).into_iter();
            files.extend(epochs.map(|epoch| self.epoch_checkpoint(run, epoch)));
        }
        files
    }

    /// Removes the temporary files that a killed run left behind.
    ///
    /// # Errors
    ///
    /// The folder cannot be read, or a file cannot be removed.
    pub fn remove_temporary_files(&self) -> Result<(), Error> {
        let files =
            std::fs::read_dir(&self.path).map_err(Error::io("read the folder", &self.path))?;
        for file in files {
            let path = file
                .map_err(Error::io("read the folder", &self.path))?
                .path();
            // The names that `tempfile` gives.
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with(".tmp") && name.len() == 10 {
                std::fs::remove_file(&path).map_err(Error::io("remove", &path))?;
            }
        }
        Ok(())
    }

    fn of_run(&self, kind: &str, run: &RunConfig, ending: &str) -> PathBuf {
        self.path.join(format!("{kind}_{}{ending}", self.name(run)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use finetune_methods::Method;

    #[test]
    fn names_contain_the_seed_only_if_there_are_several() {
        let run = RunConfig::new(Method::Linear).seed(3);
        let one = RunFolder::new("out", false);
        let several = RunFolder::new("out", true);
        assert_eq!(
            one.model(&run),
            Path::new("out/finetuned_model_linear.safetensors")
        );
        assert_eq!(
            several.epoch_checkpoint(&run, 2),
            Path::new("out/checkpoint_linear_seed3_epoch2.safetensors")
        );
        assert_eq!(one.adapter(&RunConfig::scratch()), None);
        assert_eq!(several.name(&RunConfig::scratch()), "scratch_seed0");
    }

    #[test]
    fn epochs_with_a_checkpoint_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunConfig::new(Method::Linear);
        let names = RunFolder::new(folder.path(), false);
        for epoch in [10, 9] {
            std::fs::write(names.epoch_checkpoint(&run, epoch), []).unwrap();
        }
        std::fs::write(names.checkpoint(&run), []).unwrap();
        assert_eq!(names.checkpointed_epochs(&run), [9, 10]);
    }
}
