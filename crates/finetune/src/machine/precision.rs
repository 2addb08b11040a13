//! The precision of matrix products and convolutions. Parameters, optimiser, normalisation and loss are
//! `f32` in either case.

use finetune_kernels::precision as kernels;

use super::device::canonical;
use crate::error::Error;

pub use finetune_kernels::precision::Precision;

/// Checks that a device computes in a precision.
///
/// # Errors
///
/// Burn computes the device's products, or the processor has no instructions for it.
pub fn check(precision: Precision, device: &str) -> Result<(), Error> {
    if precision == Precision::F32 {
        return Ok(());
    }
    if canonical(device) != "flex" {
        return Err(Error::Usage(format!(
            "--precision bf16 is for --device cpu; {device} computes in f32"
        )));
    }
    kernels::check(precision).map_err(refused)
}

/// Computes in a precision from now on, in the whole process.
///
/// # Errors
///
/// As [`check`].
pub fn apply(precision: Precision, device: &str) -> Result<(), Error> {
    check(precision, device)?;
    kernels::set(precision).map_err(refused)
}

/// What differs from `f32`, for people: `products in bf16 (AMX)`.
#[must_use]
pub fn described(precision: Precision) -> Option<String> {
    (precision == Precision::Bf16).then(|| {
        let unit = kernels::unit_name().unwrap_or("not of this processor");
        format!("products in bf16 ({unit})")
    })
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
        assert!(check(Precision::F32, "wgpu").is_ok());
        assert_eq!(
            check(Precision::Bf16, "gpu").unwrap_err().to_string(),
            "--precision bf16 is for --device cpu; gpu computes in f32"
        );
        let found = check(Precision::Bf16, "flex").map_err(|error| error.to_string());
        match kernels::unit_name() {
            Some(_) => assert_eq!(found, Ok(())),
            None => assert!(found.unwrap_err().contains("only for f32")),
        }
    }
}
