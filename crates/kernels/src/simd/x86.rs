//! Vectors of AVX-512 and AVX2.

use std::arch::x86_64 as arch;
use std::mem::MaybeUninit;

use super::{Kernel, Part, Simd};

/// Proof that the processor supports AVX-512F.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(());

/// Proof that the processor supports AVX2 and FMA.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

impl Avx512 {
    pub(crate) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma"))
        .then_some(Self(()))
    }

    #[inline]
    pub(crate) fn enter<K: Kernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx512f,avx2,fma")]
        fn inner<K: Kernel>(simd: Avx512, kernel: K) -> K::Output {
            kernel.run(simd)
        }
        // SAFETY: `self` exists, so the features were detected.
        unsafe { inner(self, kernel) }
    }
}

impl Avx2 {
    pub(crate) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(Self(()))
    }

    #[inline]
    pub(crate) fn enter<K: Kernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx2,fma")]
        fn inner<K: Kernel>(simd: Avx2, kernel: K) -> K::Output {
            kernel.run(simd)
        }
        // SAFETY: `self` exists, so the features were detected.
        unsafe { inner(self, kernel) }
    }
}

/// Transposes 16 × 16 values.
#[inline]
#[target_feature(enable = "avx512f,avx2,fma")]
fn transpose_512(r: &mut [arch::__m512; 16]) {
    let mut t = *r;
    for i in 0..8 {
        t[2 * i] = arch::_mm512_unpacklo_ps(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = arch::_mm512_unpackhi_ps(r[2 * i], r[2 * i + 1]);
    }
    // Part `p` of `r[4 · i + k]` is column `4 · p + k` of rows `4 · i ..`.
    for i in (0..16).step_by(4) {
        r[i] = arch::_mm512_shuffle_ps::<0x44>(t[i], t[i + 2]);
        r[i + 1] = arch::_mm512_shuffle_ps::<0xEE>(t[i], t[i + 2]);
        r[i + 2] = arch::_mm512_shuffle_ps::<0x44>(t[i + 1], t[i + 3]);
        r[i + 3] = arch::_mm512_shuffle_ps::<0xEE>(t[i + 1], t[i + 3]);
    }
    for k in 0..4 {
        let even_0 = arch::_mm512_shuffle_f32x4::<0x88>(r[k], r[k + 4]);
        let even_1 = arch::_mm512_shuffle_f32x4::<0x88>(r[k + 8], r[k + 12]);
        let odd_0 = arch::_mm512_shuffle_f32x4::<0xDD>(r[k], r[k + 4]);
        let odd_1 = arch::_mm512_shuffle_f32x4::<0xDD>(r[k + 8], r[k + 12]);
        r[k] = arch::_mm512_shuffle_f32x4::<0x88>(even_0, even_1);
        r[k + 4] = arch::_mm512_shuffle_f32x4::<0x88>(odd_0, odd_1);
        r[k + 8] = arch::_mm512_shuffle_f32x4::<0xDD>(even_0, even_1);
        r[k + 12] = arch::_mm512_shuffle_f32x4::<0xDD>(odd_0, odd_1);
    }
}

/// Transposes 8 × 8 values.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn transpose_256(r: &mut [arch::__m256; 16]) {
    let mut t = *r;
    for i in 0..4 {
        t[2 * i] = arch::_mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = arch::_mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]);
    }
    for i in [0, 4] {
        r[i] = arch::_mm256_shuffle_ps::<0x44>(t[i], t[i + 2]);
        r[i + 1] = arch::_mm256_shuffle_ps::<0xEE>(t[i], t[i + 2]);
        r[i + 2] = arch::_mm256_shuffle_ps::<0x44>(t[i + 1], t[i + 3]);
        r[i + 3] = arch::_mm256_shuffle_ps::<0xEE>(t[i + 1], t[i + 3]);
    }
    for k in 0..4 {
        let (low, high) = (r[k], r[k + 4]);
        r[k] = arch::_mm256_permute2f128_ps::<0x20>(low, high);
        r[k + 4] = arch::_mm256_permute2f128_ps::<0x31>(low, high);
    }
}

