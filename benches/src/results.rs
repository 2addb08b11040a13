//! What a bench finds, as its history keeps it.

use finetune::evaluation::median;
use serde::{Deserialize, Serialize};

use crate::job::Side;
use crate::machine::Machine;

/// All of a bench.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) version: u32,
    /// When it began.
    pub(crate) started: String,
    pub(crate) machine: Machine,
    pub(crate) threads: usize,
    pub(crate) repetitions: usize,
    pub(crate) steps: Vec<Row>,
    /// The same steps with one thread.
    pub(crate) one_thread: Vec<Row>,
    pub(crate) runs: Vec<Row>,
    pub(crate) startup: Vec<Startup>,
    /// What could not be measured, and where the sides did not compute the same.
    pub(crate) failed: Vec<String>,
}

/// One side of a comparison: a number for each process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Samples {
    pub(crate) side: Side,
    pub(crate) method: String,
    /// Of steps the process's median; of runs the training.
    pub(crate) seconds: Vec<f64>,
    /// Of runs: the whole process.
    pub(crate) whole_seconds: Vec<f64>,
    pub(crate) peak_bytes: Vec<u64>,
    /// Program and libraries before images and weights.
    pub(crate) rest_bytes: Vec<u64>,
    pub(crate) accuracy: Vec<f64>,
    /// Cross-entropy of the first step.
    pub(crate) first_loss: Vec<f64>,
    pub(crate) trainable: u64,
}

/// A method of ours beside another side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) model: String,
    pub(crate) size: usize,
    pub(crate) batch: usize,
    pub(crate) threads: usize,
    pub(crate) ours: Samples,
    pub(crate) theirs: Samples,
    /// Ours through theirs, of the processes that ran one after the other.
    pub(crate) time: Ratio,
    /// Likewise, of whole processes.
    pub(crate) whole: Option<Ratio>,
    pub(crate) memory: Ratio,
    /// Likewise, without what program and libraries take before images and weights.
    pub(crate) own_memory: Option<Ratio>,
}

/// Time from the start of the command to its first training step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Startup {
    pub(crate) method: String,
    pub(crate) seconds: Vec<f64>,
}

/// Ratios of several repetitions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ratio {
    pub(crate) least: f64,
    pub(crate) median: f64,
    pub(crate) most: f64,
}

impl Ratio {
    /// Of pairs of numbers.
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

    /// What the job itself took; `None` where it is not known what was there before.
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
    fn ratios_are_of_pairs() {
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
