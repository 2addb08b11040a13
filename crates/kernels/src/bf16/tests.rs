use std::mem::MaybeUninit;

use burn::tensor::Shape;
use burn::tensor::ops::ConvOptions;

use super::pack::{half, pair};
use super::{Unit, images, multiply, weight_grad};
use crate::conv::geometry::Geometry;
use crate::conv::sampled::Sampled;
use crate::linear::gemm::Start;
use crate::linear::product::Matrix;
use crate::memory::written;

/// Values of 7 bits, which bfloat16 holds exactly: only the order of the sums differs.
#[allow(clippy::cast_precision_loss)]
fn some(len: usize, seed: usize) -> Vec<f32> {
    (0..len)
        .map(|i| ((i * 7919 + seed * 104_729 + i * i % 251) % 127) as f32 / 64.0 - 1.0)
        .collect()
}

fn filled(len: usize, write: impl FnOnce(&mut [MaybeUninit<f32>])) -> Vec<f32> {
    // SAFETY: in tests the buffer is filled with NaN first.
    #[allow(unsafe_code)]
    unsafe {
        written(len, write)
    }
}

#[track_caller]
fn close(found: &[f32], wanted: &[f64], what: &str) {
    assert_eq!(found.len(), wanted.len());
    for (at, (found, wanted)) in found.iter().zip(wanted).enumerate() {
        let apart = (f64::from(*found) - wanted).abs();
        assert!(
            apart < 1e-4 * wanted.abs().max(1.0),
            "{what}: {found} instead of {wanted} at {at}"
        );
    }
}

#[test]
fn values_are_rounded_to_nearest_and_ties_to_even() {
    // Between 1 and 1 + 2⁻⁷ there is no other value.
    let step = 0.007_812_5_f32;
    for (value, bits) in [
        (1.0, 0x3f80),
        (1.0 + step * 0.49, 0x3f80),
        (1.0 + step * 0.5, 0x3f80),
        (1.0 + step * 0.51, 0x3f81),
        (1.0 + step * 1.5, 0x3f82),
        (-2.0, 0xc000),
        (f32::MAX, 0x7f80),
        (f32::INFINITY, 0x7f80),
        (f32::NEG_INFINITY, 0xff80),
        (0.0, 0),
    ] {
        assert_eq!(half(value), bits, "{value}");
        assert_eq!(pair(value, 1.0), 0x3f80_0000 | u32::from(bits));
        assert_eq!(pair(1.0, value), 0x3f80 | u32::from(bits) << 16);
    }
    // The smallest NaN, whose upper half is that of infinity.
    let nan = half(f32::from_bits(0x7f80_0001));
    assert!(f32::from_bits(u32::from(nan) << 16).is_nan());
}

#[test]
fn products_are_those_of_their_sums() {
    for unit in Unit::all() {
        for [rows, inner, columns] in [
            [16, 16, 16],
            [1, 1, 1],
            [33, 70, 17],
            [64, 32, 96],
            [100, 300, 31],
            [40, 0, 20],
        ] {
            let (a, b) = (some(rows * inner, 1), some(inner * columns, 2));
            let row = some(columns, 3);
            let before = some(rows * columns, 4);
            for turned in [[false, false], [true, false], [false, true], [true, true]] {
                let matrix = |values, [rows, columns]: [usize; 2], turned| {
                    if turned {
                        Matrix::new(values, [columns, rows]).transposed()
                    } else {
                        Matrix::new(values, [rows, columns])
                    }
                };
                let left = matrix(&a, [rows, inner], turned[0]);
                let right = matrix(&b, [inner, columns], turned[1]);
                let sum = |at: usize| -> f64 {
                    let (row, column) = (at / columns, at % columns);
                    (0..inner)
                        .map(|i| f64::from(left.get(row, i)) * f64::from(right.get(i, column)))
                        .sum()
                };
                for (start, added) in [
                    (Start::Zero, None),
                    (Start::Row(&row), Some(0)),
                    (Start::Written, Some(1)),
                ] {
                    let wanted: Vec<f64> = (0..rows * columns)
                        .map(|at| {
                            let first = match added {
                                None => 0.0,
                                Some(0) => row[at % columns],
                                Some(_) => before[at],
                            };
                            f64::from(first) + sum(at)
                        })
                        .collect();
                    for parallel in [false, true] {
                        let found = filled(rows * columns, |out| {
                            if let Start::Written = start {
                                out.write_copy_of_slice(&before);
                            }
                            multiply(unit, (left, right), start, out, parallel);
                        });
                        let what = format!("{unit:?} {rows}x{inner}x{columns} {turned:?}");
                        close(&found, &wanted, &what);
                    }
                }
            }
        }
    }
}

#[test]
fn a_product_of_many_parts_adds_them() {
    // More than one part of the inner size: 2 · 32 rows and columns, 4 M values at a time.
    let (rows, inner) = (32, 1 << 17);
    let (a, b) = (some(rows * inner, 1), vec![1.0; inner * rows]);
    let wanted: Vec<f64> = (0..rows * rows)
        .map(|at| {
            let row = &a[at / rows * inner..][..inner];
            row.iter().map(|value| f64::from(*value)).sum()
        })
        .collect();
    for unit in Unit::all() {
        let found = filled(rows * rows, |out| {
            let (left, right) = (
                Matrix::new(&a, [rows, inner]),
                Matrix::new(&b, [inner, rows]),
            );
            multiply(unit, (left, right), Start::Zero, out, true);
        });
        close(&found, &wanted, &format!("{unit:?}"));
    }
}

