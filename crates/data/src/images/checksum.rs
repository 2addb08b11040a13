//! A checksum of the bytes of an encoded image, by which one that was overwritten is noticed.

use std::io::{Read, Result, Seek};

use sha2::{Digest, Sha256};

/// The first four bytes of the SHA-256 of all bytes of a file. They are recorded per image, so they
/// are few; one changed image in four billion is not noticed.
pub(super) fn checksum(mut data: impl Read + Seek) -> Result<u32> {
    data.rewind()?;
    let mut hasher = Sha256::new();
    let mut buffer = [0; 16 << 10];
    loop {
        match data.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => hasher.update(&buffer[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let hash = hasher.finalize();
    Ok(u32::from_be_bytes(std::array::from_fn(|index| hash[index])))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn it_is_the_beginning_of_the_sha256_of_all_bytes() {
        let mut data = Cursor::new(b"abc");
        data.set_position(2);
        // FIPS 180-4, appendices B.1 and B.3.
        assert_eq!(checksum(data).unwrap(), 0xba78_16bf);
        assert_eq!(
            checksum(Cursor::new(vec![b'a'; 1_000_000])).unwrap(),
            0xcdc7_6e5c
        );
    }
}
