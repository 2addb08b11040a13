//! Taking a folder for new runs.

use std::path::{Path, PathBuf};

use finetune_files::{quoted_path, visible};

use super::lock::Lock;
use super::names::RunFolder;
use super::plan::Plan;
use crate::config::DataConfig;
use crate::error::Error;

/// A folder that new runs have for themselves.
#[derive(Debug)]
pub(crate) struct Occupied {
    folder: RunFolder,
    pub(crate) lock: Lock,
    /// The folders that did not exist before, the outermost last.
    made: Vec<PathBuf>,
}

/// Checks that new runs may have a folder, without changing anything.
///
/// # Errors
///
/// It is in use, holds files, or is inside of the images; with `replace`, only the first.
pub(crate) fn vacant(folder: &RunFolder, data: &DataConfig, replace: bool) -> Result<(), Error> {
    let path = folder.path();
    if path.exists() && !path.is_dir() {
        return Err(Error::Usage(format!(
            "{} is a file; --out names a folder",
            quoted_path(path)
        )));
    }
    Lock::check(folder)?;
    for few in fewer(folder) {
        Lock::check(&few)?;
    }
    if !replace {
        apart(path, data)?;
        empty(folder)?;
    }
    Ok(())
}

impl Occupied {
    /// Creates a folder if necessary and locks it. With `replace`, the files of earlier runs are
    /// removed; all others stay.
    ///
    /// # Errors
    ///
    /// As [`vacant`], or a folder cannot be created or a file removed.
    pub(crate) fn new(folder: &RunFolder, replace: bool) -> Result<Self, Error> {
        let path = folder.path();
        let mut made = Vec::new();
        let mut next = Some(path);
        while let Some(missing) = next.filter(|path| !path.exists()) {
            made.push(missing.to_owned());
            next = (missing.parent()).filter(|parent| !parent.as_os_str().is_empty());
        }
        std::fs::create_dir_all(path).map_err(Error::io("create the folder", path))?;
        let occupied = Self {
            folder: folder.clone(),
            lock: Lock::of(folder)?,
            made,
        };
        if replace {
            clear(folder)?;
        } else {
            // Another process may have used it since it was found to be vacant.
            empty(folder)?;
        }
        Ok(occupied)
    }

    /// Gives the folder up after runs of which nothing is left: removes their files, and the folder
    /// itself if it did not exist before.
    ///
    /// # Errors
    ///
    /// A file cannot be removed.
    pub(crate) fn abandon(self) -> Result<(), Error> {
        clear(&self.folder)?;
        let made = self.made.clone();
        drop(self);
        for folder in made {
            // It stays if somebody has put something into it.
            if std::fs::remove_dir(folder).is_err() {
                break;
            }
        }
        Ok(())
    }
}

/// The plans of earlier runs in a folder.
fn plans(folder: &RunFolder) -> Vec<Plan> {
    let plans = [folder.config(), folder.plan()].map(|file| Plan::read_file(&file));
    plans.into_iter().filter_map(Result::ok).collect()
}

/// The folders within a folder in which its earlier runs were done on fewer images.
fn fewer(folder: &RunFolder) -> Vec<RunFolder> {
    let sizes = plans(folder).into_iter().filter_map(|plan| plan.few);
    let folders = sizes.map(|images| RunFolder::new(folder.few(images), false));
    folders.filter(|few| few.path().is_dir()).collect()
}

/// Removes the files of earlier runs, those that make the folder a run's first.
fn clear(folder: &RunFolder) -> Result<(), Error> {
    let (path, plans, fewer) = (folder.path(), plans(folder), fewer(folder));
    // A folder whose plan cannot be read gives up its general files.
    let mut files = folder.files([]);
    for plan in &plans {
        let names = plan.folder(path);
        files.extend(names.files(&plan.runs));
        for run in &plan.runs {
            files.extend(event_files(&names.events(run)));
        }
    }
    for file in files {
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io("remove", &file)(error));
            }
            _ => {}
        }
    }
    folder.remove_temporary_files()?;
    // Folders stay if they hold files of others.
    let _ = std::fs::remove_dir(folder.charts());
    for plan in &plans {
        for run in &plan.runs {
            let events = plan.folder(path).events(run);
            let _ = std::fs::remove_dir(&events);
            let _ = events.parent().map(std::fs::remove_dir);
        }
    }
    for few in fewer {
        let lock = Lock::of(&few)?;
        clear(&few)?;
        drop(lock);
        let _ = std::fs::remove_dir(few.path());
    }
    Ok(())
}

/// TensorBoard's files in a folder of events.
fn event_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let ours = entries.filter(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with("events.out.tfevents.") && name.contains(".finetune.")
    });
    ours.map(|entry| entry.path()).collect()
}

/// Checks that a folder is missing or empty.
fn empty(folder: &RunFolder) -> Result<(), Error> {
    let path = folder.path();
    let name = quoted_path(path);
    if folder.plan().exists() {
        return Err(Error::Usage(format!(
            "{name} holds a run that was interrupted; resume it with --resume {}, choose another --out, \
             or replace the run with --force",
            visible(&path.display().to_string())
        )));
    }
    if folder.config().exists() {
        return Err(Error::Usage(format!(
            "{name} already holds a run; choose another --out, or replace the run with --force"
        )));
    }
    let Ok(entries) = std::fs::read_dir(path) else {
        return Ok(());
    };
    let lock = folder.lock();
    let mut others = entries.flatten().map(|entry| entry.path());
    match others.find(|other| *other != lock) {
        Some(other) => Err(Error::Usage(format!(
            "{name} is not empty (it has {}); choose another --out, or write into it with --force, \
             which leaves files of others as they are",
            quoted_path(Path::new(other.file_name().unwrap_or_default()))
        ))),
        None => Ok(()),
    }
}

