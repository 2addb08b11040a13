//! Stochastic depth and dropout before the head: only while training, the same whenever a run is repeated
//! or resumed, and only for methods that train the whole network.

#![allow(clippy::unwrap_used, missing_docs)]

#[path = "util/case.rs"]
mod case;
mod util;

use case::{Case, First};
use finetune::methods::Method;
use finetune::training::FeatureCache;
use util::{Folder, line};

fn dropping(case: Case<'_>) -> Case<'_> {
    case.with(|recipe| {
        recipe.drop_path = 0.3;
        recipe.head_dropout = 0.2;
    })
}

#[test]
fn runs_are_repeated_and_resumed_to_the_bit() {
    let case = || Case::new("vit_tiny_patch16_224", 32, Method::Sft, "all");
    let mut first = First(None);
    let (whole, _) = dropping(case()).run_from(None, &mut first);
    let checkpoint = first.0.unwrap();
    assert_eq!(checkpoint.epochs(), 1);
    let (resumed, _) = dropping(case()).run_from(Some(&checkpoint), &mut ());
    resumed.assert_is(&whole, "resumed");
    // Each of the two changes the run, and another seed leaves out others.
    let changed: [fn(Case<'static>) -> Case<'static>; 3] = [
        |case| case.with(|recipe| recipe.drop_path = 0.0),
        |case| case.with(|recipe| recipe.head_dropout = 0.0),
        |case| case.with(|recipe| recipe.seed = 1),
    ];
    for change in changed {
        let (other, _) = change(dropping(case())).run();
        assert!(other != whole);
    }
}

#[test]
fn features_below_the_first_random_block_are_the_same_with_and_without_a_cache() {
    let case = || dropping(Case::new("convnext_tiny", 32, Method::Linear, "all"));
    let (kept, features) = case().run();
    // The first block of 18 is never left out.
    assert_eq!(features.unwrap().below, "stages.0.blocks.1");
    let plain = case().with(|recipe| recipe.feature_cache = FeatureCache::Off);
    let (plain, nothing) = plain.run();
    assert_eq!(nothing, None);
    kept.assert_is(&plain, "convnext_tiny linear");
}

const SMALL: &str = "--data data --image-size 32 --batch-size 4 --epochs 1";

#[test]
fn the_defaults_are_those_of_the_architecture_and_it_is_said() {
    let folder = Folder::colors();
    let call = format!("compare --methods scratch,linear --model mobilenet_v2 {SMALL}");
    // `linear` needs pretrained weights: those of a run.
    let train = format!("train --method scratch --model mobilenet_v2 {SMALL} --out base");
    let said = folder.run(&train).ok().stderr();
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("head dropout 0.2"), "{said}");
    assert!(!said.contains("stochastic depth"), "{said}");
    let report = folder.json("base/report.json");
    assert_eq!(report["runs"][0]["settings"]["head dropout"], "0.2");
    // Nothing is left out where the model is tested.
    let evaluated = folder.run("evaluate --run base --json").ok().json();
    assert_eq!(evaluated[0]["accuracy"], report["runs"][0]["accuracy"]);
    let weights = "--weights base/finetuned_model_scratch.safetensors";
    let flags = "--head-dropout 0.5 --drop-path 0.1";
    folder
        .run(&format!("{call} {weights} {flags} --out run"))
        .ok();
    let config = folder.json("run/config.json");
    let of = |run: usize| {
        let recipe = &config["runs"][run]["recipe"];
        [&recipe["drop_path"], &recipe["head_dropout"]].map(|value| value.as_f64().unwrap())
    };
    assert_eq!((of(0), of(1)), ([0.1, 0.5], [0.0, 0.0]));
}

#[test]
fn what_cannot_be_left_out_is_rejected() {
    let folder = Folder::colors();
    for (flags, wanted) in [
        (
            "--method lora --drop-path 0.1",
            "--drop-path is a setting of sft and scratch, but the method is lora",
        ),
        (
            "--method linear --head-dropout 0.1",
            "--head-dropout is a setting of sft and scratch, but the method is linear",
        ),
        (
            "--method sft --drop-path 0.1",
            "--drop-path is 0.1, but must be 0 for a model without stochastic depth",
        ),
        (
            "--method sft --head-dropout 1",
            "the dropout of the head is 1, but must be at least 0 and below 1",
        ),
    ] {
        let outcome = folder.run(&format!("train {SMALL} {flags} --out none"));
        let said = line(&outcome, 2);
        assert!(said.contains(wanted), "{flags}: {said}");
        assert!(!folder.exists("none"));
    }
}
