//! Precision, and independence of the number of threads.

use proptest::prelude::*;
use rayon::ThreadPoolBuilder;

use super::{Tile, Winograd, weight_grad};
use crate::conv::choose;
use crate::conv::geometry::Geometry;
use crate::conv::tests::{Reference, compare, numbers};
use crate::memory::written;
use crate::simd::Level;

/// Numbers with a normal distribution, of mean 0 and variance 1 approximately: sums of twelve equal
/// distributions.
fn normal(count: usize, seed: u32) -> Vec<f32> {
    let numbers = numbers(12 * count, seed);
    numbers.chunks(12).map(|some| some.iter().sum()).collect()
}

#[derive(Debug, Clone)]
struct Case {
    g: Geometry,
    /// Added to normal inputs.
    mean: f32,
    /// Whether the result is what ReLU passes.
    relu: bool,
}

prop_compose! {
    fn case()(
        batch in 1..4_usize,
        channels in prop_oneof![2 => (1..40_usize, 1..40_usize), 1 => (100..300_usize, 1..20_usize)],
        swapped in any::<bool>(),
        size in (1..15_usize, 1..15_usize),
        padding in (0..3_usize, 0..3_usize),
        after in (0..3_usize, 0..3_usize),
        mean in prop_oneof![Just(0.0_f32), Just(1.0), Just(8.0)],
        relu in any::<bool>(),
    ) -> Case {
        let (channels_in, channels_out) = if swapped {
            (channels.1, channels.0)
        } else {
            channels
        };
        let axis = |size: usize, before: usize, after: usize| {
            let size = size.max(3_usize.saturating_sub(before + after));
            (size, size + before + after - 2)
        };
        let rows = axis(size.0, padding.0, after.0);
        let columns = axis(size.1, padding.1, after.1);
        let g = Geometry {
            batch,
            channels_in,
            channels_out,
            input: [rows.0, columns.0],
            output: [rows.1, columns.1],
            kernel: [3, 3],
            stride: [1, 1],
            padding: [padding.0, padding.1],
            dilation: [1, 1],
            groups: 1,
        };
        Case { g, mean, relu }
    }
}

/// Inputs of a network in training: normal numbers, perhaps after ReLU, and He et al.'s initial
/// weights. [`compare`] permits 10⁻⁵ of the largest result.
fn check(case: &Case) {
    let g = &case.g;
    let mut x = normal(g.batch * g.image_in(), 1);
    for x in &mut x {
        *x += case.mean;
        if case.relu {
            *x = x.max(0.0);
        }
    }
    #[allow(clippy::cast_precision_loss)]
    let scale = (2.0 / (9 * g.channels_in) as f32).sqrt();
    let mut w = normal(g.channels_out * g.channels_in * 9, 2);
    for w in &mut w {
        *w *= scale;
    }
    let bias = normal(g.channels_out, 3);
    let grad = normal(g.batch * g.image_out(), 4);
    let expected = Reference::new(g, &x, &w, &bias, &grad);
    for level in Level::all() {
        for tile in [Tile::Two, Tile::Four] {
            compare("output", &expected.output, |out| {
                Winograd::forward(g).run(tile, level, &x, &w, Some(&bias), out);
            });
            compare("input", &expected.input, |out| {
                Winograd::input_grad(g).run(tile, level, &grad, &w, None, out);
            });
            compare("weight", &expected.weight, |out| {
                weight_grad(tile, level, g, &x, &grad, out);
            });
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn results_are_as_precise_as_direct_sums_of_floats(case in case()) {
        check(&case);
    }
}

/// As in the last layers of ResNet-18, which have the longest sums.
#[test]
fn long_sums_are_precise() {
    let g = Geometry {
        batch: 2,
        channels_in: 512,
        channels_out: 24,
        input: [7, 7],
        output: [7, 7],
        kernel: [3, 3],
        stride: [1, 1],
        padding: [1, 1],
        dilation: [1, 1],
        groups: 1,
    };
    for (mean, relu) in [(0.0, false), (0.0, true), (10.0, true)] {
        check(&Case { g, mean, relu });
        let swapped = Geometry {
            channels_in: 24,
            channels_out: 512,
            ..g
        };
        check(&Case {
            g: swapped,
            mean,
            relu,
        });
    }
}

/// Bits of the output and of both gradients.
#[allow(unsafe_code, reason = "in tests, values that are not written are NaN")]
fn bits(g: &Geometry, tile: Tile, level: Level) -> Vec<u32> {
    let x = numbers(g.batch * g.image_in(), 1);
    let w = numbers(g.channels_out * g.channels_in * 9, 2);
    let grad = numbers(g.batch * g.image_out(), 3);
    // SAFETY: in tests, the buffers are already initialised.
    let mut all = unsafe {
        written(grad.len(), |out| {
            Winograd::forward(g).run(tile, level, &x, &w, None, out);
        })
    };
    // SAFETY: as above.
    all.extend(unsafe {
        written(x.len(), |out| {
            Winograd::input_grad(g).run(tile, level, &grad, &w, None, out);
        })
    });
    // SAFETY: as above.
    all.extend(unsafe { written(w.len(), |out| weight_grad(tile, level, g, &x, &grad, out)) });
    all.into_iter().map(f32::to_bits).collect()
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    // Few channels and many tiles; many channels and few tiles, which are divided among threads
    // differently.
    for (channels, size) in [([20, 37], [17, 30]), ([70, 90], [5, 6])] {
        let g = Geometry {
            batch: 5,
            channels_in: channels[0],
            channels_out: channels[1],
            input: size,
            output: size,
            kernel: [3, 3],
            stride: [1, 1],
            padding: [1, 1],
            dilation: [1, 1],
            groups: 1,
        };
        for level in Level::all() {
            for tile in [Tile::Two, Tile::Four] {
                let with = |threads: usize| {
                    let pool = ThreadPoolBuilder::new().num_threads(threads).build();
                    pool.unwrap().install(|| bits(&g, tile, level))
                };
                let one = with(1);
                for threads in [2, 3, 16] {
                    assert!(with(threads) == one, "{threads} threads");
                }
            }
        }
    }
}

#[test]
fn an_image_gives_the_same_bits_in_any_batch() {
    let g = |batch: usize| Geometry {
        batch,
        channels_in: 40,
        channels_out: 70,
        input: [9, 6],
        output: [9, 6],
        kernel: [3, 3],
        stride: [1, 1],
        padding: [1, 1],
        dilation: [1, 1],
        groups: 1,
    };
    let x = numbers(40 * g(40).image_in(), 1);
    let w = numbers(70 * 40 * 9, 2);
    for level in Level::all() {
        let run = |batch: usize| -> Vec<u32> {
            let g = g(batch);
            let fill = |out: &mut [std::mem::MaybeUninit<f32>]| {
                let x = &x[..batch * g.image_in()];
                choose::forward(level, &g, x, &w, None, out);
            };
            // SAFETY: in tests, the buffer is already initialised.
            #[allow(unsafe_code, reason = "in tests, values that are not written are NaN")]
            let out = unsafe { written(batch * g.image_out(), fill) };
            out.into_iter().map(f32::to_bits).collect()
        };
        let all = run(40);
        for batch in [1, 2, 7, 33] {
            let some = run(batch);
            assert!(some == all[..some.len()], "{batch} images");
        }
    }
}
