//! The command's behaviour if its output is not read or cannot be written.

#![cfg(unix)]
#![allow(clippy::unwrap_used, missing_docs)]

mod util;

use std::fs::OpenOptions;
use std::process::{Command, Stdio};

use util::{Folder, names};

fn command(folder: &Folder, args: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_finetune-under-test"));
    command
        .args(args.split_whitespace())
        .current_dir(folder.path(""))
        .env("FINETUNE_CACHE", folder.path("cache"));
    command
}

/// Returns the write end of a pipe whose read end is closed, as in `| head -1`.
fn unread() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

#[test]
fn a_closed_pipe_is_not_an_error() {
    let folder = Folder::colors();
    let train = "train --method linear --epochs 2 --data data --ui plain";
    folder.run(&format!("{train} --out run")).ok();
    for (args, code) in [
        (format!("{train} --out unread"), 0),
        (format!("{train} --json --out unread-json"), 0),
        ("inspect --method lora".to_owned(), 0),
        ("inspect --json".to_owned(), 0),
        ("data check data".to_owned(), 0),
        ("evaluate --run run".to_owned(), 0),
        ("predict --run run data/test/red/000.png".to_owned(), 0),
        ("merge --run run --out merged.safetensors".to_owned(), 0),
        ("--help".to_owned(), 0),
        // An error has the same exit code if its message is not read (a panic's would be 101).
        ("data check nowhere".to_owned(), 2),
        ("evaluate --run data".to_owned(), 1),
        ("train --epochs many".to_owned(), 2),
    ] {
        let status = command(&folder, &args)
            .stdout(unread())
            .stderr(unread())
            .status();
        assert_eq!(status.unwrap().code(), Some(code), "{args}");
    }
    assert_eq!(names(&folder.path("unread")), names(&folder.path("run")));

    // The shell closes stderr, and `head` exits after a line.
    let program = env!("CARGO_BIN_EXE_finetune-under-test");
    let script = format!("{{ {program} inspect 2>&-; echo $? > code; }} | head -n 1");
    let shell = Command::new("sh")
        .args(["-c", &script])
        .current_dir(folder.path(""))
        .output()
        .unwrap();
    let said = String::from_utf8(shell.stdout).unwrap();
    assert!(
        said.starts_with("model ") && said.lines().count() == 1,
        "{said}"
    );
    let code = std::fs::read_to_string(folder.path("code")).unwrap();
    assert_eq!(code, "0\n");
}

#[cfg(target_os = "linux")]
#[test]
fn output_that_cannot_be_written_is_an_error() {
    let folder = Folder::colors();
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let outcome = command(&folder, "data check data --json")
        .stdout(full)
        .output()
        .unwrap();
    let stderr = String::from_utf8(outcome.stderr).unwrap();
    assert_eq!(outcome.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.starts_with("error: cannot write to stdout: No space left on device"),
        "{stderr}"
    );
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}

#[test]
fn pretraining_for_another_command_leaves_stdout_to_it() {
    let folder = Folder::colors();
    let made = |part: &str| {
        let call =
            format!("pretrain {part} --data data --epochs 1 --ui none --out w{part}.safetensors");
        let mut child = command(&folder, &call)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // With `--part`, the end of stdin would stop it.
        let stdin = child.stdin.take();
        let output = child.wait_with_output().unwrap();
        drop(stdin);
        assert!(output.status.success(), "{output:?}");
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(output.stdout), text(output.stderr))
    };
    let (stdout, _) = made("");
    assert!(stdout.contains("SHA-256"), "{stdout}");
    let (stdout, stderr) = made("--part");
    assert!(stdout.is_empty(), "{stdout}");
    assert!(stderr.contains("SHA-256"), "{stderr}");
}
