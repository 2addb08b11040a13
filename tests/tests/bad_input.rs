//! Bad input: the command prints one clear line, exits with the right code and leaves no incomplete
//! files.

#![allow(clippy::unwrap_used, missing_docs)]

mod util;

use util::{Folder, fails};

#[test]
fn folders_that_are_not_data_sets_are_rejected() {
    let folder = Folder::colors();
    fails(
        &folder,
        "--data dtaa",
        2,
        "`dtaa` does not exist (the nearest name is `data`); give the folder",
    );
    fails(&folder, "--data nowhere", 2, "`nowhere` does not exist");
    folder.class("none/a/deep/er", [0; 3], 0);
    fails(&folder, "--data none", 1, "holds no classes");
    folder
        .class("one/train/cat", [9; 3], 2)
        .class("one/test/cat", [9; 3], 2);
    fails(
        &folder,
        "--data one",
        1,
        "`one/train` holds only the class `cat`",
    );
    folder.class("data/train/blue", [0; 3], 0);
    fails(
        &folder,
        "--data data",
        1,
        "`data/train/blue` holds no images",
    );
    folder.class("data/train/blue", [20, 20, 200], 1);
    fails(
        &folder,
        "--data data",
        1,
        "the classes of `data/test` differ from those of training: missing `blue`",
    );
    folder.class("data/test/bleu", [20, 20, 200], 1);
    fails(&folder, "--data data", 1, "missing `blue`; unknown `bleu`");
}

#[test]
fn the_size_of_the_images_is_checked_before_anything_else() {
    let folder = Folder::colors();
    for side in ["100000", "0", "18446744073709551615"] {
        fails(
            &folder,
            &format!("--data data --image-size {side}"),
            2,
            "pixels",
        );
    }
}

#[cfg(unix)]
#[test]
fn named_pipes_are_errors_and_not_waited_for() {
    let folder = Folder::colors();
    let pipe = |name: &str| {
        let made = std::process::Command::new("mkfifo")
            .arg(folder.path(name))
            .status();
        assert!(made.unwrap().success());
    };
    pipe("data/train/red/pipe.png");
    let message = "`data/train/red/pipe.png`: it is a named pipe, not a regular file";
    for cache in ["memory", "none"] {
        fails(&folder, &format!("--data data --cache {cache}"), 1, message);
    }
    let outcome = folder.run("data check data");
    assert_eq!(outcome.code(), 1);
    assert!(
        outcome.stdout().contains("broken: "),
        "{}",
        outcome.stdout()
    );
    pipe("images.csv");
    fails(
        &folder,
        "--data images.csv",
        1,
        "`images.csv`: it is a named pipe, not a regular file",
    );
}

#[test]
fn corrupt_images_are_named() {
    let folder = Folder::colors();
    let image = folder.path("data/train/red/003.png");
    let bytes = std::fs::read(&image).unwrap();
    std::fs::write(&image, &bytes[..bytes.len() / 2]).unwrap();
    fails(
        &folder,
        "--data data",
        1,
        "cannot decode the image `data/train/red/003.png`",
    );
    std::fs::write(&image, b"").unwrap();
    fails(
        &folder,
        "--data data",
        1,
        "cannot decode the image `data/train/red/003.png`",
    );
    std::fs::write(&image, b"this is text").unwrap();
    fails(&folder, "--data data", 1, "replace or remove it");
}

#[test]
fn wrong_names_and_numbers_are_rejected() {
    let folder = Folder::colors();
    fails(
        &folder,
        "--device tpu",
        2,
        "there is no device `tpu`; devices: flex (cpu), ndarray, wgpu (gpu)",
    );
    fails(
        &folder,
        "--method lroa",
        2,
        "there is no method `lroa`, did you mean `lora`? methods: sft",
    );
    fails(
        &folder,
        "--model resnet9000",
        2,
        "there is no model `resnet9000`, did you mean `resnet50`? models: resnet8",
    );
    fails(
        &folder,
        "--method lora --targets layer9.conv",
        2,
        "matches no layer of the model; nearest names: layer",
    );
    fails(
        &folder,
        "--method lora --targets (",
        2,
        "is not a valid regular expression",
    );
    fails(
        &folder,
        "--method lora --lora-rank 0",
        2,
        "rank is 0, but must be at least 1",
    );
    fails(&folder, "--method peft --peft-density 2", 2, "density is 2");
    fails(
        &folder,
        "--lr 0",
        2,
        "the learning rate is 0, but must be above 0",
    );
    fails(
        &folder,
        "--preset chapter --image-size 32",
        2,
        "`chapter` takes images of 64×64 pixels, not 32×32",
    );
    fails(
        &folder,
        "--model resnet20",
        2,
        "there are no pretrained weights for `resnet20`",
    );
    assert_eq!(folder.run("train --no-such-flag").code(), 2);
}

#[test]
fn files_that_are_not_checkpoints_are_rejected() {
    let folder = Folder::colors();
    fails(
        &folder,
        "--weights missing.safetensors",
        2,
        "the weights file `missing.safetensors` does not exist",
    );
    std::fs::write(folder.path("text"), "not a checkpoint at all").unwrap();
    fails(
        &folder,
        "--weights text",
        1,
        "`text` is not a readable weights file: it is a text file",
    );
    std::fs::write(folder.path("tiny"), "abc").unwrap();
    fails(&folder, "--weights tiny", 1, "it has fewer than 8 bytes");
    folder
        .run("pretrain --data data --epochs 1 --out whole.safetensors --ui none")
        .ok();
    let bytes = std::fs::read(folder.path("whole.safetensors")).unwrap();
    std::fs::write(folder.path("cut"), &bytes[..bytes.len() - 1]).unwrap();
    fails(&folder, "--weights cut", 1, "it is truncated or damaged");
}

#[test]
fn folders_without_a_run_are_rejected() {
    let folder = Folder::colors();
    for command in [
        "evaluate --run data",
        "predict --run data data/test/red/000.png",
    ] {
        let outcome = folder.run(command);
        assert_eq!(outcome.code(), 1);
        assert!(
            outcome
                .stderr()
                .contains("data is not the folder of a finished run")
        );
    }
}
