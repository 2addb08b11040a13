//! Images.

use std::io::Cursor;

use image::{ImageFormat, Rgb, RgbImage};

use crate::bytes::{damaged, strangers};
use crate::case::Case;

const FORMATS: [(&str, ImageFormat); 6] = [
    ("png", ImageFormat::Png),
    ("jpg", ImageFormat::Jpeg),
    ("gif", ImageFormat::Gif),
    ("bmp", ImageFormat::Bmp),
    ("tif", ImageFormat::Tiff),
    ("webp", ImageFormat::WebP),
];

fn picture(format: ImageFormat) -> Vec<u8> {
    let picture = RgbImage::from_fn(24, 20, |x, y| Rgb([(x * 9) as u8, (y * 11) as u8, 77]));
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// Pictures that claim to be huge, with their size in the header replaced.
fn huge() -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    let sizes = [
        (0x7fff_ffff, 0x7fff_ffff),
        (100_000, 100_000),
        (1, 99_000_000),
        (99_000_000, 1),
        (0, 5),
    ];
    for (width, height) in sizes {
        let (width, height): (u32, u32) = (width, height);
        let mut png = picture(ImageFormat::Png);
        png[16..20].copy_from_slice(&width.to_be_bytes());
        png[20..24].copy_from_slice(&height.to_be_bytes());
        // With the right checksum, so that the decoder believes it.
        let crc = crc32(&png[12..29]);
        png[29..33].copy_from_slice(&crc.to_be_bytes());
        all.push((format!("{width}x{height}.png"), png));
        let mut bmp = picture(ImageFormat::Bmp);
        bmp[18..22].copy_from_slice(&width.to_le_bytes());
        bmp[22..26].copy_from_slice(&height.to_le_bytes());
        all.push((format!("{width}x{height}.bmp"), bmp));
        let mut tiff = picture(ImageFormat::Tiff);
        for at in 0..tiff.len().saturating_sub(12) {
            // ImageWidth and ImageLength, as LONG or SHORT.
            let tag = u16::from_le_bytes([tiff[at], tiff[at + 1]]);
            let kind = u16::from_le_bytes([tiff[at + 2], tiff[at + 3]]);
            let count = u32::from_le_bytes(tiff[at + 4..at + 8].try_into().unwrap());
            if count == 1 && (kind == 3 || kind == 4) && (tag == 256 || tag == 257 || tag == 278) {
                let value = if tag == 256 { width } else { height };
                tiff[at + 2..at + 4].copy_from_slice(&4_u16.to_le_bytes());
                tiff[at + 8..at + 12].copy_from_slice(&value.to_le_bytes());
            }
        }
        all.push((format!("{width}x{height}.tif"), tiff));
    }
    for side in [0, 0xffff_u16] {
        let mut gif = picture(ImageFormat::Gif);
        gif[6..8].copy_from_slice(&side.to_le_bytes());
        gif[8..10].copy_from_slice(&side.to_le_bytes());
        all.push((format!("{side}x{side}.gif"), gif));
        let mut jpeg = picture(ImageFormat::Jpeg);
        let frame = jpeg
            .windows(2)
            .position(|pair| pair == [0xff, 0xc0])
            .unwrap();
        jpeg[frame + 5..frame + 7].copy_from_slice(&side.to_be_bytes());
        jpeg[frame + 7..frame + 9].copy_from_slice(&side.to_be_bytes());
        all.push((format!("{side}x{side}.jpg"), jpeg));
    }
    all
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = !0_u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ 0xedb8_8320
            } else {
                crc >> 1
            };
        }
    }
    !crc
}

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut train = |name: String, file: String, bytes: Vec<u8>| {
        let case = Case::new(name, "train --data data --epochs 1 --out out --ui none").with_data();
        cases.push(case.file(format!("data/train/red/{file}"), bytes));
    };
    for (ending, format) in FORMATS {
        for (how, bytes) in damaged(&picture(format)) {
            train(
                format!("image-{ending}-{how}"),
                format!("x.{ending}"),
                bytes,
            );
        }
    }
    for (how, bytes) in strangers() {
        train(format!("image-{how}"), "x.png".to_owned(), bytes);
    }
    for (file, bytes) in huge() {
        train(format!("image-{file}"), file, bytes);
    }
    let png = picture(ImageFormat::Png);
    train(
        "image-escape".to_owned(),
        "\u{1b}[31m\u{7}\n\u{202e}x.png".to_owned(),
        b"no".to_vec(),
    );
    train(
        "image-long-name".to_owned(),
        format!("{}.png", "x".repeat(250)),
        b"no".to_vec(),
    );
    train(
        "image-other-ending".to_owned(),
        "x.webp".to_owned(),
        png.clone(),
    );

    let check = || Case::new("", "data check data").with_data();
    let named = |name: &str, case: Case| case.named(name);
    cases.push(named("image-pipe", check().pipe("data/train/red/x.png")));
    cases.push(named(
        "image-device",
        check().link("data/train/red/x.png", "/dev/zero"),
    ));
    cases.push(named(
        "image-folder",
        check().folder("data/train/red/x.png"),
    ));
    cases.push(named(
        "image-link-to-itself",
        check().link("data/train/red/x.png", "x.png"),
    ));
    cases.push(named(
        "image-link-to-above",
        check().link("data/train/red/up", ".."),
    ));
    cases.push(named(
        "image-none",
        check().link("data/train/red/x.png", "none.png"),
    ));
    let escape = "data/train/red/\u{1b}[31m\u{9b}2J\n.png";
    cases.push(named("check-escape", check().file(escape, png.clone())));
    let many = (0..2000).fold(check(), |case, class| {
        case.file(format!("data/train/{class}/0.png"), png.clone())
            .file(format!("data/test/{class}/0.png"), png.clone())
    });
    cases.push(named("check-2000-classes", many));
    let empty = (0..20_000).fold(check(), |case, class| {
        case.folder(format!("data/train/{class}"))
    });
    cases.push(named("check-20000-empty-classes", empty));
    let class = "data/train/\u{1b}]0;title\u{7}/0.png";
    cases.push(named("class-escape", check().file(class, png)));
    cases
}
