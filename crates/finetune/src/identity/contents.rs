//! Checksums of the files of images, as they are written: eight hexadecimal digits per image, without
//! separators, and eight dots for an image whose file was not read.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serializer};

/// Characters per image.
const DIGITS: usize = 8;

const UNKNOWN: &str = "........";

pub(super) fn serialize<S: Serializer>(
    contents: &[Option<u32>],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let images = contents.iter().map(|checksum| match checksum {
        Some(checksum) => format!("{checksum:08x}"),
        None => UNKNOWN.to_owned(),
    });
    serializer.serialize_str(&images.collect::<String>())
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<Option<u32>>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let (images, rest) = text.as_bytes().as_chunks::<DIGITS>();
    let invalid = || D::Error::custom("the contents of the images are not eight digits each");
    if !rest.is_empty() {
        return Err(invalid());
    }
    let checksum = |digits: &[u8; DIGITS]| {
        if digits == UNKNOWN.as_bytes() {
            return Ok(None);
        }
        let value = digits.iter().try_fold(0, |value, digit| {
            Some(value << 4 | char::from(*digit).to_digit(16)?)
        });
        value.map(Some).ok_or_else(invalid)
    };
    images.iter().map(checksum).collect()
}