/// Returns the same vector, computed before later reads from memory.
#[inline]
#[target_feature(enable = "avx512f,avx2,fma")]
fn pin_512(mut v: arch::__m512) -> arch::__m512 {
    // SAFETY: the assembly contains no instruction.
    unsafe {
        std::arch::asm!("/* {0} */", inout(zmm_reg) v, options(nostack, preserves_flags));
    }
    v
}

/// Returns the same vector, computed before later reads from memory.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn pin_256(mut v: arch::__m256) -> arch::__m256 {
    // SAFETY: the assembly contains no instruction.
    unsafe {
        std::arch::asm!("/* {0} */", inout(ymm_reg) v, options(nostack, preserves_flags));
    }
    v
}

/// SAFETY of every `unsafe` below: the token exists, so the processor supports the instructions;
/// loads and stores use a reference to an array as long as the vector and need no alignment.
macro_rules! simd {
    (
        $token:ident, $features:literal, $vector:ident, $lanes:literal, $registers:literal,
        $splat:ident, $load:ident, $store:ident, $add:ident, $sub:ident, $mul:ident,
        $div:ident, $mul_add:ident, $min:ident, $max:ident, $sqrt:ident,
        select: $select:expr, sum: $sum:expr, power_of_two: $power_of_two:expr, transpose: $transpose:expr, pin: $pin:expr
    ) => {
        impl Simd for $token {
            type V = arch::$vector;
            const LANES: usize = $lanes;
            const REGISTERS: usize = $registers;

            #[inline(always)]
            fn splat(self, value: f32) -> Self::V {
                unsafe { arch::$splat(value) }
            }
            #[inline(always)]
            fn load(self, values: &[f32]) -> Self::V {
                let values: &[f32; $lanes] = values.first_chunk().expect("a whole vector");
                unsafe { arch::$load(values.as_ptr()) }
            }
            #[inline(always)]
            fn store(self, vector: Self::V, out: &mut [f32]) {
                let out: &mut [f32; $lanes] = out.first_chunk_mut().expect("a whole vector");
                unsafe { arch::$store(out.as_mut_ptr(), vector) }
            }
            #[inline(always)]
            fn write(self, vector: Self::V, out: &mut [MaybeUninit<f32>]) {
                let out: &mut [MaybeUninit<f32>; $lanes] =
                    out.first_chunk_mut().expect("a whole vector");
                unsafe { arch::$store(out.as_mut_ptr().cast(), vector) }
            }
            #[inline(always)]
            fn add(self, a: Self::V, b: Self::V) -> Self::V {
                unsafe { arch::$add(a, b) }
            }
            #[inline(always)]
            fn sub(self, a: Self::V, b: Self::V) -> Self::V {
                unsafe { arch::$sub(a, b) }
            }
            #[inline(always)]
            fn mul(self, a: Self::V, b: Self::V) -> Self::V {
                unsafe { arch::$mul(a, b) }
            }
            #[inline(always)]
            fn div(self, a: Self::V, b: Self::V) -> Self::V {
                unsafe { arch::$div(a, b) }
            }
            #[inline(always)]
            fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
                unsafe { arch::$mul_add(a, b, c) }
            }
            #[inline(always)]
            fn min(self, a: Self::V, b: Self::V) -> Self::V {
                unsafe { arch::$min(a, b) }
            }
            #[inline(always)]
            fn max(self, a: Self::V, b: Self::V) -> Self::V {
                unsafe { arch::$max(a, b) }
            }
            #[inline(always)]
            fn sqrt(self, a: Self::V) -> Self::V {
                unsafe { arch::$sqrt(a) }
            }
            #[inline(always)]
            fn select_greater(
                self,
                a: Self::V,
                b: Self::V,
                then: Self::V,
                otherwise: Self::V,
            ) -> Self::V {
                unsafe { $select(a, b, then, otherwise) }
            }
            #[inline(always)]
            fn sum(self, a: Self::V) -> f32 {
                unsafe { $sum(a) }
            }
            #[inline(always)]
            fn power_of_two(self, n: Self::V) -> Self::V {
                unsafe { $power_of_two(n) }
            }
            #[inline(always)]
            fn apart(self, part: impl Part<Self>) {
                #[inline(never)]
                #[target_feature(enable = $features)]
                fn inner<P: Part<$token>>(simd: $token, part: P) {
                    part.run(simd);
                }
                unsafe { inner(self, part) }
            }
            #[inline(always)]
            fn prefetch(self, values: &[f32], at: usize) {
                // A prefetch of an address outside of any memory does nothing.
                let line = values.as_ptr().wrapping_add(at).cast();
                unsafe { arch::_mm_prefetch::<{ arch::_MM_HINT_T0 }>(line) }
            }
            #[inline(always)]
            fn prefetch_far(self, values: &[f32], at: usize) {
                if let Some(value) = values.get(at) {
                    let line = std::ptr::from_ref(value).cast();
                    unsafe { arch::_mm_prefetch::<{ arch::_MM_HINT_T1 }>(line) }
                }
            }
            #[inline(always)]
            fn pin(self, vector: Self::V) -> Self::V {
                unsafe { $pin(vector) }
            }
            #[inline(always)]
            fn transpose(self, square: &mut [Self::V; 16]) {
                unsafe { $transpose(square) }
            }
        }
    };
}

