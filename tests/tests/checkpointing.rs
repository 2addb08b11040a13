//! Gradient checkpointing gives the same run to the bit and needs less memory.

#![allow(clippy::unwrap_used, missing_docs)]

#[path = "util/case.rs"]
mod case;
mod util;

use case::{Case, lora};
use finetune::methods::Method;
use util::Folder;

#[test]
fn runs_with_and_without_checkpointing_are_the_same_to_the_bit() {
    let vit = "vit_tiny_patch16_224";
    let cases = [
        Case::new("resnet8-64", 32, Method::Sft, "all").with(|recipe| recipe.unfreeze_epochs = 2),
        // Also caches the features of the frozen blocks; the last step of an epoch has one batch
        // instead of two.
        Case::new("mobilenet_v2", 32, lora(0.5), r"blocks\.1[56]\.|last")
            .with(|recipe| recipe.accumulate = 2),
        Case::new(vit, 32, lora(0.1), "all").with(|recipe| recipe.clip_norm = Some(1.0)),
    ];
    for case in cases {
        let name = format!("{} {}", case.model, case.method.name());
        let (plain, features) = case.run();
        let case = case.with(|recipe| recipe.gradient_checkpointing = true);
        let (again, features_again) = case.run();
        assert!(!plain.weights.is_empty(), "{name}");
        assert_eq!(features, features_again, "{name}");
        again.assert_is(&plain, &name);
    }
}

#[test]
fn the_flag_saves_memory_and_does_not_change_the_result() {
    let folder = Folder::colors();
    let train = "train --data data --model mobilenet_v2 --image-size 128 --method scratch \
                 --epochs 1 --batch-size 16 --ui none";
    folder.run(&format!("{train} --out plain")).ok();
    let flag = "--gradient-checkpointing";
    folder.run(&format!("{train} {flag} --out again")).ok();
    let run = |out: &str| folder.json(&format!("{out}/report.json"))["runs"][0].clone();
    let (plain, again) = (run("plain"), run("again"));
    assert_eq!(
        plain["epochs"][0]["train_loss"],
        again["epochs"][0]["train_loss"]
    );
    assert_eq!(plain["confusion"], again["confusion"]);
    let config = folder.json("again/config.json");
    assert!(
        config
            .to_string()
            .contains(r#""gradient_checkpointing":true"#),
        "{config}"
    );
    assert_eq!(again["settings"]["gradient checkpointing"], "on");
    assert_eq!(plain["settings"].get("gradient checkpointing"), None);
    let model = |out: &str| {
        std::fs::read(folder.path(out).join("finetuned_model_scratch.safetensors")).unwrap()
    };
    assert!(model("plain") == model("again"));
    let peak = |run: &serde_json::Value| run["peak_memory_bytes"].as_f64().unwrap();
    let share = peak(&again) / peak(&plain);
    assert!(share < 0.8, "{share} of the memory");
}