/// Checks that results are not written among the images, where the next run would take them for
/// images or classes.
fn apart(out: &Path, data: &DataConfig) -> Result<(), Error> {
    if data.is_named() || !data.path.is_dir() {
        return Ok(());
    }
    let (Ok(images), Some(real)) = (data.path.canonicalize(), resolved(out)) else {
        return Ok(());
    };
    if real.starts_with(&images) {
        return Err(Error::Usage(format!(
            "--out {} is inside the folder of the images, {}, where its files would be taken for \
             images or a class; choose an --out elsewhere, or insist with --force",
            quoted_path(out),
            quoted_path(&data.path)
        )));
    }
    Ok(())
}

/// A path without links; the last parts of it need not exist.
fn resolved(path: &Path) -> Option<PathBuf> {
    let path = std::path::absolute(path).ok()?;
    let mut missing = Vec::new();
    let mut there = path.as_path();
    loop {
        if let Ok(real) = there.canonicalize() {
            return Some(
                missing
                    .iter()
                    .rev()
                    .fold(real, |path, name| path.join(name)),
            );
        }
        missing.push(there.file_name()?.to_owned());
        there = there.parent()?;
    }
}

#[cfg(test)]
mod tests {
    use finetune_methods::Method;

    use super::*;
    use crate::config::RunConfig;

    fn data(path: &Path) -> DataConfig {
        DataConfig::new(path.to_owned(), 32)
    }

    #[test]
    fn results_do_not_go_among_the_images() {
        let folder = tempfile::tempdir().unwrap();
        let images = folder.path().join("images");
        std::fs::create_dir_all(images.join("train")).unwrap();
        for inside in ["images", "images/run", "images/../images/train/a/b"] {
            let out = RunFolder::new(folder.path().join(inside), false);
            let error = vacant(&out, &data(&images), false).unwrap_err().to_string();
            assert!(
                error.contains("is inside the folder of the images"),
                "{error}"
            );
            vacant(&out, &data(&images), true).unwrap();
        }
        for beside in ["run", "images2", "images/../run"] {
            let out = RunFolder::new(folder.path().join(beside), false);
            vacant(&out, &data(&images), false).unwrap();
        }
        // A folder with the images in it has files.
        let around = RunFolder::new(folder.path(), false);
        assert!(vacant(&around, &data(&images), false).is_err());
    }

    #[test]
    fn replacing_runs_removes_their_files_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let out = RunFolder::new(folder.path().join("a/run"), false);
        let run = RunConfig::new(Method::Linear);
        let occupied = Occupied::new(&out, false).unwrap();
        Plan::new(vec![run.clone()]).write(&out).unwrap();
        let events = out.events(&run);
        std::fs::create_dir_all(&events).unwrap();
        let ours = [
            out.adapter(&run).unwrap(),
            out.epoch_checkpoint(&run, 3),
            out.report(),
            events.join("events.out.tfevents.0.finetune.1.0"),
        ];
        let theirs = [
            "notes.txt",
            "adapter_mine.safetensors",
            "checkpoint_sft.safetensors",
        ];
        let theirs = theirs.map(|name| out.path().join(name));
        for file in ours.iter().chain(&theirs) {
            std::fs::write(file, "").unwrap();
        }
        drop(occupied);
        let error = Occupied::new(&out, false).unwrap_err().to_string();
        assert!(error.contains("already holds a run"), "{error}");
        let again = Occupied::new(&out, true).unwrap();
        assert!(ours.iter().all(|file| !file.exists()) && !out.config().exists());
        assert!(theirs.iter().all(|file| file.exists()) && !events.exists());
        again.abandon().unwrap();
        assert!(theirs.iter().all(|file| file.exists()));
    }

    #[test]
    fn replacing_a_comparison_removes_its_runs_on_fewer_images() {
        let folder = tempfile::tempdir().unwrap();
        let out = RunFolder::new(folder.path().join("run"), false);
        let run = RunConfig::new(Method::Linear);
        let few = RunFolder::new(out.few(25), false);
        std::fs::create_dir_all(few.path()).unwrap();
        let plan = Plan::new(vec![run.clone()]);
        plan.write(&few).unwrap();
        std::fs::write(few.model(&run), "").unwrap();
        let with_few = Plan {
            few: Some(25),
            ..plan
        };
        with_few.write(&out).unwrap();
        let lock = Lock::of(&few).unwrap();
        let error = vacant(&out, &data(folder.path()), true).unwrap_err();
        assert!(error.to_string().contains("in use"), "{error}");
        drop(lock);
        drop(Occupied::new(&out, true).unwrap());
        assert!(!few.path().exists());

        with_few.write(&out).unwrap();
        std::fs::create_dir_all(few.path()).unwrap();
        let mine = few.path().join("mine");
        std::fs::write(&mine, "").unwrap();
        drop(Occupied::new(&out, true).unwrap());
        assert!(mine.exists());
    }

    #[test]
    fn a_folder_that_was_made_for_nothing_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let out = RunFolder::new(folder.path().join("a/run"), false);
        Occupied::new(&out, false).unwrap().abandon().unwrap();
        assert!(!folder.path().join("a").exists());
        let existing = RunFolder::new(folder.path().join("b"), false);
        std::fs::create_dir(existing.path()).unwrap();
        Occupied::new(&existing, false).unwrap().abandon().unwrap();
        assert!(existing.path().exists());
        std::fs::write(existing.path().join("mine"), "").unwrap();
        let error = Occupied::new(&existing, false).unwrap_err().to_string();
        assert!(error.contains("is not empty (it has `mine`)"), "{error}");
    }
}
