//! A run that computes the features of frozen layers only once gives the same result to the bit.

#![allow(clippy::unwrap_used, missing_docs)]

#[path = "util/case.rs"]
mod case;

use case::{Case, First, lora};
use finetune::data::{Augment, Sampling};
use finetune::methods::catalogue::VptConfig;
use finetune::methods::{Method, SparseSharedConfig};
use finetune::training::{FeatureCache, FeatureDtype, Observer, TrainingError};

fn without_cache(case: Case<'_>) -> Case<'_> {
    case.with(|recipe| recipe.feature_cache = FeatureCache::Off)
}

fn in_file(case: Case<'_>) -> Case<'_> {
    case.with(|recipe| recipe.feature_cache = FeatureCache::File)
}

#[test]
fn runs_with_cached_features_are_the_same_to_the_bit() {
    let peft = Method::SparseShared(SparseSharedConfig {
        interval: 2,
        ..SparseSharedConfig::default()
    });
    let cases = [
        ("linear", Case::new("resnet8-64", 32, Method::Linear, "all")),
        ("layer3.0", Case::new("resnet8-64", 32, peft, "layer3")),
        ("layer2.0", Case::new("resnet8-64", 32, lora(0.5), "layer2")),
        (
            "classifier",
            Case::new("mobilenet_v2", 32, Method::Linear, "all"),
        ),
        (
            "blocks.16",
            Case::new("mobilenet_v2", 32, lora(0.0), r"blocks\.16\."),
        ),
        ("hidden", Case::new("chapter", 64, lora(0.0), "hidden")),
        (
            "linear",
            Case::new("resnet8-64", 16, Method::Linear, "all")
                .with(|recipe| recipe.drop_last = true),
        ),
        (
            "head",
            Case::new("vit_tiny_patch16_224", 32, Method::Linear, "all"),
        ),
        (
            "blocks.11",
            Case::new(
                "vit_tiny_patch16_224",
                32,
                Method::VptDeep(VptConfig { count: 2 }),
                r"blocks\.11\.attn\.qkv\.",
            ),
        ),
        (
            "stages.3.blocks.2",
            Case::new("convnext_tiny", 32, lora(0.0), r"stages\.3\.blocks\.2\."),
        ),
    ];
    for (below, case) in cases {
        let name = format!("{} {}", case.model, case.method.name());
        let (kept, features) = case.run();
        let features = features.unwrap();
        assert_eq!(features.below, below, "{name}");
        assert_eq!(features.file_bytes, 0, "{name}");
        let case = in_file(case);
        let (filed, in_file) = case.run();
        let in_file = in_file.unwrap();
        assert_eq!(in_file.file_bytes, features.bytes, "{name}");
        assert_eq!(in_file.bytes, features.bytes, "{name}");
        let (plain, nothing) = without_cache(case).run();
        assert_eq!(nothing, None, "{name}");
        filed.assert_is(&kept, &name);
        assert!(!kept.weights.is_empty(), "{name}");
        kept.assert_is(&plain, &name);
    }
}

#[test]
fn nothing_is_cached_if_the_first_layers_or_the_images_change() {
    let of = |method: Method| Case::new("resnet8-64", 32, method, "all");
    let cases = [
        of(Method::Sft),
        of(Method::Norm),
        of(Method::Bitfit),
        of(lora(0.0)),
        Case {
            adapt_statistics: true,
            ..of(Method::Linear)
        },
        of(Method::Linear).with(|recipe| recipe.augment.flip = true),
    ];
    for case in cases {
        let (_, features) = case.run();
        assert_eq!(features, None, "{}", case.method.name());
    }
}

/// Changes a case to two views per image and five epochs.
fn with_views(case: Case<'_>) -> Case<'_> {
    case.with(|recipe| {
        recipe.epochs = 5;
        recipe.augment_views = Some(2);
        recipe.augment = Augment {
            flip: true,
            brightness: 0.3,
            erasing: 0.5,
            ..Augment::light()
        };
    })
}

#[test]
fn runs_with_cached_views_are_the_same_to_the_bit() {
    let balanced = Case {
        sampling: Sampling::Balanced,
        ..Case::new("resnet8-64", 32, Method::Linear, "all")
    };
    let adapters = r"blocks\.16\.|last";
    for case in [
        balanced,
        Case::new("resnet8-64", 32, lora(0.5), "layer2"),
        Case::new("mobilenet_v2", 32, lora(0.0), adapters),
    ] {
        let name = format!("{} {}", case.model, case.method.name());
        // Ten training images and five validation images.
        let (_, once) = case.run();
        let once = once.unwrap().bytes;
        let case = with_views(case);
        let mut first = First(None);
        let (kept, features) = case.run_from(None, &mut first);
        assert_eq!(features.unwrap().bytes, once / 15 * 25, "{name}");
        let case = in_file(case);
        let (filed, features) = case.run();
        assert_eq!(features.unwrap().file_bytes, once / 15 * 25, "{name}");
        assert!(filed == kept, "{name}");
        let checkpoint = first.0.unwrap();
        assert_eq!(checkpoint.epochs(), 1);
        let (again, _) = case.run_from(Some(&checkpoint), &mut ());
        assert!(again == kept, "{name}");
        let case = without_cache(case);
        let (plain, features) = case.run();
        assert_eq!(features, None, "{name}");
        plain.assert_is(&kept, &name);
        // The views are the same as without the cache, and there are two of them.
        let (all, _) = case.with(|recipe| recipe.augment_views = None).run();
        if name.contains("lora") {
            assert_eq!(all.epochs[..2], kept.epochs[..2], "{name}");
        }
        assert!(all.epochs[2] != kept.epochs[2], "{name}");
    }
}

#[test]
fn f16_needs_half_the_space_and_gives_the_same_result_in_memory_and_in_a_file() {
    let case = Case::new("mobilenet_v2", 32, lora(0.5), r"blocks\.16\.|last");
    let (exact, whole) = case.run();
    let case = case.with(|recipe| recipe.feature_dtype = FeatureDtype::F16);
    let mut first = First(None);
    let (half, features) = case.run_from(None, &mut first);
    let features = features.unwrap();
    assert_eq!(features.bytes * 2, whole.unwrap().bytes);
    assert_eq!(features.dtype, FeatureDtype::F16);
    assert!(half != exact);
    let (again, _) = case.run_from(Some(&first.0.unwrap()), &mut ());
    assert!(again == half);
    let (filed, in_file) = in_file(case).run();
    assert_eq!(in_file.unwrap().file_bytes, features.bytes);
    assert!(filed == half);
}

/// The weights hardly change, so that only rounding (2^-11 of each feature) changes the losses.
#[test]
fn f16_changes_losses_a_little() {
    let case = Case::new("mobilenet_v2", 32, lora(0.0), r"blocks\.16\.|last");
    let case = case.with(|recipe| recipe.learning_rate = 1e-7);
    let (exact, _) = case.run();
    let (half, _) = case
        .with(|recipe| recipe.feature_dtype = FeatureDtype::F16)
        .run();
    assert_eq!(exact.epochs.len(), 3);
    for (exact, half) in exact.epochs.iter().zip(&half.epochs) {
        let difference = (exact.train_loss - half.train_loss).abs();
        let of = exact.train_loss;
        assert!(
            difference > 0.0 && difference < 0.002 * of,
            "{exact:?} {half:?}"
        );
    }
}

#[test]
fn views_are_not_cached_if_that_saves_nothing() {
    let case = with_views(Case::new("resnet8-64", 32, Method::Linear, "all"));
    let case = case.with(|recipe| recipe.augment_views = Some(5));
    let (views, features) = case.run();
    assert_eq!(features, None);
    let (all, _) = case.with(|recipe| recipe.augment_views = None).run();
    assert!(views == all);
}

#[test]
fn a_run_with_cached_features_resumes_from_a_checkpoint() {
    let case = Case::new("mobilenet_v2", 32, lora(0.5), r"blocks\.16\.|last");
    let mut first = First(None);
    let (whole, features) = case.run_from(None, &mut first);
    assert!(features.is_some());
    let checkpoint = first.0.unwrap();
    assert_eq!(checkpoint.epochs(), 1);
    let (again, features) = case.run_from(Some(&checkpoint), &mut ());
    assert!(features.is_some());
    assert!(again == whole);
    let case = in_file(case);
    let (again, features) = case.run_from(Some(&checkpoint), &mut ());
    assert!(features.unwrap().file_bytes > 0);
    assert!(again == whole);
    let (again, _) = without_cache(case).run_from(Some(&checkpoint), &mut ());
    assert!(again == whole);
}

/// Counts the calls and stops the computation of features.
struct Impatient(Vec<(usize, usize)>);

impl Observer for Impatient {
    fn on_features(&mut self, done: usize, images: usize) -> std::ops::ControlFlow<()> {
        self.0.push((done, images));
        std::ops::ControlFlow::Break(())
    }
}

#[test]
fn an_observer_can_stop_the_computation_of_features() {
    let case = Case::new("resnet8-64", 32, Method::Linear, "all");
    let mut observer = Impatient(Vec::new());
    let stopped = case.try_run_from(None, &mut observer);
    assert!(matches!(stopped, Err(TrainingError::Stopped)));
    assert_eq!(observer.0, [(4, 15)]);
}
