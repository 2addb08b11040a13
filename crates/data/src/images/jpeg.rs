//! Finding truncated JPEG files, because the decoder fills missing pixels with grey.

use std::io::{self, BufRead, ErrorKind, Read};

/// Whether the file has an end marker (ITU-T T.81, annex B).
///
/// # Errors
///
/// The file cannot be read.
pub(crate) fn is_whole(mut data: impl BufRead) -> io::Result<bool> {
    match to_end_marker(&mut data) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        outcome => outcome.map(|()| true),
    }
}

fn to_end_marker(data: &mut impl BufRead) -> io::Result<()> {
    loop {
        // Compressed data holds 0xff only before 0x00 or a restart marker.
        data.skip_until(0xff)?;
        let marker = loop {
            match byte(data)? {
                0xff => {}
                marker => break marker,
            }
        };
        match marker {
            0xd9 => return Ok(()),
            // Not a marker, or a marker without a length.
            0x00 | 0x01 | 0xd0..=0xd8 => {}
            _ => {
                let length = u16::from_be_bytes([byte(data)?, byte(data)?]);
                let rest = u64::from(length.saturating_sub(2));
                io::copy(&mut data.by_ref().take(rest), &mut io::sink())?;
            }
        }
    }
}

fn byte(data: &mut impl BufRead) -> io::Result<u8> {
    let mut byte = [0];
    data.read_exact(&mut byte)?;
    Ok(byte[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A start marker, a comment that contains the bytes of an end marker, a scan with a stuffed
    /// 0xff and a restart marker, and an end marker.
    const WHOLE: [u8; 19] = [
        0xff, 0xd8, 0xff, 0xfe, 0, 4, 0xff, 0xd9, 0xff, 0xda, 0, 2, 7, 0xff, 0, 0xff, 0xd0, 0xff,
        0xd9,
    ];

    #[test]
    fn only_an_end_marker_outside_other_segments_ends_a_file() {
        assert!(is_whole(&WHOLE[..]).unwrap());
        assert!(is_whole(&[&WHOLE[..], b"what a camera appends"].concat()[..]).unwrap());
        for length in 0..WHOLE.len() {
            assert!(!is_whole(&WHOLE[..length]).unwrap(), "{length}");
        }
    }
}
