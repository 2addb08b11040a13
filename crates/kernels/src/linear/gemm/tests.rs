use proptest::prelude::*;

use super::*;

fn wave(count: usize, speed: f64) -> Vec<f32> {
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
    let value = |at: usize| ((at as f64 + 1.0) * speed).sin() as f32;
    (0..count).map(value).collect()
}

/// The product in `f64`.
fn exact(left: Matrix<'_>, right: Matrix<'_>, start: impl Fn(usize, usize) -> f32) -> Vec<f64> {
    let mut out = Vec::new();
    for row in 0..left.rows() {
        for column in 0..right.columns() {
            let products = (0..left.columns())
                .map(|k| f64::from(left.get(row, k)) * f64::from(right.get(k, column)));
            out.push(f64::from(start(row, column)) + products.sum::<f64>());
        }
    }
    out
}

#[allow(clippy::cast_precision_loss)]
fn check(level: Level, [rows, inner, columns]: [usize; 3], turned: [bool; 2]) {
    let (a, b) = (wave(rows * inner, 1.37), wave(inner * columns, 2.11));
    let left = if turned[0] {
        Matrix::new(&a, [inner, rows]).transposed()
    } else {
        Matrix::new(&a, [rows, inner])
    };
    let right = if turned[1] {
        Matrix::new(&b, [columns, inner]).transposed()
    } else {
        Matrix::new(&b, [inner, columns])
    };
    let bias = wave(columns, 0.7);
    let before = wave(rows * columns, 0.3);
    let bound = 1e-6 * (inner as f64 + 1.0);
    let near = |found: &[f32], wanted: &[f64], what: &str| {
        for (found, wanted) in found.iter().zip(wanted) {
            assert!(
                (f64::from(*found) - wanted).abs() < bound,
                "{what} {rows}×{inner}×{columns} {turned:?}: {found} instead of {wanted}"
            );
        }
    };
    // SAFETY: all of the result is written.
    #[allow(unsafe_code)]
    let of = |start: Start<'_>, all: bool| unsafe {
        written(rows * columns, |out| {
            if let Start::Written = start {
                out.write_copy_of_slice(&before);
            }
            if all {
                parallel(level, left, right, start, out);
            } else {
                alone(level, left, right, start, out);
            }
        })
    };
    for all in [false, true] {
        near(
            &of(Start::Zero, all),
            &exact(left, right, |_, _| 0.0),
            "zero",
        );
        let wanted = exact(left, right, |_, column| bias[column]);
        near(&of(Start::Row(&bias), all), &wanted, "row");
        let wanted = exact(left, right, |row, column| before[row * columns + column]);
        near(&of(Start::Written, all), &wanted, "written");
    }
    let as_bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
    if inner < LONG {
        assert_eq!(
            as_bits(of(Start::Zero, true)),
            as_bits(of(Start::Zero, false))
        );
    }
}

#[test]
fn products_of_all_orders_agree_with_sums_of_f64() {
    for level in Level::all() {
        for sizes in [
            [1, 1, 1],
            [3, 5, 7],
            [64, 400, 130],
            [13, 193, 49],
            [130, 64, 5],
            [97, 384, 251],
            [5, 0, 7],
            [20, 9000, 40],
        ] {
            for turned in [[false, false], [true, false], [false, true], [true, true]] {
                check(level, sizes, turned);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn products_of_any_size_agree(
        rows in 1_usize..150, inner in 1_usize..220, columns in 1_usize..150,
        turned: [bool; 2],
    ) {
        check(Level::best(), [rows, inner, columns], turned);
    }
}

#[test]
fn a_part_of_a_matrix_can_be_multiplied() {
    let (a, b) = (wave(20 * 30, 1.37), wave(30 * 40, 2.11));
    let left = Matrix::new(&a, [20, 30])
        .some_columns(4, 25)
        .some_rows(3, 9);
    let right = Matrix::new(&b, [30, 40])
        .some_rows(2, 25)
        .some_columns(1, 33);
    let mut out = vec![MaybeUninit::new(0.0); 9 * 33];
    alone(Level::best(), left, right, Start::Zero, &mut out);
    for (found, wanted) in out.iter().zip(exact(left, right, |_, _| 0.0)) {
        // SAFETY: the buffer began with zeros.
        #[allow(unsafe_code)]
        let found = unsafe { found.assume_init() };
        assert!((f64::from(found) - wanted).abs() < 1e-4);
    }
}
