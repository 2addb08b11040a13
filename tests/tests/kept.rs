//! Tests where the command caches features of frozen layers, and what the report says about it.

#![allow(clippy::unwrap_used, missing_docs)]

mod util;

use util::{Folder, line, names};

/// 16 images × 16 maps × 272×272 values × 4 bytes are 72.25 MiB: more than the 64 MiB that are
/// cached in memory by default.
const TRAIN: &str = "train --data data --model resnet8-64 --image-size 544 --epochs 2 --batch-size 8 \
                     --method lora --targets layer2 --ui none";
const SIZE: &str = "72 MiB";

fn kept(folder: &Folder, out: &str) -> String {
    let report = folder.json(&format!("{out}/report.json"));
    let kept = &report["runs"][0]["settings"]["feature cache"];
    kept.as_str().unwrap_or_default().to_owned()
}

#[test]
fn features_cached_in_a_file_or_in_memory_or_not_at_all_give_the_same_adapter() {
    let folder = Folder::colors();
    let below = format!("all below `layer2.0` computed once, {SIZE}");
    let cases = [
        ("auto", format!("{below} in a file")),
        ("memory", format!("{below} in memory")),
        ("file", format!("{below} in a file")),
        ("off", String::new()),
    ];
    for (setting, wanted) in &cases {
        let args = format!("{TRAIN} --feature-cache {setting} --out {setting}");
        folder.run(&args).ok();
        assert_eq!(kept(&folder, setting), *wanted, "{setting}");
        let adapter = |out: &str| {
            let file = format!("{out}/adapter_lora.safetensors");
            std::fs::read(folder.path(&file)).unwrap()
        };
        assert!(adapter(setting) == adapter("auto"), "{setting}");
    }
    // The files have been removed.
    let left = names(&folder.path("cache/images"));
    assert!(left.is_empty(), "{left:?}");
    // If they exceed the cache folder's limit, they are cached in memory.
    let limited = format!("{TRAIN} --cache-limit 0.05 --out limited");
    folder.run(&limited).ok();
    assert_eq!(kept(&folder, "limited"), format!("{below} in memory"));
}

/// A limit on the size of files simulates a full disk.
#[cfg(target_os = "linux")]
#[test]
fn memory_is_used_if_the_disk_is_full_unless_a_file_was_requested() {
    // 8 MiB are enough for all other files.
    const BLOCKS: usize = 16 << 10;
    let folder = Folder::colors();
    folder.limited(&format!("{TRAIN} --out auto"), BLOCKS).ok();
    let wanted = format!("all below `layer2.0` computed once, {SIZE} in memory");
    assert_eq!(kept(&folder, "auto"), wanted);
    let asked = format!("{TRAIN} --feature-cache file --out file");
    let line = line(&folder.limited(&asked, BLOCKS), 1);
    assert!(
        line.contains("cannot cache the features")
            && line.contains("cache/images")
            && line.contains("File too large"),
        "{line}"
    );
}

#[test]
fn memory_is_used_if_the_cache_folder_cannot_be_created_unless_a_file_was_requested() {
    let folder = Folder::colors();
    std::fs::write(folder.path("cache"), "a file").unwrap();
    folder.run(&format!("{TRAIN} --out auto")).ok();
    assert!(kept(&folder, "auto").ends_with("in memory"));
    let asked = format!("{TRAIN} --feature-cache file --out file");
    let line = line(&folder.run(&asked), 1);
    assert!(line.contains("cache/images"), "{line}");
}

#[test]
fn the_report_says_that_the_features_of_views_were_cached() {
    let folder = Folder::colors();
    let train = "train --data data --model resnet8-64 --image-size 16 --epochs 3 --method linear \
                 --augment light --ui none";
    let run = |more: &str, out: &str| {
        folder.run(&format!("{train} {more} --out {out}")).ok();
        let report = folder.json(&format!("{out}/report.json"));
        report["runs"][0]["settings"]["augmentation views"].clone()
    };
    assert_eq!(run("--augment-views 2", "two"), "2");
    // 2 views × 16 images × 64 numbers × 4 bytes are 8 KiB.
    assert!(kept(&folder, "two").ends_with("computed once, 8.0 KiB in memory"));
    assert!(run("", "all").is_null());
    assert_eq!(kept(&folder, "all"), "");
    let none = folder.run(&format!("{train} --augment-views 0 --out none"));
    let line = line(&none, 2);
    assert!(line.contains("views"), "{line}");
}

#[test]
fn f16_is_reported_and_never_replaced_by_f32() {
    let folder = Folder::colors();
    let train = "train --data data --model resnet8-64 --image-size 16 --epochs 2 --method linear \
                 --ui none --feature-dtype f16";
    folder.run(&format!("{train} --out half")).ok();
    // 16 images × 64 numbers × 2 bytes.
    let told = kept(&folder, "half");
    assert!(
        told.ends_with("computed once, 2.0 KiB in memory as f16"),
        "{told}"
    );
    for (more, code, wanted) in [
        (
            "--feature-cache file --cache-limit 0",
            1,
            "2048 bytes as f16",
        ),
        ("--feature-cache off", 2, "f16"),
    ] {
        let refused = folder.run(&format!("{train} {more} --out refused"));
        let line = line(&refused, code);
        assert!(line.contains(wanted), "{line}");
    }
    // If nothing is frozen, nothing is cached or rounded.
    let sft = train.replace("linear", "sft");
    folder.run(&format!("{sft} --out sft")).ok();
    assert_eq!(kept(&folder, "sft"), "");
}