/// Calls `with` for each pair of input and output value that a weight connects.
#[allow(clippy::similar_names)]
fn each(g: &Geometry, mut with: impl FnMut(usize, usize, usize)) {
    let [height, width] = g.output;
    for image in 0..g.batch {
        for out in 0..g.channels_out {
            let group = out / g.group_out();
            for channel in 0..g.group_in() {
                for element in 0..g.taps() {
                    for pixel in 0..height * width {
                        let place = |axis: usize, pixel: usize, element: usize| {
                            (pixel * g.stride[axis] + element * g.dilation[axis])
                                .checked_sub(g.padding[axis])
                                .filter(|place| *place < g.input[axis])
                        };
                        let row = place(0, pixel / width, element / g.kernel[1]);
                        let column = place(1, pixel % width, element % g.kernel[1]);
                        if let (Some(row), Some(column)) = (row, column) {
                            let from = image * g.channels_in + group * g.group_in() + channel;
                            with(
                                (from * g.input[0] + row) * g.input[1] + column,
                                (out * g.group_in() + channel) * g.taps() + element,
                                (image * g.channels_out + out) * height * width + pixel,
                            );
                        }
                    }
                }
            }
        }
    }
}

fn geometry(
    batch: usize,
    [channels_in, channels_out, groups]: [usize; 3],
    input: [usize; 2],
    kernel: [usize; 2],
    [stride, padding, dilation]: [usize; 3],
) -> Geometry {
    let [[height, width], [rows, columns]] = [input, kernel];
    let input = Shape::new([batch, channels_in, height, width]);
    let weight = Shape::new([channels_out, channels_in / groups, rows, columns]);
    let options = ConvOptions::new([stride; 2], [padding; 2], [dilation; 2], groups);
    Geometry::new(&input, &weight, &options).unwrap()
}

#[test]
fn convolutions_and_their_gradients_are_those_of_their_sums() {
    for g in [
        geometry(2, [16, 16, 1], [7, 9], [3, 3], [1, 1, 1]),
        geometry(3, [17, 33, 1], [8, 8], [1, 1], [1, 0, 1]),
        geometry(2, [32, 40, 1], [9, 7], [3, 3], [2, 1, 1]),
        geometry(5, [20, 16, 1], [4, 4], [1, 1], [2, 0, 1]),
        geometry(1, [36, 34, 2], [10, 12], [3, 3], [1, 2, 2]),
        geometry(2, [16, 18, 1], [11, 13], [5, 2], [3, 1, 1]),
        geometry(7, [64, 48, 1], [2, 2], [3, 3], [1, 1, 1]),
        geometry(2, [16, 16, 1], [9, 9], [2, 2], [2, 0, 1]),
        geometry(1, [16, 16, 1], [40, 37], [7, 7], [1, 3, 1]),
        geometry(1, [16, 16, 1], [3, 3], [1, 1], [1, 2, 1]),
    ] {
        let x = some(g.batch * g.image_in(), 1);
        let w = some(g.channels_out * g.group_in() * g.taps(), 2);
        let dy = some(g.batch * g.image_out(), 3);
        let bias = some(g.channels_out, 4);
        let mut y: Vec<f64> = (0..dy.len())
            .map(|at| f64::from(bias[at / g.pixels_out() % g.channels_out]))
            .collect();
        let (mut dx, mut dw) = (vec![0.0; x.len()], vec![0.0; w.len()]);
        each(&g, |i, j, k| {
            let [x, w, dy] = [x[i], w[j], dy[k]].map(f64::from);
            y[k] += x * w;
            dx[i] += dy * w;
            dw[j] += dy * x;
        });
        for unit in Unit::all() {
            let what = |pass: &str| format!("{pass} of {g:?} with {unit:?}");
            let found = filled(y.len(), |out| {
                images(unit, &Sampled::forward(&g), &x, &w, Some(&bias), out);
            });
            close(&found, &y, &what("forward"));
            let found = filled(dx.len(), |out| {
                images(unit, &Sampled::input_grad(&g), &dy, &w, None, out);
            });
            close(&found, &dx, &what("gradient of the input"));
            let found = filled(dw.len(), |out| weight_grad(unit, &g, &x, &dy, out));
            close(&found, &dw, &what("gradient of the weight"));
        }
    }
}

/// What was computed before must not be seen: buffers are reused.
#[test]
fn values_that_are_not_numbers_stay_in_their_product() {
    let g = geometry(1, [16, 16, 1], [6, 6], [3, 3], [1, 1, 1]);
    let w = some(16 * 16 * 9, 2);
    let good = some(g.image_in(), 1);
    let bad = vec![f32::NAN; 4 * g.image_in()];
    for unit in Unit::all() {
        let many = Geometry { batch: 4, ..g };
        let grads = filled(w.len(), |out| weight_grad(unit, &many, &bad, &bad, out));
        assert!(grads.iter().all(|value| value.is_nan()));
        let out = filled(bad.len(), |out| {
            images(unit, &Sampled::forward(&many), &bad, &w, None, out);
        });
        assert!(out.iter().all(|value| value.is_nan()));
        let out = filled(good.len(), |out| {
            images(unit, &Sampled::forward(&g), &good, &w, None, out);
        });
        assert!(out.iter().all(|value| value.is_finite()));
        let grads = filled(w.len(), |out| weight_grad(unit, &g, &good, &good, out));
        assert!(grads.iter().all(|value| value.is_finite()));
    }
}
