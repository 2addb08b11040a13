//! Who decodes images, when, and where the results are kept.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rayon::{ThreadPool, ThreadPoolBuilder};
use serde::{Deserialize, Serialize};

use crate::error::DataError;

/// Where decoded and resized images are kept. It changes speed and memory and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cache {
    /// In memory where they fit into the budget, else in a file.
    #[default]
    Auto,
    /// In memory.
    Memory,
    /// In a file of the cache folder, which later runs on the same images find again.
    Disk,
    /// Nowhere: each image is decoded again for each batch.
    None,
}

/// What happens with images that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnBadImage {
    /// The first one is an error.
    #[default]
    Fail,
    /// They are left out, and listed.
    Skip,
}

/// How images get from their files into batches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pipeline {
    /// Where decoded images are kept.
    pub cache: Cache,
    /// Folder of the caches on disk.
    pub folder: PathBuf,
    /// Bytes that the files in there may take together, beyond which those that were used longest ago
    /// are removed, but for those in use; `None` is 20 GiB.
    pub limit: Option<u64>,
    /// Bytes that [`Cache::Auto`] keeps in memory; `None` is 1 GiB or an eighth of the memory that is
    /// free, whichever is less.
    pub budget: Option<u64>,
    /// Threads that decode and change images; `None` is as many as rayon's global pool has.
    pub workers: Option<usize>,
    /// What happens with images that cannot be used.
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
    /// Everything in memory.
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

/// Memory that programs can have without the system's taking it from others, bytes; `None` where the
/// system does not tell.
#[must_use]
pub fn free_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find(|line| line.starts_with("MemAvailable:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

/// Threads of their own, so that a slow decoding never stands between two steps of a computation on
/// rayon's global pool. Training, validation and test images share them.
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
