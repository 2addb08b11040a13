//! Memory use of training on many files; `docs/data.md` has the measurements.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, missing_docs)]

mod util;

use util::Folder;

/// Returns a folder with `count` training images in two classes, which are links to a few files.
fn many(count: usize) -> Folder {
    let folder = Folder::colors();
    for class in ["red", "green"] {
        let from = folder.path(&format!("data/train/{class}"));
        for index in 8..count / 2 {
            let picture = from.join(format!("{:03}.png", index % 8));
            std::fs::hard_link(picture, from.join(format!("{index:06}.png"))).unwrap();
        }
    }
    folder
}

/// Returns the peak memory, in bytes, of a process that trains one epoch on `count` files.
fn peak(count: usize) -> u64 {
    let folder = many(count);
    folder
        .run(
            "train --method sft --model resnet8-64 --data data --image-size 16 --batch-size 64 \
             --epochs 1 --cache none --feature-cache off --ui none --out out",
        )
        .ok();
    let report = folder.json("out/report.json");
    assert_eq!(report["dataset"]["train"], count);
    report["runs"][0]["peak_memory_bytes"].as_u64().unwrap()
}

/// With `--nocapture` it prints the measurements.
#[test]
#[ignore = "makes 110 000 files"]
fn a_hundred_thousand_files_take_little_more_memory_than_ten_thousand() {
    let (few, many) = (peak(10_000), peak(100_000));
    println!(
        "10 000 files: {} MiB, 100 000: {} MiB",
        few >> 20,
        many >> 20
    );
    let each = many.saturating_sub(few) / 90_000;
    println!("{each} bytes a file");
    // Memory for names, labels and the order of an epoch, but not for images of 16×16 pixels, which
    // have 768 bytes each.
    assert!(each < 700, "{each}");
}

/// 600 classes have 360 000 cells, of which 600 images fill 600 at most.
#[test]
fn what_is_written_of_many_classes_grows_with_the_images_and_not_with_the_cells() {
    let folder = Folder::new();
    for part in ["train", "test"] {
        folder.class("pictures", [200, 20, 20], 1);
        for class in 0..600 {
            let class = folder.path(&format!("data/{part}/class{class:03}"));
            std::fs::create_dir_all(&class).unwrap();
            std::fs::hard_link(folder.path("pictures/000.png"), class.join("0.png")).unwrap();
        }
    }
    folder
        .run(
            "train --method linear --data data --image-size 32 --epochs 1 --batch-size 64 --ui none \
             --out out",
        )
        .ok();
    let size = |name: &str| std::fs::metadata(folder.path(name)).unwrap().len();
    let (report, page) = (size("out/report.json"), size("out/report.html"));
    assert!(report < 200_000 && page < 50_000, "{report} {page}");
    let run = &folder.json("out/report.json")["runs"][0];
    assert_eq!(run["confusion"], serde_json::json!([]));
    let counts = run["confusion_counts"]["counts"].as_array().unwrap();
    let images: u64 = counts.iter().map(|count| count[2].as_u64().unwrap()).sum();
    assert_eq!(
        (images, &run["confusion_counts"]["classes"]),
        (600, &600.into())
    );
    let again = folder.run("evaluate --run out --json").ok().json();
    assert_eq!(again[0]["confusion_counts"], run["confusion_counts"]);
}
