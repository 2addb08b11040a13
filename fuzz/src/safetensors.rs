//! Safetensors files from a header.

use serde_json::Value;

/// The most bytes of numbers.
const MOST: u64 = 1 << 16;

/// A file with this header, and with as many bytes of numbers as its tensors need. The numbers come from
/// what follows the first zero byte of the input, again and again.
pub fn file(input: &[u8]) -> Vec<u8> {
    let (header, numbers) = split(input);
    let needed = serde_json::from_slice(header)
        .ok()
        .map(|header| end(&header));
    let needed = needed.filter(|needed| *needed <= MOST).unwrap_or(0);
    let numbers = if numbers.is_empty() {
        &[0][..]
    } else {
        numbers
    };
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header);
    file.extend(numbers.iter().cycle().zip(0..needed).map(|(byte, _)| byte));
    file
}

/// What is before the first zero byte, which JSON has nowhere, and what is after it.
pub fn split(input: &[u8]) -> (&[u8], &[u8]) {
    let end = input.iter().position(|byte| *byte == 0);
    match end.and_then(|end| input.split_at_checked(end)) {
        Some((first, rest)) => (first, &rest[1..]),
        None => (input, &[]),
    }
}

/// One past the last byte of the tensors.
fn end(header: &Value) -> u64 {
    let entries = header.as_object().into_iter().flatten();
    let ends = entries.filter_map(|(_, entry)| entry.get("data_offsets")?.get(1)?.as_u64());
    ends.max().unwrap_or(0)
}
