//! What this machine offers to the program, and what is wrong with it.

use std::path::{Path, PathBuf};

use burn::Tensor;
use burn::tensor::Device;
use finetune_data::store::{free_disk_space, free_memory};
use serde::Serialize;

use super::cache::cache_folder;
use super::device::device;
use super::kept::kept;
use super::memory::total_memory;
use super::rates::Rates;
use super::{bf16_unit, instruction_set, limit};
use crate::error::one_line;

/// The version of Burn that the program is built with.
pub const BURN: &str = "0.22.1";

/// Free memory below which training may fail, bytes: the default comparison takes about 100 MiB, a network
/// for photographs one to several GiB.
const LITTLE_MEMORY: u64 = 1 << 30;

/// Free disk space below which results may not fit, bytes.
const LITTLE_DISK: u64 = 1 << 30;

/// What this machine offers, and what is wrong with it.
#[derive(Debug, Clone, Serialize)]
pub struct Health {
    /// The program.
    pub program: Program,
    /// The processor.
    pub processor: Processor,
    /// Its memory.
    pub memory: Memory,
    /// The devices that can be asked for.
    pub devices: Vec<Examined>,
    /// Where decoded images and weights are kept.
    pub cache: Place,
    /// Where runs go.
    pub runs: Place,
    /// What is wrong, with remedies.
    pub problems: Vec<Problem>,
}

/// The program itself.
#[derive(Debug, Clone, Serialize)]
pub struct Program {
    /// Its version.
    pub version: &'static str,
    /// The version of Burn.
    pub burn: &'static str,
    /// The cargo features that it is built with.
    pub features: Vec<&'static str>,
    /// Whether the compiler optimised all of it (`--release`).
    pub release: bool,
}

/// The processor, and how it is used.
#[derive(Debug, Clone, Serialize)]
pub struct Processor {
    /// What it calls itself; `None` if the system does not tell.
    pub name: Option<String>,
    /// Its architecture: `x86_64`, `aarch64`.
    pub architecture: &'static str,
    /// The instruction set that the kernels use: `avx512`, `avx2` or `portable`.
    pub instruction_set: &'static str,
    /// Whether `FINETUNE_SIMD` limits it.
    pub limited: bool,
    /// The instructions that multiply bfloat16 values, if there are any: `AMX` or `AVX512-BF16`.
    pub bf16: Option<&'static str>,
    /// Processors that the system gives to this process.
    pub cores: usize,
    /// Threads that compute.
    pub threads: usize,
    /// Multiply-accumulates per second in a large product of matrices, as just measured.
    pub products_per_second: f64,
    /// Values per second that a large sum reads or writes, as just measured.
    pub values_per_second: f64,
}

/// Memory in bytes; `None` is what the system does not tell.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Memory {
    /// All of it, or what the system (a container) allows this process.
    pub total: Option<u64>,
    /// What can be used without swapping.
    pub free: Option<u64>,
}

/// A device and whether it computes.
#[derive(Debug, Clone, Serialize)]
pub struct Examined {
    /// The name to ask for it with `--device`.
    pub name: &'static str,
    /// Whether a product on it was right.
    pub works: bool,
    /// Why it does not work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A folder that the program writes to.
#[derive(Debug, Clone, Serialize)]
pub struct Place {
    /// The folder; `None` if there is none.
    pub path: Option<PathBuf>,
    /// Bytes that the program keeps there.
    pub bytes: u64,
    /// Free bytes on its disk; `None` if the system does not tell.
    pub free: Option<u64>,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Whether commands will fail because of it.
    pub serious: bool,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

impl Health {
    /// Examines the machine for about a second. `runs` is the folder where runs go.
    #[must_use]
    pub fn examine(runs: &Path) -> Self {
        let rates = Rates::measure(&Device::flex());
        let processor = Processor {
            name: processor_name(),
            architecture: std::env::consts::ARCH,
            instruction_set: instruction_set(),
            limited: limit().is_some(),
            bf16: bf16_unit(),
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            threads: rayon::current_num_threads(),
            products_per_second: rates.products,
            values_per_second: rates.values,
        };
        let memory = Memory {
            total: total_memory(),
            free: free_memory(),
        };
        let cache = cache_folder().ok();
        let runs = std::path::absolute(runs).unwrap_or_else(|_| runs.to_owned());
        let bytes = kept().unwrap_or_default().iter().map(|one| one.bytes).sum();
        let mut health = Self {
            program: Program::this(),
            processor,
            memory,
            devices: ["cpu", "gpu", "ndarray"].map(Examined::new).into(),
            cache: Place::new(cache, bytes),
            runs: Place::new(Some(runs), 0),
            problems: Vec::new(),
        };
        health.check_processor();
        health.check_devices();
        health.check_places();
        health
    }

    fn add(&mut self, serious: bool, what: String, remedy: impl Into<String>) {
        self.problems.push(Problem {
            serious,
            what,
            remedy: remedy.into(),
        });
    }

    fn check_processor(&mut self) {
        let Processor {
            instruction_set,
            limited,
            cores,
            threads,
            ..
        } = self.processor;
        if limited {
            let what = format!("FINETUNE_SIMD limits the kernels to {instruction_set}");
            self.add(false, what, "unset FINETUNE_SIMD");
        } else if instruction_set == "portable" && cfg!(target_arch = "x86_64") {
            self.add(
                false,
                "the processor has no AVX2, so that training takes several times as long"
                    .to_owned(),
                "use another machine for larger networks",
            );
        }
        if threads > cores {
            let what = format!("{threads} threads compute on {cores} processors");
            self.add(false, what, "unset RAYON_NUM_THREADS");
        }
        if let Some(free) = self.memory.free.filter(|free| *free < LITTLE_MEMORY) {
            self.add(
                false,
                format!("only {} MiB of memory are free", free >> 20),
                "close other programs, or use a small --batch-size; `compare --dry-run` says what \
                 is needed",
            );
        }
    }

