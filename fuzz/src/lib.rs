//! What each fuzz target does with its input: it reads the input as a file from outside and uses what was
//! read, as the program does. `tests/tests/fuzzed.rs` does the same with the inputs that were found.
//!
//! An input may be an error. A panic is a fault, and so is more memory than SECURITY.md promises.

mod adapter;
mod data;
#[path = "../../crates/model/tests/hostile/memory.rs"]
mod memory;
#[path = "../../crates/methods/tests/hf/net.rs"]
#[allow(dead_code, unreachable_pub)]
mod net;
mod runs;
mod safetensors;
mod weights;
#[path = "../../crates/model/tests/hostile/build.rs"]
#[allow(dead_code)]
mod write;

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

/// Memory that reading a file may take besides four times what is decoded, bytes.
const MEMORY: usize = 64 << 20;

/// Reads an input in a folder of its own. Returns how many bytes were decoded at a time.
type Target = fn(&Path, &[u8]) -> usize;

/// All targets by name.
pub const TARGETS: [(&str, Target); 11] = [
    ("adapter", adapter::adapter),
    ("checkpoint", runs::checkpoint),
    ("idx", data::idx),
    ("image", data::image),
    ("manifest", data::manifest),
    ("parquet", data::parquet),
    ("plan", runs::plan),
    ("pth", weights::pth),
    ("report", runs::report),
    ("safetensors", weights::safetensors),
    ("settings", runs::settings),
];

/// Runs a target on an input.
///
/// # Panics
///
/// If the input shows a fault.
pub fn check(target: Target, folder: &Path, input: &[u8]) {
    let before = memory::reset();
    let decoded = target(folder, input);
    let used = memory::peak().saturating_sub(before);
    let allowed = MEMORY + 4 * decoded.max(input.len());
    assert!(used <= allowed, "{used} bytes of memory, not {allowed}");
}

/// Runs the target of this name on an input, for libFuzzer.
///
/// # Panics
///
/// If the input shows a fault, or there is no such target.
pub fn fuzz(name: &str, input: &[u8]) {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
        let memory = Path::new("/dev/shm");
        let parent = Some(memory.to_owned()).filter(|memory| memory.is_dir());
        let folder = parent.unwrap_or_else(std::env::temp_dir);
        let folder = folder.join(format!("finetune-fuzz.{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder for the inputs");
        folder
    });
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    check(
        target.expect("the target is in the table").1,
        &FOLDER,
        input,
    );
}