simd!(
    Avx512, "avx512f,avx2,fma", __m512, 16, 32,
    _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_add_ps, _mm512_sub_ps,
    _mm512_mul_ps, _mm512_div_ps, _mm512_fmadd_ps, _mm512_min_ps, _mm512_max_ps,
    _mm512_sqrt_ps,
    select: |a, b, then, otherwise| arch::_mm512_mask_blend_ps(
        arch::_mm512_cmp_ps_mask::<{ arch::_CMP_GT_OQ }>(a, b),
        otherwise,
        then,
    ),
    sum: |a| arch::_mm512_reduce_add_ps(a),
    power_of_two: |n| {
        let exponent = arch::_mm512_add_epi32(arch::_mm512_cvtps_epi32(n), arch::_mm512_set1_epi32(127));
        arch::_mm512_castsi512_ps(arch::_mm512_slli_epi32::<23>(exponent))
    },
    transpose: transpose_512, pin: pin_512
);

simd!(
    Avx2, "avx2,fma", __m256, 8, 16,
    _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_add_ps, _mm256_sub_ps,
    _mm256_mul_ps, _mm256_div_ps, _mm256_fmadd_ps, _mm256_min_ps, _mm256_max_ps,
    _mm256_sqrt_ps,
    select: |a, b, then, otherwise| arch::_mm256_blendv_ps(
        otherwise,
        then,
        arch::_mm256_cmp_ps::<{ arch::_CMP_GT_OQ }>(a, b),
    ),
    sum: |a| {
        let four = arch::_mm_add_ps(
            arch::_mm256_castps256_ps128(a),
            arch::_mm256_extractf128_ps::<1>(a),
        );
        let two = arch::_mm_add_ps(four, arch::_mm_movehl_ps(four, four));
        arch::_mm_cvtss_f32(arch::_mm_add_ss(two, arch::_mm_shuffle_ps::<1>(two, two)))
    },
    power_of_two: |n| {
        let exponent = arch::_mm256_add_epi32(arch::_mm256_cvtps_epi32(n), arch::_mm256_set1_epi32(127));
        arch::_mm256_castsi256_ps(arch::_mm256_slli_epi32::<23>(exponent))
    },
    transpose: transpose_256, pin: pin_256
);
