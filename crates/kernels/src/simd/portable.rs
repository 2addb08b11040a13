//! Vectors of the target's baseline: arrays, which the compiler vectorises.

#![allow(clippy::inline_always)]

use std::mem::MaybeUninit;

use super::{Part, Simd};

/// Arrays of eight values, which the compiler vectorises.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

impl Portable {
    #[inline(always)]
    fn map2(a: [f32; 8], b: [f32; 8], f: impl Fn(f32, f32) -> f32) -> [f32; 8] {
        std::array::from_fn(|i| f(a[i], b[i]))
    }
}

impl Simd for Portable {
    type V = [f32; 8];
    const LANES: usize = 8;
    const REGISTERS: usize = 8;

    #[inline(always)]
    fn splat(self, value: f32) -> Self::V {
        [value; 8]
    }
    #[inline(always)]
    fn load(self, values: &[f32]) -> Self::V {
        *values.first_chunk().expect("a whole vector")
    }
    #[inline(always)]
    fn store(self, vector: Self::V, out: &mut [f32]) {
        *out.first_chunk_mut().expect("a whole vector") = vector;
    }
    #[inline(always)]
    fn write(self, vector: Self::V, out: &mut [MaybeUninit<f32>]) {
        *out.first_chunk_mut().expect("a whole vector") = vector.map(MaybeUninit::new);
    }
    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        Self::map2(a, b, |a, b| a + b)
    }
    #[inline(always)]
    fn sub(self, a: Self::V, b: Self::V) -> Self::V {
        Self::map2(a, b, |a, b| a - b)
    }
    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        Self::map2(a, b, |a, b| a * b)
    }
    #[inline(always)]
    fn div(self, a: Self::V, b: Self::V) -> Self::V {
        Self::map2(a, b, |a, b| a / b)
    }
    #[inline(always)]
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        // Not `f32::mul_add`, which calls a slow function if there are no FMA instructions.
        std::array::from_fn(|i| a[i] * b[i] + c[i])
    }
    #[inline(always)]
    fn min(self, a: Self::V, b: Self::V) -> Self::V {
        Self::map2(a, b, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    fn max(self, a: Self::V, b: Self::V) -> Self::V {
        Self::map2(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn sqrt(self, a: Self::V) -> Self::V {
        a.map(f32::sqrt)
    }
    #[inline(always)]
    fn select_greater(self, a: Self::V, b: Self::V, then: Self::V, otherwise: Self::V) -> Self::V {
        std::array::from_fn(|i| if a[i] > b[i] { then[i] } else { otherwise[i] })
    }
    #[inline(never)]
    fn apart(self, part: impl Part<Self>) {
        part.run(self);
    }
    #[inline(always)]
    fn prefetch(self, _values: &[f32], _at: usize) {}
    #[inline(always)]
    fn prefetch_far(self, _values: &[f32], _at: usize) {}
    #[inline(always)]
    fn pin(self, vector: Self::V) -> Self::V {
        vector
    }
    #[inline(always)]
    fn transpose(self, square: &mut [Self::V; 16]) {
        let rows = *square;
        for (column, vector) in square.iter_mut().enumerate().take(8) {
            *vector = std::array::from_fn(|row| rows[row][column]);
        }
    }
    #[inline(always)]
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole numbers within the range of exponents"
    )]
    fn power_of_two(self, n: Self::V) -> Self::V {
        n.map(|n| f32::from_bits(((n as i32 + 127) << 23) as u32))
    }
    #[inline(always)]
    fn sum(self, a: Self::V) -> f32 {
        ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7]))
    }
}
