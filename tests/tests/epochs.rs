//! `--epoch` selects the model of a run after one of its epochs.

#![allow(clippy::unwrap_used, missing_docs)]

mod util;

use std::path::PathBuf;

use finetune::data::{Pipeline, Source, StoredSize, embedded_signs, open_test};
use finetune::model::{Architecture, Head, WeightsFile};
use finetune::training::evaluate;
use util::{Folder, names};

/// Returns a folder of photographs of hands; the validation images are the test images.
fn hands() -> Folder {
    let folder = Folder::new();
    let set = embedded_signs().train;
    let mut of_class = vec![0; set.classes.len()];
    for sample in &set.samples {
        let Source::Memory { bytes, .. } = sample.source else {
            unreachable!("they are embedded")
        };
        let index = of_class[sample.label];
        of_class[sample.label] += 1;
        let parts: &[&str] = match index {
            0..12 => &["train"],
            12..24 => &["valid", "test"],
            _ => continue,
        };
        for part in parts {
            let class = folder.path(&format!("data/{part}/{}", set.classes[sample.label]));
            std::fs::create_dir_all(&class).unwrap();
            std::fs::write(class.join(format!("{index:02}.jpg")), bytes).unwrap();
        }
    }
    folder
}

/// Returns the validation accuracy of a run after each epoch.
fn validated(folder: &Folder, out: &str) -> Vec<f64> {
    let report = folder.json(&format!("{out}/report.json"));
    let epochs = report["runs"][0]["epochs"].as_array().unwrap().clone();
    let accuracies = epochs.iter().map(|epoch| epoch["valid_accuracy"].as_f64());
    accuracies.map(Option::unwrap).collect()
}

#[test]
fn an_epochs_checkpoint_is_the_model_that_was_validated() {
    let folder = hands();
    for (method, out) in [
        ("sft --keep best", "sft"),
        (
            "lora --set lora.dropout=0.3 --ema 0.9 --unfreeze-epochs 2",
            "lora",
        ),
        ("peft --peft-interval 3", "peft"),
        ("gps --batch-norm adapt", "gps"),
    ] {
        folder
            .run(&format!(
                "train --method {method} --data data --image-size 32 --epochs 5 --batch-size 16 \
                 --keep-checkpoints 9 --ui none --out {out}"
            ))
            .ok();
        let wanted = validated(&folder, out);
        for (index, wanted) in wanted.iter().take(4).enumerate() {
            let epoch = index + 1;
            let found = folder
                .run(&format!("evaluate --run {out} --epoch {epoch} --json"))
                .ok()
                .json();
            assert_eq!(
                found[0]["accuracy"].as_f64(),
                Some(*wanted),
                "{out} {epoch}"
            );
            assert_eq!(found[0]["epoch"], epoch);
        }
        // If all accuracies were equal, the test could not tell epochs apart.
        assert!(
            wanted.iter().any(|other| (other - wanted[0]).abs() > 0.01),
            "{wanted:?}"
        );
    }

    // Tests the other commands with the epoch whose accuracy differs most from the last one.
    let wanted = validated(&folder, "sft");
    let epoch = 1
        + (0..4)
            .max_by(|a, b| {
                (wanted[*a] - wanted[4])
                    .abs()
                    .total_cmp(&(wanted[*b] - wanted[4]).abs())
            })
            .unwrap();
    let mut files: Vec<PathBuf> = Vec::new();
    for class in names(&folder.path("data/valid")) {
        let class = folder.path("data/valid").join(class);
        files.extend(names(&class).into_iter().map(|name| class.join(name)));
    }
    let listed: Vec<_> = files.iter().map(|file| file.to_str().unwrap()).collect();
    let predicted = folder
        .run(&format!(
            "predict --run sft --epoch {epoch} --json {}",
            listed.join(" ")
        ))
        .ok()
        .json();
    let pairs = predicted.as_array().unwrap().iter().zip(&files);
    let right = pairs.filter(|(said, file)| {
        let class = file.parent().unwrap().file_name().unwrap();
        said["class"] == class.to_str().unwrap()
    });
    #[allow(clippy::cast_precision_loss)]
    let accuracy = right.count() as f64 / files.len() as f64;
    assert!((accuracy - wanted[epoch - 1]).abs() < 1e-9, "{accuracy}");

    for command in ["merge", "export"] {
        folder
            .run(&format!(
                "{command} --run sft --epoch {epoch} --out {command}.safetensors"
            ))
            .ok();
        let architecture = Architecture::find("resnet8-64").unwrap().at(32).unwrap();
        let device = burn::tensor::Device::flex();
        let model = WeightsFile::open(&folder.path(&format!("{command}.safetensors")))
            .unwrap()
            .load(&architecture, 5, Head::Stored, &device)
            .unwrap()
            .network;
        let images = open_test(&folder.path("data"))
            .unwrap()
            .prepare(
                &architecture.preprocess(),
                StoredSize::Fitted,
                &Pipeline::memory(),
            )
            .unwrap();
        let seen = evaluate(&model, &images, architecture.normalization, 16, &device).unwrap();
        assert!(
            (seen.accuracy() - wanted[epoch - 1]).abs() < 1e-9,
            "{command}"
        );
    }

    // The adapter of an epoch can be exported for PEFT as well.
    folder
        .run("export --run lora --epoch 2 --format peft --out peft-2")
        .ok();
    folder
        .run("export --run lora --format peft --out peft-end")
        .ok();
    let read = |name: &str| std::fs::read(folder.path(name).join("adapter_model.safetensors"));
    assert_ne!(read("peft-2").unwrap(), read("peft-end").unwrap());
}

