//! Repairing the end of PNG files.
//!
//! The decoder reads a file up to its last chunk and checks all checksums. Pillow needs neither the last
//! chunk nor the checksums of the pixels, which have one of their own.

use std::io::{Read, Seek};

use flate2::Crc;

/// The first bytes of a file.
const SIGNATURE: [u8; 8] = *b"\x89PNG\r\n\x1a\n";

pub(super) fn is_png(start: [u8; 8]) -> bool {
    start == SIGNATURE
}

/// The file with new checksums of the pixels and a new end; `None` if it is cut elsewhere, or has more
/// bytes than pixels can need.
pub(super) fn repaired(data: &mut (impl Read + Seek), max_pixels: u64) -> Option<Vec<u8>> {
    // Signature, length and name of the header, width and height.
    let mut file = vec![0; 24];
    data.read_exact(&mut file).ok()?;
    let side = |at: usize| {
        let bytes = file.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map(|bytes| u64::from(u32::from_be_bytes(bytes)))
    };
    let pixels = side(16)?.checked_mul(side(20)?)?.min(max_pixels);
    // 8 bytes per pixel at most, and as much again for everything else.
    let most = pixels.saturating_mul(16).saturating_add(1 << 20);
    data.take(most).read_to_end(&mut file).ok()?;
    if file.len() as u64 > most {
        return None;
    }
    let mut whole = SIGNATURE.to_vec();
    let mut rest = file.get(SIGNATURE.len()..)?;
    let mut has_pixels = false;
    while let Some((head, tail)) = rest.split_first_chunk::<8>() {
        let [a, b, c, d, name @ ..] = *head;
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if name == *b"IEND" || tail.len() < length {
            break;
        }
        let (body, after) = tail.split_at(length);
        whole.extend(head);
        whole.extend(body);
        if name == *b"IDAT" {
            has_pixels = true;
            let mut sum = Crc::new();
            sum.update(&name);
            sum.update(body);
            whole.extend(sum.sum().to_be_bytes());
        } else {
            whole.extend(after.get(..4)?);
        }
        rest = after.get(4..).unwrap_or_default();
    }
    whole.extend(*b"\0\0\0\0IEND\xae\x42\x60\x82");
    has_pixels.then_some(whole)
}
