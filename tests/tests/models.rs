//! The list of models.

#![allow(clippy::unwrap_used, missing_docs)]

mod util;

use util::{Folder, line};

#[test]
fn the_list_fits_into_eighty_columns_and_json_has_the_same_numbers() {
    let folder = Folder::new();
    let text = folder.run("models resnet").ok().stdout();
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    // Of timm's model without its head (tests/fixtures/figures.json).
    let row = text
        .lines()
        .find(|line| line.starts_with("resnet18 "))
        .unwrap();
    let words: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(words[..6], ["resnet18", "224", "11.2", "M", "1.81", "G"]);
    let words: Vec<&str> = text.split_whitespace().collect();
    let notes =
        "memory and step are estimates for a step that trains all weights with a batch of 32";
    assert!(words.join(" ").contains(notes), "{text}");

    let listed = folder
        .run("models resnet --json --batch-size 4")
        .ok()
        .json();
    let listed = listed.as_array().unwrap();
    assert!(listed.len() > 5);
    let model = listed.iter().find(|one| one["name"] == "resnet18").unwrap();
    assert_eq!(model["parameters"], 11_176_512);
    assert_eq!(model["multiply_accumulates"], 1_813_561_344);
    assert_eq!(model["family"], "resnet");
    assert_eq!(model["estimate"]["batch_size"], 4);
    assert!(model["estimate"]["step_seconds"].as_f64().unwrap() > 0.0);
    assert_eq!(model["weights"]["repository"], "timm/resnet18.a1_in1k");
}

#[test]
fn one_model_is_shown_with_its_weights_and_where_to_put_them() {
    let folder = Folder::new();
    let text = folder.run("models resnet18").ok().stdout();
    let link = "https://huggingface.co/timm/resnet18.a1_in1k/resolve/main/model.safetensors";
    assert!(text.contains(link), "{text}");
    let place = folder.path("cache/weights/timm/resnet18.a1_in1k/model.safetensors");
    assert!(text.contains(&format!("`{}`", place.display())), "{text}");
    assert!(text.contains("(it is not there)"), "{text}");
    assert!(
        text.contains("11 176 512") || text.contains("11\u{202f}176\u{202f}512"),
        "{text}"
    );
    // By an alias.
    let text = folder.run("models mobilenetv2_100").ok().stdout();
    assert!(text.starts_with("mobilenet_v2\n"), "{text}");
    let text = folder.run("models resnet20").ok().stdout();
    assert!(
        text.contains("none are known; give a file with --weights FILE"),
        "{text}"
    );
    let said = line(&folder.run("models resnet1888x"), 2);
    assert!(said.contains("there is no model `resnet1888x`"), "{said}");
}

#[test]
fn a_model_without_weights_says_which_file_is_needed_and_uses_it_if_it_is_there() {
    const TRAIN: &str = "train --model mobilenet_v2 --method linear --data data --epochs 1 \
                         --image-size 32 --ui none --threads 1 --out out";
    let folder = Folder::colors();
    let offline = [("HF_HUB_OFFLINE", "1"), ("HF_HOME", "hub")];
    let said = folder.run_in(TRAIN, &offline);
    assert_eq!(said.code(), 2);
    let said = said.stderr();
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    let place = folder.path("cache/weights/timm/mobilenetv2_100.ra_in1k/model.safetensors");
    for part in [
        "`model.safetensors` of timm/mobilenetv2_100.ra_in1k on the Hugging Face Hub",
        "https://huggingface.co/timm/mobilenetv2_100.ra_in1k/resolve/main/model.safetensors",
        &format!("put it at `{}`", place.display()),
        "--weights FILE",
    ] {
        assert!(said.contains(part), "{said}");
    }
    // What trains does not depend on the weights, and random ones need no file.
    folder
        .run("inspect --model mobilenet_v2 --method lora")
        .ok();
    folder
        .run(
            &TRAIN
                .replace("linear", "scratch")
                .replace("--out out", "--out scratch"),
        )
        .ok();
    // The file is found where the message says.
    let made = folder.path("made.safetensors");
    folder
        .run("pretrain --model mobilenet_v2 --epochs 1 --batch-size 256 --data data --out made.safetensors")
        .ok();
    std::fs::create_dir_all(place.parent().unwrap()).unwrap();
    std::fs::rename(made, &place).unwrap();
    folder.run_in(TRAIN, &offline).ok();
    let origin = &folder.json("out/config.json")["inputs"]["weights"]["origin"];
    assert_eq!(origin.as_str().unwrap(), place.to_str().unwrap());
    folder
        .run_in(
            &TRAIN.replace("--out out", "--weights timm:mobilenetv2_100 --out named"),
            &offline,
        )
        .ok();
}
