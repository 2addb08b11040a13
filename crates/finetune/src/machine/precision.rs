//! The precision of matrix products and convolutions.

use finetune_kernels::precision as kernels;
use serde::{Deserialize, Serialize};

use super::device::canonical;
use crate::error::Error;

/// The precision in which matrix products and convolutions are computed. Parameters, optimiser,
/// normalisation and loss are `f32` in either case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32 bits.
    #[default]
    F32,
    /// Operands rounded to bfloat16, sums in 32 bits: on processors with AMX or AVX512-BF16.
    Bf16,
}

impl Precision {
    /// Its name, as it is typed.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.of_kernels().name()
    }

    fn of_kernels(self) -> kernels::Precision {
        match self {
            Self::F32 => kernels::Precision::F32,
            Self::Bf16 => kernels::Precision::Bf16,
        }
    }

    /// Checks that a device computes in this precision.
    ///
    /// # Errors
    ///
    /// Burn computes the device's products, or the processor has no instructions for it.
    pub fn check(self, device: &str) -> Result<(), Error> {
        if self == Self::F32 {
            return Ok(());
        }
        if canonical(device) != "flex" {
            return Err(Error::Usage(format!(
                "--precision bf16 is for --device cpu; {device} computes in f32"
            )));
        }
        kernels::check(self.of_kernels()).map_err(refused)
    }

    /// Computes in this precision from now on, in the whole process.
    ///
    /// # Errors
    ///
    /// As [`check`](Self::check).
    pub fn apply(self, device: &str) -> Result<(), Error> {
        self.check(device)?;
        kernels::set(self.of_kernels()).map_err(refused)
    }

    /// What differs from `f32`, for people: `products in bf16 (AMX)`.
    #[must_use]
    pub fn described(self) -> Option<String> {
        (self == Self::Bf16).then(|| {
            let unit = kernels::unit_name().unwrap_or("not of this processor");
            format!("products in bf16 ({unit})")
        })
    }
}

#[allow(clippy::needless_pass_by_value)] // for `map_err`
fn refused(error: kernels::Unsupported) -> Error {
    Error::Usage(format!(
        "--precision bf16: {error}; leave it out or use --precision f32"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_cpu_computes_in_bf16() {
        assert!(Precision::F32.check("wgpu").is_ok());
        assert_eq!(
            Precision::Bf16.check("gpu").unwrap_err().to_string(),
            "--precision bf16 is for --device cpu; gpu computes in f32"
        );
        let found = Precision::Bf16
            .check("flex")
            .map_err(|error| error.to_string());
        match kernels::unit_name() {
            Some(_) => assert_eq!(found, Ok(())),
            None => assert!(found.unwrap_err().contains("only for f32")),
        }
    }
}
