//! Every kind of encoded image is decoded to 8-bit RGB or gives an error that names the file.

#![allow(clippy::unwrap_used)]

use std::fmt::Write;
use std::io::Cursor;

use finetune_data::{
    DataError, Filter, ImageSet, Images, Preprocess, Sample, Source, embedded_signs,
};
use image::{DynamicImage, ImageBuffer, ImageFormat, Luma, LumaA, Rgb, Rgba};
use proptest::prelude::*;

/// Writes files with these bytes and decodes them.
fn decode(files: &[&[u8]], preprocess: &Preprocess) -> Result<Images, DataError> {
    let folder = tempfile::tempdir().unwrap();
    let samples = files.iter().enumerate().map(|(i, bytes)| {
        // The extension does not determine the format.
        let path = folder.path().join(format!("{i}.jpg"));
        std::fs::write(&path, bytes).unwrap();
        Sample::new(Source::File(path), 0)
    });
    let set = ImageSet {
        classes: vec!["a".to_owned()],
        samples: samples.collect(),
    };
    set.decode(preprocess)
}

/// Decodes an image of this size and returns its bytes, `[height, width, 3]`.
fn pixels(bytes: &[u8], height: usize, width: usize) -> Vec<u8> {
    let preprocess = Preprocess {
        height,
        width,
        ..Preprocess::square(1)
    };
    decode(&[bytes], &preprocess)
        .unwrap()
        .pixels(0)
        .unwrap()
        .into_owned()
}

fn reason(bytes: &[u8], preprocess: &Preprocess) -> String {
    decode(&[bytes], preprocess).unwrap_err().to_string()
}

