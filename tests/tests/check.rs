//! `data check`: what is wrong with a folder, before anything is learnt from it.

#![allow(clippy::unwrap_used, missing_docs)]

mod util;

use util::Folder;

#[test]
fn broken_images_duplicates_and_leaks_are_found() {
    let folder = Folder::new();
    // Pictures that differ: photographs of the embedded data.
    for (part, from) in [("train", 0), ("test", 12)] {
        for class in ["three", "four"] {
            std::fs::create_dir_all(folder.path(&format!("data/{part}/{class}"))).unwrap();
        }
        let splits = finetune::data::embedded_signs();
        for (index, sample) in splits
            .train
            .samples
            .iter()
            .step_by(30)
            .skip(from)
            .take(12)
            .enumerate()
        {
            let finetune::data::Source::Memory { bytes, .. } = sample.source else {
                unreachable!("they are embedded")
            };
            let class = if index < 8 { "three" } else { "four" };
            let file = format!("data/{part}/{class}/{index:02}.jpg");
            std::fs::write(folder.path(&file), bytes).unwrap();
        }
    }
    let clean = folder.run("data check data").ok();
    assert!(
        clean
            .stdout()
            .contains("train       12 images: four 4, three 8"),
        "{}",
        clean.stdout()
    );
    assert!(
        clean.stdout().contains("`four` has 4 training images"),
        "{}",
        clean.stdout()
    );

    // The same picture in training and test, one of another size and quality, and a broken one.
    let copy = |from: &str, to: &str| std::fs::copy(folder.path(from), folder.path(to)).unwrap();
    copy("data/train/three/00.jpg", "data/test/three/copy.jpg");
    let picture = image::open(folder.path("data/train/four/08.jpg")).unwrap();
    picture
        .resize_exact(160, 160, image::imageops::FilterType::Triangle)
        .save(folder.path("data/train/three/bigger.png"))
        .unwrap();
    std::fs::write(folder.path("data/train/four/broken.jpg"), b"not an image").unwrap();
    let found = folder.run("data check data --json");
    assert_eq!(found.code(), 1);
    assert!(
        found.stderr().contains("results on data would be wrong"),
        "{}",
        found.stderr()
    );
    let found = found.json();
    assert_eq!(found["broken"].as_array().unwrap().len(), 1);
    assert!(
        found["broken"][0]["image"]
            .as_str()
            .unwrap()
            .ends_with("broken.jpg")
    );
    let groups = found["duplicates"].as_array().unwrap();
    assert_eq!(groups.len(), 2, "{groups:?}");
    let group = |end: &str| {
        let has = |group: &&serde_json::Value| {
            let mut images = group["images"].as_array().unwrap().iter();
            images.any(|image| image.as_str().unwrap().ends_with(end))
        };
        let group = groups.iter().find(has).unwrap();
        ["exact", "leak", "labels_differ"].map(|key| group[key].as_bool().unwrap())
    };
    assert_eq!(group("copy.jpg"), [true, true, false]);
    assert_eq!(group("bigger.png"), [false, false, true]);
    let told = folder.run("data check data").stdout();
    assert!(told.contains("the same, in several parts: "), "{told}");
    assert!(
        told.contains("nearly the same, with several labels: "),
        "{told}"
    );
    assert!(
        told.contains("→ remove or replace the 1 image(s)"),
        "{told}"
    );

    let missing = folder.run("data check nowhere");
    assert_eq!(missing.code(), 2);
    assert!(missing.stderr().contains("nowhere is not a folder"));
}
