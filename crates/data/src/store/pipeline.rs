//! Settings of decoding: where decoded images are stored, and which threads decode.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rayon::{ThreadPool, ThreadPoolBuilder};
use serde::{Deserialize, Serialize};

use crate::error::DataError;

/// Where decoded and resized images are stored. This changes speed and memory, and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cache {
    /// In memory if they fit into the budget, otherwise in a file.
    #[default]
    Auto,
    /// In memory.
    Memory,
    /// In a file of the cache folder, which later runs on the same images use as well.
    Disk,
    /// Nowhere: images are decoded again for each batch.
    None,
}

/// What happens to images that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnBadImage {
    /// The first of them is an error.
    #[default]
    Fail,
    /// They are left out and listed.
    Skip,
}

/// Settings of the way from image files to batches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pipeline {
    /// Where decoded images are stored.
    pub cache: Cache,
    /// Folder of the cache files.
    pub folder: PathBuf,
    /// Bytes that all cache files may take. Beyond this, the least recently used files that no process
    /// has open are removed. `None` is 20 GiB.
    pub limit: Option<u64>,
    /// Bytes that [`Cache::Auto`] may store in memory; `None` is the smaller of 1 GiB and an eighth of
    /// the free memory.
    pub budget: Option<u64>,
    /// Number of threads that decode and augment images; `None` is that of rayon's global pool.
    pub workers: Option<usize>,
    /// What happens to images that cannot be used.
    pub on_bad_image: OnBadImage,
}

impl Default for Pipeline {
    fn default() -> Self {
        Self {
            cache: Cache::Auto,
            folder: std::env::temp_dir().join("finetune-images"),
            limit: None,
            budget: None,
            workers: None,
            on_bad_image: OnBadImage::Fail,
        }
    }
}

impl Pipeline {
    /// Stores decoded images in memory.
    #[must_use]
    pub fn memory() -> Self {
        Self {
            cache: Cache::Memory,
            ..Self::default()
        }
    }

    pub(crate) fn limit(&self) -> u64 {
        self.limit.unwrap_or(20 << 30)
    }

    pub(crate) fn budget(&self) -> u64 {
        const MOST: u64 = 1 << 30;
        self.budget
            .unwrap_or_else(|| free_memory().map_or(MOST, |free| MOST.min(free / 8)))
    }

    pub(crate) fn pool(&self) -> Result<Arc<ThreadPool>, DataError> {
        pool(self.workers.unwrap_or_else(rayon::current_num_threads))
    }
}

/// Bytes of memory that can be used without swapping; `None` if the system does not say.
#[must_use]
pub fn free_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find(|line| line.starts_with("MemAvailable:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

/// A pool of threads besides rayon's global one, so that a computation on that one never waits for
/// decoding. Training, validation and test images share the pool.
fn pool(threads: usize) -> Result<Arc<ThreadPool>, DataError> {
    static POOLS: Mutex<Vec<Weak<ThreadPool>>> = Mutex::new(Vec::new());
    let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
    pools.retain(|pool| pool.strong_count() > 0);
    let mut alive = pools.iter().filter_map(Weak::upgrade);
    if let Some(pool) = alive.find(|pool| pool.current_num_threads() == threads.max(1)) {
        return Ok(pool);
    }
    let pool = ThreadPoolBuilder::new()
        .num_threads(threads.max(1))
        .thread_name(|index| format!("images {index}"))
        .build()
        .map_err(|error| DataError::Workers(error.to_string()))?;
    let pool = Arc::new(pool);
    pools.push(Arc::downgrade(&pool));
    Ok(pool)
}
