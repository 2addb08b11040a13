//! The instructions that multiply tiles of bfloat16 values.

#![allow(
    unsafe_code,
    reason = "instructions that have no function; bounds are checked before"
)]

/// Rows and columns of a block of sums: two tiles of 16 each way.
pub(super) const BLOCK: usize = 32;

/// Rows of a tile.
pub(super) const TILE: usize = 16;

/// Inner size of a tile.
pub(super) const INNER: usize = 32;

/// Number of steps whose two tiles of one operand (24 KiB) stay in the first-level cache while the tiles of the
/// other operand are read.
const STEPS: usize = 12;

/// What multiplies tiles on this processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Advanced Matrix Extensions: `TDPBF16PS`.
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    Amx,
    /// AVX-512: `VDPBF16PS`.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// Ordinary instructions: exact, and too slow for anything but tests.
    #[cfg(test)]
    Portable,
}

/// One of the operands of a product, in bfloat16. A tile is 16 rows of 32 values.
///
/// In the left operand a row of a tile is 32 values of the inner size of one row of the matrix. In the right
/// operand it is, for each of 16 columns, two values that follow each other in the inner size.
#[derive(Clone, Copy)]
pub(super) struct Operand<'a> {
    pub(super) values: &'a [u16],
    /// Where the first step of each of two tiles begins.
    pub(super) tiles: [usize; 2],
    /// Distance between the rows of a tile.
    pub(super) stride: usize,
}

/// The steps through the inner size, 32 values each.
#[derive(Default)]
pub(super) struct Steps {
    /// How far the tiles of the left and of the right operand of each step are from those of the first, bytes.
    offsets: Vec<[u32; 2]>,
    /// The greatest of each, values.
    reach: [usize; 2],
}

impl Steps {
    /// Steps at these distances from the first tile in the left and in the right operand, values.
    ///
    /// # Panics
    ///
    /// If a distance is 2 GiB or more.
    pub(super) fn new(offsets: impl IntoIterator<Item = [usize; 2]>) -> Self {
        let mut steps = Self::default();
        for offset in offsets {
            steps.reach = [0, 1].map(|i| steps.reach[i].max(offset[i]));
            steps.offsets.push(
                offset
                    .map(|offset| u32::try_from(2 * offset).expect("operands of less than 2 GiB")),
            );
        }
        steps
    }
}

impl Steps {
    /// The same steps, [`STEPS`] at a time.
    pub(super) fn parts(self) -> Vec<Self> {
        let parts = self.offsets.chunks(STEPS).map(|offsets| Self {
            offsets: offsets.to_vec(),
            reach: self.reach,
        });
        parts.collect()
    }
}

impl Operand<'_> {
    /// Whether all steps are within the values.
    fn contains(&self, reach: usize) -> bool {
        let last = (TILE - 1) * self.stride + INNER;
        self.tiles
            .iter()
            .all(|tile| tile + reach + last <= self.values.len())
    }

    /// The address of a tile.
    fn tile(&self, tile: usize) -> *const u16 {
        self.values[self.tiles[tile]..].as_ptr()
    }

    #[cfg(test)]
    fn get(&self, tile: usize, row: usize, offset: u32, at: usize) -> f32 {
        let place = self.tiles[tile] + row * self.stride + offset as usize / 2 + at;
        f32::from_bits(u32::from(self.values[place]) << 16)
    }
}

/// A block of sums `[row][column]`.
pub(super) type Sums = [f32; BLOCK * BLOCK];

impl Unit {
    /// The fastest one that this processor and its operating system have; `None` if there is none, or if
    /// `level` permits no AVX-512.
    #[allow(unused_variables, reason = "other processors have none")]
    pub(crate) fn detect(level: crate::simd::Level) -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as detected;
            if !matches!(level, crate::simd::Level::Avx512(_)) {
                return None;
            }
            #[cfg(target_os = "linux")]
            if has_amx() {
                return Some(Self::Amx);
            }
            if detected!("avx512bf16") {
                return Some(Self::Avx512);
            }
        }
        None
    }

    /// All that this processor has, for tests.
    #[cfg(test)]
    pub(super) fn all() -> Vec<Self> {
        let mut all = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            #[cfg(target_os = "linux")]
            all.extend(has_amx().then_some(Self::Amx));
            all.extend(std::arch::is_x86_feature_detected!("avx512bf16").then_some(Self::Avx512));
        }
        all
    }

    /// Its name, for people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Self::Amx => "AMX",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => "AVX512-BF16",
            #[cfg(test)]
            Self::Portable => "portable",
        }
    }

    /// Prepares this thread for products, until the result is dropped.
    pub(super) fn ready(self) -> Ready {
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        if self == Self::Amx {
            amx::configure();
        }
        Ready {
            unit: self,
            here: std::marker::PhantomData,
        }
    }
}

