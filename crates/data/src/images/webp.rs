//! Checks of `WebP` files before they are decoded: the decoder believes the sizes of frames and of
//! metadata that a file claims, and compares them with the canvas and the file afterwards.

use std::io::{self, Read, Seek, SeekFrom};

/// Bytes of an animation's frame before the chunks of its image.
const FRAME: u64 = 16;

/// What is wrong with a file that has a canvas (the extended format): a frame that is larger than the
/// canvas, or metadata beyond the end of the file.
pub(super) fn problem(data: &mut (impl Read + Seek)) -> Option<String> {
    let length = data.seek(SeekFrom::End(0)).ok()?;
    data.rewind().ok()?;
    let (canvas, first) = start(data).ok()??;
    // If the file ends early, the decoder says so.
    chunks(data, first, length, canvas).ok()?
}

/// Width and height of the canvas, and where the next chunk begins; `None` for other formats.
fn start(data: &mut impl Read) -> io::Result<Option<([u32; 2], u64)>> {
    let mut start = [0; 30];
    data.read_exact(&mut start)?;
    let extended = start.starts_with(b"RIFF") && start[8..16] == *b"WEBPVP8X";
    let side = |at: usize| u32::from_le_bytes([start[at], start[at + 1], start[at + 2], 0]) + 1;
    let header = u64::from(u32::from_le_bytes([
        start[16], start[17], start[18], start[19],
    ]));
    Ok(extended.then(|| ([side(24), side(27)], 20 + header + header % 2)))
}

/// Looks at the chunks from one place of the file to another.
fn chunks(
    data: &mut (impl Read + Seek),
    mut next: u64,
    end: u64,
    canvas: [u32; 2],
) -> io::Result<Option<String>> {
    while next < end {
        data.seek(SeekFrom::Start(next))?;
        let mut head = [0; 8];
        data.read_exact(&mut head)?;
        let [a, b, c, d, size @ ..] = head;
        let name = [a, b, c, d];
        let size = u64::from(u32::from_le_bytes(size));
        let start = next + 8;
        next = start + size + size % 2;
        let problem = match &name {
            b"VP8 " => frame(data, canvas)?,
            b"ANMF" => chunks(data, start + FRAME, next.min(end), canvas)?,
            b"EXIF" | b"ICCP" | b"XMP " if start + size > end => {
                Some("its metadata is truncated".to_owned())
            }
            _ => None,
        };
        if problem.is_some() {
            return Ok(problem);
        }
    }
    Ok(None)
}

/// Compares the size of a frame (RFC 6386, section 9.1) with that of the canvas.
fn frame(data: &mut impl Read, canvas: [u32; 2]) -> io::Result<Option<String>> {
    let mut header = [0; 10];
    data.read_exact(&mut header)?;
    let side = |at: usize| u32::from(u16::from_le_bytes([header[at], header[at + 1]]) & 0x3fff);
    let [width, height] = [side(6), side(8)];
    let larger = width > canvas[0] || height > canvas[1];
    Ok(larger.then(|| format!("a frame of {width}×{height} pixels is larger than the image")))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    /// A file with a canvas of 20×10 pixels and these chunks.
    fn file(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
        let canvas = [0, 0, 0, 0, 19, 0, 0, 9, 0, 0];
        let mut file = b"RIFF\0\0\0\0WEBP".to_vec();
        for (name, bytes) in [(b"VP8X", &canvas[..])].iter().chain(chunks) {
            file.extend(*name);
            file.extend(u32::try_from(bytes.len()).unwrap().to_le_bytes());
            file.extend(*bytes);
            file.resize(file.len().next_multiple_of(2), 0);
        }
        file
    }

    fn problem(file: &[u8]) -> Option<String> {
        super::problem(&mut Cursor::new(file))
    }

    #[test]
    fn frames_are_within_the_canvas() {
        let frame = |width: u8, height: u8| [0, 0, 0, 0x9d, 1, 0x2a, width, 0, height, 0];
        assert_eq!(
            problem(&file(&[(b"ICCP", b"odd"), (b"VP8 ", &frame(20, 10))])),
            None
        );
        let larger = Some("a frame of 21×10 pixels is larger than the image".to_owned());
        assert_eq!(
            problem(&file(&[(b"EXIF", b"odd"), (b"VP8 ", &frame(21, 10))])),
            larger
        );
        let inner = &file(&[(b"ALPH", b"odd"), (b"VP8 ", &frame(21, 10))])[30..];
        let animation = [&[0; 16], inner].concat();
        assert_eq!(
            problem(&file(&[(b"ANIM", &[0; 6]), (b"ANMF", &animation)])),
            larger
        );
    }

    #[test]
    fn metadata_is_within_the_file() {
        let whole = file(&[(b"EXIF", &[0; 100])]);
        assert_eq!(problem(&whole), None);
        let truncated = Some("its metadata is truncated".to_owned());
        assert_eq!(problem(&whole[..whole.len() - 1]), truncated);
        assert_eq!(problem(&whole[..40]), truncated);
        // The decoder says that a file ends early.
        for length in 0..38 {
            assert_eq!(problem(&whole[..length]), None, "{length}");
        }
    }
}
