//! One input, and what the command may do with it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::util::Folder;

/// Far more than any case needs, on a slow and busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// Bytes of memory that a case may use beyond what a harmless one does, besides 4 × what is decoded.
const MEMORY: u64 = 64 << 20;

/// What cases start from: a data set, and perhaps a finished run with its weights and adapter.
pub struct Base {
    pub folder: Folder,
    /// The peak memory of a harmless training, bytes.
    harmless: u64,
}

impl Base {
    pub fn new() -> Self {
        let folder = Folder::colors();
        let harmless = watched(
            &folder.path("."),
            "train --data data --epochs 1 --out harmless",
        );
        assert!(harmless.code == Some(0), "{}", harmless.stderr);
        Self {
            folder,
            harmless: harmless.peak,
        }
    }

    /// Has a run in `run`, its model as `model.safetensors` and `model.pth`, and its adapter for HF PEFT
    /// in `adapter`.
    pub fn with_run() -> Self {
        let base = Self::new();
        for arguments in [
            "train --method lora --data data --epochs 1 --out run",
            "export --run run --out model.safetensors",
            "export --run run --format pth --out model.pth",
            "export --run run --format peft --out adapter",
        ] {
            base.folder.run(arguments).ok();
        }
        base
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.folder.path(name)).unwrap()
    }
}

/// Files in a folder of their own, and the command to run there. `{base}` in it is the folder of the
/// base.
pub struct Case {
    pub name: String,
    files: Vec<(PathBuf, Content)>,
    arguments: String,
    /// Bytes that the input decodes to.
    decoded: u64,
}

enum Content {
    Bytes(Vec<u8>),
    /// A named pipe that nobody writes to.
    Pipe,
    Link(PathBuf),
    Folder,
}

impl Case {
    pub fn new(name: impl Into<String>, arguments: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            files: Vec::new(),
            arguments: arguments.into(),
            decoded: 0,
        }
    }

    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    pub fn file(mut self, path: impl Into<PathBuf>, bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        self.decoded = self.decoded.max(bytes.len() as u64);
        self.files.push((path.into(), Content::Bytes(bytes)));
        self
    }

    pub fn pipe(mut self, path: impl Into<PathBuf>) -> Self {
        self.files.push((path.into(), Content::Pipe));
        self
    }

    pub fn link(mut self, path: impl Into<PathBuf>, target: impl Into<PathBuf>) -> Self {
        self.files.push((path.into(), Content::Link(target.into())));
        self
    }

    pub fn folder(mut self, path: impl Into<PathBuf>) -> Self {
        self.files.push((path.into(), Content::Folder));
        self
    }

    /// Two classes of harmless images, in `data`.
    pub fn with_data(mut self) -> Self {
        for (part, count) in [("train", 2), ("test", 1)] {
            for (class, color) in [("red", [200, 20, 20]), ("green", [20, 200, 20])] {
                for index in 0..count {
                    let picture = image::RgbImage::from_fn(16, 16, |x, y| {
                        image::Rgb(
                            color.map(|value: u8| value.saturating_add((x * y + index) as u8)),
                        )
                    });
                    let mut bytes = std::io::Cursor::new(Vec::new());
                    picture
                        .write_to(&mut bytes, image::ImageFormat::Png)
                        .unwrap();
                    let path = format!("data/{part}/{class}/{index}.png");
                    self.files
                        .push((path.into(), Content::Bytes(bytes.into_inner())));
                }
            }
        }
        self
    }

    /// Runs the case.
    pub fn check(&self, base: &Base) -> Result<(), String> {
        let folder = tempfile::tempdir().unwrap();
        for (path, content) in &self.files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            match content {
                Content::Bytes(bytes) => std::fs::write(path, bytes).unwrap(),
                Content::Link(target) => std::os::unix::fs::symlink(target, path).unwrap(),
                Content::Folder => std::fs::create_dir_all(path).unwrap(),
                Content::Pipe => {
                    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
                }
            }
        }
        let base_folder = base.folder.path(".");
        let arguments = self
            .arguments
            .replace("{base}", base_folder.to_str().unwrap());
        let seen = watched(folder.path(), &arguments);
        let last = seen.stderr.lines().last().unwrap_or_default();
        let said: String = last.chars().take(300).collect();
        match seen.code {
            None => return Err(format!("ended by {}: {said}", seen.end)),
            Some(0) => {}
            Some(1 | 2) if seen.stderr.lines().any(|line| line.starts_with("error: ")) => {}
            Some(1) if seen.stdout.contains("error") => {}
            Some(code) => return Err(format!("exit code {code}: {said}")),
        }
        if seen.stderr.contains("panicked at") {
            return Err(format!("panic: {}", seen.stderr));
        }
        let printed = [&seen.stderr, &seen.stdout];
        let mut lines = printed.into_iter().flat_map(|text| text.split('\n'));
        if let Some(line) = lines.find(|line| line.chars().any(char::is_control)) {
            return Err(format!("control characters reach the terminal: {line:?}"));
        }
        if let Some(line) = seen.stderr.lines().find(|line| line.len() > 20_000) {
            return Err(format!("a line of {} bytes", line.len()));
        }
        let limit = base.harmless + MEMORY + 4 * self.decoded;
        if seen.peak > limit {
            let mib = |bytes| bytes / (1 << 20);
            return Err(format!(
                "{} of {} MiB of memory",
                mib(seen.peak),
                mib(limit)
            ));
        }
        Ok(())
    }
}

/// How a command ended, and what it used.
struct Seen {
    /// `None` if a signal ended it, that of a test that lost its patience included.
    code: Option<i32>,
    end: String,
    stdout: String,
    stderr: String,
    /// Peak memory of the largest of its processes, bytes.
    peak: u64,
}

/// Runs the command in a folder.
fn watched(folder: &Path, arguments: &str) -> Seen {
    let stdout = tempfile::tempfile().unwrap();
    let stderr = tempfile::tempfile().unwrap();
    let mut process = Command::new(env!("CARGO_BIN_EXE_finetune-under-test"))
        .args(arguments.split_whitespace())
        .current_dir(folder)
        .env("FINETUNE_CACHE", folder.join("cache"))
        .stdin(Stdio::null())
        .stdout(stdout.try_clone().unwrap())
        .stderr(stderr.try_clone().unwrap())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    let mut peak = 0;
    let status = loop {
        peak = peak.max(peak_of(process.id()));
        if let Some(status) = process.try_wait().unwrap() {
            break status;
        }
        if begun.elapsed() > PATIENCE {
            process.kill().unwrap();
            break process.wait().unwrap();
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    Seen {
        code: status.code(),
        end: status.to_string(),
        stdout: text(stdout),
        stderr: text(stderr),
        peak,
    }
}

fn text(mut file: std::fs::File) -> String {
    use std::io::{Read, Seek};
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The high-water mark of a process's memory and of those that it started, bytes; 0 where the system
/// does not tell.
fn peak_of(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| {
        line.trim()
            .trim_end_matches("kB")
            .trim()
            .parse::<u64>()
            .ok()
    });
    let own = kib.unwrap_or(0) * 1024;
    let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
    let children = children.unwrap_or_default();
    let children = children
        .split_whitespace()
        .filter_map(|child| child.parse().ok());
    children.map(peak_of).fold(own, u64::max)
}
