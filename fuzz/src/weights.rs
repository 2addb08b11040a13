//! Weights files.

use std::path::Path;

use finetune::model::WeightsFile;
use finetune::weights::Metadata;

use super::safetensors;
use super::write::{Part, archive, legacy, text};

/// A PyTorch file. The first byte says what is around the rest: nothing, or a well-formed file whose
/// pickle it is. Otherwise all of it is the file.
pub fn pth(folder: &Path, input: &[u8]) -> usize {
    let file = match input.split_first() {
        Some((0, file)) => file.to_vec(),
        Some((1, pickle)) => zipped(Part::stored("a/data.pkl", pickle)),
        Some((2, pickle)) => zipped(Part::deflated("a/data.pkl", pickle)),
        Some((3, pickle)) => {
            let keys = [b"\x80\x02]".to_vec(), text("0"), b"a.".to_vec()].concat();
            let storage = [&16_u64.to_le_bytes()[..], &[1; 64]].concat();
            legacy(pickle, &keys, &storage)
        }
        _ => input.to_vec(),
    };
    let path = folder.join("weights.pth");
    std::fs::write(&path, file).expect("a file");
    read(&path)
}

/// An archive with this pickle, and with storages of which one is compressed.
fn zipped(pickle: Part) -> Vec<u8> {
    let numbers: Vec<u8> = (0..=u8::MAX).collect();
    let parts = [
        pickle,
        Part::stored("a/data/0", &numbers),
        Part::stored("a/data/1", &numbers[..64]),
        Part::deflated("a/data/2", &numbers),
    ];
    archive(&parts, |_| {})
}

/// A safetensors file: a header that begins with a brace, a zero byte and numbers; or, if it begins
/// otherwise, the whole file.
pub fn safetensors(folder: &Path, input: &[u8]) -> usize {
    let path = folder.join("weights.safetensors");
    let file = if input.starts_with(b"{") {
        safetensors::file(input)
    } else {
        input.to_vec()
    };
    std::fs::write(&path, file).expect("a file");
    read(&path)
}

/// Looks for a network in a file and reads all of its tensors.
fn read(path: &Path) -> usize {
    let mut file = match WeightsFile::open(path) {
        Ok(file) => file,
        Err(error) => return one_line(&error),
    };
    if let Some(understood) = file.understand() {
        assert!(!understood.lines().is_empty());
    }
    let _ = Metadata::describing(&file, path);
    let shapes = file.shapes();
    // Comparing with all networks takes long. The names of the tensors matter to it, not the format.
    if path
        .extension()
        .is_some_and(|ending| ending == "safetensors")
        && shapes.len() > 4
    {
        let _ = file.nearest();
    }
    let mut most = 0;
    for (name, shape) in shapes {
        // Larger tensors take time and show nothing else.
        if shape
            .iter()
            .try_fold(1_usize, |all, one| all.checked_mul(*one))
            > Some(1 << 20)
        {
            continue;
        }
        match file.values(&name) {
            Ok(values) => most = most.max(4 * values.len()),
            Err(error) => {
                one_line(&error);
            }
        }
    }
    most
}

/// Checks that an error is not longer than a terminal can show. Returns the bytes that were decoded.
pub fn shown(error: &dyn std::error::Error) -> usize {
    let message = error.to_string();
    assert!(message.len() < 20_000, "{} bytes: {message}", message.len());
    0
}

/// Also checks that an error is one line, in which everything from the file is escaped.
fn one_line(error: &dyn std::error::Error) -> usize {
    let message = error.to_string();
    assert!(!message.chars().any(char::is_control), "{message:?}");
    shown(error)
}
