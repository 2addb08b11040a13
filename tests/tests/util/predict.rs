//! Runs that `predict` uses, and calls of it.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, missing_docs)]

use std::ffi::OsStr;
use std::io::Write;
use std::process::{Child, Command, Stdio};

use super::util::{Folder, Outcome};

pub const TRAIN: &str =
    "train --data data --image-size 32 --batch-size 4 --epochs 1 --ui none --method sft";

/// Pictures of three colours, and the folder `run` of a model that knows them.
pub fn trained() -> Folder {
    let folder = Folder::colors();
    folder
        .class("data/train/blue", [20, 20, 200], 8)
        .class("data/test/blue", [10, 10, 190], 4);
    folder.run(&format!("{TRAIN} --out run")).ok();
    folder
}

/// Starts the command.
pub fn start<I: AsRef<OsStr>>(folder: &Folder, args: impl IntoIterator<Item = I>) -> Child {
    Command::new(env!("CARGO_BIN_EXE_finetune-under-test"))
        .arg("predict")
        .args(args)
        .current_dir(folder.path(""))
        .env("FINETUNE_CACHE", folder.path("cache"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Runs the command with this text on stdin.
pub fn call<I: AsRef<OsStr>>(
    folder: &Folder,
    args: impl IntoIterator<Item = I>,
    stdin: &[u8],
) -> Outcome {
    let mut child = start(folder, args);
    let mut pipe = child.stdin.take().unwrap();
    // The command may have ended already.
    let _ = pipe.write_all(stdin);
    drop(pipe);
    Outcome(child.wait_with_output().unwrap())
}

/// Splits at blanks, as `Folder::run` does.
pub fn typed(args: &str) -> Vec<String> {
    args.split_whitespace().map(str::to_owned).collect()
}
