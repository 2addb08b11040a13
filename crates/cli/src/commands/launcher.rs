//! Runs in processes of their own, so that the peak memory of each is its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use finetune::comparison::{Launcher, Position};
use finetune::evaluation::Run;
use finetune::folder::{Lock, Plan};
use finetune::run::{Job, Trial};
use finetune::{Error, Observer};

use crate::terminal::process::ask_to_stop;
use crate::terminal::progress::Ui;
use crate::terminal::{exit, interrupt};

/// Starts `finetune run` for each run.
#[derive(Debug)]
pub(super) struct Processes {
    program: PathBuf,
    ui: Ui,
}

impl Processes {
    /// Runs of this program that show their progress in this way.
    ///
    /// # Errors
    ///
    /// The system does not tell this program's path.
    pub(super) fn new(ui: Ui) -> Result<Self> {
        let program = std::env::current_exe().context("cannot find this program's file")?;
        Ok(Self { program, ui })
    }

    fn run(&self, job: &Job<'_>, position: Position) -> Result<Run> {
        let scratch = tempfile::tempdir().context("cannot create a temporary folder")?;
        let (config, result) = (scratch.path().join("config"), scratch.path().join("result"));
        let plan = Plan {
            inputs: job.inputs.clone(),
            ..Plan::new(vec![job.config.clone()])
        };
        std::fs::write(&config, serde_json::to_vec(&plan)?)?;
        let title = format!("{position} {}", job.config.method_name());
        let mut command = Command::new(&self.program);
        command
            .args(["run", "--ui", self.ui.name(), "--title", &title])
            .arg("--config")
            .arg(&config)
            .arg("--out")
            .arg(job.folder.path())
            .arg("--result")
            .arg(&result);
        if job.folder.seeds_in_names() {
            command.arg("--with-seed");
        }
        match job.trial {
            Some(Trial::Steps(steps)) => {
                command.args(["--trial", &steps.to_string()]);
            }
            Some(Trial::Validation) => {
                command.arg("--validated");
            }
            None => {}
        }
        if let Ok(since) = job.started.duration_since(UNIX_EPOCH) {
            command.args(["--started", &since.as_micros().to_string()]);
        }
        // The run writes nothing there. It only keeps the folder locked if this process is killed, until
        // it has ended as well.
        let lock = job.lock.map(Lock::share).transpose()?;
        let finished = command
            .stdin(Stdio::piped())
            .stdout(match lock {
                _ if self.ui == Ui::Tui => Stdio::inherit(),
                Some(lock) => Stdio::from(lock),
                None => Stdio::null(),
            })
            .spawn()
            .context("cannot start the run")?;
        interrupt::passes_on();
        let finished = wait(finished).context("cannot wait for the run")?;
        if !finished.success() {
            match std::fs::read_to_string(result.with_extension("error")) {
                Ok(error) => bail!(error),
                Err(_) if interrupt::requested() => {
                    bail!(Error::Stopped("stopped before the first step"))
                }
                Err(_) => bail!("the run ended with {finished}"),
            }
        }
        let result = std::fs::read(&result).context("the run left no result")?;
        Ok(serde_json::from_slice(&result)?)
    }

    fn pretrain(&self, model: &str, out: &Path) -> Result<()> {
        let process = Command::new(&self.program)
            .args(["pretrain", "--part", "--model", model, "--out"])
            .arg(out)
            .args(["--ui", self.ui.name()])
            .stdin(Stdio::piped())
            .spawn()
            .context("cannot start the pretraining")?;
        let status = wait(process).context("cannot wait for the pretraining")?;
        if !status.success() {
            bail!("pretraining `{model}` did not finish");
        }
        Ok(())
    }
}

/// Waits for a process to end, and asks it to stop if this one is asked to.
fn wait(mut process: Child) -> std::io::Result<ExitStatus> {
    const INTERVAL: Duration = Duration::from_millis(10);
    // The process ends when this end of its stdin is closed.
    let mut stdin = process.stdin.take();
    let mut asked = false;
    loop {
        if let Some(status) = process.try_wait()? {
            return Ok(status);
        }
        if interrupt::requested()
            && !asked
            && let Some(stdin) = &mut stdin
        {
            ask_to_stop(stdin);
            asked = true;
        }
        std::thread::sleep(INTERVAL);
    }
}

impl Launcher for Processes {
    fn run(
        &mut self,
        job: &Job<'_>,
        position: Position,
        _: &mut impl Observer,
    ) -> Result<Run, Error> {
        Self::run(self, job, position).map_err(|error| match error.downcast() {
            Ok(stopped @ Error::Stopped(_)) => stopped,
            Ok(other) => Error::Process(exit::line(&other.into())),
            Err(error) => Error::Process(exit::line(&error)),
        })
    }

    fn pretrain(&mut self, model: &str, out: &Path, _: &mut impl Observer) -> Result<(), Error> {
        Self::pretrain(self, model, out).map_err(|error| Error::Process(exit::line(&error)))
    }
}
