//! Files that are no weights files of ours: what they are, and what to do instead.

use std::path::Path;

/// Whether a file is of a known kind that is neither safetensors nor PyTorch, by its first bytes and its
/// name. The answer completes the sentence "it is not a readable weights file: …".
pub(super) fn what_is(start: &[u8], path: &Path) -> Option<String> {
    let text = start.trim_ascii_start();
    let text = text
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(text)
        .trim_ascii_start();
    let begins = |magic: &[u8]| start.starts_with(magic);
    let extension = path
        .extension()
        .unwrap_or_default()
        .to_string_lossy()
        .to_lowercase();
    let what = if start.is_empty() {
        "it is empty"
    } else if text.starts_with(b"version https://git-lfs.github.com/spec/") {
        "it is a Git LFS pointer, not the file that it stands for; get that with `git lfs pull`, or \
         download it by its link"
    } else if is_html(text) {
        "it is an HTML page, as a server sends it in place of a file (an error, or a page to log in); \
         download the file itself"
    } else if begins(b"\x1f\x8b") {
        "it is compressed with gzip; unpack it with `gunzip`, or `tar -xf` if it is a tar archive"
    } else if begins(b"BZh") || begins(b"\xfd7zXZ\0") || begins(b"\x28\xb5\x2f\xfd") {
        "it is compressed (bzip2, xz or zstd); unpack it first"
    } else if begins(b"7z\xbc\xaf\x27\x1c") || begins(b"Rar!") {
        "it is an archive (7z or RAR); unpack it and give the weights file inside"
    } else if start.get(257..262) == Some(b"ustar") || begins(b"./sys_info") || begins(b"sys_info")
    {
        "it is a tar archive; unpack it and give the weights file inside (if PyTorch before 0.1.10 wrote \
         it, load it with torch.load and save it again)"
    } else if begins(b"\x89HDF\r\n\x1a\n") {
        "it is an HDF5 file, as Keras writes it; use PyTorch weights of the network (.pth or \
         .safetensors)"
    } else if start.get(4..8) == Some(b"TFL3") {
        "it is a TensorFlow Lite model, which cannot be trained further; use PyTorch weights of the \
         network (.pth or .safetensors)"
    } else if begins(b"\x93NUMPY") {
        "it is a NumPy array; write the weights with safetensors.torch.save_file(state_dict, FILE)"
    } else if begins(b"GGUF") {
        "it is a GGUF file for language models; use PyTorch weights of the network (.pth or .safetensors)"
    } else if begins(b"\x89PNG") || begins(b"\xff\xd8\xff") || begins(b"GIF8") {
        "it is an image"
    } else if begins(b"%PDF") {
        "it is a PDF document"
    } else if extension == "onnx" || is_onnx(start) {
        "it is an ONNX model, which has no weights by their names in PyTorch; use the .pth or \
         .safetensors file that it was made from"
    } else if matches!(
        extension.as_str(),
        "pb" | "tflite" | "h5" | "hdf5" | "keras" | "msgpack" | "npz"
    ) && !begins(b"PK")
    {
        "it is a file of TensorFlow, Keras, Flax or NumPy; use PyTorch weights of the network (.pth or \
         .safetensors)"
    } else if text.starts_with(b"{") {
        if find(start, b"weight_map") {
            "it is the index of weights in several files, whose name must end in .index.json"
        } else {
            "it is a JSON file; give the weights file that belongs to it"
        }
    } else if is_text(start) {
        "it is a text file; download the weights file itself"
    } else {
        return None;
    };
    Some(what.to_owned())
}

/// What a zip archive is that has no `data.pkl`, by the names of its files.
pub(super) fn archive<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    let ends = |ending: &str| names.iter().find(|name| name.ends_with(ending));
    if ends(".npy").is_some() {
        "it is a NumPy archive (.npz); write the weights with safetensors.torch.save_file(state_dict, FILE)"
            .to_owned()
    } else if ends(".weights.h5").is_some() || ends("keras_metadata.pb").is_some() {
        "it is a Keras model; use PyTorch weights of the network (.pth or .safetensors)".to_owned()
    } else if let Some(inside) = [".safetensors", ".pth", ".pt", ".bin", ".ckpt"]
        .into_iter()
        .find_map(ends)
    {
        format!(
            "it is a zip archive with {} inside; unpack it and give that file",
            finetune_files::quoted(inside)
        )
    } else if names
        .iter()
        .any(|name| name.contains("serialized_exported_program"))
    {
        "it is an exported program (torch.export); save the weights of its model with \
         torch.save(model.state_dict(), FILE)"
            .to_owned()
    } else {
        "it is a zip archive without data.pkl, so it was not written by torch.save".to_owned()
    }
}

fn is_html(text: &[u8]) -> bool {
    let start = text[..text.len().min(64)].to_ascii_lowercase();
    let tags: [&[u8]; 6] = [
        b"<!doctype",
        b"<html",
        b"<head",
        b"<body",
        b"<?xml",
        b"<!--",
    ];
    tags.iter().any(|tag| start.starts_with(tag))
}

/// A model of ONNX begins with the version of its format and names its producer or graph next
/// (`onnx.proto`, `ModelProto`).
fn is_onnx(start: &[u8]) -> bool {
    matches!(start, [0x08, 1..=30, 0x12 | 0x1a | 0x22 | 0x3a | 0x42, ..]) && start.len() > 32
}

/// Whether the bytes are text of printable ASCII characters.
fn is_text(start: &[u8]) -> bool {
    let start = &start[..start.len().min(64)];
    start.len() >= 8
        && start
            .iter()
            .all(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~'))
}

fn find(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|part| part == wanted)
}
