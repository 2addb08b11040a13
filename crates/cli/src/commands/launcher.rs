//! Runs in processes of their own, so that the peak memory of each is its own.

use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use finetune::comparison::{Launcher, Queued};
use finetune::evaluation::Run;
use finetune::folder::{Lock, Plan};
use finetune::machine::threads::share;
use finetune::run::{Job, Trial};
use finetune::{Error, Observer};
use tempfile::TempDir;

use crate::terminal::process::ask_to_stop;
use crate::terminal::progress::Ui;
use crate::terminal::relay::Relay;
use crate::terminal::verbosity::Verbosity;
use crate::terminal::{exit, interrupt, log};

/// How long a process runs on before it is looked after again.
const INTERVAL: Duration = Duration::from_millis(10);

/// Starts `finetune run` for each run.
#[derive(Debug)]
pub(super) struct Processes {
    program: PathBuf,
    ui: Ui,
    jobs: usize,
}

impl Processes {
    /// Runs of this program that show their progress in this way, so many at the same time.
    ///
    /// # Errors
    ///
    /// The system does not tell this program's path.
    pub(super) fn new(ui: Ui, jobs: usize) -> Result<Self> {
        let program = std::env::current_exe().context("cannot find this program's file")?;
        Ok(Self { program, ui, jobs })
    }

    /// Starts a run, which is one of so many at the same time.
    fn begin(&self, queued: &Queued<'_>, at_once: usize) -> Result<Running> {
        let Queued { job, position } = queued;
        job.check_weights()?;
        let scratch = tempfile::tempdir().context("cannot create a temporary folder")?;
        let title = format!("{position} {}", job.config.method_name());
        let (config, result) = (scratch.path().join("config"), scratch.path().join("result"));
        let plan = Plan {
            inputs: job.inputs.clone(),
            ..Plan::new(vec![job.config.clone()])
        };
        std::fs::write(&config, serde_json::to_vec(&plan)?)?;
        let mut command = Command::new(&self.program);
        command
            .args(["run", "--ui", self.ui.name(), "--title", &title])
            .arg("--config")
            .arg(&config)
            .arg("--out")
            .arg(job.folder.path())
            .arg("--result")
            .arg(&result);
        command.args(Verbosity::chosen().flag());
        if job.folder.seeds_in_names() {
            command.arg("--with-seed");
        }
        if at_once > 1 {
            command.args(["--beside", "--threads", &share(at_once).to_string()]);
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
        let started = job.started.unwrap_or_else(SystemTime::now);
        if let Ok(since) = started.duration_since(UNIX_EPOCH) {
            command.args(["--started", &since.as_micros().to_string()]);
        }
        // The bars of runs at the same time are drawn here.
        let relayed = at_once > 1 && self.ui == Ui::Bar;
        if relayed {
            command.stderr(Stdio::piped());
        } else if let Some(log) = log::path() {
            // What is relayed is logged here.
            command.arg("--log").arg(log);
        }
        let mut running = Running {
            ended: Ended {
                result,
                _scratch: scratch,
            },
            process: Process::start(command.stdout(self.stdout(job)?))
                .context("cannot start the run")?,
            relay: None,
        };
        let stderr = running.process.child.stderr.take();
        running.relay = stderr.map(|stderr| Relay::new(title, stderr));
        if at_once > 1 {
            interrupt::something_is_to_be_saved();
        } else {
            interrupt::passes_on();
        }
        Ok(running)
    }

    /// The stdout of a run. It writes nothing there but a dashboard, and keeps the folder locked if this
    /// process is killed, until it has ended as well.
    fn stdout(&self, job: &Job<'_>) -> Result<Stdio> {
        if self.ui == Ui::Tui {
            return Ok(Stdio::inherit());
        }
        let lock = job.lock.map(Lock::share).transpose()?;
        Ok(lock.map_or_else(Stdio::null, Stdio::from))
    }

    fn pretrain(&self, model: &str, out: &Path) -> Result<()> {
        let mut command = Command::new(&self.program);
        command
            .args(["pretrain", "--part", "--model", model, "--out"])
            .arg(out)
            .args(["--ui", self.ui.name()])
            .args(Verbosity::chosen().flag());
        let process = Process::start(&mut command).context("cannot start the pretraining")?;
        let status = process.wait().context("cannot wait for the pretraining")?;
        if !status.success() {
            bail!("pretraining `{model}` did not finish");
        }
        Ok(())
    }
}

/// A process that this one started. It is asked to stop if this one is, and ends if it is dropped.
#[derive(Debug)]
struct Process {
    child: Child,
    /// The process ends when this end of its stdin is closed.
    stdin: Option<ChildStdin>,
    asked: bool,
}

impl Process {
    fn start(command: &mut Command) -> std::io::Result<Self> {
        let mut child = command.stdin(Stdio::piped()).spawn()?;
        Ok(Self {
            stdin: child.stdin.take(),
            child,
            asked: false,
        })
    }

