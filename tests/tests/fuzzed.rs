//! The inputs that coverage-guided fuzzing found (`fuzz/corpus`), and those that showed a fault
//! (`fuzz/crashes`), through the same functions: none is a fault any more.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[allow(
    dead_code,
    unreachable_pub,
    reason = "a library of its own for cargo-fuzz"
)]
#[path = "../../fuzz/src/lib.rs"]
mod targets;

use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use flate2::read::GzDecoder;

/// The inputs of a target by name.
fn inputs(target: &str) -> Vec<(String, Vec<u8>)> {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    let corpus = std::fs::read(fuzz.join(format!("corpus/{target}.tar.gz"))).unwrap();
    let mut archive = Vec::new();
    GzDecoder::new(&corpus[..])
        .read_to_end(&mut archive)
        .unwrap();
    let mut all = unpacked(&archive);
    // Most targets had no crash.
    let crashes = std::fs::read_dir(fuzz.join("crashes").join(target));
    for entry in crashes.into_iter().flatten() {
        let path = entry.unwrap().path();
        all.push((path.display().to_string(), std::fs::read(path).unwrap()));
    }
    all
}

/// The files of a tar archive.
fn unpacked(mut archive: &[u8]) -> Vec<(String, Vec<u8>)> {
    const BLOCK: usize = 512;
    let mut files = Vec::new();
    while let Some((header, rest)) = archive.split_at_checked(BLOCK) {
        if header[0] == 0 {
            break;
        }
        let text = |range: std::ops::Range<usize>| {
            let text = header[range].split(|byte| *byte == 0).next().unwrap();
            String::from_utf8(text.to_vec()).unwrap()
        };
        let size = usize::from_str_radix(text(124..136).trim(), 8).unwrap();
        if header[156] == b'0' {
            files.push((text(0..100), rest[..size].to_vec()));
        }
        archive = &rest[size.next_multiple_of(BLOCK)..];
    }
    files
}

#[test]
fn inputs_that_fuzzing_found_show_no_fault() {
    let mut wrong = Vec::new();
    for (name, target) in targets::TARGETS {
        let folder = tempfile::tempdir().unwrap();
        let inputs = inputs(name);
        assert!(!inputs.is_empty(), "{name}");
        for (input, bytes) in inputs {
            let run = AssertUnwindSafe(|| targets::check(target, folder.path(), &bytes));
            if catch_unwind(run).is_err() {
                wrong.push(format!("{name}: {input}"));
            }
        }
    }
    assert!(wrong.is_empty(), "faults:\n{}", wrong.join("\n"));
}
