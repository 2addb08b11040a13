//! Files of other formats.

use super::super::build::{Part, archive};
use super::Cases;

pub(super) fn add(cases: &mut Cases) {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n";
    let mut tar = vec![b'a'; 600];
    tar[257..262].copy_from_slice(b"ustar");
    let onnx = [
        &b"\x08\x07\x12\x07pytorch\x1a\x052.0.0:\x80\x01"[..],
        &[1; 64],
    ]
    .concat();
    for (name, bytes, reason) in [
        ("empty", &b""[..], "it is empty"),
        ("page.pth", b"<html>404</html>", "it is an HTML page"),
        (
            "page2.safetensors",
            b"\xef\xbb\xbf\n<!DOCTYPE html><html>",
            "it is an HTML page",
        ),
        ("pointer", pointer.as_bytes(), "it is a Git LFS pointer"),
        (
            "a.gz",
            b"\x1f\x8b\x08\0\0\0\0\0\0\0",
            "it is compressed with gzip",
        ),
        ("a.zst", b"\x28\xb5\x2f\xfd\0\0\0\0\0\0", "it is compressed"),
        ("a.tar", &tar, "it is a tar archive"),
        ("a.h5", b"\x89HDF\r\n\x1a\n\0\0\0", "Keras"),
        ("a.tflite", b"\x1c\0\0\0TFL3\0\0\0", "TensorFlow Lite"),
        ("a.npy", b"\x93NUMPY\x01\0\0\0\0", "NumPy"),
        ("a.onnx", &onnx, "ONNX"),
        ("without ending", &onnx, "ONNX"),
        ("a.json", b"{\"model\": 1}", "it is a JSON file"),
        ("index.json", b"{\"weight_map\": {}}", "several files"),
        ("a.png", b"\x89PNG\r\n\x1a\n\0\0\0", "it is an image"),
        (
            "text",
            b"Not Found, or anything else that is text",
            "it is a text file",
        ),
        ("short", b"\x01\x02\x03", "fewer than 8 bytes"),
    ] {
        cases.wrong(name, bytes.to_vec(), reason);
    }
    let zip = |names: &[&str]| {
        let parts: Vec<_> = names.iter().map(|name| Part::stored(name, b"a")).collect();
        archive(&parts, |_| {})
    };
    for (name, names, reason) in [
        ("a.npz", &["a.npy", "b.npy"][..], "it is a NumPy archive"),
        (
            "a.keras",
            &["config.json", "model.weights.h5"],
            "it is a Keras model",
        ),
        ("a.zip", &["a/model.pth"], "with `a/model.pth` inside"),
        ("other.zip", &["a/b"], "without data.pkl"),
        (
            "script.pt",
            &["m/data.pkl", "m/constants.pkl", "m/code/a.py"],
            "torch.jit.load(FILE).state_dict()",
        ),
        ("no files.zip", &[], "without data.pkl"),
    ] {
        cases.wrong(name, zip(names), reason);
    }
}