    /// How it ended, if it has.
    fn ended(&mut self) -> std::io::Result<Option<ExitStatus>> {
        if interrupt::requested()
            && !self.asked
            && let Some(stdin) = &mut self.stdin
        {
            ask_to_stop(stdin);
            self.asked = true;
        }
        self.child.try_wait()
    }

    fn wait(mut self) -> std::io::Result<ExitStatus> {
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            std::thread::sleep(INTERVAL);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stdin = None;
        let _ = self.child.wait();
    }
}

/// A run that is being done.
#[derive(Debug)]
struct Running {
    // Dropped in this order: what it prints is shown after it has ended.
    process: Process,
    relay: Option<Relay>,
    ended: Ended,
}

/// Where a run leaves its result.
#[derive(Debug)]
struct Ended {
    result: PathBuf,
    /// Removed when the result has been read.
    _scratch: TempDir,
}

impl Ended {
    fn result(&self, status: ExitStatus) -> Result<Run> {
        let result = &self.result;
        if !status.success() {
            match std::fs::read_to_string(result.with_extension("error")) {
                Ok(error) => bail!(error),
                Err(_) if interrupt::requested() => {
                    bail!(Error::Stopped("stopped before the first step"))
                }
                Err(_) => bail!("the run ended with {status}"),
            }
        }
        let result = std::fs::read(result).context("the run left no result")?;
        Ok(serde_json::from_slice(&result)?)
    }
}

impl Running {
    /// Its result, if it has ended.
    fn result(&mut self) -> Option<Result<Run>> {
        match self.process.ended() {
            Ok(status) => {
                let status = status?;
                // Everything that it printed comes before what is printed about it.
                self.relay = None;
                Some(self.ended.result(status))
            }
            Err(error) => Some(Err(error).context("cannot wait for the run")),
        }
    }
}

/// The error of a run as the library's.
fn failed(error: anyhow::Error) -> Error {
    match error.downcast() {
        Ok(stopped @ Error::Stopped(_)) => stopped,
        Ok(other) => Error::Process(exit::line(&other.into())),
        Err(error) => Error::Process(exit::line(&error)),
    }
}

impl Launcher for Processes {
    fn jobs(&self) -> usize {
        self.jobs
    }

    fn run<O: Observer>(
        &mut self,
        queue: &[Queued<'_>],
        observer: &mut O,
        done: &mut impl FnMut(usize, Result<Run, Error>, &mut O) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let at_once = self.jobs.min(queue.len());
        let mut waiting = queue.iter().enumerate();
        let mut running: Vec<(usize, Running)> = Vec::new();
        loop {
            while running.len() < at_once
                && !observer.stop_requested()
                && let Some((index, queued)) = waiting.next()
            {
                match self.begin(queued, at_once) {
                    Ok(run) => running.push((index, run)),
                    Err(error) => done(index, Err(failed(error)), observer)?,
                }
            }
            if running.is_empty() {
                return Ok(());
            }
            let mut still = Vec::new();
            for (index, mut run) in running {
                match run.result() {
                    None => still.push((index, run)),
                    Some(outcome) => {
                        drop(run);
                        done(index, outcome.map_err(failed), observer)?;
                    }
                }
            }
            running = still;
            std::thread::sleep(INTERVAL);
        }
    }

    fn pretrain(&mut self, model: &str, out: &Path, _: &mut impl Observer) -> Result<(), Error> {
        Self::pretrain(self, model, out).map_err(|error| Error::Process(exit::line(&error)))
    }
}
