//! Folders of images, and the command that runs on them.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, missing_docs)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use image::{Rgb, RgbImage};
use tempfile::TempDir;

/// A folder that is deleted after the test.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes `count` pictures of one colour that differ slightly.
    pub fn class(&self, name: &str, color: [u8; 3], count: u32) -> &Self {
        std::fs::create_dir_all(self.path(name)).unwrap();
        for i in 0..count {
            let picture = RgbImage::from_fn(20, 16, |x, y| {
                Rgb(color.map(|value| value.saturating_add(((x * 3 + y * 5 + i * 7) % 40) as u8)))
            });
            picture
                .save(self.path(name).join(format!("{i:03}.png")))
                .unwrap();
        }
        self
    }

    /// Red and green pictures, in training and test folders.
    pub fn colors() -> Self {
        let folder = Self::new();
        folder.class("data/train/red", [200, 20, 20], 8).class(
            "data/train/green",
            [20, 200, 20],
            8,
        );
        folder
            .class("data/test/red", [190, 10, 10], 4)
            .class("data/test/green", [10, 190, 10], 4);
        folder
    }

    /// Runs the command in this folder.
    pub fn run(&self, args: &str) -> Outcome {
        self.run_in(args, &[])
    }

    /// The same with more environment variables.
    pub fn run_in(&self, args: &str, variables: &[(&str, &str)]) -> Outcome {
        let output = Command::new(env!("CARGO_BIN_EXE_finetune-under-test"))
            .args(args.split_whitespace())
            .current_dir(self.0.path())
            .env("FINETUNE_CACHE", self.path("cache"))
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        Outcome(output)
    }

    /// Starts the command in this folder, without its stdout.
    pub fn start(&self, args: &str, stderr: Stdio) -> Child {
        Command::new(env!("CARGO_BIN_EXE_finetune-under-test"))
            .args(args.split_whitespace())
            .current_dir(self.0.path())
            .env("FINETUNE_CACHE", self.path("cache"))
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .unwrap()
    }

    /// Like `run`, with a limit of `blocks` × 512 bytes on the size of files.
    pub fn limited(&self, args: &str, blocks: usize) -> Outcome {
        let program = env!("CARGO_BIN_EXE_finetune-under-test");
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec {program} {args}");
        let output = Command::new("sh")
            .args(["-c", &script])
            .current_dir(self.0.path())
            .env("FINETUNE_CACHE", self.path("cache"))
            .output()
            .unwrap();
        Outcome(output)
    }

    /// Like `run`, with a tmpfs (mounted with `options`) in the folder `at`. Also returns the names
    /// of the files that remain there, one per line. Returns `None` if the system does not allow
    /// mounting.
    pub fn mounted(&self, at: &str, options: &str, args: &str) -> Option<(Outcome, String)> {
        let program = env!("CARGO_BIN_EXE_finetune-under-test");
        let script = format!(
            "mount -t tmpfs -o {options} tmpfs {at} || exit; touch mounted; {program} {args}; code=$?; \
             ls -AR {at} > left; exit $code"
        );
        let output = Command::new("unshare")
            .args(["--map-root-user", "--mount", "sh", "-c", &script])
            .current_dir(self.0.path())
            .env("FINETUNE_CACHE", self.path("cache"))
            .output();
        if !self.exists("mounted") {
            return None;
        }
        let left = std::fs::read_to_string(self.path("left")).unwrap();
        Some((Outcome(output.unwrap()), left))
    }

    pub fn json(&self, file: &str) -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(self.path(file)).unwrap()).unwrap()
    }

    pub fn exists(&self, file: &str) -> bool {
        self.path(file).exists()
    }
}

pub struct Outcome(pub Output);

impl Outcome {
    pub fn code(&self) -> i32 {
        self.0.status.code().unwrap()
    }

    pub fn stdout(&self) -> String {
        String::from_utf8(self.0.stdout.clone()).unwrap()
    }

    pub fn stderr(&self) -> String {
        String::from_utf8(self.0.stderr.clone()).unwrap()
    }

    pub fn ok(self) -> Self {
        assert_eq!(self.code(), 0, "{}", self.stderr());
        self
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout()).unwrap()
    }
}

/// Sends a signal to a process, not to those that it started.
pub fn send(signal: &str, process: &Child) {
    let id = process.id().to_string();
    // Its status does not count: the process may have ended by itself in the meantime.
    Command::new("kill")
        .args(["-s", signal, &id])
        .stderr(Stdio::null())
        .status()
        .unwrap();
}

pub fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Returns the records of a TensorBoard file; asserts that their checksums are right.
pub fn records(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let masked = |data: &[u8]| {
        crc32c::crc32c(data)
            .rotate_right(15)
            .wrapping_add(0xa282_ead8)
            .to_le_bytes()
    };
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk::<8>().unwrap();
        let (crc, rest) = rest.split_first_chunk::<4>().unwrap();
        assert_eq!(*crc, masked(length));
        let length = usize::try_from(u64::from_le_bytes(*length)).unwrap();
        let (data, rest) = rest.split_at(length);
        let (crc, rest) = rest.split_first_chunk::<4>().unwrap();
        assert_eq!(*crc, masked(data));
        found.push(data.to_vec());
        bytes = rest;
    }
    found
}

/// Asserts that a call failed with `code` and printed one line, and returns the line.
pub fn line(outcome: &Outcome, code: i32) -> String {
    let text = outcome.stderr();
    let lines: Vec<_> = text.lines().filter(|line| !line.is_empty()).collect();
    let [.., last] = lines.as_slice() else {
        panic!("it prints nothing")
    };
    assert_eq!(outcome.code(), code, "{text}");
    let errors = lines.iter().filter(|line| line.starts_with("error:"));
    assert_eq!(errors.count(), 1, "{text}");
    (*last).to_owned()
}

/// Runs `train` with `args`; it must fail with `code` and one line that contains `message`.
pub fn fails(folder: &Folder, args: &str, code: i32, message: &str) {
    let outcome = folder.run(&format!("train --epochs 1 --ui none --out out {args}"));
    let stderr = outcome.stderr();
    assert_eq!(outcome.code(), code, "{args}: {stderr}");
    assert!(stderr.contains(message), "{args}: {stderr}");
    assert_eq!(stderr.trim_end().lines().count(), 1, "{args}: {stderr}");
    assert!(
        stderr.starts_with("error: ") && !stderr.contains("panicked"),
        "{stderr}"
    );
    assert!(!folder.exists("out"), "{args} left files behind");
}
