//! Finding truncated JPEG files, because the decoder fills missing pixels with grey.

use std::io::{self, BufRead, ErrorKind, Read, Seek, SeekFrom};

/// Whether the file has an end marker (ITU-T T.81, annex B), or zeros in its place.
///
/// Files that were copied in blocks end with zeros. Of a baseline file all pixels are decoded before
/// they are met, and Pillow reads it; of a progressive file it cannot be known.
///
/// # Errors
///
/// The file cannot be read.
pub(crate) fn is_whole(mut data: impl BufRead + Seek) -> io::Result<bool> {
    let mut baseline = false;
    match to_end_marker(&mut data, &mut baseline) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
            Ok(baseline && ends_with_zeros(&mut data)?)
        }
        outcome => outcome.map(|()| true),
    }
}

/// Fewest zeros that stand for an end marker: the decoder must not need what would follow them.
const ZEROS: u8 = 16;

fn ends_with_zeros(data: &mut (impl BufRead + Seek)) -> io::Result<bool> {
    let mut end = [1; ZEROS as usize];
    data.seek(SeekFrom::End(-i64::from(ZEROS)))?;
    data.read_exact(&mut end)?;
    Ok(end == [0; ZEROS as usize])
}

fn to_end_marker(data: &mut impl BufRead, baseline: &mut bool) -> io::Result<()> {
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
                // The frames of sequential files (SOF0 and SOF1).
                *baseline |= matches!(marker, 0xc0 | 0xc1);
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
    use std::io::Cursor;

    /// A start marker, a comment that contains the bytes of an end marker, a scan with a stuffed
    /// 0xff and a restart marker, and an end marker.
    const WHOLE: [u8; 19] = [
        0xff, 0xd8, 0xff, 0xfe, 0, 4, 0xff, 0xd9, 0xff, 0xda, 0, 2, 7, 0xff, 0, 0xff, 0xd0, 0xff,
        0xd9,
    ];

    #[test]
    fn only_an_end_marker_outside_other_segments_ends_a_file() {
        let is_whole = |bytes: &[u8]| super::is_whole(Cursor::new(bytes)).unwrap();
        assert!(is_whole(&WHOLE));
        assert!(is_whole(&[&WHOLE[..], b"what a camera appends"].concat()));
        for length in 0..WHOLE.len() {
            assert!(!is_whole(&WHOLE[..length]), "{length}");
        }
    }

    #[test]
    fn zeros_end_a_baseline_file() {
        let is_whole = |bytes: &[u8]| super::is_whole(Cursor::new(bytes)).unwrap();
        let file = |frame: u8, zeros: usize| {
            [
                &WHOLE[..2],
                &[0xff, frame, 0, 2],
                &WHOLE[8..17],
                &vec![0; zeros],
            ]
            .concat()
        };
        assert!(is_whole(&file(0xc0, 16)));
        assert!(!is_whole(&file(0xc0, 15)));
        assert!(!is_whole(&file(0xc2, 16)));
    }
}