/// Permission to multiply on this thread.
pub(super) struct Ready {
    unit: Unit,
    /// The preparation is that of one thread.
    here: std::marker::PhantomData<*const ()>,
}

impl Drop for Ready {
    fn drop(&mut self) {
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        if self.unit == Unit::Amx {
            amx::release();
        }
    }
}

impl Ready {
    /// Computes the sums over all steps of two by two tiles, or adds them to `sums`.
    ///
    /// # Panics
    ///
    /// If an operand has too few values.
    pub(super) fn multiply(
        &self,
        steps: &Steps,
        left: Operand<'_>,
        right: Operand<'_>,
        sums: &mut Sums,
        add: bool,
    ) {
        if !add {
            sums.fill(0.0);
        }
        if steps.offsets.is_empty() {
            return;
        }
        assert!(left.contains(steps.reach[0]) && right.contains(steps.reach[1]));
        match self.unit {
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Unit::Amx => amx::multiply(steps, left, right, sums),
            // SAFETY: the unit was detected; the bounds were checked.
            #[cfg(target_arch = "x86_64")]
            Unit::Avx512 => unsafe { avx512::multiply(steps, left, right, sums) },
            #[cfg(test)]
            Unit::Portable => portable(steps, left, right, sums),
        }
    }
}

#[cfg(test)]
fn portable(steps: &Steps, left: Operand<'_>, right: Operand<'_>, sums: &mut Sums) {
    for (at, sum) in sums.iter_mut().enumerate() {
        let (row, column) = (at / BLOCK, at % BLOCK);
        for &[from_left, from_right] in &steps.offsets {
            for inner in 0..INNER {
                let a = left.get(row / TILE, row % TILE, from_left, inner);
                let place = 2 * (column % TILE) + inner % 2;
                let b = right.get(column / TILE, inner / 2, from_right, place);
                *sum += a * b;
            }
        }
    }
}

