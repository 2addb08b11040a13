//! Weights files that are damaged or made to do harm: each is an error of one line or is read as what it
//! says, and none needs more memory than 64 MiB and four times what is decoded.

#![allow(clippy::unwrap_used, missing_docs)]

mod build;
mod cases;
mod memory;

use std::path::Path;
use std::time::{Duration, Instant};

use cases::Case;
use finetune_model::WeightsFile;

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

/// Opens a file, looks for a network in it and reads all tensors. Returns the number of values.
fn read(path: &Path) -> Result<usize, String> {
    let mut file = WeightsFile::open(path).map_err(|error| error.to_string())?;
    if let Some(understood) = file.understand() {
        assert!(!understood.lines().is_empty());
    }
    let _ = file.nearest();
    let mut count = 0;
    let mut first = None;
    for name in file.shapes().into_keys() {
        match file.values(&name) {
            Ok(values) => count += values.len(),
            Err(error) => first = first.or(Some(error.to_string())),
        }
    }
    first.map_or(Ok(count), Err)
}

fn check(case: &Case, folder: &Path) -> Result<(), String> {
    let path = folder.join(&case.name);
    let bytes = case.bytes.make();
    let allowed = (64 << 20) + 4 * case.decoded.max(bytes.len());
    std::fs::write(&path, bytes).unwrap();
    let before = memory::reset();
    let started = Instant::now();
    let outcome = std::panic::catch_unwind(|| read(&path));
    let peak = memory::peak().saturating_sub(before);
    let took = started.elapsed();
    std::fs::remove_file(&path).unwrap();
    let Ok(outcome) = outcome else {
        return Err("it panics".to_owned());
    };
    if peak > allowed {
        return Err(format!(
            "it needs {} MiB, not {}",
            peak >> 20,
            allowed >> 20
        ));
    }
    if took > Duration::from_mins(1) {
        return Err(format!("it takes {took:?}"));
    }
    match (&outcome, case.values) {
        (Ok(count), Some(wanted)) if *count == wanted => Ok(()),
        (_, Some(wanted)) => Err(format!("it is {outcome:?}, not {wanted} values")),
        (Ok(count), None) => Err(format!("it is read, {count} values")),
        (Err(reason), None) => {
            let shown = reason.chars().all(|one| !one.is_control());
            if shown && reason.len() < 2000 && reason.contains(case.reason) {
                Ok(())
            } else {
                Err(format!(
                    "its message is {reason:?}, without {:?}",
                    case.reason
                ))
            }
        }
    }
}

#[test]
fn hostile_files_are_errors_of_one_line_in_bounded_memory() {
    let folder = tempfile::tempdir().unwrap();
    let cases = cases::all();
    assert!(cases.len() >= 100, "{}", cases.len());
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|case| {
            let problem = check(case, folder.path()).err()?;
            Some(format!("{}: {problem}", case.name))
        })
        .collect();
    assert!(
        wrong.is_empty(),
        "of {} cases:\n{}",
        cases.len(),
        wrong.join("\n")
    );

    // Flipped bytes of files that PyTorch wrote: an error or other values, but no panic.
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/torch");
    let mut state = 1_u64;
    for name in [
        "beside_2.pth",
        "beside_legacy.pth",
        "deflated.pth",
        "views_zip.pth",
        "module.pth",
        "tar.pth",
    ] {
        let whole = std::fs::read(fixtures.join(name)).unwrap();
        for _ in 0..200 {
            let mut bytes = whole.clone();
            for _ in 0..3 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let [.., low, high] = state.to_be_bytes().map(usize::from);
                let place = (low * 256 + high + (state >> 40) as usize) % bytes.len();
                bytes[place] = state.to_be_bytes()[3];
            }
            let path = folder.path().join("flipped");
            std::fs::write(&path, &bytes).unwrap();
            let before = memory::reset();
            let _ = read(&path);
            let peak = memory::peak().saturating_sub(before);
            assert!(peak < 128 << 20, "{name}: {peak} bytes");
        }
    }
}

#[test]
#[cfg(unix)]
fn what_is_no_regular_file_is_an_error_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe.pth");
    let made = std::process::Command::new("mkfifo")
        .arg(&pipe)
        .status()
        .unwrap();
    assert!(made.success());
    for (path, what) in [
        (pipe.as_path(), "a named pipe"),
        (Path::new("/dev/zero"), "a device"),
        (folder.path(), "a folder"),
    ] {
        let error = WeightsFile::open(path).unwrap_err().to_string();
        assert!(
            error.contains(&format!("it is {what}, not a regular file")),
            "{error}"
        );
    }
}
