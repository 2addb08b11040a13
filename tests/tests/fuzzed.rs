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

use std::fs::File;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use zip::ZipArchive;

/// The inputs of a target by name.
fn inputs(target: &str) -> Vec<(String, Vec<u8>)> {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    let archive = File::open(fuzz.join(format!("corpus/{target}.zip"))).unwrap();
    let mut archive = ZipArchive::new(archive).unwrap();
    let mut all = Vec::new();
    for index in 0..archive.len() {
        let mut file = archive.by_index(index).unwrap();
        let mut input = Vec::new();
        file.read_to_end(&mut input).unwrap();
        all.push((file.name().unwrap().into_owned(), input));
    }
    // Most targets had no crash.
    for entry in std::fs::read_dir(fuzz.join("crashes").join(target))
        .into_iter()
        .flatten()
    {
        let path = entry.unwrap().path();
        all.push((path.display().to_string(), std::fs::read(path).unwrap()));
    }
    all
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