#[test]
fn the_error_for_an_epoch_without_a_checkpoint_lists_the_others_on_one_line() {
    let folder = Folder::colors();
    let train = "train --method linear --data data --epochs 4 --ui none";
    folder
        .run(&format!("{train} --keep-checkpoints 2 --out some"))
        .ok();
    folder.run(&format!("{train} --out none")).ok();
    let photo = "data/test/red/000.png";
    for (command, message) in [
        (
            "evaluate --run some --epoch 1".to_owned(),
            "linear in some has no checkpoint of epoch 1; it retained those of the epochs 2, 3",
        ),
        (
            format!("predict --run some --epoch 9 {photo}"),
            "of epoch 9; it retained those of the epochs 2, 3",
        ),
        (
            "merge --run some --epoch 4 --out m".to_owned(),
            "of epoch 4; it is the last one: omit --epoch",
        ),
        (
            "export --run none --epoch 1 --out m".to_owned(),
            "of epoch 1; it retained none (see --keep-checkpoints)",
        ),
        (
            "evaluate --run some --epoch 2 --merged".to_owned(),
            "--merged",
        ),
    ] {
        let outcome = folder.run(&command);
        let said = outcome.stderr();
        assert_eq!(outcome.code(), 2, "{said}");
        assert!(said.contains(message), "{said}");
        assert!(!said.contains("panicked") && !folder.exists("m"), "{said}");
    }

    // For an unfinished run, the settings come from its plan and the classes from its images.
    let path = |name: &str| folder.path(&format!("some/{name}"));
    let done = folder.run("evaluate --run some --epoch 3").ok().stdout();
    std::fs::rename(path("config.json"), path("plan.json")).unwrap();
    for file in [
        "report.json",
        "adapter_linear.safetensors",
        "finetuned_model_linear.safetensors",
    ] {
        std::fs::remove_file(path(file)).unwrap();
    }
    let undone = folder.run("evaluate --run some --epoch 3").ok().stdout();
    assert_eq!(undone, done);
    folder
        .run(&format!("predict --run some --epoch 3 {photo}"))
        .ok();
    assert_eq!(folder.run("evaluate --run some").code(), 1);
}
