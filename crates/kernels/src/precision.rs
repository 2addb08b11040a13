//! The precision in which matrix products and convolutions are computed.
//!
//! Tensors, optimiser and losses are `f32` in either case. With [`Precision::Bf16`] the operands of products
//! are rounded to bfloat16 (8 bits of mantissa), and their sums are `f32`, as with PyTorch's
//! `torch.set_float32_matmul_precision("medium")`. Products with few channels or columns stay `f32`.
//!
//! ```
//! use finetune_kernels::precision::{self, Precision};
//!
//! assert_eq!(precision::current(), Precision::F32);
//! // An error says that the processor has no instructions for it.
//! let set = precision::set(Precision::Bf16);
//! assert_eq!(set.is_ok(), precision::unit_name().is_some());
//! precision::set(Precision::F32).expect("every processor has it");
//! ```

use std::fmt;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use crate::bf16::Unit;
use crate::simd::Level;

/// Whether bfloat16 was chosen, which only [`set`] does, if the processor has it.
static BF16: AtomicBool = AtomicBool::new(false);

static UNIT: LazyLock<Option<Unit>> = LazyLock::new(|| Unit::detect(Level::best()));

/// The precision of products.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32 bits.
    #[default]
    F32,
    /// Operands rounded to bfloat16, sums in 32 bits: on processors with AMX or AVX512-BF16.
    Bf16,
}

impl Precision {
    /// Its name, as it is serialised: `f32` or `bf16`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }
}

/// The processor has no instructions for a precision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsupported(Precision);

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let capped = if Level::best().is_widest() {
            ""
        } else {
            " as limited by FINETUNE_SIMD"
        };
        write!(
            f,
            "the processor{capped} has no instructions for {} (AMX or AVX512-BF16), only for f32",
            self.0.name(),
        )
    }
}

impl std::error::Error for Unsupported {}

/// Checks that the processor has instructions for a precision.
///
/// # Errors
///
/// It has none.
pub fn check(precision: Precision) -> Result<(), Unsupported> {
    if precision == Precision::Bf16 && UNIT.is_none() {
        return Err(Unsupported(precision));
    }
    Ok(())
}

/// Chooses the precision of all products of this process from now on.
///
/// # Errors
///
/// If the processor has no instructions for it; the precision stays what it was.
pub fn set(precision: Precision) -> Result<(), Unsupported> {
    check(precision)?;
    BF16.store(precision == Precision::Bf16, Ordering::Relaxed);
    Ok(())
}

/// The precision of products.
#[must_use]
pub fn current() -> Precision {
    if BF16.load(Ordering::Relaxed) {
        Precision::Bf16
    } else {
        Precision::F32
    }
}

/// The name of the instructions that multiply bfloat16 values, if the processor has any: `AMX` or
/// `AVX512-BF16`.
#[must_use]
pub fn unit_name() -> Option<&'static str> {
    UNIT.map(Unit::name)
}

/// What multiplies bfloat16 values, if that was chosen.
pub(crate) fn unit() -> Option<Unit> {
    (current() == Precision::Bf16).then_some(())?;
    *UNIT
}
