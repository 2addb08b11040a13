//! Tensors in files of PyTorch.

use super::super::build::{dictionary, storage, tensor, torch, tuple};
use super::Cases;

#[allow(clippy::too_many_lines)] // a table
pub(super) fn add(cases: &mut Cases) {
    let mut wrong = |name: &str, tensor: Vec<u8>, reason: &'static str| {
        cases.wrong(
            &format!("tensor {name}"),
            torch(&dictionary(&[("a", tensor)])),
            reason,
        );
    };
    let sixteen = || storage("0", 16);
    wrong(
        "too long",
        tensor(&sixteen(), 0, &[17], &[1]),
        "that leaves its storage",
    );
    wrong(
        "offset",
        tensor(&sixteen(), 15, &[2], &[1]),
        "that leaves its storage",
    );
    wrong(
        "far offset",
        tensor(&sixteen(), i64::MAX, &[2], &[1]),
        "its pickle has a tensor",
    );
    wrong(
        "strides",
        tensor(&sixteen(), 0, &[2, 2], &[16, 1]),
        "that leaves its storage",
    );
    wrong(
        "stride overflow",
        tensor(&sixteen(), 0, &[3, 2], &[i64::MAX, 1]),
        "too large",
    );
    wrong(
        "shape overflow",
        tensor(&sixteen(), 0, &[1 << 40, 1 << 40], &[0, 0]),
        "too large",
    );
    wrong(
        "zero times huge",
        tensor(&sixteen(), 0, &[0, 1 << 40, 1 << 40], &[0, 0, 0]),
        "too large",
    );
    wrong(
        "negative length",
        tensor(&sixteen(), 0, &[-1], &[1]),
        "without a shape of lengths",
    );
    wrong(
        "negative stride",
        tensor(&sixteen(), 3, &[2], &[-1]),
        "without strides",
    );
    wrong(
        "negative offset",
        tensor(&sixteen(), -1, &[2], &[1]),
        "without an offset",
    );
    wrong(
        "ranks",
        tensor(&sixteen(), 0, &[2, 2], &[1]),
        "with more strides than lengths",
    );
    wrong(
        "repeated",
        tensor(&sixteen(), 0, &[1 << 36], &[0]),
        "out of proportion",
    );
    wrong(
        "axes",
        tensor(&sixteen(), 0, &[1; 65], &[1; 65]),
        "without a shape of lengths",
    );
    wrong(
        "negative storage",
        tensor(&storage("0", -1), 0, &[1], &[1]),
        "without a length",
    );
    wrong(
        "long storage",
        tensor(&storage("0", i64::MAX), 0, &[1 << 40], &[1]),
        "is too large",
    );
    wrong(
        "storage larger than its file",
        tensor(&storage("0", 1 << 20), 0, &[1 << 20], &[1]),
        "its numbers are missing",
    );
    wrong(
        "storage elsewhere",
        tensor(&storage("../../etc/passwd", 16), 0, &[2], &[1]),
        "its numbers are missing",
    );
    wrong(
        "no storage",
        tensor(b"N", 0, &[2], &[1]),
        "not in a storage of torch.save",
    );
    let twice = [
        tensor(&storage("0", 16), 0, &[2], &[1]),
        tensor(&storage("0", 8), 0, &[2], &[1]),
    ];
    wrong(
        "described twice",
        tuple(&twice),
        "describes a storage twice",
    );
    let mut right = |name: &str, tensor: Vec<u8>, values: usize| {
        cases.right(
            &format!("tensor {name}"),
            torch(&dictionary(&[("a", tensor)])),
            values,
        );
    };
    right("scalar", tensor(&sixteen(), 3, &[], &[]), 1);
    right(
        "without values",
        tensor(&sixteen(), 0, &[1 << 40, 0], &[1, 1]),
        0,
    );
    right(
        "repeated a little",
        tensor(&sixteen(), 0, &[1000, 2], &[0, 8]),
        2000,
    );
    right("of the end", tensor(&sixteen(), 15, &[1], &[1000]), 1);
}