fn encode(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// Returns 2×3 pixels in six colours; the rows are 1 2, 3 4 and 5 6.
fn colours() -> ImageBuffer<Rgb<u8>, Vec<u8>> {
    ImageBuffer::from_fn(2, 3, |x, y| {
        let number = u8::try_from(2 * y + x).unwrap() + 1;
        Rgb([number, 10 * number, 20 * number])
    })
}

#[test]
fn lossless_formats_are_recognised_by_their_content() {
    for format in [
        ImageFormat::Png,
        ImageFormat::Bmp,
        ImageFormat::Tiff,
        ImageFormat::WebP,
        ImageFormat::Gif,
    ] {
        let bytes = encode(colours(), format);
        assert_eq!(pixels(&bytes, 3, 2), colours().into_raw(), "{format:?}");
    }
}

#[test]
fn grey_and_16_bits_become_8_bit_rgb_and_alpha_is_dropped() {
    let grey = ImageBuffer::from_pixel(1, 1, Luma([77_u8]));
    assert_eq!(pixels(&encode(grey, ImageFormat::Png), 1, 1), [77; 3]);
    // 0x8080 / 257 = 128.
    let deep = ImageBuffer::from_pixel(1, 1, Luma([0x8080_u16]));
    assert_eq!(pixels(&encode(deep, ImageFormat::Png), 1, 1), [128; 3]);
    let deep = ImageBuffer::from_pixel(1, 1, Rgb([0_u16, 0x8080, 0xffff]));
    assert_eq!(pixels(&encode(deep, ImageFormat::Png), 1, 1), [0, 128, 255]);
    // Like PIL's convert("RGB"), keeps the colour of transparent pixels.
    let clear = ImageBuffer::from_pixel(1, 1, Rgba([9_u8, 8, 7, 0]));
    assert_eq!(pixels(&encode(clear, ImageFormat::Png), 1, 1), [9, 8, 7]);
    let clear = ImageBuffer::from_pixel(1, 1, LumaA([9_u8, 0]));
    assert_eq!(pixels(&encode(clear, ImageFormat::Png), 1, 1), [9; 3]);
}

/// Returns a JPEG file with an EXIF orientation; its left half is black and its right half white.
fn turned(orientation: u8) -> Vec<u8> {
    let halves = ImageBuffer::from_fn(32, 16, |x, _| {
        Rgb(if x < 16 { [0_u8; 3] } else { [255; 3] })
    });
    let plain = encode(halves, ImageFormat::Jpeg);
    // "Exif", then a TIFF header and one entry: tag 0x0112, SHORT, one value.
    let mut exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
    let length = u16::try_from(exif.len() + 2).unwrap().to_be_bytes();
    [&plain[..2], &[0xff, 0xe1], &length, &exif, &plain[2..]].concat()
}

#[test]
fn exif_orientation_is_applied() {
    // The black half is on the left for 1, on the right for 3 (half a turn), at the top for 6 (a
    // quarter turn clockwise) and at the bottom for 8.
    let dark = |orientation, height, width, row, column| {
        pixels(&turned(orientation), height, width)[(row * width + column) * 3] < 10
    };
    assert!(dark(1, 16, 32, 8, 4) && !dark(1, 16, 32, 8, 28));
    assert!(dark(3, 16, 32, 8, 28) && !dark(3, 16, 32, 8, 4));
    assert!(dark(6, 32, 16, 4, 8) && !dark(6, 32, 16, 28, 8));
    assert!(dark(8, 32, 16, 28, 8) && !dark(8, 32, 16, 4, 8));
}

/// Returns an 8×8 JPEG file of one CMYK colour as Photoshop writes it: inverted, and without a
/// colour transform.
///
/// Each component is one block with a DC coefficient of `8 · (value - 128)`; all quantisation steps
/// are 1. The twelve DC categories have codes of four bits; the end of a block has the code `0`.
fn cmyk(colour: [u8; 4]) -> Vec<u8> {
    let mut file = vec![0xff, 0xd8];
    let mut segment = |marker: u8, body: &[u8]| {
        let length = u16::try_from(body.len() + 2).unwrap().to_be_bytes();
        file.extend([&[0xff, marker], &length[..], body].concat());
    };
    segment(0xee, b"Adobe\0\x64\0\0\0\0\0");
    segment(0xdb, &[&[0][..], &[1; 64]].concat());
    let components: Vec<u8> = (1..=4).flat_map(|id| [id, 0x11, 0]).collect();
    segment(0xc0, &[&[8, 0, 8, 0, 8, 4][..], &components].concat());
    let categories: Vec<u8> = (0..12).collect();
    let dc_lengths = [0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    segment(0xc4, &[&[0][..], &dc_lengths, &categories].concat());
    let ac_lengths = [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    segment(0xc4, &[&[0x10][..], &ac_lengths, &[0]].concat());
    let scan: Vec<u8> = (1..=4).flat_map(|id| [id, 0]).collect();
    segment(0xda, &[&[4][..], &scan, &[0, 63, 0]].concat());

    let mut bits = String::new();
    for value in colour {
        let dc = 8 * (i32::from(value) - 128);
        let category = 32 - dc.unsigned_abs().leading_zeros();
        write!(bits, "{category:04b}").unwrap();
        if category > 0 {
            // A negative value is stored as the complement of its size.
            let stored = if dc < 0 { dc + (1 << category) - 1 } else { dc };
            write!(bits, "{stored:0width$b}", width = category as usize).unwrap();
        }
        bits += "0";
    }
    while !bits.len().is_multiple_of(8) {
        bits += "1";
    }
    for byte in 0..bits.len() / 8 {
        let byte = u8::from_str_radix(&bits[byte * 8..][..8], 2).unwrap();
        file.push(byte);
        if byte == 0xff {
            file.push(0);
        }
    }
    file.extend([0xff, 0xd9]);
    file
}

#[test]
fn cmyk_becomes_rgb() {
    // No cyan, half magenta, full yellow, no black; then the same with half black:
    // 255 · 128 / 255 = 128, 128 · 128 / 255 = 64.
    let bright = pixels(&cmyk([255, 128, 0, 255]), 8, 8);
    let dark = pixels(&cmyk([255, 128, 0, 128]), 8, 8);
    for (pixels, wanted) in [(bright, [255, 128, 0]), (dark, [128, 64, 0])] {
        for (value, wanted) in pixels.iter().zip(wanted.iter().cycle()) {
            assert!(value.abs_diff(*wanted) <= 1, "{value} for {wanted}");
        }
    }
}

#[test]
fn the_error_names_the_file_and_the_reason() {
    let square = Preprocess::square(2);
    let photograph = match &embedded_signs().train.samples[0].source {
        Source::Memory { bytes, .. } => *bytes,
        _ => unreachable!(),
    };
    let png = encode(colours(), ImageFormat::Png);
    for (bytes, wanted) in [
        (&b""[..], ""),
        (b"this is text", ""),
        (&png[..png.len() / 2], ""),
        // The decoder alone would fill the rest with grey.
        (&photograph[..photograph.len() / 2], "it is truncated"),
        (&photograph[..photograph.len() - 2], "it is truncated"),
    ] {
        let message = reason(bytes, &square);
        assert!(message.starts_with("cannot decode the image "), "{message}");
        assert!(message.contains("0.jpg`: "), "{message}");
        assert!(message.contains(wanted), "{message}");
        assert!(message.ends_with("; replace or remove it"), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
    // The error names the first of several files.
    let message = decode(&[&png, b"x", b"y"], &square).unwrap_err();
    assert!(message.to_string().contains("1.jpg"), "{message}");
}

#[test]
fn large_and_narrow_images_are_rejected_before_they_are_decoded() {
    let few = Preprocess {
        max_pixels: 5,
        ..Preprocess::square(2)
    };
    let message = reason(&encode(colours(), ImageFormat::Png), &few);
    assert!(
        message.ends_with("has 2×3 pixels, more than the limit of 5 in all; reduce it"),
        "{message}"
    );
    // A PNG header with sides of 2^31 - 1 pixels.
    let mut huge = encode(colours(), ImageFormat::Png);
    huge[16..24].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]);
    assert!(decode(&[&huge], &few).is_err());
    let strip = ImageBuffer::from_pixel(1, 2_000_000, Luma([0_u8]));
    let message = reason(&encode(strip, ImageFormat::Png), &Preprocess::square(64));
    assert!(
        message.contains("its sides, 1×2000000, are too unequal for resizing"),
        "{message}"
    );
}

#[test]
fn a_flat_image_stays_flat_with_both_filters() {
    let flat = encode(
        ImageBuffer::from_pixel(50, 37, Rgb([10_u8, 100, 200])),
        ImageFormat::Png,
    );
    for filter in [Filter::Bilinear, Filter::Bicubic] {
        for side in [16, 64] {
            let preprocess = Preprocess {
                filter,
                ..Preprocess::square(side)
            };
            let images = decode(&[&flat], &preprocess).unwrap();
            assert_eq!(images.pixels(0).unwrap().len(), side * side * 3);
            assert!(
                images
                    .pixels(0)
                    .unwrap()
                    .chunks(3)
                    .all(|pixel| pixel == [10, 100, 200])
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn damaged_files_never_panic(
        format in prop::sample::select(vec![
            ImageFormat::Png,
            ImageFormat::Jpeg,
            ImageFormat::Gif,
            ImageFormat::Bmp,
            ImageFormat::Tiff,
            ImageFormat::WebP,
        ]),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        keep in 0.0_f64..1.5,
    ) {
        let mut bytes = encode(
            ImageBuffer::from_fn(20, 16, |x, y| Rgb([x, y, x * y % 256].map(|value| u8::try_from(value).unwrap()))),
            format,
        );
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        bytes.truncate((bytes.len() as f64 * keep) as usize);
        if let Err(error) = decode(&[&bytes], &Preprocess { max_pixels: 10_000, ..Preprocess::square(8) }) {
            prop_assert_eq!(error.to_string().lines().count(), 1);
        }
    }
}