    fn check_devices(&mut self) {
        let devices = self.devices.clone();
        for Examined {
            name,
            works,
            reason,
        } in devices
        {
            let Some(reason) = reason else { continue };
            if name == "cpu" && !works {
                let what = format!("the processor computes wrongly: {reason}");
                self.add(true, what, "try FINETUNE_SIMD=portable, and report it");
            } else if !works && self.program.features.contains(&name_of_feature(name)) {
                let what = format!("--device {name} does not work: {reason}");
                self.add(false, what, "use --device cpu");
            }
        }
    }

    fn check_places(&mut self) {
        match &self.cache.path {
            None => self.add(
                true,
                "the system names no cache folder".to_owned(),
                "set FINETUNE_CACHE to a folder",
            ),
            Some(path) => {
                let what = cannot_write(path, "the cache folder");
                if let Some(what) = what {
                    self.add(true, what, "set FINETUNE_CACHE to another folder");
                }
            }
        }
        if let Some(what) = cannot_write(&std::env::temp_dir(), "the folder for temporary files") {
            self.add(true, what, "set TMPDIR to another folder");
        }
        let runs = self.runs.path.clone().unwrap_or_default();
        if let Some(what) = cannot_write(&runs, "the folder for runs") {
            self.add(true, what, "change to another folder, or give --out");
        }
        for (place, is) in [
            (self.runs.clone(), "runs"),
            (self.cache.clone(), "the cache"),
        ] {
            if let Some(free) = place.free.filter(|free| *free < LITTLE_DISK) {
                let what = format!("only {} MiB are free on the disk for {is}", free >> 20);
                let remedy = "free some space: `finetune cache` lists what can be removed";
                self.add(false, what, remedy);
            }
        }
    }
}

impl Program {
    fn this() -> Self {
        let features = [
            ("wgpu", cfg!(feature = "wgpu")),
            ("hub", cfg!(feature = "hub")),
            ("ndarray", cfg!(feature = "ndarray")),
            ("parquet", cfg!(feature = "parquet")),
        ];
        let features = features.into_iter().filter(|(_, built_in)| *built_in);
        Self {
            version: env!("CARGO_PKG_VERSION"),
            burn: BURN,
            features: features.map(|(name, _)| name).collect(),
            release: !cfg!(debug_assertions),
        }
    }
}

/// The cargo feature that a device needs.
fn name_of_feature(device: &str) -> &str {
    if device == "gpu" { "wgpu" } else { device }
}

impl Examined {
    fn new(name: &'static str) -> Self {
        let found = device(name).map_err(|error| one_line(&error));
        let reason = found.and_then(|device| computes(&device)).err();
        Self {
            name,
            works: reason.is_none(),
            reason,
        }
    }
}

/// Multiplies two matrices whose product is known.
fn computes(device: &Device) -> Result<(), String> {
    const SIDE: usize = 67;
    // Row i has i everywhere, and the other matrix is of ones: row i of the product has 67·i.
    let rows = Tensor::<1, burn::tensor::Int>::arange(0..67, device).float();
    let rows = rows.reshape([SIDE, 1]).repeat_dim(1, SIDE);
    let ones = Tensor::<2>::ones([SIDE, SIDE], device);
    let product = rows.matmul(ones).into_data();
    let values = product
        .try_to_vec::<f32>()
        .map_err(|error| format!("{error:?}"))?;
    let wrong = values.iter().enumerate().find(|(index, value)| {
        #[allow(clippy::cast_precision_loss)] // small whole numbers
        let right = (SIDE * (index / SIDE)) as f32;
        (**value - right).abs() > 1e-3
    });
    match wrong {
        None => Ok(()),
        Some((index, value)) => Err(format!(
            "element {index} of a product is {value}, not {}",
            SIDE * (index / SIDE)
        )),
    }
}

impl Place {
    fn new(path: Option<PathBuf>, bytes: u64) -> Self {
        let free = path.as_deref().map(free_disk_space);
        Self {
            bytes,
            free: free.filter(|free| *free < u64::MAX),
            path,
        }
    }
}

/// Why a folder cannot be written to, if it cannot. It need not exist; nothing is left in it.
fn cannot_write(folder: &Path, is: &str) -> Option<String> {
    let there = folder.ancestors().find(|path| path.exists());
    let there = match there {
        Some(path) if !path.as_os_str().is_empty() => path,
        _ => Path::new("."),
    };
    let outcome = if there.is_dir() {
        tempfile::tempfile_in(there).map(|_| ())
    } else {
        Err(std::io::Error::other(format!(
            "{} is not a folder",
            there.display()
        )))
    };
    let reason = outcome.err()?;
    Some(format!(
        "{is} {} cannot be written: {reason}",
        folder.display()
    ))
}

/// What the processor calls itself.
fn processor_name() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_burn_is_the_one_that_is_declared() {
        let manifest = include_str!("../../../../Cargo.toml");
        assert!(
            manifest.contains(&format!("\nburn = {{ version = \"={BURN}\"")),
            "Cargo.toml declares another version of Burn than {BURN}"
        );
    }

    #[test]
    fn the_processor_multiplies_matrices() {
        assert_eq!(computes(&Device::flex()), Ok(()));
    }

    #[test]
    fn folders_that_cannot_be_written_are_found_and_nothing_is_left_in_others() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(cannot_write(&folder.path().join("a/b"), "it"), None);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let reason = cannot_write(&file.join("below"), "the cache folder").unwrap();
        assert!(
            reason.starts_with("the cache folder ") && reason.ends_with("is not a folder"),
            "{reason}"
        );
    }
}
