//! Folders to which the command cannot write, and full disks.

#![cfg(unix)]
#![allow(clippy::unwrap_used, missing_docs)]

mod util;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use util::{Folder, Outcome, line, names};

const TRAIN: &str =
    "train --data data --image-size 16 --epochs 4 --batch-size 4 --ui none --method sft";

#[test]
fn a_file_in_place_of_a_folder_is_an_error_of_one_line() {
    let folder = Folder::colors();
    std::fs::write(folder.path("file"), "a file").unwrap();
    let refused = folder.run(&format!("{TRAIN} --out file/below"));
    let line = line(&refused, 1);
    assert!(line.contains("file/below"), "{line}");
    assert_eq!(std::fs::read(folder.path("file")).unwrap(), b"a file");
}

/// Runs the command as a user to whom permissions apply: as `nobody` if the user is root. Returns
/// `None` if `nobody` may not run it.
fn bound_by_permissions(folder: &Folder, args: &str) -> Option<Outcome> {
    const NOBODY: u32 = 65534;
    // Only the owner may enter the test's folder.
    std::fs::set_permissions(folder.path(""), Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_finetune-under-test"));
    if std::fs::write(folder.path("read-only/trial"), "").is_ok() {
        std::fs::remove_file(folder.path("read-only/trial")).unwrap();
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = command
        .args(args.split_whitespace())
        .current_dir(folder.path(""))
        .env("FINETUNE_CACHE", folder.path("cache"))
        .output();
    output.ok().map(Outcome)
}

#[test]
fn a_folder_without_write_permission_is_an_error_of_one_line() {
    let folder = Folder::colors();
    std::fs::create_dir(folder.path("read-only")).unwrap();
    let set = |mode| {
        let mode = Permissions::from_mode(mode);
        std::fs::set_permissions(folder.path("read-only"), mode).unwrap();
    };
    set(0o555);
    for out in ["read-only", "read-only/new"] {
        let Some(refused) = bound_by_permissions(&folder, &format!("{TRAIN} --out {out}")) else {
            println!("nobody may not run the command here");
            return;
        };
        let line = line(&refused, 1);
        assert!(
            line.contains(out) && line.contains("Permission denied"),
            "{line}"
        );
    }
    assert!(names(&folder.path("read-only")).is_empty());
    // With the permission, the same call succeeds.
    set(0o777);
    let run = bound_by_permissions(&folder, &format!("{TRAIN} --out read-only/new"));
    run.unwrap().ok();
}

/// Permissions do not apply to root, so this test uses folders of the system to which not even root
/// can write, and a file system that is mounted read-only.
#[cfg(target_os = "linux")]
#[test]
fn a_read_only_file_system_is_an_error_of_one_line() {
    let folder = Folder::colors();
    for out in ["/sys/kernel/new", "/proc/new"] {
        let line = line(&folder.run(&format!("{TRAIN} --out {out}")), 1);
        assert!(line.contains(out), "{line}");
    }
    std::fs::create_dir(folder.path("read-only")).unwrap();
    for out in ["read-only", "read-only/new"] {
        let args = format!("{TRAIN} --out {out}");
        let Some((refused, _)) = folder.mounted("read-only", "ro", &args) else {
            println!("file systems cannot be mounted here");
            return;
        };
        let line = line(&refused, 1);
        assert!(
            line.contains(out) && line.contains("Read-only file system"),
            "{line}"
        );
    }
}

fn weights(folder: &Path) -> Vec<u8> {
    std::fs::read(folder.join("finetuned_model_sft.safetensors")).unwrap()
}

/// A limit on the size of files simulates a full disk.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_loses_nothing() {
    let folder = Folder::colors();
    let train = format!("{TRAIN} --checkpoint-seconds 0");
    folder.run(&format!("{train} --out whole")).ok();
    // The first checkpoint (weights and two moments) does not fit on the disk.
    let full = folder.limited(&format!("{train} --out o"), 400);
    let line = line(&full, 1);
    assert!(
        line.contains("checkpoint_sft.safetensors") && line.contains("File too large"),
        "{line}"
    );
    let left = names(&folder.path("o"));
    let unwanted = |name: &String| name.starts_with(".tmp") || name.ends_with(".safetensors");
    assert!(!left.iter().any(unwanted), "{left:?}");
    // The run can be resumed when there is space again.
    folder.run("train --resume o --ui none").ok();
    assert_eq!(weights(&folder.path("o")), weights(&folder.path("whole")));
}

#[cfg(target_os = "linux")]
#[test]
fn a_small_disk_that_fills_is_an_error_of_one_line() {
    let folder = Folder::colors();
    std::fs::create_dir(folder.path("small")).unwrap();
    let args = format!("{TRAIN} --checkpoint-seconds 0 --out small/o");
    let Some((full, left)) = folder.mounted("small", "size=100k", &args) else {
        println!("file systems cannot be mounted here");
        return;
    };
    let line = line(&full, 1);
    assert!(line.contains("No space left on device"), "{line}");
    assert!(left.contains("plan.json"), "{left}");
    assert!(!left.contains(".tmp"), "{left}");
}
