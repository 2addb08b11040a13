//! Seeds of dropout.

use burn::tensor::Device;

/// Seeds of the random numbers that layers draw themselves (dropout).
///
/// The numbers that a stage draws for a batch depend on step, batch and stage alone: they are the
/// same when the stage runs again, and when a run is resumed.
#[derive(Debug, Clone)]
pub(crate) struct Draws {
    device: Device,
    seed: u64,
}

impl Draws {
    /// The seeds of a run on a device.
    pub(crate) fn new(device: &Device, seed: u64) -> Self {
        Self {
            device: device.clone().inner(),
            seed,
        }
    }

    /// The seeds of batch `batch` of a step.
    pub(crate) fn of_batch(&self, step: usize, batch: usize) -> Self {
        Self {
            seed: mixed(mixed(self.seed, step), batch),
            ..self.clone()
        }
    }

    /// Seeds the device for one stage.
    pub(super) fn start(&self, stage: usize) {
        self.device.seed(mixed(self.seed, stage));
    }
}

/// The output of SplitMix64 (Steele et al. 2014) for `seed`, `number` steps on.
fn mixed(seed: u64, number: usize) -> u64 {
    let mut z = seed.wrapping_add((number as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::mixed;

    #[test]
    fn seeds_are_the_outputs_of_splitmix64() {
        // The first outputs of the reference implementation (Vigna's splitmix64.c) for the seeds 0 and
        // 1234567.
        assert_eq!(mixed(0, 0), 0xE220_A839_7B1D_CDAF);
        assert_eq!(mixed(0, 1), 0x6E78_9E6A_A1B9_65F4);
        assert_eq!(mixed(0, 2), 0x06C4_5D18_8009_454F);
        assert_eq!(mixed(1_234_567, 0), 6_457_827_717_110_365_317);
        assert_eq!(mixed(1_234_567, 1), 3_203_168_211_198_807_973);
    }
}
