//! The results of a bench, as stored in `benches/history`.

use finetune::evaluation::median;
use finetune::machine::precision::Precision;
use serde::{Deserialize, Serialize};

use crate::job::Side;
use crate::machine::Machine;

/// The results of one bench.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Results {
    /// 2, or 1 for PyTorch with contiguous tensors, an unfused Adam and the allocator's defaults.
    pub(crate) version: u32,
    /// Time of the start, UTC.
    pub(crate) started: String,
    pub(crate) machine: Machine,
    pub(crate) threads: usize,
    pub(crate) repetitions: usize,
    /// The precision of products.
    #[serde(default)]
    pub(crate) precision: Precision,
    pub(crate) steps: Vec<Row>,
    /// The same steps with one thread.
    pub(crate) one_thread: Vec<Row>,
    pub(crate) runs: Vec<Row>,
    pub(crate) startup: Vec<Startup>,
    /// Measurements that failed, and comparisons whose sides did not compute the same.
    pub(crate) failed: Vec<String>,
}

impl Results {
    /// Name of the page: what was limited or halved has one of its own.
    pub(crate) fn page(&self) -> String {
        let mut name = "speed".to_owned();
        if let Some(limit) = &self.machine.limit {
            name = format!("{name}-{limit}");
        }
        if self.precision != Precision::F32 {
            name = format!("{name}-{}", self.precision.name());
        }
        name
    }
}

/// One side of a comparison, with one number per process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Samples {
    pub(crate) side: Side,
    pub(crate) method: String,
    /// PyTorch's memory layout, the fastest of those tried.
    #[serde(default)]
    pub(crate) variant: String,
    /// Median step time of the process, or training time of the whole run.
    pub(crate) seconds: Vec<f64>,
    /// Whole runs: duration of the process.
    pub(crate) whole_seconds: Vec<f64>,
    pub(crate) peak_bytes: Vec<u64>,
    /// Resident memory of the program and its libraries, before images and weights are loaded.
    pub(crate) rest_bytes: Vec<u64>,
    pub(crate) accuracy: Vec<f64>,
    /// Cross-entropy at the first step.
    pub(crate) first_loss: Vec<f64>,
    pub(crate) trainable: u64,
}

/// A method of `finetune` compared with another side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) model: String,
    pub(crate) size: usize,
    pub(crate) batch: usize,
    pub(crate) threads: usize,
    pub(crate) ours: Samples,
    pub(crate) theirs: Samples,
    /// Our time divided by theirs, of processes that ran one after the other.
    pub(crate) time: Ratio,
    /// The same ratio for the whole processes.
    pub(crate) whole: Option<Ratio>,
    /// Our peak memory divided by theirs.
    pub(crate) memory: Ratio,
    /// The ratio of peak memory without [`Samples::rest_bytes`], if both sides measured that.
    pub(crate) own_memory: Option<Ratio>,
}

/// Times from the start of the command to its first training step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Startup {
    pub(crate) method: String,
    pub(crate) seconds: Vec<f64>,
}

/// The ratios of several repetitions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ratio {
    pub(crate) least: f64,
    pub(crate) median: f64,
    pub(crate) most: f64,
}

impl Ratio {
    /// The ratios `ours[i] / theirs[i]`.
    pub(crate) fn of(ours: &[f64], theirs: &[f64]) -> Self {
        let ratios: Vec<f64> = ours.iter().zip(theirs).map(|(a, b)| a / b).collect();
        Self {
            least: ratios.iter().copied().fold(f64::INFINITY, f64::min),
            median: median(&ratios),
            most: ratios.iter().copied().fold(0.0, f64::max),
        }
    }
}

impl Samples {
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn peaks(&self) -> Vec<f64> {
        self.peak_bytes.iter().map(|bytes| *bytes as f64).collect()
    }

    /// Peak memory minus the memory of program and libraries; `None` if the latter was not measured.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn own_peaks(&self) -> Option<Vec<f64>> {
        let pairs = self.peak_bytes.iter().zip(&self.rest_bytes);
        pairs
            .map(|(peak, rest)| (*rest > 0).then(|| peak.saturating_sub(*rest) as f64))
            .collect()
    }

    pub(crate) fn accuracy(&self) -> f64 {
        mean(&self.accuracy)
    }
}

#[allow(clippy::cast_precision_loss)]
fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_taken_of_pairs() {
        // 1/2, 3/3, 9/3.
        let ratio = Ratio::of(&[1.0, 3.0, 9.0], &[2.0, 3.0, 3.0]);
        let wanted = Ratio {
            least: 0.5,
            median: 1.0,
            most: 3.0,
        };
        assert_eq!(ratio, wanted);
    }
}
