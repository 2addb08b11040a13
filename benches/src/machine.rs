//! The machine and the versions that a measurement depends on.

use std::collections::BTreeMap;
use std::process::Command;

use serde::{Deserialize, Serialize};

/// The machine, commit and library versions of a measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) memory_bytes: u64,
    pub(crate) system: String,
    /// The instruction set of our kernels.
    #[serde(default)]
    pub(crate) instructions: Option<String>,
    /// The instruction set to which both sides were limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<String>,
    /// What multiplies bfloat16 values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bf16: Option<String>,
    /// Commit of the source, followed by `+` if tracked files differ from it.
    pub(crate) commit: String,
    pub(crate) versions: BTreeMap<String, String>,
}

impl Machine {
    pub(crate) fn this() -> Self {
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let memory: u64 = field(&meminfo, "MemTotal")
            .and_then(|value| value.split(' ').next()?.parse().ok())
            .unwrap_or(0);
        Self {
            cpu: field(&cpuinfo, "model name").unwrap_or_default(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_bytes: memory * 1024,
            instructions: Some(finetune::machine::instruction_set().to_owned()),
            limit: finetune::machine::limit().map(str::to_owned),
            bf16: finetune::machine::bf16_unit().map(str::to_owned),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            commit: commit(),
            versions: BTreeMap::new(),
        }
    }
}

fn field(text: &str, name: &str) -> Option<String> {
    let mut lines = text.lines();
    let line = lines.find_map(|line| line.strip_prefix(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn commit() -> String {
    let git = |args: &[&str]| {
        let mut git = Command::new("git");
        let output = git.current_dir(crate::root()).args(args).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]);
    let commit = git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_default();
    match changed {
        Some(changed) if !changed.is_empty() => format!("{commit}+"),
        _ => commit,
    }
}