/// Whether the processor has AMX for bfloat16 and the operating system permits this process to use it.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
fn has_amx() -> bool {
    use std::arch::x86_64::{__cpuid, __cpuid_count};
    use std::sync::LazyLock;

    static HAS: LazyLock<bool> = LazyLock::new(|| {
        let levels = __cpuid(0).eax;
        // Bits 22 and 24 of EDX: AMX-BF16 and AMX-TILE.
        let instructions =
            levels >= 7 && __cpuid_count(7, 0).edx & (1 << 22 | 1 << 24) == 1 << 22 | 1 << 24;
        instructions && std::arch::is_x86_feature_detected!("avx512f") && amx::permitted()
    });
    *HAS
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod amx {
    //! Tiles of AMX. Tile registers hold `[16][64 bytes]`; 0 to 3 are sums, 4 and 5 the left operand, 6 and 7
    //! the right one.

    use std::arch::asm;

    use super::{BLOCK, Operand, Steps, Sums, TILE};

    /// Asks the kernel for the state of the tile registers, which it does not save for a process that has
    /// not asked (`arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA)`).
    pub(super) fn permitted() -> bool {
        const ARCH_PRCTL: i64 = 158;
        const REQUEST: i64 = 0x1023;
        const TILE_DATA: i64 = 18;
        let result: i64;
        // SAFETY: the call changes nothing but the size of the state that is saved for this process.
        unsafe {
            asm!(
                "syscall",
                inlateout("rax") ARCH_PRCTL => result,
                in("rdi") REQUEST,
                in("rsi") TILE_DATA,
                lateout("rcx") _,
                lateout("r11") _,
                options(nostack),
            );
        }
        result == 0
    }

    #[repr(C, align(64))]
    struct Configuration {
        palette: u8,
        start: u8,
        reserved: [u8; 14],
        row_bytes: [u16; 16],
        rows: [u8; 16],
    }

    /// Makes all tiles 16 rows of 64 bytes.
    pub(super) fn configure() {
        let mut configuration = Configuration {
            palette: 1,
            start: 0,
            reserved: [0; 14],
            row_bytes: [0; 16],
            rows: [0; 16],
        };
        configuration.row_bytes[..8].fill(64);
        configuration.rows[..8].fill(16);
        // SAFETY: the processor has tiles, or there would be no such unit.
        unsafe {
            asm!(
                "ldtilecfg [{}]",
                in(reg) &raw const configuration,
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack, preserves_flags, readonly),
            );
        }
    }

    /// Releases the tile registers, so that their 8 KiB are not saved when threads are switched.
    pub(super) fn release() {
        // SAFETY: as above.
        unsafe {
            asm!(
                "tilerelease",
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack, preserves_flags, nomem),
            );
        }
    }

    /// Adds to `sums`; the bounds have been checked, and there is a step.
    pub(super) fn multiply(steps: &Steps, left: Operand<'_>, right: Operand<'_>, sums: &mut Sums) {
        const ROW: usize = 4 * BLOCK;
        // SAFETY: the tiles are configured (`Ready`). All reads are within the operands, and reads and
        // writes of sums within `sums`.
        unsafe {
            asm!(
                "tileloadd tmm0, [{sums} + {row}*1]",
                "tileloadd tmm1, [{sums} + {row}*1 + 64]",
                "tileloadd tmm2, [{sums} + {row}*1 + {lower}]",
                "tileloadd tmm3, [{sums} + {row}*1 + {lower} + 64]",
                "2:",
                "mov {a:e}, dword ptr [{steps}]",
                "mov {b:e}, dword ptr [{steps} + 4]",
                "add {steps}, 8",
                "lea {at}, [{left_0} + {a}]",
                "tileloadd tmm4, [{at} + {left_stride}*1]",
                "lea {at}, [{right_0} + {b}]",
                "tileloadd tmm6, [{at} + {right_stride}*1]",
                "add {b}, {right_1}",
                "add {a}, {left_1}",
                "tileloadd tmm7, [{b} + {right_stride}*1]",
                "tileloadd tmm5, [{a} + {left_stride}*1]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm3, tmm5, tmm7",
                "dec {count}",
                "jnz 2b",
                "tilestored [{sums} + {row}*1], tmm0",
                "tilestored [{sums} + {row}*1 + 64], tmm1",
                "tilestored [{sums} + {row}*1 + {lower}], tmm2",
                "tilestored [{sums} + {row}*1 + {lower} + 64], tmm3",
                sums = in(reg) sums.as_mut_ptr(),
                row = in(reg) ROW,
                lower = const TILE * ROW,
                steps = inout(reg) steps.offsets.as_ptr() => _,
                count = inout(reg) steps.offsets.len() => _,
                left_0 = in(reg) left.tile(0),
                left_1 = in(reg) left.tile(1),
                left_stride = in(reg) 2 * left.stride,
                right_0 = in(reg) right.tile(0),
                right_1 = in(reg) right.tile(1),
                right_stride = in(reg) 2 * right.stride,
                a = out(reg) _,
                b = out(reg) _,
                at = out(reg) _,
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack),
            );
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    //! The same products with vectors.

    use std::arch::x86_64 as arch;

    use super::{BLOCK, Operand, Steps, Sums, TILE};

    /// Rows of sums that stay in registers.
    const ROWS: usize = 8;

    /// Adds to `sums`.
    ///
    /// # Safety
    ///
    /// The bounds have been checked.
    #[target_feature(enable = "avx512f,avx512bf16")]
    pub(super) unsafe fn multiply(
        steps: &Steps,
        left: Operand<'_>,
        right: Operand<'_>,
        sums: &mut Sums,
    ) {
        for (part, sums) in sums.chunks_exact_mut(ROWS * BLOCK).enumerate() {
            let (tile, first) = (part * ROWS / TILE, part * ROWS % TILE);
            let left_at = left.tile(tile);
            let right_at = [right.tile(0), right.tile(1)];
            // SAFETY: all reads are within the operands by the caller's checks; loads may be unaligned.
            unsafe {
                let mut block = [[arch::_mm512_setzero_ps(); 2]; ROWS];
                for (row, sums) in block.iter_mut().zip(sums.chunks_exact(BLOCK)) {
                    *row = [0, TILE].map(|at| arch::_mm512_loadu_ps(sums[at..].as_ptr()));
                }
                for &[a, b] in &steps.offsets {
                    let left_at = left_at.byte_add(a as usize).add(first * left.stride);
                    let right_at = right_at.map(|at| at.byte_add(b as usize));
                    for pair in 0..TILE {
                        let columns = right_at.map(|at| {
                            let row = at.add(pair * right.stride).cast();
                            bits(arch::_mm512_loadu_si512(row))
                        });
                        for (i, row) in block.iter_mut().enumerate() {
                            let at = left_at.add(i * left.stride + 2 * pair);
                            let values = at.cast::<[u8; 4]>().read();
                            let values = arch::_mm512_set1_epi32(i32::from_ne_bytes(values));
                            let values = bits(values);
                            for (sum, columns) in row.iter_mut().zip(columns) {
                                *sum = arch::_mm512_dpbf16_ps(*sum, values, columns);
                            }
                        }
                    }
                }
                for (row, sums) in block.iter().zip(sums.chunks_exact_mut(BLOCK)) {
                    for (vector, sums) in row.iter().zip(sums.chunks_exact_mut(TILE)) {
                        arch::_mm512_storeu_ps(sums.as_mut_ptr(), *vector);
                    }
                }
            }
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bf16")]
    fn bits(vector: arch::__m512i) -> arch::__m512bh {
        // SAFETY: both are 64 bytes.
        unsafe { std::mem::transmute(vector) }
    }
}
